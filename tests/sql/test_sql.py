"""The rules as one SQL query: DuckDB's result equals the auditor's findings, within the documented limits."""

import json
import sys
from collections import Counter, defaultdict
from functools import cache
from itertools import product
from random import Random

import duckdb
import pytest
import sqlglot
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from batchfsm import RULES, MissingExtraError, audit
from batchfsm.cli import app
from batchfsm.errors import DefinitionError, UnknownNameError
from batchfsm.rules import HEALTHY
from batchfsm.snapshot import COUNT_FIELDS, UNREADABLE
from batchfsm.sql import HIDDEN, SQL_DIALECTS, Table, query
from batchfsm.topology import topology
from support.dialects import CHECKING, DIALECTS, OFF
from support.late_rows import EXPECTED, LOG
from support.medley import COUNTS, STAMPS, TEXTS, TIMES, filled, flat, medley, numbered
from support.notation import CREATED, seen, snap
from support.paths import SHARED

LEVELS = ("note", "warning", "error")


@pytest.fixture(scope="module")
def warehouse():
    """Return a connection to a DuckDB database for this module."""
    with duckdb.connect() as connection:
        yield connection


@cache
def text_for(server):
    """Return the query for the test table."""
    return query(Table.of("log", "duckdb", is_nested=False, changes={"place": "place"}), server=server)


def asked(warehouse, rows, server="openai"):
    """Return the result of the query by place: the codes, and the highest severity."""
    filled(warehouse, rows)
    found = warehouse.execute(text_for(server)).fetchall()
    return {place: (set(codes.split()), severity) for _, _, place, severity, codes in found}


def objects(rows):
    """Yield each row of the table as a batch object."""
    for row in rows:
        batch = {name: row[name] for name in (*TIMES, *TEXTS)}
        batch["errors"] = row["errors"] and json.loads(row["errors"])
        counts = {name: row[f"request_counts_{name}"] for name in COUNTS}
        batch["request_counts"] = None if set(counts.values()) == {None} else counts
        yield {"batch": batch} if row["observed_at"] is None else {"batch": batch, "observed_at": row["observed_at"]}


def judged(rows, server="openai"):
    """Return the auditor's findings by place, only for rules that the query checks."""
    report = audit(objects(rows), dialect=server, max_findings=len(rows) * len(RULES))
    found = defaultdict(dict)
    for each in report.findings:
        if each.rule not in HIDDEN:
            found[rows[each.where[-1].line - 1]["place"]][each.rule] = each.severity
    return found


def in_order(rows):
    """Return each batch's rows in order of observation; a row without a time has the time of the row before it."""
    batches = defaultdict(list)
    for row in rows:
        if row["id"] is not None:
            batch = batches[row["id"]]
            told = row["observed_at"] is not None and 0 < row["observed_at"] <= 10**11
            seen_at = row["observed_at"] if told else batch[-1][0] if batch else float("-inf")
            batch.append((seen_at, row["place"], row))
    return [[row for *_, row in sorted(batch, key=lambda entry: entry[:2])] for batch in batches.values()]


def promised(rows, found, server="openai"):
    """Return the places for which the query must agree with the auditor."""
    dialect = DIALECTS[server]
    reach = topology(dialect.lifecycle).reach
    places = {row["place"] for row in rows if row["id"] is None}
    for batch in in_order(rows):
        before = set()
        for row in batch:
            word = dialect.canonical_status(row["status"] or "")
            if any(word in reach[other] and other in reach[word] for other in before - {word}):
                break  # On a cycle no status is the furthest.
            before |= {word} & reach.keys()
            places.add(row["place"])
            if "error" in {found[row["place"]].get(code) for code in ("H501", "H502")}:
                break
    return places


