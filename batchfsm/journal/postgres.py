"""The journal in PostgreSQL, by psycopg 3; for several machines."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from secrets import randbits
from threading import Lock
from types import ModuleType
from typing import Any, Final, Self, TypeVar
from zlib import crc32

from batchfsm.errors import JournalError, needs_extra
from batchfsm.journal.fork import call_around_fork
from batchfsm.journal.migrations import MIGRATIONS
from batchfsm.journal.sql import Execute, SQLJournal

AnswerT = TypeVar("AnswerT")

_MIGRATION_LOCK: Final = 0x6266736D
"""The advisory lock under which the tables are created."""

_BATCH_LOCKS: Final = 0x62667362
"""First half of the advisory locks of batches; the second is a hash, so two batches may share a lock."""

_ALIVE: Final = """
SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database AND datname = current_database()
WHERE locktype = 'advisory' AND objsubid = 1 AND (classid::bigint << 32) + objid::bigint = ?"""

_INHERITED: Final[list[Any]] = []
"""Connections of the parent of this process, which it can neither use nor close."""


class PostgresJournal(SQLJournal):
    """
    A journal in tables `batchfsm_*` of a PostgreSQL database, shared by processes on any number of machines.

    It keeps one connection. When that breaks, it opens another one and repeats the transaction once. An advisory lock
    of the session shows other processes that this one is alive, so connect to the server itself, or through a pool in
    session mode. After a fork the child opens its own connection, with its own owners.

    Args:
        dsn: The address: `postgresql://user@host/database`, or keywords and values as psycopg takes them.
        timeout_s: How long to wait for a connection, and for a statement; seconds.
        create: False to refuse a database without a journal.

    Raises:
        MissingExtraError: If psycopg is not installed: `batchfsm[postgres]`.
        JournalError: If the address is empty or cannot be read, the server cannot be reached, or a newer batchfsm made
            the tables.
    """

    def __init__(self, dsn: str, *, timeout_s: float = 10.0, create: bool = True) -> None:
        self._psycopg = import_psycopg()
        self._timeout_s = timeout_s
        self._parameters = self._parse_dsn(dsn)
        port = f":{self._parameters['port']}" if "port" in self._parameters else ""
        super().__init__(f"postgresql://{self._parameters.get('host', '')}{port}/{self._parameters.get('dbname', '')}")
        self._db: Any = None
        self._is_closed = False
        self._liveness = str(randbits(62))
        try:
            self._run(self._prepare if create else self._prepare_existing)
        except BaseException:
            self.close()
            raise
        call_around_fork(self)

    @property
    def is_closed(self) -> bool:
        """True after `close`; then every other method fails."""
        return self._is_closed

    def close(self) -> None:
        """Close the connection and release the leases of this journal's monitors."""
        with self._lock:
            self._is_closed = True
            if self._db is not None:
                # Otherwise the server would keep the advisory lock until it notices the end of the connection.
                with suppress(self._psycopg.Error):
                    self._db.execute("SELECT pg_advisory_unlock_all()")
            self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def after_fork_in_child(self) -> None:
        """
        Leave the session to the parent; the next call in the child opens a new one, with a lock of its own.

        Only the child's copy of the socket is closed: with it the session would outlast the parent. The connection
        object is kept, because to close it would end the parent's session.
        """
        self._lock = Lock()
        if self._db is not None and not self._db.closed:
            os.close(self._db.fileno())
            _INHERITED.append(self._db)
        self._db = None
        self._liveness = str(randbits(62))

    def _parse_dsn(self, dsn: str) -> dict[str, Any]:
        """Return the parameters of an address, with defaults that detect a server that has stopped answering."""
        if not isinstance(dsn, str):
            raise TypeError(f"the address of a journal is text, not {type(dsn).__name__}")
        if not dsn.strip():
            # For libpq it is the default database of the user, in which an unset variable would create tables.
            raise JournalError("postgresql", "the address is empty; it is like postgresql://user@host/database")
        try:
            parameters: dict[str, Any] = self._psycopg.conninfo.conninfo_to_dict(dsn)
        except self._psycopg.Error:
            # The error of psycopg quotes the address, which may hold a password.
            problem = "the address cannot be read; it is like postgresql://user@host/database"
            raise JournalError("postgresql", problem) from None
        whole_s = self._whole_s()
        return {
            "connect_timeout": whole_s,
            "keepalives_idle": whole_s,
            "keepalives_interval": whole_s,
            "keepalives_count": 3,
            "tcp_user_timeout": whole_s * 1000,
        } | parameters

    def _whole_s(self) -> int:
        return max(1, round(self._timeout_s))

    def _prepare_existing(self, execute: Execute) -> None:
        if execute("SELECT to_regclass(?)", "batchfsm_journal").fetchone() == (None,):
            raise JournalError(self.name, "there is no journal")
        self._prepare(execute)

    def _prepare(self, execute: Execute) -> None:
        execute("SELECT pg_advisory_xact_lock(?)", _MIGRATION_LOCK)
        execute("CREATE TABLE IF NOT EXISTS batchfsm_journal (version INTEGER NOT NULL)")
        row = execute("SELECT version FROM batchfsm_journal").fetchone()
        if self._migrate(execute, 0 if row is None else row[0]):
            execute("DELETE FROM batchfsm_journal")
            execute("INSERT INTO batchfsm_journal VALUES (?)", len(MIGRATIONS))

    def _run(self, transaction: Callable[[Execute], AnswerT], *, writes: bool = True) -> AnswerT:  # noqa: ARG002  # All alike.
        with self._lock:
            try:
                try:
                    return self._try(transaction)
                except (self._psycopg.OperationalError, self._psycopg.InterfaceError):
                    if self._db is None or not self._db.closed:
                        raise
                    # The server may have been restarted.
                    self._drop()
                    return self._try(transaction)
            except (self._psycopg.Error, UnicodeError) as error:
                raise JournalError(self.name, _problem(error)) from error

    def _try(self, transaction: Callable[[Execute], AnswerT]) -> AnswerT:
        if self._is_closed:
            raise JournalError(self.name, "it is closed")
        if self._db is None or self._db.closed:
            self._connect()
        with self._db.transaction():
            return transaction(self._execute)

    def _execute(self, sql: str, *values: Any) -> Any:
        return self._db.execute(sql.replace("?", "%s"), values)

    def _lock_batch(self, execute: Execute, batch_id: str) -> None:
        # A row lock would be written to disk, and the commit would wait for that; this lock is in memory alone.
        execute("SELECT pg_advisory_xact_lock(?, ?)", _BATCH_LOCKS, crc32(batch_id.encode()) - 2**31)

    def _connect(self) -> None:
        db = self._psycopg.connect(**self._parameters, autocommit=True)
        try:
            # The server's defaults may be others. A commit must be durable, and rows of others visible at once.
            for setting in (
                f"statement_timeout = {self._whole_s() * 1000}",
                "synchronous_commit = on",
                "default_transaction_isolation = 'read committed'",
            ):
                db.execute(f"SET {setting}")
            db.execute("SELECT pg_advisory_lock_shared(%s)", [int(self._liveness)])
        except BaseException:
            db.close()
            raise
        self._db = db

    def _drop(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _acquire_liveness(self) -> str:
        return self._liveness

    def _is_alive(self, name: str) -> bool:
        return name == self._liveness or self._execute(_ALIVE, int(name)).fetchone() is not None


def import_psycopg() -> ModuleType:
    """
    Return the module psycopg.

    Raises:
        MissingExtraError: If it is not installed.
    """
    with needs_extra("a journal in PostgreSQL", "postgres"):
        import psycopg  # noqa: PLC0415  # An extra, loaded when it is needed.
    return psycopg


def _problem(error: Exception) -> str:
    """Return the message of an error in one line; of the server's errors without the text of the statement."""
    of_server = getattr(getattr(error, "diag", None), "message_primary", None)
    return of_server or " ".join(str(error).split()) or repr(error)
