"""The run of an audit: what is to be read, and by which of the two readings of the rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Final

import attrs

from batchfsm.auditing.report import FINDINGS_MAX, Report
from batchfsm.auditing.scalar import Judging, sort, stream
from batchfsm.auditing.spool import Spool
from batchfsm.auditing.tally import Tally
from batchfsm.dialects import Dialect, find
from batchfsm.errors import MissingExtraError
from batchfsm.finding import Finding
from batchfsm.history import Fold
from batchfsm.lifecycle import Lifecycle
from batchfsm.logs import Row, Source, Unreadable, opened, rows
from batchfsm.rules import SKEW_S
from batchfsm.wire import reader

MEMORY: Final = "1GB"
"""How much columns may take by default."""

COLUMNS_BYTES_MIN: Final = 16 * 2**20
"""Smaller files are judged row by row, which has begun before columns have."""

_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,9})?) *([kmgt]?b?)", re.ASCII | re.IGNORECASE)
_UNITS: Final = {
    f"{unit}{byte}": 1000**power for power, unit in enumerate(["", "K", "M", "G", "T"]) for byte in ("", "B")
}


def audit(
    source: object,
    *,
    dialect: str | Dialect | Lifecycle = "openai",
    select: Iterable[str] | None = None,
    ignore: Iterable[str] | None = None,
    max_findings: int = FINDINGS_MAX,
    skew_s: float = SKEW_S,
    input_format: str = "auto",
    memory: int | str = MEMORY,
) -> Report:
    """
    Judge every snapshot of a log, alone and against those before it.

    A log in order of observation is streamed: memory holds one small state a batch.
    One that is not is noticed, dealt out to temporary files and sorted, batch by batch.
    Large files of JSON lines are read in columns, if the extra `audit` is installed;
    the report is the same.

    Args:
        source: Paths or globs (JSON lines, arrays, pages, gzip, text forms), `-`
            for standard input, or batch objects.
        dialect: Whose lifecycle and habits of writing are taken for granted.
        select: Rules to report, by code or how codes begin, as a list or with
            commas between; None: all.
        ignore: Rules not to report.
        max_findings: How many findings, and unreadable places, are listed. The
            counts are exact all the same.
        skew_s: How far a stamp may lie after its observation; seconds.
        input_format: How the files are written; `auto` finds out.
        memory: How much columns may take before they are dealt out to disk; bytes, or
            text such as `500MB`.

    Raises:
        SourceError: If a file cannot be opened, or there is no room to sort.
        UnknownNameError: If a dialect, rule or format has no such name.
        TypeError: If `source` is nothing that can be audited.
        ValueError: If a number is out of range.
    """
    if not (max_findings >= 0 and skew_s >= 0):  # So written, it refuses NaN too.
        raise ValueError("max_findings and skew_s are not negative")
    named = find(dialect)
    blank = Tally(select=_tokens(select), ignore=_tokens(ignore) or (), listed_max=max_findings)
    found, limit = opened(source, input_format), parse_size(memory)
    if not _is_large(found):
        return _one_by_one(found, named, blank, skew_s)
    try:
        report = _in_columns(found, named, blank, skew_s, limit)
    except MissingExtraError as error:
        report = attrs.evolve(_one_by_one(found, named, blank, skew_s), remarks=(f"read row by row: {error}",))
    return report or _one_by_one(found, named, blank, skew_s)


def parse_size(size: int | str) -> int:
    """
    Return a size in bytes: a whole number, or text such as `500MB` or `1.5GB`; decimal units.

    Raises:
        ValueError: If it is neither, or not above zero.
    """
    found = _SIZE.fullmatch(str(size).strip())
    number = int(float(found[1]) * _UNITS[(found[2] or "").upper()]) if found else 0
    if number <= 0:
        raise ValueError(f"a size is a number of bytes, or text such as 500MB; not {size!r}")
    return number


def _is_large(source: Source) -> bool:
    """Tell whether reading in columns is worth its start: it takes a second, and half a minute when it is new."""
    files = [Path(name) for name in source.names]
    if not files or source.input_format not in ("auto", "json") or not source.is_repeatable:
        return False
    return sum(file.stat().st_size for file in files) >= COLUMNS_BYTES_MIN


def _in_columns(source: Source, dialect: Dialect, blank: Tally, skew_s: float, memory: int) -> Report | None:
    """Judge files of JSON lines in columns; None if they are none, or few of their lines are plain."""
    columnar = _columnar()
    with ExitStack() as stack:
        try:
            files = [stack.enter_context(closing(columnar.Lines(name, dialect))) for name in source.names]
            tally: Tally = columnar.Columnar(dialect, blank, skew_s, memory).run(files)
        except (columnar.NotLinesError, columnar.NotColumnarError):
            return None
    return tally.report()


def _columnar() -> Any:
    """Return the columnar reading; MissingExtraError if what it needs is not installed."""
    try:
        return import_module("batchfsm.auditing.columnar")
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in {"numpy", "numba", "llvmlite"}:
            raise
        raise MissingExtraError("a fast audit of a large log", "audit") from None


def _one_by_one(source: Source, dialect: Dialect, blank: Tally, skew_s: float) -> Report:
    """Judge a source row by row."""
    fold = Fold(dialect, skew_s=skew_s)
    with ExitStack() as stack:
        spool = None if source.is_repeatable else stack.enter_context(closing(Spool()))
        live = rows(source, reader(dialect))
        judging = _judging(fold, attrs.evolve(blank))
        if not stream(_kept(live, spool), judging):
            # Somewhere a snapshot came after a later one. What was judged so far may be wrong: begin again.
            judging = _judging(fold, attrs.evolve(blank))
            sort(rows(source, reader(dialect)) if spool is None else chain(spool, live), judging)
        judging.tally.batches = judging.batches
        return judging.tally.report()


def _judging(fold: Fold, tally: Tally) -> Judging:
    def told(row: Row, findings: list[Finding]) -> None:
        tally.snapshots += 1
        tally.take(row.number, findings)

    return Judging(fold, tally, told)


def _tokens(tokens: Iterable[str] | None) -> tuple[str, ...] | None:
    if tokens is None:
        return None
    return tuple(map(str.strip, tokens.split(","))) if isinstance(tokens, str) else tuple(tokens)


def _kept(live: Iterator[Row | Unreadable], spool: Spool | None) -> Iterator[Row | Unreadable]:
    """Pass rows on, and keep those of a source that cannot be read twice."""
    for row in live:
        if spool is not None:
            spool.add(row)
        yield row
