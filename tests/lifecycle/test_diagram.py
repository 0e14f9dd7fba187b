"""Each diagram is parsed, and contains exactly the steps of the lifecycle."""

import re
import shutil
import subprocess
import sys
from itertools import pairwise

import pytest

from batchfsm import DIALECTS, OPENAI, Lifecycle, MissingExtraError, State, Step, diagram
from batchfsm.diagram import StepCount

LIFECYCLES = {name: dialect.lifecycle for name, dialect in DIALECTS.items()}


def rows_of(lifecycle):
    """Return the birth and the steps of a lifecycle."""
    steps = [(step.source, step.event, step.target, step.evidence) for step in lifecycle.steps]
    return [("", "create", lifecycle.initial, "documented"), *steps]


def from_mermaid(text):
    """Return the steps of a Mermaid flowchart, and the statuses that are drawn as final."""
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
    """Return the steps of a DOT graph, and the statuses that are drawn as final."""
    found = re.findall(r"^  (\w+) -> (\w+) \[label=(\w+)(, style=dashed)?\];$", text, re.MULTILINE)
    rows = [
        ("" if source == "birth" else source, event, target, "tolerated" if dashed else "documented")
        for source, target, event, dashed in found
    ]
    return rows, set(re.findall(r"^  (\w+) \[style=rounded, peripheries=2\];$", text, re.MULTILINE))


def from_table(text):
    """Return the steps of a Markdown table."""
    head, rule, *lines = ([cell.strip() for cell in line.strip("|\n").split("|")] for line in text.splitlines())
    assert ["source", "event", "target", "evidence"] == head
    assert {"-"} == set("".join(rule))
    return [tuple(cells) for cells in lines]


def from_text(text):
    """Return the steps of the diagram in plain text."""
    rows, source = [], ""
    for line in text.splitlines():
        name, event, target = re.fullmatch(
            r"(\(birth\)|\w*) +((?:--|\.\.)\w+[-.]+)> (\w+)(?: \(final\))?", line
        ).groups()
        source = name or source
        evidence = "documented" if event.startswith("--") else "tolerated"
        rows.append(("" if source == "(birth)" else source, event.strip("-."), target, evidence))
    return rows


def from_svg(text):
    """Return the steps and the boxes of an SVG picture, both sorted."""
    boxes = re.findall(r'class="node">\n<title>(\w+)</title>', text)
    edges = re.findall(
        r'class="edge">\n<title>(\w+)&#45;&gt;(\w+)</title>\n<path[^>]*?(stroke-dasharray)?(?:="[\d,]+")? d=.*?>(\w+)</text>',
        text,
        re.DOTALL,
    )
    rows = [
        ("" if source == "birth" else source, event, target, "tolerated" if dashed else "documented")
        for source, target, dashed, event in edges
    ]
    return sorted(rows), sorted(set(boxes) - {"birth"})


@pytest.mark.parametrize("name", LIFECYCLES)
def test_mermaid_is_the_table(name):
    """Mermaid has every step once; tolerated steps are dashed, and final statuses are round."""
    lifecycle = LIFECYCLES[name]

    assert (rows_of(lifecycle), lifecycle.terminal) == from_mermaid(diagram.mermaid(lifecycle))


@pytest.mark.parametrize("name", LIFECYCLES)
def test_dot_is_the_table(name):
    """DOT has every status and every step once; tolerated steps are dashed, and final statuses have a double border."""
    lifecycle = LIFECYCLES[name]
    text = diagram.dot(lifecycle)

    assert (rows_of(lifecycle), lifecycle.terminal) == from_dot(text)
    assert list(lifecycle.statuses) == re.findall(r"^  (\w+) \[style=", text, re.MULTILINE)
    assert text.startswith(f"digraph {lifecycle.name} {{\n")
    assert text.endswith("}\n")


@pytest.mark.parametrize("name", LIFECYCLES)
def test_markdown_is_the_table(name):
    """The Markdown table has a row for the birth and for each step, and aligned columns."""
    text = diagram.table(LIFECYCLES[name])

    assert rows_of(LIFECYCLES[name]) == from_table(text)
    assert 1 == len(set(map(len, text.splitlines())))


@pytest.mark.parametrize("name", LIFECYCLES)
def test_a_terminal_gets_the_table(name):
    """The text has an arrow for each step, dotted for tolerated ones, in at most 80 columns of ASCII."""
    lifecycle = LIFECYCLES[name]
    text = diagram.text(lifecycle)

    assert sorted(rows_of(lifecycle)) == sorted(from_text(text))
    assert lifecycle.terminal == set(re.findall(r"(\w+) \(final\)$", text, re.MULTILINE))
    assert 80 >= max(map(len, text.splitlines()))
    assert text.isascii()
    assert 1 == len({line.index("> ") for line in text.splitlines()})


