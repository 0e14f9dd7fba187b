"""Rows in temporary files: of a source that cannot be read twice, and of a log that has to be sorted."""

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
"""The number of files to which a log that is not in order is written, so that one of them fits into memory."""


class SpillFile:
    """Rows in an unnamed temporary file, in the order in which they were added."""

    def __init__(self) -> None:
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
        """Yield all rows."""
        self._file.seek(0)
        while True:
            try:
                yield pickle.load(self._file)  # noqa: S301  # Our own file, written above and never named.
            except EOFError:
                return

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


class _Pickler(pickle.Pickler):
    """Pickles plain values and objects of this package; any other object becomes a bare `object`: no rule reads it."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, MappingProxyType):
            return _to_view, (dict(obj),)
        is_plain = isinstance(obj, str | int | float | type | FunctionType)
        return NotImplemented if is_plain or type(obj).__module__.startswith("batchfsm.") else (object, ())


def pickled(value: object) -> bytes:
    """Return a plain value, or an object of this package, as bytes for another process."""
    binary = BytesIO()
    _Pickler(binary, protocol=5).dump(value)
    return binary.getvalue()


def unpickled(binary: bytes) -> Any:
    """Return the value of bytes that `pickled` returned; never pass others."""
    return pickle.loads(binary)  # noqa: S301  # Our own: between a driver and its workers.


def _to_view(mapping: dict[str, object]) -> MappingProxyType[str, object]:
    return MappingProxyType(mapping)


def bucket(batch_id: str) -> int:
    """Return the number of the file that all rows of a batch are written to."""
    return crc32(batch_id.encode("utf-8", "surrogatepass")) % BUCKETS
