"""What batches went through, read off what the kernel knows of them, for a report."""

from __future__ import annotations

from collections.abc import Mapping
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
        retold = np.zeros(count, np.bool_)
        retold[hits.slots[hits.masks & _ODD_WAYS != 0]] = True
        self.retold += part.groups(retold)
        kept = ~odd & ~retold
        self._settle(state.status[:count][kept], state.first[:count, _STAMPS][kept])
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

    def _settle(self, statuses: Any, stamps: Any) -> None:
        """Take down batches that went as their stamps say: few patterns, of many batches each."""
        bits = (stamps != NULL) @ (1 << np.arange(len(STAMP_FIELDS)))
        patterns = np.stack([np.maximum(statuses, UNKNOWN), bits], axis=1)
        found, places = np.unique(patterns, axis=0, return_inverse=True)
        for number, (code, _) in enumerate(found.tolist()):
            if code != UNKNOWN:
                self._go(self.gathering.dialect.lifecycle.statuses[code], stamps[places.ravel() == number])

    def _go(self, status: str, stamps: Any) -> None:
        """Take down batches that are in one status and have the same stamps."""
        given: dict[str, Any] = {
            name: None if at == NULL else at for name, at in zip(STAMP_FIELDS, stamps[0].tolist(), strict=True)
        }
        legs = router(self.gathering.dialect).legs(Snapshot("", status, **given), None, frozenset())
        self.gathering.go(legs, len(stamps))
        self.gathering.stay_in(status, len(stamps))
        for left, entered, ended in stays(legs):
            begun, end = (self._column(stamps, legs[leg].target) for leg in (entered, ended))
            known = (begun != NULL) & (end != NULL) & (end >= begun)
            lasted, times = np.unique(end[known] - begun[known], return_counts=True)
            for seconds, count in zip(lasted.tolist(), times.tolist(), strict=True):
                self.gathering.stay(left, rounded(seconds), count)

    def _column(self, stamps: Any, status: str) -> Any:
        return stamps[:, STAMP_FIELDS.index(str(topology(self.gathering.dialect.lifecycle).stamp[status]))]


def _nominated(part: Part, before: list[_Shown], which: Any, ranks: tuple[Any, Any], most: int) -> list[_Shown]:
    """Return the batches of a kind that are shown so far: the first so many by their two ranks."""
    slots = np.flatnonzero(which)
    slots = slots[np.lexsort([rank[slots] for rank in reversed(ranks)])][:most]
    wanted = np.zeros(part.batches.count, np.bool_)
    wanted[slots] = True
    slots = np.flatnonzero(wanted)
    first, then = (rank[slots].tolist() for rank in ranks)
    fresh = zip(first, then, part.groups(wanted), strict=True)
    return sorted([*before, *fresh], key=itemgetter(0, 1))[:most]
