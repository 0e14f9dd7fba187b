"""Connections to PostgreSQL: broken, refused or cut by the server; addresses and their passwords."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from batchfsm import JournalError, Monitor, PostgresJournal
from batchfsm.errors import MissingExtraError
from batchfsm.journal import StoredBatch, postgres
from support.journals import DSN, StandIn, change, drop, own_schema, server_or_skip, short, transitions, unheard
from support.notation import seen, snap

BORN, RUNS = transitions(snap("v"), snap("vp"))


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Return a stand-in for psycopg."""
    driver = StandIn(tmp_path / "tables.db")
    monkeypatch.setattr(postgres, "import_psycopg", lambda: driver)
    yield driver
    for link in driver.links:
        link.close()


@pytest.fixture
def schema():
    """Return the address of a new schema on the real server."""
    psycopg = server_or_skip()
    name, address = own_schema(psycopg)
    yield address
    drop(psycopg, name)


# ---------------------------------------------------------------- connections that break


@pytest.mark.parametrize(
    "broken", ["UPDATE", "INSERT INTO batchfsm_transitions", "before the commit", "after the commit"]
)
def test_what_a_broken_connection_cut_short_is_done_again_once(driver, broken):
    """It may break at any statement, even the commit: then a row shows whether the change was written."""
    with PostgresJournal("here") as journal:
        me = journal.register_owner(unheard)
        journal.commit(change(me, (BORN, ("h",))))
        driver.breaks = [broken]

        assert journal.commit(change(me, (RUNS, ("h",)), expected=1, state="t"))
        assert [] == driver.breaks
        assert StoredBatch(revision=2, state="t") == journal.load("batch_1")
        assert [("validating", "h", 0), ("in_progress", "h", 0)] == short(journal.pending())


def test_what_others_took_while_the_connection_was_broken_is_not_called_here(driver):
    """The commit succeeded, but the liveness lock was lost for a moment: the other process has leased the delivery."""
    with PostgresJournal("here") as journal, PostgresJournal("here") as other:
        me, she = journal.register_owner(unheard), other.register_owner(unheard)
        driver.breaks = ["after the commit"]
        driver.meanwhile = lambda: other.claim("batch_1", she, {"h"}, retry=False, now=None)

        assert "queued" == journal.commit(change(me, (BORN, ("h",))))
        assert [] == journal.claim("batch_1", me, {"h"}, retry=True, now=None)


def test_a_connection_that_breaks_twice_is_an_error(driver):
    """Nothing was written, so the call can be repeated."""
    with PostgresJournal("here") as journal:
        me = journal.register_owner(unheard)
        driver.breaks = ["INSERT", "INSERT"]
        with pytest.raises(JournalError, match="server closed the connection unexpectedly"):
            journal.commit(change(me, (BORN, ("h",))))

        assert None is journal.load("batch_1")
        assert journal.commit(change(me, (BORN, ("h",))))


def test_a_server_that_is_away_is_an_error_until_it_is_back(driver):
    """The same journal works again when the server is back."""
    with PostgresJournal("here") as journal:
        driver.is_down, driver.breaks = True, ["SELECT"]
        for _ in range(2):
            with pytest.raises(JournalError, match=r"postgresql://here/test: (server closed|connection refused)"):
                journal.count()
        driver.is_down = False

        assert 0 == journal.count()


def test_an_error_of_a_sound_connection_is_not_tried_again(driver):
    """A second attempt would have the same error."""
    with PostgresJournal("here") as journal:
        driver.said.clear()
        with pytest.raises(JournalError, match="no such table: nowhere"):
            journal._run(lambda execute: execute("SELECT 1 FROM nowhere"))

    assert ["SELECT 1 FROM nowhere"] == [sql for sql in driver.said if "nowhere" in sql]


def test_a_new_connection_holds_the_sign_of_life_before_anything_else(driver):
    """Otherwise another process could count this one as dead."""
    with PostgresJournal("here") as journal, PostgresJournal("here") as other:
        me, she = journal.register_owner(unheard), other.register_owner(unheard)
        journal.commit(change(me, (BORN, ("h",))))
        driver.breaks = ["count"]
        journal.count()

        assert [] == other.claim("batch_1", she, {"h"}, retry=True, now=None)
        journal.close()
        assert [("validating", "h", 0)] == short(other.claim("batch_1", she, {"h"}, retry=True, now=None))


def test_closing_says_so_at_once_if_it_can(driver):
    """The locks are released before the connection is closed; a broken connection has no locks to release."""
    sound, broken = PostgresJournal("here"), PostgresJournal("here")
    sound.close()
    assert any("pg_advisory_unlock_all" in sql for sql in driver.said)
    driver.breaks = ["pg_advisory_unlock_all"]
    broken.close()

    assert [] == driver.breaks
    assert {True} == {link.closed for link in driver.links}