def agree(warehouse, rows, server="openai", found=None):
    """
    Check that the query and the auditor report the same codes and severities for each row.

    Args:
        warehouse: The connection to DuckDB.
        rows: The rows of the table.
        server: The dialect.
        found: The auditor's findings; None runs the auditor.

    Returns:
        The number of rows that were compared, and the number of rows that breach rules.
    """
    asked_of, found = asked(warehouse, rows, server), judged(rows, server) if found is None else found
    places = promised(rows, found, server)
    expected = {
        place: (set(found[place]), max(found[place].values(), key=LEVELS.index)) for place in places if found[place]
    }
    assert expected == {place: said for place, said in asked_of.items() if place in places}
    return len(places), len(expected)


# ---------------------------------------------------------------- examples of the rules


def test_the_example_of_a_rule_that_is_off(warehouse):
    """The query reports a rule that is off on OpenAI, for a dialect that has it, as the auditor does."""
    for code in OFF:
        rows = [flat({**HEALTHY, **change}, place) for place, change in enumerate(RULES[code].example)]
        filled(warehouse, rows)
        text = query(Table.of("log", "duckdb", is_nested=False, changes={"place": "place"}), server=CHECKING[code])

        assert [(len(rows) - 1, "warning", code)] == [row[2:] for row in warehouse.execute(text).fetchall()]
        assert {code: 1} == audit(objects(rows), dialect=CHECKING[code]).counts


def test_the_example_of_each_rule(warehouse):
    """The query reports each rule for the last snapshot of the rule's example."""
    rows, last = [], {}
    for code in RULES.keys() - {*HIDDEN, *OFF}:
        for change in RULES[code].example:
            batch = {**HEALTHY, "id": f"batch_{code}", **change}
            rows.append(flat(batch, len(rows), batch.pop("observed_at", None)))
        last[code] = len(rows) - 1
    found = asked(warehouse, rows)

    assert {} == {code: found.get(place) for code, place in last.items() if code not in found.get(place, [()])[0]}
    assert len(rows) == agree(warehouse, rows)[0]


def test_rows_after_a_limit(warehouse):
    """A stale row is neither overdue nor stuck, and a file may be null from 30 days after the end on."""
    rows = [flat(wire, place, seen_at) for place, (seen_at, wire) in enumerate(LOG)]
    found = asked(warehouse, rows)

    assert EXPECTED == [found.get(place, (set(),))[0] for place in range(len(LOG))]
    assert len(LOG) == agree(warehouse, rows)[0]


# ---------------------------------------------------------------- all sets of stamps


@pytest.mark.parametrize(
    "server",
    [name if name in ("openai", "aibrix") else pytest.param(name, marks=pytest.mark.slow) for name in DIALECTS],
)
def test_every_set_of_stamps(server, warehouse):
    """Query and auditor agree on every status with every set of stamps."""
    statuses = topology(DIALECTS[server].lifecycle).statuses
    rows = [
        flat(snap("v", id=f"b{place}", status=status, **dict(zip(STAMPS, stamps, strict=True))), place)
        for place, (status, stamps) in enumerate(product(statuses, product((None, CREATED + 9), repeat=len(STAMPS))))
    ]

    assert len(statuses) * 2 ** len(STAMPS) == agree(warehouse, rows, server)[0]


# ---------------------------------------------------------------- random tables


FEW = ("openai", "aibrix", "compatible")
"""Dialects of the default run: the original, one with more statuses, and one with a cycle."""


@pytest.mark.parametrize(
    "server, seeds",
    [
        *((name, range(1)) for name in FEW),
        *(pytest.param(name, range(1, 4), marks=pytest.mark.slow) for name in DIALECTS),
    ],
)
def test_lives_and_garbage_in_every_dialect(server, seeds, warehouse):
    """For damaged histories and rows of random values, query and auditor report the same rules in each row."""
    codes = set()
    for seed in seeds:
        rows = medley(Random(f"{server} {seed}"), server, 200, 200)  # noqa: S311  # Test data.
        found = judged(rows, server)
        compared, broken = agree(warehouse, rows, server, found)
        codes |= {code for place in promised(rows, found, server) for code in found[place]}

        assert compared > 0.6 * len(rows)
        assert broken > 300
    assert 25 <= len(codes)


