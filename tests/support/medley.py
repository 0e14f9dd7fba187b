"""
Random logs as rows of typed columns: whole lives of batches, and rows of any values.

`dice` is a `random.Random`: a seeded one for many rows at once, or that of Hypothesis for few rows that shrink.
"""

import json

from batchfsm.topology import topology
from support.dialects import DIALECTS
from support.notation import CREATED, DAY_S, seen

STAMPS = ("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at")
TIMES = ("created_at", "expires_at", *STAMPS)
TEXTS = (
    "id",
    "status",
    "object",
    "endpoint",
    "input_file_id",
    "completion_window",
    "output_file_id",
    "error_file_id",
    "errors",
)
COUNTS = ("total", "completed", "failed")
TYPES = {
    "place": "BIGINT", "observed_at": "DOUBLE",
    **dict.fromkeys(TIMES, "BIGINT"), **dict.fromkeys(TEXTS, "VARCHAR"),
    **{f"request_counts_{name}": "BIGINT" for name in COUNTS},
}  # fmt: skip


def flat(batch, place, observed_at=None):
    """Return a batch object as a row of the flat table."""
    counts = batch.get("request_counts") or {}
    return {
        "place": place,
        "observed_at": observed_at,
        **{name: batch.get(name) for name in (*TIMES, *TEXTS)},
        "errors": batch.get("errors") and json.dumps(batch["errors"]),
        **{f"request_counts_{name}": counts.get(name) for name in COUNTS},
    }


def filled(warehouse, rows):
    """Create the table `log` with these rows."""
    columns = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
    warehouse.execute(f"CREATE OR REPLACE TABLE log ({columns})")
    if rows:
        # One JSON text with a type for each value inserts thousands of rows at once, without inferred types.
        types = json.dumps([dict(TYPES)])
        warehouse.execute(
            "INSERT INTO log SELECT UNNEST(FROM_JSON(?, ?), recursive := true)", [json.dumps(rows), types]
        )


SECONDS = [
    None,
    None,
    CREATED - 5,
    CREATED,
    CREATED + 60,
    CREATED + 61,
    CREATED + DAY_S,
    CREATED + 700_000,
    0,
    -3,
    10**12,
]
NUMBERS = [None, 0, 0, 1, 3, 7, 8, 8, 100, -2]
GARBAGE = {
    "observed_at": [None, None, 0.0, CREATED + 5.0, CREATED + 5.5, CREATED + 3600.0, CREATED + 3.0 * DAY_S, 10.0**12],
    **dict.fromkeys(STAMPS, SECONDS),
    "created_at": [*[CREATED] * 8, CREATED + 1, None, 0, 10**12, 946684800],
    "expires_at": [*[CREATED + DAY_S] * 5, CREATED + 3600, None, 0],
    "id": [*["b1"] * 6, "b2", None, "", f"batch_{CREATED:08x}" + "0" * 24, "batch_" + "f" * 32],
    "object": [*["batch"] * 5, None, "file", ""],
    "endpoint": ["/v1/a", "/v1/a", "/v1/b", None, ""],
    "input_file_id": ["file-in", "file-in", "file-2", None, ""],
    "completion_window": ["24h", "24h", "1d", "60m", "24h\n", "٢h", "h", "", None, "9999999999s"],
    "output_file_id": [None, None, "file-out", "file-o2", ""],
    "error_file_id": [None, None, "file-err", ""],
    "errors": [None, None, "null", "[]", "{}", '[{"code": "a"}]', '[{"code": "b"}]'],
    **{f"request_counts_{name}": NUMBERS for name in COUNTS},
}
"""Anything that typed columns can hold; what is usual stands more than once."""

PATHS = ["vpzc", "vpze", "vpgx", "vgx", "vf", "vpzgx", "vpf", "vpgc", "vpzcp", "vpvz", "vpzfc"]


def words(server):
    """Return every status that a server may write, and some unknown ones."""
    dialect = DIALECTS[server]
    known = [*topology(dialect.lifecycle).statuses, *dialect.aliases]
    spelled = [word.upper().replace("_", "-") for word in known]
    return [*known, *spelled, "In Progress", "inProgress", "cANCEL_led", "paused", None, ""]


def garbage(dice, server):
    """Return a row of random values."""
    return {"status": dice.choice(words(server)), **{name: dice.choice(values) for name, values in GARBAGE.items()}}


def life(dice, server):
    """Return rows of a batch's life, some of them damaged, in or out of order, with ties and stale reads."""
    whole = [flat(batch, 0) for batch in seen(dice.choice(PATHS))]
    rows = [dict(dice.choice(whole)) for _ in range(dice.randint(1, 9))]
    if dice.randint(0, 1):
        rows.sort(key=lambda row: max(row[name] or 0 for name in STAMPS))
    tick = CREATED
    for row in rows:
        tick += dice.choice([0, 0, 1, 90, -1, 4_000, 200_000])
        row["observed_at"] = dice.choice([None, float(tick), float(tick), float(tick)])
    for _ in range(dice.randint(0, 3)):
        name = dice.choice(["status", *sorted(GARBAGE.keys() - {"id", "observed_at"})])
        dice.choice(rows)[name] = garbage(dice, server)[name]
    return rows


def medley(dice, server, lives, others):
    """Return rows of some lives and some random rows, of several batches, shuffled."""
    rows = [{**row, "id": f"l{number}"} for number in range(lives) for row in life(dice, server)]
    for number in range(others):
        row = garbage(dice, server)
        rows.append(row if row["id"] not in ("b1", "b2") else {**row, "id": f"{row['id']}-{number // 20}"})
    dice.shuffle(rows)
    return numbered(rows)


def numbered(rows):
    """Return rows with their places."""
    return [{**row, "place": place} for place, row in enumerate(rows)]