def test_a_connection_that_cannot_be_set_up_is_closed(driver):
    """No open connection is left after an error."""
    driver.breaks = ["pg_advisory_lock_shared"] * 2
    with pytest.raises(JournalError, match="server closed the connection"):
        PostgresJournal("here")

    assert {True} == {link.closed for link in driver.links}


def test_what_the_server_is_asked_for_is_what_durability_needs(driver):
    """The journal overrides the server's own settings."""
    PostgresJournal("here", timeout_s=2).close()

    assert [
        "SET statement_timeout = 2000",
        "SET synchronous_commit = on",
        "SET default_transaction_isolation = 'read committed'",
    ] == [sql for sql in driver.said if sql.startswith("SET")]


# ---------------------------------------------------------------- the real driver, without a server


def test_without_psycopg_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(MissingExtraError, match=r"a journal in PostgreSQL needs more .* 'batchfsm\[postgres\]'"):
        PostgresJournal("postgresql://nowhere/test")


def test_a_server_that_does_not_answer_is_an_error_without_the_password():
    """The error has the address of the journal without the password."""
    with pytest.raises(JournalError) as caught:
        PostgresJournal("postgresql://me:secret@127.0.0.1:1/test", timeout_s=1)

    assert "postgresql://127.0.0.1:1/test" == caught.value.journal
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "address, kind, said",
    [("", JournalError, "is empty"), (" ", JournalError, "is empty"), (None, TypeError, "is text, not NoneType")],
)
def test_an_empty_address_is_an_error(address, kind, said):
    """An unset variable names no database; libpq would take it for the default database of the user."""
    with pytest.raises(kind, match=said):
        PostgresJournal(address)


@pytest.mark.parametrize("address", ["my secret", "postgresql://me:secret%zz@there/test"])
def test_an_address_that_is_none_is_an_error_and_is_not_repeated(address):
    """The error is raised before a connection is made; any part of a wrong address may be a password."""
    with pytest.raises(JournalError) as caught:
        PostgresJournal(address)

    assert "postgresql: the address cannot be read; it is like postgresql://user@host/database" == str(caught.value)
    assert (None, True) == (caught.value.__cause__, caught.value.__suppress_context__)


def test_what_an_address_says_goes_before_what_is_usual():
    """The address may have other limits."""
    server = PostgresJournal.__new__(PostgresJournal)
    server._psycopg, server._timeout_s = postgres.import_psycopg(), 3.0
    words = server._parse_dsn("postgresql://there/test?connect_timeout=9")

    assert ("9", 3, 3000) == tuple(words[name] for name in ("connect_timeout", "keepalives_idle", "tcp_user_timeout"))


# ---------------------------------------------------------------- the real server


def cut(journal: Any) -> None:
    """Let the server end the connection of a journal."""
    pid = journal._db.info.backend_pid
    with server_or_skip().connect(DSN, autocommit=True) as db:
        db.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@pytest.mark.server
@pytest.mark.parametrize("place", range(4))
def test_a_connection_cut_in_mid_run_loses_nothing(schema, place):
    """The connection is cut between the rows of a life and during a hook; each hook returns once."""
    heard = []
    with PostgresJournal(schema) as journal:
        monitor = Monitor(journal=journal)

        @monitor.on(name="h")
        def hear(transition):
            heard.append(transition.target)
            if transition.target == "finalizing":
                cut(journal)

        for number, row in enumerate(seen("vpzc")):
            if number == place:
                cut(journal)
            assert monitor.observe(row).delivered
        assert [] == journal.pending()

    assert ["validating", "in_progress", "finalizing", "completed"] == heard


@pytest.mark.server
def test_an_error_of_the_server_is_one_line(schema):
    """The message has no part of the statement, which the server quotes in further lines."""
    with pytest.raises(JournalError) as caught:
        PostgresJournal(f"{schema}_absent")

    assert "no schema has been selected to create in" == caught.value.problem


@pytest.mark.server
def test_a_commit_survives_a_habit_of_the_database(schema):
    """A database may default to serializable transactions and asynchronous commits; the journal overrides both."""
    strange = f"{schema}%20-cdefault_transaction_isolation%3Dserializable%20-csynchronous_commit%3Doff"
    with PostgresJournal(strange) as journal:
        settings = [
            journal._run(lambda execute, name=name: execute(f"SHOW {name}").fetchone()[0])
            for name in ("transaction_isolation", "synchronous_commit", "statement_timeout")
        ]

    assert ["read committed", "on", "10s"] == settings
