"""Which rows are to be told of in full, and which others the scalar core has to read for that."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, NamedTuple

import attrs
import numpy as np

from batchfsm.auditing.columnar.columns import STEADY
from batchfsm.auditing.columnar.part import Hits, Lore, Part
from batchfsm.auditing.columnar.tables import BIT
from batchfsm.rules import HISTORY, needs

_TOLD_BY_HISTORY: Final = sum(bit for code, bit in BIT.items() if HISTORY in needs(code))


class Asked(NamedTuple):
    """What is to be told, and what has to be read for it."""

    masks: dict[float, int]
    """The mask of each row to tell of, by its number."""
    alone: frozenset[float]
    """The numbers of those that tell it by themselves."""
    numbers: list[int]
    """The numbers of these, and of the rows that have to be folded for the others, with those among them."""


@attrs.define(eq=False)
class Telling:
    """The first rows that breach something, as they are found part by part."""

    count_max: int
    """How many rows are told of at most."""
    _asked: list[tuple[int, int, int]] = attrs.field(init=False, factory=list)
    """Rows to tell of: number, mask, place in `_histories`, or -1."""
    _histories: list[Lore] = attrs.field(init=False, factory=list)
    """The batches of those that only a history tells, from their beginnings."""

    def ask(self, part: Part, hits: Hits, wanted: int) -> None:
        """Choose among the rows of a part; `wanted` are the bits of the rules that are reported."""
        masks = hits.masks & wanted
        first = np.flatnonzero(masks)
        first = first[np.argsort(hits.numbers[first], kind="stable")][: self.count_max]
        asked = np.zeros(part.batches.count, np.bool_)
        asked[hits.slots[first[masks[first] & _TOLD_BY_HISTORY != 0]]] = True
        order = {slot: len(self._histories) + place for place, slot in enumerate(np.flatnonzero(asked).tolist())}
        self._histories += part.histories(asked)
        columns = (each[first].tolist() for each in (hits.numbers, masks, hits.slots))
        self._asked += [(number, mask, order.get(slot, -1)) for number, mask, slot in zip(*columns, strict=True)]

    def close(self, *, is_whole: bool) -> Asked:
        """Settle which rows are told of; `is_whole`: leave no row of a history out."""
        chosen = sorted(self._asked)[: self.count_max]
        masks: dict[float, int] = {number: mask for number, mask, _ in chosen}
        alone = [number for number, _, place in chosen if place < 0]
        numbers = [*alone]
        for place in {place for _, _, place in chosen if place >= 0}:
            numbers += _needed(self._histories[place], masks, is_whole=is_whole)
        return Asked(masks, frozenset(alone), numbers)


def _needed(history: Lore, told: Container[float], *, is_whole: bool) -> list[int]:
    """
    Return the numbers of the rows with which a batch is told, up to the last to tell of.

    What a steady row says, later ones say again: the last of them, and the last in which each count rose.
    """
    kept, said, is_needed = list[int](), 0, False
    for number, lore in zip(reversed(history.numbers.tolist()), reversed(history.lore.tolist()), strict=True):
        is_told = number in told
        is_needed = is_needed or is_told
        if is_told or is_whole or not lore & STEADY:
            said = 0
        elif not lore & ~said:
            continue
        else:
            said |= lore
        if is_needed:
            kept.append(number)
    return kept
