"""Opening a journal by its path or address."""

from __future__ import annotations

from typing import Final

from batchfsm.journal.postgres import PostgresJournal
from batchfsm.journal.sqlite import SQLiteJournal

_SERVERS: Final = ("postgresql://", "postgres://")


def is_server(place: str) -> bool:
    """Return whether a journal is in PostgreSQL, and in no file."""
    return place.startswith(_SERVERS)


def open_journal(place: str, *, create: bool = True) -> SQLiteJournal | PostgresJournal:
    """
    Open a journal.

    Args:
        place: `postgresql://...` for PostgreSQL, or the path of a SQLite file.
        create: False to raise an error if there is no journal.

    Raises:
        JournalError: If it cannot be opened, or is no journal.
        MissingExtraError: If psycopg is not installed.
    """
    return (PostgresJournal if is_server(place) else SQLiteJournal)(place, create=create)
