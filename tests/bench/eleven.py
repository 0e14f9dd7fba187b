"""
Checks of the lifecycle without batchfsm: eleven rules over a snapshot and the one before it in its batch.

Each of the three implementations is idiomatic for its engine: a window in DuckDB, sort and shift in Polars, a loop in
Python. All have the same counts. They check less than `audit`: no walks, no stale reads and no routes, and a glitch is
found twice, at its start and at its end.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import duckdb

from bench.snapshot_log import COLUMNS, typed

STATUSES = ("validating", "in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
STAMPS = {status: f"{status}_at" for status in STATUSES[1:]}
STEPS = {
    "validating": ("in_progress", "failed", "expired", "cancelling"),
    "in_progress": ("finalizing", "failed", "expired", "cancelling"),
    "finalizing": ("completed", "failed", "expired", "cancelling"),
    "cancelling": ("completed", "failed", "expired", "cancelled"),
}
ENDS = tuple(status for status in STATUSES if status not in STEPS)
IDENTITY = ("created_at", "input_file_id", "endpoint", "completion_window", "expires_at")
COUNTS = ("total", "completed", "failed")
FROZEN = (*STAMPS.values(), "output_file_id", "error_file_id")
RULES = (
    "own stamp", "foreign stamp", "stamp order", "counts", "object", "window", "step", "identity", "stamp kept",
    "counts grow", "end is end",
)  # fmt: skip


def reached(status: str) -> set[str]:
    """Return a status and all statuses that can follow it, since a poller may miss those between."""
    found = {status}
    for target in STEPS.get(status, ()):
        found |= reached(target)
    return found


REACH = {status: reached(status) for status in STATUSES}
FOREIGN = {status: [stamp for other, stamp in STAMPS.items() if status not in REACH[other]] for status in STATUSES}
ORDER = [("created_at", stamp) for stamp in STAMPS.values()] + [
    (STAMPS[one], STAMPS[two]) for one in STAMPS for two in STAMPS if one != two and two in REACH[one]
]


# ---------------------------------------------------------------- DuckDB


def window_sql(source: str) -> str:
    """Return the query over a source with the column `place`; one window compares each row with the one before."""
    wanted = ("status", *IDENTITY, *FROZEN, *COUNTS)
    lagged = ", ".join(f"lag({name}) OVER seen AS p_{name}" for name in wanted)
    rules = ", ".join(f"count_if(coalesce({rule}, false))" for rule in _sql_rules())
    counts = ", ".join(f"request_counts.{name} AS {name}" for name in COUNTS)
    return (
        f"WITH wire AS (SELECT *, {counts} FROM {source}), "  # noqa: S608
        f"pairs AS (SELECT *, {lagged} FROM wire WINDOW seen AS (PARTITION BY id ORDER BY observed_at, place)) "
        f"SELECT {rules} FROM pairs"
    )


def _sql_rules() -> list[str]:
    def when(answers: dict[str, str], subject: str = "status") -> str:
        return (
            f"CASE {subject} "
            + " ".join(f"WHEN '{status}' THEN {answer}" for status, answer in answers.items())
            + " END"
        )

    def changed(names: tuple[str, ...]) -> str:
        return " OR ".join(f"{name} IS DISTINCT FROM p_{name}" for name in names)

    ends, was = ", ".join(f"'{status}'" for status in ENDS), "p_status IS NOT NULL"
    reach = {
        status: "status NOT IN (" + ", ".join(f"'{each}'" for each in sorted(REACH[status])) + ")"
        for status in STATUSES
    }
    return [
        when({status: f"{stamp} IS NULL" for status, stamp in STAMPS.items()}),
        when({status: " OR ".join(f"{stamp} IS NOT NULL" for stamp in FOREIGN[status]) for status in STATUSES}),
        " OR ".join(f"coalesce({one} > {two}, false)" for one, two in ORDER),
        "least(total, completed, failed) < 0 OR completed + failed > total",
        "object <> 'batch' OR NOT starts_with(id, 'batch_')",
        "completion_window = '24h' AND expires_at - created_at <> 86400",
        when(reach, "p_status"),
        f"{was} AND ({changed(IDENTITY)})",
        " OR ".join(f"(p_{name} IS NOT NULL AND {name} IS DISTINCT FROM p_{name})" for name in STAMPS.values()),
        "coalesce(completed < p_completed, false) OR coalesce(failed < p_failed, false) OR (total <> p_total AND p_total > 0)",
        f"p_status IN ({ends}) AND ({changed((*FROZEN, *COUNTS))})",
    ]


def duckdb_window(path: Path) -> tuple[int, ...]:
    """Count with DuckDB."""
    with duckdb.connect() as connection:
        placed = f"(SELECT *, row_number() OVER () AS place FROM ({typed(path)}))"  # noqa: S608
        return connection.execute(window_sql(placed)).fetchall()[0]


# ---------------------------------------------------------------- Polars


def polars_shift(path: Path) -> tuple[int, ...]:
    """Count with Polars: sort by batch and time, and compare each row with the one before."""
    import polars as pl  # noqa: PLC0415  # Only who measures it needs it.

    col, some = pl.col, lambda terms: reduce(or_, list(terms))
    rows = _polars_rows(pl, path).with_row_index("place").with_columns(key=col("id").hash())
    rows = rows.sort("key", "id", "observed_at", "place")
    status, same = col("status"), col("id") == col("id").shift(1)
    was = status.shift(1)

    def changed(names: tuple[str, ...]) -> Any:
        return some(col(name).ne_missing(col(name).shift(1)) for name in names)

    ordered = some((col(one) > col(two)).fill_null(value=False) for one, two in ORDER)
    shrunk = some((col(name) < col(name).shift(1)).fill_null(value=False) for name in COUNTS[1:])
    total, total_was = col("total"), col("total").shift(1)
    kept = some(col(name).shift(1).is_not_null() & col(name).ne_missing(col(name).shift(1)) for name in STAMPS.values())
    foreign = {name: [status for status in STATUSES if name in FOREIGN[status]] for name in STAMPS.values()}
    rules = [
        some((status == each) & col(stamp).is_null() for each, stamp in STAMPS.items()),
        some(status.is_in(where) & col(name).is_not_null() for name, where in foreign.items()),
        ordered,
        (pl.min_horizontal(*COUNTS) < 0) | (col("completed") + col("failed") > total),
        (col("object") != "batch") | ~col("id").str.starts_with("batch_"),
        (col("completion_window") == "24h") & (col("expires_at") - col("created_at") != 86_400),
        same & some((was == each) & ~status.is_in(sorted(REACH[each])) for each in STATUSES),
        same & changed(IDENTITY),
        same & kept,
        same & (shrunk | ((total != total_was) & (total_was > 0)).fill_null(value=False)),
        same & was.is_in(ENDS) & changed((*FROZEN, *COUNTS)),
    ]
    counted = rows.select(rule.fill_null(value=False).sum().alias(str(nr)) for nr, rule in enumerate(rules))
    return counted.collect(engine="streaming").row(0)


def _polars_rows(pl: Any, path: Path) -> Any:
    """Return the columns; the schema is given, because inference fails if the first lines have nulls."""
    counts = pl.Struct(dict.fromkeys(COUNTS, pl.Int64))
    types = {"VARCHAR": pl.String, "BIGINT": pl.Int64}
    schema = {name: types[kind] for name, kind in COLUMNS.items() if kind in types} | {"request_counts": counts}
    if path.suffix == ".parquet":
        rows = pl.scan_parquet(path)
    else:
        lines = pl.scan_ndjson(path, schema={"observed_at": pl.Int64, "snapshot": pl.Struct(schema)})
        rows = lines.select("observed_at", pl.col("snapshot").struct.unnest())
    return rows.select(
        "observed_at", *(name for name in schema if name != "request_counts"), pl.col("request_counts").struct.unnest()
    )


# ---------------------------------------------------------------- Python


def python_loop(path: Path) -> tuple[int, ...]:
    """Count with a dict of last snapshots on one core; the log must be in order of observation."""
    try:
        from orjson import loads  # noqa: PLC0415  # Faster, where it is.
    except ImportError:
        loads = json.loads
    found: Counter[int] = Counter()
    last: dict[str, dict[str, Any]] = {}
    with path.open("rb") as file:
        for line in file:
            row = loads(line)["snapshot"]
            row.update(row["request_counts"] or dict.fromkeys(COUNTS))
            found.update(_alone(row))
            before = last.get(row["id"])
            if before is not None:
                found.update(_pair(before, row))
            last[row["id"]] = row
    return tuple(found[rule] for rule in range(len(RULES)))


def _alone(row: dict[str, Any]) -> list[int]:
    found, status, get = [], row["status"], row.get
    if status in STAMPS and row[STAMPS[status]] is None:
        found.append(0)
    if any(row[stamp] is not None for stamp in FOREIGN.get(status, ())):
        found.append(1)
    times = [row["created_at"], *map(get, STAMPS.values())]
    if sum(each is not None for each in times) > 1 and any(
        row[one] is not None and row[two] is not None and row[one] > row[two] for one, two in ORDER
    ):
        found.append(2)
    total, completed, failed = row["total"], row["completed"], row["failed"]
    if total is not None and (total < 0 or completed < 0 or failed < 0 or completed + failed > total):
        found.append(3)
    if row["object"] != "batch" or not row["id"].startswith("batch_"):
        found.append(4)
    if (
        row["completion_window"] == "24h"
        and row["expires_at"] is not None
        and row["expires_at"] - row["created_at"] != 86_400
    ):
        found.append(5)
    return found


def _pair(before: dict[str, Any], row: dict[str, Any]) -> list[int]:
    found, was = [], before["status"]
    if row["status"] not in REACH[was]:
        found.append(6)
    if any(row[name] != before[name] for name in IDENTITY):
        found.append(7)
    if any(before[name] is not None and row[name] != before[name] for name in STAMPS.values()):
        found.append(8)
    if row["total"] is not None and before["total"] is not None:
        shrunk = row["completed"] < before["completed"] or row["failed"] < before["failed"]
        if shrunk or (row["total"] != before["total"] and before["total"] > 0):
            found.append(9)
    if was in ENDS and any(row[name] != before[name] for name in (*FROZEN, *COUNTS)):
        found.append(10)
    return found
