"""Dispatchers of hooks: one calls them, the other awaits those that are coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from inspect import isawaitable
from typing import Any, ParamSpec, TypeVar

from batchfsm.journal import FailureCounts, ForkHandler, call_around_fork
from batchfsm.monitor.batch_store import BatchStore
from batchfsm.monitor.delivery import DeliveryRun, RunQueue, enclosing_queue, hook_error
from batchfsm.monitor.journaled_store import JournaledBatchStore
from batchfsm.monitor.observation import Observation
from batchfsm.wire import ParsedRow

MonitorStore = BatchStore | JournaledBatchStore
ResultT = TypeVar("ResultT")
P = ParamSpec("P")


class SyncDispatcher:
    """Calls hooks in the thread that observes."""

    def __init__(self, store: MonitorStore) -> None:
        self._store = store

    def observe(self, parsed: ParsedRow) -> Observation:
        """Fold a row and call its hooks, or leave them to the run that is calling hooks already."""
        run, outer = DeliveryRun(parsed.id, parsed.observed_at), enclosing_queue(self._store)
        failures: list[Exception] = []
        try:
            self._store.observe(run, parsed)
            if run.outbox is not None and (outer is None or not run.hand_over(outer)):
                failures = self._deliver(run)
        except BaseException:
            _withdraw(run, outer)
            self._store.release(run)
            raise
        return run.result(failures)

    def redeliver(self, now: float | None) -> FailureCounts:
        """Call the undelivered hooks of all batches, one batch after another."""
        failures: list[Exception] = []
        for batch_id in self._store.batches_with_pending(now):
            run = DeliveryRun(batch_id, now)
            try:
                if self._store.start_redelivery(run):
                    failures += self._deliver(run)
            except BaseException:
                self._store.release(run)
                raise
        counts = self._store.count_failures()
        if (failed := hook_error(failures, None, counts)) is not None:
            raise failed
        return counts

    def with_journal(self, method: Callable[P, ResultT], *args: P.args, **kwargs: P.kwargs) -> ResultT:
        """Call a method that may use the journal."""
        return method(*args, **kwargs)

    def _deliver(self, first: DeliveryRun) -> list[Exception]:
        """Deliver a run, then those that its hooks append; return the errors that hooks raised."""
        store, queue = self._store, RunQueue(self._store, first)
        run: DeliveryRun | None = first
        try:
            with queue:
                while run is not None:
                    outbox: Any = run.outbox
                    # The store may replace the queue of an outbox: it is looked up each time.
                    while outbox.queue or store.has_more(run):
                        # It stays in the outbox until it has returned: an interrupt does not lose it.
                        delivery = outbox.queue[0]
                        try:
                            delivery.hook.function(delivery.subject)
                        except Exception as error:  # noqa: BLE001  # Raised with the others once all hooks have run.
                            queue.failures.append(error)
                            write = store.settle(run, error)
                        else:
                            write = store.settle(run, None)
                        if write is not None:
                            write()
                    run = queue.next_run()
        except BaseException as error:
            for unfinished in queue.close(error):
                store.release(unfinished)
            raise
        return queue.failures


class AsyncDispatcher(ForkHandler):
    """
    Calls hooks in the task that observes, and awaits those that return an awaitable.

    A journal is used in one thread of its own, so that writes keep their order.
    """

    def __init__(self, store: MonitorStore) -> None:
        self._store = store
        self._thread = _journal_thread() if isinstance(store, JournaledBatchStore) else None
        call_around_fork(self)

    def after_fork_in_child(self) -> None:
        """Replace the thread, which the child does not have."""
        if self._thread is not None:
            self._thread = _journal_thread()

    async def observe(self, parsed: ParsedRow) -> Observation:
        """Fold a row and await its hooks, or leave them to the run that is calling hooks already."""
        run, outer = DeliveryRun(parsed.id, parsed.observed_at), enclosing_queue(self._store)
        failures: list[Exception] = []
        # Copied here: the caller may change its object while the journal is written.
        _ = parsed.snapshot
        try:
            await self._in_journal_thread(self._store.observe, run, parsed)
            if run.outbox is not None and (outer is None or not run.hand_over(outer)):
                failures = await self._deliver(run)
        except BaseException:
            _withdraw(run, outer)
            self._release(run)
            raise
        return run.result(failures)

    async def redeliver(self, now: float | None) -> FailureCounts:
        """Await the undelivered hooks of all batches, one batch after another."""
        failures: list[Exception] = []
        for batch_id in await self._in_journal_thread(self._store.batches_with_pending, now):
            run = DeliveryRun(batch_id, now)
            try:
                if await self._in_journal_thread(self._store.start_redelivery, run):
                    failures += await self._deliver(run)
            except BaseException:
                self._release(run)
                raise
        counts = await self._in_journal_thread(self._store.count_failures)
        if (failed := hook_error(failures, None, counts)) is not None:
            raise failed
        return counts

    def with_journal(self, method: Callable[P, ResultT], *args: P.args, **kwargs: P.kwargs) -> ResultT:
        """Call a method that may use the journal, in its thread, and block until it returns."""
        return (
            method(*args, **kwargs) if self._thread is None else self._thread.submit(method, *args, **kwargs).result()
        )

    async def _deliver(self, first: DeliveryRun) -> list[Exception]:
        """Deliver a run, then those that its hooks append; return the errors that hooks raised."""
        store, queue = self._store, RunQueue(self._store, first)
        has_more: Callable[[DeliveryRun], bool] = store.has_more
        run: DeliveryRun | None = first
        try:
            with queue:
                while run is not None:
                    outbox: Any = run.outbox
                    while outbox.queue or (await self._in_journal_thread(has_more, run)) is True:
                        # It stays in the outbox until it has returned: an interrupt does not lose it.
                        delivery = outbox.queue[0]
                        try:
                            answer = delivery.hook.function(delivery.subject)
                            if isawaitable(answer):
                                await answer
                        except Exception as error:  # noqa: BLE001  # Raised with the others once all hooks have run.
                            queue.failures.append(error)
                            write = store.settle(run, error)
                        else:
                            write = store.settle(run, None)
                        if write is not None:
                            await self._in_journal_thread(write)
                    run = queue.next_run()
        except BaseException as error:
            for unfinished in queue.close(error):
                self._release(unfinished)
            raise
        return queue.failures

    async def _in_journal_thread(self, method: Callable[P, ResultT], *args: P.args, **kwargs: P.kwargs) -> ResultT:
        """Call a method that may use the journal, in its thread; without a journal, here."""
        if self._thread is None:
            return method(*args, **kwargs)
        future = self._thread.submit(method, *args, **kwargs)
        # A cancellation passes at once. The method is finished all the same, and then the thread releases the run.
        return await asyncio.shield(asyncio.wrap_future(future, loop=asyncio.get_running_loop()))

    def _release(self, run: DeliveryRun) -> None:
        """Release a run without waiting: the journal's thread does it after what it was asked before."""
        if self._thread is None:
            self._store.release(run)
        else:
            self._thread.submit(self._store.release, run)


def _journal_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="batchfsm-journal")


def _withdraw(run: DeliveryRun, outer: RunQueue | None) -> None:
    """Remove an interrupted run from the enclosing queue, if it is in one."""
    if outer is not None:
        outer.remove(run)
