"""
Faults: killed pollers, races, full disks, unwritable files, cut connections, clocks that are set.

`python tests/bench/faults.py` repeats the faults of pollers on a larger scale, and prints figures.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from threading import Barrier, Thread

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchfsm import HookError, JournalError, Monitor, SQLiteJournal, Transition
from batchfsm.journal import open_journal
from support.crashes import HOOKS, cut_at_random, ended, killed_at_random, raced, started, tally
from support.journals import Desk, change, drop, journal_place, own_schema, server_or_skip, transitions, unheard
from support.notation import CREATED, seen, snap
from support.paths import TESTS
from support.poller import Poller

LIFE = seen("vpzc")
(BORN,) = transitions(snap("v"))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.server)])
def place(request, tmp_path):
    """Return a place for a journal in each database."""
    with journal_place(request.param, tmp_path) as found:
        yield found


# ---------------------------------------------------------------- killed and racing pollers


@pytest.mark.slow
def test_killed_pollers_lose_nothing(place, tmp_path):
    """Each hook is called for each key of each batch, in order; a repeated call has the same key."""
    luck = random.Random(7)  # noqa: S311
    last = killed_at_random(place, tmp_path / "notes", kills=10, last=20, wait_s_max=0.5, luck=luck)
    found = tally(place, tmp_path / "notes", last)

    assert (0, 0, 0, 0) == (found.lost, found.foreign, found.disordered, found.pending)
    assert found.rows == found.due / len(HOOKS)
    assert found.repeated <= 10 * len(HOOKS)


@pytest.mark.slow
def test_two_pollers_on_one_batch_call_each_hook_once(place, tmp_path):
    """The poller that observes a status first calls its hooks; each key has one row."""
    raced(place, tmp_path / "notes", 40)
    found = tally(place, tmp_path / "notes", 39, HOOKS[:1])

    assert (160, 160, 0, 0, 0) == (found.rows, found.due, found.lost, found.repeated, found.pending)


@pytest.mark.slow
@pytest.mark.server
def test_a_poller_whose_connection_is_cut_again_and_again_goes_on(tmp_path):
    """The poller ends without an error, and each hook is called once for each key."""
    psycopg = server_or_skip()
    schema, address = own_schema(psycopg)
    cuts = cut_at_random(address, tmp_path / "notes", last=60, wait_s_max=0.3, luck=random.Random(7))  # noqa: S311
    found = tally(address, tmp_path / "notes", 60)
    drop(psycopg, schema)

    assert (0, 0, 0) == (found.lost, found.repeated, found.pending)
    assert cuts


@pytest.fixture
def server():
    """Return a PostgreSQL server that can be restarted: a function that runs `pg_ctl`, the address and its options."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not found:
        pytest.skip("there is no pg_ctl below /usr/lib/postgresql to start a PostgreSQL with")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        as_somebody = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root.
            shutil.chown(folder, "postgres")
            as_somebody = ["runuser", "-u", "postgres", "--"]

        def control(*words: str) -> None:
            command = [*as_somebody, str(found[-1]), "--pgdata", f"{folder}/data", "--silent", "--wait", *words]
            subprocess.run(command, check=True, capture_output=True, timeout=60, cwd="/")

        control("initdb", "--options=--auth=trust --username=postgres --no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        control("start", f"--options={options}", f"--log={folder}/log")
        yield control, f"postgresql://postgres@127.0.0.1:{port}/postgres", f"--options={options}", f"--log={folder}/log"
        control("stop", "--mode=immediate")


@pytest.mark.slow
@pytest.mark.server
def test_a_server_that_is_restarted_in_mid_run_loses_nothing(server, tmp_path):
    """The server is shut down and crashes; the same poller continues, and calls each hook once for each key."""
    control, address, *words = server
    poller, notes = started("poll", address, tmp_path / "notes", 400), tmp_path / "notes"
    for number, mode in enumerate(("fast", "immediate", "fast"), 1):
        deadline = time.monotonic() + 60
        while len(notes.read_text().splitlines() if notes.exists() else []) < 200 * number:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        control("restart", f"--mode={mode}", *words)
    assert 0 == ended(poller)
    found = tally(address, notes, 400)

    assert (0, 0, 0, 0) == (found.lost, found.repeated, found.disordered, found.pending)


@pytest.mark.server
def test_of_two_who_claim_at_once_one_gets_it(tmp_path):
    """In PostgreSQL both may have read the delivery as free."""
    psycopg = server_or_skip()
    schema, address = own_schema(psycopg)
    desk, start, got = Desk(address), Barrier(2), []
    journals = [desk.open(), desk.open()]
    owners = [journal.register_owner(unheard) for journal in journals]

    def claim(side: int, name: str) -> None:
        start.wait(30)
        got.extend(journals[side].claim(name, owners[side], {"h"}, retry=True, now=None))

    for number in range(30):
        name = f"batch_{number}"
        journals[0].commit(attrs.evolve(change(owners[0], (BORN, ("h",))), batch_id=name))
        journals[0].release_leases(name, owners[0])
        threads = [Thread(target=claim, args=(side, name)) for side in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    desk.close()
    drop(psycopg, schema)

    assert 30 == len(got)


# ---------------------------------------------------------------- disks and files


def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path):
    """Batches written before the disk was full are stored; when there is space again, the others follow once."""
    with SQLiteJournal(tmp_path / "journal.db") as journal:
        db = journal._db
        poller = Poller(journal)
        assert poller.polled(0)
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0] + 2}")
        came = [poller.polled(number) for number in range(1, 20)]
        assert not all(came)
        with pytest.raises(JournalError, match="database or disk is full"):
            poller.monitor.observe(LIFE[0] | {"id": "batch_20"})
        db.execute("PRAGMA max_page_count = 100000")
        poller.monitor.redeliver()
        assert all(poller.polled(number) for number in range(21))
        assert [] == journal.pending()

    assert ({1}, 84) == (set(Counter(poller.heard).values()), len(poller.heard))