@given(dice=st.randoms(), lives=st.integers(0, 6), others=st.integers(0, 20))
@settings(max_examples=12)
def test_a_few_lives_and_garbage(warehouse, dice, lives, others):
    """Query and auditor agree on small tables, which keep failing examples short."""
    agree(warehouse, medley(dice, "openai", lives, others))


@pytest.mark.slow
@pytest.mark.parametrize("server", DIALECTS)
@given(dice=st.randoms(), lives=st.integers(0, 6), others=st.integers(0, 20))
@settings(max_examples=20)
def test_many_lives_and_garbage_in_every_dialect(server, warehouse, dice, lives, others):
    """Query and auditor agree on twenty small tables in each dialect."""
    agree(warehouse, medley(dice, server, lives, others), server)


# ---------------------------------------------------------------- a table with other columns

MIXED = numbered(
    [
        {**flat(batch, 0, CREATED + 100.0 * number), "id": f"b{path}"}
        for path in ("vpzc", "vpze", "vf", "vpgx", "vpvz", "vpf")
        for number, batch in enumerate(
            [
                *seen(path),
                snap(path, endpoint="/v1/b", expires_at=CREATED + 60),
                snap(path, failed_at=CREATED + 1, output_file_id=None, errors=None),
                snap(path, request_counts={"total": 9, "completed": 2, "failed": 9}, object="file"),
                snap(path, request_counts=None, created_at=CREATED + 90_000, errors=[{"code": "x"}]),
            ]
        )
    ]
)
"""Rows that breach much."""

DROPPED = {name: name for name in (*TIMES[1:], *TEXTS[2:], "observed_at")} | {
    f"request_counts.{name}": f"request_counts_{name}" for name in COUNTS
}


def blind(batch, name):
    """Return a batch in which one field is unreadable."""
    outer, _, inner = name.partition(".")
    if inner and batch["request_counts"] is not None:
        return batch | {"request_counts": batch["request_counts"] | {inner: None}}
    return batch | ({} if inner else {outer: UNREADABLE})


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in STAMPS[1:] else name for name in DROPPED]
)
def test_a_field_without_a_column_says_nothing(name, warehouse):
    """A field without a column is unknown, like a field that a text form hides, and causes no finding."""
    filled(warehouse, MIXED)
    table = Table.of("log", "duckdb", is_nested=False, changes={"place": "place", name: ""})
    found = {place: set(rules.split()) for *_, place, _, rules in warehouse.execute(query(table)).fetchall()}
    log = []
    for row in objects(MIXED):
        seen_at = {} if name == "observed_at" else {"observed_at": row["observed_at"]}
        log.append({"batch": row["batch"] if name == "observed_at" else blind(row["batch"], name)} | seen_at)
    expected = {}
    for each in audit(log, max_findings=10**6).findings:
        if each.rule not in HIDDEN:
            expected.setdefault(each.where[-1].line - 1, set()).add(each.rule)

    assert expected == found


def test_rules_that_fall_silent_are_named():
    """The query's comment lists the rules that cannot be checked without a missing column."""
    changes = {"expires_at": "", "errors": None, "place": "n"} | {f"request_counts.{name}": "" for name in COUNTS}
    text = query(Table.of("log", "duckdb", changes=changes), server="azure")

    assert (
        "-- Not checked for lack of columns: P104, T202, T203, C301, C302, C303, C304, F402, F403, F404, F405, H505.\n"
        in text
    )
    assert "-- Off for azure: T204, T207, C305.\n" in text
    assert (
        "-- Fields without a column: expires_at, errors, request_counts.total, request_counts.completed,\n"
        "-- request_counts.failed.\n"
    ) in text


