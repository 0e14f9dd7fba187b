"""When to look at a batch again."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from random import random as roll
from typing import Final

import attrs

FAILURES_MAX: Final = 30
"""From here on one more failure in a row changes no delay."""


def _positive(_: object, field: attrs.Attribute[float], value: float) -> None:
    if not (isfinite(value) and value > 0):
        raise ValueError(f"{field.name} is a positive number, not {value!r}")


@attrs.frozen(kw_only=True)
class Schedule:
    """
    How long to wait between two looks.

    The delay is a share of the time that the batch has spent in its present status,
    so that a change is noticed late by a share of what it took. It begins anew with
    each status.
    """

    share: float = attrs.field(default=0.1, validator=_positive)
    """Of the time in the present status; when sweeping, of the age of the youngest batch."""

    delay_s_min: float = attrs.field(default=1.0, validator=_positive)
    """No shorter than this."""

    delay_s_max: float = attrs.field(default=60.0, validator=_positive)
    """No longer than this."""

    jitter: float = attrs.field(default=0.1)
    """Up to this share of a delay is left out by chance, so that many pollers do not keep step; 0 to 1."""

    sweep_from: int = attrs.field(default=10)
    """From so many open batches on, all are asked for at once, by pages of `list`; then while that is cheaper."""

    stalled_after_s: float = attrs.field(default=21_600.0, validator=_positive)
    """A batch of which no field has changed for so long is stalled."""

    random: Callable[[], float] = roll
    """What chance is drawn from: 0 to 1."""

    @jitter.validator
    def _check_jitter(self, _: object, value: float) -> None:
        if not 0 <= value <= 1:
            raise ValueError(f"jitter is from 0 to 1, not {value!r}")

    def __attrs_post_init__(self) -> None:
        """Refuse bounds that cross."""
        if self.delay_s_min > self.delay_s_max:
            raise ValueError(f"delay_s_min, {self.delay_s_min}, is above delay_s_max, {self.delay_s_max}")
        if self.sweep_from < 1:
            raise ValueError(f"sweep_from is 1 or more, not {self.sweep_from!r}")

    def delay_s(self, age_s: float, *, failures: int = 0) -> float:
        """
        Return how long to wait until the next look.

        Args:
            age_s: How long the batch has been in its present status.
            failures: How many looks in a row have failed; each doubles the least delay.
        """
        backed_off = self.delay_s_min * 2.0 ** min(failures, FAILURES_MAX) if failures else 0.0
        delay_s = min(max(self.share * age_s, backed_off, self.delay_s_min), self.delay_s_max)
        return max(delay_s * (1 - self.jitter * self.random()), self.delay_s_min)
