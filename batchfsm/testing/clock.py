"""The time a fake API lives in: one that tests move by hand, and one that runs at a multiple of the real."""

from __future__ import annotations

import re
import time
from threading import Lock
from typing import Final, Protocol

BEGINS_AT: Final = 1_760_000_000
"""When a virtual clock begins; Unix seconds. Fixed, so that a failing test fails alike tomorrow."""

_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PART: Final = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_SPAN: Final = re.compile(r"(?:\d{1,9}[smhd])+", re.ASCII)


def seconds(span: str | float) -> float:
    """
    Return a span of time in seconds.

    Args:
        span: Seconds, or text such as `90s`, `5m`, `1h30m`, `2d`.

    Raises:
        ValueError: If it is neither, or negative.

    >>> seconds("1h30m")
    5400
    """
    if isinstance(span, str):
        if _SPAN.fullmatch(span) is None:
            raise ValueError(f"{span!r} is no span of time; write 90s, 5m, 1h30m or 2d")
        return sum(int(number) * _UNIT_S[unit] for number, unit in _PART.findall(span))
    if not span >= 0:  # So written, it refuses NaN too.
        raise ValueError(f"a span of time is not negative: {span}")
    return span


class Clock(Protocol):
    """What a fake API asks for the time."""

    def now(self) -> float:
        """Return the time; Unix seconds."""
        ...


class VirtualClock:
    """
    A clock that stands still until it is told otherwise; thread-safe.

    >>> clock = VirtualClock()
    >>> before = clock.now()
    >>> clock.advance("3h")
    >>> clock.now() - before
    10800.0
    """

    def __init__(self, begins_at: float = BEGINS_AT) -> None:
        """Begin at a time, in Unix seconds."""
        self._now = float(begins_at)
        self._lock = Lock()

    def now(self) -> float:
        """Return the time; Unix seconds."""
        return self._now

    def advance(self, span: str | float) -> None:
        """Move on by seconds, or by text such as `3h`; time never runs back."""
        step_s = seconds(span)
        with self._lock:
            self._now += step_s

    def sleep(self, span_s: float) -> None:
        """Stand in for `time.sleep`: move on at once."""
        self.advance(span_s)

    async def asleep(self, span_s: float) -> None:
        """Stand in for `asyncio.sleep`: move on at once."""
        self.advance(span_s)


class SpeedClock:
    """A clock that runs at a multiple of the real one: an hour a second at 3600."""

    def __init__(self, speed: float = 1.0, *, begins_at: float | None = None) -> None:
        """Take the speed, above zero, and when to begin, in Unix seconds; None: now."""
        if not speed > 0:
            raise ValueError(f"the speed of a clock is above zero: {speed}")
        self.speed = speed
        self._begins_at = time.time() if begins_at is None else begins_at
        self._begun = time.monotonic()

    def now(self) -> float:
        """Return the time; Unix seconds."""
        return self._begins_at + (time.monotonic() - self._begun) * self.speed
