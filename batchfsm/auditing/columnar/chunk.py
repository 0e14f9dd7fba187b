"""A run of rows of one source, read into whole numbers, and what such a source is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

import attrs
import numpy as np

from batchfsm.auditing.columnar.columns import ID_LOW
from batchfsm.logs import Row, Unreadable

LINE_ROWS: Final = 2**24
"""More rows than a line has room for: by fractions of so many they are told apart."""


@attrs.frozen(eq=False)
class Chunk:
    """Rows in the order of their source, without gaps."""

    cells: Any
    """What they say; shape `(n, len(COLUMNS))`, int64, C order. Of a row that is not plain, nothing to rely on."""

    seen: Any
    """When each was seen; Unix seconds, NaN where that was not said. Shape `(n,)`, float64."""

    first: int
    """The number of the first row in its source, from 0."""

    plain: Any
    """False: the columns do not say all that is to be judged; the scalar core reads the row. Shape `(n,)`, bool."""


class Columns(Protocol):
    """A source of columns."""

    @property
    def size(self) -> int:
        """How large it is; bytes."""

    @property
    def passed(self) -> int:
        """How many of those bytes have been read."""

    @property
    def rows_count(self) -> int:
        """How many rows have been read."""

    def chunks(self) -> Iterator[Chunk]:
        """Yield all rows in order."""

    def rows(self, numbers: Any, base: int = 0) -> Iterator[Row | Unreadable]:
        """Read some rows as the scalar core does: which, sorted, and what is added to their numbers."""


def numbered(found: Iterable[Row | Unreadable], number: int) -> Iterator[Row | Unreadable]:
    """Give the rows of one line, or of one row of a table, its number; those behind the first a fraction more."""
    for row in found:
        yield Row(number + row.number / LINE_ROWS, row.place, row.snapshot) if isinstance(row, Row) else row


def named(sources: Iterable[Columns], numbers: Any) -> Iterator[Row]:
    """
    Read rows again that have an id.

    Args:
        sources: In order.
        numbers: Which, counted over all sources; sorted, each once.
    """
    base = 0
    for source in sources:
        here = numbers[(numbers >= base) & (numbers < base + source.rows_count)] - base
        for row in source.rows(here, base):
            if isinstance(row, Row) and row.snapshot.is_named:
                yield row
        base += source.rows_count


def keys(source: Columns) -> tuple[Any, Any]:
    """Return the first number of `key_of` the id of each row, and whether it is plain; else that is anything."""
    chunks = [*source.chunks()]
    found = [np.zeros(0, np.int64), *(chunk.cells[:, ID_LOW] for chunk in chunks)]
    return np.concatenate(found), np.concatenate([np.zeros(0, np.bool_), *(chunk.plain for chunk in chunks)])