@pytest.mark.parametrize("name", LIFECYCLES)
def test_a_picture_is_the_table(name):
    """SVG has every step once, dashed for tolerated ones, and a box for each status."""
    lifecycle = LIFECYCLES[name]

    assert (sorted(rows_of(lifecycle)), sorted(lifecycle.statuses)) == from_svg(diagram.svg(lifecycle))


def test_png():
    """A PNG has the layout of the SVG, with twice its pixels."""
    drawn = diagram.png()
    points = float(re.search(r'<svg width="(\d+)pt"', diagram.svg())[1])

    assert b"\x89PNG\r\n\x1a\n" == drawn[:8]
    assert pytest.approx(2 * points, abs=4) == int.from_bytes(drawn[16:20])


@pytest.mark.parametrize("draw", [diagram.svg, diagram.png])
def test_without_graphviz(draw, tmp_path, monkeypatch):
    """Without Graphviz, the error contains the command that installs it."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        MissingExtraError,
        match=r"^a picture needs more packages: pip install 'batchfsm\[report\]' \(in a clone: pip install '\.\[report\]'\)$",
    ):
        draw()


# ---------------------------------------------------------------- counts of steps


def test_steps_say_how_many_took_them():
    """A step with a count has it in its label and in its line width; a step without one is grey."""
    taken = [
        StepCount(None, "validating", 1000),
        StepCount("validating", "in_progress", 999),
        StepCount("validating", "failed", 1),
    ]
    text = diagram.dot(taken=taken)

    assert '  birth -> validating [label="create\\n1,000", penwidth=4.0];\n' in text
    assert '  validating -> failed [label="fail\\n1", penwidth=1.0];\n' in text
    assert '  cancelling -> cancelled [label=stop, class=untaken, color="gray60", fontcolor="gray40"];\n' in text
    assert 'validating -> expired [label=expire, style=dashed, class=untaken, color="gray60"' in text


def test_what_is_no_step_is_drawn_besides():
    """A gap is dotted and an illegal move is red, and neither changes the layout."""
    taken = [StepCount("in_progress", "completed", 1, "gap"), StepCount("completed", "in_progress", 2, "illegal")]
    text = diagram.dot(taken=taken)

    assert '  in_progress -> completed [label="1", constraint=false, style=dotted, class=gap, penwidth=1.0];\n' in text
    illegal = 'label="2", constraint=false, class=illegal, color=red, fontcolor=red, penwidth=4.0'
    assert f"  completed -> in_progress [{illegal}];\n" in text
    assert 2 == diagram.svg(taken=taken).count('class="edge gap"') + diagram.svg(taken=taken).count("edge illegal")


def test_a_birth_elsewhere_is_drawn():
    """A birth in a status other than the initial one is drawn too."""
    assert '  birth -> failed [label="1", constraint=false, penwidth=1.0];\n' in diagram.dot(
        taken=[StepCount(None, "failed", 1)]
    )


def test_graphviz_keeps_its_words():
    """Names that are Graphviz keywords or markup are quoted, and appear unchanged."""
    names = ("node", 'a "b" \\c', "in-progress", "Subgraph")
    steps = [Step(source, "go", target) for source, target in pairwise(names)]
    states = [State(name, terminal=name == names[-1]) for name in names]
    lifecycle = Lifecycle(name="my own", states=tuple(states), steps=tuple(steps), initial="node")

    assert ["&quot;b&quot;", "node"] == sorted(
        {"&quot;b&quot;", "node", "evil"} & set(re.split(r"[<> ]", diagram.svg(lifecycle)))
    )
    assert len(steps) + 1 == diagram.svg(lifecycle).count('class="edge"')


# ---------------------------------------------------------------- all formats


@pytest.mark.parametrize("name", diagram.FORMATS)
def test_openai_by_default(name):
    """Without an argument, the diagram is of OpenAI's lifecycle."""
    assert diagram.FORMATS[name](OPENAI) == diagram.FORMATS[name]()


def test_formats():
    """`FORMATS` has each format with its function."""
    names = ["mermaid", "text", "table", "dot", "svg", "png"]

    assert {name: getattr(diagram, name) for name in names} == diagram.FORMATS


def test_graphviz_draws_it():
    """Graphviz accepts the DOT output."""
    if (dot := shutil.which("dot")) is None:
        pytest.skip("Graphviz is not installed")
    for lifecycle in LIFECYCLES.values():
        drawn = subprocess.run([dot, "-Tsvg"], input=diagram.dot(lifecycle), capture_output=True, text=True, check=True)

        assert len(rows_of(lifecycle)) == drawn.stdout.count('class="edge"')
