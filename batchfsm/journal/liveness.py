"""Lock files beside a SQLite journal: a locked file means that its process is alive."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

_NAMES_MAX: Final = 8
"""Attempts at creating a lock file; one fails only if another process removes it before it is locked."""

_WAIT_S: Final = 5.0
"""How long to wait for another process that tests the lock."""


class LivenessLock:
    """
    A locked file, `{journal}-live-{name}`.

    The lock is SQLite's own, so it works on every system. The operating system releases it when the process ends,
    however it ends. A killed process leaves an unlocked file, which the next process removes.
    """

    def __init__(self, path: Path) -> None:
        """Remove the abandoned files beside a journal, then create and lock a new one."""
        _remove_abandoned(path)
        for _ in range(_NAMES_MAX):
            self.name = uuid4().hex[:12]
            self._path = _file(path, self.name)
            self._lock = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
            try:
                self._lock.execute("PRAGMA journal_mode = MEMORY")  # Otherwise there would be a second file.
                self._lock.execute("BEGIN EXCLUSIVE")
            except BaseException:
                self._lock.close()
                raise
            # Another process may have removed the file before it was locked. Afterwards no process can: it would
            # need the lock.
            if self._path.exists():
                return
            self._lock.close()
        msg = f"no lock file could be kept beside {path}"
        raise sqlite3.OperationalError(msg)

    def close(self) -> None:
        """Release the lock and delete its file."""
        self._lock.close()
        self._path.unlink(missing_ok=True)  # Last: some systems remove no file that is open.

    def close_inherited(self) -> None:
        """
        Close the file in a forked child, which does not own the lock; the parent keeps both file and lock.

        Otherwise SQLite would assume in the child that this process holds the lock, even after the parent has ended.
        """
        self._lock.close()


def is_alive(path: Path, name: str) -> bool:
    """Return True if a process holds the lock of that name."""
    file = _file(path, name)
    if not file.exists():
        return False
    try:
        lock = _open(file)
    except sqlite3.OperationalError:
        return file.exists()  # Deleted in between; or another user's, whose process may well be alive.
    with closing(lock):
        return not _acquire(lock)


def _remove_abandoned(path: Path) -> None:
    """
    Delete the lock files beside a journal whose processes have ended.

    Each is deleted while its lock is held. Deleted after a test of the lock, a file that its owner has locked in
    between would be lost to a living process.
    """
    for file in _files(path):
        # A file that this user may not open or delete stays. It costs later processes one test of its lock.
        with suppress(sqlite3.OperationalError, PermissionError):
            with closing(_open(file)) as lock:
                if not _acquire(lock):
                    continue
                with suppress(PermissionError):
                    file.unlink(missing_ok=True)
            # Windows deletes no open file. So there the file of a living process is safe, and this call deletes it.
            file.unlink(missing_ok=True)


def _open(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=0)


def _acquire(lock: sqlite3.Connection) -> bool:
    """Lock an open lock file; False if another process holds the lock."""
    try:
        lock.execute("PRAGMA journal_mode = MEMORY")
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return False
    return True


def _files(path: Path) -> Iterator[Path]:
    """Yield all lock files beside a journal."""
    prefix = f"{path.name}-live-"
    for file in list(path.parent.iterdir()):
        if file.name.startswith(prefix) and file.name.removeprefix(prefix).isalnum():
            yield file


def _file(path: Path, name: str) -> Path:
    return path.with_name(f"{path.name}-live-{name}")
