"""`batchfsm timeline`: the history of each batch in a log, as text or a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click

from batchfsm.cli.failures import StopError
from batchfsm.cli.options import DialectChoice, complete_file, dialect_options
from batchfsm.cli.outcome import outcome_lines
from batchfsm.cli.output import refuse_overwriting, write
from batchfsm.diagram import dot
from batchfsm.escapes import printable
from batchfsm.explain import count_steps, gantt, timeline, timelines_by_batch
from batchfsm.history import BatchTimeline
from batchfsm.lifecycle import Lifecycle
from batchfsm.logs import INPUT_FORMATS, parse_records, resolve_source
from batchfsm.wire import reader

_LEGEND = "times are UTC; * not observed: a timestamp, or the only possible path, proves it\n"


@click.command("timeline")
@click.argument("path", nargs=-1, required=True, shell_complete=complete_file, metavar="PATH...")
@click.option("--batch", metavar="ID", help="Draw this batch only.")
@dialect_options()
@click.option(
    "--input-format",
    metavar="F",
    default="auto",
    help=f"Form of the logs: {', '.join(INPUT_FORMATS)}; auto detects it.",
)
@click.option(
    "--format", "output_format", type=click.Choice(["text", "mermaid", "dot", "svg", "png"]), default="text",
    help="Form of the timeline.",
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
    loaded, log = dialect.load(), resolve_source(path, input_format)
    refuse_overwriting(log.names, {"--output": output})
    timelines = list(timelines_by_batch(parse_records(log, reader(loaded)), loaded, batch))
    if not timelines:
        missing = "no batch" if batch is None else f"no snapshot of {printable(batch)}"
        raise StopError(f"{missing} in {printable(', '.join(path))}")
    write(FORMATS[output_format](timelines, loaded.lifecycle), output)


def as_text(timelines: Sequence[BatchTimeline], lifecycle: Lifecycle) -> str:
    """Return the timelines as text for a terminal, each with the errors of its batch."""
    return "\n".join([*(_with_outcome(each, lifecycle) for each in timelines), _LEGEND])


def _with_outcome(batch: BatchTimeline, lifecycle: Lifecycle) -> str:
    lines = outcome_lines(batch.last) if batch.last.status in lifecycle.terminal else []
    return timeline(batch) + "".join(f"  {line}\n" for line in lines)


def as_dot(timelines: Sequence[BatchTimeline], lifecycle: Lifecycle) -> str:
    """Return the lifecycle in Graphviz's language, with the number of batches that took each step."""
    return dot(lifecycle, taken=count_steps(timelines))


def _picture(form: str) -> Callable[[Sequence[BatchTimeline], Lifecycle], str | bytes]:
    def draw(timelines: Sequence[BatchTimeline], _: Lifecycle) -> str | bytes:
        reporting = import_module("batchfsm.reporting")  # Only pictures need it.
        most = reporting.TIMELINES_MAX
        if len(timelines) > most:
            raise StopError(
                f"a picture holds at most {most} batches, and the log has {len(timelines):,}: choose one with --batch"
            )
        drawn: str | bytes = getattr(reporting, f"timeline_{form}")(timelines)
        return drawn

    return draw


FORMATS: Final[Mapping[str, Callable[[Sequence[BatchTimeline], Lifecycle], str | bytes]]] = MappingProxyType(
    {
        "text": as_text,
        "mermaid": lambda timelines, _: gantt(timelines),
        "dot": as_dot,
        "svg": _picture("svg"),
        "png": _picture("png"),
    }
)
"""The forms of a timeline, by name."""
