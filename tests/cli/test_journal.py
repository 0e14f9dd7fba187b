"""`batchfsm journal`: lists of batches and hooks, the changes that it makes, and its errors."""

from __future__ import annotations

import json
import time

import attrs
import pytest

from batchfsm import PostgresJournal, SQLiteJournal
from batchfsm.journal import DeliveryOutcome, RetryState, postgres
from support.commands import ran, run
from support.journals import StandIn, change, drop, own_schema, server_or_skip, transitions, unheard
from support.notation import snap

BORN, RUNS = transitions(snap("v"), snap("vp"))


def filled(journal):
    """Add a hook that was never called, a hook that raised and a dead hook to a journal."""
    me = journal.register_owner(unheard)
    journal.commit(change(me, (BORN, ("collect", "bill")), (RUNS, ("collect",))))
    journal.record(
        DeliveryOutcome(
            batch_id="batch_1",
            key=BORN.key,
            hook="bill",
            error="OSError: no \x1b[31mroom",
            retry=RetryState(1, 1711493200, 1711493210),
        )
    )
    journal.record(
        DeliveryOutcome(batch_id="batch_1", key=RUNS.key, hook="collect", error="E: x", retry=RetryState(10))
    )
    journal.close()


@pytest.fixture
def path(tmp_path):
    """Return the path of a journal with rows of each kind."""
    filled(SQLiteJournal(tmp_path / "j.db"))
    return tmp_path / "j.db"


def test_pending_hooks_are_listed(path):
    """Each has one line with its error and its next try; control characters are escaped."""
    assert [
        f"{BORN.key}  collect  never tried",
        f"{BORN.key}  bill  1 try, next at 2024-03-26T22:46:50Z: OSError: no \\x1b[31mroom",
        "2 pending",
    ] == ran("journal", "pending", path).stdout.splitlines()


def test_dead_hooks_are_listed_and_made_pending(path):
    """`retry` makes each dead hook pending and runs none."""
    assert [f"{RUNS.key}  collect  10 tries: E: x", "1 dead"] == ran("journal", "dead", path).stdout.splitlines()
    assert ["1 pending again\n", "0 pending again\n"] == [ran("journal", "retry", path).stdout for _ in range(2)]
    assert "none is dead\n" == ran("journal", "dead", path).stdout
    assert f"{RUNS.key}  collect  to be tried again: E: x" in ran("journal", "pending", path).stdout


def test_machines_get_json_lines(path):
    """Each row is one object; without rows the output is empty."""
    result = ran("journal", "dead", path, "--json")

    assert {
        "batch_id": "batch_1", "key": RUNS.key, "target": "in_progress", "at": RUNS.at,
        "hook": "collect", "tries": 10, "error": "E: x", "next_try_at": None,
    } == json.loads(result.stdout)  # fmt: skip
    ran("journal", "retry", path)
    assert "" == ran("journal", "dead", path, "--json").stdout


def test_machines_get_the_time_of_the_next_try(path):
    """The time is in Unix seconds; 0 means that the hook is due now."""
    rows = [json.loads(line) for line in ran("journal", "pending", path, "--json").stdout.splitlines()]

    assert [("collect", 0), ("bill", 1711493210)] == [(row["hook"], row["next_try_at"]) for row in rows]


@pytest.mark.parametrize(
    "due_at, shown", [(1e300, "1 try, next at 1e+300: E"), (0, "1 try: E")], ids=["no calendar has it", "any time"]
)
def test_a_next_try_without_a_date(tmp_path, due_at, shown):
    """A time beyond the calendar is printed as a number, and a hook that is due now has no time."""
    with SQLiteJournal(tmp_path / "j.db") as journal:
        journal.commit(change(journal.register_owner(unheard), (BORN, ("h",))))
        journal.record(
            DeliveryOutcome(batch_id="batch_1", key=BORN.key, hook="h", error="E", retry=RetryState(1, 1, due_at))
        )

    assert f"{BORN.key}  h  {shown}" == ran("journal", "pending", tmp_path / "j.db").stdout.splitlines()[0]


def test_dead_hooks_can_be_dropped(path):
    """Pending hooks stay, and a snapshot without pending hooks is deleted."""
    assert ["1 dropped\n", "0 dropped\n"] == [ran("journal", "drop", path).stdout for _ in range(2)]
    assert "none is dead\n" == ran("journal", "dead", path).stdout
    assert "2 pending" in ran("journal", "pending", path).stdout
    with SQLiteJournal(path) as journal:
        rows = journal._run(lambda execute: execute("SELECT key FROM batchfsm_transitions WHERE snapshot IS NULL"))
        assert [(RUNS.key,)] == rows.fetchall()


