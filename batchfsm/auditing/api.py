"""The run of an audit: what is to be read, and by which of the two readings of the rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from os import PathLike, fspath
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import attrs

from batchfsm.auditing import optional, spark, tables
from batchfsm.auditing.accumulator import FindingsAccumulator
from batchfsm.auditing.progress import Progress, ProgressMeter
from batchfsm.auditing.report import FINDINGS_MAX, Report
from batchfsm.auditing.resuming import go_on
from batchfsm.auditing.row_engine import one_by_one
from batchfsm.auditing.state_file import StateFile
from batchfsm.auditing.statistics import are_told_by_stamps
from batchfsm.dialects import Dialect, find, require_openai_fields
from batchfsm.errors import DefinitionError, UnknownNameError
from batchfsm.lifecycle import Lifecycle
from batchfsm.logs import LogSource, resolve_source
from batchfsm.rules import SKEW_S

ENGINES: Final = ("auto", "rows", "spark")
"""What can judge a log."""

MEMORY: Final = "1GB"
"""How much columns may take by default."""

COLUMNS_BYTES_MIN: Final = 2**18
"""Logs of fewer bytes of JSON, some 400 rows, are checked row by row: to load the columns takes as long."""

_LINE_BYTES: Final = 512
"""What a row of a table would take as a line of JSON, about."""

_PACKED: Final = {".gz": 8, ".zst": 8, ".zstd": 8}
"""How many times as many bytes a packed file holds, at least, by its name."""

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
    state: str | PathLike[str] | StateFile | None = None,
    progress: Callable[[Progress], object] | None = None,
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
        max_findings: How many findings, and unreadable places, are listed; counts are exact all the same.
        skew_s: How far a stamp may lie after its observation; seconds.
        input_format: How the files are written; `auto` finds out.
        memory: How much columns may take before they are dealt out to disk; bytes, or text such as `500MB`.
        engine: `rows` reads no columns, however large the log. `spark` deals it out to
            Spark's workers; `auto` does so for a DataFrame of Spark's only.
        flow: Gather what `batchfsm.report` draws, whatever reads the log but Spark. A log
            that is read row by row has it anyway: one that is small, or none of files.
        state: Where what is known of each batch is kept for the next audit; not in Spark.
        progress: What is told how far it is, at most ten times a second and once at the end;
            what it raises stops the audit. Spark tells nothing.

    Raises:
        SourceError: If a file cannot be opened, a table is damaged or holds no batches, or there is no room to sort.
        StateError: If the state cannot be read or written, or is not for this audit.
        UnknownNameError: If a dialect, rule, format or engine has no such name.
        MissingExtraError: If Spark, a table or zstd is asked for and what reads it is not installed.
        TypeError: If `source` is nothing that can be audited.
        ValueError: If a number is out of range.
    """
    if not (max_findings >= 0 and skew_s >= 0):  # So written, it refuses NaN too.
        raise ValueError("max_findings and skew_s are not negative")
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    blank = FindingsAccumulator(select=_tokens(select), ignore=_tokens(ignore) or (), listed_max=max_findings)
    plan = _Plan(
        dialect=find(dialect), blank=blank, skew_s=skew_s, memory=parse_size(memory), columns=engine == "auto",
        flow=flow, meter=ProgressMeter(progress),
    )  # fmt: skip
    if engine == "spark" or spark.is_frame(source):
        if state is not None:
            raise DefinitionError("audit in Spark", ["it keeps no state"])
        return _in_spark(source, plan, input_format)
    with tables.open_input(source, input_format, plan.meter.read) as log:
        if isinstance(log, tables.MixedInput):
            plan = plan.restricted_to_columns(log)
        report = _judged(log, plan) if state is None else _resumed(log, plan, state)
    plan.meter.tell()
    return report


@attrs.frozen(kw_only=True)
class _Plan:
    """How a log is to be judged, whatever reads it."""

    dialect: Dialect
    blank: FindingsAccumulator
    """What the run's tally begins as."""
    skew_s: float
    memory: int
    columns: bool
    """False: only row by row."""
    flow: bool
    meter: ProgressMeter

    def restricted_to_columns(self, log: tables.MixedInput) -> _Plan:
        """Return the plan for tables that may lack columns."""
        require_openai_fields(self.dialect, "audit of tables")
        dialect, blank = log.restrict_to_columns(self.dialect, self.blank)
        return attrs.evolve(self, dialect=dialect, blank=blank)

    def takes_columns(self, log: LogSource | tables.MixedInput) -> bool:
        """Tell whether a log is to be read in columns, if what that needs is installed."""
        return (
            self.columns
            and self.dialect.has_openai_fields
            and _is_large(log)
            and (not self.flow or are_told_by_stamps(self.dialect))
        )


