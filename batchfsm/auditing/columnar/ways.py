"""What batches went through, read off what the kernel knows of them, for a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from operator import itemgetter
from typing import Any, Final, Literal

import attrs
import numpy as np

from batchfsm.auditing.columnar.columns import ID_LOW, KEPT_FIELDS, LENIENT, NULL, UNKNOWN
from batchfsm.auditing.columnar.part import Hits, Part
from batchfsm.auditing.columnar.tables import BIT
from batchfsm.auditing.flow import CLEAN_MAX, SEVERITIES, TROUBLED_MAX, Gathering, rounded, stays
from batchfsm.lifecycle import STAMP_FIELDS, Severity
from batchfsm.route import router
from batchfsm.snapshot import Snapshot
from batchfsm.topology import topology

_ODD_WAYS: Final = sum(BIT[code] for code in ("P101", "P102", "P103", "H501", "H502", "H503", "H504"))
_STAMPS: Final = slice(KEPT_FIELDS.index(STAMP_FIELDS[0]), KEPT_FIELDS.index(STAMP_FIELDS[-1]) + 1)
_MINUTE_S: Final = 60
_CLEAN: Final = len(SEVERITIES)
"""Behind the severities: the rank of a batch without a finding."""
_NEVER: Final = np.iinfo(np.int64).max

Weight = Severity | Literal["off"]
"""What a rule weighs in a dialect."""

_Shown = tuple[int, int, Any]
"""A batch that is shown so far: its two ranks, and the numbers of its rows."""


@attrs.define(eq=False)
class Ways:
    """Gathers part by part, and knows which rows the scalar core has to read again."""

    gathering: Gathering
    weights: Mapping[str, Weight]
    """What each rule weighs; `off` for those that are silent."""
    retold: list[Any] = attrs.field(init=False, factory=list)
    """The numbers of the rows of each batch whose way the scalar core has to follow."""
    _troubled: list[_Shown] = attrs.field(init=False, factory=list)
    _clean: list[_Shown] = attrs.field(init=False, factory=list)

    def close(self, part: Part, odd: Any, hits: Hits) -> None:
        """
        Gather from a part.

        Args:
            part: Its batches, all rows judged.
            odd: By slot: is the batch the scalar core's? Those are passed over.
            hits: The rows of the other batches that breach something.
        """
        count, state = part.batches.count, part.batches.state
        worst, first = self._weigh(count, hits)
        statuses, stamps = state.status[:count], state.first[:count, _STAMPS]
        retold = self._find(statuses, stamps) & ~odd
        # A birth whose time came later has none; S001 is a hit wherever it is missing.
        late = hits.slots[hits.born == NULL]
        retold[late[stamps[late, 0] != NULL]] = True
        retold[hits.slots[hits.masks & _ODD_WAYS != 0]] = True
        self.retold += [rows.numbers for rows in part.histories(retold)]
        kept = ~odd & ~retold
        self._settle(statuses[kept], stamps[kept])
        troubled = kept & (worst < _CLEAN)
        self.gathering.troubled_count += int(np.count_nonzero(troubled))
        self._troubled = _nominated(part, self._troubled, troubled, (worst, first), TROUBLED_MAX)
        digests = state.keys[:count, ID_LOW]
        self._clean = _nominated(part, self._clean, kept & (worst == _CLEAN), (digests, first), CLEAN_MAX)

    @property
    def shown(self) -> list[Any]:
        """The numbers of the rows of each batch whose life is shown, and whose way is known."""
        return [numbers for _, _, numbers in (*self._troubled, *self._clean)]

    def _weigh(self, count: int, hits: Hits) -> tuple[Any, Any]:
        """Count findings; return of each batch the rank of the worst, and the number of the first row with one."""
        worst, first = np.full(count, _CLEAN, np.int64), np.full(count, _NEVER, np.int64)
        times = np.where(np.isnan(hits.seen), hits.born, hits.seen)
        for code, weight in self.weights.items():
            found = hits.masks & BIT[code] != 0
            if weight == "off" or code not in self.gathering.wanted or not found.any():
                continue
            np.minimum.at(first, hits.slots[found], hits.numbers[found])
            mild = found & (hits.masks & LENIENT.get(code, 0) != 0)
            milder: Severity = "warning" if weight == "error" else weight
            for severity, here in ((weight, found & ~mild), (milder, mild)):
                np.minimum.at(worst, hits.slots[here], SEVERITIES.index(severity))
                self._count(code, severity, times[here])
        return worst, first

    def _count(self, code: str, severity: Severity, times: Any) -> None:
        """Count findings minute by minute; a span of a chart is no shorter."""
        minutes, counts = np.unique(times // _MINUTE_S, return_counts=True)
        for minute, count in zip(minutes.tolist(), counts.tolist(), strict=True):
            self.gathering.count(code, severity, minute * _MINUTE_S if minute >= 0 else None, count)

    def _find(self, statuses: Any, stamps: Any) -> Any:
        """Return the batches whose way depends on the order in which the log told of their stamps."""
        found = np.zeros(len(statuses), np.bool_)
        for status, rows in _alike(statuses, stamps):
            if status != UNKNOWN and self._has_late(self._last(status, stamps[rows[0]])):
                found[rows] = True
        return found

    def _has_late(self, last: Snapshot) -> bool:
        """
        Tell whether a stamp may have come after a status behind it was seen, and no rule says so.

        A batch that was cancelling without `in_progress_at` came from validating. If that stamp comes
        later, it did not: to whoever followed, its way was another than to whoever sees the end only.
        """
        graph = topology(self.gathering.dialect.lifecycle)
        names = [
            str(stamp)
            for name, stamp in graph.stamp.items()
            if name not in (graph.lifecycle.initial, last.status) and getattr(last, str(stamp)) is not None
        ]
        # Those that are not there in any earlier look: each of the few sets of them.
        missing = (each for size in range(1, len(names) + 1) for each in combinations(names, size))
        return any(self._is_whole(_without(last, each)) for each in missing)

    def _is_whole(self, last: Snapshot) -> bool:
        """Tell whether a snapshot has the stamps of a way."""
        legs = router(self.gathering.dialect).legs(last, None, frozenset())
        return all(leg.evidence in ("observed", "stamped") for leg in legs[1:])

    def _last(self, code: int, stamps: Any) -> Snapshot:
        """Return what a snapshot would say that has a batch's status and stamps."""
        given: dict[str, Any] = {
            name: None if at == NULL else at for name, at in zip(STAMP_FIELDS, stamps.tolist(), strict=True)
        }
        return Snapshot("", self.gathering.dialect.lifecycle.statuses[code], **given)

    def _settle(self, statuses: Any, stamps: Any) -> None:
        """Take down batches that went as their stamps say."""
        for status, rows in _alike(statuses, stamps):
            if status != UNKNOWN:
                self._go(self._last(status, stamps[rows[0]]), stamps[rows])

    def _go(self, last: Snapshot, stamps: Any) -> None:
        """Take down batches that are in one status and have the same stamps."""
        legs = router(self.gathering.dialect).legs(last, None, frozenset())
        self.gathering.go(legs, len(stamps))
        self.gathering.stay_in(last.status, len(stamps))
        for left, entered, ended in stays(legs):
            begun, end = (self._column(stamps, legs[leg].target) for leg in (entered, ended))
            known = (begun != NULL) & (end != NULL) & (end >= begun)
            lasted, times = np.unique(end[known] - begun[known], return_counts=True)
            for seconds, count in zip(lasted.tolist(), times.tolist(), strict=True):
                self.gathering.stay(left, rounded(seconds), count)

    def _column(self, stamps: Any, status: str) -> Any:
        return stamps[:, STAMP_FIELDS.index(str(topology(self.gathering.dialect.lifecycle).stamp[status]))]


