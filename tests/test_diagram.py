"""Diagrams hold the table, the whole table and nothing but the table: they are parsed back."""

import re
import shutil
import subprocess

import pytest

from batchfsm import DIALECTS, OPENAI, diagram

LIFECYCLES = {name: dialect.lifecycle for name, dialect in DIALECTS.items()}


def rows_of(lifecycle):
    """Return the birth and the steps of a lifecycle."""
    steps = [(step.source, step.event, step.target, step.evidence) for step in lifecycle.steps]
    return [("", "create", lifecycle.initial, "documented"), *steps]


def from_mermaid(text):
    """Read the steps of a Mermaid flowchart back, and which statuses are drawn as ends."""
    first, *lines = text.splitlines()
    assert "flowchart LR" == first
    pattern = r'    (\w+)(?:\(\(" "\)\))? (-->|-\.->)\|(\w+)\| (\w+)(\[|\(\[)"(\w+)"(?:\]|\]\))'
    found = [re.fullmatch(pattern, line).groups() for line in lines]
    assert all(name == shown for *_, name, _, shown in found)
    arrows = {"-->": "documented", "-.->": "tolerated"}
    rows = [
        ("" if source == "birth" else source, event, name, arrows[arrow]) for source, arrow, event, name, *_ in found
    ]
    return rows, {name for *_, name, box, _ in found if box == "(["}


def from_dot(text):
    """Read the steps of a DOT graph back, and which statuses are drawn as ends."""
    found = re.findall(r"^  (\w+) -> (\w+) \[label=(\w+)(, style=dashed)?\];$", text, re.MULTILINE)
    rows = [
        ("" if source == "birth" else source, event, target, "tolerated" if dashed else "documented")
        for source, target, event, dashed in found
    ]
    return rows, set(re.findall(r"^  (\w+) \[shape=doublecircle\];$", text, re.MULTILINE))


def from_table(text):
    """Read the steps of a Markdown table back."""
    head, rule, *lines = ([cell.strip() for cell in line.strip("|\n").split("|")] for line in text.splitlines())
    assert ["source", "event", "target", "evidence"] == head
    assert {"-"} == set("".join(rule))
    return [tuple(cells) for cells in lines]


@pytest.mark.parametrize("name", LIFECYCLES)
def test_mermaid_is_the_table(name):
    """Mermaid has every step once, tolerated ones dashed, and final statuses round."""
    lifecycle = LIFECYCLES[name]

    assert (rows_of(lifecycle), lifecycle.terminal) == from_mermaid(diagram.mermaid(lifecycle))


@pytest.mark.parametrize("name", LIFECYCLES)
def test_dot_is_the_table(name):
    """DOT has every step once, tolerated ones dashed, final statuses in two circles, and every status."""
    lifecycle = LIFECYCLES[name]
    text = diagram.dot(lifecycle)

    assert (rows_of(lifecycle), lifecycle.terminal) == from_dot(text)
    assert ["birth", *lifecycle.statuses] == re.findall(r"^  (\w+) \[shape=", text, re.MULTILINE)
    assert text.startswith(f'digraph "{lifecycle.name}" {{\n')
    assert text.endswith("}\n")


@pytest.mark.parametrize("name", LIFECYCLES)
def test_markdown_is_the_table(name):
    """The Markdown table has a row for the birth and for every step, its columns aligned."""
    text = diagram.table(LIFECYCLES[name])

    assert rows_of(LIFECYCLES[name]) == from_table(text)
    assert 1 == len(set(map(len, text.splitlines())))


@pytest.mark.parametrize("name", diagram.FORMATS)
def test_openai_by_default(name):
    """Where no lifecycle is given, it is OpenAI's."""
    assert diagram.FORMATS[name](OPENAI) == diagram.FORMATS[name]()


def test_formats():
    """There are three formats, by name."""
    assert {"mermaid": diagram.mermaid, "dot": diagram.dot, "table": diagram.table} == diagram.FORMATS


def test_graphviz_draws_it():
    """Graphviz takes what is written for it."""
    if (dot := shutil.which("dot")) is None:
        pytest.skip("Graphviz is not installed")
    for lifecycle in LIFECYCLES.values():
        drawn = subprocess.run([dot, "-Tsvg"], input=diagram.dot(lifecycle), capture_output=True, text=True, check=True)

        assert len(rows_of(lifecycle)) == drawn.stdout.count('class="edge"')
