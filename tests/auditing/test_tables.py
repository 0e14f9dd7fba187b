"""Logs that are tables: Parquet and dataframes, against the same rows as JSON lines, row by row and in columns."""

import json
import os
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from batchfsm import DIALECTS, MissingExtraError, SourceError, audit
from batchfsm.auditing import running, tabular
from batchfsm.auditing.tabular import table
from batchfsm.auditing.tabular.blind import blind
from batchfsm.cli import app
from batchfsm.errors import DefinitionError
from support.medley import COUNTS, STAMPS, TEXTS, TIMES, medley
from support.notation import CREATED, seen

pytest.importorskip("pyarrow", reason="the extra `audit` is not installed")
pytest.importorskip("numba", reason="the extra `audit` is not installed")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batchfsm.auditing import columnar
from batchfsm.auditing.columnar import Grid, Lines

STRING = pa.string()
LARGE = 0
SMALL = sys.maxsize
FLAT = {
    **dict.fromkeys(TEXTS, pa.string()), "observed_at": pa.float64(), **dict.fromkeys(TIMES, pa.int64()),
    **{f"request_counts_{name}": pa.int64() for name in COUNTS}, "metadata": pa.string(),
}  # fmt: skip
"""A table as warehouses have it: one column a value, errors and metadata as JSON text."""


def flat_table(rows, **changes):
    """Return rows as a flat table; another type for some columns, or none for those that are left out."""
    kinds = {name: changes.get(name, kind) for name, kind in FLAT.items()}
    arrays = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in kinds.items() if kind}
    return pa.table(arrays)


def line(row):
    """Return a row of the flat table as a line of JSON."""
    counts = {name: row[f"request_counts_{name}"] for name in COUNTS}
    nested = {name: json.loads(row[name]) if row.get(name) else None for name in ("errors", "metadata")}
    batch = {name: row[name] for name in (*TEXTS, *TIMES)} | nested
    batch["request_counts"] = None if {*counts.values()} == {None} else counts
    return json.dumps({"observed_at": row["observed_at"], "batch": batch}) + "\n"


def files(tmp_path, rows, whole=None):
    """Write rows as JSON lines and as Parquet."""
    lines, parquet = tmp_path / "log.jsonl", tmp_path / "log.parquet"
    lines.write_text("".join(map(line, rows)))
    pq.write_table(whole or flat_table(rows), parquet, row_group_size=20)
    return str(lines), str(parquet)


