"""Tables: a Parquet file or a dataframe, read batch by batch; any of its rows can be read again."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import attrs

from batchfsm.auditing.tables.arrow import index_array, load_arrow, translate_errors
from batchfsm.auditing.tables.normalized_batch import NormalizedBatch, normalize
from batchfsm.auditing.tables.row_objects import raw_records
from batchfsm.auditing.tables.schema import find_fields
from batchfsm.errors import SourceError
from batchfsm.finding import LogPosition
from batchfsm.logs import RawRecord, UnreadableEntry

FRAME: Final = "dataframe"
"""The name of a dataframe in places."""

BATCH_ROWS: Final = 2**16
"""How many rows are read together."""

_CHUNK_ROWS_MIN: Final = BATCH_ROWS // 8
"""A dataframe whose chunks have fewer rows on average is copied into one chunk."""


class Parquet:
    """An open Parquet file; its members that `Frame` has, too, are those of every table."""

    def __init__(self, name: str, *, by_dictionary: bool = True) -> None:
        """
        Open the file and read its schema; `by_dictionary`: read text by dictionaries of the values in a row group.

        Raises:
            MissingExtraError: If pyarrow is not installed.
            SourceError: If the file cannot be opened, is not Parquet, is damaged, or holds no batches.
        """
        self.name, self._dictionaries = name, tuple[str, ...]()
        with translate_errors(name):
            self._state = _file_state(name)
            with self._open(None) as file:
                self.arrow_schema, metadata = file.schema_arrow, file.metadata
            self.fields = find_fields(self.arrow_schema, name)
            groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
            self._dictionaries = self.fields.texts if by_dictionary else ()
            self._file = self._open(metadata)
        self.group_rows = [group.num_rows for group in groups]
        """How many rows each row group has."""
        self.size: int = sum(group.total_byte_size for group in groups)
        """About how many bytes it takes in memory."""
        self.rows_count: int = sum(self.group_rows)

    def batches(self) -> Generator[Any, None, None]:
        """Yield all rows in order, as record batches; SourceError if a page is damaged, or the file has changed."""
        yield from self._read_groups([*range(len(self.group_rows))])

    def group_batches(self, group: int) -> Generator[Any, None, None]:
        """Yield the rows of a row group; SourceError as `batches`."""
        yield from self._read_groups([group])

    def reread(self, numbers: list[int]) -> Iterator[tuple[list[int], Any]]:
        """
        Yield some rows: their numbers, and a record batch of these rows only; `numbers` are sorted.

        Only the row groups that hold one of them are read.
        """
        first = 0
        for group, rows in enumerate(self.group_rows):
            if mine := _numbers_between(numbers, first, rows):
                with closing(self._read_groups([group])) as batches:
                    yield from _take_rows(batches, mine, first)
            first += rows

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self, metadata: Any) -> Any:
        texts = [*self._dictionaries]
        # An extension type, such as JSON, would hide that a column is text.
        options = {"page_checksum_verification": True, "arrow_extensions_enabled": False}
        return load_arrow().parquet.ParquetFile(self.name, metadata=metadata, read_dictionary=texts, **options)

    def _read_groups(self, groups: list[int]) -> Generator[Any, None, None]:
        with translate_errors(self.name):
            self._require_unchanged()
            for portion in self._portions(groups):
                for batch in self._read_portion(portion):
                    yield _without_views(batch)
            self._require_unchanged()

    def _read_portion(self, groups: list[int]) -> Iterator[Any]:
        """Yield the rows of some row groups; text as plain columns if Arrow cannot read it by dictionary."""
        done, skipped = 0, 0
        try:
            for batch in self._iterate(groups):
                yield batch
                done += batch.num_rows
        except (load_arrow().ArrowException, OSError):
            if not self._dictionaries:
                raise
            # Arrow builds no dictionaries from encodings by differences, such as DELTA_BYTE_ARRAY.
            self._file.close()
            self._dictionaries = ()
            self._file = self._open(None)
            for batch in self._iterate(groups):
                if skipped + batch.num_rows > done:
                    yield batch[max(done - skipped, 0) :]
                skipped += batch.num_rows

    def _iterate(self, groups: list[int]) -> Iterator[Any]:
        # In one thread: Arrow's pool of threads takes a third more processor time, and memory in each thread.
        columns = [*self.fields.columns]
        return iter(self._file.iter_batches(BATCH_ROWS, row_groups=groups, columns=columns, use_threads=False))

    def _require_unchanged(self) -> None:
        if _file_state(self.name) != self._state:
            raise SourceError(f"{self.name}: changed while it was read")

    def _portions(self, groups: list[int]) -> Iterator[list[int]]:
        """Yield row groups, small ones together up to `BATCH_ROWS` rows: Arrow reads all pages of a portion at once."""
        portion, rows = list[int](), 0
        for group in groups:
            portion.append(group)
            rows += self.group_rows[group]
            if rows >= BATCH_ROWS:
                yield portion
                portion, rows = [], 0
        if portion:
            yield portion


class Frame:
    """A dataframe of any library; the columns that are read stay in memory, as Arrow has them."""

    def __init__(self, frame: Any) -> None:
        """
        Import its columns.

        Raises:
            MissingExtraError: If pyarrow is not installed.
            SourceError: If a column has no Arrow type, or the columns hold no batches.
        """
        pa = load_arrow()
        self.name = FRAME
        with translate_errors(self.name):
            whole = frame if isinstance(frame, pa.Table) else pa.table(frame)
            self.fields = find_fields(whole.schema, self.name)
            table = _without_views(whole.select([*self.fields.columns]))
            chunks = sum(column.num_chunks for column in table.columns)
            if chunks * _CHUNK_ROWS_MIN > table.num_rows * table.num_columns:
                table = table.combine_chunks()
            self._batches = table.to_batches(BATCH_ROWS)
        self.size: int = table.nbytes
        self.rows_count: int = table.num_rows

    def batches(self) -> Generator[Any, None, None]:
        """Yield all rows in order, as `Parquet.batches`."""
        yield from self._batches

    def reread(self, numbers: list[int]) -> Iterator[tuple[list[int], Any]]:
        """Yield some rows, as `Parquet.reread`."""
        yield from _take_rows(iter(self._batches), numbers, 0)

    def close(self) -> None:
        """Do nothing: the memory belongs to the dataframe."""


def _without_views(rows: Any) -> Any:
    """Convert views of text to text, because Arrow cannot take rows of views."""
    for index, field in enumerate(rows.schema):
        kind = _without_view(field.type)
        if kind != field.type:  # Other columns stay as they are: Arrow cannot cast every slice of a struct.
            rows = rows.set_column(index, field.with_type(kind), rows.column(index).cast(kind))
    return rows


def _without_view(kind: Any) -> Any:
    pa = load_arrow()
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_struct(kind):
        return pa.struct([member.with_type(_without_view(member.type)) for member in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_without_view(kind.value_type)))
    return kind


def _file_state(name: str) -> tuple[int, int]:
    """Return the size and the time of modification of a file; either differs if the file has changed."""
    found = Path(name).stat()
    return found.st_size, found.st_mtime_ns


def _take_rows(batches: Iterator[Any], numbers: list[int], first: int) -> Iterator[tuple[list[int], Any]]:
    """Yield the rows of some batches that have certain numbers; `first` is the number of the first row."""
    for batch in batches:
        if mine := _numbers_between(numbers, first, batch.num_rows):
            yield mine, batch.take(index_array(array("q", [number - first for number in mine])))
        first += batch.num_rows
        if not numbers or numbers[-1] < first:
            return


def _numbers_between(numbers: list[int], first: int, count: int) -> list[int]:
    """Return the numbers from `first` on, below `first + count`."""
    return numbers[bisect_left(numbers, first) : bisect_left(numbers, first + count)]


@attrs.frozen(eq=False)
class TableRows:
    """Iterable over the rows of a table as raw records; it can be iterated several times."""

    table: Parquet | Frame

    count_bytes: Callable[[int], object] = lambda _: None
    """Called with about the number of bytes that were read since the last call; must not raise."""

    place_of: Callable[[int], LogPosition] | None = attrs.field(default=None, kw_only=True)
    """Returns the place of a row by its number, if that is not its place in this table."""

    @property
    def names(self) -> tuple[str, ...]:
        """The name of the file; none for a dataframe."""
        return () if self.table.name == FRAME else (self.table.name,)

    @property
    def size(self) -> int:
        """About how many bytes the table takes in memory."""
        return self.table.size

    def __iter__(self) -> Iterator[RawRecord | UnreadableEntry]:
        """Yield the raw record of each row in order."""
        first = 0
        for batch in self.table.batches():
            self.count_bytes(self.table.size * batch.num_rows // max(self.table.rows_count, 1))
            yield from self._raw_records(batch, range(first, first + batch.num_rows))
            first += batch.num_rows

    def reread(
        self, numbers: list[int], recent: tuple[int, Any] | None = None
    ) -> Iterator[tuple[int, RawRecord | UnreadableEntry]]:
        """
        Yield the raw records of some rows, each with its number; `numbers` are sorted, without duplicates.

        `recent` is a record batch in memory, with the number of its first row: used if it has all these rows.
        """
        found = self.table.reread(numbers)
        if recent is not None and _numbers_between(numbers, recent[0], recent[1].num_rows) == numbers:
            found = _take_rows(iter([recent[1]]), numbers, recent[0])
        for mine, batch in found:
            yield from zip(mine, self._raw_records(batch, mine), strict=True)

    def normalized(self, batch: Any) -> NormalizedBatch:
        """Convert a record batch; SourceError as `normalize`."""
        return normalize(batch, self.table.fields, self.table.name)

    def _raw_records(self, batch: Any, numbers: Sequence[int]) -> Iterator[RawRecord | UnreadableEntry]:
        place_of = self.place_of or (lambda number: LogPosition(self.table.name, number + 1))
        return raw_records(self.normalized(batch), map(place_of, numbers))
