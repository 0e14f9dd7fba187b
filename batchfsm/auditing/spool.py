"""Rows on disk: for a source that cannot be read twice, and for a log that has to be sorted."""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Iterator
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import Any, BinaryIO, Final, cast
from zlib import crc32

from batchfsm.errors import SourceError
from batchfsm.logs import Row, Unreadable

BUCKETS: Final = 64
"""Into how many files a log that is not in order is dealt, so that one of them fits into memory."""


class Spool:
    """Rows on disk, in the order they came; gone with the process."""

    def __init__(self) -> None:
        """Open an unnamed temporary file."""
        try:
            self._file = cast("BinaryIO", TemporaryFile())
        except OSError as error:
            raise SourceError(f"no room to sort the log: {error}") from error
        self._pickler = pickle.Pickler(self._file, protocol=5)
        # Only here: how the whole process copies read-only views is not ours to say.
        dispatch: dict[type, Any] = copyreg.dispatch_table.copy()
        dispatch[MappingProxyType] = lambda view: (_viewed, (dict(view),))
        self._pickler.dispatch_table = dispatch

    def add(self, row: Row | Unreadable) -> None:
        """Write a row at the end; SourceError if the disk is full."""
        try:
            self._pickler.dump(row)
            self._pickler.clear_memo()
        except OSError as error:
            raise SourceError(f"no room to sort the log: {error}") from error

    def __iter__(self) -> Iterator[Row | Unreadable]:
        """Yield the rows again."""
        self._file.seek(0)
        while True:
            try:
                yield pickle.load(self._file)  # noqa: S301  # Our own file, written above and never named.
            except EOFError:
                return

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()


def _viewed(mapping: dict[str, object]) -> MappingProxyType[str, object]:
    return MappingProxyType(mapping)


def bucket(batch_id: str) -> int:
    """Return the bucket of a batch: all its rows meet there."""
    return crc32(batch_id.encode("utf-8", "surrogatepass")) % BUCKETS
