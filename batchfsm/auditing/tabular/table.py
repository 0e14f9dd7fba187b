"""A log that is a table: a Parquet file or a dataframe, read batch by batch, and any of its rows once more."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Protocol

import attrs

from batchfsm.auditing.tabular.arrow import arrow, places, reading
from batchfsm.auditing.tabular.layout import Layout, layout
from batchfsm.auditing.tabular.piece import Piece, piece
from batchfsm.auditing.tabular.records import sightings
from batchfsm.errors import SourceError
from batchfsm.logs import Sighting, Unreadable

FRAME: Final = "dataframe"
"""What places call the rows of a frame at hand."""

BATCH_ROWS: Final = 2**16
"""How many rows are read together."""


class Table(Protocol):
    """A table, open."""

    name: str
    """What places call it."""
    layout: Layout
    size: int
    """About how many bytes it takes as columns."""
    rows_count: int

    def batches(self) -> Generator[Any, None, None]:
        """Yield all rows in order, as Arrow's record batches; SourceError if they cannot be read."""

    def at(self, numbers: list[int]) -> Iterator[tuple[list[int], Any]]:
        """Yield some rows again, batch by batch: their numbers, and a batch of no others; `numbers` are sorted."""

    def close(self) -> None:
        """Close what is open."""


class Parquet:
    """A Parquet file."""

    def __init__(self, name: str, *, is_coded: bool = True) -> None:
        """
        Open it and look at its schema.

        Args:
            name: What it is called.
            is_coded: Read text by dictionaries, of all values in a group of rows.

        Raises:
            MissingExtraError: If pyarrow is not installed.
            SourceError: If it cannot be opened, is no Parquet, or holds no batches.
        """
        parquet = arrow().parquet
        self.name = name
        with reading(name):
            self._state = _state(name)
            # Types of their own, such as JSON, would hide that they are text.
            options = {"page_checksum_verification": True, "arrow_extensions_enabled": False}
            with parquet.ParquetFile(name, **options) as file:
                self.schema = file.schema_arrow
                self.layout = layout(self.schema, name)
            coded = [*self.layout.texts] if is_coded else None
            self._file = parquet.ParquetFile(name, read_dictionary=coded, **options)
        groups = [self._file.metadata.row_group(place) for place in range(self._file.num_row_groups)]
        self.groups = [group.num_rows for group in groups]
        """How many rows each group of them has."""
        self.size = sum(group.total_byte_size for group in groups)
        self.rows_count = sum(self.groups)

    def batches(self) -> Generator[Any, None, None]:
        """Yield all rows in order; SourceError if a page is damaged, or the file is not what it was."""
        yield from self._read([*range(len(self.groups))])

    def group(self, number: int) -> Generator[Any, None, None]:
        """Yield the rows of one group; SourceError as `batches`."""
        yield from self._read([number])

    def at(self, numbers: list[int]) -> Iterator[tuple[list[int], Any]]:
        """Yield some rows again: only the groups that hold one are read."""
        first = 0
        for group, rows in enumerate(self.groups):
            if mine := _within(numbers, first, rows):
                with closing(self._read([group])) as batches:
                    yield from _chosen(batches, mine, first)
            first += rows

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self, groups: list[int]) -> Generator[Any, None, None]:
        columns = [*self.layout.columns]
        with reading(self.name):
            self._compare()
            for portion in self._portions(groups):
                for batch in self._file.iter_batches(BATCH_ROWS, row_groups=portion, columns=columns):
                    yield _plain(batch)
            self._compare()

    def _compare(self) -> None:
        """Raise SourceError if the file is not what it was when it was opened."""
        if _state(self.name) != self._state:
            raise SourceError(f"{self.name}: changed while it was read")

    def _portions(self, groups: list[int]) -> Iterator[list[int]]:
        """Yield groups, small ones together: of all that are asked for at once, Arrow fetches the pages at once."""
        portion, rows = list[int](), 0
        for group in groups:
            portion.append(group)
            rows += self.groups[group]
            if rows >= BATCH_ROWS:
                yield portion
                portion, rows = [], 0
        if portion:
            yield portion


