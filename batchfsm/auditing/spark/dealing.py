"""Rows dealt out to buckets by their batch, in the worker that read them: packed together, not one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cache, partial
from typing import Any, Final

import attrs

from batchfsm.auditing import extra
from batchfsm.auditing.spark.frames import COLUMNS, GROUPS, STRETCHES, TEXT
from batchfsm.auditing.spark.stretches import File
from batchfsm.auditing.spool import unpacked
from batchfsm.auditing.tabular import Frame, Parquet, Rows
from batchfsm.dialects import Dialect
from batchfsm.errors import SnapshotError
from batchfsm.logs import Row
from batchfsm.wire import batches, decode, reader

DEALT: Final = "bucket int, rows binary"
"""What dealing yields: rows as a stream of Arrow's, and whose they are."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_SPACE: Final = b" \t\r\n"

Dealt = tuple[Any, Any]
"""A table of rows, and their keys: one for all rows of a batch."""


@cache
def dialect_of(packed: bytes) -> Dialect:
    """Return a dialect that was packed: one for all tasks of a worker, for readers and rules are kept by it."""
    dialect: Dialect = unpacked(packed)
    return dialect


def deal(found: Iterator[Any], setting: bytes) -> Iterator[Any]:
    """
    Deal rows out: those of a batch all come into one bucket.

    Args:
        found: Record batches of Arrow's, as a `Log` has them.
        setting: What they are, the dialect, the files, and how many buckets there are, packed.
    """
    import numpy as np  # noqa: PLC0415  # In a worker, which has it.
    import pyarrow as pa  # noqa: PLC0415  # As above.

    kind, packed_dialect, files, count = unpacked(setting)
    for table, keys in _READERS[kind](found, dialect_of(packed_dialect), files):
        if not len(keys):
            continue  # All of it was blank, or inside one line.
        mine = keys % count
        order = np.argsort(mine, kind="stable")
        buckets, starts = np.unique(mine[order], return_index=True)
        sorted_rows = table.take(pa.array(order)).combine_chunks()
        ends = [*starts[1:].tolist(), len(order)]
        parts = [_packed(sorted_rows[start:end]) for start, end in zip(starts.tolist(), ends, strict=True)]
        yield pa.RecordBatch.from_arrays(
            [pa.array(buckets, pa.int32()), pa.array(parts, pa.binary())], ["bucket", "rows"]
        )


def opened(rows: Sequence[bytes]) -> Any:
    """Return packed rows as one table, the parts of it in the order of the log."""
    import pyarrow as pa  # noqa: PLC0415  # As above.

    parts = [pa.ipc.open_stream(each).read_all() for each in rows]
    return pa.concat_tables(sorted(parts, key=lambda part: (part["file_nr"][0].as_py(), part["line"][0].as_py())))


def _packed(table: Any) -> bytes:
    import pyarrow as pa  # noqa: PLC0415  # As above.

    sink = pa.BufferOutputStream()
    # Compressed, a million rows pass from worker to worker in 0.14 s instead of 0.9.
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def _of_groups(found: Iterator[Any], dialect: Dialect, _: Sequence[File]) -> Iterator[Dealt]:
    """Read groups of rows, and number the rows."""
    import numpy as np  # noqa: PLC0415  # As above.
    import pyarrow as pa  # noqa: PLC0415  # As above.

    for each in (row for some in found for row in some.to_pylist()):
        line = each["line"]
        with closing(Parquet(each["name"], is_coded=False)) as file:
            for batch in file.group(each["group"]):
                lines = np.arange(line, line + len(batch))
                line += len(batch)
                places = [pa.array(np.full(len(batch), each["file_nr"], np.int32)), pa.array(lines)]
                names = ["file_nr", "line", *batch.schema.names]
                yield _of_rows(pa.Table.from_arrays([*places, *batch.columns], names), dialect)


def _of_columns(found: Iterator[Any], dialect: Dialect, _: Sequence[File]) -> Iterator[Dealt]:
    import pyarrow as pa  # noqa: PLC0415  # As above.

    return (_of_rows(pa.Table.from_batches([rows]), dialect) for rows in found)


def _of_rows(table: Any, dialect: Dialect) -> Dealt:
    import numpy as np  # noqa: PLC0415  # As above.

    columnar = extra.columns()
    grid = columnar.Grid(Rows(Frame(table)), dialect)
    keys, plain = columnar.keys(grid)
    odd = np.flatnonzero(~plain)
    keys[odd] = odd  # What has no id is judged alone, wherever it is.
    for row in grid.rows(odd):
        if isinstance(row, Row) and row.snapshot.is_named:
            keys[int(row.number)] = columnar.key_of(row.snapshot.id)[0]
    return table, keys


def _of_texts(found: Iterator[Any], dialect: Dialect, _: Sequence[File]) -> Iterator[Dealt]:
    """Scan lines, whose text goes along with what it says."""
    desks = extra.columns().Desks(dialect)
    for rows in found:
        columns = {name: rows.column(name).to_numpy() for name in ("file_nr", "line")}
        texts = rows.column("text").to_pylist()
        text = partial(_nth, texts, columns["line"].tolist())
        yield _of_lines(columns, desks.texts(texts), text, rows.column("text"), dialect)


