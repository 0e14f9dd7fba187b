"""Reads the lines of input, output and error files in bounded memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BytesIO
from json import dumps
from os import PathLike, fspath
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final, cast
from weakref import finalize

from batchfsm.errors import SourceError
from batchfsm.logs import HEAD_BYTES, CountingReader, decompressing_reader, reject_foreign_format

ResultsSource = str | PathLike[str] | bytes | Mapping[str, Any] | Iterable[str | bytes | Mapping[str, Any]]
"""JSON lines: a path (`-` for standard input; gzip and zstd are recognised), the content of a file as bytes or as text
that begins with `{`, or an iterable of lines as text, bytes or mappings; a single mapping is a single line."""

LINE_BYTES_MAX: Final = 64 * 2**20
"""The longest line that is read; a longer one is malformed."""

_CHUNK_BYTES: Final = 2**18
_PARQUET: Final = b"PAR1"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

NumberedLine = tuple[int, bytes | None]
"""The number of a line, from 1, and its bytes without the line end; None for a line longer than `LINE_BYTES_MAX`."""


class LineFile:
    """
    A file of JSON lines that can be read more than once.

    An iterator and standard input can be read only once, so their lines are copied to a temporary file; it is deleted
    with this object.
    """

    def __init__(self, source: ResultsSource, name: str, count_bytes: Callable[[int], object] = lambda _: None) -> None:
        """
        Take a source; nothing is read before `lines`, except for an iterator and standard input.

        Args:
            source: As documented at `ResultsSource`.
            name: Its name in positions; a path has its own.
            count_bytes: Called with the number of bytes of each read.
        """
        self.name = name
        self._count_bytes = count_bytes
        self._content: bytes | Path | BinaryIO
        if isinstance(source, bytes):
            self._content = source
        elif isinstance(source, str) and source.lstrip()[:1] == "{":
            self._content = source.encode("utf-8", "surrogatepass")
        elif isinstance(source, Mapping):
            self._content = _line_bytes(source)
        elif isinstance(source, str | PathLike) and fspath(source) != "-":
            self.name = fspath(source)
            self._content = Path(source)
        else:
            self._content = self._copied(source)

    def lines(self) -> Iterator[NumberedLine]:
        """
        Yield the lines that are not blank.

        Raises:
            OSError: If the file cannot be read.
            SourceError: If the file is an archive or a table, not JSON lines.
            TruncatedStreamError: After the last whole line of a compressed file that ends early or is damaged.
            MissingExtraError: If it is zstd, and no decompressor is installed.
        """
        if isinstance(self._content, Path):
            with self._content.open("rb") as binary:
                yield from self._split(binary)
        elif isinstance(self._content, bytes):
            yield from self._split(BytesIO(self._content))
        else:
            self._content.seek(0)
            yield from self._split(self._content)

    def _copied(self, source: PathLike[str] | str | Iterable[object]) -> BinaryIO:
        """Return a temporary file with the lines of standard input or of an iterable."""
        copy = cast("BinaryIO", TemporaryFile())  # noqa: SIM115  # Closed with this object.
        finalize(self, copy.close)
        if isinstance(source, str | PathLike):
            self.name = "-"
            copyfileobj(sys.stdin.buffer, copy)
        else:
            copy.writelines(map(_line_bytes, source))
        return copy

    def _split(self, binary: BinaryIO) -> Iterator[NumberedLine]:
        read = decompressing_reader(cast("BinaryIO", CountingReader(binary, self._count_bytes)))
        number, line, is_head = 1, _LineBuffer(), True
        while chunk := read(_CHUNK_BYTES):
            if is_head:
                self._reject_foreign(chunk[:HEAD_BYTES])
                is_head = False
            *ends, rest = chunk.split(b"\n")
            for end in ends:
                line.add(end)
                yield from line.take(number)
                number += 1
            line.add(rest)
        yield from line.take(number)

    def _reject_foreign(self, head: bytes) -> None:
        """Raise SourceError if the first bytes are those of another format."""
        if head.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"{"):
            return  # The text of a prompt may look like the header of a table.
        if head.startswith(_PARQUET):
            raise SourceError(f"{self.name}: a Parquet file: convert it to JSON lines first")
        reject_foreign_format(head, self.name)


class _LineBuffer:
    """The parts of one line; at most `LINE_BYTES_MAX` bytes of them are kept."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def add(self, part: bytes) -> None:
        self._length += len(part)
        if self._length <= LINE_BYTES_MAX:
            self._parts.append(part)

    def take(self, number: int) -> Iterator[NumberedLine]:
        """Yield the line unless it is blank, and begin the next one."""
        text = b"".join(self._parts)
        if self._length > LINE_BYTES_MAX:
            yield number, None
        elif number == 1 and text.startswith(_BYTE_ORDER_MARK):
            yield from _unless_blank(number, text.removeprefix(_BYTE_ORDER_MARK))
        else:
            yield from _unless_blank(number, text)
        self._parts, self._length = [], 0


def _unless_blank(number: int, text: bytes) -> Iterator[NumberedLine]:
    stripped = text.strip(b" \t\r\n")
    if stripped:
        yield number, stripped


def _line_bytes(line: object) -> bytes:
    """Return a line of an iterable as bytes with one line end."""
    if isinstance(line, Mapping):
        line = dumps(dict(line), ensure_ascii=False)
    if isinstance(line, str):
        line = line.encode("utf-8", "surrogatepass")
    if not isinstance(line, bytes):
        raise TypeError(f"expected lines as text, bytes or mappings, got {type(line).__name__}")
    return line.removesuffix(b"\n").replace(b"\n", b" ") + b"\n"