class Frame:
    """A dataframe, of whatever library, which is kept in memory as Arrow has it: the columns that are read."""

    def __init__(self, frame: Any) -> None:
        """
        Take its columns over.

        Raises:
            MissingExtraError: If pyarrow is not installed.
            SourceError: If its columns have no types of Arrow's, or hold no batches.
        """
        pa = arrow()
        self.name = FRAME
        with reading(self.name):
            whole = frame if isinstance(frame, pa.Table) else pa.table(frame)
            self.layout = layout(whole.schema, self.name)
            table = _plain(whole.select([*self.layout.columns]))
            self._batches = (table if _is_coarse(table) else table.combine_chunks()).to_batches(BATCH_ROWS)
        self.size = table.nbytes
        self.rows_count = table.num_rows

    def batches(self) -> Generator[Any, None, None]:
        """Yield all rows in order."""
        yield from self._batches

    def at(self, numbers: list[int]) -> Iterator[tuple[list[int], Any]]:
        """Yield some rows again."""
        yield from _chosen(iter(self._batches), numbers, 0)

    def close(self) -> None:
        """Do nothing: it is its owner's."""


def _is_coarse(table: Any) -> bool:
    return bool(sum(column.num_chunks for column in table.columns) * _PIECE_ROWS <= table.num_rows * table.num_columns)


_PIECE_ROWS: Final = BATCH_ROWS // 8


def _plain(rows: Any) -> Any:
    """Return rows without views of text, of which Arrow cannot choose some."""
    kinds = [field.with_type(_unviewed(field.type)) for field in rows.schema]
    schema = arrow().schema(kinds)
    return rows if schema.equals(rows.schema) else rows.cast(schema)


def _unviewed(kind: Any) -> Any:
    pa = arrow()
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_struct(kind):
        return pa.struct([member.with_type(_unviewed(member.type)) for member in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_unviewed(kind.value_type)))
    return kind


def _state(name: str) -> tuple[int, int]:
    """Return what tells that a file has changed."""
    found = Path(name).stat()
    return found.st_size, found.st_mtime_ns


def _chosen(batches: Iterator[Any], numbers: list[int], first: int) -> Iterator[tuple[list[int], Any]]:
    """Yield the rows of some batches that have one of some numbers; `first` is the number of the first row."""
    for batch in batches:
        if mine := _within(numbers, first, batch.num_rows):
            yield mine, batch.take(places(array("q", [number - first for number in mine])))
        first += batch.num_rows
        if not numbers or numbers[-1] < first:
            return


def _within(numbers: list[int], first: int, count: int) -> list[int]:
    return numbers[bisect_left(numbers, first) : bisect_left(numbers, first + count)]


@attrs.frozen(eq=False)
class Rows:
    """The rows of a table for the scalar core, as often as they are asked for."""

    table: Table

    passed: Callable[[int], object] = lambda _: None
    """What takes about how many more bytes were read; it must not raise."""

    @property
    def names(self) -> tuple[str, ...]:
        """The file that it is; none for a frame."""
        return () if self.table.name == FRAME else (self.table.name,)

    @property
    def size(self) -> int:
        """About how many bytes it takes as columns."""
        return self.table.size

    def __iter__(self) -> Iterator[Sighting | Unreadable]:
        """Yield what stands in each row, in order."""
        first = 0
        for batch in self.table.batches():
            self.passed(self.table.size * batch.num_rows // self.table.rows_count)
            yield from sightings(self.pieced(batch), range(first, first + batch.num_rows), self.table.name)
            first += batch.num_rows

    def at(
        self, numbers: list[int], recent: tuple[int, Any] | None = None
    ) -> Iterator[tuple[int, Sighting | Unreadable]]:
        """
        Yield some rows, each with its number.

        Args:
            numbers: Which; sorted, each once.
            recent: A batch at hand, after the number of its first row: if it has all of them, nothing is read.
        """
        found = self.table.at(numbers)
        if recent is not None and _within(numbers, recent[0], recent[1].num_rows) == numbers:
            found = _chosen(iter([recent[1]]), numbers, recent[0])
        for mine, batch in found:
            yield from zip(mine, sightings(self.pieced(batch), mine, self.table.name), strict=True)

    def pieced(self, batch: Any) -> Piece:
        """Return a batch field by field."""
        return piece(batch, self.table.layout, self.table.name)
