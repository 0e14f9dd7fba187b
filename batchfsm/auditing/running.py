"""The run of an audit: what is to be read, and by which of the two readings of the rules."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike, fspath
from typing import Any, Final

from batchfsm.auditing import spark
from batchfsm.auditing.report import FINDINGS_MAX, Report
from batchfsm.auditing.scalar import one_by_one
from batchfsm.auditing.tally import Tally
from batchfsm.dialects import Dialect, find
from batchfsm.errors import DefinitionError, UnknownNameError
from batchfsm.lifecycle import Lifecycle
from batchfsm.logs import opened
from batchfsm.rules import SKEW_S

ENGINES: Final = ("auto", "spark")
"""What can judge a log."""


def audit(
    source: object,
    *,
    dialect: str | Dialect | Lifecycle = "openai",
    select: Iterable[str] | None = None,
    ignore: Iterable[str] | None = None,
    max_findings: int = FINDINGS_MAX,
    skew_s: float = SKEW_S,
    input_format: str = "auto",
    engine: str = "auto",
) -> Report:
    """
    Judge every snapshot of a log, alone and against those before it.

    A log in order of observation is streamed: memory holds one small state a batch.
    One that is not is noticed, dealt out to temporary files and sorted, batch by batch.

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
        engine: `spark` deals the log out to Spark's workers, for one that is larger than a
            machine; `auto` does so for a DataFrame of Spark's only.

    Raises:
        SourceError: If a file cannot be opened, or there is no room to sort.
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
    if engine == "spark" or spark.is_frame(source):
        return _in_spark(source, named, blank, skew_s, input_format)
    found = opened(source, input_format)
    return one_by_one(found, named, blank, skew_s, is_repeatable=found.is_repeatable).report()


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