def judged(source, size, **options):
    """Audit with a threshold for columns; return all that the report says, wherever the rows are from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "COLUMNS_BYTES_MIN", size)
        report = audit(source, **options)
    text = report.to_json()
    for name in ("log.jsonl", "log.parquet", "dataframe"):
        text = text.replace(os.path.join(os.path.dirname(str(source)) if isinstance(source, str) else "", name), "LOG")  # noqa: PTH118, PTH120
    return text, report.not_looked


def healthy():
    """Return the rows of a whole life, and of one that fails."""
    errors = json.dumps([{"code": "a", "message": "m", "param": None, "line": 7}])
    rows = []
    for number, path in enumerate(("vpzc", "vf")):
        for batch in seen(path):
            counts = batch.get("request_counts") or dict.fromkeys(COUNTS)
            row = {name: batch.get(name) for name in (*TEXTS, *TIMES)} | {"id": f"b{number}"}
            row |= {"errors": errors if batch["status"] == "failed" else None, "metadata": '{"team": "search"}'}
            row |= {f"request_counts_{name}": counts[name] for name in COUNTS}
            rows.append(row | {"observed_at": 1.0 + max(batch.get(stamp) or CREATED for stamp in STAMPS)})
    rows[-1]["status"] = "expired"
    return rows


# ---------------------------------------------------------------- the same as JSON lines


@pytest.mark.parametrize("server", DIALECTS)
def test_a_table_is_judged_as_its_rows_are(server, tmp_path):
    """Row by row and in columns: verdict, counts, findings, messages, places, what could not be read."""
    rows = medley(random.Random(server), server, 10, 20)  # noqa: S311
    lines, parquet = files(tmp_path, rows)
    expected = judged(lines, SMALL, dialect=server)

    assert expected == judged(parquet, SMALL, dialect=server)
    assert expected == judged(parquet, LARGE, dialect=server)


@pytest.mark.parametrize("server", ["openai", "azure", "compatible"])
def test_cells_equal_those_of_lines(server, tmp_path):
    """Column by column, wherever both are plain; digests too."""
    rows = medley(random.Random(f"cells {server}"), server, 12, 20)  # noqa: S311
    lines, parquet = files(tmp_path, rows)
    read = Lines(lines, DIALECTS[server])
    (one,) = read.chunks()
    read.close()
    with tabular.opened(parquet, "auto", lambda _: None) as found:
        grid = [*Grid(found.parts[0], DIALECTS[server]).chunks()]
    cells, seen_at, plain = (
        np.concatenate([getattr(each, name) for each in grid]) for name in ("cells", "seen", "plain")
    )
    both = one.plain & plain

    assert len(rows) == len(cells)
    assert len(rows) // 2 < both.sum()
    assert (one.cells[both] == cells[both]).all()
    assert np.array_equal(one.seen[both], seen_at[both], equal_nan=True)


# ---------------------------------------------------------------- shapes


def nested_counts(rows):
    """Return a table in which the counts are a struct."""
    whole = flat_table(rows, **{f"request_counts_{name}": None for name in COUNTS})
    counts = [{name: row[f"request_counts_{name}"] for name in COUNTS} for row in rows]
    kind = pa.struct([(name, pa.int64()) for name in reversed(COUNTS)])
    given = [None if {*each.values()} == {None} else each for each in counts]
    return whole.append_column("request_counts", pa.array(given, kind))


def counts_as(kind, write):
    """Return what makes a table whose counts are written in another way."""

    def shape(rows):
        whole = nested_counts(rows)
        values = [each and write(each) for each in whole["request_counts"].to_pylist()]
        return whole.drop_columns("request_counts").append_column("request_counts", pa.array(values, kind))

    return shape


def renamed(names):
    """Return what makes a table with other names of columns."""
    return lambda rows: flat_table(rows).rename_columns([names.get(name, name) for name in FLAT])


def recast(**kinds):
    """Return what makes a table with other types of columns."""

    def shape(rows):
        whole = flat_table(rows)
        for name, kind in kinds.items():
            place = whole.schema.get_field_index(name)
            whole = whole.set_column(place, name, whole[name].cast(kind, safe=False))
        return whole

    return shape


def parsed(field, kind):
    """Return what makes a table in which a column of JSON text is nested."""

    def shape(rows):
        values = [json.loads(row[field]) if row[field] else None for row in rows]
        values = [[*each.items()] if each and pa.types.is_map(kind) else each for each in values]
        return flat_table(rows, **{field: None}).append_column(field, pa.array(values, kind))

    return shape


def enveloped(wrapper, clock):
    """Return what makes a table of one struct beside its time."""

    def shape(rows):
        whole = nested_counts(rows)
        inner = pa.array(
            whole.drop_columns("observed_at").to_pylist(), pa.struct([*whole.drop_columns("observed_at").schema])
        )
        return pa.table({"call": pa.array(["retrieve"] * len(rows)), wrapper: inner, clock: whole["observed_at"]})

    return shape


def texts(rows, kind=STRING):
    """Return a table of one column: JSON text, some of it over several lines."""
    return pa.table(
        {
            "line": pa.array(
                [json.dumps(json.loads(line(row)), indent=n % 2 or None) for n, row in enumerate(rows)], kind
            )
        }
    )


def bodies(rows):
    """Return a table of JSON text beside its time."""
    batches = [json.dumps(json.loads(line(row))["batch"]) for row in rows]
    return pa.table({"timestamp": [row["observed_at"] for row in rows], "body": batches})


def zoned(unit, zone=None):
    """Return what makes a table with times of a type."""
    kind = pa.timestamp(unit, zone)

    def shape(rows):
        whole = flat_table(rows)
        for name in (*TIMES, "observed_at"):
            moments = [
                None if row[name] is None else datetime.fromtimestamp(row[name], UTC).replace(tzinfo=None)
                for row in rows
            ]
            array = (
                pa.array(moments, pa.timestamp(unit)).cast(kind)
                if zone is None
                else pa.array(moments, pa.timestamp(unit)).cast(pa.timestamp(unit, "UTC")).cast(kind)
            )
            whole = whole.set_column(whole.schema.get_field_index(name), name, array)
        return whole

    return shape


def nulls(rows):
    """Return a table in which columns of nothing but nulls have no type."""
    whole = flat_table(rows).append_column("usage", pa.nulls(len(rows)))
    for name in ("error_file_id", "expired_at", "cancelling_at"):
        whole = whole.set_column(whole.schema.get_field_index(name), name, pa.nulls(len(rows)))
    return whole


ENTRY = pa.struct({"code": pa.string(), "message": pa.string(), "param": pa.string(), "line": pa.int64()})
SHAPES = {
    "flat": flat_table,
    "dotted": renamed({f"request_counts_{name}": f"request_counts.{name}" for name in COUNTS}),
    "camel": renamed({"created_at": "createdAt", "input_file_id": "inputFileId"}),
    "shuffled": lambda rows: flat_table(rows).select([*reversed(FLAT)]),
    "more": lambda rows: flat_table(rows).append_column("note", pa.array([1] * len(rows))),
    "nested": nested_counts,
    "counts as a map": counts_as(pa.map_(pa.string(), pa.int64()), lambda each: [*each.items()]),
    "counts as text": counts_as(pa.string(), json.dumps),
    "errors as a list": parsed("errors", pa.list_(ENTRY)),
    "errors as a large list": parsed("errors", pa.large_list(ENTRY)),
    "metadata as a struct": parsed("metadata", pa.struct({"team": pa.string(), "n": pa.int64()})),
    "metadata as a map": parsed("metadata", pa.map_(pa.string(), pa.string())),
    "envelope": enveloped("snapshot", "timestamp"),
    "text": texts,
    "large text": lambda rows: texts(rows, pa.large_string()),
    "text by dictionary": lambda rows: texts(rows, pa.dictionary(pa.int32(), pa.string())),
    "bodies": bodies,
    **{f"times in {unit}": zoned(unit) for unit in ("s", "ms", "us", "ns")},
    "times of a zone": zoned("us", "Asia/Tokyo"),
    "large strings": recast(**dict.fromkeys(TEXTS, pa.large_string())),
    "views": recast(**dict.fromkeys(TEXTS, pa.string_view())),
    "bytes": recast(id=pa.binary(), status=pa.large_binary()),
    "dictionaries": recast(**dict.fromkeys(TEXTS, pa.dictionary(pa.int8(), pa.string()))),
    "floats": recast(**dict.fromkeys((*TIMES, *(f"request_counts_{name}" for name in COUNTS)), pa.float64())),
    "decimals": recast(**dict.fromkeys(TIMES, pa.decimal128(38, 0))),
    "small numbers": recast(**{f"request_counts_{name}": pa.int16() for name in COUNTS}, created_at=pa.uint64()),
    "nulls of no type": nulls,
    "whole observed": recast(observed_at=pa.int64()),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape, tmp_path):
    """However the columns are called, ordered and typed, and wherever the batch stands."""
    rows = healthy()
    lines, parquet = files(tmp_path, rows, SHAPES[shape](rows))
    expected = judged(lines, SMALL)

    assert '"P101"' in expected[0]
    assert expected == judged(parquet, SMALL)
    assert expected == judged(parquet, LARGE)
    assert expected == judged(SHAPES[shape](rows), LARGE)


def is_large(path):
    """Tell whether a log is read in columns; nothing of it is judged."""
    taken = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "_in_columns", lambda *_: taken.append(True))
        patch.setattr(running, "one_by_one", lambda log, dialect, blank, *_, **__: (blank, None))
        audit(str(path))
    return bool(taken)


@pytest.mark.parametrize("suffix, size", [("jsonl", 2**24), ("jsonl.gz", 2**21), ("jsonl.zst", 2**21)])
def test_which_files_are_large(suffix, size, tmp_path):
    """By how many snapshots they hold, about: packed ones hold more than their bytes tell."""
    path = tmp_path / f"log.{suffix}"
    path.touch()
    os.truncate(path, size - 1)
    assert not is_large(path)

    os.truncate(path, size)
    assert is_large(path)


@pytest.mark.parametrize("rows", [2**15 - 1, 2**15])
def test_which_tables_are_large(rows, tmp_path):
    """A table packs many more snapshots into a byte than JSON does: they are counted."""
    path, few = tmp_path / "log.parquet", flat_table(healthy())
    pq.write_table(pa.concat_tables([few] * (rows // len(few) + 1))[:rows], path)

    assert (rows == 2**15) == is_large(path)


def test_columns_are_taken(tmp_path, monkeypatch):
    """A healthy table asks the scalar core for no row."""
    monkeypatch.setattr(running, "COLUMNS_BYTES_MIN", LARGE)
    monkeypatch.setattr(Grid, "rows", lambda *_: iter(()))
    rows = [row for row in healthy() if row["id"] == "b0"]
    _, parquet = files(tmp_path, rows)

    assert "consistent" == audit(parquet).verdict


FRAMES = {
    "polars": lambda path: pytest.importorskip("polars").read_parquet(path),
    "pandas": lambda path: pytest.importorskip("pandas").read_parquet(path),
    "duckdb": lambda path: pytest.importorskip("duckdb").connect().read_parquet(path),
    "arrow": pq.read_table,
    "reader": lambda path: pq.read_table(path).to_reader(),
    "batch": lambda path: pq.read_table(path).combine_chunks().to_batches()[0],
    "small batches": lambda path: pa.Table.from_batches(pq.read_table(path).to_batches(max_chunksize=2)),
}


@pytest.mark.parametrize("library", FRAMES)
def test_dataframes(library, tmp_path):
    """Whatever library they are of; places count rows from 1."""
    lines, parquet = files(tmp_path, healthy())
    expected = judged(lines, SMALL)

    assert expected == judged(FRAMES[library](parquet), SMALL)
    assert expected == judged(FRAMES[library](parquet), LARGE)


def test_a_state_goes_on_over_tables(tmp_path):
    """What it has taken in is passed over and named; a frame has no name, and is always new."""
    rows, state = healthy(), tmp_path / "state.db"
    lines, parquet = files(tmp_path, rows)
    Path(lines).write_text("".join(map(line, rows[:3])))
    pq.write_table(flat_table(rows[3:]), parquet)
    whole = audit([lines, parquet])
    first, second = audit(lines, state=state), audit([lines, parquet], state=state)
    frame = audit(pq.read_table(parquet), state=tmp_path / "other.db")

    assert (3, len(rows) - 3, len(rows) - 3) == (first.snapshots, second.snapshots, frame.snapshots)
    assert (f"passed over, for the state has taken it in before: {lines}",) == second.remarks
    assert whole.counts == {
        code: first.counts.get(code, 0) + second.counts.get(code, 0) for code in {**first.counts, **second.counts}
    }


def test_a_file_that_cannot_be_looked_into_is_no_table(tmp_path, monkeypatch):
    """What is wrong with it is said by who reads it."""

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    lines, _ = files(tmp_path, healthy())
    monkeypatch.setattr(Path, "open", denied)

    with pytest.raises(SourceError, match=r"log\.jsonl: Permission denied$"):
        audit(lines)


def test_files_of_both_kinds_are_one_log(tmp_path, monkeypatch):
    """In the order in which they are named; findings have the place of their file."""
    rows = healthy()
    lines, parquet = files(tmp_path, rows)
    Path(lines).write_text("".join(map(line, rows[:3])))
    pq.write_table(flat_table(rows[3:]), parquet)
    found = []
    for size in (SMALL, LARGE):
        monkeypatch.setattr(running, "COLUMNS_BYTES_MIN", size)
        found.append(audit([lines, parquet]).to_dict())

    assert found[0] == found[1]
    assert {parquet} == {finding["where"][-1]["source"] for finding in found[0]["findings"]}
    assert len(rows) == found[0]["snapshots"]


# ---------------------------------------------------------------- what columns do not show


ODD = {
    "created_at as text": ("created_at", pa.string(), ["17", None]),
    "half a second": ("created_at", pa.float64(), [CREATED + 0.5, float("nan"), float("inf"), 1e300]),
    "huge numbers": ("created_at", pa.uint64(), [2**64 - 1, 2**63]),
    "lowest number": ("created_at", pa.int64(), [-(2**63), 2**62]),
    "half a request": ("request_counts_total", pa.float64(), [1.5, None, float("nan")]),
    "many requests": ("request_counts_total", pa.int64(), [2**62, -(2**63)]),
    "no id": ("id", pa.string(), [None, ""]),
    "no status": ("status", pa.string(), [None, ""]),
    "another object": ("object", pa.string(), [None, "", "file", "batc"]),
    "observed_at as text": ("observed_at", pa.string(), ["2024-03-26T16:45:33Z", "x", None, "2024-03-26T16:45:33.5+01:00" + " " * 40]),
    "observed_at by dictionary": ("observed_at", pa.dictionary(pa.int32(), pa.string()), ["2024-03-26T16:45:33Z", None]),
    "observed_at of nothing": ("observed_at", pa.float64(), [0.0, -1.0, float("nan"), None]),
    "observed_at of no type": ("observed_at", pa.null(), [None]),
    "created_at by dictionary": ("created_at", pa.dictionary(pa.int32(), pa.int64()), [CREATED, None]),
    "counts and more": ("request_counts", pa.struct({**dict.fromkeys(COUNTS, pa.int64()), "more": pa.string()}), [{"total": 1, "completed": 1, "failed": 0, "more": "x"}, None]),
    "errors of no JSON": ("errors", pa.string(), ["[", "", "x", "[] []", '[{"code": "a"}', "5"]),
    "errors as texts": ("errors", pa.list_(pa.string()), [["a"], [], None, [None]]),
    "errors with a hole": ("errors", pa.list_(ENTRY), [[None], [{"code": "a"}, None], []]),
    "errors of other names": ("errors", pa.list_(pa.struct({"Code": pa.string()})), [[{"Code": "a"}], []]),
    "errors as a page": ("errors", pa.struct({"object": pa.string(), "data": pa.list_(ENTRY)}), [{"object": "list", "data": [{"code": "a"}]}, {"object": "list", "data": []}, None]),
    "errors as something": ("errors", pa.struct({"code": pa.string()}), [{"code": "a"}, None]),
    "metadata of no JSON": ("metadata", pa.string(), ["{", '{"a": 1}', '{"a": "b", "a": "c"}', "null", "[]", "[1]", '{"k": "%s"}' % ("v" * 513)]),
    "metadata with a long key": ("metadata", pa.struct({"k" * 65: pa.string(), "a": pa.string()}), [{"k" * 65: "v"}, {"a": "v" * 513}, {"a": "v"}]),
    "metadata with many keys": ("metadata", pa.struct({f"k{n}": pa.string() for n in range(17)}), [{f"k{n}": "v" for n in range(17)}, {"k1": "v"}]),
    "metadata maps": ("metadata", pa.map_(pa.string(), pa.string()), [[("a", "b"), ("a", "c")], [("k" * 65, "v")], [("a", "v" * 513)], [(f"k{n}", "v") for n in range(17)], [("a", None)], [("a", "b"), ("b", "b")], []]),
    "metadata maps of numbers": ("metadata", pa.map_(pa.string(), pa.int64()), [[("a", 1)], [], None]),
    "metadata maps by number": ("metadata", pa.map_(pa.int64(), pa.string()), [[], None]),
    "metadata as a list": ("metadata", pa.list_(pa.string()), [[], ["a"], None]),
    "usage": ("usage", pa.string(), ["{}", '{"a": [1]}', "5", "null", "{"]),
    "usage as a struct": ("usage", pa.struct({"a": pa.int64()}), [{"a": 1}, None]),
    "usage as a map": ("usage", pa.map_(pa.string(), pa.int64()), [[("a", 1)], [("a", 1), ("a", 2)], None]),
    "counts of null": ("request_counts", pa.struct({"total": pa.int64(), "Completed": pa.int64()}), [{"total": 1, "Completed": 1}, None]),
    "counts of no JSON": ("request_counts", pa.string(), ["{", '{"total": 1, "completed": 0, "failed": 0}', "[]"]),
}  # fmt: skip


@pytest.mark.parametrize("server", ["openai", "azure"])
@pytest.mark.parametrize("oddity", ODD)
def test_both_readings_say_the_same_of_oddities(oddity, server, tmp_path):
    """What columns cannot tell exactly, the scalar core reads."""
    column, kind, values = ODD[oddity]
    rows = [row for row in healthy() for _ in values]
    array = pa.array([values[place % len(values)] for place in range(len(rows))], kind)
    changes = {f"request_counts_{name}": None for name in COUNTS} if column == "request_counts" else {}
    whole = flat_table(rows, **changes)
    if column in whole.column_names:
        whole = whole.drop_columns(column)
    path = tmp_path / "log.parquet"
    pq.write_table(whole.append_column(column, array), path)

    assert judged(str(path), SMALL, dialect=server) == judged(str(path), LARGE, dialect=server)


@pytest.mark.parametrize(
    "text", [None, "", "null", "12", "[1]", "{", '{"a": "\n"}', '{"object": "list", "data": [%s, {}]}', "%s %s"]
)
def test_both_readings_say_the_same_of_json_text(text, tmp_path):
    """A page may stand in a row, and anything else."""
    rows = healthy()
    good = json.dumps(json.loads(line(rows[0])))
    table = pa.table({"text": [text and text.replace("%s", good), good, *map(line, rows)]})
    path = tmp_path / "log.parquet"
    pq.write_table(table, path)

    assert judged(str(path), SMALL) == judged(str(path), LARGE)


def test_metadata_that_are_null_in_a_struct_are_absent(tmp_path):
    """A struct has the keys of all rows; half a row's are nobody's fault."""
    rows = [row for row in healthy() if row["id"] == "b0"]
    table = parsed("metadata", pa.struct({"team": pa.string(), "other": pa.string()}))(rows)

    assert "consistent" == audit(table).verdict


def test_both_readings_say_the_same_without_most_columns():
    """What is missing is null to both."""
    table = flat_table(healthy()).select(["created_at", "id", "status"])

    assert judged(table, SMALL) == judged(table, LARGE)


def test_numbers_by_dictionary():
    """A dataframe may hold any column so."""
    whole = flat_table(healthy())
    place = whole.schema.get_field_index("created_at")
    table = whole.set_column(place, "created_at", whole["created_at"].dictionary_encode())

    assert judged(whole, SMALL) == judged(table, SMALL)
    assert judged(whole, SMALL) == judged(table, LARGE)


def test_a_frame_in_many_batches(monkeypatch):
    """Rows are found again in whichever of them they are."""
    expected = judged(flat_table(healthy()), SMALL)
    monkeypatch.setattr(table, "BATCH_ROWS", 2)

    assert expected == judged(flat_table(healthy()), LARGE)


# ---------------------------------------------------------------- missing columns


def test_rules_without_their_column_are_named():
    """They find nothing, and the verdict is not `consistent`; to ignore them is to know it."""
    rows = [row for row in healthy() if row["id"] == "b0"]
    table = flat_table(rows, metadata=None, expires_at=None, output_file_id=None)
    report = audit(table)

    assert "undetermined" == report.verdict
    assert ("S006", "P104", "T202", "T203", "T204", "T207", "F402") == report.not_looked
    assert {} == report.counts
    assert "consistent" == audit(table, ignore="S006,P104,T202,T203,T204,T207,F402").verdict
    assert ("F402",) == audit(table, select="F402,P101").not_looked


def test_a_stamp_without_a_column_says_nothing():
    """Nobody knows whether the server sent it; the others are judged."""
    rows = [row for row in healthy() if row["id"] == "b0"]
    for row in rows:
        row["in_progress_at"] = None if row["status"] == "in_progress" else row["in_progress_at"]

    assert {"P101": 1} == audit(flat_table(rows)).counts
    assert {} == audit(flat_table(rows, in_progress_at=None)).counts
    assert "consistent" == audit(flat_table(rows, in_progress_at=None)).verdict


def test_without_most_columns():
    """A table of three columns has little to say."""
    assert {
        "S003", "S006", "P101", "P102", "P103", "P104", "T201", "T202", "T203", "T204", "T207", "C301", "C302", "C303", "C304",
        "F401", "F402", "F403", "F404", "H504", "H505", "H506", "H508",
    } == {*blind(frozenset({"id", "status", "created_at"}))}  # fmt: skip


def test_two_of_three_numbers_are_no_counts():
    """Without the third nothing can be said of them."""
    table = flat_table(healthy(), request_counts_failed=None)

    assert {"C301", "C302", "C303", "C304", "F402", "H505"} == {*audit(table).not_looked}


# ---------------------------------------------------------------- bad input


def refused(source, **options):
    """Return the one line of what stops an audit."""
    with pytest.raises(SourceError) as caught:
        audit(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


TIME = "it should be whole Unix seconds or a timestamp"
WRONG = {
    "created_at": (pa.bool_(), True, f"dataframe: the column created_at is bool; {TIME}"),
    "failed_at": (pa.list_(pa.int64()), [1], f"dataframe: the column failed_at is list<item: int64>; {TIME}"),
    "expires_at": (pa.date32(), 5, f"dataframe: the column expires_at is date32[day]; {TIME}"),
    "id": (pa.int64(), 5, "dataframe: the column id is int64; it should be text"),
    "request_counts_total": (pa.string(), "5", "dataframe: the column request_counts_total is string; it should be a whole number"),
    "errors": (pa.int64(), 5, "dataframe: the column errors is int64; it should be a list, a struct or JSON text"),
    "metadata": (pa.bool_(), True, "dataframe: the column metadata is bool; it should be a struct, a map or JSON text"),
    "observed_at": (pa.time32("s"), 5, "dataframe: the column observed_at is time32[s]; it should be Unix seconds, a timestamp or RFC 3339 text"),
}  # fmt: skip


@pytest.mark.parametrize("column", WRONG)
def test_a_column_of_another_type_is_refused(column):
    """By its type, whatever its values are."""
    kind, value, expected = WRONG[column]
    table = flat_table(healthy(), **{column: None})

    assert expected == refused(table.append_column(column, pa.array([value] * table.num_rows, kind)))


def test_numbers_in_a_struct_are_numbers():
    """They are found by their path."""
    table = nested_counts(healthy()).drop_columns("request_counts")
    counts = pa.array([{"total": "5"}] * table.num_rows)

    assert "dataframe: the column request_counts.total is string; it should be a whole number" == refused(
        table.append_column("request_counts", counts)
    )


def test_a_column_that_stands_twice_is_refused():
    """Which of them counts is not for us to say; of a column that nobody reads it is no matter."""
    table = flat_table(healthy())
    twice = table.append_column("status", table["status"])
    spelled = table.append_column("createdAt", table["created_at"])
    both = table.append_column("request_counts", pa.array([{"total": 5}] * table.num_rows))
    others = table.append_column("note", table["id"]).append_column("note", table["id"])

    assert "dataframe: two columns hold status: status, status" == refused(twice)
    assert "dataframe: two columns hold created_at: created_at, createdAt" == refused(spelled)
    assert "dataframe: two columns hold request_counts.total: request_counts, request_counts_total" == refused(both)
    assert audit(others).snapshots == table.num_rows


def test_a_clock_that_stands_twice_is_refused():
    """As any other column."""
    table = flat_table(healthy())

    assert "dataframe: the column observed_at stands twice" == refused(
        table.append_column("observed_at", table["observed_at"])
    )


def test_a_table_without_batches_is_refused():
    """Its columns are named."""
    assert "dataframe: no column for status, created_at; there are id, n" == refused(pa.table({"id": ["a"], "n": [1]}))
    assert "dataframe: no column for id, status, created_at; there are none" == refused(pa.table({}))


def test_a_series_is_no_table():
    """It has no columns."""
    assert refused(pa.chunked_array([[1, 2]])).startswith("dataframe: ")


def test_text_that_is_not_utf_8_is_refused():
    """Parquet lets anything be called text."""
    array = pa.array([b"caf\xe9"]).cast(pa.binary()).view(pa.string())
    table = flat_table(healthy()[:1], id=None).append_column("id", array)
    named = flat_table(healthy()[:1], id=None).append_column("id", pa.array([b"caf\xe9"]))

    assert refused(table).startswith("dataframe: the column id cannot be read: ")
    assert refused(named).startswith("dataframe: the column id cannot be read: ")


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_damaged_page_stops_the_audit(size, tmp_path, monkeypatch):
    """One line says so; nothing of what came before is reported as if it were whole."""
    monkeypatch.setattr(running, "COLUMNS_BYTES_MIN", size)
    path = tmp_path / "log.parquet"
    pq.write_table(flat_table(healthy() * 12), path, row_group_size=20, write_page_checksum=True, compression="NONE")
    damaged = bytearray(path.read_bytes())
    at = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    damaged[at + 60] ^= 0xFF
    path.write_bytes(damaged)

    assert refused(str(path)).startswith(f"{path}: ")


def test_what_is_no_parquet_is_refused(tmp_path):
    """By its name it should be, or by what was asked for; or it is not there."""
    path, absent = tmp_path / "log.parquet", tmp_path / "absent.parquet"
    path.write_text("{}\n")

    assert refused(str(path)).startswith(f"{path}: ")
    assert f"{absent}: No such file or directory" == refused(str(absent))
    assert f"{tmp_path}/none: No such file or directory" == refused(f"{tmp_path}/none", input_format="parquet")


def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    """Row by row, the second reading meets another file."""
    path = tmp_path / "log.parquet"
    pq.write_table(flat_table(healthy()), path)
    real = table.Parquet._read

    def read(self, groups):
        os.utime(path, (1, 1))
        return real(self, groups)

    monkeypatch.setattr(table.Parquet, "_read", read)

    assert f"{path}: changed while it was read" == refused(str(path))


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_file_that_shrinks_while_it_is_read(size, tmp_path, monkeypatch):
    """Its end is gone."""
    monkeypatch.setattr(running, "COLUMNS_BYTES_MIN", size)
    path = tmp_path / "log.parquet"
    pq.write_table(flat_table(healthy() * 60), path, row_group_size=50)
    real = table.Parquet._read

    def read(self, groups):
        path.write_bytes(path.read_bytes()[:2000])
        return real(self, groups)

    monkeypatch.setattr(table.Parquet, "_read", read)

    assert refused(str(path)).startswith(f"{path}: ")


def test_no_room_to_spill(tmp_path, monkeypatch):
    """A table out of order is dealt out to disk, and a full one is told of."""
    monkeypatch.setattr(running, "COLUMNS_BYTES_MIN", LARGE)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("batchfsm.auditing.columnar.deal.TemporaryFile", full)

    assert "no room to sort the log: [Errno 28] No space left on device" == refused(flat_table(healthy()[::-1]))


def test_a_table_out_of_order_is_sorted(tmp_path):
    """By time, as any log."""
    rows = healthy()[::-1]

    assert judged(flat_table(rows), SMALL) == judged(flat_table(rows), LARGE)
    assert judged(flat_table(rows), LARGE)[0].count('"H507"') == 0


def test_parquet_is_known_by_its_first_bytes(tmp_path):
    """Whatever it is called; asked for as JSON, it is read as that."""
    path = tmp_path / "log"
    pq.write_table(flat_table(healthy()), path)

    assert len(healthy()) == audit(str(path)).snapshots
    assert 0 == audit(str(path), input_format="json").snapshots


def test_many_small_groups(tmp_path):
    """They are read together, up to a batch."""
    path = tmp_path / "log.parquet"
    rows = healthy() * 20
    pq.write_table(flat_table(rows), path, row_group_size=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "BATCH_ROWS", 10)
        found = judged(str(path), LARGE)

    assert judged(str(path), SMALL) == found


def test_an_empty_table():
    """It says nothing, and so the verdict is `undetermined`."""
    empty = flat_table([])

    assert judged(empty, SMALL) == judged(empty, LARGE)
    assert "undetermined" == audit(empty).verdict


def test_without_arrow(monkeypatch, tmp_path):
    """One sentence says what to install."""
    path = tmp_path / "log.parquet"
    pq.write_table(flat_table(healthy()), path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(
        MissingExtraError,
        match=r"^an audit of Parquet or of a dataframe needs more packages: pip install 'batchfsm\[audit\]'$",
    ):
        audit(str(path))


def test_a_log_of_which_little_is_plain_is_read_row_by_row(monkeypatch):
    """Columns that hold text for times are not worth it."""
    monkeypatch.setattr(columnar.judging, "_PATIENCE_ROWS", 3)
    table = recast(created_at=pa.string())(healthy() * 3)

    assert judged(table, SMALL) == judged(table, LARGE)


# ---------------------------------------------------------------- the command


def test_the_command(tmp_path):
    """Exit status 1 for an error, 2 for what stops it; a timeline has no use for tables."""
    good, bad = tmp_path / "good.parquet", tmp_path / "bad"
    pq.write_table(flat_table(healthy()), good)
    pq.write_table(pa.table({"n": [1]}), bad)
    found = CliRunner().invoke(app, ["audit", str(good)])
    broken = CliRunner().invoke(app, ["audit", str(bad), "--input-format", "parquet"])
    piped = CliRunner().invoke(app, ["audit", "-", "--input-format", "parquet"])
    drawn = CliRunner().invoke(app, ["timeline", str(good)])

    assert 1 == found.exit_code
    assert found.stdout.endswith(f" (seen at {good}:6)\n")
    assert (2, f"batchfsm: {bad}: no column for id, status, created_at; there are n\n") == (
        broken.exit_code,
        broken.stderr,
    )
    assert (2, "batchfsm: -: Parquet is read by an audit only, and from files\n") == (piped.exit_code, piped.stderr)
    assert (2, f"batchfsm: {good}: Parquet is read by an audit only, and from files\n") == (
        drawn.exit_code,
        drawn.stderr,
    )


def test_spark_knows_parquet_by_its_name(tmp_path):
    """What it is told of another file it does not believe."""
    path = tmp_path / "log.pq"
    pq.write_table(flat_table(healthy()), path)

    with pytest.raises(
        DefinitionError, match=r"^an audit in Spark cannot be: it knows Parquet by names that end in \.parquet$"
    ):
        audit(str(path), engine="spark", input_format="parquet")
