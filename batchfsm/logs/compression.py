"""Readers of compressed streams; gzip and zstd are recognised by their first bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from types import ModuleType
from typing import BinaryIO, Final

from batchfsm.errors import needs_extra

_CHUNK_BYTES: Final = 2**16
_GZIP: Final = b"\x1f\x8b"
_GZIP_BITS: Final = 31  # zlib's word for "with a gzip header, and the largest window".
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_PIECE_BYTES: Final = 64
"""The size of the pieces in which zstd is decompressed: data of a damaged piece before the damage is lost."""

_ENDS_EARLY: Final = "the compressed stream ends early"


class TruncatedStreamError(Exception):
    """A compressed stream ends early or is damaged."""


def decompressing_reader(binary: BinaryIO) -> Callable[[int], bytes]:
    """
    Return a `read` function for a stream that decompresses gzip and zstd.

    Returns:
        A function like `BinaryIO.read`. It raises TruncatedStreamError where the stream ends early or is damaged,
        after all bytes before the damage; in zstd, up to 64 compressed bytes before it are lost.

    Raises:
        MissingExtraError: If the stream is zstd, and no library that decompresses it is installed.
    """
    head = binary.read(len(_ZSTD))
    rest = _PrefixedReader(head, binary)
    if head.startswith(_GZIP):
        return _Gunzip(rest).read
    return _Unzstd(rest).read if head == _ZSTD else rest.read


def is_compressed(binary: BinaryIO) -> bool:
    """Return True if a stream is compressed; reads its first bytes, and seeks back to 0."""
    head = binary.read(len(_ZSTD))
    binary.seek(0)
    return head.startswith(_GZIP) or head == _ZSTD


class CountingReader:
    """A stream that reports the number of bytes of each read."""

    def __init__(self, binary: BinaryIO, count_bytes: Callable[[int], object]) -> None:
        """Call `count_bytes` with the number of bytes of each read."""
        self._binary, self._count_bytes = binary, count_bytes

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        found = self._binary.read(size)
        self._count_bytes(len(found))
        return found


class _PrefixedReader:
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, binary: BinaryIO) -> None:
        self._head, self._binary = head, binary

    def read(self, size: int) -> bytes:
        head, self._head = self._head[:size], self._head[size:]
        return head or self._binary.read(size)


class _Gunzip:
    """A gzip reader that returns all data before an error: `GzipFile` loses the last block of a truncated file."""

    def __init__(self, compressed: _PrefixedReader) -> None:
        self._compressed = compressed
        self._inflate = zlib.decompressobj(_GZIP_BITS)
        self._tail = b""
        self._error: TruncatedStreamError | None = None

    def read(self, size: int) -> bytes:
        while True:
            if self._error is not None:
                raise self._error
            chunk = self._tail or self._compressed.read(_CHUNK_BYTES)
            if self._inflate.eof:
                if not chunk:
                    return b""
                self._tail = chunk = chunk.lstrip(b"\0")  # Members may follow each other, padded with zeros.
                if not chunk:
                    continue
                self._inflate = zlib.decompressobj(_GZIP_BITS)
            elif not chunk:
                raise TruncatedStreamError(_ENDS_EARLY)
            found = self._inflated(chunk, size)
            self._tail = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            if found:
                return found

    def _inflated(self, chunk: bytes, size: int) -> bytes:
        before = self._inflate.copy()
        try:
            return self._inflate.decompress(chunk, size)
        except zlib.error as error:
            self._error = TruncatedStreamError(str(error))
        # The data before the error was lost with it: decompress the chunk again, byte by byte.
        found = BytesIO()
        with suppress(zlib.error):
            found.writelines(before.decompress(bytes([byte])) for byte in chunk)
        return found.getvalue()


class _Unzstd:
    """A zstd reader that decompresses small pieces, so that an error loses little data before it."""

    def __init__(self, compressed: _PrefixedReader) -> None:
        self._compressed = compressed
        self._zstd = _zstd()
        self._frame = self._zstd.ZstdDecompressor()
        self._chunk, self._at = b"", 0

    def read(self, size: int) -> bytes:
        while True:
            if self._frame.eof:
                self._chunk, self._at = self._frame.unused_data + self._chunk[self._at :], 0
                if not (self._chunk or self._fill()):
                    return b""
                self._frame = self._zstd.ZstdDecompressor()  # Frames may follow each other.
            piece = b""
            if self._frame.needs_input:
                if self._at == len(self._chunk) and not self._fill():
                    raise TruncatedStreamError(_ENDS_EARLY)
                piece = self._chunk[self._at : self._at + _PIECE_BYTES]
                self._at += len(piece)
            try:
                found: bytes = self._frame.decompress(piece, size)
            except self._zstd.ZstdError as error:
                raise TruncatedStreamError(str(error)) from error
            if found:
                return found

    def _fill(self) -> bool:
        """Read the next bytes; False at the end."""
        self._chunk, self._at = self._compressed.read(_CHUNK_BYTES), 0
        return bool(self._chunk)


def _zstd() -> ModuleType:
    """Return the zstd module; MissingExtraError if none is installed."""
    try:
        from compression import zstd  # type: ignore[import-not-found]  # noqa: PLC0415  # Since Python 3.14.
    except ImportError:
        with needs_extra("a log in zstd", "audit"):
            from backports import zstd  # noqa: PLC0415  # An extra, loaded when it is needed.
    found: ModuleType = zstd
    return found
