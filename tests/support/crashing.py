"""
Pollers that can be killed: processes with a journal that observe made-up batches, and note what their hooks heard.

`PYTHONPATH=tests python -m support.crashing poll PLACE NOTES LAST` goes on where the journal says it was, until batch LAST has ended.
`PYTHONPATH=tests python -m support.crashing race PLACE NOTES SIDE` observes one batch for each number on its standard input.
`PYTHONPATH=tests python -m support.crashing defer PLACE NOTES LAST` observes batches whose hooks are procrastinate's jobs.
`PYTHONPATH=tests python -m support.crashing work PLACE NOTES 0` calls those hooks, as a worker.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import procrastinate

from batchfsm import JournalError, Monitor, Transition
from batchfsm.journal import ProcrastinateJournal, open_journal
from support.journals import DSN, server_or_skip
from support.notation import seen
from support.paths import TESTS

LIFE = seen("vpzc")
TARGETS = [row["status"] for row in LIFE]
HOOKS = ("collect", "bill")
WAIT_S_MAX = 120
TRIES_MAX = 100
AGAIN_S = 0.1
HEARTBEAT_S = 0.5


def batch_of(number: int) -> str:
    """Return the id of a batch."""
    return f"batch_{number:06d}"


def polls(number: int, side: str = "") -> list[dict[str, Any]]:
    """Return what a poller happens to see of a batch: some of its life, and always the end."""
    luck = random.Random(f"{number} {side}")  # noqa: S311  # The same batch looks the same after a restart.
    return [row | {"id": batch_of(number)} for row in LIFE[:-1] if luck.random() < 0.5] + [
        LIFE[-1] | {"id": batch_of(number)}
    ]


class Notes:
    """A file that hooks append to: one write a call, so that a killed process leaves whole lines."""

    def __init__(self, path: Path | str, *, tells: bool = False) -> None:
        """Open it; with `tells`, say on standard output when the first one comes."""
        self._tells = tells
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def hook(self, name: str) -> Any:
        """Return a hook that notes what it hears, under a name."""

        def note(transition: Transition) -> None:
            if self._tells:
                self._tells = False
                print("at it", flush=True)  # noqa: T201
            os.write(self._file, f"{name} {transition.key}\n".encode())

        return note


def monitor_on(journal: Any, notes: Notes, hooks: tuple[str, ...] = HOOKS) -> Monitor:
    """Return a monitor whose hooks take notes."""
    monitor = Monitor(journal=journal)
    for name in hooks:
        monitor.on(name=name)(notes.hook(name))
    return monitor


def poll(place: str, notes: str, last: int) -> None:
    """Go on where the journal says it was: first what is pending, then from the last batch that was seen."""
    with open_journal(place) as journal:
        monitor = monitor_on(journal, Notes(notes))
        print("ready", flush=True)  # noqa: T201  # Whoever kills it waits for this.
        tried(monitor.redeliver)
        for number in range(max(0, tried(monitor.__len__) - 1), last + 1):
            for row in polls(number):
                tried(partial(monitor.observe, row))


def tried(work: Any) -> Any:
    """Do what a poller does again when the journal was away: look again the next time."""
    for _ in range(TRIES_MAX):
        try:
            return work()
        except JournalError as error:
            last = error
            time.sleep(AGAIN_S)  # Between two polls.
    raise last


def defer(place: str, notes: str, last: int) -> None:
    """Observe all batches, whose hooks are jobs: this process calls none."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=place))
    with ProcrastinateJournal(place, app) as journal:
        monitor = monitor_on(journal, Notes(notes))
        print("ready", flush=True)  # noqa: T201
        for number in range(last + 1):
            for row in polls(number):
                monitor.observe(row)


