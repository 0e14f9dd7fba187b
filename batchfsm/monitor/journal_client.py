"""What a monitor and its journal owe each other: states to load and to write, deliveries to hold and to settle."""

from __future__ import annotations

from collections.abc import Sequence
from threading import RLock
from typing import Final

from batchfsm.errors import JournalError
from batchfsm.history import BatchRecord, dump, restore
from batchfsm.journal import BatchUpdate, DeliveryOutcome, Journal, OutboxEntry, Written
from batchfsm.monitor.hooks import Delivery, Hooks
from batchfsm.route import Transition
from batchfsm.topology import Topology

RACES_MAX: Final = 100
"""How often one observation is folded again because another process was faster; each time one of them got through."""


class JournalClient:
    """The journal's side of one monitor. Its lock is held while a batch is read, folded and written."""

    def __init__(self, journal: Journal, hooks: Hooks, graph: Topology) -> None:
        """Become one of the journal's monitors."""
        self.lock = RLock()
        self.is_remote = journal.is_remote
        self._journal = journal
        self._hooks = hooks
        self._graph = graph
        self._owner = journal.enlist(hooks.call)
        self._revisions: dict[str, int] = {}
        self._owed: list[DeliveryOutcome] = []

    def load(self, batch_id: str) -> BatchRecord | None:
        """
        Return what the journal knows of a batch, with whatever others have added; None if nothing.

        Raises:
            JournalError: If it cannot be read, or is of another lifecycle.
        """
        kept = self._journal.load(batch_id)
        self._revisions[batch_id] = 0 if kept is None else kept.revision
        if kept is None:
            return None
        try:
            track = restore(kept.state)
        except ValueError as error:
            raise self.error(f"what is kept of {batch_id} cannot be read: {error}") from error
        if strange := {track.status or "", *track.entered} - {"", *self._graph.statuses}:
            name = self._graph.lifecycle.name
            raise self.error(f"{batch_id} was {min(strange)}, which the {name} lifecycle has not")
        return track

    def commit(
        self,
        batch_id: str,
        before: BatchRecord,
        after: BatchRecord,
        transitions: Sequence[Transition],
        wanting: Sequence[Delivery],
    ) -> Written | None:
        """
        Write what an observation has changed; None if another process was faster.

        That a batch was looked at again, and nothing else was new, is not worth a write: the time
        of the last look is written with the next change.
        """
        try:
            state = dump(after, observed_at=after.observed_at)
            is_news = bool(transitions) or dump(after, observed_at=0) != dump(before, observed_at=0)
        except ValueError as error:
            raise self.error(f"{batch_id} cannot be written: {error}") from error
        expected = self._revisions.get(batch_id, 0)
        if not is_news:
            return "held"
        names = [[hook.name for hook, subject, _ in wanting if subject is each] for each in transitions]
        entries = [OutboxEntry(each, tuple(heard)) for each, heard in zip(transitions, names, strict=True)]
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
        if record.legs and record.legs[-1].target == record.status and record.ats[-1] is not None:
            return record.ats[-1]
        return record.observed_at or max((at for at in record.ats if at is not None), default=0)

    def claim(self, batch_id: str, *, retry: bool, now: float | None = None) -> list[Delivery]:
        """Return what is to be called for a batch and nobody else is about to call; `retry`: also what has raised."""
        if self.is_remote:
            return []
        known = self._hooks.named()
        rows = self._journal.claim(batch_id, self._owner, known.keys(), retry=retry, now=now)
        return [(known[row.hook], row.transition, row.tries) for row in rows]

    def waiting(self, now: float | None) -> list[str]:
        """Return the batches for which something is to be called."""
        return [] if self.is_remote else self._journal.waiting(now)

    def record(self, outcome: DeliveryOutcome) -> None:
        """Settle one call of a hook, and what could not be settled before."""
        with self.lock:
            self._owed.append(outcome)
            self.settle()

    def settle(self) -> None:
        """
        Tell the journal what became of calls.

        Owed until it is told: a hook that returned is not called again by this process, though the
        journal may have been away.
        """
        with self.lock:
            while self._owed:
                self._journal.record(self._owed[0])
                del self._owed[0]

    def release(self, batch_id: str) -> None:
        """Let go of what is held of a batch, so that it comes first the next time, whoever asks."""
        with self.lock:
            self.settle()
            self._journal.release(batch_id, self._owner)

    def forget(self, batch_id: str) -> None:
        """Drop a batch."""
        self._journal.forget(batch_id)
        self._revisions.pop(batch_id, None)

    def count(self) -> int:
        """Return how many batches are kept."""
        return self._journal.count()

    def error(self, problem: str) -> JournalError:
        """Return an error about this journal."""
        return JournalError(getattr(self._journal, "name", type(self._journal).__name__), problem)
