"""The run of an audit: what is to be read, and by which of the two readings of the rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

import attrs

from batchfsm.auditing import spark
from batchfsm.auditing.progress import Meter, Progress
from batchfsm.auditing.report import FINDINGS_MAX, Report
from batchfsm.auditing.resuming import go_on
from batchfsm.auditing.scalar import one_by_one
from batchfsm.auditing.state import StateFile
from batchfsm.auditing.tally import Tally
from batchfsm.dialects import Dialect, find
from batchfsm.errors import DefinitionError, MissingExtraError, UnknownNameError
from batchfsm.lifecycle import Lifecycle
from batchfsm.logs import Source, opened
from batchfsm.rules import SKEW_S

ENGINES: Final = ("auto", "rows", "spark")
"""What can judge a log."""

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
    engine: str = "auto",
    state: str | PathLike[str] | StateFile | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Report:
    """
    Judge every snapshot of a log, alone and against those before it.

    A log in order of observation is streamed: memory holds one small state a batch.
    One that is not is noticed, dealt out to temporary files and sorted, batch by batch.
    Large files of JSON lines are read in columns, if the extra `audit` is installed;
    the report is the same.

    Args:
        source: Paths or globs (JSON lines, arrays, pages, gzip, text forms), `-`
            for standard input, batch objects, or a DataFrame of Spark's.
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
        engine: `rows` reads no columns, and so has what a page of pictures shows, however
            large the log. `spark` deals it out to Spark's workers, for one that is larger
            than a machine; `auto` does so for a DataFrame of Spark's only.
        state: Where what is known of each batch is kept for the next audit; not in Spark.
        progress: What is told how far it is, at most ten times a second and once at the end;
            what it raises stops the audit. Spark tells nothing.

    Raises:
        SourceError: If a file cannot be opened, or there is no room to sort.
        StateError: If the state cannot be read or written, or is not for this audit.
        UnknownNameError: If a dialect, rule, format or engine has no such name.
        MissingExtraError: If Spark is asked for and not installed.
        TypeError: If `source` is nothing that can be audited.
        ValueError: If a number is out of range.
    """
    if not (max_findings >= 0 and skew_s >= 0):  # So written, it refuses NaN too.
        raise ValueError("max_findings and skew_s are not negative")
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    named = find(dialect)
    blank = Tally(select=_tokens(select), ignore=_tokens(ignore) or (), listed_max=max_findings)
    limit, meter = parse_size(memory), Meter(progress)
    if engine == "spark" or spark.is_frame(source):
        if state is not None:
            raise DefinitionError("an audit in Spark", ["it keeps no state"])
        return _in_spark(source, named, blank, skew_s, input_format)
    found = attrs.evolve(opened(source, input_format), passed=meter.read)
    if state is not None:
        remarks = ("read row by row: columns keep no state",) if engine == "auto" and _is_large(found) else ()
        report = go_on(found, state, named, blank, skew_s, meter=meter)
        report = attrs.evolve(report, remarks=remarks + report.remarks)
    else:
        report = _judged(found, named, blank, skew_s, limit, meter=meter, columns=engine == "auto")
    meter.tell()
    return report


def _judged(
    log: Source, dialect: Dialect, blank: Tally, skew_s: float, memory: int, *, meter: Meter, columns: bool
) -> Report:
    """Judge a log here; in columns if they may be, if it is large enough and if it can be."""
    remarks = tuple[str, ...]()
    if columns and _is_large(log):
        try:
            if (report := _in_columns(log, dialect, blank, skew_s, memory, meter=meter)) is not None:
                return report
        except MissingExtraError as error:
            remarks = (f"read row by row: {error}",)
    meter.begin("reading", log.size)
    tally, flow = one_by_one(log, dialect, blank, skew_s, is_repeatable=log.is_repeatable, meter=meter)
    return attrs.evolve(tally.report(), flow=flow, remarks=remarks)


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


def _in_columns(
    source: Source, dialect: Dialect, blank: Tally, skew_s: float, memory: int, *, meter: Meter
) -> Report | None:
    """Judge files of JSON lines in columns; None if they are none, or few of their lines are plain."""
    columnar = _columnar()
    with ExitStack() as stack:
        try:
            files = [stack.enter_context(closing(columnar.Lines(name, dialect, meter))) for name in source.names]
            tally: Tally = columnar.Columnar(dialect, blank, skew_s, memory, meter).run(files)
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


def _tokens(tokens: Iterable[str] | None) -> tuple[str, ...] | None:
    if tokens is None:
        return None
    return tuple(map(str.strip, tokens.split(","))) if isinstance(tokens, str) else tuple(tokens)


def _in_spark(source: Any, dialect: Dialect, blank: Tally, skew_s: float, input_format: str) -> Report:
    """Judge files, named as Spark names them, or a frame of Spark's."""
    if not spark.is_frame(source):
        if input_format not in ("auto", "json"):
            raise DefinitionError("an audit in Spark", [f"it reads JSON lines and Parquet, not {input_format}"])
        named = [source] if isinstance(source, str | PathLike) else [*source]
        local = [fspath(each) for each in named]
        # What has a scheme is Spark's to find, globs and all.
        source = [name for each in local for name in ([each] if "://" in each else opened(each).names)]
    return spark.run(source, dialect, blank, skew_s).report()
