"""The monitor that awaits coroutine hooks, under the same promises."""

from __future__ import annotations

from datetime import datetime

from batchfsm.dialects import Dialect
from batchfsm.journal import FailureCounts, Journal
from batchfsm.lifecycle import Lifecycle
from batchfsm.monitor.base import UNCHANGED, BaseMonitor, OnIllegal
from batchfsm.monitor.dispatchers import AsyncDispatcher
from batchfsm.monitor.observation import Observation


class AsyncMonitor(BaseMonitor[AsyncDispatcher]):
    """
    A `Monitor` whose `observe` is a coroutine: hooks are awaited one after another, in order of registration.

    Plain hooks run in the loop's thread. Cancellation passes at once and loses
    nothing: undelivered hooks come first the next time.

    A journal is used in a thread of its own. Only `monitor[id]`, `id in monitor`,
    `len(monitor)`, `list(monitor)`, `monitor.get`, `monitor.open` and `forget`, which
    cannot be awaited, wait for it.
    """

    def __init__(
        self,
        dialect: str | Dialect | Lifecycle = "openai",
        *,
        on_illegal: OnIllegal = "adopt",
        journal: Journal | None = None,
        keep_ended: int | None = None,
    ) -> None:
        super().__init__(dialect, on_illegal, journal, keep_ended, AsyncDispatcher, coroutines=True)

    async def observe(self, batch: object, *, observed_at: float | str | datetime | None = None) -> Observation:
        """Fold one snapshot into the record of its batch, and await its hooks; otherwise as `Monitor.observe`."""
        parsed = self._parse(batch, observed_at)
        return UNCHANGED if self._store.is_unchanged(parsed) else await self._dispatcher.observe(parsed)

    async def redeliver(self, *, now: float | None = None) -> FailureCounts:
        """Await the hooks that raised, and those that did not run because of a cancellation or a crash."""
        return await self._dispatcher.redeliver(now)