FULL = """
import resource, signal, sys
from pathlib import Path
from support.poller import Poller
from batchfsm import SQLiteJournal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with SQLiteJournal(sys.argv[1]) as journal:
    poller = Poller(journal)
    assert poller.polled(0)
    size = max(path.stat().st_size for path in Path(sys.argv[1]).parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, resource.RLIM_INFINITY))
    came = [poller.polled(number) for number in range(1, 20)]
    assert not all(came), came
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    poller.monitor.redeliver()
    assert all(poller.polled(number) for number in range(20))
    assert not journal.pending()
print(len(poller.heard), len(set(poller.heard)))
"""

READ_ONLY = """
import os, sys
import encodings.idna
from support.poller import Poller
from batchfsm import JournalError, Monitor, SQLiteJournal
if os.geteuid() == 0:
    os.setuid(65534)  # Root may write what it likes.
try:
    print(Poller(SQLiteJournal(sys.argv[1])).polled(1))
except JournalError as error:
    print(error.problem)
"""


def scripted(script: str, path: Path) -> str:
    """Run a script in a new process and return its output."""
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)], cwd=TESTS, capture_output=True, text=True, timeout=60, check=False
    )
    assert 0 == ran.returncode, ran.stderr
    return ran.stdout.strip()


@pytest.mark.slow
def test_a_disk_that_takes_no_more_loses_nothing(tmp_path):
    """The operating system limits the size of the write-ahead log; without the limit all hooks are called once."""
    assert "80 80" == scripted(FULL, tmp_path / "journal.db")


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0o444, 0o000])
def test_a_file_that_may_not_be_written_is_an_error(mode):
    """The error is one line, and no hook is called."""
    with tempfile.TemporaryDirectory() as folder:  # Another user may not enter pytest's directory.
        path = Path(folder, "journal.db")
        SQLiteJournal(path).close()
        path.chmod(mode)
        Path(folder).chmod(0o555)
        said = scripted(READ_ONLY, path)
        Path(folder).chmod(0o755)

    assert said in {"attempt to write a readonly database", "unable to open database file"}


def test_a_journal_that_may_only_be_read_is_an_error(tmp_path):
    """The error has SQLite's message; the journal can still be read."""
    with SQLiteJournal(tmp_path / "journal.db") as journal:
        poller = Poller(journal)
        assert poller.polled(0)
        journal._db.execute("PRAGMA query_only = 1")
        with pytest.raises(JournalError, match="attempt to write a readonly database"):
            poller.monitor.observe(LIFE[0] | {"id": "batch_1"})
        assert "completed" == poller.monitor["batch_0"].status


def test_a_locked_journal_is_an_error_until_it_is_free(tmp_path):
    """The error names the cause and the time waited; when the lock is free, no hook is missing."""
    path = tmp_path / "journal.db"
    with SQLiteJournal(path, timeout_s=0.05) as journal, closing(sqlite3.connect(path, isolation_level=None)) as other:
        poller = Poller(journal)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match=r"another process has kept it locked for 0\.05 s"):
            poller.monitor.observe(LIFE[0] | {"id": "batch_0"})
        assert [] == poller.heard
        other.execute("ROLLBACK")
        assert poller.polled(0)

    assert 4 == len(poller.heard)


# ---------------------------------------------------------------- clocks

steps = st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans()), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(steps=steps, journaled=st.booleans())
def test_a_clock_that_is_stepped_back_and_forth_loses_nothing(tmp_path_factory, steps, journaled):
    """Each hook returns once for each key, and none waits for more than an hour of clock time."""
    journal = open_journal(str(tmp_path_factory.mktemp("desk") / "journal.db")) if journaled else None
    if journal is not None:
        journal._db.execute("PRAGMA synchronous = OFF")
    monitor, heard, fails = Monitor(journal=journal), [], [fail for _, fail in steps]

    @monitor.on(name="h")
    def hear(transition: Transition) -> None:
        if fails and fails.pop():
            raise ValueError
        heard.append(transition.key)

    now = CREATED + 2e6
    for number, (step, _) in enumerate(steps):
        now += step
        with suppress(HookError):
            monitor.observe(LIFE[min(number, 3)], observed_at=max(now, 1.0))
        with suppress(HookError):
            monitor.redeliver(now=now)
    fails.clear()
    monitor.redeliver(now=now + 3600)
    monitor.observe(LIFE[3])
    if journal is not None:
        assert [] == journal.pending()
        journal.close()

    assert sorted(transition.key for transition in transitions(*LIFE)) == sorted(heard)
