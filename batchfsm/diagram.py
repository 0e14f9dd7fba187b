"""Diagrams of a lifecycle as SVG, PNG, Mermaid, DOT or text: documented steps solid, tolerated ones dashed."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from math import log2
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import attrs

from batchfsm.errors import MissingExtraError
from batchfsm.lifecycle import OPENAI, Lifecycle

DRAWN_WITHIN_S: Final = 60
"""The time limit of Graphviz for one picture; a dozen statuses take a twentieth of a second."""

_PLAIN: Final = re.compile(r"(?!(?:node|edge|graph|digraph|subgraph|strict)$)[a-z_][a-z0-9_]*", re.IGNORECASE)
_LINES: Final = {"step": "", "gap": ", style=dotted, class=gap", "illegal": ", class=illegal, color=red, fontcolor=red"}
_SHAPES: Final = (
    '  graph [rankdir=LR, nodesep=0.3, ranksep=0.5, pad=0.15, fontname="Helvetica"];',
    '  node [shape=box, height=0.4, margin="0.2,0.05", fontname="Helvetica", fontsize=13];',
    '  edge [fontname="Helvetica", fontsize=11, arrowsize=0.7];',
    "  birth [shape=point, width=0.1];",
)


@attrs.frozen
class StepCount:
    """The number of batches that went from one status to another."""

    source: str | None
    """The status before; None for the first status."""

    target: str
    """The status entered."""

    times: int
    """The number of batches."""

    kind: Literal["step", "gap", "illegal"] = "step"
    """`gap`: by a walk that nothing proves; `illegal`: where no walk leads."""


def mermaid(lifecycle: Lifecycle = OPENAI) -> str:
    """
    Draw a lifecycle as a Mermaid flowchart, which GitHub and most wikis show.

    >>> print(mermaid().splitlines()[1])
        birth((" ")) -->|create| validating["validating"]
    """
    lines = ["flowchart LR", f'    birth((" ")) -->|create| {_box(lifecycle, lifecycle.initial)}']
    for step in lifecycle.steps:
        arrow = "-->" if step.evidence == "documented" else "-.->"
        lines.append(f"    {step.source} {arrow}|{step.event}| {_box(lifecycle, step.target)}")
    return "\n".join(lines) + "\n"


def dot(lifecycle: Lifecycle = OPENAI, *, taken: Iterable[StepCount] = ()) -> str:
    """
    Draw a lifecycle in Graphviz's language.

    Args:
        lifecycle: The table to draw.
        taken: The moves of batches. Then each step shows how many took it, and is
            the thicker the more there are; one that none took is grey; moves that
            are no row of the table are drawn too: dotted where the walk is
            unknown, red where none leads.
    """
    moves = list(taken)
    most = max((move.times for move in moves), default=1)
    known = {(move.source, move.target): move.times for move in moves if move.kind == "step"}
    steps = [("birth", lifecycle.initial, "create", "")]
    steps += [
        (_id(step.source), step.target, step.event, ", style=dashed" * (step.evidence == "tolerated"))
        for step in lifecycle.steps
    ]
    pairs = [(None, lifecycle.initial), *((step.source, step.target) for step in lifecycle.steps)]
    lines = [f"digraph {_id(lifecycle.name)} {{", *_SHAPES]
    lines += [
        f"  {_id(state.name)} [{'style=rounded, peripheries=2' if state.terminal else 'style=solid'}];"
        for state in lifecycle.states
    ]
    for (source, target, event, style), pair in zip(steps, pairs, strict=True):
        weight = _weight(known.get(pair, 0), most) if moves else ""
        times = f"\\n{known[pair]:,}" if pair in known else ""
        label = f'"{event}{times}"' if times else _id(event)
        lines.append(f"  {source} -> {_id(target)} [label={label}{style}{weight}];")
    for move in moves:
        if move.kind != "step" or (move.source, move.target) not in pairs:
            # Not allowed to pull statuses about: the table is drawn in the same places for every log.
            lines.append(
                f'  {_id(move.source or "birth")} -> {_id(move.target)} [label="{move.times:,}", constraint=false'
                # One illegal move among a million shall be seen.
                f"{_LINES[move.kind]}{_weight(move.times, most, least=2 if move.kind == 'illegal' else 1)}];"
            )
    return "\n".join([*lines, "}"]) + "\n"


def table(lifecycle: Lifecycle = OPENAI) -> str:
    """Write a lifecycle as the Markdown table of its steps."""
    rows = [("source", "event", "target", "evidence"), ("", "create", lifecycle.initial, "documented")]
    rows += [(step.source, step.event, step.target, step.evidence) for step in lifecycle.steps]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines) + "\n"


def text(lifecycle: Lifecycle = OPENAI) -> str:
    """
    Draw a lifecycle for a terminal: an arrow for each step, tolerated ones dotted.

    >>> print("".join(text().splitlines(keepends=True)[:3]), end="")
    (birth)      --create-----> validating
    validating   --start------> in_progress
                 --fail-------> failed (final)
    """
    wide = max(map(len, lifecycle.statuses)) + 2
    verb = max(len(step.event) for step in lifecycle.steps) + 3
    lines = [f"{'(birth)':<{wide}}{_arrow('create', verb, '-')} {lifecycle.initial}"]
    for name in lifecycle.statuses:
        shown = name
        for step in lifecycle.steps:
            if step.source == name:
                final = " (final)" * (step.target in lifecycle.terminal)
                stroke = "-" if step.evidence == "documented" else "."
                lines.append(f"{shown:<{wide}}{_arrow(step.event, verb, stroke)} {step.target}{final}")
                shown = ""
    return "\n".join(lines) + "\n"


def svg(lifecycle: Lifecycle = OPENAI, *, taken: Iterable[StepCount] = ()) -> str:
    """
    Draw a lifecycle as SVG, laid out by Graphviz.

    Args:
        lifecycle: The table to draw.
        taken: The moves of batches, as for `dot`.

    Raises:
        MissingExtraError: If neither the extra `report` nor Graphviz itself is
            installed.
    """
    return _graphviz(dot(lifecycle, taken=taken), "-Tsvg").decode()


def png(lifecycle: Lifecycle = OPENAI, *, taken: Iterable[StepCount] = ()) -> bytes:
    """Draw a lifecycle as PNG, 144 dots per inch; otherwise as `svg`."""
    return _graphviz(dot(lifecycle, taken=taken), "-Tpng", "-Gdpi=144")


FORMATS: Final[Mapping[str, Callable[[Lifecycle], str | bytes]]] = MappingProxyType(
    {"mermaid": mermaid, "text": text, "table": table, "dot": dot, "svg": svg, "png": png}
)
"""Every way to draw a lifecycle, by name."""


def _box(lifecycle: Lifecycle, status: str) -> str:
    return f'{status}(["{status}"])' if status in lifecycle.terminal else f'{status}["{status}"]'


def _arrow(event: str, wide: int, stroke: str) -> str:
    return f"{stroke * 2}{event}".ljust(wide + 2, stroke) + ">"


def _id(name: str) -> str:
    """Return a name as an identifier of Graphviz: a word as it is, anything else in quotes."""
    return name if _PLAIN.fullmatch(name) else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _weight(times: int, most: int, least: int = 1) -> str:
    """Return the style of a line that so many batches took; its thickness grows with the logarithm."""
    if not times:
        return ', class=untaken, color="gray60", fontcolor="gray40"'
    return f", penwidth={least + (4 - least) * log2(times) / max(log2(most), 1):.1f}"


def _graphviz(drawing: str, *options: str) -> bytes:
    """Return the output of Graphviz for a drawing: of the extra's program, which pip installs, or the system's."""
    import subprocess  # noqa: PLC0415  # An audit loads this module for `StepCount`, and both take time to load.
    from shutil import which  # noqa: PLC0415

    ours = str(Path(sys.executable).parent)  # Not on PATH where an environment is used without being activated.
    program = which("graphviz-pure", path=ours) or which("graphviz-pure") or which("dot")
    if program is None:
        raise MissingExtraError("a picture", "report")
    ran = subprocess.run(  # noqa: S603  # No shell, and what it reads was written above.
        [program, *options], input=drawing.encode(), stdout=subprocess.PIPE, check=True, timeout=DRAWN_WITHIN_S
    )
    return ran.stdout
