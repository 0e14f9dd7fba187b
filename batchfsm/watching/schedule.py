"""Delays between the requests for a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import random
from types import MappingProxyType
from typing import Final

import attrs

from batchfsm.arguments import check_seconds

STALLED_AFTER_S: Final = 21_600.0
"""The default bound of a status for which the dialect has none."""

FAILURES_MAX: Final = 30
"""From here on one more failure in a row changes no delay."""

StallBounds = float | Mapping[str, float] | None
"""Seconds without a change after which a batch is stalled: for all statuses, for each status, or the defaults."""


def _positive(_: object, field: attrs.Attribute[float], value: float) -> None:
    check_seconds(field.name, value, is_positive=True)


def _read_only(bounds: StallBounds) -> StallBounds:
    return MappingProxyType(dict(bounds)) if isinstance(bounds, Mapping) else bounds


@attrs.frozen(kw_only=True)
class Schedule:
    """
    Delays between two requests for a batch.

    The delay is a share of the time that the batch has spent in its present status.
    So the end of a status is noticed late by at most this share of its duration, or
    by the shortest delay. With each new status the delay starts again from the shortest.
    """

    share: float = attrs.field(default=0.1, validator=_positive)
    """Share of the time in the present status; for list polls, of the age of the youngest batch."""

    delay_s_min: float = attrs.field(default=1.0, validator=_positive)
    """Shortest delay; seconds."""

    delay_s_max: float = attrs.field(default=60.0, validator=_positive)
    """Longest delay; seconds."""

    jitter: float = attrs.field(default=0.1)
    """Greatest share of a delay that is left out at random, so that pollers do not poll all at once; 0 to 1."""

    sweep_from: int = attrs.field(default=10)
    """From this number of open batches on, pages of `list` are read, for as long as that takes fewer requests."""

    stalled_after_s: StallBounds = attrs.field(default=None, converter=_read_only)
    """
    Seconds without a change of any field after which a batch is stalled.

    A number is for all statuses. A mapping has a number for each status; statuses that it
    leaves out, and None, have the dialect's bounds of T208, or six hours.
    """

    random: Callable[[], float] = random
    """Source of the jitter: returns 0 to 1."""

    @jitter.validator
    def _check_jitter(self, _: object, value: float) -> None:
        if not 0 <= value <= 1:
            raise ValueError(f"jitter is from 0 to 1, not {value!r}")

    @stalled_after_s.validator
    def _check_stall_bounds(self, _: object, bounds: StallBounds) -> None:
        if isinstance(bounds, Mapping):
            for status, seconds in bounds.items():
                check_seconds(f"stalled_after_s of {status}", seconds, is_positive=True)
        elif bounds is not None:
            check_seconds("stalled_after_s", bounds, is_positive=True)

    def __attrs_post_init__(self) -> None:
        """Refuse bounds that cross."""
        if self.delay_s_min > self.delay_s_max:
            raise ValueError(f"delay_s_min, {self.delay_s_min}, is above delay_s_max, {self.delay_s_max}")
        if self.sweep_from < 1:
            raise ValueError(f"sweep_from is 1 or more, not {self.sweep_from!r}")

    def delay_s(self, age_s: float, *, failures: int = 0) -> float:
        """
        Return the delay until the next request.

        Args:
            age_s: Seconds that the batch has been in its present status.
            failures: Number of failed requests in a row; each doubles the shortest delay.
        """
        backed_off = self.delay_s_min * 2.0 ** min(failures, FAILURES_MAX) if failures else 0.0
        delay_s = min(max(self.share * age_s, backed_off, self.delay_s_min), self.delay_s_max)
        return max(delay_s * (1 - self.jitter * self.random()), self.delay_s_min)

    def stall_bound_s(self, status: str | None, stuck_after_s: Mapping[str, int]) -> float:
        """
        Return the seconds without a change after which a batch in a status is stalled.

        Args:
            status: The known status; None if the batch was never seen.
            stuck_after_s: The dialect's bounds of T208.
        """
        bounds = self.stalled_after_s
        if isinstance(bounds, int | float):
            return bounds
        default = stuck_after_s.get(status or "", STALLED_AFTER_S)
        return default if bounds is None else bounds.get(status or "", default)
