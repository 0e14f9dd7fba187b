"""Findings as a file of Parquet, CSV or JSON lines."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from io import TextIOWrapper
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

from batchfsm.atomic_file import open_atomic
from batchfsm.auditing.findings_table import COLUMNS, Cell, cells, pyarrow, to_table
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


def suffix(path: str | os.PathLike[str]) -> str:
    """
    Return the end of the name of a file of findings: one of `SUFFIXES`.

    Raises:
        UnknownNameError: If it is none of them.
        MissingExtraError: If it is Parquet, and pyarrow is not installed.
    """
    found = Path(path).suffix.lower()
    if found not in SUFFIXES:
        raise UnknownNameError("form of findings", found, SUFFIXES)
    if found == ".parquet":
        pyarrow("pyarrow.parquet")
    return found


def _parquet(findings: Iterable[Finding], binary: BinaryIO) -> None:
    pyarrow("pyarrow.parquet").write_table(to_table(findings), binary)


def _csv(findings: Iterable[Finding], binary: BinaryIO) -> None:
    text = TextIOWrapper(binary, encoding="utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(map(_harmless, row) for row in cells(findings))
    text.detach()


def _json_lines(findings: Iterable[Finding], binary: BinaryIO) -> None:
    binary.writelines(json.dumps(dict(zip(COLUMNS, row, strict=True))).encode() + b"\n" for row in cells(findings))


def _harmless(cell: Cell) -> Cell:
    """Return a cell that no spreadsheet runs as a formula: an apostrophe before it makes it text."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


_WRITERS: Final[Mapping[str, Callable[[Iterable[Finding], BinaryIO], None]]] = MappingProxyType(
    {".parquet": _parquet, ".csv": _csv, ".jsonl": _json_lines}
)

SUFFIXES: Final = tuple(_WRITERS)
"""The ends that the name of a file of findings may have."""
