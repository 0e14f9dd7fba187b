"""The table as Mermaid, DOT or text: documented steps solid, tolerated ones dashed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from batchfsm.lifecycle import OPENAI, Lifecycle


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


def dot(lifecycle: Lifecycle = OPENAI) -> str:
    """Draw a lifecycle in Graphviz's language."""
    lines = [f'digraph "{lifecycle.name}" {{', "  rankdir=LR;", "  birth [shape=point];"]
    lines += [f"  {state.name} [shape={'doublecircle' if state.terminal else 'box'}];" for state in lifecycle.states]
    lines.append(f"  birth -> {lifecycle.initial} [label=create];")
    lines += [
        f"  {step.source} -> {step.target} [label={step.event}"
        f"{', style=dashed' if step.evidence == 'tolerated' else ''}];"
        for step in lifecycle.steps
    ]
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


FORMATS: Final[Mapping[str, Callable[[Lifecycle], str]]] = MappingProxyType(
    {"mermaid": mermaid, "dot": dot, "table": table}
)
"""Every way to draw a lifecycle, by name."""


def _box(lifecycle: Lifecycle, status: str) -> str:
    return f'{status}(["{status}"])' if status in lifecycle.terminal else f'{status}["{status}"]'
