"""Lines of many files, at hand together as a worker gets them: a source of columns that reads no file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np

from batchfsm.auditing.columnar.chunk import Chunk, numbered
from batchfsm.auditing.columnar.desks import LINE_END, Desks
from batchfsm.auditing.columnar.scanner import PAD, PLAIN
from batchfsm.dialects import Dialect
from batchfsm.finding import Place
from batchfsm.logs import Row, Sighting, Unreadable, rows
from batchfsm.wire import reader

_CHUNK_ROWS: Final = 16_384


class Bucket:
    """Lines at hand; its rows are its lines."""

    def __init__(self, texts: Iterable[bytes], place: Callable[[int], Place], dialect: Dialect) -> None:
        """
        Take them.

        Args:
            texts: Bytes of one JSON document each, not blank.
            place: Tells where each stands, by its number from 0.
            dialect: Whose habits of writing are taken for granted.
        """
        self._texts = [*texts]
        self._place = place
        self._dialect = dialect
        self._desks = Desks(dialect)
        self.rows_count = len(self._texts)
        """How many rows there are."""
        self.size = sum(map(len, self._texts))
        """In bytes."""
        self.passed = 0
        """How many of them have been read."""

    def __iter__(self) -> Iterator[Sighting]:
        """Yield the lines, for the scalar core."""
        return map(self._line, range(self.rows_count))

    def _line(self, number: int) -> Sighting:
        return Sighting(self._place(number), self._texts[number])

    def chunks(self) -> Iterator[Chunk]:
        """Yield all rows in order."""
        self.passed = 0
        for first in range(0, self.rows_count, _CHUNK_ROWS):
            texts = self._texts[first : first + _CHUNK_ROWS]
            self.passed += sum(map(len, texts))
            ends = bytes([LINE_END]) * PAD
            body = b"\n".join([*texts, ends])
            if body.count(b"\n") > len(texts) + PAD:
                # Of some one would make several; a blank line is one, and not plain either.
                body = b"\n".join([*(b"" if b"\n" in text else text for text in texts), ends])
            cells, seen, _, kinds = self._desks.scanned(np.frombuffer(body, np.uint8), len(body) - PAD)
            yield Chunk(cells, seen, first, kinds == PLAIN)

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
