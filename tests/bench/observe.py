"""
Time of `observe`, as ratios in one run: `python tests/bench/observe.py [rounds]`.

Medians of interleaved rounds, since other load on the machine slows all parts of a round alike. Nothing is asserted,
because a timed test would fail under load.
"""

from __future__ import annotations

import json
import sys
from statistics import median
from time import process_time
from timeit import timeit

from transitions import Machine

from batchfsm import Monitor, parse
from batchfsm.lifecycle import OPENAI

ROUNDS = 15
REPEATS = 1_000
T = 1_756_600_556
COMPLETED = {
    "id": "batch_68b398ec31dc8190a77c93f9f3c50eef",
    "object": "batch",
    "endpoint": "/v1/chat/completions",
    "model": "gpt-5-2025-08-07",
    "errors": None,
    "input_file_id": "file-KfwihchzNqvoyQV6QmNmso",
    "completion_window": "24h",
    "status": "completed",
    "output_file_id": "file-KfwihchzNqvoyQV6QmNmsp",
    "error_file_id": None,
    "created_at": T,
    "in_progress_at": T + 1,
    "expires_at": T + 86_400,
    "finalizing_at": T + 31,
    "completed_at": T + 41,
    "failed_at": None,
    "expired_at": None,
    "cancelling_at": None,
    "cancelled_at": None,
    "request_counts": {"total": 100, "completed": 95, "failed": 5},
    "usage": {
        "input_tokens": 0,
        "output_tokens": 0,
        "total_tokens": 0,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
    "metadata": {"testMetadataKey": "test metadata value"},
}
"""A row as the API sends it today."""


def life(completed):
    """Return the four snapshots of a batch, given the last one."""
    total = completed["request_counts"]["total"]
    finalizing = completed | {"status": "finalizing", "completed_at": None, "output_file_id": None}
    running = finalizing | {
        "status": "in_progress",
        "finalizing_at": None,
        "request_counts": {"total": total, "completed": total // 10, "failed": 0},
    }
    validating = running | {
        "status": "validating",
        "model": None,
        "in_progress_at": None,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
    }
    return [validating, running, finalizing, completed]


class SDKObject:
    """An SDK object whose dump costs nothing, because it was made before."""

    def __init__(self, wire):
        self.wire = wire

    def to_dict(self):
        """Return the wire object."""
        return self.wire


FORMS = {"mappings": dict, "JSON texts": json.dumps, "SDK objects": SDKObject, "Snapshots": parse}


def unchanged(row):
    """Return a function that observes the same row each time, and one that decodes its JSON text."""
    monitor, text = Monitor(), json.dumps(row)
    monitor.observe(row)
    return lambda: monitor.observe(row), lambda: json.loads(text)


def history(rows):
    """Return a function that observes a life with one hook, and one that fires the same triggers on a bare model."""
    monitor, batch_id = Monitor(), parse(rows[0]).id
    monitor.on(name="bench")(lambda _: None)

    def observed():
        for row in rows:
            monitor.observe(row)
        monitor.forget(batch_id)

    class Model:
        """A registered model."""

    model = Model()
    Machine(
        model=model,
        states=list(OPENAI.statuses),
        transitions=[[step.event, step.source, step.target] for step in OPENAI.steps],
        initial="validating",
        auto_transitions=False,
        after_state_change=[lambda: None],
    )

    def triggered():
        model.state = "validating"
        model.start()
        model.finalize()
        model.complete()

    return observed, triggered


def main(rounds):
    """Print the table."""
    simple = {key: value for key, value in COMPLETED.items() if key != "usage"} | {"metadata": None}
    pairs = {
        "unchanged row / json.loads": unchanged(COMPLETED),
        "the same without usage and metadata": unchanged(simple),
        "the same without usage and metadata ": history(life(simple)),
    } | {f"history of {name} / transitions": history([*map(form, life(COMPLETED))]) for name, form in FORMS.items()}
    taken = {name: [] for name in pairs}
    for _ in range(rounds):
        for name, (ours, theirs) in pairs.items():
            taken[name].append([timeit(each, number=REPEATS, timer=process_time) for each in (ours, theirs)])
    print(f"{'':38}{'us':>7}{'against':>9}{'ratio':>7}")
    for name, times in taken.items():
        ours, theirs = (median(each) / REPEATS * 1e6 for each in zip(*times, strict=True))
        print(f"{name:38}{ours:7.1f}{theirs:9.1f}{median(a / b for a, b in times):7.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