def test_open_batches_are_listed_for_a_shell(tmp_path):
    """Ids have the order of first observation; with --json there are objects. Without batches the output is empty."""
    place = tmp_path / "j.db"
    with SQLiteJournal(place) as journal:
        me = journal.register_owner(unheard)
        assert "" == ran("journal", "open", place).stdout
        for batch_id, ended_at in [("batch_b", None), ("batch_a\x1b", None), ("batch_c", 5)]:
            journal.commit(attrs.evolve(change(me), batch_id=batch_id, ended_at=ended_at))

    assert "batch_b\nbatch_a\\x1b\n" == ran("journal", "open", place).stdout
    lines = ran("journal", "open", place, "--json").stdout.splitlines()
    assert [{"batch_id": "batch_b"}, {"batch_id": "batch_a\x1b"}] == list(map(json.loads, lines))


def test_batches_that_ended_long_ago_are_pruned(tmp_path):
    """Batches with pending hooks are kept and counted; a pruned batch is not pruned again."""
    place, now = tmp_path / "j.db", time.time()
    with SQLiteJournal(place) as journal:
        me = journal.register_owner(unheard)
        for batch_id, ended_at, hooks in [
            ("old", 5, ()),
            ("new", now - 60, ()),
            ("held", 5, ("h",)),
            ("open", None, ()),
        ]:
            journal.commit(attrs.evolve(change(me, (BORN, hooks)), batch_id=batch_id, ended_at=ended_at))

    said = [ran("journal", "prune", place, "--ended-before", span).stdout for span in ("30d", "30s", "30s")]
    for text, number in zip(said, ["1 batch", "1 batch", "0 batches"], strict=True):
        assert text.startswith(f"pruned {number} that ended before ")
        assert text.endswith("Z; 1 batch not: hooks have yet to return\n")


@pytest.mark.parametrize("span", ["tomorrow", "-1d", ""])
def test_a_span_that_is_none_is_a_usage_error(path, span):
    """The error shows how to write a span."""
    result = ran("journal", "prune", path, f"--ended-before={span}")

    assert (2, True) == (result.exit_code, "is no span of time" in result.stderr)


VERBS = [["pending"], ["dead"], ["retry"], ["drop"], ["open"], ["prune", "--ended-before", "30d"]]


@pytest.mark.parametrize("odd", ["loop", "loop/j.db", "a\0b", "", "x" * 300], ids=ascii)
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_an_odd_path_is_one_line_and_status_two(tmp_path, monkeypatch, verb, odd):
    """The path is a link to itself, has a NUL, is empty, or is too long."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    result = ran("journal", *verb, odd)

    assert (2, "", 1) == (result.exit_code, result.stdout, result.stderr.count("\n"))
    assert result.stderr.startswith("batchfsm: ")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_a_place_without_a_journal_is_one_line_and_status_two(tmp_path, verb):
    """The error for a path without a journal is one line with exit status 2, and no file is created."""
    result = ran("journal", *verb, tmp_path / "typo.db")

    assert (2, "", f"batchfsm: {tmp_path}/typo.db: there is no journal\n") == (
        result.exit_code, result.stdout, result.stderr
    )  # fmt: skip
    assert [] == list(tmp_path.iterdir())


def test_an_address_is_no_path(tmp_path, monkeypatch):
    """An address is opened as a database, and no table is created there."""
    driver = StandIn(tmp_path / "tables.db")
    monkeypatch.setattr(postgres, "import_psycopg", lambda: driver)
    result = ran("journal", "pending", "postgresql://here")
    assert (2, "there is no journal") == (result.exit_code, result.stderr.strip()[-19:])
    assert [] == [sql for sql in driver.said if "CREATE" in sql]
    filled(PostgresJournal("postgresql://here"))

    assert "2 pending" in ran("journal", "pending", "postgresql://here").stdout


@pytest.mark.server
def test_a_journal_on_a_server_is_listed_and_called_back():
    """The command runs in a process of its own."""
    psycopg = server_or_skip()
    schema, address = own_schema(psycopg)
    try:
        result = run("journal", "pending", address)
        assert (2, "there is no journal") == (result.returncode, result.stderr.strip()[-19:])
        filled(PostgresJournal(address))
        assert "1 dead" in run("journal", "dead", address).stdout
        assert "1 pending again\n" == run("journal", "retry", address).stdout
        assert "3 pending" in run("journal", "pending", address).stdout
    finally:
        drop(psycopg, schema)
