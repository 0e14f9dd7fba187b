"""Monitors with a journal in a process that forks: parent and child are separate owners."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from batchfsm import AsyncMonitor, HookError, Monitor, SQLiteJournal
from batchfsm.journal import open_journal
from support.journals import journal_place
from support.notation import seen

LIFE = seen("vpzc")
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.server)])
def place(request, tmp_path):
    """Return a place for a journal in each database."""
    with journal_place(request.param, tmp_path) as found:
        yield found


@contextmanager
def in_both(result: list[int]) -> Any:
    """Run the block in a forked child and in this process; the child then exits, with status 1 after an error."""
    pid = os.fork()
    status = 1
    try:
        yield
        status = 0
    finally:
        if not pid:
            os._exit(status)
        result.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def test_each_key_is_heard_by_parent_or_child(place, tmp_path):
    """Parent and child observe the same batches with the monitor made before the fork."""
    notes, ended = os.open(tmp_path / "notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT), []
    with open_journal(place) as journal:
        monitor = Monitor(journal=journal)
        monitor.on(name="h")(lambda transition: os.write(notes, f"{transition.key}\n".encode()))
        for row in LIFE:
            monitor.observe(row | {"id": "batch_before"})
        monitor.observe(LIFE[0] | {"id": "batch_0"})
        with in_both(ended):
            for number in range(12):
                for row in LIFE:
                    monitor.observe(row | {"id": f"batch_{number}"})
            monitor.redeliver()
        monitor.redeliver()
        assert ([0], []) == (ended, journal.pending())
    os.close(notes)
    heard = Counter((tmp_path / "notes").read_text().splitlines())

    assert (13 * 4, {1}) == (len(heard), set(heard.values()))


def test_a_fork_in_a_hook_leaves_the_rest_to_the_parent(tmp_path):
    """The child returns from the running hook, too, but calls no other hook."""
    notes, ended, forks = tmp_path / "notes", [], []
    with SQLiteJournal(tmp_path / "j.db") as journal:
        monitor = Monitor(journal=journal)

        @monitor.on("in_progress", name="forks")
        def fork(_: object) -> None:
            forks.append(os.fork())

        @monitor.on(name="note")
        def note(transition: Any) -> None:
            with notes.open("a") as file:
                file.write(f"{transition.target}\n")

        status = 1
        try:
            monitor.observe(LIFE[-1])
            status = 0
        finally:
            if forks == [0]:
                os._exit(status)
        ended.append(os.waitstatus_to_exitcode(os.waitpid(forks[0], 0)[1]))
        assert ([0], []) == (ended, journal.pending())

    assert [row["status"] for row in LIFE] == notes.read_text().splitlines()


def test_a_child_begins_anew_from_the_journal(tmp_path):
    """Calls only the fork handlers: the parent keeps leases and failed hooks, and the child loads records again."""
    with SQLiteJournal(tmp_path / "j.db") as journal:
        monitor = Monitor(journal=journal)

        @monitor.on_finding
        @monitor.on("validating", name="h")
        def fail(_: object) -> None:
            raise OSError

        with suppress(HookError):
            monitor.observe(LIFE[1] | {"output_file_id": "file-early"})
        journal.before_fork()
        journal.after_fork_in_child()
        monitor._store.after_fork_in_child()

        assert ({}, {}) == (monitor._store._memory.records, monitor._store._memory.outboxes)
        assert "in_progress" == monitor["batch_1"].status
        assert [1] == [row.retry.tries for row in journal.pending()]


def test_a_hook_that_returns_in_the_child_writes_no_outcome(tmp_path):
    """The fork handlers run inside the hook, as in a child: the delivery stays pending for the parent."""
    with SQLiteJournal(tmp_path / "j.db") as journal:
        monitor = Monitor(journal=journal)

        @monitor.on(name="h")
        def become_child(_: object) -> None:
            journal.before_fork()
            journal.after_fork_in_child()
            monitor._store.after_fork_in_child()

        monitor.observe(LIFE[0])

        assert ["h"] == [row.hook for row in journal.pending()]


@pytest.mark.parametrize("journaled", [True, False])
def test_an_async_monitor_has_a_new_thread_after_a_fork(tmp_path, journaled):
    """Without a journal the monitor has no thread."""
    heard: list[str] = []
    with SQLiteJournal(tmp_path / "j.db") as journal:
        monitor = AsyncMonitor(journal=journal if journaled else None)
        monitor.on(name="h")(lambda transition: heard.append(transition.target))
        asyncio.run(monitor.observe(LIFE[0]))
        thread = monitor._dispatcher._thread
        monitor._dispatcher.after_fork_in_child()
        asyncio.run(monitor.observe(LIFE[1]))

        assert (not journaled, ["validating", "in_progress"]) == (monitor._dispatcher._thread is thread, heard)