def test_nested_counts(warehouse):
    """`request_counts` may be one column with nested fields, and an expression may replace any column."""
    filled(warehouse, MIXED)
    flat_counts = ", ".join(f"request_counts_{name}" for name in COUNTS)
    nested = ", ".join(f"{name} := request_counts_{name}" for name in COUNTS)
    warehouse.execute(
        f"""CREATE OR REPLACE TABLE nested AS SELECT * EXCLUDE ({flat_counts}, created_at),
        CASE WHEN request_counts_total IS NOT NULL THEN STRUCT_PACK({nested}) END AS request_counts,
        TO_TIMESTAMP(created_at) AS "made on" FROM log"""  # noqa: S608
    )
    changes = {"place": "place", "created_at": 'CAST(EPOCH("made on") AS BIGINT)'}
    text = query(Table.of("(SELECT * FROM nested) AS n", "duckdb", changes=changes))

    assert warehouse.execute(text_for("openai")).fetchall() == warehouse.execute(text).fetchall()


def test_without_a_place_the_time_is_the_order(warehouse):
    """If each row of a batch has its own time of observation, the query needs no column for the place."""
    filled(warehouse, MIXED)
    found = warehouse.execute(query(Table.of("log", "duckdb", is_nested=False))).fetchall()
    with_place = warehouse.execute(text_for("openai")).fetchall()

    assert sorted((row[0], row[1], *row[3:]) for row in with_place) == sorted(found)


# ---------------------------------------------------------------- counts


def test_counts(warehouse):
    """`is_counted` gives one row per rule and severity, in the order of the rules; no batch has an illegal move."""
    rows = numbered([row for row in MIXED if row["id"] in ("bvpzc", "bvpze", "bvf")])
    filled(warehouse, rows)
    table = Table.of("log", "duckdb", is_nested=False, changes={"place": "place"})
    found = warehouse.execute(query(table, is_counted=True)).fetchall()
    judgements = judged(rows)
    expected = Counter((code, severity) for findings in judgements.values() for code, severity in findings.items())

    assert expected == {(code, severity): number for code, _, severity, number in found}
    assert [code for code in RULES if code in {code for code, *_ in found}] == list(
        dict.fromkeys(code for code, *_ in found)
    )
    assert {(code, RULES[code].name) for code, *_ in found} == {(code, name) for code, name, *_ in found}


# ---------------------------------------------------------------- recorded and published logs

LOGS = {
    "data/observed_snapshots.jsonl": "openai",
    "recordings/server_aibrix_dryrun.jsonl": "openai",
    "recordings/server_ogx.jsonl": "ogx",
    "recordings/server_llmock.jsonl": "openai",
}


@pytest.mark.parametrize("name", LOGS)
def test_published_and_recorded_batches(name, warehouse):
    """Query and auditor agree on the batches of real logs that fit into typed columns."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not there; BATCHFSM_SHARED says where else to look")
    batches = [batch for line in path.read_text().splitlines() for batch in real(json.loads(line))]
    rows = numbered([flat(batch, 0) for batch in batches if is_typed(batch)])
    compared, _ = agree(warehouse, rows, LOGS[name])

    assert compared > 20


def real(line):
    """Return the batches in a line of a log."""
    body = next((line[key] for key in ("snapshot", "body", "batch") if isinstance(line.get(key), dict)), line)
    found = body.get("data") if body.get("object") == "list" else [body]
    return [batch for batch in found if isinstance(batch, dict) and {"id", "status"} <= batch.keys()]


def is_typed(batch):
    """Return whether a batch fits into typed columns."""
    counts = batch.get("request_counts")
    return (
        all(type(batch.get(name)) in (int, type(None)) for name in TIMES)
        and all(isinstance(batch.get(name), str | None) for name in TEXTS if name != "errors")
        and isinstance(counts, dict | None)
        and all(type(number) in (int, type(None)) for number in (counts or {}).values())
    )


# ---------------------------------------------------------------- other SQL


@pytest.mark.parametrize("sql_dialect", SQL_DIALECTS)
def test_every_text_is_sql(sql_dialect):
    """Each query is parsed by sqlglot as SQL of its dialect; only DuckDB's query is run."""
    text = query(Table.of("logs.batches", sql_dialect, changes={"place": "seq"}), is_counted=True)
    (tree,) = sqlglot.parse(text, read=sql_dialect)

    assert {"logs"} == {table.db for table in tree.find_all(sqlglot.exp.Table)} - {""}
    assert 120 >= max(map(len, text.splitlines()))


