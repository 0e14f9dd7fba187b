"""The batches of a monitor in a journal: each change is written before it is stored in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, cast

from batchfsm.errors import JournalError
from batchfsm.history import BatchRecord, FoldResult
from batchfsm.journal import FailureCounts, ForkHandler, call_around_fork
from batchfsm.monitor.batch_store import BatchStore
from batchfsm.monitor.delivery import DeliveryRun, Outbox, failure_of, success_of
from batchfsm.monitor.hooks import Delivery
from batchfsm.monitor.journal_client import COMMIT_RETRIES_MAX, JournalClient
from batchfsm.snapshot import SnapshotRow
from batchfsm.wire import ParsedRow, TypePattern

_HOW_TO_RETRY: Final = "to retry it: batchfsm journal retry JOURNAL, or requeue_dead() of the journal"


class JournaledBatchStore(ForkHandler):
    """
    A store that keeps batches in a journal, and those that it has observed in memory too.

    The client's lock is taken before that of the memory.
    """

    def __init__(self, memory: BatchStore, client: JournalClient) -> None:
        self._memory = memory
        self._client = client
        call_around_fork(self)

    def after_fork_in_child(self) -> None:
        """Begin anew in a forked child: the parent delivers its outboxes, and every record is loaded again."""
        self._memory.clear_after_fork()
        self._client.after_fork()

    def is_unchanged(self, parsed: ParsedRow) -> bool:
        """Return whether a row repeats the last one of its batch; if so, store when it was observed, in memory."""
        return self._memory.is_unchanged(parsed)

    def last_row(self, batch_id: str, row: SnapshotRow, pattern: TypePattern) -> SnapshotRow | None:
        """Return the last row of a batch in memory if it equals this one, in values and types; else None."""
        return self._memory.last_row(batch_id, row, pattern)

    def observe(self, run: DeliveryRun, parsed: ParsedRow) -> None:
        """
        Fold a row into the record of its batch, write the record, and queue its hooks.

        `run` delivers them if the batch is idle.

        Raises:
            JournalError: If the journal cannot be read or written; then nothing has changed.
        """
        memory, client = self._memory, self._client
        with client.lock:
            client.flush_acknowledgements()
            for _ in range(COMMIT_RETRIES_MAX):
                record = self._load_record(run.batch_id)
                change = memory.fold.apply_immutable(record, parsed)
                try:
                    if self._commit(run, parsed, record, change):
                        return
                except BaseException:
                    # It may have been written nevertheless: the record is read again the next time.
                    memory.records.pop(run.batch_id, None)
                    raise
                memory.records.pop(run.batch_id, None)
            raise client.error(f"other processes were faster to observe {run.batch_id}, {COMMIT_RETRIES_MAX} times")

    def _commit(
        self, run: DeliveryRun, parsed: ParsedRow, before: BatchRecord, change: tuple[BatchRecord, FoldResult]
    ) -> bool:
        """Write a change, then publish it in memory; return False if another process has written the batch."""
        memory, client = self._memory, self._client
        after, result = change
        deliveries = memory.hooks.matching_deliveries(result.transitions, result.findings)
        written = client.commit(run.batch_id, before, after, result.transitions, deliveries)
        if written is None:
            return False
        is_queued = written == "queued" or client.is_remote
        claimed = client.claim(run.batch_id, retry=False) if is_queued else []
        leased = {delivery.key for delivery in claimed}
        here = [delivery for delivery in deliveries if delivery.key is None] if is_queued else deliveries
        is_elsewhere = is_queued and any(each.key is not None and each.key not in leased for each in deliveries)
        with memory.lock:
            if is_queued:
                self._queue_claimed(run.batch_id, claimed)
            memory.publish(run, parsed, after, result, here, is_elsewhere=is_elsewhere)
            for batch_id in memory.surplus_ended(run.batch_id):
                # The journal has it: it is loaded when it is observed again.
                del memory.records[batch_id]
                client.drop(batch_id)
        return True

    def _queue_claimed(self, batch_id: str, claimed: list[Delivery]) -> None:
        """
        Put the deliveries of a batch that this monitor leases into its outbox, in the journal's order.

        The claimed ones are all of them, new and old, but for those that raised. Any other order would be wrong: a
        monitor may claim later transitions first and, when it has lost a race, earlier ones after them.
        """
        memory = self._memory
        outbox = memory.outboxes.get(batch_id) or Outbox()
        is_calling = outbox.current_run is not None
        started = list(outbox.queue)[:is_calling]  # Its hook may be running.
        waiting = list(outbox.queue)[is_calling:]
        first = [*started, *(each for each in waiting if each.key is not None and each.retry.tries)]
        keys: set[object] = {each.key for each in first}
        keys |= self._client.unacknowledged_keys()  # They have returned or raised since they were claimed.
        claimed = [each for each in claimed if each.key not in keys]
        outbox.queue = deque([*first, *claimed, *(each for each in waiting if each.key is None)])
        outbox.has_rows_in_journal = False
        memory.store_outbox(batch_id, outbox)

    def _load_record(self, batch_id: str) -> BatchRecord:
        """Load a batch's record. If it comes from the journal, queue its undelivered hooks first."""
        memory, client = self._memory, self._client
        known = memory.records.get(batch_id)
        outbox = memory.outboxes.get(batch_id) or Outbox()
        if known is not None and not outbox.has_rows_in_journal:
            return known
        record = known or client.load(batch_id)
        if record is None:
            return BatchRecord()
        if outbox.current_run is None:
            claimed = client.claim(batch_id, retry=False)
            with memory.lock:
                self._queue_claimed(batch_id, claimed)
        memory.records[batch_id] = record
        return record

    def has_more(self, run: DeliveryRun) -> bool:
        """Return whether the outbox of a run, or the journal, has hooks to call; if not, the run ends."""
        if self._client.is_remote:
            return self._memory.has_more(run)
        with self._client.lock:
            # Other processes queue theirs in the journal behind those leased here.
            claimed = self._client.claim(run.batch_id, retry=False)
            with self._memory.lock:
                self._queue_claimed(run.batch_id, claimed)
            return self._memory.has_more(run)

    def settle(self, run: DeliveryRun, error: Exception | None) -> Callable[[], None] | None:
        """
        Remove the first delivery of a run from its outbox, after its hook returned or raised.

        Returns:
            The write to the journal that has to follow; None for a hook on findings, which no journal has.
        """
        outbox, client = cast("Outbox", run.outbox), self._client
        if not outbox.queue:
            return None  # The hook has forked, and this is the child: the parent writes the outcome.
        if outbox.queue[0].key is None:
            return self._memory.settle(run, error)
        # At once with the lock held: a claim of another thread between the two would queue the delivery again.
        with self._memory.lock:
            delivery = outbox.queue[0]
            if error is not None:
                delivery = run.add_failure(delivery, error, _HOW_TO_RETRY)
            client.add_outcome(success_of(delivery) if error is None else failure_of(delivery, error))
            outbox.queue.popleft()
        return client.flush_acknowledgements

    def batches_with_pending(self, now: float | None) -> list[str]:
        """Return the batches with undelivered hooks in memory, then those with due ones in the journal."""
        return list(dict.fromkeys(self._memory.batches_with_pending(now) + self._client.batches_with_pending(now)))

    def start_redelivery(self, run: DeliveryRun) -> bool:
        """Begin to deliver a batch's hooks, those that raised first; return False if it is busy or none is due."""
        memory, client = self._memory, self._client
        with client.lock:
            client.flush_acknowledgements()
            outbox = memory.outboxes.get(run.batch_id)
            if outbox is not None and outbox.current_run is not None:
                return False
            claimed = client.claim(run.batch_id, retry=True, now=run.now)
            with memory.lock:
                self._queue_claimed(run.batch_id, claimed)
                return memory.acquire(run)

    def release(self, run: DeliveryRun) -> None:
        """Make the batch of an interrupted run idle; its undelivered hooks in the journal are free for any monitor."""
        outbox, memory, client = run.outbox, self._memory, self._client
        if outbox is None:
            return
        with client.lock:
            if outbox.current_run is not run:
                return  # It had ended, and another run may have begun.
            try:
                client.release(run.batch_id)
            except JournalError:
                return  # The deliveries stay in memory, and come first the next time.
            else:
                with memory.lock:
                    kept = [delivery for delivery in outbox.queue if delivery.key is None]
                    outbox.has_rows_in_journal, outbox.queue = len(kept) < len(outbox.queue), deque(kept)
                    memory.store_outbox(run.batch_id, outbox)
            finally:
                run.release()

    def find_record(self, batch_id: str) -> BatchRecord | None:
        """Return the record of a batch, in memory or in the journal; None if it is in neither."""
        # One from the journal is not kept: then its undelivered hooks would have to be queued first.
        return self._memory.find_record(batch_id) or self._client.peek(batch_id)

    def batch_ids(self, *, only_open: bool = False) -> tuple[str, ...]:
        """Return the ids of all batches in the journal, or of those that have not ended."""
        return self._client.batch_ids(only_open=only_open)

    def count_failures(self) -> FailureCounts:
        """Return the number of hooks that have raised and have yet to return, in memory and in the journal."""
        here, stored = self._memory.count_failures(), self._client.count_failures()
        return FailureCounts(failing=here.failing + stored.failing, dead=here.dead + stored.dead)

    def count(self) -> int:
        """Return the number of batches in the journal."""
        return self._client.count()

    def forget(self, batch_id: str) -> None:
        """
        Remove a batch with its undelivered hooks, from memory and journal.

        Raises:
            KeyError: If it is in neither.
        """
        memory, client = self._memory, self._client
        with client.lock:
            if self.find_record(batch_id) is None:
                raise KeyError(batch_id)
            client.forget(batch_id)
            with memory.lock:
                memory.remove(batch_id)
