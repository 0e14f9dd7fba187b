"""The monitor that awaits coroutine hooks too, under the same promises."""

from __future__ import annotations

from inspect import isawaitable

from batchfsm.dialects import Dialect
from batchfsm.lifecycle import Lifecycle
from batchfsm.monitor.core import Core, OnIllegal, Outbox, Turn, hook_error
from batchfsm.monitor.observation import Observation


class AsyncMonitor(Core):
    """
    A `Monitor` whose `observe` is a coroutine: hooks are awaited one after another, in order of registration.

    Plain hooks run in the loop's thread. Cancellation passes at once and loses
    nothing: what was not delivered comes first the next time.
    """

    def __init__(self, dialect: str | Dialect | Lifecycle = "openai", *, on_illegal: OnIllegal = "adopt") -> None:
        """Track no batch yet."""
        super().__init__(dialect, on_illegal, coroutines=True)

    async def observe(self, batch: object, *, observed_at: float | str | None = None) -> Observation:
        """Take in one snapshot and await the hooks of what it brings; otherwise as `Monitor.observe`."""
        plain = self._glance(batch, observed_at)
        if isinstance(plain, Observation):
            return plain
        turn = Turn()
        try:
            self._take(turn, batch, plain, observed_at)
            if turn.outbox is not None:
                await self._deliver(turn, turn.outbox)
        except BaseException:
            turn.release()
            raise
        return turn.result()

    async def redeliver(self) -> None:
        """Await again what raised, and what a cancellation kept from running; otherwise as `Monitor.redeliver`."""
        failures: list[Exception] = []
        for turn in map(Turn, self._waiting()):
            try:
                if self._resume(turn) and turn.outbox is not None:
                    await self._deliver(turn, turn.outbox)
            except BaseException:
                turn.release()
                raise
            failures += turn.failures
        if (failed := hook_error(failures, None)) is not None:
            raise failed

    async def _deliver(self, turn: Turn, outbox: Outbox) -> None:
        while outbox.queue or self._goes_on(turn):
            # Taken off only when it has returned: what an interrupt kept from running stays queued.
            hook, subject = outbox.queue[0]
            try:
                answer = hook.function(subject)
                if isawaitable(answer):
                    await answer
            except Exception as error:  # noqa: BLE001  # Kept, and raised together once all have run.
                turn.keep(error)
            else:
                del outbox.queue[0]
