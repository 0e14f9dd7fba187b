"""Parsed lines in memory as a source of rows, for a worker that received them from other workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from batchfsm.auditing.columns.layout import RowBatch, number_rows
from batchfsm.dialects import Dialect
from batchfsm.logs import RawRecord, Record, UnreadableEntry, parse_records
from batchfsm.wire import reader


class ParsedLinesSource:
    """Lines in memory; its rows are its lines."""

    def __init__(
        self, values: Any, observed_at: Any, decoded: Any, read_line: Callable[[int], RawRecord], dialect: Dialect
    ) -> None:
        """
        Keep the lines.

        Args:
            values: The values of the rows; this and the next two as in a `RowBatch`.
            observed_at: Their times of observation.
            decoded: Whether each is decoded.
            read_line: Returns the JSON document of a row, by its number from 0.
            dialect: The dialect of the log.
        """
        self._values, self._observed_at, self._decoded = values, observed_at, decoded
        self._read_line, self._dialect = read_line, dialect
        self.rows_count = len(decoded)
        self.size = 8 * len(values)
        """In bytes, as columns."""
        self.bytes_read = 0

    def batches(self) -> Iterator[RowBatch]:
        """Yield all rows, in one batch."""
        self.bytes_read = self.size
        yield RowBatch(
            count=self.rows_count, values=self._values, observed_at=self._observed_at, decoded=self._decoded, first=0
        )

    def reread(self, numbers: list[int], base: int = 0) -> Iterator[Record | UnreadableEntry]:
        """
        Read some rows as the row engine does.

        Args:
            numbers: Row numbers; sorted, without duplicates.
            base: Added to the numbers of the rows that come back.
        """
        wire = reader(self._dialect)
        for number in numbers:
            yield from number_rows(parse_records([self._read_line(number)], wire), base + number)
