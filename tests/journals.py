"""Journals to test with: where PostgreSQL is, and what is pending, in short."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from batchfsm import Monitor, Transition
from batchfsm.journal import Change, Entry, Journal, Pending, PostgresJournal, SQLiteJournal

DSN = os.environ.get("BATCHFSM_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
"""The server that tests marked `server` talk to; each makes tables in a schema of its own."""


class Desk:
    """One place for a journal: it opens it as often as there are processes that share it."""

    def __init__(self, where: Path | str) -> None:
        """Take a path, or the address of a database."""
        self.where = where
        self._opened: list[Any] = []

    def open(self) -> Any:
        """Open the journal, once more."""
        kind: Any = SQLiteJournal if isinstance(self.where, Path) else PostgresJournal
        self._opened.append(kind(self.where))
        return self._opened[-1]

    def close(self) -> None:
        """Close all that was opened."""
        for journal in self._opened:
            journal.close()


def server_or_skip() -> Any:
    """Return psycopg and leave the test where no server answers."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    try:
        psycopg.connect(DSN, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL at {DSN}, see BATCHFSM_POSTGRES: {error}")
    return psycopg


def own_schema(psycopg: Any) -> tuple[str, str]:
    """Make a schema that nobody else has, and return it with the address of a journal in it."""
    schema = f"batchfsm_{uuid4().hex[:12]}"
    with psycopg.connect(DSN, autocommit=True) as db:
        db.execute(f"CREATE SCHEMA {schema}")
    return schema, f"{DSN}?options=-csearch_path%3D{schema}"


def drop(psycopg: Any, schema: str) -> None:
    """Drop a schema with all in it."""
    with psycopg.connect(DSN, autocommit=True) as db:
        db.execute(f"DROP SCHEMA {schema} CASCADE")


def short(rows: list[Pending]) -> list[tuple[str, str, int]]:
    """Return the target, the hook and the tries of pending rows."""
    return [(row.transition.target, row.hook, row.tries) for row in rows]


def change(owner: str, *entries: tuple[Transition, tuple[str, ...]], expected: int = 0, state: str = "s") -> Change:
    """Return a change of `batch_1`."""
    written = tuple(Entry(transition, hooks) for transition, hooks in entries)
    return Change(batch_id="batch_1", owner=owner, expected=expected, state=state, entries=written)


def unheard(_: str, __: Transition) -> None:
    """Be called never."""
    raise AssertionError


def transitions(*rows: dict[str, Any]) -> list[Transition]:
    """Return what snapshots bring, one after another."""
    monitor = Monitor()
    return [each for row in rows for each in monitor.observe(row).transitions]


__all__ = ["DSN", "Desk", "Journal", "change", "drop", "own_schema", "server_or_skip", "short", "transitions", "unheard"]
