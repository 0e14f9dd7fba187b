"""
Lost, repeated and misordered hooks after faults: `python tests/bench/faults.py [kills] [batches] [rounds] [directory]`.

Pollers are killed (SIGKILL) at random moments, repeatedly, until at least that many batches have ended; four pollers
race for the same batches; the server cuts the connections of a poller to PostgreSQL. The table counts hooks that were
not called, calls that were repeated, and batches whose hooks were called in another order than that of their
transitions. PostgreSQL is measured if BATCHFSM_POSTGRES has its address, in schemas that are dropped at the end. Only
the exit statuses of the pollers are asserted.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.crashes import HOOKS, cut_at_random, killed_at_random, raced, tally
from support.journals import journal_place

KILLS, BATCHES, ROUNDS = 200, 2_500, 1_000
KILL_S_MAX, CUT_S_MAX, POLLERS = 1.5, 0.2, 4
SEED = 20261125


def line(what: str, store: str, faults: int, found: object, begun: float) -> None:
    """Print a line of the table."""
    parts = [getattr(found, name) for name in ("rows", "due", "lost", "repeated", "foreign", "disordered", "pending")]
    print(
        f"{what:24}{store:11}{faults:7}" + "".join(f"{part:11,}" for part in parts) + f"{perf_counter() - begun:8.0f}"
    )


def main(kills: int, batches: int, rounds: int, directory: str | None) -> None:
    """Print the table."""
    names = ("faults", "entries", "calls due", "lost", "repeated", "foreign", "disordered", "pending", "s")
    print(f"{'':24}{'':11}{names[0]:>7}" + "".join(f"{name:>11}" for name in names[1:-1]) + f"{names[-1]:>8}")
    stores = {"sqlite": "SQLite"} | ({"postgres": "PostgreSQL"} if "BATCHFSM_POSTGRES" in os.environ else {})
    with tempfile.TemporaryDirectory(dir=directory) as here:
        for kind, store in stores.items():
            folder, luck = Path(here), random.Random(SEED)  # noqa: S311
            notes = [folder / f"{store}-{number}" for number in range(3)]
            with journal_place(kind, folder, "killed") as where:
                begun = perf_counter()
                last = killed_at_random(
                    where, notes[0], kills=kills, last=batches - 1, wait_s_max=KILL_S_MAX, luck=luck
                )
                line("killed", store, kills, tally(where, notes[0], last), begun)
            with journal_place(kind, folder, "raced") as where:
                begun = perf_counter()
                raced(where, notes[1], rounds, sides=POLLERS)
                line("four on one batch", store, rounds, tally(where, notes[1], rounds - 1, HOOKS[:1]), begun)
            if kind == "postgres":
                with journal_place(kind, folder, "cut") as where:
                    begun = perf_counter()
                    cuts = cut_at_random(where, notes[2], last=batches - 1, wait_s_max=CUT_S_MAX, luck=luck)
                    line("connection cut", store, cuts, tally(where, notes[2], batches - 1), begun)


if __name__ == "__main__":
    given = sys.argv[1:]
    numbers = [int(word) for word in given[:3]]
    main(*numbers, *(KILLS, BATCHES, ROUNDS)[len(numbers) :], given[3] if len(given) > 3 else None)