def _without(last: Snapshot, names: tuple[str, ...]) -> Snapshot:
    nulls: dict[str, Any] = dict.fromkeys(names)
    return attrs.evolve(last, **nulls)


def _alike(statuses: Any, stamps: Any) -> Iterator[tuple[int, Any]]:
    """Yield the batches that are in one status and have the same stamps set: few patterns, of many batches each."""
    width = len(STAMP_FIELDS)
    patterns = (np.maximum(statuses, UNKNOWN).astype(np.int64) << width) | ((stamps != NULL) @ (1 << np.arange(width)))
    order = np.argsort(patterns, kind="stable")
    found, begins = np.unique(patterns[order], return_index=True)
    yield from zip((found >> width).tolist(), np.split(order, begins[1:])[: len(found)], strict=True)


def _nominated(part: Part, before: list[_Shown], which: Any, ranks: tuple[Any, Any], most: int) -> list[_Shown]:
    """Return the batches of a kind that are shown so far: the first so many by their two ranks."""
    slots = np.flatnonzero(which)
    slots = slots[np.lexsort([rank[slots] for rank in reversed(ranks)])][:most]
    wanted = np.zeros(part.batches.count, np.bool_)
    wanted[slots] = True
    slots = np.flatnonzero(wanted)
    first, then = (rank[slots].tolist() for rank in ranks)
    fresh = zip(first, then, [rows.numbers for rows in part.histories(wanted)], strict=True)
    return sorted([*before, *fresh], key=itemgetter(0, 1))[:most]
