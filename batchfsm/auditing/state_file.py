"""The records of all batches in one SQLite file, from which the next audit continues."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from batchfsm.dialects import Dialect
from batchfsm.errors import SourceError, StateError
from batchfsm.finding import LogPosition
from batchfsm.history import BatchRecord, dump, restore

VERSION: Final = 1
"""The version of the file format; a file of a newer version is refused."""

APPLICATION: Final = 0x62667374
"""The application id of a state file: `bfst`, at offset 68 of the header of SQLite."""

# Times of observation are null as long as no row has one.
_TABLES: Final = """
CREATE TABLE kept (dialect TEXT NOT NULL, lifecycle BLOB NOT NULL, skew_s REAL NOT NULL);
CREATE TABLE logs (name BLOB NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (name, digest)) WITHOUT ROWID;
CREATE TABLE batches (
    id BLOB PRIMARY KEY, latest REAL, last REAL, known BLOB NOT NULL
) WITHOUT ROWID
"""
_TIMEOUT_S: Final = 5.0
_CACHE_KIB: Final = 32 * 1024

# The dictionary of the compression is part of the file format, version 1: most of a record is the same in every batch.
# Matches near its end cost least.
_COMMON: Final = (
    b'"cancelled","cancelling","failed","expired","fail","expire","cancel","stop","implied","gap",true,'
    b'"cancelling_at":,"cancelled_at":,"failed_at":,"expired_at":,"error_file_id":"file-","model":"gpt-4o-mini-2024-07-18",'
    b'"/v1/embeddings","/v1/responses","undetermined","inconsistent","observed"'
    b'{"version":1,"status":"completed","entered":["completed","finalizing","in_progress","validating"],"legs":['
    b'[null,"validating","create","stamped",false,1700000000],["validating","in_progress","start","stamped",false,1700000000],'
    b'["in_progress","finalizing","finalize","stamped",false,1700000000],'
    b'["finalizing","completed","complete","observed",true,1700000000]],"adopted":false,"row":{"status":"completed",'
    b'"created_at":1700000000,"in_progress_at":1700000000,"finalizing_at":1700000000,"completed_at":1700000000,'
    b'"expires_at":1700000000,"endpoint":"/v1/chat/completions","input_file_id":"file-","completion_window":"24h",'
    b'"output_file_id":"file-","request_counts.total":100,"request_counts.completed":100,"request_counts.failed":0},'
    b'"first":null,"given":null,"unsaid":[],"observed_at":1700000000.0,"errors":null,"verdict":"consistent"}\n'
    b'[["log.jsonl",1,["in_progress_at","finalizing_at"]],["log.jsonl",2,["","request_counts.completed",'
    b'"request_counts.failed","completed_at","output_file_id"]]]'
)


class StateFile:
    """
    The records of all batches, in one file.

    As a context manager it writes everything in one transaction when the block ends, and nothing if the block raises.
    Deliver the findings of an audit inside the block: then none is lost and none is reported twice.

    Args:
        path: The file; it is created if it does not exist, and deleted again if the block raises.

    Raises:
        StateError: If the path holds something else, which stays as it is, or a state of a newer batchfsm, or if
            another audit uses the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._name, self._is_created = os.fspath(path), False
        with self._translate_errors():
            self._path = Path(path).resolve()
            self._db = self._connect()
        try:
            with self._translate_errors():
                self._begin_transaction()
        except BaseException:
            self._discard()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is not None:
            self._discard()
            return
        with closing(self._db), self._translate_errors():
            if self._db.in_transaction:  # SQLite rolls back by itself after some errors.
                self._db.execute("COMMIT")

    @contextmanager
    def run(self, dialect: Dialect, skew_s: float) -> Iterator[None]:
        """
        Run a block as a transaction of one audit: if it raises, the records and logs that it stored are removed.

        Raises:
            StateError: If the records were made under another dialect or with another skew.
        """
        with self._translate_errors():
            self._require_same_rules(dialect, skew_s)
            self._db.execute("SAVEPOINT run")
        try:
            yield
        except BaseException:
            with self._translate_errors():
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK TO run")
                    self._db.execute("RELEASE run")
            raise
        with self._translate_errors():
            self._db.execute("RELEASE run")

    def new_logs(self, names: Iterable[str]) -> tuple[str, ...]:
        """
        Return the logs that no run has read before, and register them.

        Two logs are the same if their files have the same name, without the directories, and the same bytes. A source
        that is no file, such as standard input, is always new.

        Raises:
            SourceError: If a log cannot be read.
        """
        logs = [(name, _fingerprint(name)) for name in names]
        with self._translate_errors():
            known = {(name, digest) for name, digest in self._db.execute("SELECT name, digest FROM logs")}
            fresh = [(name, log) for name, log in logs if log not in known]
            self._db.executemany("INSERT OR IGNORE INTO logs VALUES (?, ?)", [log for _, log in fresh if log])
        return tuple(name for name, _ in fresh)

    def clock(self, batch_id: str) -> tuple[float | None, float | None]:
        """Return the latest time of observation of a batch, and the one of its last row; None if unknown."""
        with self._translate_errors():
            found = self._db.execute("SELECT latest, last FROM batches WHERE id = ?", (_key(batch_id),)).fetchone()
        return found or (None, None)

    def record(self, batch_id: str) -> BatchRecord | None:
        """Return the record of a batch; None if there is none."""
        with self._translate_errors():
            found = self._db.execute("SELECT known FROM batches WHERE id = ?", (_key(batch_id),)).fetchone()
        if found is None:
            return None
        try:
            return _unpack(found[0])
        except ValueError as error:
            raise StateError(self._name, f"it is damaged: {error}") from error

    def put(self, batch_id: str, record: BatchRecord, latest: float | None, last: float | None) -> None:
        """Store the record of a batch, and its times of observation as `clock` returns them."""
        row = (_key(batch_id), latest, last, _pack(record))
        with self._translate_errors():
            self._db.execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?)", row)

    def put_last(self, batch_id: str, last: float | None) -> None:
        """Store the time of observation of the last row of a batch that is in the file."""
        with self._translate_errors():
            self._db.execute("UPDATE batches SET last = ? WHERE id = ?", (last, _key(batch_id)))

    def _connect(self) -> sqlite3.Connection:
        """Open the file; create it if it does not exist."""
        self._reject_foreign_file(self._path)
        try:
            self._path.open("xb").close()
        except FileExistsError:
            self._is_created = False
        else:
            self._is_created = True
        self._opened = self._path.stat()
        return sqlite3.connect(self._path, timeout=_TIMEOUT_S, isolation_level=None)

    def _discard(self) -> None:
        """Undo the transaction, and close; a file that was created for it is deleted, unless another audit uses it."""
        with closing(self._db), self._translate_errors():
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if self._is_created:
                self._db.execute("PRAGMA busy_timeout = 0")
                with suppress(sqlite3.OperationalError):  # Another audit has the lock, and so the file.
                    self._db.execute("BEGIN IMMEDIATE")
                    if not self._db.execute("PRAGMA user_version").fetchone()[0]:
                        self._path.unlink(missing_ok=True)

    def _reject_foreign_file(self, path: Path) -> None:
        """Raise StateError for a file that is no state file; the file is not opened for writing."""
        if not path.exists() or (path.is_file() and not path.stat().st_size):
            return
        if not stat.S_ISREG(path.stat().st_mode):
            raise StateError(self._name, "not a file")
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as db:
                mark = db.execute("PRAGMA application_id").fetchone()[0]
                version = db.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
                raise
            raise StateError(self._name, "not a state of an audit, nor any other SQLite file") from error
        if mark != APPLICATION:
            raise StateError(self._name, "not a state of an audit, but some other SQLite file")
        if version != VERSION:
            raise StateError(self._name, f"it has version {version}, and this batchfsm reads version {VERSION}")

    def _begin_transaction(self) -> None:
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._db.execute("BEGIN IMMEDIATE")
        if not os.path.samestat(self._opened, self._path.stat()):  # Records in a file without a name would be lost.
            self._is_created = False
            raise StateError(self._name, "another audit has replaced it: run this audit again")
        if not self._db.execute("PRAGMA user_version").fetchone()[0]:
            for table in _TABLES.split(";"):
                self._db.execute(table)
            self._db.execute(f"PRAGMA application_id = {APPLICATION}")
            self._db.execute(f"PRAGMA user_version = {VERSION}")

    def _require_same_rules(self, dialect: Dialect, skew_s: float) -> None:
        kept = self._db.execute("SELECT dialect, lifecycle, skew_s FROM kept").fetchone()
        if kept is None:
            self._db.execute("INSERT INTO kept VALUES (?, ?, ?)", (dialect.name, _lifecycle(dialect), skew_s))
        elif kept[0] != dialect.name:
            raise StateError(self._name, f"it was made under the dialect {kept[0]}, not {dialect.name}")
        elif kept[1] != _lifecycle(dialect):
            raise StateError(self._name, f"it was made under another lifecycle of the dialect {dialect.name}")
        elif kept[2] != skew_s:
            raise StateError(self._name, f"it was made with a skew of {kept[2]:g} s, not {skew_s:g} s")

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Raise an error of SQLite, or of the file, as StateError in one sentence."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            problem = (error.strerror if isinstance(error, OSError) else None) or str(error)
            if "locked" in problem:
                problem = "another audit uses it"
            raise StateError(self._name, problem) from error


