"""The log of a watch: one JSON line a snapshot, as `audit` reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

from batchfsm.snapshot import Snapshot


class Writable(Protocol):
    """What a log can be written to: an open text file, or the like."""

    def write(self, text: str, /) -> Any:
        """Take a piece of text."""


class SnapshotLog:
    """
    Appends snapshots to a file, each in one write, or to something with `write`.

    A line torn by an earlier crash is ended first, so that it spoils no other.
    """

    def __init__(self, target: str | PathLike[str] | Writable | None) -> None:
        """Open the file, if it is one; None writes nothing."""
        self._file: Any = target
        self._is_ours = isinstance(target, str | PathLike)
        if isinstance(target, str | PathLike):
            torn = _is_torn(Path(target))
            self._file = Path(target).open("a", encoding="utf-8", newline="\n")  # noqa: SIM115  # `close` closes it.
            if torn:
                self._file.write("\n")

    def write(self, wire: Mapping[str, object] | None, snapshot: Snapshot) -> None:
        """Write a batch as it came over the wire, or as its snapshot has it, with the time at which it was seen."""
        if self._file is None:
            return
        batch = snapshot.to_dict() if wire is None else wire
        self._file.write(json.dumps({"observed_at": snapshot.observed_at, "snapshot": batch}) + "\n")
        if callable(flush := getattr(self._file, "flush", None)):
            flush()

    def close(self) -> None:
        """Close what was opened here."""
        if self._is_ours:
            self._file.close()


def _is_torn(path: Path) -> bool:
    """Tell whether a file ends in the middle of a line; what is no plain file, as a pipe, never does."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"
