"""A file of JSON lines as a source of rows, read by two threads; and any of its lines once more, as text."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from io import BytesIO
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import Any, BinaryIO, Final, cast

import attrs

from batchfsm.auditing.columns.json_rows import RowReader
from batchfsm.auditing.columns.layout import HASH_SEED, RowBatch, number_rows
from batchfsm.auditing.columns.line_splits import Split, read_split
from batchfsm.auditing.progress import ProgressMeter
from batchfsm.dialects import Dialect
from batchfsm.errors import SourceError
from batchfsm.finding import LogPosition
from batchfsm.logs import (
    HEAD_BYTES,
    OBJECT_CHARS_MAX,
    CountingReader,
    RawRecord,
    Record,
    RecordReader,
    TruncatedStreamError,
    UnreadableEntry,
    decompressing_reader,
    is_compressed,
    parse_records,
    reject_foreign_format,
)
from batchfsm.wire import decoder, reader

_SPLIT_BYTES: Final = 2**20
_WORKERS: Final = 2
_SPLITS_AHEAD: Final = 2 * _WORKERS
_SPACE: Final = b" \t\r\n"


class NotLinesError(Exception):
    """An object continues on the next line, or a line is too long for memory: the row engine has to read the file."""


@attrs.frozen(eq=False)
class ParsedLines:
    """The rows of whole lines, blank lines left out."""

    lines: int
    """How many lines there are."""
    count: int
    """How many rows."""
    values: Any
    observed_at: Any
    decoded: Any
    offsets: Any
    """Where the line of each row begins; bytes, `array('q')`."""
    indices: Any
    """The index of the line of each row; `array('q')`."""


class ParserPool:
    """Row readers of one dialect: as many as threads use at a time."""

    def __init__(self, dialect: Dialect, seed: int = HASH_SEED) -> None:
        self._dialect, self._seed = dialect, seed
        self._free: list[RowReader] = []

    def parse(self, text: bytearray) -> ParsedLines:
        """Parse whole lines; behind the last one stand `PAD` line ends more."""
        try:
            row_reader = self._free.pop()
        except IndexError:
            row_reader = RowReader(self._dialect, self._seed)
        found = ParsedLines(*row_reader.read_lines(text, _is_utf8(text)))
        self._free.append(row_reader)
        return found


@attrs.frozen(kw_only=True, eq=False)
class _SplitIndex:
    """Where the lines of the rows of a split are."""

    offset: int
    """Where the split begins in the file; bytes."""
    offsets: Any
    """Where the line of each row begins in the split, and where the split ends; bytes, `array('q')`."""
    first_line: int
    """The number of its first line, from 1."""
    indices: Any
    """The index of the line of each row; None if every line is a row."""


class JsonLinesSource:
    """One file of JSON lines; its rows are its lines, blank ones left out."""

    def __init__(self, name: str, dialect: Dialect, meter: ProgressMeter | None = None) -> None:
        """
        Open the file; a compressed one is decompressed to disk, because lines are read again.

        Args:
            name: The path of the file.
            dialect: The dialect of the log.
            meter: Reports the progress of decompression; None for no reports.

        Raises:
            SourceError: If the file cannot be opened, or the disk is full.
            NotLinesError: If a compressed file breaks off.
        """
        self.name = name
        self._binary = _open(name, meter or ProgressMeter(None))
        self.size = self._binary.seek(0, 2)
        """In bytes, decompressed."""
        self.bytes_read = 0
        self._dialect = dialect
        self._parsers = ParserPool(dialect)
        self._lock = Lock()
        self._splits: list[_SplitIndex] = []
        self._firsts: list[int] = []
        self.rows_count = 0

    def close(self) -> None:
        """Close the file; a decompressed copy is deleted."""
        self._binary.close()

    def batches(self) -> Iterator[RowBatch]:
        """
        Yield all rows in order.

        Raises:
            SourceError: If the file shrinks while it is read.
            NotLinesError: If a line is too long for memory.
        """
        self.bytes_read, self.rows_count, self._splits, self._firsts = 0, 0, [], []
        line = 1
        begins = iter(range(0, self.size, _SPLIT_BYTES))
        with ThreadPoolExecutor(_WORKERS) as pool:
            pending = deque(pool.submit(self._parse, begin) for begin in islice(begins, _SPLITS_AHEAD))
            while pending:
                offset, size, found = pending.popleft().result()
                pending.extend(pool.submit(self._parse, begin) for begin in islice(begins, 1))
                self.bytes_read = min(self.bytes_read + _SPLIT_BYTES, self.size)
                if found.count:
                    first = self.rows_count
                    self._firsts.append(first)
                    self._splits.append(
                        _SplitIndex(
                            offset=offset,
                            offsets=found.offsets + array("q", [size]),
                            first_line=line,
                            indices=None if found.count == found.lines else found.indices,
                        )
                    )
                    self.rows_count += found.count
                    yield RowBatch(
                        count=found.count,
                        values=found.values,
                        observed_at=found.observed_at,
                        decoded=found.decoded,
                        first=first,
                    )
                line += found.lines

    def reread(self, numbers: list[int], base: int = 0) -> Iterator[Record | UnreadableEntry]:
        """
        Read some rows as the row engine does.

        Args:
            numbers: Row numbers in this file; sorted, without duplicates.
            base: Added to the numbers of the rows that come back.

        Raises:
            NotLinesError: If an object continues on the next line.
            SourceError: If the file has changed.
        """
        wire = reader(self._dialect)
        for number in numbers:
            start, size, line = self._locate(number)
            text = self._read_at(start, min(size, self.size - start))
            if not text:
                raise SourceError(f"{self.name}: changed while it was read")
            line_end = text.find(b"\n") + 1
            text = text[:line_end] if line_end else text
            yield from number_rows(
                parse_records(self._raw_records(text, LogPosition(self.name, line), start), wire), base + number
            )

    def _locate(self, number: int) -> tuple[int, int, int]:
        """Return where the line of a row begins, how many bytes there are to the next row's, and the line's number."""
        at = bisect_right(self._firsts, number) - 1
        split, index = self._splits[at], number - self._firsts[at]
        start, end = split.offsets[index], split.offsets[index + 1]
        return split.offset + start, end - start, split.first_line + (split.indices[index] if split.indices else index)

    def _parse(self, begin: int) -> tuple[int, int, ParsedLines]:
        """Read and parse the lines that begin in a split; return them behind their offset and size."""
        found: Split = read_split(self._fill, begin, min(begin + _SPLIT_BYTES, self.size), self.size)
        if not found.is_whole:
            raise NotLinesError
        return found.offset, found.size, self._parsers.parse(found.text)

    def _fill(self, offset: int, buffer: Any) -> None:
        with self._seek(offset) as binary:
            filled = cast("Any", binary).readinto(buffer)
        if filled < len(buffer):
            raise SourceError(f"{self.name}: shrank while it was read")

    def _read_at(self, offset: int, size: int) -> bytes:
        with self._seek(offset) as binary:
            return binary.read(size)

    @contextmanager
    def _seek(self, offset: int) -> Iterator[BinaryIO]:
        """Lend the file, which all threads share, to one thread, at an offset."""
        with self._lock:
            try:
                self._binary.seek(offset)
                yield self._binary
            except OSError as error:
                raise SourceError(f"{self.name}: {error.strerror or error}") from error

    def _raw_records(self, text: bytes, place: LogPosition, offset: int) -> Iterator[RawRecord | UnreadableEntry]:
        """Yield the raw records of a line, nearly always one; a line may hold millions, so they are not kept."""
        if (found := _only_object(text)) is not None:
            yield RawRecord(place, found)
        elif any(isinstance(each, UnreadableEntry) for each in self._records(text, place)):
            # The line may be the beginning of something longer.
            yield from self._read_in_place(text, place, offset)
        else:
            yield from self._records(text, place)

    def _records(self, text: bytes, place: LogPosition) -> RecordReader:
        return RecordReader(BytesIO(text), self.name, None, line=place.line)

    def _read_in_place(self, text: bytes, place: LogPosition, offset: int) -> Iterator[RawRecord | UnreadableEntry]:
        """Read a line where it stands in the file; NotLinesError unless the next object begins on the next line."""
        next_line = place.line + 1
        behind = offset + len(text)
        while (line := self._line_at(behind)) and not line.strip(_SPACE):
            next_line, behind = next_line + 1, behind + len(line)
        for each in RecordReader(cast("BinaryIO", _OffsetReader(self, offset)), self.name, None, line=place.line):
            if each.place.line > place.line:
                if each.place.line == next_line and not text.lstrip(_SPACE).startswith(b"["):
                    return
                raise NotLinesError
            yield each
        if line:
            raise NotLinesError

    def _line_at(self, offset: int) -> bytes:
        """Return a line, or its beginning; empty at the end of the file."""
        return self._read_at(offset, _SPLIT_BYTES).partition(b"\n")[0] + b"\n" if offset < self.size else b""


@attrs.define(eq=False)
class _OffsetReader:
    """Reads a file from an offset on, one piece after the other."""

    _source: JsonLinesSource
    _offset: int

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        found = self._source._read_at(self._offset, size)  # noqa: SLF001  # A part of it.
        self._offset += len(found)
        return found


def _only_object(text: bytes) -> dict[str, Any] | None:
    """Return the object that a line consists of; None if it is anything else, or too long."""
    line = text.strip(_SPACE)
    if not line.startswith(b"{") or len(text) > OBJECT_CHARS_MAX:
        return None
    try:
        found: dict[str, Any] = decoder.decode(line.decode())
    except (ValueError, RecursionError):
        return None
    return found


def _is_utf8(text: bytearray) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _open(name: str, meter: ProgressMeter) -> BinaryIO:
    """Open a file; of a compressed one, a decompressed copy."""
    with ExitStack() as stack:
        try:
            binary: BinaryIO = stack.enter_context(Path(name).open("rb"))
            size = binary.seek(0, 2)
            binary.seek(0)
            has_copy = is_compressed(binary)
            plain = cast("BinaryIO", stack.enter_context(TemporaryFile())) if has_copy else binary
        except OSError as error:
            raise SourceError(f"{name}: {error.strerror or error}") from error
        if has_copy:
            meter.begin("unpacking", size)
            for _ in _decompress(cast("BinaryIO", CountingReader(binary, meter.add_size)), plain, name):
                meter.add_rows()
            binary.close()
        plain.seek(0)
        reject_foreign_format(plain.read(HEAD_BYTES), name)
        stack.pop_all()  # `JsonLinesSource.close` closes it.
        return plain


def _decompress(compressed: BinaryIO, plain: BinaryIO, name: str) -> Iterator[None]:
    """Decompress a file piece by piece; after each the progress can be reported."""
    read = decompressing_reader(compressed)
    while True:
        try:
            piece = read(_SPLIT_BYTES)
            plain.write(piece)
        except TruncatedStreamError:
            raise NotLinesError from None
        except OSError as error:
            raise SourceError(f"{name}: {error.strerror or error}") from error
        if not piece:
            return
        yield
