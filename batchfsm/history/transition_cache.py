"""
Cached transitions: the effect of one row on a batch, applied again to each row that comes to a like batch.

The fold is written to be right about everything, and nearly every row is nothing much: a step
that thousands of batches took before, with the same fields set, or a count that went up. So the
fold is asked once for each such step that brought no finding. Of the next row only the values
are left to compare: is what was set still the same, and do the rules that read values stay silent?
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final

import attrs

from batchfsm.finding import LogPosition
from batchfsm.history.batch_record import COMMON, COUNTS, NEVER, WATCHED, BatchRecord, digest, word
from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.route import RouteStep
from batchfsm.rules.engine import Plan
from batchfsm.rules.kinds import (
    CountsOverflow,
    CountsUnfinished,
    DeadlineWindow,
    IdTime,
    Kind,
    Limit,
    OutputMissing,
    StampOrder,
    TimeLimit,
)
from batchfsm.rules.quick_checks import QuickCheck
from batchfsm.rules.scalar import SnapshotCheck
from batchfsm.snapshot import COUNT_FIELDS, ROW_FIELDS, SnapshotRow
from batchfsm.topology import Topology
from batchfsm.wire import ParsedRow, TypePattern

_TRANSITIONS_MAX: Final = 4096  # Healthy logs show a few dozen; a hostile one shall not grow the memory.
_FLAT: Final = len(ROW_FIELDS)
_SIZE: Final = _FLAT + len(COUNT_FIELDS)
_BLANK: Final[SnapshotRow] = (None,) * _SIZE


def _reads(kind: Kind) -> frozenset[str]:
    """Return the fields that can make a rule of a kind break; `any` for the kinds whose fields are not listed here."""
    if isinstance(kind, TimeLimit):
        # The time of observation only grows: with the same stamps, what was not in the future is not now.
        return frozenset(kind.times if kind.limit == "observed_at" else (*kind.times, kind.limit))
    if isinstance(kind, CountsOverflow | CountsUnfinished | OutputMissing):
        return frozenset({"request_counts"})
    return _READS.get(type(kind), frozenset({"any"}))


_READS: Final[dict[type, frozenset[str]]] = {
    StampOrder: frozenset(STAMP_FIELDS),
    DeadlineWindow: frozenset({"created_at", "expires_at", "completion_window"}),
    IdTime: frozenset({"created_at"}),
    Limit: frozenset({"metadata"}),
}
_NOT_KEPT: Final = frozenset({"any", "metadata", "observed_at"})
"""The fields that may be different though a row has the values of the last one."""


@attrs.frozen(eq=False, kw_only=True)
class CachedTransition:
    """The effect of a row on any batch of one pattern, but for values."""

    immutable: Callable[[SnapshotRow], Any] | None
    """Picks the values that must be as they were; None if no field is new: then all but the counts must."""

    is_repeat: bool
    """True if no value may have changed: the batch had ended."""

    counted: bool
    """True if the last row gave counts."""

    checks: tuple[tuple[QuickCheck, SnapshotCheck], ...]
    """The rules that read values; the second one decides where the first one is not sure."""

    merge: Callable[[SnapshotRow], SnapshotRow]
    """Picks the new row out of the last one, this one, the status and `words`: equal values stay the same objects."""

    words: Callable[[SnapshotRow], tuple[str, ...]]
    """Picks the new words that many batches share."""

    learned: tuple[tuple[int, str], ...]
    """The fields whose place is remembered if they change, each with its index in a row."""

    status: tuple[str]
    """The status afterwards, as a row of its own."""

    entered: frozenset[str]
    """The statuses entered by then."""

    legs: tuple[RouteStep, ...]
    """All transitions of the batch by then."""

    steps: tuple[RouteStep, ...]
    """The transitions of this row."""

    times: Callable[[SnapshotRow], tuple[int | None, ...]]
    """Picks the stamps of `steps`."""

    pattern: TypePattern
    """The types of the row."""

    def apply(self, track: BatchRecord, parsed: ParsedRow, place: LogPosition | None) -> bool:
        """
        Change a batch as a row changes it.

        Returns:
            False, and nothing is changed, if the fold has to do it.
        """
        last, row = track.row or _BLANK, parsed.row
        errors = None if parsed.errors is None else digest(parsed.errors)
        if not self._fits(track, parsed, last, errors):
            return False
        for is_silent, look in self.checks:
            if not is_silent(parsed) and look(parsed.snapshot) is not None:
                return False
        if place is not None:
            track.places = places = track.places or {}
            for index, name in self.learned:
                if row[index] != last[index]:
                    places[name] = place
            places[""] = place
        track.observed_at, track.errors = parsed.observed_at, errors
        if self.is_repeat:
            return True
        if self.immutable is None:
            track.row = last[:_FLAT] + row[_FLAT:]
            return True
        track.row = self.merge(last + row + self.status + tuple(map(word, self.words(row))))
        track.ats += self.times(row)
        track.status, track.entered, track.legs, track.pattern = self.status[0], self.entered, self.legs, self.pattern
        if track.verdict == "undetermined":
            track.verdict = "consistent"
        return True

    def _fits(self, track: BatchRecord, parsed: ParsedRow, last: SnapshotRow, errors: bytes | None) -> bool:
        """Tell whether the values of a row are what they may be after those of the last one."""
        row, seen, seen_before = parsed.row, parsed.observed_at, track.observed_at
        if seen is not None and track.row is not None and (seen_before is None or seen < seen_before):
            return False
        if self.is_repeat:
            return row == last and track.errors in (errors, NEVER)
        if row[:_FLAT] != last[:_FLAT] if self.immutable is None else self.immutable(row) != self.immutable(last):
            return False
        if not self.counted:
            return True
        return bool(row[-2] >= last[-2] and row[-1] >= last[-1] and (row[-3] == last[-3] or last[-3] <= 0))


class TransitionCache:
    """The cached transitions of one fold."""

    def __init__(self, graph: Topology, *, are_timeless: bool) -> None:
        """Begin empty; where times decide the route, as on a cycle, nothing is ever cached."""
        self._graph = graph
        self._max = _TRANSITIONS_MAX if are_timeless else 0
        self._found: dict[object, CachedTransition] = {}
        self._extended: dict[object, tuple[tuple[RouteStep, ...], frozenset[str]]] = {}

    def extended(
        self,
        legs: tuple[RouteStep, ...],
        entered: frozenset[str],
        taken: tuple[RouteStep, ...],
        new: tuple[RouteStep, ...],
    ) -> tuple[tuple[RouteStep, ...], frozenset[str]]:
        """Return the legs and statuses of a batch after some more; one copy for all batches that took the same."""
        key = (legs, entered, taken, new)
        if key not in self._extended:
            if len(self._extended) >= _TRANSITIONS_MAX:
                self._extended.clear()
            self._extended[key] = (legs + new, entered.union(leg.target for leg in taken))
        return self._extended[key]

    def find(self, track: BatchRecord, parsed: ParsedRow) -> CachedTransition | None:
        """Return the cached transition of a batch and its next row, if there is one."""
        return self._found.get(_key(track, parsed))

    def add(self, before: BatchRecord, after: BatchRecord, parsed: ParsedRow, plan: Plan) -> None:
        """Cache what the fold made of a row without findings, if it makes the same of every row with this key."""
        key = _key(before, parsed)
        if key is None:
            return
        last, row = before.row or _BLANK, parsed.row
        kept = [index for index in range(1, _FLAT) if last[index] is not None]
        lost = any(row[index] is None for index in kept) or (last[-1] is not None and row[-1] is None)
        is_repeat = before.status in self._graph.terminal
        if (
            parsed.pattern is None or lost or after.first or after.given or after.status != row[0]
            or (is_repeat and row != last) or _is_partial(last) or _is_partial(row) or len(self._found) >= self._max
        ):  # fmt: skip
            return
        fresh = {name for name, old, new in zip(ROW_FIELDS, last, row, strict=False) if old is None is not new}
        asked = fresh | _NOT_KEPT | (set() if is_repeat else {"request_counts"})
        words = [index for index in COMMON if index and ROW_FIELDS[index] in fresh]
        steps = after.legs[len(before.legs) :]
        sources = [
            2 * _SIZE,  # The status.
            *(
                index if index in kept else 2 * _SIZE + 1 + words.index(index) if index in words else _SIZE + index
                for index in range(1, _SIZE)
            ),
        ]
        self._found[key] = CachedTransition(
            immutable=None if before.row and not fresh and not steps else itemgetter(*kept) if kept else len,
            is_repeat=is_repeat,
            counted=last[-1] is not None,
            checks=tuple((quick, look) for rule, look, quick in plan if not _reads(rule.kind).isdisjoint(asked)),
            merge=itemgetter(*sources),
            words=_picker(words),
            learned=()
            if before.row is None or is_repeat
            else tuple(each for each in WATCHED if each[1] in fresh | COUNTS),
            status=(row[0],),
            entered=after.entered,
            legs=after.legs,
            steps=steps,
            times=_picker([self._place(leg) for leg in steps]),
            pattern=parsed.pattern,
        )

    def _place(self, leg: RouteStep) -> int | None:
        stamp = self._graph.stamp[leg.target]
        return None if stamp is None else ROW_FIELDS.index(stamp)


def _picker(places: list[int | None] | list[int]) -> Callable[[SnapshotRow], tuple[Any, ...]]:
    """Return what picks values of a row as a tuple; None stands for no place, and picks None."""
    spread = [place if place is not None else _SIZE for place in places]
    if _SIZE in spread:
        return lambda row: tuple([(*row, None)[place] for place in spread])
    if len(spread) > 1:
        return itemgetter(*spread)
    return itemgetter(slice(spread[0], spread[0] + 1) if spread else slice(0))


def _is_partial(row: SnapshotRow) -> bool:
    """Tell whether some counts are null and others are not: those cannot be compared one by one."""
    return 0 < row[_FLAT:].count(None) < len(COUNT_FIELDS)


def _key(track: BatchRecord, parsed: ParsedRow) -> object:
    """Return all that the fold's answer depends on, but for values; None if there is more to it."""
    if parsed.pattern is None or track.adopted or track.first or track.given:
        return None
    if track.pattern is None and track.row is not None:
        return None
    # The legs tell the status and what was entered: only an adopted move comes without any.
    return (
        parsed.pattern,
        parsed.row[0],
        parsed.observed_at is None,
        parsed.metadata is None,
        parsed.errors is None,
        track.pattern,
        track.legs,
    )
