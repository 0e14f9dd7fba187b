"""What batches went through, read off what the kernel knows of them, for a report."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

import attrs
import numpy as np

from batchfsm.auditing.columnar.columns import KEPT_FIELDS, LENIENT, NULL
from batchfsm.auditing.columnar.part import Part
from batchfsm.auditing.columnar.tables import BIT
from batchfsm.auditing.flow import CLEAN_MAX, TROUBLED_MAX, Gathering, stays
from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.route import router

_ODD_WAYS: Final = sum(BIT[code] for code in ("P101", "P102", "P103", "H501", "H502", "H503", "H504"))
_STAMPS: Final = slice(KEPT_FIELDS.index(STAMP_FIELDS[0]), KEPT_FIELDS.index(STAMP_FIELDS[-1]) + 1)
_POWERS: Final = 10 ** np.arange(3, 18)
_MINUTE_S: Final = 60
_RANKS: Final = ("error", "warning", "note")


@attrs.define(eq=False)
class Ways:
    """Gathers part by part, and knows which rows the scalar core has to read again."""

    gathering: Gathering
    weights: Mapping[str, str]
    """What each rule weighs; `off` for those that are silent."""
    retold: list[Any] = attrs.field(init=False, factory=list)
    """The numbers of the rows of each batch whose way the scalar core has to follow."""
    _troubled: list[tuple[int, int, Any]] = attrs.field(init=False, factory=list)
    _clean: list[tuple[int, int, Any]] = attrs.field(init=False, factory=list)

    def close(self, part: Part, odd: Any, hits: tuple[Any, Any, Any, Any]) -> None:
        """
        Gather from a part.

        Args:
            part: Its batches, all rows judged.
            odd: By slot: is the batch the scalar core's? Those are passed over.
            hits: Of the other rows that breach something: slots, masks, when
                they were seen, and when their batches were created.
        """
        slots, masks, seen, born = hits
        count, state = part.batches.count, part.batches.state
        worst = np.full(count, len(_RANKS), np.int8)
        for code in (code for code in BIT if code in self.gathering.wanted and self.weights[code] != "off"):
            found = masks & BIT[code] != 0
            for severity, here in self._weighed(code, found, masks):
                np.minimum.at(worst, slots[here], _RANKS.index(severity))
                self._count(code, severity, np.where(np.isnan(seen[here]), born[here], seen[here]))
        retold = np.zeros(count, np.bool_)
        retold[slots[masks & _ODD_WAYS != 0]] = True
        self.retold += part.groups(retold)
        kept = ~odd & ~retold
        self.gathering.troubled_count += int(np.count_nonzero(kept & (worst < len(_RANKS))))
        self._settle(state.status[:count][kept], state.first[:count, _STAMPS][kept])
        self._troubled = self._nominated(part, self._troubled, kept & (worst < len(_RANKS)), worst, TROUBLED_MAX)
        digests = state.keys[:count, 0].astype(np.uint64)
        self._clean = self._nominated(part, self._clean, kept & (worst == len(_RANKS)), digests, CLEAN_MAX)

    @property
    def shown(self) -> list[Any]:
        """The numbers of the rows of each batch whose life is shown, and whose way is known."""
        return [numbers for _, _, numbers in (*self._troubled, *self._clean)]

    def _weighed(self, code: str, found: Any, masks: Any) -> list[tuple[Any, Any]]:
        """Return what a rule weighed, and where."""
        mild = found & (masks & LENIENT.get(code, 0) != 0)
        weight = self.weights[code]
        return [(weight, found & ~mild), ("warning" if weight == "error" else weight, mild)]

    def _count(self, code: str, severity: Any, times: Any) -> None:
        """Count findings minute by minute; a span of a chart is no shorter."""
        minutes, counts = np.unique(times // _MINUTE_S, return_counts=True)
        for minute, count in zip(minutes.tolist(), counts.tolist(), strict=True):
            self.gathering.count(code, severity, minute * _MINUTE_S if minute >= 0 else None, count)

    def _settle(self, statuses: Any, stamps: Any) -> None:
        """Count ways and stays of batches that went as their stamps say: few patterns, many batches each."""
        lifecycle, found = self.gathering.dialect.lifecycle, router(self.gathering.dialect)
        bits = (stamps != NULL) @ (1 << np.arange(len(STAMP_FIELDS)))
        patterns, places = np.unique(
            np.where(statuses >= 0, statuses, -1).astype(np.int64) * 256 + bits, return_inverse=True
        )
        for number, pattern in enumerate(patterns.tolist()):
            rows = stamps[places == number]
            code, set_bits = divmod(pattern, 256)
            if code < 0:
                self.gathering.go((), len(rows))
                continue
            status = lifecycle.statuses[code]
            set_ = {name: int(rows[0, at]) if set_bits >> at & 1 else None for at, name in enumerate(STAMP_FIELDS)}
            legs = found.legs(SimpleNamespace(status=status, bad={}, **set_), None, frozenset())  # type: ignore[arg-type]
            self.gathering.go(legs, len(rows))
            self.gathering.stay_in(status, len(rows))
            for left, begin, end in stays(legs):
                begun, ended = (self._column(rows, legs[leg].target) for leg in (begin, end))
                known = (begun != NULL) & (ended != NULL) & (ended >= begun)
                lasted = ended[known] - begun[known]
                unit = 10 ** np.searchsorted(_POWERS, lasted, side="right")
                for seconds, times in zip(
                    *map(np.ndarray.tolist, np.unique(lasted // unit * unit, return_counts=True)), strict=True
                ):
                    self.gathering.stay(left, seconds, times)

    def _column(self, rows: Any, status: str) -> Any:
        stamp = next(state.stamp for state in self.gathering.dialect.lifecycle.states if state.name == status)
        return np.full(len(rows), NULL) if stamp is None else rows[:, STAMP_FIELDS.index(stamp)]

    def _nominated(self, part: Part, before: list[tuple[int, int, Any]], which: Any, ranks: Any, most: int) -> Any:
        """Return the batches of a kind that are shown so far: those of the lowest rank, in order of first sight."""
        slots = np.flatnonzero(which)
        slots = slots[np.argsort(ranks[slots], kind="stable")][:most]
        wanted = np.zeros(part.batches.count, np.bool_)
        wanted[slots] = True
        groups = zip(np.flatnonzero(wanted).tolist(), part.groups(wanted), strict=True)
        fresh = [(int(ranks[slot]), int(numbers[0]), numbers) for slot, numbers in groups]
        return sorted([*before, *fresh], key=lambda each: each[:2])[:most]
