"""Rows on disk: for a source that cannot be read twice, and for a log that has to be sorted."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from io import BytesIO
from tempfile import TemporaryFile
from types import FunctionType, MappingProxyType
from typing import Any, BinaryIO, Final, cast
from zlib import crc32

from batchfsm.errors import SourceError
from batchfsm.logs import Record, UnreadableEntry

BUCKETS: Final = 64
"""Into how many files a log that is not in order is dealt, so that one of them fits into memory."""


class SpillFile:
    """Rows on disk, in the order they came; gone with the process."""

    def __init__(self) -> None:
        """Open an unnamed temporary file."""
        try:
            self._file = cast("BinaryIO", TemporaryFile())  # noqa: SIM115  # `close` closes it.
        except OSError as error:
            raise SourceError(f"no room to sort the log: {error}") from error
        self._pickler = _Pickler(self._file, protocol=5)

    def add(self, row: Record | UnreadableEntry) -> None:
        """Write a row at the end; SourceError if the disk is full."""
        try:
            self._pickler.dump(row)
            self._pickler.clear_memo()
        except OSError as error:
            raise SourceError(f"no room to sort the log: {error}") from error

    def __iter__(self) -> Iterator[Record | UnreadableEntry]:
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


class _Pickler(pickle.Pickler):
    """Writes plain values and what is ours; of anything else only that it is there, for nobody judges it."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, MappingProxyType):
            return _viewed, (dict(obj),)
        is_plain = isinstance(obj, str | int | float | type | FunctionType)
        return NotImplemented if is_plain or type(obj).__module__.startswith("batchfsm.") else (object, ())


def pickled(found: object) -> bytes:
    """Return plain values, and what is ours, as bytes for another process."""
    binary = BytesIO()
    _Pickler(binary, protocol=5).dump(found)
    return binary.getvalue()


def unpickled(binary: bytes) -> Any:
    """Return what was packed; only for bytes that `packed` made."""
    return pickle.loads(binary)  # noqa: S301  # Our own: between a driver and its workers.


def _viewed(mapping: dict[str, object]) -> MappingProxyType[str, object]:
    return MappingProxyType(mapping)


def bucket(batch_id: str) -> int:
    """Return the bucket of a batch: all its rows meet there."""
    return crc32(batch_id.encode("utf-8", "surrogatepass")) % BUCKETS
