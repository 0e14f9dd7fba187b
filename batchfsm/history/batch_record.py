"""
The record of one batch: its last live row, and the known values that this row does not have.

In a healthy batch the first value of a field is also its last, and every row reports every
field. So only values that differ from the last row are stored beside it: that keeps a
record small, and its comparison with the next row short.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import compress
from operator import ne
from typing import Any, Final

import attrs

from batchfsm.finding import LogPosition, Verdict
from batchfsm.history.append_only import AppendOnlySequence, append
from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.route import RouteStep, Transition
from batchfsm.rules import RULES
from batchfsm.rules.kinds import Immutable
from batchfsm.snapshot import (
    COUNT_FIELDS,
    ROW_FIELDS,
    BatchErrorEntry,
    RequestCounts,
    Snapshot,
    SnapshotRow,
    make_snapshot,
)

RULE_OF_IMMUTABLE_FIELD: Final[Mapping[str, str]] = {
    name: rule.code for rule in RULES.values() if isinstance(rule.kind, Immutable) for name in rule.kind.fields
}
"""The fields that must keep their first value, with the code of the rule that requires it."""

TOTAL_COUNT: Final = "request_counts.total"
DONE_COUNTS: Final = frozenset({"request_counts.completed", "request_counts.failed"})

NOT_REPORTED: Final = object()
"""The last value of a field that no row reported, not even as null."""

NO_ERRORS_REPORTED: Final = b""
"""The digest of `errors` before any row reported them."""

FIELDS: Final = (*ROW_FIELDS, *(f"request_counts.{name}" for name in COUNT_FIELDS))
"""The names of the values of a row."""

COUNT_NAMES: Final = DONE_COUNTS | {TOTAL_COUNT}

HISTORY_FIELDS: Final = tuple(
    (index, name) for index, name in enumerate(FIELDS) if name in RULE_OF_IMMUTABLE_FIELD or name in COUNT_NAMES
)
"""The fields that history rules read, with their index in a row."""
_INDEX: Final = {name: index for index, name in enumerate(FIELDS)}
_OTHER_FIELDS: Final = frozenset(FIELDS) - {name for _, name in HISTORY_FIELDS}
INTERNED_COLUMNS: Final = tuple(_INDEX[name] for name in ("status", "endpoint", "model", "completion_window"))
"""The columns whose words many batches share."""

SHARED_STEPS_MAX: Final = 32
"""The number of transitions up to which batches share one tuple of steps. Healthy batches have at most eight."""

_NULL_COUNTS: Final = frozenset(
    name
    for rule in RULES.values()
    if isinstance(rule.kind, Immutable) and rule.kind.null_counts
    for name in rule.kind.fields
)
"""The fields of which a null means that the value was lost."""


@attrs.frozen
class FieldChange:
    """A field whose value differs from the last one reported."""

    name: str
    value: Any
    first: Any
    """The first value set; for `completed` and `failed` the highest; None before any."""
    last: Any
    """The last value reported; `NOT_REPORTED` before any."""


@attrs.define(eq=False)
class BatchRecord:
    """The state of one batch, which only the fold changes."""

    status: str | None = None
    """The known status; None before the first row whose status the lifecycle has."""

    entered: frozenset[str] = frozenset()
    """The statuses entered since birth, or since an adopted move."""

    steps_taken: Sequence[RouteStep] = ()
    """The transitions emitted, without their times; batches with the same transitions share one tuple."""

    times: Sequence[int | None] = ()
    """The times of `steps_taken`."""

    adopted: bool = False
    """True once an illegal move was followed: then a route may come back to transitions that were emitted."""

    row: SnapshotRow | None = None
    """The values of the last live row; None before any."""

    first_values: dict[str, Any] | None = None
    """First values, and highest counts, where the last live row has others."""

    last_values: dict[str, Any] | None = None
    """Last values reported, where the last live row did not report a field."""

    observed_at: float | None = None
    """The time of the last live row; Unix seconds."""

    errors: bytes | None = NO_ERRORS_REPORTED
    """A digest of the last `errors`; None if they were null, `NO_ERRORS_REPORTED` before any row."""

    pattern: object = None
    """The types of the last row if it was live and brought no finding: then the same row again brings none."""

    verdict: Verdict = "undetermined"
    """The verdict on all rows so far."""

    reported: frozenset[tuple[str, str]] = frozenset()
    """The rules that are reported once for each status, with the statuses in which they were reported."""

    places: dict[str, LogPosition] | None = None
    """The positions of known values in a log and, under "", that of the last live row; None in a monitor."""

    emitted: AppendOnlySequence[tuple[str, int | None]] | None = None
    """The targets and times of `steps_taken` once they are more than `SHARED_STEPS_MAX`; then all three are
    append-only, so that a batch that never settles costs no more with each step."""

    def copy(self) -> BatchRecord:
        """Return a copy; `attrs.evolve` would take seven times as long."""
        return BatchRecord(
            self.status, self.entered, self.steps_taken, self.times, self.adopted, self.row, self.first_values,
            self.last_values, self.observed_at, self.errors, self.pattern, self.verdict, self.reported, self.places,
            self.emitted,
        )  # fmt: skip

    def is_monotonic_successor(self, row: SnapshotRow, invalid: Collection[str]) -> bool:
        """
        Return whether a row only adds to the last live one.

        Nearly every row does: fields are set for the first time, counts go up, no field is
        invalid, and every field that was reported before is reported again.
        """
        if self.row is None:
            return not invalid
        if invalid or self.first_values or self.last_values:
            return False
        for name in compress(FIELDS, map(ne, row, self.row)):
            if name in _OTHER_FIELDS:
                continue
            last, value = self.row[_INDEX[name]], row[_INDEX[name]]
            if _first(name, last) is not None and not (name in DONE_COUNTS and value is not None and value > last):
                return False
            if value is None:
                return False
        return True

    def changes(self, row: SnapshotRow, invalid: Collection[str]) -> list[FieldChange]:
        """Return the fields whose values differ from those of the last live row."""
        changes = []
        for index, name in HISTORY_FIELDS if self.row is not None else ():
            value, known = row[index], self.row[index]  # type: ignore[index]
            if value == known and not self.last_values:
                continue
            first, last = self._known(name, known)
            if value != last and _is_reported(name, value, invalid):
                changes.append(FieldChange(name, value, first, last))
        return changes

    def has_emitted(self, target: str, at: int | None) -> bool:
        """Return whether a transition was emitted with this target and time."""
        if self.emitted is not None:
            return (target, at) in self.emitted
        return any(
            step.target == target and then == at for step, then in zip(self.steps_taken, self.times, strict=True)
        )

    def append_steps(self, steps: Sequence[RouteStep], times: Sequence[int | None]) -> None:
        """Append to the transitions emitted, in constant time for each."""
        taken, past, emitted = self.steps_taken, self.times, self.emitted
        if emitted is None:
            emitted = AppendOnlySequence((step.target, at) for step, at in zip(taken, past, strict=True))
        self.steps_taken, self.times = append(taken, steps), append(past, times)
        self.emitted = append(emitted, [(step.target, at) for step, at in zip(steps, times, strict=True)])

    def transitions(self, batch_id: str) -> tuple[Transition[None], ...]:
        """Return the transitions emitted, without snapshots."""
        return tuple(step.of(batch_id, at) for step, at in zip(self.steps_taken, self.times, strict=True))

    def is_at_or_after(self, row: SnapshotRow) -> bool:
        """Return whether a row reports nothing newer than this record: no new field, no higher count."""
        if self.row is None:
            return self._has_emitted_stamps_of(row)
        for index, name in HISTORY_FIELDS:
            value = row[index]
            if value is None or RULE_OF_IMMUTABLE_FIELD.get(name) == "H503":
                continue
            first, _ = self._known(name, self.row[index])
            if name in DONE_COUNTS:
                if value > (first or 0):
                    return False
            elif value != first and not (name == TOTAL_COUNT and value == 0):
                return False
        return True

    def _has_emitted_stamps_of(self, row: SnapshotRow) -> bool:
        """Return whether each stamp of a row is the time of a transition; all that a reduced record knows."""
        stamps = (row[_INDEX[name]] for name in STAMP_FIELDS)
        return all(stamp is None or stamp in self.times for stamp in stamps)

    def update(self, row: SnapshotRow, invalid: Collection[str], *, is_monotonic_successor: bool) -> None:
        """
        Store a live row as the last one, and beside it the known values that it does not have.

        Args:
            row: The row.
            invalid: Its invalid fields.
            is_monotonic_successor: The result of the method of that name.
        """
        if self.row is None:
            self.last_values = {name: NOT_REPORTED for name in invalid if name in _NULL_COUNTS} or None
            self.row = with_interned_words(row)
            return
        if not is_monotonic_successor:
            self._keep_overridden_values(self.row, row, invalid)
        # Equal values stay the same objects, so that a batch has each of its values once.
        self.row = tuple(map(_previous_if_equal, self.row, row))

    def _keep_overridden_values(self, last_row: SnapshotRow, row: SnapshotRow, invalid: Collection[str]) -> None:
        """Store the known values that a new row does not have."""
        first_values: dict[str, Any] = {}
        last_values: dict[str, Any] = {}
        for index, name in HISTORY_FIELDS:
            value = row[index]
            known, last = self._known(name, last_row[index])
            is_reported = _is_reported(name, value, invalid)
            if is_reported and value is not None and name in DONE_COUNTS:
                known = value if known is None else max(known, value)
            if known is not None and known != value:
                first_values[name] = known
            if not is_reported and last is not None:
                last_values[name] = last
        self.first_values, self.last_values = first_values or None, last_values or None

    def update_identity(self, changes: Iterable[FieldChange]) -> None:
        """Store identity fields that a stale row is the first to have, such as an endpoint that only a list returns."""
        for change in changes:
            if RULE_OF_IMMUTABLE_FIELD.get(change.name) == "H503" and change.first is None:
                self.first_values = {**(self.first_values or {}), change.name: change.value}

    def update_places(self, changes: Iterable[FieldChange], place: LogPosition) -> None:
        """Store the position of the row for the values that it is the first to have."""
        places = self.places or {}
        for change in changes:
            if change.first is None or change.name in DONE_COUNTS:
                places[change.name] = place
        places[""] = place
        self.places = places

    def snapshot(self, batch_id: str) -> Snapshot | None:
        """Return the last live snapshot, without the fields that a record does not store."""
        if self.row is None:
            return None
        *flat, total, completed, failed = self.row
        counts = None if total is completed is failed is None else RequestCounts(total, completed, failed)
        return make_snapshot(batch_id, *flat, counts, observed_at=self.observed_at)

    def _known(self, name: str, value: Any) -> tuple[Any, Any]:
        """Return the first and the last value of a field; `value` is that of the last live row."""
        first = value if self.first_values is None else self.first_values.get(name, value)
        last = value if self.last_values is None else self.last_values.get(name, value)
        return _first(name, first), last


def digest(errors: tuple[BatchErrorEntry, ...]) -> bytes:
    """Return a digest of `errors`: they may be long, and a record only compares them."""
    from hashlib import blake2b  # noqa: PLC0415  # It loads OpenSSL, and few batches have errors.

    return blake2b(repr(errors).encode(), digest_size=16).digest()


def with_interned_words(row: SnapshotRow) -> SnapshotRow:
    """Return a row whose words in `INTERNED_COLUMNS` are shared by all batches."""
    interned = list(row)
    for index in INTERNED_COLUMNS:
        if interned[index] is not None:
            interned[index] = interned_word(interned[index])
    return tuple(interned)


@lru_cache(maxsize=1024)  # `sys.intern` would keep a hostile log's words for ever, from Python 3.12 on.
def interned_word(text: str) -> str:
    """Return the shared copy of a word."""
    return text


def _first(name: str, value: Any) -> Any:
    """Return a value if it can be a first one, else None: a total of 0 is not known yet."""
    return None if name == TOTAL_COUNT and value is not None and value <= 0 else value


def _previous_if_equal(last: Any, value: Any) -> Any:
    return last if last == value else value


def _is_reported(name: str, value: object, invalid: Collection[str]) -> bool:
    return name not in invalid and (value is not None or name in _NULL_COUNTS)


@attrs.frozen
class BatchTimeline:
    """The transitions of one batch, as a log proves them."""

    batch_id: str
    transitions: tuple[Transition[None], ...]
    """In the order in which the statuses were entered."""
    seen: frozenset[str]
    """The statuses that some snapshot had."""
    last: Snapshot
    """The last snapshot of the log."""
    status: str | None = None
    """The known status; None if the lifecycle has none of those seen."""
    returned_at: Mapping[int, int | None] = attrs.field(factory=dict)
    """
    The times at which the batch came back to an earlier status, which is no transition: Unix seconds, None if unknown.

    By the number of transitions before; a return that is not in it is dated by the last snapshot's stamp.
    """


def timeline_of(batch_id: str, record: BatchRecord) -> BatchTimeline:
    """Return the timeline of a batch with at least one row."""
    last = record.snapshot(batch_id)
    assert last is not None  # noqa: S101  # The first row is always live.
    seen = frozenset(step.target for step in record.steps_taken if step.evidence == "observed")
    return BatchTimeline(batch_id, record.transitions(batch_id), seen, last, record.status)
