"""
Requests and lag of schedules: `python tests/bench/schedules.py [--plot FILE.svg]`.

The simulation uses the times of real batches, which are read from `BATCHFSM_SHARED`. `watch` itself is run, on a
virtual clock; its peers are computed. All batches of a group are created at once, and the first poll is at that moment.
A request takes no time, and none fails. Random numbers are seeded, so each run prints the same table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from statistics import mean, median
from typing import Any

import attrs

from batchfsm import Schedule, watch

ROOT = Path(__file__).parents[2]
CORPUS = Path(os.environ.get("BATCHFSM_SHARED", ROOT / "../shared")) / "data" / "observed_snapshots.jsonl"
BORN_AT = 1_760_000_000
STAMPS = ("in_progress_at", "finalizing_at", "completed_at")
GROUPS = (1, 10, 100, 10_000)

Stamps = tuple[int, int, int]
"""When a batch began to run, to finalize, and was completed; seconds since it was created."""


@attrs.frozen
class Cost:
    """The cost of watching one batch to its end."""

    requests: float
    """How many requests it took; its share of those that were for many."""
    lag_s: float
    """How long after its end that was seen."""
    age_s: int
    """How old it was at its end."""


# ---------------------------------------------------------------- recorded batches


def lives(corpus: Path) -> list[Stamps]:
    """Return the stamps of each completed batch of OpenAI, once."""
    found: dict[str, Stamps] = {}
    with corpus.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            batch = row["snapshot"]
            if (row["kind"], row["provider"], batch.get("status")) != ("real", "openai", "completed"):
                continue
            at = [batch.get(name) for name in ("created_at", *STAMPS)]
            if all(type(each) is int for each in at):
                found[batch["id"]] = (at[1] - at[0], at[2] - at[0], at[3] - at[0])
    return list(found.values())


class Server:
    """A server that responds as OpenAI's does, on a virtual clock, and counts requests."""

    def __init__(self, group: list[Stamps]) -> None:
        """Create all batches at the same time."""
        self.now = float(BORN_AT)
        self.requests = 0
        self._lives = {f"batch_{number}": stamps for number, stamps in enumerate(group)}
        self._ids = list(self._lives)
        self._made: dict[tuple[str, int], dict[str, Any]] = {}
        self.batches = self  # The attribute of a client.

    def retrieve(self, batch_id: str) -> dict[str, Any]:
        """Return one batch."""
        self.requests += 1
        return self._seen(batch_id)

    def list(self, limit: int, after: str | None = None) -> dict[str, Any]:
        """Return a page; all batches were created in the same second, so any order is newest first."""
        self.requests += 1
        begin = 0 if after is None else int(after.removeprefix("batch_")) + 1
        page = self._ids[begin : begin + limit]
        return {"data": [self._seen(each) for each in page], "has_more": begin + limit < len(self._ids)}

    def _seen(self, batch_id: str) -> dict[str, Any]:
        stamps = self._lives[batch_id]
        entered = sum(BORN_AT + second <= self.now for second in stamps)
        if (batch_id, entered) not in self._made:
            at = {name: BORN_AT + second for name, second in zip(STAMPS, stamps[:entered], strict=False)}
            status = ("validating", "in_progress", "finalizing", "completed")[entered]
            self._made[batch_id, entered] = {"id": batch_id, "status": status, "created_at": BORN_AT} | at
        return self._made[batch_id, entered]

    def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += seconds


def watched(group: list[Stamps], chance: Random) -> list[Cost]:
    """Watch a group with `watch` and its default schedule; return the cost of each batch."""
    server = Server(group)
    ids = [f"batch_{number}" for number in range(len(group))]
    schedule = Schedule(random=chance.random)
    ended: dict[str, float] = {}
    for transition in watch(server, *ids, schedule=schedule, clock=lambda: server.now, sleep=server.sleep):
        if transition.terminal:
            ended[transition.batch_id] = server.now - BORN_AT
    share = server.requests / len(group)
    return [Cost(share, ended[each] - stamps[-1], stamps[-1]) for each, stamps in zip(ids, group, strict=True)]


# ---------------------------------------------------------------- peers


def polled(delays: Callable[[], Iterator[float]]) -> Callable[[Stamps], Cost]:
    """Return a function that polls a batch at once, and then after each delay until it has ended."""

    def poll(stamps: Stamps) -> Cost:
        now, requests, waits = 0.0, 1, delays()
        while now < stamps[-1]:
            now += next(waits)
            requests += 1
        return Cost(requests, now - stamps[-1], stamps[-1])

    return poll


