"""The journal in PostgreSQL whose hooks run as jobs of procrastinate, on any number of machines."""

from __future__ import annotations

import asyncio
from inspect import isawaitable
from types import ModuleType
from typing import Any, Final

import attrs

from batchfsm.errors import JournalError, needs_extra
from batchfsm.journal.postgres import PostgresJournal
from batchfsm.journal.protocol import BatchUpdate, DeliveryOutcome, HookCall, OutboxEntry, PendingDelivery
from batchfsm.journal.retry import TRIES_MAX, RetryState, backoff_s, error_text
from batchfsm.journal.sql import Execute

TASK: Final = "batchfsm.call"
"""The name of the one task of all hooks in procrastinate."""


class ProcrastinateJournal(PostgresJournal):
    """
    A journal in PostgreSQL whose hooks on transitions run as procrastinate jobs.

    `observe` calls none of them: it defers a job for each, in the transaction that writes the batch. The lock of a job
    is the id of its batch, so the jobs of one batch run one after another, in order, on any machine; a job that waits
    for its next try delays those after it. The arguments are `batch_id`, `key` and `hook`. The transition, with its
    snapshot, stays in the journal until the hook has returned. The program of the workers must build the same monitor.

    Args:
        dsn: The address, as for `PostgresJournal`; procrastinate's tables must be there too.
        app: The `procrastinate.App` whose workers call the hooks.
        queue: The queue of the jobs.
        retry: The retry strategy of jobs whose hooks raise, as procrastinate takes it; None for that of `redeliver`.
        timeout_s: How long to wait for a connection, and for a statement; seconds.

    Raises:
        MissingExtraError: If procrastinate is not installed: `batchfsm[procrastinate]`.
        JournalError: If the server cannot be reached, procrastinate's tables are missing, or a newer batchfsm made
            the journal's tables.
    """

    is_remote = True

    def __init__(
        self, dsn: str, app: Any, *, queue: str = "batchfsm", retry: Any = None, timeout_s: float = 10.0
    ) -> None:
        self._procrastinate = import_procrastinate()
        # The connector is never opened: jobs are deferred by the journal's own connection.
        self._deferring = self._procrastinate.App(connector=self._procrastinate.SyncPsycopgConnector())
        self._app, self._queue_name, self._retry = app, queue, retry
        super().__init__(dsn, timeout_s=timeout_s)

    def register_owner(self, call: HookCall) -> str:
        """Register the hooks of the one monitor with the workers of this process; return its name."""
        retry = _strategy(self._procrastinate) if self._retry is None else self._retry

        async def run(batch_id: str, key: str, hook: str) -> None:
            """Call one hook with one transition."""
            await self._call(call, batch_id, key, hook)

        self._app.task(name=TASK, queue=self._queue_name, retry=retry)(run)
        return super().register_owner(call)

    def _prepare(self, execute: Execute) -> None:
        if execute("SELECT to_regclass(?)", "procrastinate_jobs").fetchone() == (None,):
            raise JournalError(self.name, "procrastinate's tables are not there: `procrastinate schema --apply`")
        super()._prepare(execute)

    def _insert_deliveries(self, execute: Execute, change: BatchUpdate, entry: OutboxEntry) -> None:
        super()._insert_deliveries(execute, change, entry)
        words = {"lock": change.batch_id, "queue": self._queue_name, "connection": self._db}
        for hook in entry.hooks:
            job = self._deferring.configure_task(TASK, **words)
            try:
                job.defer(batch_id=change.batch_id, key=entry.transition.key, hook=hook)
            except self._procrastinate.exceptions.ConnectorException as error:
                raise error.__cause__ or error from None  # An error of psycopg: a broken connection is replaced.

    def _is_dead(self, retry: RetryState) -> bool:  # noqa: ARG002  # Only procrastinate knows, by `retry`.
        return False

    async def _call(self, call: HookCall, batch_id: str, key: str, hook: str) -> None:
        row = await asyncio.to_thread(self._row, batch_id, key, hook)
        if row is None:
            return  # The hook returned before the worker was killed, or the batch was forgotten.
        outcome = DeliveryOutcome(batch_id=batch_id, key=key, hook=hook)
        try:
            answer = await asyncio.to_thread(call, hook, row.transition)
            if isawaitable(answer):
                await answer
        except Exception as error:
            failed = attrs.evolve(outcome, error=error_text(error), retry=RetryState(row.retry.tries + 1))
            await asyncio.to_thread(self.record, failed)
            raise
        await asyncio.to_thread(self.record, outcome)

    def _row(self, batch_id: str, key: str, hook: str) -> PendingDelivery | None:
        return next((row for row in self.pending_of(batch_id) if (row.transition.key, row.hook) == (key, hook)), None)


def import_procrastinate() -> ModuleType:
    """
    Return the module procrastinate.

    Raises:
        MissingExtraError: If it is not installed.
    """
    with needs_extra("a journal whose hooks are procrastinate jobs", "procrastinate"):
        import procrastinate  # noqa: PLC0415  # An extra, loaded when it is needed.
        import procrastinate.exceptions  # noqa: PLC0415
    return procrastinate


def _strategy(procrastinate: Any) -> Any:
    """Return a retry strategy for procrastinate that equals the back-off of `redeliver`."""

    class Backoff(procrastinate.BaseRetryStrategy):  # type: ignore[misc]
        """Delays that double up to an hour; ten tries."""

        def get_retry_decision(self, *, exception: BaseException, job: Any) -> Any:  # noqa: ARG002  # Its words.
            tries = job.attempts + 1
            if tries >= TRIES_MAX:
                return None
            return procrastinate.RetryDecision(retry_in={"seconds": round(backoff_s(tries))})

    return Backoff()
