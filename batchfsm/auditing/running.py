"""The run of an audit: what is to be read, and by which of the two readings of the rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import ExitStack, closing
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final

import attrs

from batchfsm.auditing import extra, spark, tabular
from batchfsm.auditing.flow import are_told_by_stamps
from batchfsm.auditing.report import FINDINGS_MAX, Report
from batchfsm.auditing.scalar import one_by_one
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
    flow: bool = False,
) -> Report:
    """
    Judge every snapshot of a log, alone and against those before it.

    A log in order of observation is streamed: memory holds one small state a batch.
    One that is not is noticed, dealt out to temporary files and sorted, batch by batch.
    Large tables and files of JSON lines are read in columns, if the extra `audit` is installed;
    the report is the same.

    Args:
        source: Paths or globs (JSON lines, arrays, pages, text forms, Parquet; gzip and zstd), `-`
            for standard input, batch objects, a dataframe that hands its columns over as
            Arrow has them, or a DataFrame of Spark's.
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
        engine: `rows` reads no columns, however large the log. `spark` deals it out to
            Spark's workers, for one that is larger than a machine; `auto` does so for a
            DataFrame of Spark's only.
        flow: Gather what `batchfsm.report` draws, whatever reads the log but Spark. A log
            that is read row by row has it anyway: one that is small, or none of files.

    Raises:
        SourceError: If a file cannot be opened, a table is damaged or holds no batches, or there is no room to sort.
        UnknownNameError: If a dialect, rule, format or engine has no such name.
        MissingExtraError: If Spark, a table or zstd is asked for and what reads it is not installed.
        TypeError: If `source` is nothing that can be audited.
        ValueError: If a number is out of range.
    """
    if not (max_findings >= 0 and skew_s >= 0):  # So written, it refuses NaN too.
        raise ValueError("max_findings and skew_s are not negative")
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    named = find(dialect)
    blank = Tally(select=_tokens(select), ignore=_tokens(ignore) or (), listed_max=max_findings)
    limit = parse_size(memory)
    if engine == "spark" or spark.is_frame(source):
        return _in_spark(source, named, blank, skew_s, input_format, memory=limit)
    remarks = tuple[str, ...]()
    with tabular.opened(source, input_format) as found:
        if isinstance(found, tabular.Mixed):
            named, blank = found.narrowed(named, blank)
        if engine == "auto" and _is_large(found) and (not flow or are_told_by_stamps(named)):
            try:
                if (report := _in_columns(found, named, blank, skew_s, limit, flow=flow)) is not None:
                    return report
            except MissingExtraError as error:
                remarks = (f"read row by row: {error}",)
        tally, gathered = one_by_one(found, named, blank, skew_s, is_repeatable=found.is_repeatable)
        return attrs.evolve(tally.report(), flow=gathered, remarks=remarks)


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


def _is_large(source: Source | tabular.Mixed) -> bool:
    """Tell whether reading in columns is worth its start: it takes a second, and half a minute when it is new."""
    parts = source.parts if isinstance(source, tabular.Mixed) else (source,)
    others = [part for part in parts if isinstance(part, Source)]
    for part in others:
        if not part.names or part.input_format not in ("auto", "json") or not part.is_repeatable:
            return False
    sizes = [Path(name).stat().st_size for part in others for name in part.names]
    return sum(sizes) + sum(part.table.size for part in parts if isinstance(part, tabular.Rows)) >= COLUMNS_BYTES_MIN


def _in_columns(
    source: Source | tabular.Mixed, dialect: Dialect, blank: Tally, skew_s: float, memory: int, *, flow: bool
) -> Report | None:
    """Judge tables and files of JSON lines in columns; None if they are none, or few of their rows are plain."""
    columnar = extra.columns()
    parts = source.parts if isinstance(source, tabular.Mixed) else (source,)
    files: list[Any] = []
    with ExitStack() as stack:
        try:
            for part in parts:
                if isinstance(part, tabular.Rows):
                    files.append(columnar.Grid(part, dialect))
                else:
                    lines = (columnar.Lines(name, dialect) for name in part.names)
                    files += [stack.enter_context(closing(each)) for each in lines]
            run = columnar.Columnar(dialect, blank, skew_s, memory, flow=flow)
            report: Report = run.run(files).report()
        except (columnar.NotLinesError, columnar.NotColumnarError):
            return None
    return attrs.evolve(report, flow=run.gathering.flow()) if flow else report


def _tokens(tokens: Iterable[str] | None) -> tuple[str, ...] | None:
    if tokens is None:
        return None
    return tuple(map(str.strip, tokens.split(","))) if isinstance(tokens, str) else tuple(tokens)


def _in_spark(source: Any, dialect: Dialect, blank: Tally, skew_s: float, input_format: str, *, memory: int) -> Report:
    """Judge files, named as Spark names them, or a frame of Spark's."""
    if not spark.is_frame(source):
        if input_format not in ("auto", "json", "parquet"):
            raise DefinitionError("an audit in Spark", [f"it reads JSON lines and Parquet, not {input_format}"])
        named = [source] if isinstance(source, str | PathLike) else [*source]
        local = [fspath(each) for each in named]
        # What has a scheme is Spark's to find, globs and all.
        source = [name for each in local for name in ([each] if "://" in each else opened(each).names)]
        if input_format == "parquet" and not all(name.endswith(".parquet") for name in source):
            raise DefinitionError("an audit in Spark", ["it knows Parquet by names that end in .parquet"])
    return spark.run(source, dialect, blank, skew_s, memory).report()
