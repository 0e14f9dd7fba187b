"""Batches that are judged together, and what was found in them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any, Final, NamedTuple

import attrs
import numpy as np

from batchfsm.auditing.columnar.columns import (
    COLUMNS,
    COUNTED,
    CREATED,
    FLAGS,
    ID_HIGH,
    ID_LOW,
    LORE,
    NULL,
    ODD,
    STEADY,
)
from batchfsm.auditing.columnar.kernel import (
    Batches,
    judge_alone,
)
from batchfsm.auditing.columnar.tables import Tables

NONE: Final = np.zeros(0, np.int64)
"""No numbers."""


_LORE_PLACE: Final = STEADY.bit_length() - 1  # Its lowest bit: from there on it fits into a byte.
_NEEDED: Final = ("created_at", "expires_at", "completion_window")


class OutOfOrderError(Exception):
    """A row came behind a later one of its batch."""


class Hits(NamedTuple):
    """Rows that breach something, in columns."""

    numbers: Any
    slots: Any
    masks: Any
    seen: Any
    """When each was seen; Unix seconds, NaN if that was not said."""
    born: Any
    """The `created_at` of each; Unix seconds or NULL."""


class Lore(NamedTuple):
    """The rows of a batch in the order in which they were judged, in columns."""

    numbers: Any
    lore: Any
    """What tells which rows its history can be told without; the bits `LORE` of their masks."""


@attrs.define(eq=False)
class Part:
    """Batches that are judged together: all of them, or those of one bucket."""

    batches: Batches = attrs.field(factory=Batches)
    odd: Any = attrs.field(factory=lambda: np.zeros(0, np.bool_))
    """By slot: is the batch the scalar core's?"""
    numbers: list[Any] = attrs.field(factory=list)
    """The numbers of the rows, chunk by chunk; a range where they follow one another, as they mostly do."""
    slots: list[Any] = attrs.field(factory=list)
    """Whose they are."""
    lore: list[Any] = attrs.field(factory=list)
    """The bits `LORE` of their masks, in a byte each."""
    hits: list[Hits] = attrs.field(factory=list)
    """The rows that breach something, chunk by chunk."""

    def leave(self, keys: list[tuple[int, int]]) -> None:
        """Leave batches to the scalar core, by the digests of their ids."""
        cells = np.full((len(keys), len(COLUMNS)), NULL, np.int64)
        if keys:
            cells[:, [ID_LOW, ID_HIGH]] = keys
        self._mark(self.batches.locate(cells))

    def judge(self, cells: Any, seen: Any, numbers: Any, arrays: Tables, aside: Executor) -> None:
        """Judge rows, each batch's in order; `aside` is where they are judged each by itself in the meantime."""
        alone = aside.submit(judge_alone, cells, seen, arrays)
        slots = self.batches.locate(cells)
        masks = self.batches.judge(cells, seen, slots, arrays)
        if masks is None:
            raise OutOfOrderError
        follow = (np.diff(numbers) == 1).all()
        self.numbers.append(range(numbers[0], numbers[-1] + 1) if follow and len(numbers) else numbers)
        self.slots.append(slots.astype(np.int32))
        self.lore.append((masks >> _LORE_PLACE).astype(np.uint8))
        masks = masks & ~LORE | alone.result()
        found = np.flatnonzero(masks)
        self.hits.append(Hits(numbers[found], slots[found], masks[found], seen[found], cells[found, CREATED]))
        self._mark(slots[masks & ODD != 0])

    def _mark(self, slots: Any) -> None:
        if len(self.odd) < self.batches.count:
            # Twice as many as asked for, so that a copy is seldom made.
            self.odd = np.append(self.odd, np.zeros(2 * self.batches.count - len(self.odd), np.bool_))
        self.odd[slots] = True

    def all_hits(self, kept: Any) -> Hits:
        """Return the rows that breach something, of some batches; `kept` by slot."""
        found = Hits(*map(np.concatenate, zip((NONE,) * len(Hits._fields), *self.hits, strict=True)))
        here = kept[found.slots]
        return Hits(*(column[here] for column in found))

    def rows_of(self, wanted: Any) -> Any:
        """Return the numbers of the rows of some batches, sorted; `wanted` by slot."""
        found = [numbers[wanted[slots]] for numbers, slots in zip(self._numbers(), self.slots, strict=True)]
        return np.sort(np.concatenate([NONE, *found]))

    def histories(self, wanted: Any) -> list[Lore]:
        """Return the rows of some batches, batch by batch in the order of their slots."""
        chosen = [wanted[slots] for slots in self.slots]
        numbers, slots, lore = (
            np.concatenate([NONE, *(each[here] for each, here in zip(pieces, chosen, strict=True))])
            for pieces in (self._numbers(), self.slots, self.lore)
        )
        order = np.argsort(slots, kind="stable")
        cuts = np.flatnonzero(np.diff(slots[order], prepend=-1)).tolist()
        numbers, lore = numbers[order], lore[order] << _LORE_PLACE
        return [Lore(numbers[cut:end], lore[cut:end]) for cut, end in zip(cuts, [*cuts[1:], None], strict=False)]

    def _numbers(self) -> Iterator[Any]:
        return (np.arange(each.start, each.stop) if isinstance(each, range) else each for each in self.numbers)


def given(cells: Any, seen: Any) -> set[str]:
    """Return what rows have, of that which rules need to look."""
    found = {name for name in _NEEDED if (cells[:, COLUMNS.index(name)] != NULL).any()} | {"id"}
    found |= {"observed_at"} if not np.isnan(seen).all() else set()
    return found | ({"request_counts"} if (cells[:, FLAGS] & COUNTED).any() else set())
