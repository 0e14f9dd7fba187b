"""Rows dealt out to buckets by their batch, in the worker that read them: packed together, not one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from typing import Any, Final

from batchfsm.auditing import extra
from batchfsm.auditing.spark.frames import GROUPS, TEXT
from batchfsm.auditing.spool import unpacked
from batchfsm.auditing.tabular import Frame, Parquet, Rows
from batchfsm.dialects import Dialect
from batchfsm.errors import SnapshotError
from batchfsm.finding import Place
from batchfsm.logs import Row
from batchfsm.wire import batches, decode, reader

DEALT: Final = "bucket int, rows binary"
"""What dealing yields: rows as a stream of Arrow's, and whose they are."""


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
        setting: What they are, the dialect, and the buckets, packed.
    """
    import numpy as np  # noqa: PLC0415  # In a worker, which has it.
    import pyarrow as pa  # noqa: PLC0415  # As above.

    kind, packed_dialect, buckets = unpacked(setting)
    dialect = dialect_of(packed_dialect)
    for rows in _groups(found) if kind == GROUPS else found:
        table, keys = (_of_lines if kind == TEXT else _of_columns)(rows, dialect)
        mine = np.asarray(buckets)[keys % len(buckets)]
        order = np.argsort(mine, kind="stable")
        names, starts = np.unique(mine[order], return_index=True)
        sorted_rows = table.take(pa.array(order)).combine_chunks()
        ends = [*starts[1:].tolist(), len(order)]
        parts = [_packed(sorted_rows[start:end]) for start, end in zip(starts.tolist(), ends, strict=True)]
        yield pa.RecordBatch.from_arrays(
            [pa.array(names, pa.int32()), pa.array(parts, pa.binary())], ["bucket", "rows"]
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


def _groups(found: Iterator[Any]) -> Iterator[Any]:
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
                yield pa.RecordBatch.from_arrays([*places, *batch.columns], ["file_nr", "line", *batch.schema.names])


def _of_columns(rows: Any, dialect: Dialect) -> tuple[Any, Any]:
    """Return rows and their keys: one for all rows of a batch."""
    import numpy as np  # noqa: PLC0415  # As above.
    import pyarrow as pa  # noqa: PLC0415  # As above.

    table = pa.Table.from_batches([rows])
    columnar = extra.columns()
    grid = columnar.Grid(Rows(Frame(table)), dialect)
    keys, plain = columnar.keys(grid)
    odd = np.flatnonzero(~plain)
    keys[odd] = odd  # What has no id is judged alone, wherever it is.
    for row in grid.rows(odd):
        if isinstance(row, Row) and row.snapshot.is_named:
            keys[int(row.number)] = columnar.key_of(row.snapshot.id)[0]
    return table, keys


def _of_lines(rows: Any, dialect: Dialect) -> tuple[Any, Any]:
    """Open lines that hold several batches, a line for each, and leave out blank ones; return lines and their keys."""
    import numpy as np  # noqa: PLC0415  # As above.
    import pyarrow as pa  # noqa: PLC0415  # As above.

    columnar, read = extra.columns(), reader(dialect).read_bare
    texts = rows.column("text").to_pylist()
    keys, plain = columnar.keys(columnar.Bucket(texts, lambda number: Place("", number), dialect))
    parts = pa.array(np.zeros(len(texts), np.int32))
    table = pa.table([*rows.select(["file_nr", "line", "text"]).columns, parts], ["file_nr", "line", "text", "part"])
    odd = [number for number in np.flatnonzero(~plain).tolist() if texts[number].strip()]
    more = [
        {"file_nr": each["file_nr"], "line": each["line"], "text": text, "part": part, "key": key}
        for each in rows.take(pa.array(odd, pa.int64())).to_pylist()
        for part, (text, key) in enumerate(_parts(each["text"], read, columnar.key_of))
    ]
    table = table.filter(pa.array(plain))
    table = pa.concat_tables([table, pa.Table.from_pylist(more, table.schema)])
    return table, np.append(keys[plain], np.array([each["key"] for each in more], np.int64))


def _parts(text: bytes, read: Any, key_of: Any) -> list[tuple[bytes, int]]:
    """Return what a line holds, each with its key: 0 for what has no id, which is judged alone wherever it is."""
    try:
        found = [*batches(decode(text))]
    except SnapshotError:
        return [(text, 0)]  # Whoever judges it says why it cannot be read.
    keys = []
    for batch, seen_at in found:
        try:
            snapshot = read(batch, seen_at)
            keys.append(key_of(snapshot.id)[0] if snapshot.is_named else 0)
        except SnapshotError:
            keys.append(0)
    if len(found) == 1:
        return [(text, keys[0])]
    wrapped = [json.dumps({"observed_at": seen_at, "batch": batch}).encode() for batch, seen_at in found]
    return [*zip(wrapped, keys, strict=True)]
