"""A table as a source of rows, read by two threads; and any of its rows once more, as objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final

from batchfsm.auditing.columns.arrow_rows import TableDecoder
from batchfsm.auditing.columns.layout import HASH_SEED, RowBatch, number_rows
from batchfsm.auditing.tables import TableRows
from batchfsm.dialects import Dialect
from batchfsm.logs import Record, UnreadableEntry, parse_records
from batchfsm.wire import reader

_WORKERS: Final = 2
_BATCHES_AHEAD: Final = 2


class TableSource:
    """One table; its rows are the table's."""

    def __init__(self, table_rows: TableRows, dialect: Dialect, *, seed: int = HASH_SEED) -> None:
        self._rows, self._dialect, self._seed = table_rows, dialect, seed
        self._free: list[TableDecoder] = []
        self.size = table_rows.table.size
        """In bytes, about, as columns."""
        self.rows_count = 0
        self._recent: tuple[int, Any] | None = None

    @property
    def bytes_read(self) -> int:
        """How many of those bytes have been read."""
        return self.size * self.rows_count // max(self._rows.table.rows_count, 1)

    def batches(self) -> Iterator[RowBatch]:
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
                while len(pending) <= _BATCHES_AHEAD and following is not None:
                    batch, following = following.result(), None
                    if batch is not None:
                        following = pool.submit(next, batches, None)
                        pending.append((batch, pool.submit(self._decode, batch)))
                if not pending:
                    self._recent = None
                    return
                batch, decoding = pending.popleft()
                values, observed_at, decoded = decoding.result()
                first = self.rows_count
                self._recent = first, batch
                self.rows_count += len(decoded)
                yield RowBatch(count=len(decoded), values=values, observed_at=observed_at, decoded=decoded, first=first)

    def reread(self, numbers: list[int], base: int = 0) -> Iterator[Record | UnreadableEntry]:
        """
        Read some rows as the row engine does.

        Args:
            numbers: Row numbers in this table; sorted, without duplicates.
            base: Added to the numbers of the rows that come back.

        Raises:
            SourceError: If the table has changed.
        """
        wire = reader(self._dialect)
        for number, found in self._rows.reread(numbers, self._recent):
            yield from number_rows(parse_records([found], wire), base + number)

    def _decode(self, batch: Any) -> tuple[Any, Any, Any]:
        """Decode a batch, in a worker thread."""
        try:
            decoder = self._free.pop()
        except IndexError:
            decoder = TableDecoder(self._dialect, self._seed)
        found = decoder.decode(self._rows.normalized(batch))
        self._free.append(decoder)
        return found
