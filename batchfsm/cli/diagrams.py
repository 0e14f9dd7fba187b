"""Timelines in every form, and how a picture is written."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import typer

from batchfsm.diagram import dot
from batchfsm.errors import BatchfsmError
from batchfsm.explain import count_steps, gantt, timeline
from batchfsm.history import BatchTimeline
from batchfsm.lifecycle import Lifecycle
from batchfsm.reporting import LIVES_MAX, timeline_png, timeline_svg

_LEGEND = "times are UTC; * was never seen, its stamp or the way proves it\n"


class StopError(BatchfsmError):
    """The command cannot go on; exit status 2."""


def as_text(lives: Sequence[BatchTimeline], _: Lifecycle) -> str:
    """Draw each life for a terminal."""
    return "\n".join([*map(timeline, lives), _LEGEND])


def as_dot(lives: Sequence[BatchTimeline], lifecycle: Lifecycle) -> str:
    """Draw the lifecycle in Graphviz's language, with the ways that batches took."""
    return dot(lifecycle, taken=count_steps(lives))


TIMELINES: Final[Mapping[str, Callable[[Sequence[BatchTimeline], Lifecycle], str | bytes]]] = MappingProxyType(
    {
        "text": as_text,
        "mermaid": lambda lives, _: gantt(lives),
        "dot": as_dot,
        "svg": lambda lives, _: timeline_svg(_few(lives)),
        "png": lambda lives, _: timeline_png(_few(lives)),
    }
)
"""Every way to draw the lives of batches, by name."""


def write(drawing: str | bytes, output: Path | None) -> None:
    """Write to a file, or to standard output; a terminal gets no bytes that are no text."""
    if output is not None:
        output.write_bytes(drawing if isinstance(drawing, bytes) else drawing.encode())
    elif isinstance(drawing, bytes) and sys.stdout.isatty():
        raise StopError("this picture is no text: name a file with --output")
    else:
        typer.echo(drawing, nl=False)


def _few(lives: Sequence[BatchTimeline]) -> Sequence[BatchTimeline]:
    if len(lives) > LIVES_MAX:
        raise StopError(f"a picture holds {LIVES_MAX} batches, and here are {len(lives):,}: choose one with --batch")
    return lives
