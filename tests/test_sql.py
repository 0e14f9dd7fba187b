"""The rules as one SQL query: DuckDB's answer is the auditor's, as far as a query can follow it."""

import json
from collections import defaultdict
from itertools import product

import duckdb
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from notation import CREATED, DAY_S, seen, snap

from batchfsm import DIALECTS, RULES, audit
from batchfsm.auditing.sql import HIDDEN, Table, query
from batchfsm.topology import topology

STAMPS = ("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at")
TIMES = ("created_at", "expires_at", *STAMPS)
TEXTS = ("id", "status", "object", "endpoint", "input_file_id", "completion_window", "output_file_id", "error_file_id", "errors")
COUNTS = ("total", "completed", "failed")
TYPES = {
    "place": "BIGINT", "observed_at": "DOUBLE",
    **dict.fromkeys(TIMES, "BIGINT"), **dict.fromkeys(TEXTS, "VARCHAR"),
    **{f"request_counts_{name}": "BIGINT" for name in COUNTS},
}  # fmt: skip
LEVELS = ("note", "warning", "error")


@pytest.fixture(scope="module")
def warehouse():
    """Return a DuckDB of this module's own."""
    with duckdb.connect() as connection:
        yield connection


def flat(batch, place, observed_at=None):
    """Return a batch object as a row of the table."""
    counts = batch.get("request_counts") or {}
    return {
        "place": place,
        "observed_at": observed_at,
        **{name: batch.get(name) for name in (*TIMES, *TEXTS)},
        "errors": batch.get("errors") and json.dumps(batch["errors"]),
        **{f"request_counts_{name}": counts.get(name) for name in COUNTS},
    }


def filled(warehouse, rows):
    """Make a table of rows."""
    columns = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
    warehouse.execute(f"CREATE OR REPLACE TABLE log ({columns})")
    if rows:
        warehouse.executemany(f"INSERT INTO log VALUES ({', '.join('?' * len(TYPES))})", [[row[name] for name in TYPES] for row in rows])


def asked(warehouse, rows, server="openai", **options):
    """Return what the query finds, by place: the codes, and the highest severity."""
    filled(warehouse, rows)
    text = query(Table.of("log", "duckdb", nested=False, changes={"place": "place"}), server=server, **options)
    found = warehouse.execute(text).fetchall()
    return {place: (set(codes.split()), severity) for _, _, place, severity, codes in found}


def objects(rows):
    """Return the rows as the batch objects that they are of."""
    for row in rows:
        batch = {name: row[name] for name in (*TIMES, *TEXTS)}
        batch["errors"] = row["errors"] and json.loads(row["errors"])
        counts = {name: row[f"request_counts_{name}"] for name in COUNTS}
        batch["request_counts"] = None if set(counts.values()) == {None} else counts
        yield {"batch": batch} if row["observed_at"] is None else {"batch": batch, "observed_at": row["observed_at"]}


def judged(rows, server="openai"):
    """Return what the auditor finds, by place, of the rules that a query shows."""
    report = audit(objects(rows), dialect=server, max_findings=len(rows) * len(RULES))
    found = defaultdict(dict)
    for each in report.findings:
        if each.rule not in HIDDEN:
            found[rows[each.where[-1].line - 1]["place"]][each.rule] = each.severity
    return found


def in_order(rows):
    """Return the rows of each batch in order of observation; a row that does not say was seen when the last was."""
    batches = defaultdict(list)
    for row in rows:
        if row["id"] is not None:
            batch = batches[row["id"]]
            told = row["observed_at"] is not None and 0 < row["observed_at"] <= 10**11
            seen_at = row["observed_at"] if told else batch[-1][0] if batch else float("-inf")
            batch.append((seen_at, row["place"], row))
    return [[row for *_, row in sorted(batch, key=lambda entry: entry[:2])] for batch in batches.values()]


def promised(rows, found, server="openai"):
    """Return the places up to which a query says what the auditor says."""
    dialect = DIALECTS[server]
    reach = topology(dialect.lifecycle).reach
    places = {row["place"] for row in rows if row["id"] is None}
    for batch in in_order(rows):
        before = set()
        for row in batch:
            word = dialect.word(row["status"] or "")
            if any(word in reach[other] and other in reach[word] for other in before - {word}):
                break  # On a circle nothing is furthest.
            before |= {word} & reach.keys()
            places.add(row["place"])
            if "error" in {found[row["place"]].get(code) for code in ("H501", "H502")}:
                break
    return places


def agree(warehouse, rows, server="openai"):
    """Compare the two, row by row and code by code, and return how many rows were compared and how many broke rules."""
    asked_of, found = asked(warehouse, rows, server), judged(rows, server)
    places = promised(rows, found, server)
    expected = {
        place: (set(found[place]), max(found[place].values(), key=LEVELS.index)) for place in places if found[place]
    }
    assert expected == {place: said for place, said in asked_of.items() if place in places}
    return len(places), len(expected)


# ---------------------------------------------------------------- written by hand


