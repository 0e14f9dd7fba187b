"""Sources of a log: files and globs, standard input, and objects in memory."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from glob import glob, has_magic
from os import PathLike, fspath
from pathlib import Path
from typing import BinaryIO, Final, Literal, cast, get_args

import attrs

from batchfsm.errors import SourceError, UnknownNameError
from batchfsm.finding import LogPosition
from batchfsm.logs.compression import CountingReader
from batchfsm.logs.foreign_formats import PARQUET_MAGIC
from batchfsm.logs.json_reader import RawRecord, RecordReader, UnreadableEntry
from batchfsm.logs.sdk_text.detection import TextForm
from batchfsm.snapshot import Snapshot

InputFormat = Literal["auto", "json", "parquet", "python", "kotlin", "dart", "go", "node", "java", "ruby", "rust"]
"""How a log is written; `auto` takes JSON where it can and finds Parquet and text forms by themselves."""

INPUT_FORMATS: Final[tuple[str, ...]] = get_args(InputFormat)

_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # `Path` makes one slash of two.


@attrs.frozen
class LogSource:
    """Files or objects that raw records are read from."""

    names: tuple[str, ...]
    """Files in order, `-` for standard input; empty for objects."""

    objects: Iterable[object] = ()
    """Objects at hand, where there are no files."""

    input_format: InputFormat = "auto"

    count_bytes: Callable[[int], object] = lambda _: None
    """Called with the number of compressed bytes of each read; it must not raise."""

    def only(self, names: Iterable[str]) -> LogSource:
        """Return the source restricted to files of these names."""
        return attrs.evolve(self, names=tuple(names))

    @property
    def size(self) -> int | None:
        """The total size of the files in bytes, compressed; None if not all of it is files."""
        files = [Path(name) for name in self.names]
        return sum(file.stat().st_size for file in files) if files and self.is_repeatable else None

    @property
    def is_repeatable(self) -> bool:
        """True if the source can be read a second time; a pipe, such as `<(zcat log)`, cannot."""
        if self.names:
            return "-" not in self.names and all(Path(name).is_file() for name in self.names)
        return iter(self.objects) is not self.objects

    def __iter__(self) -> Iterator[RawRecord | UnreadableEntry]:
        """Yield raw records, and entries for places that could not be read; SourceError if a file cannot be opened."""
        if not self.names:
            yield from (RawRecord(LogPosition("iterable", number), each) for number, each in enumerate(self.objects, 1))
        for name in self.names:
            if self.input_format == "parquet" or (self.input_format == "auto" and is_parquet(name)):
                msg = f"{name}: Parquet is read by an audit only, and from files"
                raise SourceError(msg)
            form = None if self.input_format in ("auto", "json") else cast("TextForm", self.input_format)
            detects = self.input_format == "auto"
            if name == "-":
                yield from RecordReader(
                    cast("BinaryIO", CountingReader(sys.stdin.buffer, self.count_bytes)), name, form, detects=detects
                )
                continue
            try:
                with Path(name).open("rb") as binary:
                    yield from RecordReader(
                        cast("BinaryIO", CountingReader(binary, self.count_bytes)), name, form, detects=detects
                    )
            except SourceError:
                raise
            except OSError as error:
                msg = f"{name}: {error.strerror or error}"
                raise SourceError(msg) from error


def is_parquet(name: str) -> bool:
    """Return whether a file is Parquet, by its name or its first bytes."""
    if name.lower().endswith(".parquet"):
        return True
    try:
        if not Path(name).is_file():
            return False  # Bytes that are read from a pipe here would be missing later.
        with Path(name).open("rb") as binary:
            return binary.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    except OSError:
        return False  # The reader of the file reports the error.


def resolve_source(source: object, input_format: str = "auto") -> LogSource:
    """
    Return the source that a path, a glob, an object or an iterable stands for.

    Args:
        source: A path or glob, `-`, several of them, a batch object, or an
            iterable of batch objects.
        input_format: One of `INPUT_FORMATS`; for files only.

    Raises:
        SourceError: If a glob matches nothing, or a name is that of a folder or an address.
        UnknownNameError: If there is no such format.
        TypeError: If it is none of these.
    """
    if input_format not in INPUT_FORMATS:
        raise UnknownNameError("input format", input_format, INPUT_FORMATS)
    found = cast("InputFormat", input_format)
    if isinstance(source, str | PathLike):
        return LogSource(tuple(_files(source)), (), found)
    # A page of an SDK's list can be dumped too, but iterating it goes on to the next page; a batch has an id.
    if isinstance(source, Mapping | Snapshot | bytes) or (_is_dumpable(source) and hasattr(source, "id")):
        return LogSource((), (source,))
    if not isinstance(source, Iterable) or hasattr(source, "__aiter__"):
        lazy = "; collect it first" if hasattr(source, "collect") else ""  # A LazyFrame of Polars or Narwhals.
        msg = f"cannot audit {type(source).__name__}: expected paths, or an iterable of batch objects{lazy}"
        raise TypeError(msg)
    if isinstance(source, list | tuple) and source and all(isinstance(each, str | PathLike) for each in source):
        return LogSource(tuple(name for each in source for name in _files(each)), (), found)
    return LogSource((), source)


def _is_dumpable(source: object) -> bool:
    return hasattr(source, "model_dump") or hasattr(source, "to_dict")


def _files(path: str | PathLike[str]) -> list[str]:
    name = fspath(path)
    if _ADDRESS.match(name) and not Path(name).exists():
        msg = f"{name}: an address, and only files are read: download it first"
        raise SourceError(msg)
    if name == "-" or not has_magic(name) or Path(name).exists():
        return [_require_file(name)]
    if names := sorted(glob(name, recursive=True)):  # noqa: PTH207  # `Path.glob` refuses absolute patterns.
        # `**` stands for folders too, and finds the files in them by itself.
        return [_require_file(each) for each in names if "**" not in name or not Path(each).is_dir()]
    msg = f"{name}: nothing matches"
    raise SourceError(msg)


def _require_file(name: str) -> str:
    """Return the name of a file; for a folder, raise SourceError with an example of names."""
    if Path(name).is_dir():
        msg = f"{name}: a folder: name the files in it, such as {Path(name) / '*.jsonl'}"
        raise SourceError(msg)
    return name
