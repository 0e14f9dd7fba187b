"""Files of JSON lines on a file system, cut into stretches that workers read by themselves, and count first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from io import BufferedReader
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import attrs

from batchfsm.auditing.spool import packed, unpacked
from batchfsm.errors import SourceError
from batchfsm.logs import is_packed

STRETCH_BYTES: Final = 16 * 2**20
"""How much is read together."""

STRETCH: Final = "file_nr int, begin long, end long, line long"
"""What a stretch is: all lines that begin in some bytes of a file, and the number of the first."""

_PIECE_BYTES: Final = 2**20


@attrs.frozen
class File:
    """A file as it was when the run began."""

    name: str
    """What it is called by whoever named it."""
    path: str
    size: int
    """In bytes."""
    changed_ns: int

    def open(self) -> BinaryIO:
        """Open it; SourceError if it cannot be opened, or is not what it was."""
        try:
            state = Path(self.path).stat()
            if (state.st_size, state.st_mtime_ns) == (self.size, self.changed_ns):
                return Path(self.path).open("rb")
        except OSError as error:
            raise SourceError(f"{self.name}: {error.strerror or error}") from error
        raise SourceError(f"{self.name}: changed while it was read")

    def fill(self, binary: BinaryIO, offset: int, array: Any) -> None:
        """Fill an array with its bytes from an offset on; SourceError if there are not so many."""
        binary.seek(offset)
        if cast("BufferedReader", binary).readinto(array) < len(array):
            raise SourceError(f"{self.name}: changed while it was read")


def files_of(names: Sequence[str]) -> tuple[File, ...] | None:
    """Return files on a file system; None if one is something else, or packed. SourceError if one cannot be opened."""
    found = []
    for path in map(Path, names):
        if not path.is_file():
            return None
        try:
            with path.open("rb") as binary:
                if is_packed(binary):
                    return None
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror or error}") from error
        state = path.stat()
        found.append(File(str(path), str(path.resolve()), state.st_size, state.st_mtime_ns))
    return tuple(found)


def stretches(session: Any, files: Sequence[File]) -> tuple[list[tuple[int, int, int, int]], int]:
    """Cut files into stretches; return them, and how many lines there are."""
    cuts = [
        (number, begin, min(begin + STRETCH_BYTES, file.size))
        for number, file in enumerate(files)
        for begin in range(0, file.size, STRETCH_BYTES)
    ]
    rows = session.createDataFrame(cuts, "file_nr long, begin long, end long")
    counted = rows.mapInArrow(partial(count, setting=packed(files)), "file_nr long, begin long, end long, lines long")
    found, lines = [], 0
    for file_nr, cut in groupby(sorted(counted.collect()), key=lambda each: each.file_nr):
        line = 1
        for each in cut:
            found.append((file_nr, each.begin, each.end, line))
            line += each.lines
        lines += line - 1
    return found, lines


def count(found: Iterator[Any], setting: bytes) -> Iterator[Any]:
    """Count the lines that begin in some bytes."""
    import pyarrow as pa  # noqa: PLC0415  # In a worker, which has it.

    files = unpacked(setting)
    for each in (row for some in found for row in some.to_pylist()):
        with files[each["file_nr"]].open() as binary:
            # A line begins behind the end of the one before it.
            binary.seek(max(each["begin"] - 1, 0))
            left, lines = each["end"] - 1 - binary.tell(), int(each["begin"] == 0)
            while left > 0 and (piece := binary.read(min(left, _PIECE_BYTES))):
                lines += piece.count(b"\n")
                left -= len(piece)
        yield pa.RecordBatch.from_pylist([{**each, "lines": lines}])
