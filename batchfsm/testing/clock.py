"""Clocks of a fake API: one that tests move, and one that runs at a multiple of real time."""

from __future__ import annotations

import time
from threading import Lock
from typing import Final, Protocol

from batchfsm.arguments import check_time
from batchfsm.spans import parse_span

BEGINS_AT: Final = 1_760_000_000
"""Start of a virtual clock; Unix seconds. Fixed, so that a failing test fails in the same way tomorrow."""


class Clock(Protocol):
    """The source of time of a fake API."""

    def now(self) -> float:
        """Return the time; Unix seconds."""
        ...


class VirtualClock:
    """
    A clock that moves only when a test moves it; thread-safe.

    >>> clock = VirtualClock()
    >>> before = clock.now()
    >>> clock.advance("3h")
    >>> clock.now() - before
    10800.0
    """

    def __init__(self, begins_at: float = BEGINS_AT) -> None:
        check_time("begins_at", begins_at)
        self._now = float(begins_at)
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"VirtualClock({self._now!r})"

    def now(self) -> float:
        """Return the time; Unix seconds."""
        return self._now

    def advance(self, span: str | float) -> None:
        """Advance by seconds, or by text such as `3h`; time never runs back."""
        step_s = parse_span(span)
        with self._lock:
            self._now += step_s

    def sleep(self, span_s: float) -> None:
        """Advance at once, in place of `time.sleep`."""
        self.advance(span_s)

    async def sleep_async(self, span_s: float) -> None:
        """Advance at once, in place of `asyncio.sleep`."""
        self.advance(span_s)


class SpeedClock:
    """A clock that runs at a multiple of real time: at 3600, an hour passes in a second."""

    def __init__(self, speed: float = 1.0, *, begins_at: float | None = None) -> None:
        if not speed > 0:
            raise ValueError(f"the speed of a clock is above zero: {speed}")
        self.speed = speed
        self._begins_at = time.time() if begins_at is None else begins_at
        self._begun = time.monotonic()

    def now(self) -> float:
        """Return the time; Unix seconds."""
        return self._begins_at + (time.monotonic() - self._begun) * self.speed
