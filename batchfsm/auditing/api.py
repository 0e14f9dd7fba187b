"""The function `audit`: it opens the log and chooses the engine that checks it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from os import PathLike, fspath
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import attrs

from batchfsm.arguments import check_seconds
from batchfsm.auditing import optional, spark, tables
from batchfsm.auditing.accumulator import FindingsAccumulator, parse_unreadable_max
from batchfsm.auditing.incremental import IncrementalState
from batchfsm.auditing.progress import Progress, ProgressMeter
from batchfsm.auditing.report import FINDINGS_MAX, Report
from batchfsm.auditing.row_engine import audit_rows
from batchfsm.auditing.state_file import StateFile
from batchfsm.auditing.statistics import has_provable_routes
from batchfsm.dialects import AUTO, Dialect, get_dialect, require_openai_fields
from batchfsm.errors import DefinitionError, UnknownNameError
from batchfsm.lifecycle import Lifecycle
from batchfsm.logs import LogSource, dialect_hint, request_lines_hint, resolve_source
from batchfsm.rules import SKEW_S

ENGINES: Final = ("auto", "rows", "spark")
"""The engines that can be asked for."""

MEMORY: Final = "1GB"
"""How much memory columns may take by default."""

COLUMNS_BYTES_MIN: Final = 2**18
"""Logs of fewer bytes of JSON, some 400 rows, are checked row by row, because loading the columns takes as long."""

_LINE_BYTES: Final = 512
"""The size of a row of a table as a line of JSON, about."""

_COMPRESSED: Final = {".gz": 8, ".zst": 8, ".zstd": 8}
"""By how much a compressed file grows at least, by the end of its name."""

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
    unreadable_max: int | str = 0,
    skew_s: float = SKEW_S,
    input_format: str = "auto",
    memory: int | str = MEMORY,
    engine: str = "auto",
    statistics: bool = False,
    state: str | PathLike[str] | StateFile | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Report:
    """
    Check every snapshot of a log, alone and against those before it.

    A log in order of observation is streamed; any other is sorted in temporary files. Large tables and files of JSON
    lines are read in columns, if the package was compiled when it was installed; the report is the same.

    Args:
        source: Paths or globs (JSON lines, arrays, pages, text forms, Parquet; gzip, zstd), `-` for standard input,
            batch objects, or a dataframe of Spark or of any library that exports Arrow.
        dialect: The server family that made the log; `auto` recognises each provider by the mark of its objects.
        select: The rules to report, by name, code or beginning of a code, as a list or separated by commas; None: all.
        ignore: The rules not to report.
        max_findings: How many findings, and unreadable places, are listed; counts are always exact.
        unreadable_max: How many unreadable places, or which share of all (`"1%"`), a `consistent` log may have.
        skew_s: How far a stamp may lie after its observation; seconds.
        input_format: The format of the files; `auto` recognises it.
        memory: Bytes that columns may take before rows go to disk, or text such as `500MB`.
        engine: `rows` reads no columns, however large the log. `spark` lets the workers of
            Spark check it; `auto` does so for a DataFrame of Spark only.
        statistics: Collect the data of the charts of `batchfsm.write_report`; not in Spark.
        state: The file of the records from which the next audit continues; not in Spark.
        progress: Called at most ten times a second and once at the end; its exceptions stop the audit. Not in Spark.

    Raises:
        SourceError: If a file cannot be opened, is no log, is damaged or holds no batches, or the disk is full.
        StateError: If the state cannot be read or written, or is not for this audit.
        UnknownNameError: If a dialect, rule, format or engine has no such name.
        MissingExtraError: If the library that Spark, a table or zstd needs is not installed.
        DisagreementError: If two engines found different violations: a bug of this library.
        TypeError: If `source` is nothing that can be audited, or another argument has a wrong type.
        ValueError: If a number is out of range.
    """
    check_seconds("skew_s", skew_s)
    _check_max_findings(max_findings)
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    template = FindingsAccumulator(
        select=_tokens("select", select), ignore=_tokens("ignore", ignore) or (), listed_max=max_findings,
        unreadable_max=parse_unreadable_max(unreadable_max),
    )  # fmt: skip
    plan = _AuditPlan(
        dialect=get_dialect("openai" if dialect == AUTO else dialect), recognises=dialect == AUTO, template=template,
        skew_s=skew_s, memory=parse_size(memory),
        has_columns=engine == "auto", has_statistics=statistics, meter=ProgressMeter(progress),
    )  # fmt: skip
    if engine == "spark" or spark.is_frame(source):
        return _run_spark(source, plan, input_format, state)
    with tables.open_input(source, input_format, plan.meter.add_size) as log:
        if isinstance(log, tables.MixedInput):
            plan = plan.restricted_to_columns(log)
        report = _run(log, plan) if state is None else _resume(log, plan, state)
        report = _with_hint(report, log, plan)
    plan.meter.report()
    return report


def _check_max_findings(value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"max_findings is a number of findings, 0 or more, not {value!r}")


@attrs.frozen(kw_only=True)
class _AuditPlan:
    """The options of an audit, for any engine."""

    dialect: Dialect
    recognises: bool
    """True if the mark of each object decides on its dialect."""
    template: FindingsAccumulator
    """The empty accumulator that the run starts from."""
    skew_s: float
    memory: int
    has_columns: bool
    """False if columns are not to be used."""
    has_statistics: bool
    meter: ProgressMeter

    def require_dialect(self, purpose: str) -> None:
        """Raise DefinitionError if the dialect is to be recognised where it must be named."""
        if self.recognises:
            raise DefinitionError(purpose, ["its dialect must be named: auto reads the marks of JSON objects"])

    def restricted_to_columns(self, log: tables.MixedInput) -> _AuditPlan:
        """Return the plan for tables that may lack columns."""
        self.require_dialect("audit of tables")
        require_openai_fields(self.dialect, "audit of tables")
        dialect, template = log.restrict_to_columns(self.dialect, self.template)
        return attrs.evolve(self, dialect=dialect, template=template)

    def prefers_columns(self, log: LogSource | tables.MixedInput) -> bool:
        """Return whether to read a log in columns, if they are installed."""
        return (
            self.has_columns
            and not self.recognises
            and self.dialect.has_openai_fields
            and _is_large(log)
            and (not self.has_statistics or has_provable_routes(self.dialect))
        )


def _run(log: LogSource | tables.MixedInput, plan: _AuditPlan) -> Report:
    """Check a log in this process; in columns if it is large enough."""
    remarks = tuple[str, ...]()
    if plan.prefers_columns(log):
        columns = optional.load_columns()
        if columns is None:
            remarks = (optional.NOT_COMPILED,)
        elif (report := _run_columns(columns, log, plan)) is not None:
            return report
    plan.meter.begin("reading", log.size)
    if plan.recognises and isinstance(log, LogSource):
        from batchfsm.auditing.provider_engine import ONE_DIALECT, audit_providers  # noqa: PLC0415  # `auto` only.

        report = audit_providers(log, plan.template, plan.skew_s, is_repeatable=log.is_repeatable, meter=plan.meter)
        has_charts = report.statistics is not None or not plan.has_statistics
        return report if has_charts else attrs.evolve(report, remarks=(ONE_DIALECT,))
    accumulator, statistics = audit_rows(
        log, plan.dialect, plan.template, plan.skew_s, is_repeatable=log.is_repeatable, meter=plan.meter
    )
    return attrs.evolve(accumulator.report(), statistics=statistics, remarks=remarks)


def _is_misread(report: Report) -> bool:
    """Return whether at least half of a log has no status that is known, or cannot be read: as by a wrong dialect."""
    unknown = max(report.counts.get(code, 0) for code in ("S001", "S004"))
    return 0 < report.places <= 2 * (unknown + report.unreadable_count)


def _with_hint(report: Report, log: LogSource | tables.MixedInput, plan: _AuditPlan) -> Report:
    """Return the report of a misread log with a remark on its provider or kind, if the log can be read again."""
    if not _is_misread(report) or not isinstance(log, LogSource) or not log.is_repeatable:
        return report
    uncounted = LogSource(log.names, log.objects, log.input_format)  # The progress has these bytes already.
    hint = request_lines_hint(uncounted)
    if hint is None and not plan.recognises:
        hint = dialect_hint(uncounted, plan.dialect)
    return report if hint is None else attrs.evolve(report, remarks=(*report.remarks, hint))


def _resume(log: LogSource | tables.MixedInput, plan: _AuditPlan, state: str | PathLike[str] | StateFile) -> Report:
    """
    Check a log row by row, continue the batches of a state file, and store them there again.

    A `StateFile` that is open stays open, and nothing is written until it is closed. Files of the log that the state
    has read before are skipped.
    """
    plan.require_dialect("audit with a state")
    with ExitStack() as stack:
        file = state if isinstance(state, StateFile) else stack.enter_context(StateFile(state))
        stack.enter_context(file.run(plan.dialect, plan.skew_s))
        fresh, incremental = log.only(file.new_logs(log.names)), IncrementalState(file)
        plan.meter.begin("reading", fresh.size)
        accumulator, statistics = audit_rows(
            fresh, plan.dialect, plan.template, plan.skew_s,
            is_repeatable=fresh.is_repeatable, state=incremental, meter=plan.meter,
        )  # fmt: skip
        incremental.close()
    remarks = ["read row by row, because of the state file"] if plan.prefers_columns(log) else []
    if skipped := tuple(name for name in log.names if name not in fresh.names):
        remarks.append(f"skipped {', '.join(skipped)}: already in the state file")
    return attrs.evolve(accumulator.report(), statistics=statistics, skipped=skipped, remarks=tuple(remarks))


def parse_size(size: int | str) -> int:
    """
    Return a size in bytes, given as a whole number or as text such as `500MB` or `1.5GB`, in decimal units.

    Raises:
        ValueError: If it is neither, or not above zero.
    """
    found = _SIZE.fullmatch(str(size).strip())
    number = int(float(found[1]) * _UNITS[(found[2] or "").upper()]) if found else 0
    if number <= 0:
        raise ValueError(f"a size is a number of bytes, or text such as 500MB; not {size!r}")
    return number


def _is_large(source: LogSource | tables.MixedInput) -> bool:
    """Return whether a log can be read in columns, and has so many rows that this is faster."""
    parts = source.parts if isinstance(source, tables.MixedInput) else (source,)
    others = [part for part in parts if isinstance(part, LogSource)]
    for part in others:
        if not part.names or part.input_format not in ("auto", "json") or not part.is_repeatable:
            return False
    paths = [Path(name) for part in others for name in part.names]
    sizes = [path.stat().st_size * _COMPRESSED.get(path.suffix, 1) for path in paths]
    sizes += [part.table.rows_count * _LINE_BYTES for part in parts if isinstance(part, tables.TableRows)]
    return sum(sizes) >= COLUMNS_BYTES_MIN


def _run_columns(columns: ModuleType, log: LogSource | tables.MixedInput, plan: _AuditPlan) -> Report | None:
    """Check tables and files of JSON lines in columns; None if a file has no lines, or few rows can be decoded."""
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
                plan.dialect,
                plan.template,
                plan.skew_s,
                plan.memory,
                has_statistics=plan.has_statistics,
                meter=plan.meter,
            )
            report: Report = engine.run(sources).report()
        except (columns.NotLinesError, columns.NotColumnarError):
            return None
    return attrs.evolve(report, statistics=engine.statistics.result()) if plan.has_statistics else report


def _tokens(argument: str, tokens: Iterable[str] | None) -> tuple[str, ...] | None:
    if tokens is None:
        return None
    if not isinstance(tokens, Iterable):
        raise TypeError(f"{argument} takes names of rules, such as ['H502'], not {tokens!r}")
    return tuple(map(str.strip, tokens.split(","))) if isinstance(tokens, str) else tuple(tokens)


def _run_spark(source: Any, plan: _AuditPlan, input_format: str, state: object) -> Report:
    """Check files, by the names that Spark knows, or a DataFrame of Spark; a state is refused."""
    plan.require_dialect("audit in Spark")
    if state is not None:
        raise DefinitionError("audit in Spark", ["it keeps no state"])
    require_openai_fields(plan.dialect, "audit in Spark")
    if not spark.is_frame(source):
        if input_format not in ("auto", "json", "parquet"):
            raise DefinitionError("audit in Spark", [f"it reads JSON lines and Parquet, not {input_format}"])
        named = [source] if isinstance(source, str | PathLike) else [*source]
        local = [fspath(each) for each in named]
        # Spark itself finds the names that have a scheme, globs too.
        source = [name for each in local for name in ([each] if "://" in each else resolve_source(each).names)]
        if input_format == "parquet" and not all(name.endswith(".parquet") for name in source):
            raise DefinitionError("audit in Spark", ["it knows Parquet by names that end in .parquet"])
    from batchfsm.auditing.spark.driver import run  # noqa: PLC0415  # Few audits need it, and it takes time to load.

    return run(source, plan.dialect, plan.template, plan.skew_s, plan.memory)
