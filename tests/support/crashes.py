"""
Pollers that can be killed: processes with a journal that observe made-up batches and note the calls of their hooks.

`PYTHONPATH=tests python -m support.crashes poll PLACE NOTES LAST` continues the journal until batch LAST has ended.
`PYTHONPATH=tests python -m support.crashes race PLACE NOTES SIDE` observes a batch for each number on standard input.
`PYTHONPATH=tests python -m support.crashes defer PLACE NOTES LAST` observes batches with hooks as procrastinate jobs.
`PYTHONPATH=tests python -m support.crashes work PLACE NOTES 0` calls those hooks as a worker.
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
    """Return the rows of a batch that a poller observes: some of its life, and always the end."""
    luck = random.Random(f"{number} {side}")  # noqa: S311  # A batch has the same rows after a restart.
    return [row | {"id": batch_of(number)} for row in LIFE[:-1] if luck.random() < 0.5] + [
        LIFE[-1] | {"id": batch_of(number)}
    ]


class Notes:
    """A file that hooks append to with one write a call, so that a killed process leaves complete lines."""

    def __init__(self, path: Path | str, *, tells: bool = False) -> None:
        """Open the file; with `tells`, print a line at the first note."""
        self._tells = tells
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def hook(self, name: str) -> Any:
        """Return a hook that writes its name and the key of each transition."""

        def note(transition: Transition) -> None:
            if self._tells:
                self._tells = False
                print("at it", flush=True)  # noqa: T201
            os.write(self._file, f"{name} {transition.key}\n".encode())

        return note


def monitor_on(journal: Any, notes: Notes, hooks: tuple[str, ...] = HOOKS) -> Monitor:
    """Return a monitor whose hooks write notes."""
    monitor = Monitor(journal=journal)
    for name in hooks:
        monitor.on(name=name)(notes.hook(name))
    return monitor


def poll(place: str, notes: str, last: int) -> None:
    """Continue from the journal: first the pending hooks, then the batches from the last one observed."""
    with open_journal(place) as journal:
        monitor = monitor_on(journal, Notes(notes))
        print("ready", flush=True)  # noqa: T201  # The parent process waits for this line.
        tried(monitor.redeliver)
        for number in range(max(0, tried(monitor.__len__) - 1), last + 1):
            for row in polls(number):
                tried(partial(monitor.observe, row))


def tried(work: Any) -> Any:
    """Return the result of `work`; repeat it while the journal is unavailable."""
    for _ in range(TRIES_MAX):
        try:
            return work()
        except JournalError as error:
            last = error
            time.sleep(AGAIN_S)  # Between two polls.
    raise last


def defer(place: str, notes: str, last: int) -> None:
    """Observe all batches; their hooks are jobs, and this process calls none."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=place))
    with ProcrastinateJournal(place, app) as journal:
        monitor = monitor_on(journal, Notes(notes))
        print("ready", flush=True)  # noqa: T201
        for number in range(last + 1):
            for row in polls(number):
                monitor.observe(row)


def work(place: str, notes: str) -> None:
    """Run hooks as a procrastinate worker, until standard input is closed and no hook is pending."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=place))
    asked = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), asked.set()), daemon=True).start()
    with ProcrastinateJournal(place, app) as journal:
        monitor_on(journal, Notes(notes, tells=True))

        async def run() -> None:
            """Run the worker until standard input is closed and no hook is pending."""
            async with app.open_async():
                while not asked.is_set() or journal.pending():
                    await app.run_worker_async(
                        wait=False, install_signal_handlers=False, update_heartbeat_interval=HEARTBEAT_S
                    )

        print("ready", flush=True)  # noqa: T201
        asyncio.run(run())


def race(place: str, notes: str, side: str) -> None:
    """Observe a batch for each number on standard input, without a delay."""
    with open_journal(place) as journal:
        monitor = monitor_on(journal, Notes(notes), HOOKS[:1])
        print("ready", flush=True)  # noqa: T201
        for line in sys.stdin:
            for row in polls(int(line), side):
                monitor.observe(row)
            print("done", flush=True)  # noqa: T201


# ---------------------------------------------------------------- functions of the tests


@attrs.frozen(kw_only=True)
class FindingsAccumulator:
    """Numbers of hook calls: due, lost, repeated and in disorder."""

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
    """Start a poller, wait until its hooks are registered, and return its process."""
    command = [sys.executable, "-m", "support.crashes", *map(str, words)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))}
    child = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert "ready\n" == child.stdout.readline()  # type: ignore[union-attr]
    return child


def ended(child: subprocess.Popen[str]) -> int:
    """Wait for the end of a poller; return its exit status."""
    child.communicate(timeout=WAIT_S_MAX)
    return child.returncode


def killed_at_random(place: str, notes: Path, *, kills: int, last: int, wait_s_max: float, luck: random.Random) -> int:
    """Start and kill a poller `kills` times, then let it end; return the number of the last batch."""
    for _ in range(kills):
        # The speed of the machine decides how far it comes.
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
    """Let the server end the connections of a poller until the poller ends; return how many it ended."""
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
    """Let `sides` pollers observe the same batches at the same time."""
    pollers = [started("race", place, notes, side) for side in range(sides)]
    for number in range(rounds):
        for each in pollers:
            print(number, file=each.stdin, flush=True)
        assert ["done\n"] * sides == [each.stdout.readline() for each in pollers]  # type: ignore[union-attr]
    assert [0] * sides == [ended(each) for each in pollers]


def tally(place: str, notes: Path, last: int, hooks: tuple[str, ...] = HOOKS) -> FindingsAccumulator:
    """Return the numbers of due, lost and repeated hook calls for the batches up to `last`."""
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
