"""`batchfsm timeline`: the history of each batch in a log, as text or a picture."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

import attrs
import click

from batchfsm.cli.failures import StopError
from batchfsm.cli.formats import plural
from batchfsm.cli.options import DialectChoice, complete_file, dialect_options, input_format_option
from batchfsm.cli.outcome import outcome_lines
from batchfsm.cli.output import check_outputs, write
from batchfsm.diagram import dot
from batchfsm.dialects import DIALECTS, Dialect
from batchfsm.escapes import printable
from batchfsm.explain import count_steps, gantt, timeline, timelines_by_batch
from batchfsm.history import BatchTimeline
from batchfsm.logs import (
    LogSource,
    ProviderRecord,
    Record,
    UnreadableEntry,
    dialect_hint,
    parse_records,
    recognise_records,
    request_lines_hint,
    resolve_source,
)
from batchfsm.wire import reader

TERMINAL_BATCHES_MAX: Final = 20
"""How many batches a terminal shows."""

_LEGEND = "times are UTC; * not observed: a timestamp, or the only possible path, proves it\n"


@click.command("timeline")
@click.argument("path", nargs=-1, required=True, shell_complete=complete_file, metavar="PATH...")
@click.option("--batch", metavar="ID", help="Draw this batch only.")
@dialect_options(recognises=True)
@input_format_option
@click.option(
    "--format", "output_format", type=click.Choice(["text", "mermaid", "dot", "svg", "png"]), default="text",
    help="Form of the timeline; text by default.",
)  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), metavar="F", help="Write to a file.")
def command(
    *,
    path: tuple[str, ...],
    batch: str | None,
    dialect: DialectChoice,
    input_format: str,
    output_format: str,
    output: Path | None,
) -> None:
    """
    Draw the history of each batch in a log.

    Each status is a bar with its duration. PATH is a file, a glob, or - for standard input. A * marks a status that no
    snapshot had: a timestamp proves it.
    """
    loaded, log = dialect.load_or_auto(), resolve_source(path, input_format)
    check_outputs(log.names, {"--output": output})
    rows = _ReadableRows(parse_records(log, reader(loaded)) if isinstance(loaded, Dialect) else recognise_records(log))
    drawn = _drawn_batches(rows, loaded, batch)
    unread = rows.unreadable_count
    remark = f"{plural(unread, 'place')} could not be read, or not in full: batchfsm audit names them" if unread else ""
    if not drawn:
        missing = "no batch" if batch is None else f"no snapshot of {printable(batch)}"
        reason = _hint(log, loaded) or (f"; {remark}" if remark else "")
        raise StopError(f"{missing} in {printable(', '.join(path))}{reason}")
    if not any(each.timeline.transitions for each in drawn) and (hint := _hint(log, loaded)):
        raise StopError(f"no batch in {printable(', '.join(path))} has a known status{hint}")
    if output is None and output_format == "text" and sys.stdout.isatty() and len(drawn) > TERMINAL_BATCHES_MAX:
        write(as_text(drawn[:TERMINAL_BATCHES_MAX]), None)
        rest = "one of them: --batch ID; all of them: --output F"
        write(f"({TERMINAL_BATCHES_MAX} of {len(drawn):,} batches; {rest})\n", None)
    else:
        write(FORMATS[output_format](drawn), output)
    if remark:
        click.echo(f"batchfsm: {remark}", err=True)


@attrs.define
class _ReadableRows:
    """The rows of a log; places that could not be read are counted."""

    source: Iterable[Record | UnreadableEntry]
    unreadable_count: int = 0

    def __iter__(self) -> Iterator[Record]:
        """Yield the rows."""
        for row in self.source:
            if isinstance(row, UnreadableEntry):
                self.unreadable_count += 1
            else:
                yield row


@attrs.frozen
class _DrawnBatch:
    """A timeline to draw, with the dialect of its batch."""

    timeline: BatchTimeline
    dialect: Dialect


def _drawn_batches(log: Iterable[Record], dialect: Dialect | str, batch: str | None) -> list[_DrawnBatch]:
    """Return the batches of a log in order of first sight; with `auto`, those of one dialect after the other."""
    if isinstance(dialect, Dialect):
        found = timelines_by_batch(log, dialect, batch)
        return [_DrawnBatch(each, dialect) for each in found]
    rows: dict[str, list[ProviderRecord]] = {}
    for row in cast("Iterable[ProviderRecord]", log):
        rows.setdefault(row.dialect, []).append(row)
    return [
        _DrawnBatch(each, DIALECTS[name])
        for name, own in rows.items()
        for each in timelines_by_batch(own, DIALECTS[name], batch)
    ]


def _hint(log: LogSource, dialect: Dialect | str) -> str:
    hint = request_lines_hint(log) if log.is_repeatable else None
    if hint is None and isinstance(dialect, Dialect) and log.is_repeatable:
        hint = dialect_hint(log, dialect)
    return "" if hint is None else f"; {hint}"


def as_text(drawn: Sequence[_DrawnBatch]) -> str:
    """Return the timelines as text for a terminal, each with the errors of its batch."""
    return "\n".join([*map(_with_outcome, drawn), _LEGEND])


def _with_outcome(drawn: _DrawnBatch) -> str:
    batch = drawn.timeline
    lines = outcome_lines(batch.last) if batch.last.status in drawn.dialect.lifecycle.terminal else []
    return timeline(batch) + "".join(f"  {line}\n" for line in lines)


def as_mermaid(drawn: Sequence[_DrawnBatch]) -> str:
    """Return the timelines as a Mermaid Gantt chart."""
    return gantt(each.timeline for each in drawn)


def as_dot(drawn: Sequence[_DrawnBatch]) -> str:
    """Return the lifecycle in Graphviz's language, with the number of batches that took each step."""
    dialects = {each.dialect.name: each.dialect for each in drawn}
    if len(dialects) > 1:
        raise StopError(f"dot draws one lifecycle, and the log has {', '.join(dialects)}: choose a batch with --batch")
    (dialect,) = dialects.values()
    return dot(dialect.lifecycle, taken=count_steps(each.timeline for each in drawn))


def _picture(form: str) -> Callable[[Sequence[_DrawnBatch]], str | bytes]:
    def draw(batches: Sequence[_DrawnBatch]) -> str | bytes:
        reporting = import_module("batchfsm.reporting")  # Only pictures need it.
        most = reporting.TIMELINES_MAX
        if len(batches) > most:
            raise StopError(
                f"a picture holds at most {most} batches, and the log has {len(batches):,}: choose one with --batch"
            )
        drawn: str | bytes = getattr(reporting, f"timeline_{form}")([each.timeline for each in batches])
        return drawn

    return draw


FORMATS: Final[Mapping[str, Callable[[Sequence[_DrawnBatch]], str | bytes]]] = MappingProxyType(
    {"text": as_text, "mermaid": as_mermaid, "dot": as_dot, "svg": _picture("svg"), "png": _picture("png")}
)
"""The forms of a timeline, by name."""
