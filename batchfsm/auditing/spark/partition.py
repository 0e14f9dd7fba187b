"""A partition: the rows of some batches, in the order of the log, checked by one worker."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import cache, partial
from typing import Any

import attrs

from batchfsm.auditing.optional import load_columns
from batchfsm.auditing.row_engine import audit_rows
from batchfsm.auditing.spark.shuffle import load_dialect
from batchfsm.auditing.spill import pickled, unpickled
from batchfsm.auditing.tables import Frame, TableRows, load_arrow, load_compute
from batchfsm.finding import LogPosition
from batchfsm.logs import RawRecord


def check_partition(found: Iterator[Any], settings: bytes) -> Iterator[Any]:
    """
    Check what the shuffle yields for a partition, in a worker.

    `settings`, pickled: the pickled dialect, the empty accumulator, the skew, the memory, the seed of the hashes, the
    names of the files, and the files that hold the texts of decoded lines. Yields the accumulator and whether compiled
    code checked the rows, pickled.
    """
    packed_dialect, template, skew_s, memory, seed, names, files = unpickled(settings)
    dialect, columns = load_dialect(packed_dialect), load_columns()
    streams = [stream for batch in found for stream in batch.column("rows").to_pylist()]
    if not streams:
        return
    table = read_streams(streams)
    file_numbers, line_numbers = table["file_nr"].to_pylist(), table["line"].to_pylist()

    def place_of(row: int) -> LogPosition:
        return LogPosition(names[file_numbers[row]], line_numbers[row])

    with ExitStack() as stack:
        source, accumulator = None, None
        if "decoded" in table.column_names:
            open_file = cache(lambda file_nr: stack.enter_context(files[file_nr].open()))
            read_line = partial(_read_line, table, place_of, open_file)
            if columns is not None and "values" in table.column_names:
                parsed = [_to_bytes(table[name]) for name in ("values", "observed_at", "decoded")]
                arrays = array("q", parsed[0]), array("d", parsed[1]), bytearray(parsed[2])
                source = columns.ParsedLinesSource(*arrays, read_line, dialect)
            records: Any = _Records(read_line, len(table))
        else:
            records = TableRows(Frame(table.drop_columns(["file_nr", "line"])), place_of=place_of)
            source = columns and columns.TableSource(records, dialect, seed=seed)
        if columns is not None and source is not None:
            with suppress(columns.NotColumnarError):
                accumulator = columns.ColumnEngine(dialect, template, skew_s, memory, seed=seed).run([source])
        if accumulator is None:
            accumulator, _ = audit_rows(records, dialect, template, skew_s, is_repeatable=True)
    if "starts_line" in table.column_names:
        accumulator.places = load_compute().sum(table["starts_line"]).as_py()
    yield load_arrow().RecordBatch.from_pydict({"result": [pickled((accumulator, columns is not None))]})


def read_streams(streams: Sequence[bytes]) -> Any:
    """Return the rows of Arrow streams as one table, in the order of the log."""
    pa = load_arrow()
    tables = [pa.ipc.open_stream(stream).read_all() for stream in streams]
    # Rows of workers without compiled code have no values.
    table = pa.concat_tables(tables, promote_options="default")
    keys = [(name, "ascending") for name in ("file_nr", "line")]
    # The sort is stable: the batches of one line stay in order.
    return table.take(load_compute().sort_indices(table, sort_keys=keys))


def _to_bytes(column: Any) -> bytes:
    """Return the values of a column of values of one size, without gaps."""
    size = column.type.bit_width // 8
    return b"".join(
        memoryview(chunk.buffers()[1])[size * chunk.offset : size * (chunk.offset + len(chunk))]
        for chunk in column.chunks
    )


def _read_line(table: Any, place_of: Callable[[int], LogPosition], open_file: Any, row: int) -> RawRecord:
    """Return a line; if its text was not shuffled, read it from its file."""
    text = table["text"][row].as_py()
    if text is None:
        binary = open_file(table["file_nr"][row].as_py())
        binary.seek(table["begin"][row].as_py())
        text = binary.read(table["size"][row].as_py())
    return RawRecord(place_of(row), text)


@attrs.frozen
class _Records:
    """The lines of a partition as raw records; can be read several times."""

    read_line: Callable[[int], RawRecord]
    count: int

    def __iter__(self) -> Iterator[RawRecord]:
        return map(self.read_line, range(self.count))
