"""Reads and writes batch records and leases deliveries, on behalf of one monitor."""

from __future__ import annotations

from collections.abc import Sequence
from threading import RLock
from typing import Final

from batchfsm.errors import JournalError
from batchfsm.history import BatchRecord, dump, restore
from batchfsm.journal import BatchUpdate, CommitResult, DeliveryOutcome, FailureCounts, Journal, OutboxEntry
from batchfsm.monitor.hooks import Delivery, HookRegistry
from batchfsm.route import Transition
from batchfsm.topology import Topology

COMMIT_RETRIES_MAX: Final = 100
"""How often one observation is folded again after another process has written the batch; each time one process won."""


class JournalClient:
    """
    The use of a journal by one monitor.

    Its lock is held while a batch is read, folded and written.
    """

    def __init__(self, journal: Journal, hooks: HookRegistry, graph: Topology) -> None:
        self.lock = RLock()
        self.is_remote = journal.is_remote
        self._journal = journal
        self._hooks = hooks
        self._graph = graph
        self._registered: str | None = None
        self._register()
        self._revisions: dict[str, int] = {}
        self._unacknowledged: list[DeliveryOutcome] = []

    def after_fork(self) -> None:
        """Begin anew in a forked child: the parent keeps its leases, and writes the outcomes of its hooks."""
        self.lock = RLock()
        self._revisions.clear()
        self._unacknowledged.clear()
        self._registered = None  # The next use registers anew: now the journal may not have its own new lock yet.

    @property
    def _owner(self) -> str:
        """The name under which this monitor leases deliveries."""
        return self._registered or self._register()

    def _register(self) -> str:
        self._registered = self._journal.register_owner(self._hooks.call)
        return self._registered

    def load(self, batch_id: str) -> BatchRecord | None:
        """
        Return the record of a batch as the journal has it now; None if it has none. The next `commit` is based on it.

        Raises:
            JournalError: If the journal cannot be read, or has the batch under another lifecycle.
        """
        stored = self._journal.load(batch_id)
        if stored is None:
            self._revisions.pop(batch_id, None)
            return None
        self._revisions[batch_id] = stored.revision
        return self._restore(batch_id, stored.state)

    def peek(self, batch_id: str) -> BatchRecord | None:
        """Return the record of a batch as `load`, but base no `commit` on it."""
        stored = self._journal.load(batch_id)
        return None if stored is None else self._restore(batch_id, stored.state)

    def drop(self, batch_id: str) -> None:
        """Forget the revision of a batch whose record is no longer in memory."""
        self._revisions.pop(batch_id, None)

    def _restore(self, batch_id: str, state: str) -> BatchRecord:
        try:
            record = restore(state)
        except ValueError as error:
            raise self.error(f"the stored state of {batch_id} cannot be read: {error}") from error
        if unknown := {record.status or "", *record.entered} - {"", *self._graph.statuses}:
            name = self._graph.lifecycle.name
            raise self.error(f"{batch_id} was {min(unknown)}, which the {name} lifecycle has not")
        return record

    def commit(
        self,
        batch_id: str,
        before: BatchRecord,
        after: BatchRecord,
        transitions: Sequence[Transition],
        deliveries: Sequence[Delivery],
    ) -> CommitResult | None:
        """
        Write the changes of one observation.

        If nothing but the time of the last look has changed, nothing is written: the time is
        written with the next change.

        Returns:
            None if another process has written the batch since it was loaded.
        """
        try:
            state = dump(after, observed_at=after.observed_at)
            is_news = bool(transitions) or state != dump(before, observed_at=after.observed_at)
        except ValueError as error:
            raise self.error(f"{batch_id} cannot be written: {error}") from error
        expected = self._revisions.get(batch_id, 0)
        if not is_news:
            return "leased"
        names = [[each.hook.name for each in deliveries if each.subject is transition] for transition in transitions]
        entries = [OutboxEntry(each, tuple(hooks)) for each, hooks in zip(transitions, names, strict=True)]
        change = BatchUpdate(
            batch_id=batch_id,
            owner=self._owner,
            expected=expected,
            state=state,
            entries=entries,
            ended_at=self._ended_at(after),
        )
        written = self._journal.commit(change)
        if written is not None:
            self._revisions[batch_id] = expected + 1
        return written

    def _ended_at(self, record: BatchRecord) -> float | None:
        """Return the time of the final status, or else the best estimate of it; None while the batch is open."""
        if record.status not in self._graph.terminal:
            return None
        if record.steps_taken and record.steps_taken[-1].target == record.status and record.times[-1] is not None:
            return record.times[-1]
        return record.observed_at or max((at for at in record.times if at is not None), default=0)

    def claim(self, batch_id: str, *, retry: bool, now: float | None = None) -> list[Delivery]:
        """Lease the free deliveries of a batch; with `retry` also those whose hooks have raised."""
        if self.is_remote:
            return []
        known = self._hooks.by_name()
        rows = self._journal.claim(batch_id, self._owner, known.keys(), retry=retry, now=now)
        return [Delivery(known[row.hook], row.transition, row.retry) for row in rows]

    def batches_with_pending(self, now: float | None) -> list[str]:
        """Return the batches with undelivered hooks that are due at a time; None: at any time."""
        return [] if self.is_remote else self._journal.batches_with_pending(now)

    def add_outcome(self, outcome: DeliveryOutcome) -> None:
        """Store the outcome of one call of a hook until it is written; the lock is not needed."""
        self._unacknowledged.append(outcome)

    def unacknowledged_keys(self) -> set[tuple[str, str]]:
        """Return the keys of transitions and the names of hooks whose outcomes are not written yet."""
        return {(outcome.key, outcome.hook) for outcome in list(self._unacknowledged)}

    def flush_acknowledgements(self) -> None:
        """
        Write the outcomes of calls to the journal.

        One that cannot be written stays here: this process does not call a hook again that has
        returned, even if the journal was unreachable.
        """
        with self.lock:
            while self._unacknowledged:
                self._journal.record(self._unacknowledged[0])
                del self._unacknowledged[0]

    def release(self, batch_id: str) -> None:
        """Release the leased deliveries of a batch, so that the next monitor that asks gets them first."""
        with self.lock:
            self.flush_acknowledgements()
            self._journal.release_leases(batch_id, self._owner)

    def forget(self, batch_id: str) -> None:
        """Remove a batch from the journal."""
        self._journal.forget(batch_id)
        self.drop(batch_id)

    def batch_ids(self, *, only_open: bool) -> tuple[str, ...]:
        """Return the ids of the batches in the journal, or of those that have not ended."""
        return self._journal.batch_ids(only_open=only_open)

    def count_failures(self) -> FailureCounts:
        """Return the number of hooks that have raised and have yet to return; none if other processes call them."""
        return FailureCounts() if self.is_remote else self._journal.count_failures(self._hooks.by_name().keys())

    def count(self) -> int:
        """Return the number of batches in the journal."""
        return self._journal.count()

    def error(self, problem: str) -> JournalError:
        """Return an error about this journal."""
        return JournalError(getattr(self._journal, "name", type(self._journal).__name__), problem)
