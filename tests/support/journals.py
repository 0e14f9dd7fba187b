"""Journals for tests: the address of PostgreSQL, and short forms of pending rows."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from batchfsm import Monitor, Transition
from batchfsm.journal import BatchUpdate, OutboxEntry, PendingDelivery, PostgresJournal, SQLiteJournal

DSN = os.environ.get("BATCHFSM_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
"""The server that tests marked `server` talk to; each makes tables in a schema of its own."""


class Desk:
    """A path or address at which a test opens one journal several times, as several processes do."""

    def __init__(self, where: Path | str) -> None:
        """Take the path of a file or the address of a database."""
        self.where = where
        self._opened: list[Any] = []

    def open(self) -> Any:
        """Open the journal; return a new object for it."""
        kind: Any = SQLiteJournal if isinstance(self.where, Path) else PostgresJournal
        self._opened.append(kind(self.where))
        return self._opened[-1]

    def close(self) -> None:
        """Close all journals that were opened."""
        for journal in self._opened:
            journal.close()


def server_or_skip() -> Any:
    """Return psycopg; skip the test if no server answers."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    try:
        psycopg.connect(DSN, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL at {DSN}, see BATCHFSM_POSTGRES: {error}")
    return psycopg


def own_schema(psycopg: Any) -> tuple[str, str]:
    """Create a new schema; return its name and the address of a journal in it."""
    schema = f"batchfsm_{uuid4().hex[:12]}"
    with psycopg.connect(DSN, autocommit=True) as db:
        db.execute(f"CREATE SCHEMA {schema}")
    return schema, f"{DSN}?application_name={schema}&options=-csearch_path%3D{schema}"


def drop(psycopg: Any, schema: str) -> None:
    """Drop a schema and its content."""
    with psycopg.connect(DSN, autocommit=True) as db:
        db.execute(f"DROP SCHEMA {schema} CASCADE")


@contextmanager
def journal_place(store: str, folder: Path, name: str = "journal") -> Iterator[str]:
    """Yield the place of a journal: a path in a folder (`sqlite`), or the address of a new schema (`postgres`)."""
    if store == "sqlite":
        yield str(folder / f"{name}.db")
        return
    psycopg = server_or_skip()
    schema, address = own_schema(psycopg)
    try:
        yield address
    finally:
        drop(psycopg, schema)


def short(rows: list[PendingDelivery]) -> list[tuple[str, str, int]]:
    """Return the target, the hook and the tries of pending rows."""
    return [(row.transition.target, row.hook, row.retry.tries) for row in rows]


def change(
    owner: str, *entries: tuple[Transition, tuple[str, ...]], expected: int = 0, state: str = "s"
) -> BatchUpdate:
    """Return an update of `batch_1`."""
    written = tuple(OutboxEntry(transition, hooks) for transition, hooks in entries)
    return BatchUpdate(batch_id="batch_1", owner=owner, expected=expected, state=state, entries=written)


def unheard(_: str, __: Transition) -> None:
    """Raise, because no hook is redelivered."""
    raise AssertionError


def transitions(*rows: dict[str, Any]) -> list[Transition]:
    """Return the transitions of snapshots that are observed in order."""
    monitor = Monitor()
    return [each for row in rows for each in monitor.observe(row).transitions]


class Link:
    """A connection like psycopg's over a SQLite file, with transactions and advisory locks, that can break."""

    def __init__(self, driver: StandIn) -> None:
        """Connect, or raise if the server is down."""
        if driver.is_down:
            msg = "connection refused"
            raise sqlite3.OperationalError(msg)
        self._driver, self.closed, self._held = driver, False, set()
        self._db = sqlite3.connect(driver.path, isolation_level=None, check_same_thread=False)
        self._db.create_function("pg_advisory_xact_lock", -1, lambda *_: None)
        self._db.create_function("pg_advisory_lock_shared", 1, self._hold)
        self._db.create_function("pg_advisory_unlock_all", 0, self._held.clear)
        driver.links.append(self)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Execute a statement as PostgreSQL does, or break the connection."""
        self._driver.said.append(sql)
        if self._driver.breaks and self._driver.breaks[0] in sql:
            self._driver.breaks.pop(0)
            self.close()
            self._driver.meanwhile()
            msg = "server closed the connection unexpectedly"
            raise sqlite3.OperationalError(msg)
        if sql.startswith("SET "):
            return None
        if "to_regclass" in sql:
            return self._db.execute("SELECT (SELECT name FROM sqlite_master WHERE name = ?)", values)
        if "pg_locks" in sql:
            return self._db.execute("SELECT 1 WHERE ?", [values[0] in self._driver.held()])
        return self._db.execute(sql.replace("%s", "?"), values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit or roll back; the connection may break before or after the commit."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("/* before the commit */ SELECT 1")
            self._db.execute("COMMIT")
            self.execute("/* after the commit */ SELECT 1")
        except BaseException:
            if not self.closed and self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def fileno(self) -> int:
        """Return an open file descriptor, as psycopg returns that of its socket."""
        return os.open(os.devnull, os.O_RDONLY)

    def close(self) -> None:
        """Close the connection and release its locks."""
        self.closed = True
        self._db.close()

    def _hold(self, key: int) -> None:
        self._held.add(key)


class StandIn:
    """
    A stand-in for psycopg over SQLite, in which tests decide when connections break.

    Both databases accept the journal's statements. Tests marked `server` check their effect in a real PostgreSQL.
    """

    Error, OperationalError, InterfaceError = sqlite3.Error, sqlite3.OperationalError, sqlite3.InterfaceError

    def __init__(self, path: Path) -> None:
        """Take the path of the SQLite file."""
        self.path, self.is_down = path, False
        self.breaks: list[str] = []
        """In which statements connections break, one after another."""
        self.said: list[str] = []
        self.links: list[Link] = []
        self.meanwhile: Any = lambda: None
        """Called when a connection breaks, in place of another process."""
        self.conninfo = SimpleNamespace(conninfo_to_dict=lambda dsn: {"host": dsn, "dbname": "test"})

    def connect(self, *, autocommit: bool, **_: Any) -> Link:
        """Return a new connection."""
        assert autocommit
        return Link(self)

    def held(self) -> set[int]:
        """Return the advisory locks of open connections."""
        return {key for link in self.links if not link.closed for key in link._held}