@pytest.mark.parametrize(
    "sql_dialect, lines",
    {
        "bigquery": [
            "    FIRST_VALUE(failed_at IGNORE NULLS) OVER before AS first_failed_at,",
            "    CASE WHEN kind <> 'batch' THEN 3 ELSE 0 END AS S003,",
            "    CASE WHEN CASE WHEN LENGTH(id) = 38 AND REGEXP_CONTAINS(id, '^batch_[0-9a-f]{32}$')\n",
        ],
        "snowflake": [
            "    CAST(GET_PATH(request_counts, 'total') AS BIGINT) AS total,",
            "    FIRST_VALUE(failed_at) IGNORE NULLS OVER (PARTITION BY id",
            "    CASE st WHEN 0 THEN (BITAND(stamped, 254)) = 0 WHEN 1 THEN (BITAND(stamped, 252)) = 0",
        ],
        "trino": [
            "    FIRST_VALUE(failed_at) IGNORE NULLS OVER before AS first_failed_at,",
            "    CASE st WHEN 0 THEN (BITWISE_AND(stamped, 254)) = 0 WHEN 1 THEN (BITWISE_AND(stamped, 252)) = 0",
            "  TRIM(",
        ],
    }.items(),
)
def test_a_few_lines_of_sql_that_is_not_run(sql_dialect, lines):
    """Window functions, bit operations and regular expressions have the syntax of each SQL dialect."""
    text = query(Table.of("log", sql_dialect, changes={"place": "seq"}))

    assert [] == [line for line in lines if f"\n{line}" not in text]


# ---------------------------------------------------------------- invalid arguments


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"id": ""}, "invalid query: no column holds id"),
        ({"status": None, "created_at": " "}, "invalid query: no column holds status; no column holds created_at"),
        ({"observed_at": ""}, "invalid query: neither observed_at nor place tells the order"),
        ({"created_at": "epoch(ts"}, "invalid query: duckdb does not read 'epoch(ts'"),
        ({"created_at": "a; b"}, "invalid query: 'a; b' is not one expression"),
        ({"created_at": "-- a"}, "invalid query: '-- a' is not one expression"),
    ],
)
def test_a_table_that_cannot_be_asked(changes, said):
    """A missing column that the query requires, and an expression that is not SQL, are refused."""
    with pytest.raises(DefinitionError) as caught:
        query(Table.of("log", "duckdb", changes=changes))

    assert said == str(caught.value)


@pytest.mark.parametrize(
    "source, said",
    [
        ("", "duckdb does not read ''"),
        ("log; DROP TABLE log", "'log; DROP TABLE log' is not one expression"),
        ("log UNION SELECT 2", "'log UNION SELECT 2' is no text after FROM: put a query into parentheses"),
    ],
)
def test_a_source_that_is_no_table(source, said):
    """The text after FROM is a table or one expression."""
    with pytest.raises(DefinitionError) as caught:
        query(Table.of(source, "duckdb"))

    assert f"invalid query: {said}" == str(caught.value)


def test_nested_counts_are_named_with_the_option_for_others():
    """The warehouse knows no column `request_counts` if its counts are flat; the comment names the option."""
    comment = "-- Counts: the fields total, completed and failed of the column request_counts; for columns "
    without = {f"request_counts.{name}": "" for name in COUNT_FIELDS}

    assert comment in query(Table.of("log", "duckdb"))
    assert comment not in query(Table.of("log", "duckdb", is_nested=False))
    assert comment not in query(Table.of("log", "duckdb", changes=without))