def _judged(log: LogSource | tables.MixedInput, plan: _Plan) -> Report:
    """Judge a log here; in columns if it can be."""
    remarks = tuple[str, ...]()
    if plan.takes_columns(log):
        columns = optional.load_columns()
        if columns is None:
            remarks = (optional.NOT_COMPILED,)
        elif (report := _in_columns(columns, log, plan)) is not None:
            return report
    plan.meter.begin("reading", log.size)
    tally, flow = one_by_one(
        log, plan.dialect, plan.blank, plan.skew_s, is_repeatable=log.is_repeatable, meter=plan.meter
    )
    return attrs.evolve(tally.report(), flow=flow, remarks=remarks)


def _resumed(log: LogSource | tables.MixedInput, plan: _Plan, state: str | PathLike[str] | StateFile) -> Report:
    """Judge a log row by row, after all that a state has taken in."""
    remarks = ("read row by row: columns keep no state",) if plan.takes_columns(log) else ()
    report = go_on(log, state, plan.dialect, plan.blank, plan.skew_s, meter=plan.meter)
    return attrs.evolve(report, remarks=remarks + report.remarks)


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


def _is_large(source: LogSource | tables.MixedInput) -> bool:
    """Tell whether reading in columns is worth its start: it takes a second, and half a minute when it is new."""
    parts = source.parts if isinstance(source, tables.MixedInput) else (source,)
    others = [part for part in parts if isinstance(part, LogSource)]
    for part in others:
        if not part.names or part.input_format not in ("auto", "json") or not part.is_repeatable:
            return False
    paths = [Path(name) for part in others for name in part.names]
    sizes = [path.stat().st_size * _PACKED.get(path.suffix, 1) for path in paths]
    sizes += [part.table.rows_count * _LINE_BYTES for part in parts if isinstance(part, tables.TableRows)]
    return sum(sizes) >= COLUMNS_BYTES_MIN


def _in_columns(columns: ModuleType, log: LogSource | tables.MixedInput, plan: _Plan) -> Report | None:
    """Judge tables and files of JSON lines in columns; None if they are none, or few of their rows can be decoded."""
    parts = log.parts if isinstance(log, tables.MixedInput) else (log,)
    sources: list[Any] = []
    with ExitStack() as stack:
        try:
            for part in parts:
                if isinstance(part, tables.TableRows):
                    sources.append(columns.TableSource(part, plan.dialect))
                else:
                    files = (columns.JsonLinesSource(name, plan.dialect, plan.meter) for name in part.names)
                    sources += [stack.enter_context(closing(each)) for each in files]
            engine = columns.ColumnEngine(
                plan.dialect, plan.blank, plan.skew_s, plan.memory, flow=plan.flow, meter=plan.meter
            )
            report: Report = engine.run(sources).report()
        except (columns.NotLinesError, columns.NotColumnarError):
            return None
    return attrs.evolve(report, flow=engine.gathering.flow()) if plan.flow else report


def _tokens(tokens: Iterable[str] | None) -> tuple[str, ...] | None:
    if tokens is None:
        return None
    return tuple(map(str.strip, tokens.split(","))) if isinstance(tokens, str) else tuple(tokens)


def _in_spark(source: Any, plan: _Plan, input_format: str) -> Report:
    """Judge files, named as Spark names them, or a frame of Spark's."""
    require_openai_fields(plan.dialect, "audit in Spark")
    if not spark.is_frame(source):
        if input_format not in ("auto", "json", "parquet"):
            raise DefinitionError("audit in Spark", [f"it reads JSON lines and Parquet, not {input_format}"])
        named = [source] if isinstance(source, str | PathLike) else [*source]
        local = [fspath(each) for each in named]
        # What has a scheme is Spark's to find, globs and all.
        source = [name for each in local for name in ([each] if "://" in each else resolve_source(each).names)]
        if input_format == "parquet" and not all(name.endswith(".parquet") for name in source):
            raise DefinitionError("audit in Spark", ["it knows Parquet by names that end in .parquet"])
    return spark.run(source, plan.dialect, plan.blank, plan.skew_s, plan.memory)
