"""The monitor that awaits coroutine hooks too, under the same promises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from inspect import isawaitable
from typing import ParamSpec, TypeVar

from batchfsm.dialects import Dialect
from batchfsm.errors import JournalError
from batchfsm.journal import DeliveryOutcome, Journal
from batchfsm.lifecycle import Lifecycle
from batchfsm.monitor.base import UNCHANGED, Core, OnIllegal
from batchfsm.monitor.delivery import DeliveryRun, Outbox, hook_error
from batchfsm.monitor.observation import Observation

AnswerT = TypeVar("AnswerT")
P = ParamSpec("P")


class AsyncMonitor(Core):
    """
    A `Monitor` whose `observe` is a coroutine: hooks are awaited one after another, in order of registration.

    Plain hooks run in the loop's thread. Cancellation passes at once and loses
    nothing: what was not delivered comes first the next time.

    A journal is used in a thread of its own. Only `monitor[id]`, `id in monitor`,
    `len(monitor)` and `forget`, which cannot be awaited, wait for it.
    """

    def __init__(
        self,
        dialect: str | Dialect | Lifecycle = "openai",
        *,
        on_illegal: OnIllegal = "adopt",
        journal: Journal | None = None,
    ) -> None:
        """Track no batch yet, but those of the journal."""
        # One thread: what is to be written is written in the order in which it was asked for.
        self._thread = None if journal is None else ThreadPoolExecutor(1, thread_name_prefix="batchfsm-journal")
        super().__init__(dialect, on_illegal, journal, coroutines=True)

    async def observe(self, batch: object, *, observed_at: float | str | None = None) -> Observation:
        """Take in one snapshot and await the hooks of what it brings; otherwise as `Monitor.observe`."""
        parsed = self._read(batch, observed_at)
        if self._is_unchanged(parsed):
            return UNCHANGED
        # Copied here and now: while the journal is waited for, the caller's object may change.
        _, turn = parsed.snapshot, DeliveryRun()
        try:
            await self._aside(self._take, turn, parsed)
            if turn.outbox is not None:
                await self._deliver(turn, turn.outbox)
        except BaseException as error:
            self._leave(turn)
            if isinstance(error, JournalError):
                turn.mention(error)
            raise
        return turn.result()

    async def redeliver(self, *, now: float | None = None) -> None:
        """Await again what raised, and what a cancellation or a crash kept from running; as `Monitor.redeliver`."""
        failures: list[Exception] = []
        for batch_id in await self._aside(self._waiting, now):
            turn = DeliveryRun(batch_id, now)
            try:
                if await self._aside(self._resume, turn) and turn.outbox is not None:
                    await self._deliver(turn, turn.outbox)
            except BaseException:
                self._leave(turn)
                raise
            failures += turn.failures
        if (failed := hook_error(failures, None)) is not None:
            raise failed

    async def _deliver(self, turn: DeliveryRun, outbox: Outbox) -> None:
        ledger = self._ledger
        goes_on: Callable[[DeliveryRun], bool] = self._goes_on
        while outbox.queue or (await self._aside(goes_on, turn)) is True:
            # Taken off only when it has returned: what an interrupt kept from running stays queued.
            hook, subject, _ = outbox.queue[0]
            outcome: DeliveryOutcome | None = None
            try:
                answer = hook.function(subject)
                if isawaitable(answer):
                    await answer
            except Exception as error:  # noqa: BLE001  # Kept, and raised together once all have run.
                outcome = turn.raised(error, is_journaled=ledger is not None)
            else:
                if ledger is None:
                    del outbox.queue[0]
                else:
                    outcome = turn.returned()
            if outcome is not None and ledger is not None:
                await self._aside(ledger.record, outcome)

    async def _aside(self, work: Callable[P, AnswerT], *args: P.args, **kwargs: P.kwargs) -> AnswerT:
        """Do what may need the journal in its thread; without a journal, here."""
        if self._thread is None:
            return work(*args, **kwargs)
        future = self._thread.submit(work, *args, **kwargs)
        # A cancellation passes at once; what was begun is finished, and then `_leave` follows it.
        return await asyncio.shield(asyncio.wrap_future(future, loop=asyncio.get_running_loop()))

    def _leave(self, turn: DeliveryRun) -> None:
        """Release a turn without waiting: the thread does it after what it was asked before."""
        if self._thread is None:
            self._release(turn)
        else:
            self._thread.submit(self._release, turn)

    def _journaled(self, work: Callable[P, AnswerT], *args: P.args, **kwargs: P.kwargs) -> AnswerT:
        return work(*args, **kwargs) if self._thread is None else self._thread.submit(work, *args, **kwargs).result()
