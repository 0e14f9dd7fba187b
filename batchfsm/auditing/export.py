"""Findings as a file of Parquet, CSV or JSON lines; and files that are written whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import BinaryIO, Final

from batchfsm.auditing.findings_table import COLUMNS, Cell, cells, frame, pyarrow
from batchfsm.auditing.report import Report
from batchfsm.errors import UnknownNameError
from batchfsm.finding import Finding

_FORMULA: Final = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")  # noqa: RUF001  # Excel takes the wide ones for the narrow.


def save(report: Report, path: str | os.PathLike[str]) -> None:
    """
    Write the listed findings to a file, as `Report.to_frame` has them, in the form that its name ends in: `SUFFIXES`.

    Raises:
        UnknownNameError: If the name has no such end.
        MissingExtraError: If it is Parquet, and pyarrow is not installed.
        OSError: If the file cannot be written; then it is as it was.
    """
    write = _WRITERS[suffix(path)]
    with open_atomic(path) as binary:
        write(report.findings, binary)


@contextmanager
def open_atomic(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """
    Open a file for writing that has its new content whole when the block ends, or its old one if the block raises.

    The bytes go to a temporary file in the same folder, which then replaces the file: readers never see half of it.
    A symbolic link stays, and its target is replaced. A device or a pipe cannot be replaced, so it is written directly.

    Raises:
        OSError: With the path, if the file cannot be written.
    """
    target = Path(path).resolve()
    try:
        if target.exists() and not (target.is_file() or target.is_dir()):
            with target.open("wb") as device:
                yield device
            return
        temporary = target.with_name(f".batchfsm-{token_hex(8)}")
        with temporary.open("xb") as binary:
            try:
                yield binary
                binary.flush()
                os.fsync(binary.fileno())
                if target.exists():
                    temporary.chmod(stat.S_IMODE(target.stat().st_mode))
                temporary.replace(target)
            except BaseException:
                temporary.unlink()
                raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def suffix(path: str | os.PathLike[str]) -> str:
    """
    Return how a path ends, if findings can be written so.

    Raises:
        UnknownNameError: If they cannot.
        MissingExtraError: If it is Parquet, and pyarrow is not installed.
    """
    found = Path(path).suffix.lower()
    if found not in SUFFIXES:
        raise UnknownNameError("form of findings", found, SUFFIXES)
    if found == ".parquet":
        pyarrow("pyarrow.parquet")
    return found


def _parquet(findings: Iterable[Finding], binary: BinaryIO) -> None:
    pyarrow("pyarrow.parquet").write_table(frame(findings), binary)


def _csv(findings: Iterable[Finding], binary: BinaryIO) -> None:
    text = TextIOWrapper(binary, encoding="utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(map(_harmless, row) for row in cells(findings))
    text.detach()


def _json_lines(findings: Iterable[Finding], binary: BinaryIO) -> None:
    binary.writelines(json.dumps(dict(zip(COLUMNS, row, strict=True))).encode() + b"\n" for row in cells(findings))


def _harmless(cell: Cell) -> Cell:
    """Return a cell that no spreadsheet runs: an apostrophe before it makes it text."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


_WRITERS: Final[Mapping[str, Callable[[Iterable[Finding], BinaryIO], None]]] = MappingProxyType(
    {".parquet": _parquet, ".csv": _csv, ".jsonl": _json_lines}
)

SUFFIXES: Final = tuple(_WRITERS)
"""How a file of findings may end."""
