"""Splits of files of JSON lines: ranges of bytes, which workers read by themselves; their lines are counted first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs

from batchfsm.auditing.spill import pickled, unpickled
from batchfsm.auditing.tables import load_arrow
from batchfsm.errors import SourceError
from batchfsm.logs import HEAD_BYTES, OBJECT_CHARS_MAX, is_compressed, reject_foreign_format

SPLIT_BYTES: Final = 16 * 2**20
"""The size of a split."""

SPLIT_SCHEMA: Final = "file_nr int, begin long, end long, line long"
"""A split: the lines that begin in a range of bytes of a file, and the number of the first line, from 1."""

LINE_BYTES_MAX: Final = 4 * OBJECT_CHARS_MAX  # A character has four bytes at most.
_READ_BYTES: Final = 2**20


@attrs.frozen
class FileSnapshot:
    """A file, with its size and time of modification at the start of the run."""

    name: str
    """The path as the user gave it."""
    path: str
    size: int
    """In bytes."""
    changed_ns: int

    def open(self) -> BinaryIO:
        """Open the file; SourceError if it cannot be opened or has changed."""
        try:
            state = Path(self.path).stat()
            if (state.st_size, state.st_mtime_ns) == (self.size, self.changed_ns):
                return Path(self.path).open("rb")
        except OSError as error:
            raise SourceError(f"{self.name}: {error.strerror or error}") from error
        raise SourceError(f"{self.name}: changed while it was read")

    def read_lines(self, begin: int, end: int) -> tuple[int, bytearray]:
        """
        Return the offset of the first line that begins in a range of bytes, and all such lines with their ends.

        A last line beyond `LINE_BYTES_MAX` is cut off.
        """
        with self.open() as binary:
            binary.seek(max(begin - 1, 0))  # A line begins behind the end of the line before it.
            if begin:
                _skip_line(binary, end)
            offset = binary.tell()
            text = bytearray(binary.read(max(end - offset, 0)))
            if len(text) < end - offset:
                raise SourceError(f"{self.name}: changed while it was read")
            if text and not text.endswith(b"\n"):
                text += binary.readline(LINE_BYTES_MAX).removesuffix(b"\n") + b"\n"
        return offset, text


def _skip_line(binary: BinaryIO, end: int) -> None:
    """Read to the end of a line, but no further than an offset."""
    while (left := end - binary.tell()) > 0:
        piece = binary.readline(min(left, _READ_BYTES))
        if not piece or piece.endswith(b"\n"):
            return


def find_files(names: Sequence[str]) -> tuple[FileSnapshot, ...] | None:
    """Return local files for splitting; None if one is compressed or no file. SourceError if one cannot be read."""
    found = []
    for path in map(Path, names):
        if not path.is_file():
            return None
        try:
            with path.open("rb") as binary:
                if is_compressed(binary):
                    return None
                reject_foreign_format(binary.read(HEAD_BYTES), str(path))
        except SourceError:
            raise
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror or error}") from error
        state = path.stat()
        found.append(FileSnapshot(str(path), str(path.resolve()), state.st_size, state.st_mtime_ns))
    return tuple(found)


def find_splits(session: Any, files: Sequence[FileSnapshot]) -> tuple[list[tuple[int, int, int, int]], int]:
    """Return the splits of files, by `SPLIT_SCHEMA`, and how many lines they have together."""
    ranges = [
        (number, begin, min(begin + SPLIT_BYTES, file.size))
        for number, file in enumerate(files)
        for begin in range(0, file.size, SPLIT_BYTES)
    ]
    rows = session.createDataFrame(ranges, "file_nr long, begin long, end long")
    schema = "file_nr long, begin long, end long, lines long"
    counted = rows.mapInArrow(partial(count_lines, settings=pickled(files)), schema).collect()
    found, lines = [], 0
    for file_nr, splits in groupby(sorted(counted), key=lambda split: split.file_nr):
        line = 1
        for split in splits:
            found.append((file_nr, split.begin, split.end, line))
            line += split.lines
        lines += line - 1
    return found, lines


def count_lines(found: Iterator[Any], settings: bytes) -> Iterator[Any]:
    """Yield ranges of bytes, each with the number of lines that begin in it; runs in a worker."""
    files = unpickled(settings)
    for split in to_objects(found):
        _, text = files[split["file_nr"]].read_lines(split["begin"], split["end"])
        yield load_arrow().RecordBatch.from_pylist([{**split, "lines": text.count(b"\n")}])


def to_objects(found: Iterator[Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of Arrow record batches as dicts."""
    return (row for batch in found for row in batch.to_pylist())
