"""Lines that were scanned elsewhere, at hand together as a worker gets them: a source of columns that reads no file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from batchfsm.auditing.columnar.chunk import Chunk, numbered
from batchfsm.dialects import Dialect
from batchfsm.logs import Row, Sighting, Unreadable, rows
from batchfsm.wire import reader

_CHUNK_ROWS: Final = 16_384


class Bucket:
    """Lines at hand; its rows are its lines."""

    def __init__(self, cells: Any, seen: Any, plain: Any, *, line: Callable[[int], Sighting], dialect: Dialect) -> None:
        """
        Take them.

        Args:
            cells: What they say, as in a `Chunk`.
            seen: When each was seen.
            plain: Which of them the columns tell wholly.
            line: Returns a line as it stands, by its number from 0; its text is one JSON document, not blank.
            dialect: Whose habits of writing are taken for granted.
        """
        self._cells, self._seen, self._plain = cells, seen, plain
        self._line, self._dialect = line, dialect
        self.rows_count = len(cells)
        """How many rows there are."""
        self.size = cells.nbytes
        """In bytes, as columns."""
        self.passed = 0
        """How many of them have been read."""

    def __iter__(self) -> Iterator[Sighting]:
        """Yield the lines, for the scalar core."""
        return map(self._line, range(self.rows_count))

    def chunks(self) -> Iterator[Chunk]:
        """Yield all rows in order."""
        self.passed = 0
        for first in range(0, self.rows_count, _CHUNK_ROWS):
            here = slice(first, first + _CHUNK_ROWS)
            self.passed += self._cells[here].nbytes
            yield Chunk(self._cells[here], self._seen[here], first, self._plain[here])

    def rows(self, numbers: Any, base: int = 0) -> Iterator[Row | Unreadable]:
        """
        Read some rows as the scalar core does.

        Args:
            numbers: Which; sorted, each once.
            base: What is added to the numbers of the rows.
        """
        wire = reader(self._dialect)
        for number in numbers.tolist():
            yield from numbered(rows([self._line(number)], wire), base + number)
