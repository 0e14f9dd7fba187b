"""
What is known of one batch: the last live row, and what it does not tell.

In a healthy life the first value of a field is also its last, and every row says something
of every field. So only what differs from the last row is kept beside it: that keeps a
batch small, and the comparison with the next row short.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import compress
from operator import ne
from typing import Any, Final

import attrs

from batchfsm.finding import LogPosition, Verdict
from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.route import RouteStep
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

KEPT: Final[Mapping[str, str]] = {
    name: rule.code for rule in RULES.values() if isinstance(rule.kind, Immutable) for name in rule.kind.fields
}
"""The fields that should stay as they were first set, with the rule that says so."""

TOTAL: Final = "request_counts.total"
DONE: Final = frozenset({"request_counts.completed", "request_counts.failed"})

UNSAID: Final = object()
"""The last value of a field of which no row said anything, not even null."""

NEVER: Final = b""
"""Stands for `errors` that no row told of."""

FIELDS: Final = (*ROW_FIELDS, *(f"request_counts.{name}" for name in COUNT_FIELDS))
"""What the values of a row are called."""

COUNTS: Final = DONE | {TOTAL}

WATCHED: Final = tuple((index, name) for index, name in enumerate(FIELDS) if name in KEPT or name in COUNTS)
"""The fields that history rules read, with their place in a row."""
_INDEX: Final = {name: index for index, name in enumerate(FIELDS)}
_UNWATCHED: Final = frozenset(FIELDS) - {name for _, name in WATCHED}
COMMON: Final = tuple(_INDEX[name] for name in ("status", "endpoint", "model", "completion_window"))
"""Where words stand that a million batches share."""

_NULL_COUNTS: Final = frozenset(
    name
    for rule in RULES.values()
    if isinstance(rule.kind, Immutable) and rule.kind.null_counts
    for name in rule.kind.fields
)
"""The fields of which a null says something: that it was lost."""


@attrs.frozen
class FieldChange:
    """A field whose value is another than the last one given."""

    name: str
    value: Any
    first: Any
    """The first value set; for `completed` and `failed` the highest; None before any."""
    last: Any
    """The last value given; `UNSAID` before any."""


@attrs.define(eq=False)
class BatchRecord:
    """What is known of one batch; mutable, and nobody's but the fold's."""

    status: str | None = None
    """The known status; None before the first row whose status the lifecycle has."""

    entered: frozenset[str] = frozenset()
    """The statuses entered since birth, or since an adopted move."""

    legs: tuple[RouteStep, ...] = ()
    """The transitions emitted, without their times; one tuple for all batches that took the same way."""

    ats: tuple[int | None, ...] = ()
    """The times of `legs`."""

    adopted: bool = False
    """True once an illegal move was followed: then a route may come back to what was emitted."""

    row: SnapshotRow | None = None
    """The plain values of the last live row; None before any."""

    first: dict[str, Any] | None = None
    """First values, and highest counts, where the last live row has others."""

    given: dict[str, Any] | None = None
    """Last values given, where the last live row said nothing of a field."""

    observed_at: float | None = None
    """When the last live row was seen; Unix seconds."""

    errors: bytes | None = NEVER
    """A digest of the last `errors`; None if there were none, `NEVER` before any row told."""

    pattern: object = None
    """What stands for the types of the last row, if it was live and brought no finding: then the same row again
    brings none."""

    verdict: Verdict = "undetermined"
    """What all rows so far amount to."""

    places: dict[str, LogPosition] | None = None
    """Where known values were learned and, under "", where the last live row stands; None in a monitor."""

    def copy(self) -> BatchRecord:
        """Return a copy; `attrs.evolve` would take seven times as long."""
        return BatchRecord(
            self.status, self.entered, self.legs, self.ats, self.adopted, self.row, self.first, self.given,
            self.observed_at, self.errors, self.pattern, self.verdict, self.places,
        )  # fmt: skip

    def goes_on(self, row: SnapshotRow, bad: Collection[str]) -> bool:
        """
        Tell whether a row only goes on from the last live one.

        That is nearly every row: fields set for the first time, counts gone up, nothing
        bad, and nothing that was said before left unsaid.
        """
        if self.row is None:
            return not bad
        if bad or self.first or self.given:
            return False
        for name in compress(FIELDS, map(ne, row, self.row)):
            if name in _UNWATCHED:
                continue
            last, value = self.row[_INDEX[name]], row[_INDEX[name]]
            if _first(name, last) is not None and not (name in DONE and value is not None and value > last):
                return False
            if value is None:
                return False
        return True

    def changes(self, row: SnapshotRow, bad: Collection[str]) -> list[FieldChange]:
        """Return what a row says otherwise than the last live one."""
        changes = []
        for index, name in WATCHED if self.row is not None else ():
            value, known = row[index], self.row[index]  # type: ignore[index]
            if value == known and not self.given:
                continue
            first, last = self._known(name, known)
            if value != last and _says(name, value, bad):
                changes.append(FieldChange(name, value, first, last))
        return changes

    def has_emitted(self, target: str, at: int | None) -> bool:
        """Tell whether a transition was emitted with this target and time."""
        return any(leg.target == target and then == at for leg, then in zip(self.legs, self.ats, strict=True))

    def covers(self, row: SnapshotRow) -> bool:
        """Tell whether a row is below what is known: it sets and counts nothing new."""
        if self.row is None:
            return self._has_emitted_stamps_of(row)
        for index, name in WATCHED:
            value = row[index]
            if value is None or KEPT.get(name) == "H503":
                continue
            first, _ = self._known(name, self.row[index])
            if name in DONE:
                if value > (first or 0):
                    return False
            elif value != first and not (name == TOTAL and value == 0):
                return False
        return True

    def _has_emitted_stamps_of(self, row: SnapshotRow) -> bool:
        """Return whether each stamp of a row is the time of a transition, or of a status without one."""
        times = {leg.target: at for leg, at in zip(self.legs, self.ats, strict=True) if at is not None}
        stamps = (row[_INDEX[name]] for name in STAMP_FIELDS)
        return all(stamp is None or stamp in times.values() for stamp in stamps)

    def learn(self, row: SnapshotRow, bad: Collection[str], *, goes_on: bool) -> None:
        """
        Take a live row for the last one, and keep beside it what it does not tell.

        Args:
            row: The row.
            bad: Its fields that say nothing.
            goes_on: As `goes_on` said of it.
        """
        if self.row is None:
            self.given = {name: UNSAID for name in bad if name in _NULL_COUNTS} or None
            self.row = shared(row, COMMON)
            return
        if not goes_on:
            self._set_aside(self.row, row, bad)
        # Equal values stay the objects they were: a batch then has each of its values once.
        self.row = tuple(map(_older, self.row, row))

    def _set_aside(self, last_row: SnapshotRow, row: SnapshotRow, bad: Collection[str]) -> None:
        """Keep what is known and a new row does not tell."""
        first: dict[str, Any] = {}
        given: dict[str, Any] = {}
        for index, name in WATCHED:
            value = row[index]
            known, last = self._known(name, last_row[index])
            said = _says(name, value, bad)
            if said and value is not None and name in DONE:
                known = value if known is None else max(known, value)
            if known is not None and known != value:
                first[name] = known
            if not said and last is not None:
                given[name] = last
        self.first, self.given = first or None, given or None

    def learn_identity(self, changes: Iterable[FieldChange]) -> None:
        """Take from a stale row what no row gave before: a list may tell the endpoint that a retrieve left out."""
        for change in changes:
            if KEPT.get(change.name) == "H503" and change.first is None:
                self.first = {**(self.first or {}), change.name: change.value}

    def learn_places(self, changes: Iterable[FieldChange], place: LogPosition) -> None:
        """Remember where values were learned."""
        places = self.places or {}
        for change in changes:
            if change.first is None or change.name in DONE:
                places[change.name] = place
        places[""] = place
        self.places = places

    def snapshot(self, batch_id: str) -> Snapshot | None:
        """Return the last live snapshot without what is not kept of it."""
        if self.row is None:
            return None
        *flat, total, completed, failed = self.row
        counts = None if total is completed is failed is None else RequestCounts(total, completed, failed)
        return make_snapshot(batch_id, *flat, counts, observed_at=self.observed_at)

    def _known(self, name: str, value: Any) -> tuple[Any, Any]:
        """Return the first and the last value of a field, given that of the last live row."""
        first = value if self.first is None else self.first.get(name, value)
        last = value if self.given is None else self.given.get(name, value)
        return _first(name, first), last


def digest(errors: tuple[BatchErrorEntry, ...]) -> bytes:
    """Return what stands for `errors` in memory: they may be long, and only their change matters."""
    return blake2b(repr(errors).encode(), digest_size=16).digest()


def shared(row: SnapshotRow, places: Iterable[int]) -> SnapshotRow:
    """Return a row whose words at some places are kept once for all batches."""
    fresh = list(row)
    for index in places:
        if fresh[index] is not None:
            fresh[index] = word(fresh[index])
    return tuple(fresh)


@lru_cache(maxsize=1024)  # `sys.intern` would keep a hostile log's words for ever, from Python 3.12 on.
def word(text: str) -> str:
    """Return the one copy of a word that many batches share."""
    return text


def _first(name: str, value: Any) -> Any:
    """Return a value if it can be a first one: a total of 0 is not known yet."""
    return None if name == TOTAL and value is not None and value <= 0 else value


def _older(last: Any, value: Any) -> Any:
    return last if last == value else value


def _says(name: str, value: object, bad: Collection[str]) -> bool:
    return name not in bad and (value is not None or name in _NULL_COUNTS)
