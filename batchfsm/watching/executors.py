"""What carries out the commands of the loop: in a thread, or in a task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from threading import Event
from typing import Any, Self

from batchfsm.watching.effects import CallBack, Command, FetchBatches, ObserveSnapshot, Redeliver, Sleep
from batchfsm.webhook import HintQueue, Subscription


class Executor:
    """Carries out commands in the thread of whoever asks."""

    def __init__(self, looks: Any, monitor: Any, hints: HintQueue | None, sleep: Callable[[float], Any] | None) -> None:
        """Take together what the commands are about."""
        self._looks, self._monitor, self._hints, self._sleep = looks, monitor, hints, sleep
        self._listener: Subscription | None = None
        self._woken = Event()

    def __enter__(self) -> Self:
        """Begin to listen to hints."""
        if self._hints is not None:
            self._listener = self._hints.listen(self._waker())
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        if self._hints is not None and self._listener is not None:
            self._hints.leave(self._listener)

    def do(self, command: Command) -> Any:
        """Carry out one command, and return its answer; an awaitable one where the world is async."""
        if isinstance(command, FetchBatches):
            return self._looks.look(command.ids, is_sweep=command.is_sweep)
        if isinstance(command, ObserveSnapshot):
            return self._monitor.observe(command.row)
        if isinstance(command, Redeliver):
            return self._monitor.redeliver(now=command.now)
        if isinstance(command, CallBack):
            return command.function(command.subject)
        assert isinstance(command, Sleep)  # noqa: S101  # To hand over a transition is the generator's own.
        return self._wait(command.seconds)

    def _waker(self) -> Callable[[], object]:
        return self._woken.set

    def _wait(self, seconds: float) -> Any:
        if self._sleep is not None:
            self._sleep(seconds)
        elif self._listener is None:
            time.sleep(seconds)
        else:
            self._woken.wait(seconds)
            self._woken.clear()
        return self._hinted()

    def _hinted(self) -> tuple[str, ...]:
        return () if self._hints is None or self._listener is None else self._hints.take(self._listener)


class AsyncExecutor(Executor):
    """Carries out commands in a task; what takes time is awaited."""

    def __init__(
        self, looks: Any, monitor: Any, hints: HintQueue | None, sleep: Callable[[float], Awaitable[object]] | None
    ) -> None:
        """Take together what the commands are about."""
        super().__init__(looks, monitor, hints, sleep)
        self._news = asyncio.Event()

    def _waker(self) -> Callable[[], object]:
        loop = asyncio.get_running_loop()
        return lambda: loop.call_soon_threadsafe(self._news.set)

    async def _wait(self, seconds: float) -> tuple[str, ...]:
        if self._sleep is not None:
            await self._sleep(seconds)
        elif self._listener is None:
            await asyncio.sleep(seconds)
        else:
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                pass  # No hint came: it is time to look all the same.
            self._news.clear()
        return self._hinted()
