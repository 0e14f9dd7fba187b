"""
The kinds of rules: one class each.

A kind says which fields its rules read, when they can check, and when a violation could have been observed. How an
engine checks a kind stands with the engine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import attrs

from batchfsm.dialects import Dialect
from batchfsm.lifecycle import ALL_STAMP_FIELDS, ENDED_AT, Lifecycle
from batchfsm.snapshot import Snapshot

_NONE: Final = frozenset[str]()
_STAMPS: Final = frozenset(ALL_STAMP_FIELDS)
_COUNTS: Final = frozenset({"request_counts"})
_END_STAMPS: Final = ("completed_at", ENDED_AT)
"""The fields that may hold the end of a completed batch."""
_ID_WITH_TIME: Final = re.compile(r"batch_[0-9a-f]{32}")

History = Sequence[Snapshot]
"""The snapshots of one batch, in order of observation."""


class RuleKind:
    """The base of all kinds; its defaults are those of a rule that reads the status alone."""

    reads: frozenset[str] = _NONE
    """The fields that a violation depends on, beside the status."""

    needs_columns: frozenset[str] = _NONE
    """The fields that a table must have; of the others in `reads` it must have one."""

    needs_set: frozenset[str] = _NONE
    """The fields that some snapshot of a log must have set before silence means that the rule holds."""

    needs_history: bool = False
    """True if a rule compares a snapshot with those before it."""

    is_once_per_status: bool = False
    """True if a rule is reported once for each status of a batch, on the first snapshot that violates it."""

    @property
    def triggers(self) -> frozenset[str]:
        """The fields of which a later value can violate the rule where an earlier one did not."""
        return self.reads

    def can_check(self, available: frozenset[str]) -> bool:
        """Return True if a table with columns for these fields can show a violation."""
        others = self.reads - self.needs_columns
        return self.needs_columns <= available and (not others or not others.isdisjoint(available))

    def is_observable(self, history: History, dialect: Dialect) -> bool:
        """Return True if some snapshots of a batch could have shown a violation."""
        if self.needs_history:
            return any(self._could_show_after(before, after, dialect) for before, after in pairwise(history))
        return any(self._could_show(snapshot, dialect) for snapshot in history)

    def _could_show(self, _snapshot: Snapshot, _dialect: Dialect, /) -> bool:
        return True

    def _could_show_after(self, before: Snapshot, _after: Snapshot, _dialect: Dialect, /) -> bool:
        return any(getattr(before, name) is not None for name in self.reads)


@attrs.frozen
class InvalidField(RuleKind):
    """A field has another type or range than the wire allows."""

    fields: tuple[str, ...]
    """Which fields; empty: all that no other row names."""

    reads: frozenset[str] = attrs.field(init=False)

    @reads.default
    def _fields_read(self) -> frozenset[str]:
        return frozenset(self.fields)


@attrs.frozen
class MustBeSet(RuleKind):
    """A field is null where it should be set."""

    fields: tuple[str, ...]
    """Which fields."""

    statuses: tuple[str, ...] = ()
    """In which statuses; empty: in all, unknown ones too."""

    unless: tuple[str, ...] = ()
    """In all known statuses but these; instead of `statuses`."""

    reads: frozenset[str] = attrs.field(init=False)
    needs_columns: frozenset[str] = attrs.field(init=False)

    @reads.default
    def _fields_read(self) -> frozenset[str]:
        return frozenset(self.fields)

    @needs_columns.default
    def _columns_needed(self) -> frozenset[str]:
        return self.reads

    def scope(self, lifecycle: Lifecycle) -> frozenset[str | None]:
        """Return the statuses in which the fields are checked; None stands for an unknown status."""
        known = frozenset(lifecycle.statuses)
        if self.statuses:
            return known & {*self.statuses}
        return known - {*self.unless} if self.unless else known | {None}

    def _could_show(self, snapshot: Snapshot, dialect: Dialect, /) -> bool:
        known = snapshot.status if snapshot.status in dialect.lifecycle.statuses else None
        return known in self.scope(dialect.lifecycle)


@attrs.frozen
class MustBeNull(RuleKind):
    """A field is set, a list not empty, or a number above zero, where it should not be."""

    fields: tuple[str, ...]
    """Which fields; the numbers of `request_counts`, such as `request_counts.total`, are fields too."""

    statuses: tuple[str, ...] = ()
    """In which statuses; empty: in all that are not final."""

    unless: tuple[str, ...] = ()
    """In all known statuses but these; instead of `statuses`."""

    reads: frozenset[str] = attrs.field(init=False)
    needs_set: frozenset[str] = attrs.field(init=False)

    @reads.default
    def _fields_read(self) -> frozenset[str]:
        return frozenset(name.partition(".")[0] for name in self.fields)

    @needs_set.default
    def _set_fields_needed(self) -> frozenset[str]:
        return self.reads & _COUNTS

    def scope(self, lifecycle: Lifecycle) -> frozenset[str | None]:
        """Return the statuses in which the fields are checked."""
        known = frozenset(lifecycle.statuses)
        if self.statuses:
            return known & {*self.statuses}
        return known - ({*self.unless} if self.unless else lifecycle.terminal)

    def _could_show(self, snapshot: Snapshot, dialect: Dialect, /) -> bool:
        return snapshot.status in self.scope(dialect.lifecycle)


@attrs.frozen
class UnknownStatus(RuleKind):
    """The lifecycle does not have the status."""


@attrs.frozen
class Limit(RuleKind):
    """Metadata is beyond the documented size."""

    pairs_max: int
    key_chars_max: int
    value_chars_max: int

    reads = frozenset({"metadata"})

    def _could_show(self, snapshot: Snapshot, _: Dialect, /) -> bool:
        return bool(snapshot.metadata)


class _StampKind(RuleKind):
    """A kind that reads the stamps of statuses; those for which a table has columns are checked."""

    reads = _STAMPS

    def can_check(self, available: frozenset[str]) -> bool:
        """Return True if a table has a column for a stamp beside `created_at`."""
        return super().can_check(available - {"created_at"})


@attrs.frozen
class OwnStampMissing(_StampKind):
    """The present status has no stamp."""

    def _could_show(self, snapshot: Snapshot, dialect: Dialect, /) -> bool:
        return snapshot.status != dialect.lifecycle.initial


@attrs.frozen
class ImpossibleStamps(_StampKind):
    """No walk passes all statuses that have a stamp."""


@attrs.frozen
class SkippedStamp(_StampKind):
    """Every walk through the statuses that have a stamp passes one that has none."""

    def _could_show(self, snapshot: Snapshot, dialect: Dialect, /) -> bool:
        initial, steps = dialect.lifecycle.initial, dialect.lifecycle.steps
        return any(step.target == snapshot.status and step.source != initial for step in steps)


@attrs.frozen
class StampOrder(_StampKind):
    """Of two stamps, the one that comes first on every walk is later."""

    def _could_show(self, snapshot: Snapshot, _: Dialect, /) -> bool:
        return any(getattr(snapshot, name) is not None for name in ALL_STAMP_FIELDS[1:])


@attrs.frozen
class TimeLimit(RuleKind):
    """A time is later than another one and its slack allow."""

    times: tuple[str, ...]
    """The fields that must not be late."""

    limit: str
    """Later than which field: a time or `observed_at`."""

    slack_s: int | None = 0
    """By how much it may be late, in seconds; None: by the auditor's `skew_s`."""

    reads: frozenset[str] = attrs.field(init=False)
    needs_columns: frozenset[str] = attrs.field(init=False)
    needs_set: frozenset[str] = attrs.field(init=False)

    @reads.default
    def _fields_read(self) -> frozenset[str]:
        return frozenset((*self.times, self.limit))

    @needs_columns.default
    def _columns_needed(self) -> frozenset[str]:
        return frozenset({self.limit})

    @needs_set.default
    def _set_fields_needed(self) -> frozenset[str]:
        # A stamp may be missing because no batch came so far; a deadline and a clock are expected of every log.
        return self.reads & {"expires_at", "observed_at"}

    @property
    def triggers(self) -> frozenset[str]:
        """All fields but the time of observation, which only grows: a stamp that was in the past stays there."""
        return self.reads - {"observed_at"}

    def _could_show(self, snapshot: Snapshot, _: Dialect, /) -> bool:
        has_time = any(getattr(snapshot, name) is not None for name in self.times)
        return has_time and getattr(snapshot, self.limit) is not None


