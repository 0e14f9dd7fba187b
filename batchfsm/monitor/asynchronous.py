"""The monitor that awaits coroutine hooks too, under the same promises."""

from __future__ import annotations

from inspect import isawaitable

from batchfsm.dialects import Dialect
from batchfsm.lifecycle import Lifecycle
from batchfsm.monitor.core import Core, OnIllegal, Outbox, closing, hook_error
from batchfsm.monitor.observation import Observation


class AsyncMonitor(Core):
    """
    A `Monitor` whose `observe` is a coroutine: hooks are awaited one after another, in order of registration.

    Plain hooks run in the loop's thread. Cancellation passes at once and loses
    nothing: what was not delivered comes first the next time.
    """

    def __init__(
        self, dialect: str | Dialect | Lifecycle = "openai", *, on_illegal: OnIllegal = "adopt"
    ) -> None:
        """Track no batch yet."""
        super().__init__(dialect, on_illegal, coroutines=True)

    async def observe(self, batch: object, *, observed_at: float | str | None = None) -> Observation:
        """Take in one snapshot and await the hooks of what it brings; otherwise as `Monitor.observe`."""
        taken = self._take(batch, observed_at)
        if isinstance(taken, Observation):
            return taken
        return closing(await self._deliver(taken.batch_id, taken.outbox) if taken.outbox else [], taken)

    async def redeliver(self) -> None:
        """Await again what raised, and what a cancellation kept from running; otherwise as `Monitor.redeliver`."""
        failures = [
            failure for pending in self._pending().items() for failure in await self._deliver(*pending)
        ]
        if (failed := hook_error(failures, None)) is not None:
            raise failed

    async def _deliver(self, batch_id: str, outbox: Outbox) -> list[Exception]:
        failures: list[Exception] = []
        while (delivery := self._next(batch_id, outbox)) is not None:
            hook, subject = delivery
            try:
                answer = hook.function(subject)
                if isawaitable(answer):
                    await answer
            except Exception as error:  # noqa: BLE001  # Kept, and raised together once all have run.
                failures.append(outbox.keep(delivery, error))
            except BaseException:
                self._interrupted(outbox, delivery)
                raise
        return failures