def test_names_that_nobody_knows():
    """The error lists the known names."""
    with pytest.raises(UnknownNameError, match=r"^no field is called 'x'; known: id, status, object, "):
        Table.of("log", "duckdb", changes={"x": "y"})
    with pytest.raises(UnknownNameError, match=r"^no SQL dialect is called 'oracle'; known: duckdb, spark, bigquery, "):
        Table.of("log", "oracle")
    with pytest.raises(UnknownNameError, match=r"^no dialect is called 'acme'; "):
        query(Table.of("log", "duckdb"), server="acme")


@pytest.mark.parametrize("skew_s", [-1, float("inf"), float("nan")])
def test_a_skew_is_a_number(skew_s):
    """The skew must be finite and not negative."""
    with pytest.raises(ValueError, match=r"^skew_s is finite and not negative$"):
        query(Table.of("log", "duckdb"), skew_s=skew_s)


def test_the_skew_counts(warehouse):
    """A stamp may be later than its observation by at most `skew_s`."""
    rows = [flat(snap("vp"), 0, CREATED + 10.0)]
    filled(warehouse, rows)
    table = Table.of("log", "duckdb", is_nested=False)

    assert [(), ("T205",)] == [
        tuple(rules for *_, rules in warehouse.execute(query(table, skew_s=skew_s)).fetchall()) for skew_s in (50, 49.5)
    ]


def test_without_sqlglot(monkeypatch):
    """Without sqlglot, the error contains the command that installs it."""
    monkeypatch.setitem(sys.modules, "sqlglot", None)

    with pytest.raises(
        MissingExtraError,
        match=r"^batchfsm sql needs more packages: pip install 'batchfsm\[sql\]' \(in a clone: pip install '\.\[sql\]'\)$",
    ):
        query(Table.of("log", "duckdb"))


# ---------------------------------------------------------------- the command


def ran(*arguments):
    """Return the result of the command, run in this process."""
    return CliRunner().invoke(app, ["sql", *arguments])


def test_the_command_prints_what_runs(warehouse):
    """The output is exactly the query with its comment."""
    filled(warehouse, MIXED)
    arguments = ["duckdb", "--table", "log", "--request-counts", "flat", "--column", "place=place"]
    result = ran(*arguments)
    counted = ran(*arguments, "--counts", "--skew", "0", "--dialect", "compatible", "--column", "object=")

    assert (0, text_for("openai")) == (result.exit_code, result.output)
    assert warehouse.execute(counted.output).fetchall()


def test_the_command_writes_a_file(tmp_path):
    """The file contains the query, and standard output is empty."""
    result = ran("trino", "--output", str(tmp_path / "audit.sql"))

    assert (0, "") == (result.exit_code, result.output)
    assert query(Table.of("batch_log", "trino")) == (tmp_path / "audit.sql").read_text()


def test_what_stops_the_command_is_one_line():
    """An invalid argument gives one line on standard error and exit status 2."""
    twice = ran("duckdb", "--column", "id=a", "--column", "id=b")
    result = ran("duckdb", "--column", "created_at")

    assert (2, "batchfsm: invalid query: --column names id twice\n") == (twice.exit_code, twice.stderr)

    assert (2, "batchfsm: invalid query: --column takes FIELD=SQL, got 'created_at'\n") == (
        result.exit_code,
        result.stderr,
    )


def test_the_help_names_what_is_not_judged():
    """The help lists the rules that the query does not check, and the limits of its agreement with the auditor."""
    said = " ".join(ran("--help").output.split())

    assert f"Not checked: {' and '.join(HIDDEN)}, because typed columns cannot show a violation" in said
    assert "up to and including the first H501 or H502 of severity error of a batch" in said
    circles = {
        (name, word)
        for name, dialect in DIALECTS.items()
        for word, reached in topology(dialect.lifecycle).reach.items()
        if word in reached
    }
    assert {("compatible", "finalizing"), ("compatible", "cancelling")} == circles
    assert (
        "With --dialect compatible they may differ after the first step from cancelling to finalizing, or back" in said
    )
