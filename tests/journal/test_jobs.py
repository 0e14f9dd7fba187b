"""Hooks as procrastinate jobs: deferred in the transaction of their batch, and called by workers in order."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import procrastinate
import pytest
from procrastinate.exceptions import ConnectorException, TaskAlreadyRegistered
from procrastinate.jobs import Job
from procrastinate.testing import InMemoryConnector

from batchfsm import AsyncMonitor, JournalError, Monitor, Transition
from batchfsm.errors import MissingExtraError
from batchfsm.journal import TRIES_MAX, ProcrastinateJournal, postgres
from batchfsm.journal.procrastinate import TASK, _strategy
from support.crashes import HEARTBEAT_S, HOOKS, ended, started, tally
from support.journals import StandIn, drop, own_schema, server_or_skip, short
from support.notation import seen, snap

LIFE = seen("vpzc")


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Return a stand-in for psycopg that has the tables of procrastinate which the journal looks for."""
    driver = StandIn(tmp_path / "tables.db")
    with closing(sqlite3.connect(driver.path)) as db:
        db.execute("CREATE TABLE procrastinate_jobs (id)")
    monkeypatch.setattr(postgres, "import_psycopg", lambda: driver)
    return driver


@pytest.fixture
def app():
    """Return an app whose jobs are in memory."""
    return procrastinate.App(connector=InMemoryConnector())


@pytest.fixture
def journal(driver, app):
    """Return a journal that defers jobs to the app."""
    with ProcrastinateJournal("here", app) as journal:
        journal._deferring = app
        yield journal


def work(app: Any) -> None:
    """Let a worker run all jobs that are due."""

    async def run() -> None:
        """Run a worker until no job is due."""
        async with app.open_async():
            await app.run_worker_async(wait=False, listen_notify=False, install_signal_handlers=False)

    asyncio.run(run())


def jobs(app: Any) -> list[Any]:
    """Return the jobs in memory, in order."""
    return [app.connector.jobs[number] for number in sorted(app.connector.jobs)]


def test_hooks_are_jobs(journal, app):
    """`observe` calls no hook; each job has a batch as lock, the key and a hook's name; a worker keeps their order."""
    heard: list[Transition] = []
    monitor = Monitor(journal=journal)
    monitor.on(name="h")(heard.append)
    transitions = monitor.observe(LIFE[3]).transitions
    monitor.redeliver()
    assert [] == heard
    assert [
        {"batch_id": "batch_1", "key": transition.key, "hook": "h"} for transition in transitions
    ] == [job["args"] for job in jobs(app)]  # fmt: skip
    assert {("batch_1", "batchfsm", TASK)} == {(job["lock"], job["queue_name"], job["task_name"]) for job in jobs(app)}
    assert 4 == len(journal.pending())
    work(app)

    assert list(transitions) == heard
    assert [] == journal.pending()


def test_coroutine_hooks_are_awaited(journal, app):
    """The worker awaits them in its event loop."""
    heard, monitor = [], AsyncMonitor(journal=journal)

    @monitor.on("completed", name="h")
    async def hear(transition: Transition) -> None:
        """Record the transition after a yield."""
        await asyncio.sleep(0)
        heard.append(transition.target)

    assert 4 == len(asyncio.run(monitor.observe(LIFE[3])).transitions)
    work(app)

    assert ["completed"] == heard


def test_a_hook_that_raised_is_tried_again_by_procrastinate(journal, app):
    """Procrastinate sets the time of the next attempt; the journal has the error, too."""
    raises, heard = [ValueError("no room")], []
    monitor = Monitor(journal=journal)

    @monitor.on(name="h")
    def hear(transition: Transition) -> None:
        if raises:
            raise raises.pop()
        heard.append(transition.target)

    monitor.observe(LIFE[1])
    work(app)
    assert (["todo", "succeeded"], ["in_progress"]) == ([job["status"] for job in jobs(app)], heard)
    assert [("validating", "h", 1, "ValueError: no room")] == [
        (*each, row.error) for row in journal.pending() for each in short([row])
    ]
    jobs(app)[0]["scheduled_at"] = None  # Now the job is due.
    work(app)

    assert ["in_progress", "validating"] == heard
    assert [] == journal.pending()