def _of_stretches(found: Iterator[Any], dialect: Dialect, files: Sequence[File]) -> Iterator[Dealt]:
    """Read stretches of files; what a line says goes along, and its text stays where it is."""
    import numpy as np  # noqa: PLC0415  # As above.

    columnar = extra.columns()
    desks = columnar.Desks(dialect)
    for each in (row for some in found for row in some.to_pylist()):
        file = files[each["file_nr"]]
        with file.open() as binary:
            cut = columnar.cut(partial(file.fill, binary), each["begin"], each["end"], file.size)
        scanned = desks.lines(cut.buffer, cut.size)
        lines = each["line"] + np.arange(len(scanned.plain))
        columns = {
            "file_nr": np.full(len(lines), each["file_nr"], np.int32),
            "line": lines,
            "begin": cut.offset + scanned.starts[:-1],
            "size": np.diff(scanned.starts),
        }
        texts = _Texts(cut.buffer, scanned.starts.tolist())
        yield _of_lines(columns, scanned, partial(_nth, texts, lines.tolist()), None, dialect)


@attrs.frozen
class _Texts:
    """Texts one behind the other."""

    buffer: Any
    starts: list[int]

    def __getitem__(self, number: int) -> bytes:
        text: bytes = self.buffer[self.starts[number] : self.starts[number + 1]].tobytes()
        return text


def _nth(texts: Any, lines: Sequence[int], number: int) -> bytes:
    """Return one of some texts, without the mark that may stand before a file's first."""
    text: bytes = texts[number]
    return text.removeprefix(_BYTE_ORDER_MARK) if lines[number] == 1 else text


def _of_lines(
    columns: dict[str, Any], scanned: Any, text: Callable[[int], bytes], texts: Any, dialect: Dialect
) -> Dealt:
    """
    Open lines that hold several batches, a row for each, and leave out blank ones.

    Args:
        columns: Where each line stands.
        scanned: What each says.
        text: Returns its text.
        texts: All of them, if the text goes along with plain lines, too.
        dialect: Whose habits of writing are taken for granted.
    """
    import numpy as np  # noqa: PLC0415  # As above.
    import pyarrow as pa  # noqa: PLC0415  # As above.

    key_of, read = extra.columns().key_of, reader(dialect).read_bare
    plain = np.flatnonzero(scanned.plain)
    odd = [number for number in np.flatnonzero(~scanned.plain).tolist() if text(number).strip(_SPACE)]
    more = [(number, *each) for number in odd for each in _parts(text(number), read, key_of)]
    at = np.append(plain, np.array([number for number, *_ in more], np.int64))
    nulls = pa.nulls(len(plain), pa.binary())
    table = {name: values[at] for name, values in columns.items()} | {
        "part": np.append(np.zeros(len(plain), np.int32), np.array([part for _, part, *_ in more], np.int32)),
        "text": pa.concat_arrays(
            [nulls if texts is None else texts.take(pa.array(plain)), pa.array([each[2] for each in more], pa.binary())]
        ),
        "cells": cells_packed(scanned.cells[at]),
        "seen": scanned.seen[at],
        "plain": scanned.plain[at],
    }
    return pa.table(table), np.append(scanned.cells[plain, 0], np.array([each[3] for each in more], np.int64))


def cells_packed(cells: Any) -> Any:
    """Return rows of cells as a column of Arrow's."""
    import pyarrow as pa  # noqa: PLC0415  # As above.

    width = cells.shape[1] * cells.itemsize
    return pa.Array.from_buffers(pa.binary(width), len(cells), [None, pa.py_buffer(cells)])


def cells_of(column: Any) -> Any:
    """Return the rows of cells in a column of a table."""
    import numpy as np  # noqa: PLC0415  # As above.

    array = column.combine_chunks()
    found = np.frombuffer(array.buffers()[1], np.int64).reshape(-1, array.type.byte_width // 8)
    return found[array.offset : array.offset + len(array)]


def _parts(text: bytes, read: Any, key_of: Any) -> list[tuple[int, bytes, int]]:
    """Return what a line holds, each numbered, and with its key: 0 for what has no id, and is judged alone anywhere."""
    try:
        found = [*batches(decode(text))]
    except SnapshotError:
        return [(0, text, 0)]  # Whoever judges it says why it cannot be read.
    keys = []
    for batch, seen_at in found:
        try:
            snapshot = read(batch, seen_at)
            keys.append(key_of(snapshot.id)[0] if snapshot.is_named else 0)
        except SnapshotError:
            keys.append(0)
    if len(found) == 1:
        return [(0, text, keys[0])]
    wrapped = [json.dumps({"observed_at": seen_at, "batch": batch}).encode() for batch, seen_at in found]
    return [*zip(range(len(found)), wrapped, keys, strict=True)]


_READERS: Final = {TEXT: _of_texts, COLUMNS: _of_columns, GROUPS: _of_groups, STRETCHES: _of_stretches}
"""What reads each kind of log, and yields tables and keys."""