def fixed(delay_s: float) -> Iterator[float]:
    """Yield the same delay each time."""
    while True:
        yield delay_s


def backing_off(factor: float, delay_s_max: float) -> Iterator[float]:
    """Yield a delay of a second, multiplied by a factor each time up to a bound."""
    delay_s = 1.0
    while True:
        yield delay_s
        delay_s = min(delay_s * factor, delay_s_max)


PEERS = {
    "every 10 s": polled(lambda: fixed(10)),
    "every 60 s": polled(lambda: fixed(60)),
    "× 1.5, up to 60 s": polled(lambda: backing_off(1.5, 60)),
    "× 2, up to 600 s": polled(lambda: backing_off(2, 600)),
}


# ---------------------------------------------------------------- the table


def groups(found: list[Stamps], number: int, chance: Random) -> list[list[Stamps]]:
    """Return groups of that many batches, each batch once; a larger group than there are batches repeats them."""
    drawn = chance.sample(found, len(found))
    if number > len(drawn):
        return [(drawn * (number // len(drawn) + 1))[:number]]
    return [drawn[begin : begin + number] for begin in range(0, len(drawn) - number + 1, number)]


def row(name: str, costs: list[Cost], base: float) -> tuple[str, ...]:
    """Return a line of the table."""
    lags = sorted(cost.lag_s for cost in costs)
    requests = mean(cost.requests for cost in costs)
    return (
        name,
        f"{len(costs):,}",
        f"{requests:,.1f}",
        f"{median(cost.requests for cost in costs):,.1f}",
        f"{requests / base:.3f}",
        f"{mean(lags):.1f}",
        f"{lags[int(0.95 * len(lags))]:.1f}",
        f"{mean(lags) / mean(cost.age_s for cost in costs):.3f}",
    )


HEAD = (
    "schedule",
    "lives",
    "requests a batch",
    "median",
    "× every 10 s",
    "mean lag, s",
    "95th percentile, s",
    "lag / age",
)


def main() -> None:
    """Print the table; draw it if requested."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path, help="also draw requests against lag, as SVG; needs matplotlib")
    wanted = parser.parse_args()
    if not CORPUS.exists():
        sys.exit(f"{CORPUS} is not there; BATCHFSM_SHARED says where else to look")
    found = lives(CORPUS)
    ages = sorted(stamps[-1] for stamps in found)
    costs = {name: list(map(poll, found)) for name, poll in PEERS.items()}
    for number in GROUPS:
        chance = Random(number)  # noqa: S311  # The same each time.
        name = "watch, one by one" if number == 1 else f"watch, {number:,} at once"
        costs[name] = [cost for group in groups(found, number, chance) for cost in watched(group, chance)]
    base = mean(cost.requests for cost in costs["every 10 s"])
    rows = [HEAD, ("---",) * len(HEAD), *(row(name, each, base) for name, each in costs.items())]
    print(
        f"{len(found)} completed batches: median {median(ages):,} s, mean {mean(ages):,.0f} s, longest {ages[-1]:,} s\n"
    )
    print("\n".join("| " + " | ".join(cells) + " |" for cells in rows))
    if wanted.plot is not None:
        draw(costs, wanted.plot)


def draw(costs: dict[str, list[Cost]], path: Path) -> None:
    """Draw requests for each batch against the mean lag, both on logarithmic axes."""
    import matplotlib as mpl  # noqa: PLC0415  # Only whoever draws needs it.
    from matplotlib.figure import Figure  # noqa: PLC0415

    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "batchfsm", "font.family": "sans-serif"}
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, (name, each) in enumerate(costs.items()):
        x, y = mean(cost.requests for cost in each), mean(cost.lag_s for cost in each)
        axes.plot(x, y, "o", color="tab:blue" if name.startswith("watch") else "tab:gray")
        axes.annotate(name, (x, y), xytext=(7, -13 if number % 2 else 4), textcoords="offset points", fontsize=9)
    axes.set(xscale="log", yscale="log", xlabel="requests a batch", ylabel="mean lag of the end, seconds")
    axes.margins(x=0.3, y=0.15)
    axes.grid(visible=True, which="major", alpha=0.3)
    figure.savefig(path, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
