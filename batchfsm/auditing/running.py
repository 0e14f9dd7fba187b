"""The run of an audit: what is to be read, and by which of the two readings of the rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import chain

import attrs

from batchfsm.auditing.flow import Gathering
from batchfsm.auditing.report import FINDINGS_MAX, Report
from batchfsm.auditing.scalar import Judging, sort, stream
from batchfsm.auditing.spool import Spool
from batchfsm.auditing.tally import Tally
from batchfsm.dialects import Dialect, find
from batchfsm.finding import Finding
from batchfsm.history import Fold
from batchfsm.lifecycle import Lifecycle
from batchfsm.logs import Row, Source, Unreadable, opened, rows
from batchfsm.rules import SKEW_S
from batchfsm.wire import reader


def audit(
    source: object,
    *,
    dialect: str | Dialect | Lifecycle = "openai",
    select: Iterable[str] | None = None,
    ignore: Iterable[str] | None = None,
    max_findings: int = FINDINGS_MAX,
    skew_s: float = SKEW_S,
    input_format: str = "auto",
) -> Report:
    """
    Judge every snapshot of a log, alone and against those before it.

    A log in order of observation is streamed: memory holds one small state a batch.
    One that is not is noticed, dealt out to temporary files and sorted, batch by batch.

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
    found = opened(source, input_format)
    return _one_by_one(found, named, blank, skew_s)


def _one_by_one(source: Source, dialect: Dialect, blank: Tally, skew_s: float) -> Report:
    """Judge a source row by row."""
    fold = Fold(dialect, skew_s=skew_s)
    with ExitStack() as stack:
        spool = None if source.is_repeatable else stack.enter_context(closing(Spool()))
        live = rows(source, reader(dialect))
        judging, gathering = _judging(fold, attrs.evolve(blank), dialect)
        if not stream(_kept(live, spool), judging):
            # Somewhere a snapshot came after a later one. What was judged so far may be wrong: begin again.
            judging, gathering = _judging(fold, attrs.evolve(blank), dialect)
            sort(rows(source, reader(dialect)) if spool is None else chain(spool, live), judging)
        judging.tally.batches = judging.batches
        return attrs.evolve(judging.tally.report(), flow=gathering.flow())


def _judging(fold: Fold, tally: Tally, dialect: Dialect) -> tuple[Judging, Gathering]:
    """Return what judges, and what gathers beside it; the time that takes is lost in the noise."""
    gathering = Gathering(dialect, tally.wanted)

    def told(row: Row, findings: list[Finding]) -> None:
        tally.snapshots += 1
        if findings:
            tally.take(row.number, findings)
            gathering.told(row, findings)

    return Judging(fold, tally, told, gathering.ended), gathering


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
