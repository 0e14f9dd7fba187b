"""What is known of each batch, in one SQLite file: so that tomorrow's log goes on where today's ended."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b, file_digest
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from batchfsm.auditing.packing import decompressing_reader, packed
from batchfsm.dialects import Dialect
from batchfsm.errors import SourceError, StateError
from batchfsm.history import BatchRecord

VERSION: Final = 1
"""Which form is written. A newer one is refused."""

APPLICATION: Final = 0x62667374
"""What marks a SQLite file as a state: `bfst`, at offset 68 of its header."""

# Times of observation are null while no row has told one.
_TABLES: Final = """
CREATE TABLE kept (dialect TEXT NOT NULL, lifecycle BLOB NOT NULL, skew_s REAL NOT NULL);
CREATE TABLE logs (name BLOB NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (name, digest)) WITHOUT ROWID;
CREATE TABLE batches (
    id BLOB PRIMARY KEY, latest REAL, last REAL, known BLOB NOT NULL
) WITHOUT ROWID
"""
_TIMEOUT_S: Final = 5.0
_CACHE_KIB: Final = 32 * 1024


class StateFile:
    """
    What audits know of each batch, in one file, for the next audit to go on from.

    As a context manager it writes everything in one transaction when the block ends well, and nothing when it raises.
    So whoever has to deliver findings does that inside the block: then no finding is lost, and none comes twice.

    Args:
        path: Where it is, or is to be made.

    Raises:
        StateError: If there is something else, which stays as it is; or the state of a newer batchfsm; or if another
            audit has it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open it, and keep others from writing it."""
        self._name = os.fspath(path)
        with self._told():
            self._refuse_others(Path(path).resolve())
            self._db = sqlite3.connect(path, timeout=_TIMEOUT_S, isolation_level=None)
        try:
            with self._told():
                self._begin()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        with closing(self._db), self._told():
            if self._db.in_transaction:  # Of itself, SQLite has rolled back some errors already.
                self._db.execute("COMMIT" if kind is None else "ROLLBACK")

    @contextmanager
    def run(self, dialect: Dialect, skew_s: float) -> Iterator[None]:
        """
        Keep what is put inside a block, if it does not raise.

        Raises:
            StateError: If the file was kept under another dialect, or with another skew.
        """
        with self._told():
            self._refuse_other_kind(dialect, skew_s)
            self._db.execute("SAVEPOINT run")
        try:
            yield
        except BaseException:
            with self._told():
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK TO run")
                    self._db.execute("RELEASE run")
            raise
        with self._told():
            self._db.execute("RELEASE run")

    def new_logs(self, names: Iterable[str]) -> tuple[str, ...]:
        """
        Return the logs that were not taken in before, and take them down.

        A log is the same if its file has the same name, without the directories, and the same bytes. What is no file,
        such as standard input, is always new.

        Raises:
            SourceError: If one cannot be read.
        """
        logs = [(name, _log(name)) for name in names]
        with self._told():
            known = {(name, digest) for name, digest in self._db.execute("SELECT name, digest FROM logs")}
            fresh = [(name, log) for name, log in logs if log not in known]
            self._db.executemany("INSERT OR IGNORE INTO logs VALUES (?, ?)", [log for _, log in fresh if log])
        return tuple(name for name, _ in fresh)

    def clock(self, batch_id: str) -> tuple[float | None, float | None]:
        """Return the latest time at which a batch was observed, and that of its last row; None if nobody knows."""
        with self._told():
            found = self._db.execute("SELECT latest, last FROM batches WHERE id = ?", (_key(batch_id),)).fetchone()
        return found or (None, None)

    def track(self, batch_id: str) -> BatchRecord | None:
        """Return what is known of a batch; None if nothing is."""
        with self._told():
            found = self._db.execute("SELECT known FROM batches WHERE id = ?", (_key(batch_id),)).fetchone()
        if found is None:
            return None
        try:
            return decompressing_reader(found[0])
        except ValueError as error:
            raise StateError(self._name, f"it is damaged: {error}") from error

    def put(self, batch_id: str, track: BatchRecord, latest: float | None, last: float | None) -> None:
        """Take down what is known of a batch, and when it was observed: as `clock` returns it."""
        row = (_key(batch_id), latest, last, packed(track))
        with self._told():
            self._db.execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?)", row)

    def put_last(self, batch_id: str, last: float | None) -> None:
        """Take down when the last row of a known batch was observed."""
        with self._told():
            self._db.execute("UPDATE batches SET last = ? WHERE id = ?", (last, _key(batch_id)))

    def _refuse_others(self, path: Path) -> None:
        """Refuse what is no state, before anything could change it; SQLite itself reads the mark."""
        if not path.exists() or (path.is_file() and not path.stat().st_size):
            return
        if not stat.S_ISREG(path.stat().st_mode):
            raise StateError(self._name, "it is no state of an audit: not even a file")
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as db:
                mark = db.execute("PRAGMA application_id").fetchone()[0]
                version = db.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
                raise
            raise StateError(self._name, "it is no state of an audit: not even a SQLite file") from error
        if mark != APPLICATION:
            raise StateError(self._name, "it is no state of an audit, but some other SQLite file")
        if version != VERSION:
            raise StateError(self._name, f"it has version {version}, and this batchfsm reads version {VERSION}")

    def _begin(self) -> None:
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._db.execute("BEGIN IMMEDIATE")
        if not self._db.execute("PRAGMA user_version").fetchone()[0]:
            for table in _TABLES.split(";"):
                self._db.execute(table)
            self._db.execute(f"PRAGMA application_id = {APPLICATION}")
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    def _refuse_other_kind(self, dialect: Dialect, skew_s: float) -> None:
        kept = self._db.execute("SELECT dialect, lifecycle, skew_s FROM kept").fetchone()
        if kept is None:
            self._db.execute("INSERT INTO kept VALUES (?, ?, ?)", (dialect.name, _lifecycle(dialect), skew_s))
        elif kept[0] != dialect.name:
            raise StateError(self._name, f"it was kept under the dialect {kept[0]}, not {dialect.name}")
        elif kept[1] != _lifecycle(dialect):
            raise StateError(self._name, f"it was kept under another lifecycle of the dialect {dialect.name}")
        elif kept[2] != skew_s:
            raise StateError(self._name, f"it was kept with a skew of {kept[2]:g} s, not {skew_s:g} s")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in one sentence what went wrong with the file."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            problem = (error.strerror if isinstance(error, OSError) else None) or str(error)
            if "locked" in problem:
                problem = "another audit has it"
            raise StateError(self._name, problem) from error


def _key(batch_id: str) -> bytes:
    return batch_id.encode("utf-8", "surrogatepass")


def _log(name: str) -> tuple[bytes, bytes] | None:
    """Return what stands for a log; None for what is no file, or none any more."""
    path = Path(name)
    if name == "-" or not path.is_file():
        return None
    try:
        with path.open("rb") as binary:
            return os.fsencode(path.name), file_digest(binary, "blake2b").digest()
    except OSError as error:
        raise SourceError(f"{name}: {error.strerror or error}") from error


def _lifecycle(dialect: Dialect) -> bytes:
    """Return what stands for the words in which tracks are written."""
    table = dialect.lifecycle
    steps = [(step.source, step.event, step.target, step.evidence) for step in table.steps]
    words = [table.initial, table.statuses, sorted(table.terminal), steps, sorted(dialect.optional)]
    return blake2b(json.dumps(words).encode(), digest_size=16).digest()
