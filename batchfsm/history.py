"""The one fold of snapshots into what is known of a batch, shared by the monitor and the auditor."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Final, Literal

import attrs

from batchfsm.dialects import Dialect
from batchfsm.finding import Finding, Place
from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.route import Router, Transition, router
from batchfsm.rules import RULES, SKEW_S, Judge, judge_of, listed
from batchfsm.rules.kinds import Kept
from batchfsm.snapshot import Snapshot
from batchfsm.topology import Move, topology

OnIllegal = Literal["adopt", "hold"]
"""What an illegal move does to the known status: it follows the server, or it stays."""

_COUNTS: Final = ("request_counts.total", "request_counts.completed", "request_counts.failed")
_KEPT: Final[Mapping[str, str]] = {
    name: rule.code for rule in RULES.values() if isinstance(rule.kind, Kept) for name in rule.kind.fields
}
_NULL_COUNTS: Final = frozenset(
    name
    for rule in RULES.values()
    if isinstance(rule.kind, Kept) and rule.kind.null_counts
    for name in rule.kind.fields
)
_FIELDS: Final = (*_KEPT, *_COUNTS)
_EVERY: Final = range(len(_FIELDS))
_flat = attrgetter(*_KEPT)
_UNSAID: Final = object()
_LAST_ROW: Final = ""

@attrs.define(eq=False)
class Track:
    """
    What is known of one batch; mutable, and nobody's but the fold's.

    In a healthy life the first value of a field is also its last, and the last row
    said something of every field. So only what differs from the last row is kept
    beside it: that is what keeps a batch small.
    """

    status: str | None = None
    """The known status; None before the first row whose status the lifecycle has."""

    entered: frozenset[str] = frozenset()
    """The statuses entered since birth, or since an adopted move."""

    legs: tuple[Leg, ...] = ()
    """The transitions emitted, without their times; one tuple for all batches that took the same way."""

    ats: tuple[int | None, ...] = ()
    """The times of `legs`."""

    row: tuple[Any, ...] | None = None
    """The values of the last live row, in the order of `_FIELDS`; None before any."""

    first: dict[str, Any] | None = None
    """First values, and highest counts, where the last live row has others."""

    given: dict[str, Any] | None = None
    """Last values of the fields that the last live row said nothing of."""

    observed_at: float | None = None
    """When the last live row was seen; Unix seconds."""

    errors: bytes | None = None
    """A digest of the last live row's `errors`; None if it had none."""

    places: dict[str, Place] | None = None
    """Where known values were learned and, under "", where the last live row stands; None in a monitor."""


@attrs.frozen
class Folded:
    """What one snapshot brought."""

    findings: list[Finding]
    transitions: list[Transition]
    move: Move | None
    """What its status said; None at first sight, and for a status the lifecycle does not have."""


@attrs.frozen
class _Change:
    """A field of a row, beside what is known of it."""

    name: str
    value: Any
    first: Any
    """The first value set, or the highest count; None before any."""
    last: Any
    """The last value given; `_UNSAID` before any."""


class Fold:
    """Folds the snapshots of one dialect, one at a time."""

    def __init__(self, dialect: Dialect, *, skew_s: float = SKEW_S, on_illegal: OnIllegal = "adopt") -> None:
        """Take the readings of the dialect's lifecycle together."""
        self._judge: Judge = judge_of(dialect, skew_s)
        self._router: Router = router(dialect)
        self._graph = topology(dialect.lifecycle)
        self._on_illegal = on_illegal
        self._shared: dict[object, Any] = {}

    def fold(self, track: Track, snapshot: Snapshot, place: Place | None = None) -> Folded:
        """
        Judge a snapshot against itself and against what is known, and learn from it.

        Args:
            track: What is known of its batch; changed.
            snapshot: The next one, in order of observation as far as the caller knows.
            place: Where it stands; then findings name places.
        """
        findings = self._judge.judge(snapshot)
        if place is not None:
            findings = [_placed(found, (place,)) for found in findings]
        row = _flat(snapshot) + _numbers(snapshot)
        status = snapshot.status if snapshot.status in self._graph.bit else None
        move = self._move(track, snapshot, status, row)
        changes = _changes(track, snapshot, row)
        errors = _digest(snapshot)
        if changes or move not in ("same", "step") or errors != track.errors:
            findings += self._history(track, snapshot, move, changes, place, errors)
        if move == "stale":
            # It repeats what is known, but for the identity, which a list may give and a retrieve leave out.
            changes = [change for change in changes if _KEPT.get(change.name) == "H503" and change.first is None]
            for change in changes:
                track.first = {**(track.first or {}), change.name: change.value}
            return Folded(findings, [], move)
        transitions = [] if status is None else self._enter(track, snapshot, status, move)
        _learn(track, snapshot, row, changes)
        track.row, track.observed_at = self._same(track.row, row), snapshot.observed_at
        if "errors" not in snapshot.bad:
            track.errors = errors
        if place is not None:
            _learn_places(track, changes, place)
        return Folded(findings, transitions, move)
