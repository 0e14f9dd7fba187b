"""A table as a source of rows, read by two threads; and any of its rows once more, as objects."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final

from batchfsm.auditing.columns import layout
from batchfsm.auditing.columns.arrow_rows import TableDecoder, TextColumns
from batchfsm.auditing.columns.layout import HASH_SEED, RowBatch, number_rows
from batchfsm.auditing.tables import NormalizedBatch, TableRows
from batchfsm.dialects import Dialect
from batchfsm.logs import Record, UnreadableEntry, parse_records
from batchfsm.wire import reader

_WORKERS: Final = 2
_BLOCK_ROWS: Final = 2**14
"""How many rows are decoded together: so few that they stay in the cache, and that memory is used again."""
_BLOCKS_AHEAD: Final = 8

_Block = tuple[Any, NormalizedBatch, Mapping[str, TextColumns]]
"""Some rows of a batch, as the table has them and normalized, and the texts of the batch's dictionaries."""


class TableSource:
    """One table; its rows are the table's."""

    def __init__(self, table_rows: TableRows, dialect: Dialect, *, seed: int = HASH_SEED) -> None:
        self._rows, self._dialect, self._seed = table_rows, dialect, seed
        self._reader = TableDecoder(dialect, seed)
        self._free: list[TableDecoder] = []
        self._free_rows: list[Any] = []
        self.size = table_rows.table.size
        """In bytes, about, as columns."""
        self.rows_count = 0
        self._recent: tuple[int, Any] | None = None

    @property
    def bytes_read(self) -> int:
        """How many of those bytes have been read."""
        return self.size * self.rows_count // max(self._rows.table.rows_count, 1)

    def batches(self) -> Iterator[RowBatch]:
        """Yield all rows in order; SourceError if the table cannot be read to its end."""
        self.rows_count = 0
        pending: deque[tuple[Any, Future[tuple[Any, Any, Any]]]] = deque()
        with closing(self._rows.table.batches()) as batches, ThreadPoolExecutor(_WORKERS) as pool:
            reading: Future[Any] | None = pool.submit(self._read, batches)
            while True:
                while reading is not None and (not pending or (len(pending) <= _BLOCKS_AHEAD and reading.done())):
                    found, reading = reading.result(), None
                    if found is not None:
                        reading = pool.submit(self._read, batches)
                        pending.extend(
                            (batch, pool.submit(self._decode, block, dictionaries))
                            for batch, block, dictionaries in found
                        )
                if not pending:
                    self._recent = None
                    return
                batch, decoding = pending.popleft()
                values, observed_at, decoded = decoding.result()
                first = self.rows_count
                self._recent = first, batch
                self.rows_count += len(decoded)
                yield RowBatch(count=len(decoded), values=values, observed_at=observed_at, decoded=decoded, first=first)
                self._free_rows.append(values)

    def reread(self, numbers: list[int], base: int = 0) -> Iterator[Record | UnreadableEntry]:
        """
        Read some rows of the table as the row engine does; SourceError if the table has changed.

        `numbers` are sorted, without duplicates; `base` is added to the numbers of the rows that come back.
        """
        wire = reader(self._dialect)
        for number, found in self._rows.reread(numbers, self._recent):
            yield from number_rows(parse_records([found], wire), base + number)

    def _read(self, batches: Iterator[Any]) -> list[_Block] | None:
        """Read a batch, in a worker thread, and divide it; None at the end."""
        batch = next(batches, None)
        if batch is None:
            return None
        normalized = self._rows.normalized(batch)
        dictionaries = self._reader.read_dictionaries(normalized)
        return [
            (batch.slice(first, _BLOCK_ROWS), normalized.slice(first, _BLOCK_ROWS), dictionaries)
            for first in range(0, batch.num_rows, _BLOCK_ROWS)
        ]

    def _decode(self, block: NormalizedBatch, dictionaries: Mapping[str, TextColumns]) -> tuple[Any, Any, Any]:
        """Decode a block, in a worker thread."""
        try:
            decoder = self._free.pop()
        except IndexError:
            decoder = TableDecoder(self._dialect, self._seed)
        try:
            rows = self._free_rows.pop()
        except IndexError:
            rows = layout.zeros(0)
        found = decoder.decode(block, dictionaries, rows)
        self._free.append(decoder)
        return found
