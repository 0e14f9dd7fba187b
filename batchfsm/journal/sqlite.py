"""The journal in one SQLite file, by the standard library; for one machine."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any, Final, Self, TypeVar

from batchfsm.errors import JournalError
from batchfsm.journal.fork import call_around_fork
from batchfsm.journal.liveness import LivenessLock, is_alive
from batchfsm.journal.migrations import MIGRATIONS
from batchfsm.journal.sql import Execute, SQLJournal

AnswerT = TypeVar("AnswerT")

APPLICATION: Final = 0x6266736D
"""Application id of a SQLite file that is a journal: `bfsm`, at offset 68 of its header."""

_WAL_WAIT_S: Final = 0.025


class SQLiteJournal(SQLJournal):
    """
    A journal in one file. Committed updates survive the end of the process, of the system, and a power cut.

    Several processes of one machine may share it. Several machines may not: the write-ahead log needs shared memory,
    so keep the file off network drives. After a fork the child opens its own connection, with its own owners.

    Args:
        path: The file; created if there is none. Beside it SQLite keeps `-wal` and `-shm`, and each living process
            with a monitor an empty file `-live-...`.
        timeout_s: How long to wait for other processes' locks before giving up; seconds.
        create: False to refuse a path without a journal.

    Raises:
        JournalError: If the path cannot be opened, or is no journal, or a newer batchfsm made it. The file is not
            changed then.
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout_s: float = 5.0, create: bool = True) -> None:
        super().__init__(os.fspath(path) or "''")
        self._path = self._resolve(os.fspath(path))
        self._timeout_s = timeout_s
        self._liveness: LivenessLock | None = None
        self._db: sqlite3.Connection | None = None
        self._is_closed = False
        if self._is_new() and not create:
            raise JournalError(self.name, "there is no journal")
        try:
            self._connect()
        except sqlite3.Error as error:
            raise self._error(error) from error
        call_around_fork(self)

    @property
    def is_closed(self) -> bool:
        """True after `close`; then every other method fails."""
        return self._is_closed

    def close(self) -> None:
        """Close the file and release the leases of this journal's monitors."""
        with self._lock:
            self._is_closed = True
            if self._liveness is not None:
                self._liveness.close()
                self._liveness = None
            if self._db is not None:
                self._db.close()
                self._db = None

    def after_fork_in_child(self) -> None:
        """
        Close the parent's connections in the child; the next call opens new ones.

        SQLite keeps a process's locks in memory. The child has inherited that memory, but not the locks.
        """
        self._lock = Lock()
        if self._liveness is not None:
            self._liveness.close_inherited()
            self._liveness = None
        if self._db is not None:
            self._db.close()
            self._db = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _resolve(self, path: str) -> Path:
        """Return the real path, beside which all processes keep their lock files, whichever link they open."""
        if not path:
            raise JournalError(self.name, "an empty path is no journal")
        try:
            return Path(path).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # A link to itself is a RuntimeError until Python 3.13.
            raise self._error(error) from error

    def _is_new(self) -> bool:
        """
        Return True if the file is missing or empty; raise an error if it is anything but a journal.

        SQLite itself reads the application id. If this method opened and closed the file, POSIX would drop all locks
        that this process has on it. Another process could then assume that it is the last user of the journal, and
        remove the write-ahead log while this process still writes to it.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return True
        except OSError as error:
            raise self._error(error) from error
        if not stat.S_ISREG(found.st_mode):
            raise JournalError(self.name, "it is no journal: not even a file")
        if not found.st_size:
            return True
        try:
            with closing(sqlite3.connect(f"{self._path.as_uri()}?immutable=1", uri=True)) as db:
                mark = db.execute("PRAGMA application_id").fetchone()[0]
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
                raise JournalError(self.name, "it is no journal: not even a SQLite file") from error
            raise self._error(error) from error
        if mark != APPLICATION:
            raise JournalError(self.name, "it is no journal, but some other SQLite file")
        return False

    def _connect(self) -> sqlite3.Connection:
        """Open the file, create its tables or migrate them."""
        db = sqlite3.connect(self._path, timeout=self._timeout_s, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        self._db = db
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        def ask(sql: str, *values: Any) -> sqlite3.Cursor:
            return db.execute(sql, values)

        # The switch to WAL comes after the schema. So the application id is in the file, not only in its log.
        db.execute("PRAGMA synchronous = FULL")
        version: int = ask("PRAGMA user_version").fetchone()[0]
        if version != len(MIGRATIONS):
            db.execute("BEGIN EXCLUSIVE" if version == 0 else "BEGIN IMMEDIATE")
            try:
                version = ask("PRAGMA user_version").fetchone()[0]  # Another process may have migrated the tables.
                # WITHOUT ROWID: each table is one tree instead of two, so a commit writes a quarter fewer pages.
                self._migrate(
                    lambda sql, *values: ask(f"{sql} WITHOUT ROWID" if "CREATE TABLE" in sql else sql, *values), version
                )
                db.execute(f"PRAGMA application_id = {APPLICATION}")
                db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
        if ask("PRAGMA journal_mode").fetchone()[0] != "wal":
            _to_wal(db, self._timeout_s)

    def _run(self, transaction: Callable[[Execute], AnswerT], *, writes: bool = True) -> AnswerT:
        with self._lock:
            if self._is_closed:
                raise JournalError(self.name, "it is closed")
            try:
                db = self._db or self._connect()
                db.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                try:
                    answer = transaction(lambda sql, *values: db.execute(sql, values))
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:  # SQLite rolls back by itself after some errors.
                        db.execute("ROLLBACK")
                    raise
            except (sqlite3.Error, UnicodeError) as error:
                raise self._error(error) from error
            return answer

    def _lock_batch(self, execute: Execute, batch_id: str) -> None:
        """Do nothing: after `BEGIN IMMEDIATE` no other process can write."""

    def _acquire_liveness(self) -> str:
        with self._lock:
            if self._liveness is None:
                try:
                    self._liveness = LivenessLock(self._path)
                except (sqlite3.Error, OSError) as error:
                    raise self._error(error) from error
            return self._liveness.name

    def _is_alive(self, name: str) -> bool:
        return (self._liveness is not None and name == self._liveness.name) or is_alive(self._path, name)

    def _error(self, error: Exception) -> JournalError:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if "locked" in problem:
            problem = f"another process has kept it locked for {self._timeout_s:g} s"
        problem, _, _ = problem.partition(" with text ")  # SQLite quotes a whole column that it cannot decode.
        return JournalError(self.name, problem)


def _to_wal(db: sqlite3.Connection, timeout_s: float) -> None:
    """Switch to WAL. SQLite itself does not always wait for another process that does the same."""
    db.execute("PRAGMA busy_timeout = 0")
    left = round(timeout_s / _WAL_WAIT_S)
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if left <= 0:
                raise
        else:
            break
        left -= 1
        time.sleep(_WAL_WAIT_S)
    db.execute(f"PRAGMA busy_timeout = {round(timeout_s * 1000)}")
