"""Signs of life beside a SQLite journal: who holds the lock of its little file is there; a killed process is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

_NAMES_MAX: Final = 8
"""How many names are tried before giving up; one is lost only to a sweep in the same millisecond."""

_WAIT_S: Final = 5.0


class LivenessLock:
    """
    A locked file, `{journal}-live-{name}`.

    The lock is SQLite's own, and so the same everywhere: the operating system lets go of it
    when the process ends, however it ends. What a killed process leaves is an empty file,
    which the next one sweeps away.
    """

    def __init__(self, path: Path) -> None:
        """Make one beside a journal, and sweep away those of the dead."""
        for name in dead(path):
            _file(path, name).unlink(missing_ok=True)
        for _ in range(_NAMES_MAX):
            self.name = uuid4().hex[:12]
            self._path = _file(path, self.name)
            self._lock = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
            try:
                self._lock.execute("PRAGMA journal_mode = MEMORY")  # Or there would be two files.
                self._lock.execute("BEGIN EXCLUSIVE")
            except BaseException:
                self._lock.close()
                raise
            # Between making and locking, a sweep may have taken it for a dead one's.
            if self._path.exists():
                return
            self._lock.close()
        msg = f"no sign of life could be kept beside {path}"
        raise sqlite3.OperationalError(msg)

    def end(self) -> None:
        """Be gone."""
        self._lock.close()
        self._path.unlink(missing_ok=True)  # Last: some systems remove no file that is open.


def is_alive(path: Path, name: str) -> bool:
    """Tell whether somebody holds the lock of a name."""
    if not _file(path, name).exists():
        return False
    try:
        lock = sqlite3.connect(f"{_file(path, name).absolute().as_uri()}?mode=rw", uri=True, timeout=0)
    except sqlite3.OperationalError:
        return False  # It went in between.
    try:
        lock.execute("PRAGMA journal_mode = MEMORY")
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return True
    finally:
        lock.close()
    return False


def dead(path: Path) -> Iterator[str]:
    """Yield the names beside a journal whose lock nobody holds."""
    prefix = f"{path.name}-live-"
    for file in list(path.parent.iterdir()):
        name = file.name.removeprefix(prefix)
        if file.name.startswith(prefix) and name.isalnum() and not is_alive(path, name):
            yield name


def _file(path: Path, name: str) -> Path:
    return path.with_name(f"{path.name}-live-{name}")
