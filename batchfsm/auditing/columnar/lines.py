"""A file of JSON lines, read into whole numbers on two cores; and any of its lines once more, as they stand."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from io import BufferedReader, BytesIO
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import Any, BinaryIO, Final, cast

import attrs
import numpy as np

from batchfsm.auditing.columnar.chunk import Chunk, numbered
from batchfsm.auditing.columnar.cutting import cut
from batchfsm.auditing.columnar.desks import Desks
from batchfsm.auditing.columnar.scanner import BLANK, PLAIN
from batchfsm.auditing.progress import Meter
from batchfsm.dialects import Dialect
from batchfsm.errors import SourceError
from batchfsm.finding import Place
from batchfsm.logs import (
    OBJECT_CHARS_MAX,
    BrokenError,
    Counted,
    Row,
    Sighting,
    Stream,
    Unreadable,
    is_packed,
    rows,
    unpacked,
)
from batchfsm.wire import decoder, reader

_CHUNK_BYTES: Final = 3 * 2**20
_WORKERS: Final = 2
_AHEAD: Final = 2 * _WORKERS
_SPACE: Final = b" \t\r\n"


class NotLinesError(Exception):
    """An object goes on over a line end, or a line is too long to hold: the scalar core has to read the file."""


@attrs.frozen(kw_only=True, eq=False)
class _Stretch:
    """Where the rows of a chunk stand."""

    first: int
    """The number of its first row."""
    offset: int
    """Where the chunk begins in the file; bytes."""
    starts: Any
    """Where the line of each row begins in the chunk, and where the chunk ends; bytes."""
    line: int
    """The number of its first line, from 1."""
    lines: Any
    """Which line of the chunk each row is, from 0; None if every line is a row."""

    def place(self, number: int) -> tuple[int, int, int]:
        """Return where the line of a row begins, where the next row's does, and its number."""
        at = number - self.first
        start, end = self.starts[at : at + 2].tolist()
        return self.offset + start, self.offset + end, self.line + (at if self.lines is None else int(self.lines[at]))


