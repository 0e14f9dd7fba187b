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
from batchfsm.journal.liveness import LivenessLock, is_alive
from batchfsm.journal.migrations import MIGRATIONS
from batchfsm.journal.sql import Execute, SQLJournal

AnswerT = TypeVar("AnswerT")

APPLICATION: Final = 0x6266736D
"""What marks a SQLite file as a journal: `bfsm`, at offset 68 of its header."""

_WAL_WAIT_S: Final = 0.025


class SQLiteJournal(SQLJournal):
    """
    A journal in one file: what was committed survives the end of the process, of the system, and a power cut.

    Several processes of one machine may share it; not several machines: WAL needs memory
    that they share, so keep it off network drives.

    Args:
        path: Where it is, or is to be made; beside it SQLite keeps `-wal` and `-shm`, and each living monitor
            process an empty file `-live-...`.
        timeout_s: How long to wait for other processes' locks before giving up; seconds.
        create: False to refuse a path where nothing is.

    Raises:
        JournalError: If there is something else, or a journal of a newer batchfsm, which stay as they are; or if
            it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout_s: float = 5.0, create: bool = True) -> None:
        """Open it, make it, or bring it up to date."""
        super().__init__(os.fspath(path))
        self._path = Path(path).resolve()  # However it is called, its signs of life stand in one place.
        self._timeout_s = timeout_s
        self._lock = Lock()
        self._sign: LivenessLock | None = None
        is_new = self._is_new()
        if is_new and not create:
            raise JournalError(self.name, "there is no journal")
        self._db: sqlite3.Connection | None = None
        try:
            self._db = sqlite3.connect(self._path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
            self._prepare(self._db)
        except sqlite3.Error as error:
            self.close()
            raise self._error(error) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file; what is held by this journal's monitors is free from now on."""
        with self._lock:
            if self._sign is not None:
                self._sign.end()
                self._sign = None
            if self._db is not None:
                self._db.close()
                self._db = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_new(self) -> bool:
        """
        Tell whether there is nothing yet; whatever is no journal is refused before anything could change it.

        SQLite itself reads the mark. Were the file opened and closed here, all locks that this process has on
        it would be gone (so POSIX wants it): another process could then take itself for the last one, and
        remove the write-ahead log under a journal that this process still writes to.
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

    def _prepare(self, db: sqlite3.Connection) -> None:
        def ask(sql: str, *values: Any) -> sqlite3.Cursor:
            return db.execute(sql, values)

        # Extra durable while the file is made: WAL comes after the schema, so that the mark stands in the header.
        db.execute("PRAGMA synchronous = FULL")
        version: int = ask("PRAGMA user_version").fetchone()[0]
        if version != len(MIGRATIONS):
            db.execute("BEGIN EXCLUSIVE" if version == 0 else "BEGIN IMMEDIATE")
            try:
                version = ask("PRAGMA user_version").fetchone()[0]  # Another process may have been faster.
                # One tree a table instead of two: a commit waits for a quarter fewer pages.
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

    def _run(self, work: Callable[[Execute], AnswerT], *, writes: bool = True) -> AnswerT:
        with self._lock:
            db = self._db
            if db is None:
                raise JournalError(self.name, "it is closed")
            try:
                db.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                try:
                    answer = work(lambda sql, *values: db.execute(sql, values))
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:  # Of itself, SQLite has rolled back some errors already.
                        db.execute("ROLLBACK")
                    raise
            except (sqlite3.Error, UnicodeError) as error:
                raise self._error(error) from error
            return answer

    def _lock_batch(self, execute: Execute, batch_id: str) -> None:
        """Do nothing: `BEGIN IMMEDIATE` has let nobody else write."""

    def _sign_on(self) -> str:
        with self._lock:
            if self._sign is None:
                try:
                    self._sign = LivenessLock(self._path)
                except (sqlite3.Error, OSError) as error:
                    raise self._error(error) from error
            return self._sign.name

    def _is_alive(self, sign: str) -> bool:
        return (self._sign is not None and sign == self._sign.name) or is_alive(self._path, sign)

    def _error(self, error: Exception) -> JournalError:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if "locked" in problem:
            problem = f"another process has kept it locked for {self._timeout_s:g} s"
        return JournalError(self.name, problem)


def _to_wal(db: sqlite3.Connection, timeout_s: float) -> None:
    """Switch to WAL; when two processes do that at once, SQLite itself does not always wait."""
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