@attrs.frozen
class OpenAfterDeadline(RuleKind):
    """A status that is not final is observed long after the deadline."""

    slack_s: int
    """How long after it; seconds."""

    reads = frozenset({"observed_at", "expires_at"})
    needs_columns = reads
    needs_set = reads
    is_once_per_status = True

    def _could_show(self, snapshot: Snapshot, dialect: Dialect, /) -> bool:
        return snapshot.status not in dialect.lifecycle.terminal and _is_observed_after(
            snapshot, "expires_at", self.slack_s
        )


@attrs.frozen
class StuckInStatus(RuleKind):
    """A status is observed for longer than the dialect's bound for it, `stuck_after_s`."""

    reads = frozenset({"observed_at", *ALL_STAMP_FIELDS})
    needs_columns = frozenset({"observed_at"})
    needs_set = needs_columns
    is_once_per_status = True

    def _could_show(self, snapshot: Snapshot, dialect: Dialect, /) -> bool:
        stamps = {state.name: state.stamp for state in dialect.lifecycle.states}
        stamp, bound_s = stamps.get(snapshot.status), dialect.stuck_after_s.get(snapshot.status)
        return stamp is not None and bound_s is not None and _is_observed_after(snapshot, stamp, bound_s)


@attrs.frozen
class DeadlineWindow(RuleKind):
    """The deadline is not the time of creation plus the completion window."""

    reads = frozenset({"created_at", "expires_at", "completion_window"})
    needs_columns = reads
    needs_set = reads

    def _could_show(self, snapshot: Snapshot, _: Dialect, /) -> bool:
        return snapshot.expires_at is not None and snapshot.completion_window is not None


