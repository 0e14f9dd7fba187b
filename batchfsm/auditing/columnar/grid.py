"""A table, read into whole numbers on two cores; and any of its rows once more, as they stand."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final

import numpy as np

from batchfsm.auditing.columnar import texts
from batchfsm.auditing.columnar.arrays import own_texts_of
from batchfsm.auditing.columnar.chunk import Chunk, numbered
from batchfsm.auditing.columnar.fields import habits
from batchfsm.auditing.columnar.scanner import PAD, PLAIN, desk, scan
from batchfsm.auditing.columnar.tokens import LINE_END
from batchfsm.auditing.columnar.weaver import seen, weave
from batchfsm.auditing.tabular import JSON_TEXT, Piece, Rows
from batchfsm.dialects import Dialect
from batchfsm.logs import OBJECT_CHARS_MAX, Row, Unreadable, rows
from batchfsm.wire import reader

_WORKERS: Final = 2
_AHEAD: Final = 2


class Grid:
    """One table; its rows are the table's."""

    def __init__(self, rows: Rows, dialect: Dialect) -> None:
        """Read nothing yet; the table is its opener's to close."""
        self._rows, self._dialect, self._habits = rows, dialect, habits(dialect)
        self.size = rows.table.size
        """In bytes, about, as columns."""
        self.rows_count = 0
        """How many rows have been read."""
        self._recent: tuple[int, Any] | None = None

    @property
    def passed(self) -> int:
        """How many of them have been read."""
        return self.size * self.rows_count // max(self._rows.table.rows_count, 1)

    def chunks(self) -> Iterator[Chunk]:
        """
        Yield all rows in order.

        Raises:
            SourceError: If the table cannot be read to its end.
        """
        self.rows_count = 0
        pending: deque[tuple[Any, Future[tuple[Any, Any, Any]]]] = deque()
        with closing(self._rows.table.batches()) as batches, ThreadPoolExecutor(_WORKERS) as pool:
            following: Future[Any] | None = pool.submit(next, batches, None)
            while True:
                while len(pending) <= _AHEAD and following is not None:
                    batch, following = following.result(), None
                    if batch is not None:
                        following = pool.submit(next, batches, None)
                        pending.append((batch, pool.submit(self._read, batch)))
                if not pending:
                    self._recent = None
                    return
                batch, found = pending.popleft()
                cells, seen_at, plain = found.result()
                first = self.rows_count
                self._recent = first, batch
                self.rows_count += len(cells)
                yield Chunk(cells, seen_at, first, plain)

    def rows(self, numbers: Any, base: int = 0) -> Iterator[Row | Unreadable]:
        """
        Read some rows as the scalar core does.

        Args:
            numbers: Which; sorted, each once.
            base: What is added to the numbers of the rows.

        Raises:
            SourceError: If the table is no longer what it was.
        """
        wire = reader(self._dialect)
        for number, sighting in self._rows.at(numbers.tolist(), self._recent):
            yield from numbered(rows([sighting], wire), base + number)

    def _read(self, batch: Any) -> tuple[Any, Any, Any]:
        """Read a batch, in a thread of its own."""
        piece = self._rows.pieced(batch)
        return self._scanned(piece) if JSON_TEXT in piece.arrays else weave(piece, self._habits)

    def _scanned(self, piece: Piece) -> tuple[Any, Any, Any]:
        """Read a column of JSON text as lines."""
        text = own_texts_of(piece.arrays[JSON_TEXT])
        size = int(text.offsets[-1]) + piece.count
        buffer = np.full(size + PAD, LINE_END, np.uint8)
        texts.joined(text.letters, text.offsets, buffer)
        cells, inner, _, kinds = scan(buffer, self._habits, desk(), utf8=True, lines=piece.count)
        plain = (kinds == PLAIN) & (np.diff(text.offsets) <= OBJECT_CHARS_MAX)
        beside = seen(piece, plain)
        return cells, np.where(np.isnan(inner), beside, inner), plain