def test_a_job_that_comes_again_calls_nothing(journal, app):
    """The hook has returned but its worker was killed before it could finish the job, or the batch was forgotten."""
    heard, monitor = [], Monitor(journal=journal)
    monitor.on(name="h")(lambda transition: heard.append(transition.target))
    monitor.observe(LIFE[0])
    work(app)
    jobs(app)[0]["status"] = "todo"
    work(app)
    monitor.observe(snap("vp"))
    monitor.forget("batch_1")
    work(app)

    assert ["validating"] == heard


def test_a_hook_that_a_worker_has_not_stays_pending(journal, app):
    """The hook may be registered on another machine or in a newer program; the error lists the known names."""
    monitor = Monitor(journal=journal)
    monitor.on(name="newer")(print)
    monitor.observe(LIFE[0])
    older = procrastinate.App(connector=app.connector)
    with ProcrastinateJournal("here", older) as elsewhere:
        Monitor(journal=elsewhere).on(name="h")(print)
        work(older)

    assert [("validating", "newer", 1)] == short(journal.pending())
    assert ["UnknownNameError: no hook is called 'newer'; known: h"] == [row.error for row in journal.pending()]


def test_a_journal_serves_one_monitor(journal):
    """Jobs have only the hook's name, and hooks of two monitors could have the same name."""
    Monitor(journal=journal)
    with pytest.raises(TaskAlreadyRegistered):
        Monitor(journal=journal)


def test_it_is_tried_as_often_and_as_late_as_redeliver_would():
    """It is tried ten times, and the wait doubles each time."""

    def wait_s(attempts: int) -> float | None:
        job = Job(id=1, lock=None, queueing_lock=None, task_name=TASK, queue="q", attempts=attempts)
        decision = _strategy(procrastinate).get_retry_decision(exception=ValueError(), job=job)
        return decision and round((decision.retry_at - datetime.now(UTC)).total_seconds(), -1)

    assert [10, 20, 2560, None] == [wait_s(attempts) for attempts in (0, 1, TRIES_MAX - 2, TRIES_MAX - 1)]


def test_a_connection_that_breaks_at_a_deferral_is_opened_anew(journal, driver):
    """The whole transaction is repeated, including the jobs."""

    class Breaking(InMemoryConnector):
        """A connector that loses its connection at the first deferral."""

        broke = False

        def execute_query_all_with_connection(self, connection: Any, query: str, **arguments: Any) -> Any:
            if not self.broke:
                self.broke = True
                connection.close()
                raise ConnectorException from sqlite3.OperationalError("server closed the connection")
            return super().execute_query_all_with_connection(connection, query, **arguments)

    app = journal._deferring = procrastinate.App(connector=Breaking())
    monitor = Monitor(journal=journal)
    monitor.on(name="h")(print)
    monitor.observe(LIFE[1])

    assert ["validating", "in_progress"] == [job["args"]["key"].split("/")[1] for job in jobs(app)]
    assert 2 == len(journal.pending())


def test_without_procrastinates_tables_it_says_what_to_do(tmp_path, monkeypatch, app):
    """The error names the command to run, and comes before the journal makes its own tables."""
    driver = StandIn(tmp_path / "tables.db")
    monkeypatch.setattr(postgres, "import_psycopg", lambda: driver)
    with pytest.raises(JournalError, match="procrastinate's tables are not there: `procrastinate schema --apply`"):
        ProcrastinateJournal("here", app)

    assert [] == [sql for sql in driver.said if "CREATE" in sql]


def test_without_procrastinate_the_error_says_what_to_install(monkeypatch, app):
    monkeypatch.setitem(sys.modules, "procrastinate", None)
    with pytest.raises(MissingExtraError, match=r"are procrastinate jobs needs .* 'batchfsm\[procrastinate\]'"):
        ProcrastinateJournal("here", app)


