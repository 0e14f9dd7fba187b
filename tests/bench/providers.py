"""
Time of other providers' objects, as ratios in one run: `python tests/bench/providers.py [--batches N] [--rounds N]`.

For each provider: the rate of an audit by rows, as a share of the rate of OpenAI's rows, and the time in which `observe`
takes an unchanged mapping, as a multiple of `json.loads` of its bytes. A log polls each batch four times: twice while
it runs, twice after its end. Medians of rounds in turns; nothing is asserted.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from timeit import timeit
from typing import Any, Final

HERE: Final = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1]))

from batchfsm import DIALECTS, Monitor, Report, audit  # noqa: E402
from bench.observe import COMPLETED, life  # noqa: E402  # A script finds its neighbours so.
from support.other_providers import ANTHROPIC, OBJECTS  # noqa: E402

BATCHES: Final = 500
ROUNDS: Final = 9
REPEATS: Final = 200
PEER: Final = "openai"
RUNNING: Final[dict[str, dict[str, Any]]] = {
    "anthropic": {
        "processing_status": "in_progress",
        "request_counts": ANTHROPIC["request_counts"],
        "cancel_initiated_at": None,
        "ended_at": None,
        "results_url": None,
    },
    "gemini": {
        "metadata.state": "BATCH_STATE_RUNNING",
        "metadata.endTime": None,
        "metadata.output": None,
        "done": False,
    },
    "bedrock": {"status": "InProgress", "endTime": None},
    "mistral": {"status": "RUNNING", "completed_at": None, "output_file": None},
    "fireworks": {"state": "JOB_STATE_RUNNING", "lifecycle.endTime": None},
    "together": {"status": "IN_PROGRESS", "completed_at": None},
    "vertex": {},
}
"""By path, the values of an object while its batch runs."""
ENDED: Final[dict[str, dict[str, Any]]] = {
    "bedrock": {"status": "Completed"},
    "mistral": {
        "status": "SUCCESS",
        "completed_at": 1732400400,
        "succeeded_requests": 99,
        "output_file": "file-1",
        "errors": [],
    },
    "together": {"status": "COMPLETED", "error": None},
    # Its steps are inferred, so that each move is a finding: its batches stay queued.
    "vertex": {"state": "JOB_STATE_QUEUED", "startTime": None},
}
"""By path, the values of an object after the end, of those that tests/support has in another status."""


def changed(found: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of an object with other values at some paths."""
    copied = copy.deepcopy(found)
    for path, value in values.items():
        *outer, last = path.split(".")
        holder = copied
        for key in outer:
            holder = holder[key]
        holder[last] = value
    return copied


def lives() -> dict[str, tuple[str, dict[str, Any], dict[str, Any]]]:
    """Return, by dialect, the path of the id, an object of a running batch, and one of the same batch after its end."""
    _, running, _, completed = life(COMPLETED)
    found = {PEER: ("id", running, completed)}
    for name, each in OBJECTS.items():
        id_path = DIALECTS[name].wire.fields["id"][0]
        ended = changed(each, ENDED.get(name, {}))
        found[name] = (id_path, changed(ended, RUNNING[name]), ended)
    return found


def log(id_path: str, running: dict[str, Any], ended: dict[str, Any], batches: int) -> list[dict[str, Any]]:
    """Return four snapshots of each of some batches, one batch after another."""
    rows = []
    for number in range(batches):
        ids = dict.fromkeys((id_path, *_other_ids(running)), f"{running[id_path]}-{number}")
        rows += [changed(each, ids) for each in (running, running, ended, ended)]
    return rows


def _other_ids(found: dict[str, Any]) -> list[str]:
    """Return the other paths of the id: Gemini's objects have it twice."""
    return ["metadata.name"] if "metadata.name" in {f"metadata.{key}" for key in found.get("metadata") or {}} else []


def audited(rows: list[dict[str, Any]], name: str) -> Callable[[], Report]:
    """Return a function that audits mappings row by row."""
    return lambda: audit(rows, dialect=name, engine="rows", max_findings=0)


def unchanged(row: dict[str, Any], name: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return a function that observes the same row each time, and one that decodes its JSON text."""
    monitor, text = Monitor(name), json.dumps(row)
    monitor.observe(row)
    return lambda: monitor.observe(row), lambda: json.loads(text)


def main(batches: int, rounds: int) -> None:
    """Print the table."""
    parts = lives()
    audits = {name: audited(log(*life_of, batches), name) for name, life_of in parts.items()}
    pairs = {name: unchanged(ended, name) for name, (_, _, ended) in parts.items()}
    reports = {name: audit_log() for name, audit_log in audits.items()}
    # A row that is not read would be fast, and a row with findings is slow.
    assert {(each.snapshots, each.verdict, sum(each.counts.values())) for each in reports.values()} == {
        (4 * batches, "consistent", 0)
    }
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name in parts:
            gc.collect()
            started = process_time()
            audits[name]()
            took = process_time() - started
            ours, theirs = (timeit(each, number=REPEATS, timer=process_time) for each in pairs[name])
            taken[name].append((took / (4 * batches), ours / REPEATS, theirs / REPEATS))
    print(f"{'':12}{'audit us':>10}{'x rate':>8}{'observe us':>12}{'loads us':>10}{'ratio':>7}")
    for name, times in taken.items():
        row, ours, theirs = (median(each) * 1e6 for each in zip(*times, strict=True))
        rate = median(peer[0] / each[0] for peer, each in zip(taken[PEER], times, strict=True))
        ratio = median(each[1] / each[2] for each in times)
        print(f"{name:12}{row:10.1f}{rate:8.2f}{ours:12.1f}{theirs:10.1f}{ratio:7.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--batches", type=int, default=BATCHES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    main(given.batches, given.rounds)
