"""The few kinds that rules are rows of; each kind has one scalar reading, in `scalar` or in `history`."""

from __future__ import annotations

import attrs


@attrs.frozen
class InvalidField:
    """A field of another type or range than the wire allows."""

    fields: tuple[str, ...]
    """Which fields; empty: all that no other row names."""


@attrs.frozen
class MustBeSet:
    """A field is null where it should be set."""

    fields: tuple[str, ...]
    """Which fields."""

    statuses: tuple[str, ...] = ()
    """In which statuses; empty: in all, unknown ones too."""

    unless: tuple[str, ...] = ()
    """In all known statuses but these; instead of `statuses`."""


@attrs.frozen
class MustBeNull:
    """A field is set, a list not empty, or a number above zero, where it should not be."""

    fields: tuple[str, ...]
    """Which fields; `request_counts.total` is one of them."""

    statuses: tuple[str, ...] = ()
    """In which statuses; empty: in all that are not terminal."""

    unless: tuple[str, ...] = ()
    """In all known statuses but these; instead of `statuses`."""


@attrs.frozen
class UnknownStatus:
    """A status word that the lifecycle does not have."""


@attrs.frozen
class Limit:
    """Metadata beyond the documented size."""

    pairs_max: int
    key_chars_max: int
    value_chars_max: int


@attrs.frozen
class OwnStampMissing:
    """The present status has no stamp."""


@attrs.frozen
class ImpossibleStamps:
    """No walk passes all stamped statuses."""


@attrs.frozen
class SkippedStamp:
    """Every walk through the stamped statuses passes one without a stamp."""


@attrs.frozen
class StampOrder:
    """Of two set stamps, the one that comes first on every walk has the later second."""


@attrs.frozen
class TimeLimit:
    """A time is later than another one and its slack allow."""

    times: tuple[str, ...]
    """What must not be late."""

    limit: str
    """Later than what: a time field or `observed_at`."""

    slack_s: int | None = 0
    """By how much it may be late, in seconds; None: by the auditor's `skew_s`."""

    open_only: bool = False
    """True if only a known status that is not terminal is judged."""


@attrs.frozen
class DeadlineWindow:
    """The deadline is not the time of creation plus the completion window."""


@attrs.frozen
class IdTime:
    """The time inside the id is not the time of creation."""

    tolerance_s: int


@attrs.frozen
class CountsOverflow:
    """A count is negative, or more requests are done than there are."""


@attrs.frozen
class CountsUnfinished:
    """The batch is completed, and some requests are not."""


@attrs.frozen
class OutputMissing:
    """The batch is completed, some requests ended well, and no file holds them."""


@attrs.frozen
class IllegalMove:
    """A status after another that no strict walk, no walk, or only time running back explains."""


@attrs.frozen
class Immutable:
    """A field that was set has another value, or (where `null_counts`) none."""

    fields: tuple[str, ...]
    null_counts: bool


@attrs.frozen
class Monotonic:
    """A count went down, or the total changed."""


@attrs.frozen
class ChangedAfterEnd:
    """Something moved on after the end."""


# fmt: off
Kind = (
    InvalidField | MustBeSet | MustBeNull | UnknownStatus | Limit | OwnStampMissing | ImpossibleStamps | SkippedStamp
    | StampOrder | TimeLimit | DeadlineWindow
    | IdTime | CountsOverflow | CountsUnfinished | OutputMissing | IllegalMove | Immutable | Monotonic | ChangedAfterEnd
)