@pytest.mark.parametrize("code", [code for code in RULES if code not in HIDDEN])
def test_the_example_of_each_rule(code, warehouse):
    """What the page of a rule shows as a breach, the query finds."""
    from batchfsm.rules import HEALTHY

    rows = []
    for place, change in enumerate(RULES[code].example):
        batch = {**HEALTHY, **change}
        rows.append(flat(batch, place, batch.pop("observed_at", None)))

    assert code in asked(warehouse, rows)[len(rows) - 1][0]
    agree(warehouse, rows)


# ---------------------------------------------------------------- enumerated


@pytest.mark.parametrize("server", DIALECTS)
def test_every_set_of_stamps(server, warehouse):
    """Every status with every set of stamps."""
    statuses = topology(DIALECTS[server].lifecycle).statuses
    rows = [
        flat(snap("v", id=f"b{place}", status=status, **dict(zip(STAMPS, stamps, strict=True))), place)
        for place, (status, stamps) in enumerate(product(statuses, product((None, CREATED + 9), repeat=len(STAMPS))))
    ]

    assert len(statuses) * 2 ** len(STAMPS) == agree(warehouse, rows, server)[0]


# ---------------------------------------------------------------- sampled

SECONDS = st.sampled_from([None, None, CREATED - 5, CREATED, CREATED + 60, CREATED + 61, CREATED + DAY_S, CREATED + 700_000, 0, -3, 10**12])
NUMBERS = st.sampled_from([None, 0, 0, 1, 3, 7, 8, 8, 100, -2])


def garbage(server):
    """Return rows of anything that typed columns can hold."""
    words = [*topology(DIALECTS[server].lifecycle).statuses, *DIALECTS[server].aliases, "paused", None, ""]
    return st.fixed_dictionaries(
        {
            "observed_at": st.sampled_from([None, None, 0.0, CREATED + 5.0, CREATED + 5.5, CREATED + 3600.0, CREATED + 3 * DAY_S, 10.0**12]),
            **dict.fromkeys(STAMPS, SECONDS),
            "created_at": st.sampled_from([CREATED] * 8 + [CREATED + 1, None, 0, 10**12, 946684800]),
            "expires_at": st.sampled_from([CREATED + DAY_S] * 5 + [CREATED + 3600, None, 0]),
            "id": st.sampled_from(["b1"] * 6 + ["b2", None, "", f"batch_{CREATED:08x}" + "0" * 24, "batch_" + "6" * 32]),
            "status": st.sampled_from(words),
            "object": st.sampled_from(["batch"] * 5 + [None, "file", ""]),
            "endpoint": st.sampled_from(["/v1/a", "/v1/a", "/v1/b", None, ""]),
            "input_file_id": st.sampled_from(["file-in", "file-in", "file-2", None, ""]),
            "completion_window": st.sampled_from(["24h", "24h", "1d", "60m", "24h\n", "٢h", "h", "", None, "9999999999s"]),
            "output_file_id": st.sampled_from([None, None, "file-out", "file-o2", ""]),
            "error_file_id": st.sampled_from([None, None, "file-err", ""]),
            "errors": st.sampled_from([None, None, "null", "[]", "{}", '[{"code": "a"}]', '[{"code": "b"}]']),
            **{f"request_counts_{name}": NUMBERS for name in COUNTS},
        }
    )  # fmt: skip


@st.composite
def lives(draw, server):
    """Return the rows of a batch's life, perhaps with damage, perhaps shuffled, with ties and stale reads."""
    path = draw(st.sampled_from(["vpzc", "vpze", "vpgx", "vgx", "vf", "vpzgx", "vpf", "vpgc", "vpzcp", "vpvz", "vpzfc"]))
    rows = [flat(batch, 0) for batch in seen(path)]
    rows = draw(st.lists(st.sampled_from(rows), min_size=1, max_size=9))
    rows = [dict(row) for row in rows]
    if draw(st.booleans()):
        rows.sort(key=lambda row: max(row[name] or 0 for name in STAMPS))
    tick = CREATED
    for row in rows:
        tick += draw(st.sampled_from([0, 0, 1, 90, -1]))
        row["observed_at"] = draw(st.sampled_from([None, float(tick), float(tick), float(tick)]))
    for _ in range(draw(st.integers(0, 3))):
        row, strange = draw(st.sampled_from(rows)), draw(garbage(server))
        name = draw(st.sampled_from([name for name in strange if name not in ("id", "observed_at")]))
        row[name] = strange[name]
    return rows


def numbered(rows):
    """Give each row its place."""
    return [{**row, "place": place} for place, row in enumerate(rows)]


@pytest.mark.parametrize("server", DIALECTS)
@given(data=st.data())
@settings(max_examples=12, phases=[Phase.generate])
def test_garbage(server, warehouse, data):
    """Rows of anything that typed columns can hold are judged as the auditor judges them."""
    rows = data.draw(st.lists(garbage(server), max_size=30))

    agree(warehouse, numbered(rows), server)


@pytest.mark.parametrize("server", DIALECTS)
@given(data=st.data())
@settings(max_examples=12, phases=[Phase.generate])
def test_lives(server, warehouse, data):
    """Lives, damaged and shuffled, are judged as the auditor judges them."""
    found = data.draw(st.lists(lives(server), min_size=1, max_size=8))
    rows = [{**row, "id": f"b{number}"} for number, life in enumerate(found) for row in life]

    agree(warehouse, numbered(data.draw(st.permutations(rows))), server)
