"""
The beaten ways: what one snapshot did to a batch, done again to each that comes the same way.

The fold is written to be right about everything, and nearly every snapshot is nothing much:
a step that thousands of batches took before, with the same fields set. So the fold is asked
once for each such step that brought no finding, and what is left to ask of the next snapshot
are the values: is what was set still the same, and do the rules that look at values stay silent?
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final

import attrs

from batchfsm.history.track import COMMON, Track, shared
from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.route import Leg, Transition
from batchfsm.rules.judging import Plan
from batchfsm.rules.kinds import IdTime, Ordered, Window
from batchfsm.rules.scalar import Look
from batchfsm.snapshot import COUNT_FIELDS, FLAT_FIELDS, Row, Snapshot
from batchfsm.topology import Topology

_WAYS_MAX: Final = 4096  # Healthy logs show a few dozen; a hostile one shall not grow the memory.
_FLAT: Final = len(FLAT_FIELDS)
_SIZE: Final = _FLAT + len(COUNT_FIELDS)
_BLANK: Final[Row] = (None,) * _SIZE
_READ: Final[dict[type, frozenset[str]]] = {
    Ordered: frozenset(STAMP_FIELDS),
    Window: frozenset({"created_at", "expires_at", "completion_window"}),
    IdTime: frozenset({"created_at"}),
}
"""What rules read that only kept fields can breach: silent once, they stay so until another one is set."""

_ANY: Final = frozenset({"any"})
"""Stands for what every row may have changed."""


@attrs.frozen(eq=False, kw_only=True)
class Way:
    """What a snapshot does to any batch of its pattern, but for values."""

    kept: Callable[[Row], Any]
    """Picks what has to be as it was."""

    counted: bool
    """True if the last row gave counts."""

    looks: tuple[Look, ...]
    """What has to be asked of the snapshot."""

    newest: Callable[[Row], Row]
    """Picks the new row out of the last one, this one and the status: what is kept stays the object it was."""

    words: tuple[int, ...]
    """Where words are new that many batches share."""

    status: tuple[str]
    """What it is in then, as a row of its own."""

    entered: frozenset[str]
    legs: tuple[Leg, ...]
    """All that the batch has taken afterwards."""

    steps: tuple[tuple[Leg, int | None], ...]
    """What it takes now, each with the place of its stamp in a row."""

    pattern: object

    def take(self, track: Track, snapshot: Snapshot, row: Row) -> tuple[Track, list[Transition]] | None:
        """Return the batch after a snapshot, and its transitions; None if the fold has to be asked."""
        last = track.row or _BLANK
        seen, seen_before = snapshot.observed_at, track.observed_at
        if self.kept(row) != self.kept(last) or (seen and seen_before and seen < seen_before):
            return None
        if self.counted and not (
            row[-2] >= last[-2] and row[-1] >= last[-1] and (row[-3] == last[-3] or last[-3] <= 0)
        ):
            return None
        for look in self.looks:
            if look(snapshot) is not None:
                return None
        row = self.newest(last + row + self.status)
        if self.words:
            row = shared(row, self.words)
        ats = track.ats
        transitions: list[Transition] = []
        for leg, place in self.steps:
            at = None if place is None else row[place]
            ats += (at,)
            transitions.append(leg.of(snapshot.id, at, snapshot))
        verdict = "consistent" if track.verdict == "undetermined" else track.verdict
        # By place: names would cost a tenth of an observation.
        after = Track(
            row[0], self.entered, self.legs, ats, False, row, None, None, seen, None, self.pattern, verdict,  # noqa: FBT003
        )  # fmt: skip
        return after, transitions


class Ways:
    """The beaten ways of one fold."""

    def __init__(self, graph: Topology, *, are_timeless: bool) -> None:
        """Know none yet; where times decide the route, as on a cycle, none is ever known."""
        self._graph = graph
        self._max = _WAYS_MAX if are_timeless else 0
        self._found: dict[object, Way] = {}
        self._grown: dict[object, tuple[tuple[Leg, ...], frozenset[str]]] = {}

    def grown(
        self, legs: tuple[Leg, ...], entered: frozenset[str], taken: tuple[Leg, ...], new: tuple[Leg, ...]
    ) -> tuple[tuple[Leg, ...], frozenset[str]]:
        """Return the legs and statuses of a batch after some more; one copy for all batches of one way."""
        key = (legs, entered, taken, new)
        if key not in self._grown:
            if len(self._grown) >= _WAYS_MAX:
                self._grown.clear()
            self._grown[key] = (legs + new, entered.union(leg.target for leg in taken))
        return self._grown[key]

    def key(self, track: Track, snapshot: Snapshot, row: Row, pattern: object) -> object:
        """Return all that the fold's answer depends on, but for values; None if there is more to it."""
        if pattern is None or track.adopted or track.first or track.given:
            return None
        if track.pattern is None and track.row is not None:
            return None
        # The legs tell the status and what was entered: only an adopted move comes without any.
        return (
            pattern,
            row[0],
            snapshot.observed_at is None,
            snapshot.metadata is None,
            track.pattern,
            track.legs,
        )

    def find(self, key: object) -> Way | None:
        """Return the way of a key, if one was beaten."""
        return self._found.get(key)

    def beat(self, key: object, before: Track, after: Track, row: Row, plan: Plan) -> None:
        """Remember what the fold made of a snapshot without findings, if it makes that of all with this key."""
        last = before.row or _BLANK
        kept = [index for index in range(1, _FLAT) if last[index] is not None]
        lost = any(row[index] is None for index in kept) or (last[-1] is not None and row[-1] is None)
        set_aside = after.first or after.given or before.status in self._graph.terminal
        if key is None or lost or set_aside or after.status != row[0] or len(self._found) >= self._max:
            return
        fresh = {name for name, old, new in zip(FLAT_FIELDS, last, row, strict=False) if old is None is not new}
        steps = after.legs[len(before.legs) :]
        self._found[key] = Way(
            kept=itemgetter(*kept) if kept else len,  # Rows are equally long.
            counted=last[-1] is not None,
            looks=tuple(look for rule, look in plan if not _READ.get(type(rule.kind), _ANY).isdisjoint(fresh | _ANY)),
            newest=itemgetter(2 * _SIZE, *(index if index in kept else _SIZE + index for index in range(1, _SIZE))),
            words=tuple(index for index in COMMON if index and FLAT_FIELDS[index] in fresh),
            status=(row[0],),
            entered=after.entered,
            legs=after.legs,
            steps=tuple((leg, self._place(leg)) for leg in steps),
            pattern=after.pattern,
        )

    def _place(self, leg: Leg) -> int | None:
        stamp = self._graph.stamp[leg.target]
        return None if stamp is None else FLAT_FIELDS.index(stamp)