def work(place: str, notes: str) -> None:
    """Call hooks as one of procrastinate's workers; end when its standard input has, and nothing is pending."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=place))
    asked = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), asked.set()), daemon=True).start()
    with ProcrastinateJournal(place, app) as journal:
        monitor_on(journal, Notes(notes, tells=True))

        async def run() -> None:
            """Work until nothing is left."""
            async with app.open_async():
                while not asked.is_set() or journal.pending():
                    await app.run_worker_async(
                        wait=False, install_signal_handlers=False, update_heartbeat_interval=HEARTBEAT_S
                    )

        print("ready", flush=True)  # noqa: T201
        asyncio.run(run())


def race(place: str, notes: str, side: str) -> None:
    """Observe a batch for each number that is asked for, as fast as may be."""
    with open_journal(place) as journal:
        monitor = monitor_on(journal, Notes(notes), HOOKS[:1])
        print("ready", flush=True)  # noqa: T201
        for line in sys.stdin:
            for row in polls(int(line), side):
                monitor.observe(row)
            print("done", flush=True)  # noqa: T201


# ---------------------------------------------------------------- from outside


@attrs.frozen(kw_only=True)
class FindingsAccumulator:
    """What became of all that should have been heard."""

    due: int
    """How many hooks had to be called: keys times hooks."""
    lost: int
    repeated: int
    """How many calls came once more, with a key that had been heard."""
    foreign: int
    """Calls with a key that no batch has."""
    disordered: int
    """Batches whose keys a hook heard for the first time in another order than they were entered."""
    rows: int
    """Keys in the journal."""
    pending: int


def started(*words: Any) -> subprocess.Popen[str]:
    """Start a poller and wait until its hooks are registered."""
    command = [sys.executable, "-m", "support.crashing", *map(str, words)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))}
    child = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert "ready\n" == child.stdout.readline()  # type: ignore[union-attr]
    return child


def ended(child: subprocess.Popen[str]) -> int:
    """Wait for the end of a poller, and return its exit status."""
    child.communicate(timeout=WAIT_S_MAX)
    return child.returncode


def killed_at_random(place: str, notes: Path, *, kills: int, last: int, wait_s_max: float, luck: random.Random) -> int:
    """Start a poller again and again and kill it, so many times; then let it end. Return how far it came."""
    for _ in range(kills):
        # As far as it comes until then; nobody knows beforehand how fast this machine is.
        child = started("poll", place, notes, 10**6)
        with child:
            try:
                child.wait(luck.uniform(0, wait_s_max))
            except subprocess.TimeoutExpired:
                child.kill()
        assert -9 == child.returncode, "it ended by itself"
    with open_journal(place) as journal:
        last = max(last, journal.count() - 1)
    assert 0 == ended(started("poll", place, notes, last))
    return last


def cut_at_random(place: str, notes: Path, *, last: int, wait_s_max: float, luck: random.Random) -> int:
    """Let the server end the connections of a poller until it has ended by itself; return how often it did."""
    psycopg, cuts = server_or_skip(), 0
    schema = place.rpartition("%3D")[2]
    with psycopg.connect(DSN, autocommit=True) as db, started("poll", place, notes, last) as child:
        while True:
            try:
                child.wait(luck.uniform(0, wait_s_max))
            except subprocess.TimeoutExpired:
                (cut,) = db.execute(
                    "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = %s) AS ended",
                    [schema],
                ).fetchone()
                cuts += cut
            else:
                assert 0 == child.returncode
                return cuts


def raced(place: str, notes: Path, rounds: int, *, sides: int = 2) -> None:
    """Let pollers observe the same batches at the same time."""
    pollers = [started("race", place, notes, side) for side in range(sides)]
    for number in range(rounds):
        for each in pollers:
            print(number, file=each.stdin, flush=True)
        assert ["done\n"] * sides == [each.stdout.readline() for each in pollers]  # type: ignore[union-attr]
    assert [0] * sides == [ended(each) for each in pollers]


def tally(place: str, notes: Path, last: int, hooks: tuple[str, ...] = HOOKS) -> FindingsAccumulator:
    """Compare what was heard with what should have been, over the batches up to the last."""
    at = dict(zip(TARGETS, (LIFE[-1][f"{name}_at"] for name in ("created", *TARGETS[1:])), strict=True))
    due = {
        f"{hook} {batch_of(number)}/{name}/{at[name]}"
        for number in range(last + 1)
        for name in TARGETS
        for hook in hooks
    }
    lines = notes.read_text().splitlines()
    heard, firsts = Counter(lines), defaultdict(list)
    for line in dict.fromkeys(lines):
        hook, _, key = line.partition(" ")
        batch_id, target, _ = key.split("/")
        firsts[hook, batch_id].append(target)
    with open_journal(place) as journal:
        rows = journal._run(lambda execute: execute("SELECT count(*) FROM batchfsm_transitions").fetchone()[0])
        pending = len(journal.pending()) + len(journal.pending(dead=True))
    return FindingsAccumulator(
        due=len(due),
        lost=len(due - heard.keys()),
        repeated=heard.total() - len(heard),
        foreign=len(heard.keys() - due),
        disordered=sum(TARGETS != targets for targets in firsts.values()),
        rows=rows,
        pending=pending,
    )


if __name__ == "__main__":
    what, place, notes, last = sys.argv[1:]
    if what == "poll":
        poll(place, notes, int(last))
    elif what == "race":
        race(place, notes, last)
    elif what == "defer":
        defer(place, notes, int(last))
    else:
        work(place, notes)
