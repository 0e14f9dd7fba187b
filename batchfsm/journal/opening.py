"""Where a journal is, as a word on a command line has it."""

from __future__ import annotations

from typing import Final

from batchfsm.journal.postgres import PostgresJournal
from batchfsm.journal.sqlite import SQLiteJournal

_SERVERS: Final = ("postgresql://", "postgres://")


def open_journal(place: str, *, create: bool = True) -> SQLiteJournal | PostgresJournal:
    """
    Open the journal of a place.

    Args:
        place: `postgresql://...` for PostgreSQL, else the path of a SQLite file.
        create: False to refuse a place where no journal is.

    Raises:
        JournalError: If it cannot be opened, or is no journal.
        MissingExtraError: If it needs a package that is not installed.
    """
    return (PostgresJournal if place.startswith(_SERVERS) else SQLiteJournal)(place, create=create)
