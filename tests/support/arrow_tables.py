"""Logs as Arrow tables of many shapes and types, and the same rows as JSON lines."""

import json
from datetime import UTC, datetime

import pyarrow as pa

from support.medley import COUNTS, STAMPS, TEXTS, TIMES
from support.notation import CREATED, seen

FLAT = {
    **dict.fromkeys(TEXTS, pa.string()), "observed_at": pa.float64(), **dict.fromkeys(TIMES, pa.int64()),
    **{f"request_counts_{name}": pa.int64() for name in COUNTS}, "metadata": pa.string(),
}  # fmt: skip
"""A table as warehouses have it: one column a value, errors and metadata as JSON text."""


def flat_table(rows, **changes):
    """Return rows as a flat table; `changes` gives columns another type, or leaves them out with None."""
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


def healthy():
    """Return the rows of a completed batch and of one that ends as expired with errors."""
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


# ---------------------------------------------------------------- shapes


def nested_counts(rows):
    """Return a table in which the counts are a struct."""
    whole = flat_table(rows, **{f"request_counts_{name}": None for name in COUNTS})
    counts = [{name: row[f"request_counts_{name}"] for name in COUNTS} for row in rows]
    kind = pa.struct([(name, pa.int64()) for name in reversed(COUNTS)])
    given = [None if {*each.values()} == {None} else each for each in counts]
    return whole.append_column("request_counts", pa.array(given, kind))


def counts_as(kind, write):
    """Return a function from rows to a table whose counts are converted by `write`."""

    def shape(rows):
        whole = nested_counts(rows)
        values = [each and write(each) for each in whole["request_counts"].to_pylist()]
        return whole.drop_columns("request_counts").append_column("request_counts", pa.array(values, kind))

    return shape


def renamed(names):
    """Return a function from rows to a table with other column names."""
    return lambda rows: flat_table(rows).rename_columns([names.get(name, name) for name in FLAT])


def recast(**kinds):
    """Return a function from rows to a table with other column types."""

    def shape(rows):
        whole = flat_table(rows)
        for name, kind in kinds.items():
            place = whole.schema.get_field_index(name)
            whole = whole.set_column(place, name, whole[name].cast(kind, safe=False))
        return whole

    return shape


def parsed(field, kind):
    """Return a function from rows to a table in which a column of JSON text is nested."""

    def shape(rows):
        values = [json.loads(row[field]) if row[field] else None for row in rows]
        values = [[*each.items()] if each and pa.types.is_map(kind) else each for each in values]
        return flat_table(rows, **{field: None}).append_column(field, pa.array(values, kind))

    return shape


def enveloped(wrapper, clock):
    """Return a function from rows to a table of one struct beside its time."""

    def shape(rows):
        whole = nested_counts(rows)
        inner = pa.array(
            whole.drop_columns("observed_at").to_pylist(), pa.struct([*whole.drop_columns("observed_at").schema])
        )
        return pa.table({"call": pa.array(["retrieve"] * len(rows)), wrapper: inner, clock: whole["observed_at"]})

    return shape


def texts(rows, kind=FLAT["id"]):
    """Return a table with one column of JSON text, some of it over several lines."""
    return pa.table(
        {
            "line": pa.array(
                [json.dumps(json.loads(line(row)), indent=n % 2 or None) for n, row in enumerate(rows)], kind
            )
        }
    )


def bodies(rows):
    """Return a table with a column of JSON text beside its time."""
    batches = [json.dumps(json.loads(line(row))["batch"]) for row in rows]
    return pa.table({"timestamp": [row["observed_at"] for row in rows], "body": batches})


def zoned(unit, zone=None):
    """Return a function from rows to a table whose times have a unit and a zone."""
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
    """Return a table in which columns with only nulls have the type null."""
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
    "usage as a map": ("usage", pa.map_(pa.string(), pa.int64()), [[("a", 1)], [("a", 1), ("a", 2)], [], None]),
    "counts of null": ("request_counts", pa.struct({"total": pa.int64(), "Completed": pa.int64()}), [{"total": 1, "Completed": 1}, None]),
    "counts of no JSON": ("request_counts", pa.string(), ["{", '{"total": 1, "completed": 0, "failed": 0}', "[]"]),
}  # fmt: skip
"""A column of odd values: its field, its type and the values."""