# ---------------------------------------------------------------- the real server


@pytest.fixture
def address():
    """Return the address of a new schema with procrastinate's tables."""
    psycopg = server_or_skip()
    schema, address = own_schema(psycopg)
    with procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=address)).open() as app:
        app.schema_manager.apply_schema()
    yield address
    drop(psycopg, schema)


@pytest.mark.server
def test_jobs_are_deferred_with_the_batch_or_not_at_all(address):
    """Batch and jobs are written in one transaction; a worker on the same database calls the hooks."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=address))
    heard: list[Transition] = []
    with ProcrastinateJournal(address, app) as journal:
        monitor = Monitor(journal=journal)

        @monitor.on("failed", name="refused")
        @monitor.on(name="h")
        def hear(transition: Transition) -> None:
            heard.append(transition)

        def deferred() -> int:
            return journal._run(lambda execute: execute("SELECT count(*) FROM procrastinate_jobs").fetchone()[0])

        transitions = monitor.observe(LIFE[3]).transitions
        assert 4 == deferred()
        journal._run(lambda execute: execute("ALTER TABLE procrastinate_jobs ADD CHECK (id < 6)"))
        with pytest.raises(JournalError, match="violates check constraint"):
            monitor.observe(snap("vx", id="batch_2"))
        assert (4, False) == (deferred(), "batch_2" in monitor)
        work(app)
        assert [] == journal.pending()

    assert list(transitions) == heard


@pytest.mark.server
def test_a_job_that_waits_for_its_next_try_holds_up_those_behind_it(address):
    """The job's lock delays later jobs of its batch, and none of other batches."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=address))
    raises, heard = [ValueError("no room")], []
    with ProcrastinateJournal(address, app) as journal:
        monitor = Monitor(journal=journal)

        @monitor.on(name="h")
        def hear(transition: Transition) -> None:
            if raises:
                raise raises.pop()
            heard.append(f"{transition.batch_id} {transition.target}")

        monitor.observe(LIFE[1])
        monitor.observe(LIFE[0] | {"id": "batch_2"})
        work(app)
        assert ["batch_2 validating"] == heard
        journal._run(lambda execute: execute("UPDATE procrastinate_jobs SET scheduled_at = now()"))
        work(app)

    assert ["batch_1 validating", "batch_1 in_progress"] == heard[1:]


def revived(address: str) -> int:
    """Retry the jobs of stalled workers, as procrastinate's manual describes; return their number."""

    async def retry() -> int:
        """Retry the stalled jobs."""
        async with procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=address)).open_async() as app:
            stalled = list(await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=HEARTBEAT_S * 4))
            for job in stalled:
                await app.job_manager.retry_job(job)
        return len(stalled)

    return asyncio.run(retry())


@pytest.mark.slow
@pytest.mark.server
def test_pollers_and_workers_on_several_machines_call_each_hook_in_one_order(address, tmp_path):
    """Two pollers observe the same batches, three workers share the jobs, one worker is killed: the order is kept."""
    notes, last = tmp_path / "notes", 30
    pollers = [started("defer", address, notes, last) for _ in range(2)]
    workers = [started("work", address, notes, 0) for _ in range(3)]
    assert "at it\n" == workers[0].stdout.readline()  # type: ignore[union-attr]
    workers[0].kill()
    workers[0].communicate()
    assert [0, 0] == [ended(poller) for poller in pollers]
    time.sleep(HEARTBEAT_S * 5)  # Until procrastinate counts the killed worker as stalled.
    revived(address)
    assert [0, 0] == [ended(worker) for worker in workers[1:]]
    found = tally(address, notes, last)

    assert (0, 0, 0, 0) == (found.lost, found.foreign, found.disordered, found.pending)
    assert found.rows == found.due / len(HOOKS)
    assert found.repeated <= 1