@attrs.frozen
class IdTime(RuleKind):
    """The time inside the id is not the time of creation."""

    tolerance_s: int

    reads = frozenset({"id", "created_at"})
    needs_columns = reads
    needs_set = reads

    def _could_show(self, snapshot: Snapshot, _: Dialect, /) -> bool:
        return _ID_WITH_TIME.fullmatch(snapshot.id) is not None


@attrs.frozen
class CountsOverflow(RuleKind):
    """A count is negative, or more requests are done than there are."""

    reads = _COUNTS
    needs_set = _COUNTS

    def _could_show(self, snapshot: Snapshot, _: Dialect, /) -> bool:
        return snapshot.request_counts is not None


@attrs.frozen
class CountsUnfinished(RuleKind):
    """A completed batch has requests that are not done."""

    reads = _COUNTS
    needs_set = _COUNTS

    def _could_show(self, snapshot: Snapshot, _: Dialect, /) -> bool:
        return snapshot.status == "completed"


@attrs.frozen
class OutputMissing(RuleKind):
    """A completed batch has requests that succeeded, and no output file."""

    kept_s: int
    """How long after the end a file is kept; seconds. Later it may be gone."""

    reads = frozenset({"request_counts", "output_file_id", "observed_at", *_END_STAMPS})
    needs_columns = frozenset({"request_counts", "output_file_id"})
    needs_set = _COUNTS

    def _could_show(self, snapshot: Snapshot, dialect: Dialect, /) -> bool:
        counts = snapshot.request_counts
        is_kept = not is_observed_after_end(snapshot, dialect.lifecycle, self.kept_s)
        return snapshot.status == "completed" and counts is not None and bool(counts.completed) and is_kept


@attrs.frozen
class UnexpectedErrorFile(RuleKind):
    """A completed batch has no request that failed, and an error file."""

    reads = frozenset({"request_counts", "error_file_id"})
    needs_columns = reads
    needs_set = _COUNTS

    def _could_show(self, snapshot: Snapshot, _: Dialect, /) -> bool:
        counts = snapshot.request_counts
        return snapshot.status == "completed" and counts is not None and counts.failed == 0


@attrs.frozen
class IllegalMove(RuleKind):
    """A status follows another that no strict walk, no walk, or only an earlier view explains."""

    is_from_final: bool = False
    """True if only a move out of a final status is a violation."""

    needs_history = True

    def _could_show_after(self, before: Snapshot, after: Snapshot, dialect: Dialect, /) -> bool:
        return before.status in dialect.lifecycle.terminal if self.is_from_final else before.status != after.status


@attrs.frozen
class Immutable(RuleKind):
    """A field that was set has another value, or (where `null_counts`) none."""

    fields: tuple[str, ...]
    null_counts: bool

    kept_s: int | None = None
    """How long after the end the values are kept; seconds. A later null is no violation. None: for ever."""

    reads: frozenset[str] = attrs.field(init=False)
    needs_history = True

    @reads.default
    def _fields_read(self) -> frozenset[str]:
        return frozenset(self.fields)


@attrs.frozen
class Monotonic(RuleKind):
    """A count fell, or the total changed."""

    reads = _COUNTS
    needs_history = True


@attrs.frozen
class ChangedAfterEnd(RuleKind):
    """A count, a stamp or `errors` changed after the end."""

    reads = (_STAMPS - {"created_at"}) | {"request_counts", "errors"}
    needs_history = True

    def _could_show_after(self, before: Snapshot, _after: Snapshot, dialect: Dialect, /) -> bool:
        return before.status in dialect.lifecycle.terminal


def is_observed_after_end(snapshot: Snapshot, lifecycle: Lifecycle, slack_s: float) -> bool:
    """Return True if a snapshot of an ended batch was observed later than the stamp of its end and some seconds."""
    for state in lifecycle.states:
        if state.name == snapshot.status:
            return state.terminal and state.stamp is not None and _is_observed_after(snapshot, state.stamp, slack_s)
    return False


def _is_observed_after(snapshot: Snapshot, field: str, slack_s: float) -> bool:
    """Return True if a snapshot was observed later than the time in a field and some seconds."""
    observed_at, limit = snapshot.observed_at, getattr(snapshot, field)
    return observed_at is not None and limit is not None and observed_at > limit + slack_s
