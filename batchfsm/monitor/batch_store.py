"""The batches of a monitor in memory: a record and an outbox of each."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import compress
from operator import not_
from threading import Lock
from typing import Any, Final

from batchfsm.arguments import check_time
from batchfsm.finding import verdict_of
from batchfsm.history import BatchRecord, Fold, FoldResult
from batchfsm.journal import FailureCounts
from batchfsm.monitor.delivery import DeliveryRun, Outbox
from batchfsm.monitor.ended_batch import EndedBatch
from batchfsm.monitor.hooks import Delivery, HookRegistry
from batchfsm.monitor.observation import IllegalTransitionError, make_observation
from batchfsm.snapshot import SnapshotRow
from batchfsm.topology import Topology
from batchfsm.wire import ParsedRow, TypePattern

_HOW_TO_RETRY: Final = "redeliver() calls it again"


class BatchStore:
    """
    Records and outboxes of batches, behind one lock. No hook is called under it, and no journal is waited for.

    Args:
        fold: The fold that changes records.
        graph: The lifecycle of the batches.
        hooks: The hooks to queue for transitions and findings.
        raises_illegal: Whether an illegal move ends `observe` with `IllegalTransitionError`.
        keep_ended: The number of ended batches whose whole record is kept; None: all.
    """

    def __init__(
        self,
        fold: Fold,
        graph: Topology,
        hooks: HookRegistry,
        *,
        raises_illegal: bool = False,
        keep_ended: int | None = None,
    ) -> None:
        self.fold = fold
        self.graph = graph
        self.hooks = hooks
        self.records: dict[str, BatchRecord] = {}
        self.outboxes: dict[str, Outbox] = {}
        self.lock = Lock()
        self._raises_illegal = raises_illegal
        self._keep_ended = keep_ended
        self._ended_ids: OrderedDict[str, None] = OrderedDict()
        """The ended batches among `records`, the oldest end first; empty without `keep_ended`."""
        self._ended: dict[str, EndedBatch] = {}
        """The ended batches that are no longer in `records`."""

    def clear_after_fork(self) -> None:
        """Remove all batches, with a new lock, in place of one that may be held by a thread of the parent."""
        self.lock = Lock()
        for outbox in self.outboxes.values():
            outbox.queue.clear()  # A hook that has forked goes on in the child, too, and finds nothing more to call.
            outbox.failed.clear()
        for batches in (self.records, self.outboxes, self._ended, self._ended_ids):
            batches.clear()

    def is_unchanged(self, parsed: ParsedRow) -> bool:
        """Return whether a row repeats the last one of its batch; if so, store when it was observed."""
        record = self.records.get(parsed.id)
        # Compared without the lock first: most rows that come here have changed.
        if record is None or record.pattern is not parsed.pattern or record.row != parsed.row:
            return False
        row = record.row
        with self.lock:
            record = self.records.get(parsed.id)
            if record is None or record.row is not row or parsed.id in self.outboxes:
                return False
            if not self.fold.is_repeat(record, parsed):
                return False
            record.observed_at = parsed.observed_at
            return True

    def last_row(self, batch_id: str, row: SnapshotRow, pattern: TypePattern) -> SnapshotRow | None:
        """Return the last row of a batch if it equals this one, in values and types; else None."""
        record = self.records.get(batch_id)
        return record.row if record is not None and record.pattern is pattern and record.row == row else None

    def observe(self, run: DeliveryRun, parsed: ParsedRow) -> None:
        """Fold a row into the record of its batch, and queue its hooks; `run` delivers them if the batch is idle."""
        with self.lock:
            record = self._find_record(run.batch_id) or BatchRecord()
            after, result = self.fold.apply_immutable(record, parsed)
            deliveries = self.hooks.matching_deliveries(result.transitions, result.findings)
            self.publish(run, parsed, after, result, deliveries)
            if self._keep_ended is not None:
                self._ended.pop(run.batch_id, None)
                for batch_id in self.surplus_ended(run.batch_id):
                    self._ended[batch_id] = EndedBatch.of(self.records.pop(batch_id))

    def surplus_ended(self, batch_id: str) -> list[str]:
        """
        Return the ended batches in `records` beyond the number to keep, the oldest end first; with the lock held.

        Args:
            batch_id: The batch whose record has changed.
        """
        if self._keep_ended is None:
            return []
        if self.records[batch_id].status in self.graph.terminal:
            self._ended_ids.setdefault(batch_id)
        else:
            self._ended_ids.pop(batch_id, None)
        return [self._ended_ids.popitem(last=False)[0] for _ in range(len(self._ended_ids) - self._keep_ended)]

    def publish(
        self,
        run: DeliveryRun,
        parsed: ParsedRow,
        after: BatchRecord,
        result: FoldResult,
        deliveries: list[Delivery],
        *,
        is_elsewhere: bool = False,
    ) -> None:
        """
        Store what a row changed, with the lock held.

        Args:
            run: The run of the `observe`; it gets the observation, and the outbox if it has to deliver.
            parsed: The row.
            after: The record of its batch with the row folded in.
            result: The transitions and findings of the row.
            deliveries: The hooks that this process has to call.
            is_elsewhere: Whether other processes call hooks of this row.
        """
        batch_id, findings, transitions = run.batch_id, result.findings, result.transitions
        outbox = self.outboxes.get(batch_id)
        if outbox is None and deliveries:
            outbox = Outbox()
        is_waiting = outbox is not None and bool(deliveries or outbox.queue)
        is_idle = outbox is None or outbox.current_run is None
        is_judged = self.fold.can_judge(parsed)
        verdict = verdict_of(findings, judged=is_judged) if findings or not is_judged else "consistent"
        delivered = (is_idle or not is_waiting) and not is_elsewhere
        run.observation = make_observation(tuple(transitions), tuple(findings), verdict, delivered)
        if self._raises_illegal and result.is_illegal:
            known = str(after.status)  # It was held.
            reachable = [name for name in self.graph.statuses if name in self.graph.reach[known]]
            run.error = IllegalTransitionError(batch_id, known, parsed.snapshot.status, reachable, run.observation)
        # Queued before the record is stored: an interrupt between the two may repeat a hook but never lose one.
        if outbox is not None:
            self.outboxes[batch_id] = outbox
            outbox.queue += deliveries
        self.records[batch_id] = after
        if outbox is not None and is_waiting and is_idle:
            run.outbox, outbox.current_run = outbox, run

    def has_more(self, run: DeliveryRun) -> bool:
        """Return whether the outbox of a run has hooks; if not, the run ends and the batch is idle."""
        outbox: Any = run.outbox
        with self.lock:
            if outbox.queue:
                return True
            if not outbox.failed and self.outboxes.get(run.batch_id) is outbox:
                del self.outboxes[run.batch_id]
            outbox.current_run = None
            return False

    def settle(self, run: DeliveryRun, error: Exception | None) -> Callable[[], None] | None:
        """
        Remove the first delivery of a run from its outbox, after its hook returned or raised.

        Returns:
            The write to a journal that has to follow; None if there is none.
        """
        outbox: Any = run.outbox
        if error is not None:
            # Kept before it is removed: an interrupt between the two may repeat a hook but never lose one.
            outbox.failed.append(run.add_failure(outbox.queue[0], error, _HOW_TO_RETRY))
        outbox.queue.popleft()
        return None

    def batches_with_pending(self, now: float | None) -> list[str]:
        """
        Return the batches with undelivered hooks, whether or not one is due.

        Raises:
            TypeError: If the time is no number.
            ValueError: If it is not finite.
        """
        if now is not None:
            check_time("now=", now)
        with self.lock:
            return list(self.outboxes)

    def start_redelivery(self, run: DeliveryRun) -> bool:
        """Begin to deliver a batch's hooks, those that raised first; return False if it is busy or none is due."""
        with self.lock:
            return self.acquire(run)

    def acquire(self, run: DeliveryRun) -> bool:
        """Do what `start_redelivery` does, with the lock held."""
        outbox = self.outboxes.get(run.batch_id) or Outbox()
        if outbox.current_run is not None:
            return False
        is_due = [run.now is None or each.retry.is_due(run.now) for each in outbox.failed]
        due = compress(outbox.failed, is_due)
        outbox.queue = deque([*due, *outbox.queue])
        outbox.failed = list(compress(outbox.failed, map(not_, is_due)))
        outbox.has_rows_in_journal = False
        self.store_outbox(run.batch_id, outbox)
        if not outbox.queue:
            return False
        run.outbox, outbox.current_run = outbox, run
        return True

    def store_outbox(self, batch_id: str, outbox: Outbox) -> None:
        """Store an outbox, or remove it if nothing is undelivered; with the lock held."""
        if outbox.queue or outbox.failed or outbox.has_rows_in_journal:
            self.outboxes[batch_id] = outbox
        else:
            self.outboxes.pop(batch_id, None)

    def release(self, run: DeliveryRun) -> None:
        """Make the batch of an interrupted run idle; its undelivered hooks stay queued."""
        run.release()

    def find_record(self, batch_id: str) -> BatchRecord | None:
        """Return the record of a batch; None if it is not tracked."""
        with self.lock:
            return self._find_record(batch_id)

    def _find_record(self, batch_id: str) -> BatchRecord | None:
        record = self.records.get(batch_id)
        if record is None and (ended := self._ended.get(batch_id)) is not None:
            return ended.to_record()
        return record

    def batch_ids(self, *, only_open: bool = False) -> tuple[str, ...]:
        """Return the ids of all batches, or of those that have not ended."""
        with self.lock:
            if not only_open:
                return (*self._ended, *self.records)
            return tuple(
                batch_id for batch_id, record in self.records.items() if record.status not in self.graph.terminal
            )

    def count_failures(self) -> FailureCounts:
        """Return the number of hooks that have raised and have yet to return."""
        with self.lock:
            failed = [each.retry.is_dead for outbox in self.outboxes.values() for each in outbox.failed]
        return FailureCounts(failing=failed.count(False), dead=failed.count(True))

    def count(self) -> int:
        """Return the number of batches."""
        with self.lock:
            return len(self.records) + len(self._ended)

    def forget(self, batch_id: str) -> None:
        """
        Remove a batch with its undelivered hooks.

        Raises:
            KeyError: If it is not tracked.
        """
        with self.lock:
            if self._find_record(batch_id) is None:
                raise KeyError(batch_id)
            self.remove(batch_id)

    def remove(self, batch_id: str) -> None:
        """Remove a batch with its undelivered hooks if it is tracked; with the lock held."""
        self.records.pop(batch_id, None)
        self.outboxes.pop(batch_id, None)
        self._ended.pop(batch_id, None)
        self._ended_ids.pop(batch_id, None)
