"""`batchfsm journal`: what it lists, what it calls back, and what it refuses."""

from __future__ import annotations

import json

import pytest

from batchfsm import PostgresJournal, SQLiteJournal
from batchfsm.journal import DeliveryOutcome, postgres
from support.commands import ran, run
from support.journals import StandIn, change, drop, own_schema, server_or_skip, transitions, unheard
from support.notation import snap

BORN, RUNS = transitions(snap("v"), snap("vp"))


def filled(journal):
    """Put one hook that was never tried, one that raised and one that is dead into a journal."""
    me = journal.enlist(unheard)
    journal.commit(change(me, (BORN, ("collect", "bill")), (RUNS, ("collect",))))
    journal.record(
        DeliveryOutcome(batch_id="batch_1", key=BORN.key, hook="bill", error="OSError: no \x1b[31mroom", tries=1)
    )
    journal.record(DeliveryOutcome(batch_id="batch_1", key=RUNS.key, hook="collect", error="E: x", tries=10, dead=True))
    journal.close()


@pytest.fixture
def path(tmp_path):
    """A journal with rows of each kind."""
    filled(SQLiteJournal(tmp_path / "j.db"))
    return tmp_path / "j.db"


def test_what_is_pending_is_listed(path):
    """One a line, with what it raised; what a terminal would obey is shown, not sent."""
    assert [
        f"{BORN.key}  collect  never tried",
        f"{BORN.key}  bill  1 try: OSError: no \\x1b[31mroom",
        "2 pending",
    ] == ran("journal", "pending", path).stdout.splitlines()


def test_what_is_dead_is_listed_and_called_back(path):
    """Then it is pending, and nothing is dead; no hook was run."""
    assert [f"{RUNS.key}  collect  10 tries: E: x", "1 dead"] == ran("journal", "dead", path).stdout.splitlines()
    assert ["1 pending again\n", "0 pending again\n"] == [ran("journal", "retry", path).stdout for _ in range(2)]
    assert "none is dead\n" == ran("journal", "dead", path).stdout
    assert f"{RUNS.key}  collect  to be tried again: E: x" in ran("journal", "pending", path).stdout


def test_machines_get_json_lines(path):
    """An object a row, and nothing else; of no rows there is no line."""
    result = ran("journal", "dead", path, "--json")

    assert {
        "batch_id": "batch_1", "key": RUNS.key, "target": "in_progress", "at": RUNS.at,
        "hook": "collect", "tries": 10, "error": "E: x",
    } == json.loads(result.stdout)  # fmt: skip
    ran("journal", "retry", path)
    assert "" == ran("journal", "dead", path, "--json").stdout


@pytest.mark.parametrize("verb", ["pending", "dead", "retry"])
def test_a_place_without_a_journal_is_one_line_and_status_two(tmp_path, verb):
    """A path without a journal is one line on standard error and exit status 2, and no file is made there."""
    result = ran("journal", verb, tmp_path / "typo.db")

    assert (2, "", f"batchfsm: {tmp_path}/typo.db: there is no journal\n") == (
        result.exit_code, result.stdout, result.stderr
    )  # fmt: skip
    assert [] == list(tmp_path.iterdir())


def test_an_address_is_no_path(tmp_path, monkeypatch):
    """What begins like one goes to the server; there, too, nothing is made."""
    driver = StandIn(tmp_path / "tables.db")
    monkeypatch.setattr(postgres, "import_psycopg", lambda: driver)
    result = ran("journal", "pending", "postgresql://here")
    assert (2, "there is no journal") == (result.exit_code, result.stderr.strip()[-19:])
    assert [] == [sql for sql in driver.said if "CREATE" in sql]
    filled(PostgresJournal("postgresql://here"))

    assert "2 pending" in ran("journal", "pending", "postgresql://here").stdout


@pytest.mark.server
def test_a_journal_on_a_server_is_listed_and_called_back():
    """By the command, in a process of its own."""
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