class Lines:
    """One file of JSON lines; its rows are its lines, blank ones left out."""

    def __init__(self, name: str, dialect: Dialect, meter: Meter | None = None) -> None:
        """
        Open it, and unpack it to disk if it is packed: its lines are read again.

        Args:
            name: What it is called.
            dialect: Whose habits of writing are taken for granted.
            meter: Who counts what is unpacked; None if nobody waits.

        Raises:
            SourceError: If it cannot be opened, or there is no room to unpack it.
            NotLinesError: If it is packed and breaks off.
        """
        self.name = name
        self._binary = _opened(name, meter or Meter(None))
        self.size = self._binary.seek(0, 2)
        """In bytes, unpacked."""
        self.passed = 0
        """How many of them have been read."""
        self._dialect = dialect
        self._desks = Desks(dialect)
        self._lock = Lock()
        self._stretches: list[_Stretch] = []
        self._firsts: list[int] = []
        self.rows_count = 0
        """How many rows have been read."""

    def close(self) -> None:
        """Close it; what was unpacked is gone."""
        self._binary.close()

    def chunks(self) -> Iterator[Chunk]:
        """
        Yield all rows in order.

        Raises:
            SourceError: If it shrinks while it is read.
            NotLinesError: If a line is too long to hold.
        """
        self.passed, self.rows_count, self._stretches, self._firsts = 0, 0, [], []
        first, line = 0, 1
        begins = iter(range(0, self.size, _CHUNK_BYTES))
        with ThreadPoolExecutor(_WORKERS) as pool:
            pending = deque(pool.submit(self._scanned, begin) for begin in islice(begins, _AHEAD))
            while pending:
                offset, size, (cells, seen, starts, kinds) = pending.popleft().result()
                pending.extend(pool.submit(self._scanned, begin) for begin in islice(begins, 1))
                self.passed = min(self.passed + _CHUNK_BYTES, self.size)
                count = len(kinds)
                rows = np.flatnonzero(kinds != BLANK)
                lines = None
                if len(rows) < len(kinds):
                    cells, seen, starts, lines, kinds = cells[rows], seen[rows], starts[rows], rows, kinds[rows]
                self._firsts.append(first)
                places = np.append(starts, size).astype(np.uint32)
                self._stretches.append(_Stretch(first=first, offset=offset, starts=places, line=line, lines=lines))
                yield Chunk(cells, seen, first, kinds == PLAIN)
                first, line = first + len(kinds), line + count
                self.rows_count = first

    def rows(self, numbers: Any, base: int = 0) -> Iterator[Row | Unreadable]:
        """
        Read some rows as the scalar core does.

        Args:
            numbers: Which; sorted, each once.
            base: What is added to the numbers of the rows.

        Raises:
            NotLinesError: If one goes on over its line end.
            SourceError: If the file is no longer what it was.
        """
        wire = reader(self._dialect)
        for number in numbers.tolist():
            stretch = self._stretches[bisect_right(self._firsts, number) - 1]
            start, end, line = stretch.place(number)
            text = self._at(start, min(end, self.size) - start)
            if not text:
                raise SourceError(f"{self.name}: changed while it was read")
            line_end = text.find(b"\n") + 1
            text = text[:line_end] if line_end else text
            yield from numbered(rows(self._sightings(text, Place(self.name, line), start), wire), base + number)

    def _scanned(self, begin: int) -> tuple[int, int, tuple[Any, Any, Any, Any]]:
        """Read and scan the lines that begin in a chunk; return them behind where they begin, and their size."""
        found = cut(self._fill, begin, min(begin + _CHUNK_BYTES, self.size), self.size)
        if not found.is_whole:
            raise NotLinesError
        return found.offset, found.size, self._desks.scanned(found.buffer, found.size)

    def _fill(self, offset: int, array: Any) -> None:
        with self._standing(offset) as binary:
            filled = cast("BufferedReader", binary).readinto(array)
        if filled < len(array):
            raise SourceError(f"{self.name}: shrank while it was read")

    def _at(self, offset: int, size: int) -> bytes:
        with self._standing(offset) as binary:
            return binary.read(size)

    @contextmanager
    def _standing(self, offset: int) -> Iterator[BinaryIO]:
        """Lend the file, which all threads share, to one that reads from a place on."""
        with self._lock:
            try:
                self._binary.seek(offset)
                yield self._binary
            except OSError as error:
                raise SourceError(f"{self.name}: {error.strerror or error}") from error

    def _sightings(self, text: bytes, place: Place, offset: int) -> Iterator[Sighting | Unreadable]:
        """Return what stands on a line; nearly always one object."""
        try:
            found = decoder.decode(text.strip(_SPACE).decode())
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and len(text) <= OBJECT_CHARS_MAX:
            return iter([Sighting(place, found)])
        seen = list(Stream(BytesIO(text), self.name, None, line=place.line))
        if any(isinstance(each, Unreadable) for each in seen):
            # Perhaps it is only the beginning of something longer.
            seen = self._in_place(text, place, offset)
        return iter(seen)

    def _in_place(self, text: bytes, place: Place, offset: int) -> list[Sighting | Unreadable]:
        """Read a line where it stands, and make sure that what follows begins on the next one."""
        after = place.line + 1
        behind = offset + len(text)
        while (line := self._line_at(behind)) and not line.strip(_SPACE):
            after, behind = after + 1, behind + len(line)
        seen: list[Sighting | Unreadable] = []
        for each in Stream(cast("BinaryIO", _From(self, offset)), self.name, None, line=place.line):
            if each.place.line > place.line:
                if each.place.line == after and not text.lstrip(_SPACE).startswith(b"["):
                    return seen
                raise NotLinesError
            seen.append(each)
        if line:
            raise NotLinesError
        return seen

    def _line_at(self, offset: int) -> bytes:
        """Return a line's beginning, or the whole of it; empty at the end."""
        return self._at(offset, _CHUNK_BYTES).partition(b"\n")[0] + b"\n" if offset < self.size else b""


@attrs.define(eq=False)
class _From:
    """The bytes of a file from a place on, for whoever reads them one after the other."""

    _lines: Lines
    _offset: int

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        found = self._lines._at(self._offset, size)  # noqa: SLF001  # A part of it.
        self._offset += len(found)
        return found


def _opened(name: str, meter: Meter) -> BinaryIO:
    with ExitStack() as stack:
        try:
            binary: BinaryIO = stack.enter_context(Path(name).open("rb"))
            size = binary.seek(0, 2)
            binary.seek(0)
            packed = is_packed(binary)
            plain = cast("BinaryIO", stack.enter_context(TemporaryFile())) if packed else binary
        except OSError as error:
            raise SourceError(f"{name}: {error.strerror or error}") from error
        if packed:
            meter.begin("unpacking", size)
            for _ in _copied(cast("BinaryIO", Counted(binary, meter.read)), plain, name):
                meter.tick()
            binary.close()
        stack.pop_all()  # `Lines.close` closes it.
        return plain


def _copied(packed: BinaryIO, plain: BinaryIO, name: str) -> Iterator[None]:
    """Unpack a file piece by piece; in between it can be told how far that is."""
    read = unpacked(packed)
    while True:
        try:
            piece = read(_CHUNK_BYTES)
            plain.write(piece)
        except BrokenError:
            raise NotLinesError from None
        except OSError as error:
            raise SourceError(f"{name}: {error.strerror or error}") from error
        if not piece:
            return
        yield
