"""The journal in PostgreSQL whose hooks are called by procrastinate's workers, on any number of machines."""

from __future__ import annotations

import asyncio
from inspect import isawaitable
from types import ModuleType
from typing import Any, Final

import attrs

from batchfsm.errors import JournalError, needs_extra
from batchfsm.journal.postgres import PostgresJournal
from batchfsm.journal.protocol import BatchUpdate, Call, DeliveryOutcome, OutboxEntry, PendingDelivery
from batchfsm.journal.retry import TRIES_MAX, RetryState, backoff_s, error_text
from batchfsm.journal.sql import Execute

TASK: Final = "batchfsm.call"
"""The task under which procrastinate knows all hooks of all monitors."""


class ProcrastinateJournal(PostgresJournal):
    """
    A journal in PostgreSQL whose hooks on transitions run as procrastinate jobs.

    `observe` calls none of them: it defers a job for each, in the transaction that writes the batch. The lock of a job
    is the id of its batch, so one batch's jobs run one after another, in order, on whatever machine; a job that waits
    for its next try holds up those behind it. Its arguments are `batch_id`, `key` and `hook`; the transition, with its
    snapshot, stays in the journal until the hook has returned. Whoever runs the workers builds the same monitor.

    Args:
        dsn: Where it is, as for `PostgresJournal`; procrastinate's tables are there too.
        app: The `procrastinate.App` whose workers call the hooks.
        queue: In which queue the jobs are.
        retry: When a job whose hook raised is tried again, as procrastinate takes it; None for when `redeliver` would.
        timeout_s: How long to wait for a connection, and for a statement; seconds.

    Raises:
        MissingExtraError: If procrastinate is not installed: `batchfsm[procrastinate]`.
        JournalError: If the server cannot be reached, procrastinate's tables are not there, or a newer batchfsm made
            the journal's.
    """

    is_remote = True

    def __init__(
        self, dsn: str, app: Any, *, queue: str = "batchfsm", retry: Any = None, timeout_s: float = 10.0
    ) -> None:
        """Connect, and make the journal's tables or bring them up to date."""
        self._procrastinate = engine()
        # Jobs are deferred by the journal's own connection; this one is never opened.
        self._deferring = self._procrastinate.App(connector=self._procrastinate.SyncPsycopgConnector())
        self._app, self._queue_name, self._retry = app, queue, retry
        super().__init__(dsn, timeout_s=timeout_s)

    def enlist(self, call: Call) -> str:
        """Return a name for the one monitor, whose hooks the workers of this process call from now on."""
        retry = _strategy(self._procrastinate) if self._retry is None else self._retry

        async def run(batch_id: str, key: str, hook: str) -> None:
            """Call one hook with one transition."""
            await self._call(call, batch_id, key, hook)

        self._app.task(name=TASK, queue=self._queue_name, retry=retry)(run)
        return super().enlist(call)

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
                raise error.__cause__ or error from None  # A connection that broke is opened anew, as for the rest.

    def _is_dead(self, retry: RetryState) -> bool:  # noqa: ARG002  # Only procrastinate knows, by `retry`.
        return False

    async def _call(self, call: Call, batch_id: str, key: str, hook: str) -> None:
        row = await asyncio.to_thread(self._row, batch_id, key, hook)
        if row is None:
            return  # It has returned, and the worker went before it could say so; or the batch was forgotten.
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


def engine() -> ModuleType:
    """
    Return procrastinate.

    Raises:
        MissingExtraError: If it is not installed.
    """
    with needs_extra("a journal whose hooks are procrastinate jobs", "procrastinate"):
        import procrastinate  # noqa: PLC0415  # An extra's library, in its own room.
        import procrastinate.exceptions  # noqa: PLC0415
    return procrastinate


def _strategy(procrastinate: Any) -> Any:
    """Return when procrastinate tries again: when `redeliver` would."""

    class Backoff(procrastinate.BaseRetryStrategy):  # type: ignore[misc]
        """Twice as long each time, up to an hour, ten tries."""

        def get_retry_decision(self, *, exception: BaseException, job: Any) -> Any:  # noqa: ARG002  # Its words.
            tries = job.attempts + 1
            if tries >= TRIES_MAX:
                return None
            return procrastinate.RetryDecision(retry_in={"seconds": round(backoff_s(tries))})

    return Backoff()
