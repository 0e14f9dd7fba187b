"""Executors of the watch loop's effects: in threads for `watch`, in tasks for `awatch`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from inspect import isawaitable
from math import inf
from threading import Event, Thread
from time import monotonic
from typing import Any, Final, Self

from batchfsm.watching.bounded_http import no_complete_response
from batchfsm.watching.effects import (
    ExecutorEffect,
    FetchFromSource,
    ListFromSource,
    ListPage,
    ObserveSnapshot,
    Redeliver,
    StartRetrieve,
    Wait,
    WakeUp,
)
from batchfsm.watching.responses import Transient
from batchfsm.webhook import HintQueue, Subscription

THREADS_MAX: Final = 50
"""Number of hanging requests of a plain client from which on no other is started."""

_WAIT_S_MAX: Final = 3600.0
"""Longest single wait of a thread: the platform refuses very long ones."""


class Executor:
    """
    Runs effects in the calling thread, except requests, each of which has a thread of its own.

    No call of a plain client can be cut off from outside: a server may send a byte a
    second for ever. So the calling thread waits for the thread of the request until the
    deadline, and then leaves it alone.
    """

    def __init__(
        self, fetcher: Any, monitor: Any, hints: HintQueue | None, sleep: Callable[[float], Any] | None
    ) -> None:
        self._fetcher, self._monitor, self._hints, self._sleep = fetcher, monitor, hints, sleep
        self._subscription: Subscription | None = None
        self._woken = Event()
        self._requests: dict[str, _Request] = {}
        self._started: list[_Request] = []
        """Requests whose threads are alive, those past their deadline included."""

    def __enter__(self) -> Self:
        """Subscribe to hints."""
        if self._hints is not None:
            self._subscription = self._hints.subscribe(self._waker())
        return self

    def __exit__(self, *_: object) -> None:
        """Unsubscribe from hints."""
        if self._hints is not None and self._subscription is not None:
            self._hints.unsubscribe(self._subscription)

    def run(self, effect: ExecutorEffect) -> Any:
        """Run one effect, and return its result; an awaitable one from an async executor."""
        match effect:
            case Wait():
                result = self._wait(effect.seconds)
            case StartRetrieve():
                result = self._start_retrieve(effect)
            case ListPage():
                result = self._list_page(effect)
            case FetchFromSource():
                result = self._fetcher.fetch(effect.ids, effect.timeout_s)
            case ListFromSource():
                result = self._fetcher.list(effect.timeout_s)
            case ObserveSnapshot():
                result = self._monitor.observe(effect.row)
            case Redeliver():
                result = self._monitor.redeliver(now=effect.now)
            case _:
                result = effect.function(effect.subject)
        return result

    def _waker(self) -> Callable[[], object]:
        return self._woken.set

    def _start_retrieve(self, effect: StartRetrieve) -> Any:
        batch_id, timeout_s = effect.batch_id, effect.timeout_s
        self._requests[batch_id] = self._start(
            lambda: self._fetcher.retrieve(batch_id, timeout_s), timeout_s, self._woken
        )

    def _list_page(self, effect: ListPage) -> Any:
        done = Event()
        request = self._start(lambda: self._fetcher.list_page(effect), effect.timeout_s, done)
        done.wait(effect.timeout_s)
        return request.response()

    def _start(self, call: Callable[[], Any], timeout_s: float, done: Event) -> _Request:
        self._started = [each for each in self._started if not each.is_done]
        request = _Request(timeout_s)
        if len(self._started) < THREADS_MAX:
            request.start(call, done)
            self._started.append(request)
        else:
            request.refuse(f"{THREADS_MAX} requests still hang")
            done.set()
        return request

    def _wait(self, seconds: float) -> Any:
        if self._requests:
            return self._wait_for_response(seconds)
        if self._sleep is not None:
            self._sleep(seconds)
        elif self._subscription is None:
            time.sleep(seconds)
        else:
            self._woken.wait(seconds)
            self._woken.clear()
        return WakeUp(hints=self._drain_hints())

    def _wait_for_response(self, seconds: float) -> WakeUp:
        until = monotonic() + seconds
        while True:
            self._woken.clear()
            responses, hints = self._pop_responses(), self._drain_hints()
            wait_s = min(until, *(each.deadline for each in self._requests.values()), inf) - monotonic()
            if responses or hints or wait_s <= 0:
                return WakeUp(responses, hints)
            self._woken.wait(min(wait_s, _WAIT_S_MAX))

    def _pop_responses(self) -> tuple[tuple[str, Any], ...]:
        over = [batch_id for batch_id, each in self._requests.items() if each.is_over]
        return tuple((batch_id, self._requests.pop(batch_id).response()) for batch_id in over)

    def _drain_hints(self) -> tuple[str, ...]:
        return () if self._hints is None or self._subscription is None else self._hints.drain(self._subscription)


class _Request:
    """A request in a thread of its own."""

    def __init__(self, timeout_s: float) -> None:
        self.deadline = monotonic() + timeout_s
        self.is_done = False
        self._timeout_s = timeout_s
        self._response: Any = None
        self._error: BaseException | None = None

    def start(self, call: Callable[[], Any], done: Event) -> None:
        """Start the thread; `done` is set when the call has returned."""
        context = copy_context()

        def work() -> None:
            try:
                self._response = context.run(call)
            except BaseException as error:  # noqa: BLE001  # Raised again in the calling thread.
                self._error = error
            self.is_done = True
            done.set()

        Thread(target=work, name="batchfsm-request", daemon=True).start()

    def refuse(self, reason: str) -> None:
        """End the request without a call."""
        self._response, self.is_done = Transient(reason), True

    @property
    def is_over(self) -> bool:
        """True if the request has returned, or its deadline has passed."""
        return self.is_done or monotonic() >= self.deadline

    def response(self) -> Any:
        """Return the response; a failure if the deadline has passed without one."""
        if not self.is_done:
            return Transient(no_complete_response(self._timeout_s))
        if self._error is not None:
            raise self._error
        return self._response


class AsyncExecutor(Executor):
    """Runs effects in a task; requests are tasks of their own, and everything that takes time is awaited."""

    def __init__(
        self, fetcher: Any, monitor: Any, hints: HintQueue | None, sleep: Callable[[float], Awaitable[object]] | None
    ) -> None:
        super().__init__(fetcher, monitor, hints, sleep)
        self._news = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    async def aclose(self) -> None:
        """Cancel the requests that are under way."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _waker(self) -> Callable[[], object]:
        loop = asyncio.get_running_loop()
        return lambda: loop.call_soon_threadsafe(self._news.set)

    def _start_retrieve(self, effect: StartRetrieve) -> None:
        task = asyncio.create_task(self._fetcher.retrieve(effect.batch_id, effect.timeout_s))
        task.add_done_callback(lambda _: self._news.set())
        self._tasks[effect.batch_id] = task

    def _list_page(self, effect: ListPage) -> Any:
        return self._fetcher.list_page(effect)

    async def _wait(self, seconds: float) -> WakeUp:
        if self._tasks:
            return await self._wait_for_task(seconds)
        if self._sleep is not None:
            waiting = self._sleep(seconds)
            if not isawaitable(waiting):
                raise TypeError("sleep of awatch is like asyncio.sleep: it returns an awaitable")
            await waiting
        elif self._subscription is None:
            await asyncio.sleep(seconds)
        else:
            await self._wait_for_news(seconds)
            self._news.clear()
        return WakeUp(hints=self._drain_hints())

    async def _wait_for_task(self, seconds: float) -> WakeUp:
        until = monotonic() + seconds
        while True:
            self._news.clear()
            done = [batch_id for batch_id, task in self._tasks.items() if task.done()]
            responses = tuple((batch_id, self._tasks.pop(batch_id).result()) for batch_id in done)
            hints, wait_s = self._drain_hints(), until - monotonic()
            if responses or hints or wait_s <= 0:
                return WakeUp(responses, hints)
            await self._wait_for_news(wait_s)

    async def _wait_for_news(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(None if seconds == inf else seconds):
                await self._news.wait()
        except TimeoutError:
            pass  # Neither a response nor a hint came.
