"""A binary stream as it was before it was packed; gzip is recognised by its first bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import BinaryIO, Final

_CHUNK_BYTES: Final = 2**16
_GZIP: Final = b"\x1f\x8b"
_GZIP_BITS: Final = 31  # zlib's word for "with a gzip header, and the largest window".


def unpacked(binary: BinaryIO) -> Callable[[int], bytes]:
    """
    Return what reads a stream, unpacked where it is gzip.

    Returns:
        As `BinaryIO.read`. It raises EOFError where gzip ends early, and `zlib.error`
        where it is damaged, after all that came before.
    """
    head = binary.read(2)
    rest = _Prefixed(head, binary)
    return _Gunzip(rest).read if head == _GZIP else rest.read


def is_packed(binary: BinaryIO) -> bool:
    """Tell whether a stream that stands at its beginning is packed; it stands there again."""
    head = binary.read(len(_GZIP))
    binary.seek(0)
    return head == _GZIP


class Counted:
    """A stream whose bytes are counted as they are read."""

    def __init__(self, binary: BinaryIO, passed: Callable[[int], object]) -> None:
        """Tell `passed` how many bytes each reading brings."""
        self._binary, self._passed = binary, passed

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        found = self._binary.read(size)
        self._passed(len(found))
        return found


class _Prefixed:
    """A stream whose first bytes were looked at already."""

    def __init__(self, head: bytes, binary: BinaryIO) -> None:
        self._head, self._binary = head, binary

    def read(self, size: int) -> bytes:
        head, self._head = self._head[:size], self._head[size:]
        return head or self._binary.read(size)


class _Gunzip:
    """Gzip that gives what it has before it fails: `GzipFile` loses the last block of a truncated file."""

    def __init__(self, packed: _Prefixed) -> None:
        self._packed = packed
        self._inflate = zlib.decompressobj(_GZIP_BITS)
        self._tail = b""
        self._error: zlib.error | None = None

    def read(self, size: int) -> bytes:
        while True:
            if self._error is not None:
                raise self._error
            chunk = self._tail or self._packed.read(_CHUNK_BYTES)
            if self._inflate.eof:
                if not chunk:
                    return b""
                self._tail = chunk = chunk.lstrip(b"\0")  # Members may follow each other, padded with zeros.
                if not chunk:
                    continue
                self._inflate = zlib.decompressobj(_GZIP_BITS)
            elif not chunk:
                msg = "the compressed stream ends early"
                raise EOFError(msg)
            found = self._inflated(chunk, size)
            self._tail = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            if found:
                return found

    def _inflated(self, chunk: bytes, size: int) -> bytes:
        before = self._inflate.copy()
        try:
            return self._inflate.decompress(chunk, size)
        except zlib.error as error:
            self._error = error
        # What the chunk gave before it failed was lost with the error: once more, byte by byte.
        found = BytesIO()
        with suppress(zlib.error):
            found.writelines(before.decompress(bytes([byte])) for byte in chunk)
        return found.getvalue()