def _key(batch_id: str) -> bytes:
    return batch_id.encode("utf-8", "surrogatepass")


def _fingerprint(name: str) -> tuple[bytes, bytes] | None:
    """Return the name and the digest of a log; None if it is no file, or no longer one."""
    path = Path(name)
    if name == "-" or not path.is_file():
        return None
    import hashlib  # noqa: PLC0415  # It loads OpenSSL, and few audits keep a state.

    try:
        with path.open("rb") as binary:
            return os.fsencode(path.name), hashlib.file_digest(binary, "blake2b").digest()
    except OSError as error:
        raise SourceError(f"{name}: {error.strerror or error}") from error


def _lifecycle(dialect: Dialect) -> bytes:
    """Return a digest of the lifecycle whose words are in the records."""
    table = dialect.lifecycle
    steps = [(step.source, step.event, step.target, step.evidence) for step in table.steps]
    words = [table.initial, table.statuses, sorted(table.terminal), steps, sorted(dialect.optional_stamps)]
    import hashlib  # noqa: PLC0415

    return hashlib.blake2b(json.dumps(words).encode(), digest_size=16).digest()


def _pack(record: BatchRecord) -> bytes:
    """Return the record of a batch, with the places of its values, as compressed text."""
    names: dict[LogPosition, list[str]] = {}
    for name, place in (record.places or {}).items():
        names.setdefault(place, []).append(name)
    places = json.dumps([[place.source, place.line, found] for place, found in names.items()], separators=(",", ":"))
    deflate = zlib.compressobj(zdict=_COMMON)
    return deflate.compress(f"{dump(record, observed_at=record.observed_at)}\n{places}".encode()) + deflate.flush()


def _unpack(binary: bytes) -> BatchRecord:
    """Return the record that `_pack` packed; ValueError for any other bytes."""
    inflate = zlib.decompressobj(zdict=_COMMON)
    try:
        known, _, places = (inflate.decompress(binary) + inflate.flush()).decode().partition("\n")
        record = restore(known)
        record.places = {
            name: place
            for source, line, names in json.loads(places)
            for place in (LogPosition(source, line),)
            for name in names
        }
    except (zlib.error, TypeError) as error:
        raise ValueError(str(error)) from error
    return record
