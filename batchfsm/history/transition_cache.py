"""
Cached transitions: the effect of one row on a batch, applied to other batches in the same state.

Most rows repeat a transition already seen with the same fields set, or raise a count. So the fold
computes each transition without findings once. Of the next such row only the values are checked:
fields that were set must be the same, and the rules that read values must find nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final

import attrs

from batchfsm.finding import LogPosition
from batchfsm.history.batch_record import (
    COUNT_NAMES,
    DONE_COUNTS,
    FIELDS,
    HISTORY_FIELDS,
    INTERNED_COLUMNS,
    NO_ERRORS_REPORTED,
    TOTAL_COUNT,
    BatchRecord,
    digest,
    interned_word,
)
from batchfsm.route import RouteStep
from batchfsm.rules.checks import SnapshotCheck
from batchfsm.rules.engine import CheckPlan
from batchfsm.rules.quick_checks import QuickCheck
from batchfsm.snapshot import COUNT_FIELDS, ROW_FIELDS, SnapshotRow
from batchfsm.topology import Topology
from batchfsm.wire import ParsedRow, TypePattern

_TRANSITIONS_MAX: Final = 4096  # Healthy logs have a few dozen; a hostile log must not grow the memory.
_FLAT: Final = len(ROW_FIELDS)
_SIZE: Final = _FLAT + len(COUNT_FIELDS)
_BLANK: Final[SnapshotRow] = (None,) * _SIZE
_TOTAL: Final = FIELDS.index(TOTAL_COUNT)
_DONE: Final = tuple(index for index, name in enumerate(FIELDS) if name in DONE_COUNTS)

_NOT_STORED: Final = frozenset({"errors", "metadata", "observed_at"})
"""The fields that a row does not hold: they may differ between two equal rows."""


@attrs.frozen(eq=False, kw_only=True)
class CachedTransition:
    """The effect of a row on each batch in one state, except for the values."""

    immutable_fields: Callable[[SnapshotRow], Any] | None
    """Selects the values that must equal those of the last row; None if no field is new: all except counts must."""

    is_repeat: bool
    """True if the batch had ended: then no value may have changed."""

    done_counts: tuple[int, ...]
    """The indices of `completed` and `failed` that the last row had: they must not fall."""

    has_total: bool
    """True if the last row had a total, which must not change once it is above zero."""

    value_checks: tuple[tuple[QuickCheck, SnapshotCheck], ...]
    """The rules that read values, each as a quick check and the exact one that decides if the quick one fails."""

    merge_row: Callable[[SnapshotRow], SnapshotRow]
    """Selects the new row from the last one, this one, the status and the interned words: equal values stay the same
    objects."""

    interned_columns: Callable[[SnapshotRow], tuple[str, ...]]
    """Selects the new words that many batches share."""

    placed_fields: tuple[tuple[int, str], ...]
    """The fields whose position in a log is stored if they change, each with its index in a row."""

    status: tuple[str]
    """The status afterwards, as a tuple."""

    entered: frozenset[str]
    """The statuses entered until then."""

    steps_taken: tuple[RouteStep, ...]
    """All transitions of the batch until then."""

    steps: tuple[RouteStep, ...]
    """The transitions of this row."""

    times: Callable[[SnapshotRow], tuple[int | None, ...]]
    """Selects the stamps of `steps`."""

    pattern: TypePattern
    """The types of the row."""

    def apply(self, record: BatchRecord, parsed: ParsedRow, place: LogPosition | None) -> bool:
        """
        Update a record by a row.

        Returns:
            False if the values of the row need the fold; the record is unchanged then.
        """
        last, row = record.row or _BLANK, parsed.row
        errors = None if parsed.errors is None else digest(parsed.errors)
        if not self._fits(record, parsed, last, errors):
            return False
        for passes, check in self.value_checks:
            if not passes(parsed) and check(parsed.snapshot) is not None:
                return False
        if place is not None:
            record.places = places = record.places or {}
            for index, name in self.placed_fields:
                if row[index] != last[index]:
                    places[name] = place
            places[""] = place
        record.observed_at, record.errors = parsed.observed_at, errors
        if self.is_repeat:
            return True
        if self.immutable_fields is None:
            record.row = last[:_FLAT] + row[_FLAT:]
            return True
        record.row = self.merge_row(last + row + self.status + tuple(map(interned_word, self.interned_columns(row))))
        record.times = (*record.times, *self.times(row))
        record.status, record.entered, record.steps_taken, record.pattern = (
            self.status[0],
            self.entered,
            self.steps_taken,
            self.pattern,
        )
        if record.verdict == "undetermined":
            record.verdict = "consistent"
        return True

    def _fits(self, record: BatchRecord, parsed: ParsedRow, last: SnapshotRow, errors: bytes | None) -> bool:
        """Return True if a row can follow the last one without violating a history rule."""
        row, seen, seen_before = parsed.row, parsed.observed_at, record.observed_at
        if seen is not None and record.row is not None and (seen_before is None or seen < seen_before):
            return False
        if self.is_repeat:
            return row == last and record.errors in (errors, NO_ERRORS_REPORTED)
        if (
            row[:_FLAT] != last[:_FLAT]
            if self.immutable_fields is None
            else self.immutable_fields(row) != self.immutable_fields(last)
        ):
            return False
        for index in self.done_counts:
            if row[index] < last[index]:
                return False
        return not self.has_total or row[_TOTAL] == last[_TOTAL] or last[_TOTAL] <= 0


class TransitionCache:
    """
    The cached transitions of one fold.

    Args:
        graph: The lifecycle.
        are_timeless: Whether routes do not depend on times, as they do on a cycle; else nothing is cached.
    """

    def __init__(self, graph: Topology, *, are_timeless: bool) -> None:
        self._graph = graph
        self._max = _TRANSITIONS_MAX if are_timeless else 0
        self._found: dict[object, CachedTransition] = {}
        self._extended: dict[object, tuple[tuple[RouteStep, ...], frozenset[str]]] = {}

    def extended(
        self,
        taken: tuple[RouteStep, ...],
        entered: frozenset[str],
        route: tuple[RouteStep, ...],
        new: tuple[RouteStep, ...],
    ) -> tuple[tuple[RouteStep, ...], frozenset[str]]:
        """Return the steps and statuses of a batch after a route; batches with the same ones share them."""
        key = (taken, entered, route, new)
        if key not in self._extended:
            if len(self._extended) >= _TRANSITIONS_MAX:
                self._extended.clear()
            self._extended[key] = (taken + new, entered.union(step.target for step in route))
        return self._extended[key]

    def find(self, record: BatchRecord, parsed: ParsedRow) -> CachedTransition | None:
        """Return the cached transition of a batch by its next row; None if there is none."""
        return self._found.get(_key(record, parsed))

    def add(self, before: BatchRecord, after: BatchRecord, parsed: ParsedRow, plan: CheckPlan) -> None:
        """Cache the transition by a row without findings, if it is the same for every row with this key."""
        key = _key(before, parsed)
        if key is None:
            return
        last, row = before.row or _BLANK, parsed.row
        set_before = [index for index in range(1, _FLAT) if last[index] is not None]
        lost = any(row[index] is None for index in set_before)  # A lost count is in `first_values` or `last_values`.
        is_repeat = before.status in self._graph.terminal
        if (
            parsed.pattern is None or lost or after.first_values or after.last_values or after.status != row[0]
            or (is_repeat and row != last) or not isinstance(after.steps_taken, tuple)
            or len(self._found) >= self._max
        ):  # fmt: skip
            return
        new_fields = {name for name, old, new in zip(ROW_FIELDS, last, row, strict=False) if old is None is not new}
        may_differ = new_fields | _NOT_STORED | (set() if is_repeat else {"request_counts"})
        interned = [index for index in INTERNED_COLUMNS if index and ROW_FIELDS[index] in new_fields]
        steps = after.steps_taken[len(before.steps_taken) :]
        sources = [
            2 * _SIZE,  # The status.
            *(
                index
                if index in set_before
                else 2 * _SIZE + 1 + interned.index(index)
                if index in interned
                else _SIZE + index
                for index in range(1, _SIZE)
            ),
        ]
        self._found[key] = CachedTransition(
            immutable_fields=None
            if before.row and not new_fields and not steps
            else itemgetter(*set_before)
            if set_before
            else len,
            is_repeat=is_repeat,
            done_counts=tuple(index for index in _DONE if last[index] is not None),
            has_total=last[_TOTAL] is not None,
            value_checks=tuple(
                (quick, check) for rule, check, quick in plan if not rule.kind.triggers.isdisjoint(may_differ)
            ),
            merge_row=itemgetter(*sources),
            interned_columns=_selector(interned),
            placed_fields=()
            if before.row is None or is_repeat
            else tuple(each for each in HISTORY_FIELDS if each[1] in new_fields | COUNT_NAMES),
            status=(row[0],),
            entered=after.entered,
            steps_taken=after.steps_taken,
            steps=steps,
            times=_selector([self._stamp_index(step) for step in steps]),
            pattern=parsed.pattern,
        )

    def _stamp_index(self, step: RouteStep) -> int | None:
        stamp = self._graph.stamp[step.target]
        return None if stamp is None else ROW_FIELDS.index(stamp)


def _selector(indices: list[int | None] | list[int]) -> Callable[[SnapshotRow], tuple[Any, ...]]:
    """Return a function that selects values of a row by index, as a tuple; for the index None it selects None."""
    found = [index if index is not None else _SIZE for index in indices]
    if _SIZE in found:
        return lambda row: tuple([(*row, None)[index] for index in found])
    if len(found) > 1:
        return itemgetter(*found)
    return itemgetter(slice(found[0], found[0] + 1) if found else slice(0))


def _key(record: BatchRecord, parsed: ParsedRow) -> object:
    """Return all that a transition depends on, except values; None if it depends on more, and cannot be cached."""
    if parsed.pattern is None or record.adopted or record.first_values or record.last_values:
        return None
    if record.pattern is None and record.row is not None:
        return None
    if not isinstance(record.steps_taken, tuple):
        return None
    # The steps determine the status and the statuses entered, unless a move was adopted.
    return (
        parsed.pattern,
        parsed.row[0],
        parsed.observed_at is None,
        parsed.metadata is None,
        parsed.errors is None,
        record.pattern,
        record.steps_taken,
    )
