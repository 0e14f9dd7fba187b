"""Parquet files of every encoding, and damaged ones."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchfsm import SourceError, audit
from batchfsm.auditing import api, optional
from batchfsm.auditing.tables.tables import Frame, Parquet
from support.notation import seen

pa = pytest.importorskip("pyarrow", reason="the extra `audit` is not installed")
pq = pytest.importorskip("pyarrow.parquet")

TEXTS = ("id", "status", "input_file_id")
ENCODINGS = {
    "dictionary": {},
    "plain": dict.fromkeys(TEXTS, "PLAIN") | {"created_at": "PLAIN", "observed_at": "PLAIN"},
    "delta": dict.fromkeys(TEXTS, "DELTA_BYTE_ARRAY") | {"created_at": "DELTA_BINARY_PACKED"},
    "delta length": dict.fromkeys(TEXTS, "DELTA_LENGTH_BYTE_ARRAY") | {"observed_at": "BYTE_STREAM_SPLIT"},
    "both": {"id": "DELTA_BYTE_ARRAY", "status": "PLAIN", "created_at": "BYTE_STREAM_SPLIT"},
}
"""All that pyarrow writes for text, integers and floats."""


@pytest.fixture(params=["columns", "rows"])
def engine(request, monkeypatch):
    """Read the small files of these tests in columns, compiled or not; or row by row."""
    if request.param == "columns":
        pytest.importorskip("cython", reason="neither compiled code nor Cython is installed")
        monkeypatch.setattr(api, "COLUMNS_BYTES_MIN", 0)
    monkeypatch.setattr(optional, "is_compiled", lambda: request.param == "columns")
    return request.param


def table(count=300):
    """Return a table of many batches; every third one violates H502."""
    rows = []
    for number in range(count):
        for place, row in enumerate(seen("vpzcp" if number % 3 == 0 else "vpzc", id=f"batch-{number}")):
            fields = ("id", "status", "created_at", "input_file_id", "in_progress_at", "completed_at")
            rows.append({name: row[name] for name in fields} | {"observed_at": row["created_at"] + 60.0 * place})
    return pa.Table.from_pylist(rows)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("encodings", ENCODINGS.values(), ids=ENCODINGS)
def test_every_encoding(encodings, version, engine, tmp_path):
    """The report is the same, however the columns are encoded."""
    path, rows = tmp_path / "log.parquet", table()
    options = {"use_dictionary": False, "column_encoding": encodings} if encodings else {}
    pq.write_table(rows, path, row_group_size=400, data_page_version=version, **options)
    report = audit(path, engine="auto" if engine == "columns" else "rows")

    assert {"H502"} == report.counts.keys()
    assert json.dumps(audit(rows, engine="rows").to_dict()) == json.dumps(report.to_dict()).replace(
        str(path), "dataframe"
    )


def test_a_row_group_of_two_encodings(monkeypatch, tmp_path):
    """A row group that changes its encoding when a dictionary is full is read whole, each row once."""
    rows, read = table(), Parquet._iterate
    pq.write_table(rows, tmp_path / "log.parquet", row_group_size=700)
    tried = []

    def iterate(self, groups):
        for number, batch in enumerate(read(self, groups)):
            if number == 1 and self._dictionaries:
                tried.append(groups)
                raise OSError("Not yet implemented: DecodeArrow of DictAccumulator for DeltaByteArrayDecoder.")
            yield batch[:500]
            if batch.num_rows > 500:
                yield batch[500:]

    monkeypatch.setattr(Parquet, "_iterate", iterate)
    file = Parquet(str(tmp_path / "log.parquet"))
    found = [row for batch in file.batches() for row in batch.select(["id", "observed_at"]).to_pylist()]
    file.close()

    assert [[0, 1]] == tried
    assert rows.select(["id", "observed_at"]).to_pylist() == found


def test_rows_are_read_again(tmp_path):
    """Rows of any row groups are read again by number; an empty file has none."""
    rows = table()
    pq.write_table(rows, tmp_path / "log.parquet", row_group_size=400)
    pq.ParquetWriter(tmp_path / "empty.parquet", rows.schema).close()
    file, empty = Parquet(str(tmp_path / "log.parquet")), Parquet(str(tmp_path / "empty.parquet"))
    wanted = [0, 399, 400, len(rows) - 1]
    found = [
        (number, row["id"])
        for numbers, batch in file.reread(wanted)
        for number, row in zip(numbers, batch.to_pylist(), strict=True)
    ]
    group = [batch.num_rows for batch in file.group_batches(1)]
    nothing = [*empty.batches(), *empty.reread([]), *Frame(rows[:0]).reread([])]
    file.close()
    empty.close()

    assert [(number, rows["id"][number].as_py()) for number in wanted] == found
    assert [400] == group
    assert [] == nothing


@pytest.mark.parametrize("chunks", [1, 3])
def test_small_chunks_of_a_dataframe_are_joined(chunks):
    """Several small chunks become one record batch; a single chunk is not copied."""
    rows = pa.table({"id": ["b"] * 8192, "status": ["validating"] * 8192, "created_at": [1_760_000_000] * 8192})
    step = -(-8192 // chunks)
    parts = pa.concat_tables([rows[start : start + step] for start in range(0, 8192, step)])
    (batch,) = Frame(parts).batches()

    assert 8192 == batch.num_rows
    assert (chunks == 1) == (
        batch["created_at"].buffers()[1].address == rows["created_at"].chunks[0].buffers()[1].address
    )


@pytest.mark.parametrize("by_dictionary", [True, False])
def test_a_damaged_page(by_dictionary, tmp_path):
    """A damaged page is detected by its checksum, by dictionary or not."""
    path = tmp_path / "log.parquet"
    pq.write_table(table(), path, write_page_checksum=True, compression="none")
    path.write_bytes(path.read_bytes().replace(b"batch-7", b"batch_7"))
    file = Parquet(str(path), by_dictionary=by_dictionary)

    with pytest.raises(SourceError, match=r"log\.parquet: [^\n]*CRC[^\n]*$"):
        [*file.batches()]
    file.close()


def footer(binary):
    """Return the offset of the footer of a Parquet file."""
    return len(binary) - 8 - int.from_bytes(binary[-8:-4], "little")


def small(folder):
    """Return the path of a small file, and its bytes."""
    path = Path(folder, "log.parquet")
    pq.write_table(table(2), path, store_schema=False)
    return path, path.read_bytes()


def damage(path, binary, position, mask):
    """Audit a file in which some bits of one byte are flipped; the result is a report or an error of one line."""
    damaged = bytearray(binary)
    damaged[position] ^= mask
    path.write_bytes(damaged)
    try:
        audit(path)
    except SourceError as error:
        assert str(error).startswith(str(path))
        assert 1 == len(str(error).splitlines())


def test_a_column_name_that_is_no_utf8(tmp_path):
    """The message names the file and the damage."""
    path, binary = small(tmp_path)
    path.write_bytes(binary.replace(b"input_file_id", b"\x80nput_file_id"))

    with pytest.raises(SourceError, match=r"log\.parquet: damaged: the name of a column is not UTF-8$"):
        audit(path)


def test_a_column_name_with_a_line_end(tmp_path):
    """The message escapes the line end and stays one line."""
    path, binary = small(tmp_path)
    path.write_bytes(binary.replace(b"created_at", b"created\rat"))

    with pytest.raises(SourceError, match=r"log\.parquet: no column for created_at; there are .*created\\rat"):
        audit(path)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_damaged_byte(part, mask):
    """Whichever byte of a file is damaged, the audit ends with a report or an error of one line."""
    with TemporaryDirectory() as folder:
        path, binary = small(folder)
        damage(path, binary, int(part * len(binary)), mask)


@pytest.mark.slow
@pytest.mark.parametrize("first, mask", [(0, 0x01), (1, 0x80), (2, 0xFF)])
def test_every_byte_of_a_footer(first, mask, engine, tmp_path):
    """For each damaged byte of the footer, the audit ends with a report or an error of one line."""
    path, binary = small(tmp_path)
    for position in range(footer(binary) + first, len(binary), 3):
        damage(path, binary, position, mask)
