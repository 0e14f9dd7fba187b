"""The log of a watch: one JSON line a snapshot, as `audit` reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

from batchfsm.snapshot import Snapshot


class Writable(Protocol):
    """A target of a log: an open text file, or an object like it."""

    def write(self, text: str, /) -> Any:
        """Append a piece of text."""


class SnapshotLog:
    """
    Appends snapshots to a file or an object with a method `write`: one call of `write` for each; no target, no writes.

    A line that an earlier crash left incomplete is ended first, so that the next one can be read.
    """

    def __init__(self, target: str | PathLike[str] | Writable | None, dialect: str) -> None:
        self._file: Any = target
        self._dialect = dialect
        self._is_ours = isinstance(target, str | PathLike)
        if isinstance(target, str | PathLike):
            torn = _is_torn(Path(target))
            self._file = Path(target).open("a", encoding="utf-8", newline="\n")  # noqa: SIM115  # `close` closes it.
            if torn:
                self._file.write("\n")

    def write(self, wire: Mapping[str, object] | None, snapshot: Snapshot) -> None:
        """
        Write a batch with its time of observation: the object of the wire, or the snapshot if there is none.

        A snapshot has OpenAI's names, whichever provider it came from; so the line names its dialect.
        """
        if self._file is None:
            return
        line: dict[str, object] = {"observed_at": snapshot.observed_at}
        line |= {"dialect": self._dialect, "snapshot": snapshot.to_dict()} if wire is None else {"snapshot": wire}
        self._file.write(json.dumps(line) + "\n")
        if callable(flush := getattr(self._file, "flush", None)):
            flush()

    def close(self) -> None:
        """Close the file, if this object opened it."""
        if self._is_ours:
            self._file.close()


def _is_torn(path: Path) -> bool:
    """Return True if a file ends in the middle of a line; False for a pipe and the like."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"
