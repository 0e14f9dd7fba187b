"""The time of an observation where the server's clock is ahead of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.snapshot import ROW_FIELDS, SnapshotRow

SKEW_S: Final = 60.0
"""Difference of clocks that rule T205 allows; seconds."""

_STAMPS: Final = tuple(ROW_FIELDS.index(name) for name in STAMP_FIELDS)


class ServerClock:
    """
    Dates observations by our clock, until the server proves that its own clock is ahead.

    The proof is a timestamp of a batch that lies in our future and not in the future of
    the response's `Date` header: batch and header then come from one clock. From then on
    that clock dates the observations, so that their order and the times in the batch
    agree. A timestamp in the future of the server itself is no proof, and remains T205.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ahead_s = 0.0

    def now(self, server_time: float | None) -> float:
        """
        Return the time of an observation; Unix seconds.

        Args:
            server_time: The `Date` header of its response; None if there is none.
        """
        if self._ahead_s and server_time is not None:
            self._ahead_s = server_time - self._clock()
            return server_time
        return self._clock() + self._ahead_s

    def learn(self, row: SnapshotRow, server_time: float | None) -> bool:
        """Return True if a batch and its response prove for the first time that the server's clock is ahead."""
        now = self._clock()
        if self._ahead_s or server_time is None or server_time <= now:
            return False
        latest = max((row[place] for place in _STAMPS if row[place] is not None), default=0)
        if not now + SKEW_S < latest <= server_time + SKEW_S:
            return False
        self._ahead_s = server_time - now
        return True
