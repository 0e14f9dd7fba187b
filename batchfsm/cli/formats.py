"""A report as text for people, JSON for machines, and annotations for GitHub."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from rich.console import Console
from rich.text import Text

from batchfsm.auditing import Report
from batchfsm.explain import printable
from batchfsm.rules import RULES

STATUS: Final = {"consistent": 0, "inconsistent": 1, "undetermined": 2}
"""The exit status of each verdict."""

_COLOURS: Final = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_LEVELS: Final = {"error": "error", "warning": "warning", "note": "notice"}
_WORDS: Final = re.compile(r"\b(error|warning|note|inconsistent|consistent|undetermined)\b")


def text(report: Report) -> str:
    """Return the verdict, the counts by rule, and the listed findings, each on a line that says where."""
    lines = [f"{report.verdict}: {_many(report.snapshots, 'snapshot')} of {_many(report.batches, 'batch')}"]
    if report.not_looked:
        lines.append(f"could not look, for the log has not what they need: {', '.join(report.not_looked)}")
    if report.counts:
        lines.append("")
        wide = max(len(f"{count:,}") for count in report.counts.values())
        lines += [f"  {count:>{wide},}  {code}  {RULES[code].name}" for code, count in report.counts.items()]
    if report.findings:
        lines.append("")
        lines += [f"{each.severity} {each.rule} {printable(each.message)}" for each in report.findings]
        total = sum(report.counts.values())
        if total > len(report.findings):
            lines.append(f"(the first {len(report.findings):,} of {total:,} findings; see --max-findings)")
    if report.unreadable_count:
        lines += ["", f"{_many(report.unreadable_count, 'place')} could not be read, or not in full:"]
        lines += [f"  {printable(str(each.place))}: {printable(each.problem)}" for each in report.unreadable]
        if report.unreadable_count > len(report.unreadable):
            lines.append(f"  (the first {len(report.unreadable):,})")
    return "\n".join(lines) + "\n"


def as_json(report: Report) -> str:
    """Return the report as one JSON document."""
    return report.to_json() + "\n"


def as_jsonl(report: Report) -> str:
    """Return the listed findings, one JSON object a line."""
    return "".join(json.dumps(finding.to_dict()) + "\n" for finding in report.findings)


def as_github(report: Report) -> str:
    """Return the listed findings as workflow commands, which GitHub shows beside the lines of the log."""
    lines = []
    for finding in report.findings:
        place = finding.where[-1] if finding.where else None
        where = "" if place is None else f"file={_escaped(printable(place.source), ',:')},line={place.line},"
        title = f"{finding.rule} {finding.name}"
        lines.append(f"::{_LEVELS[finding.severity]} {where}title={title}::{_escaped(printable(finding.message))}")
    for each in report.unreadable:
        where = f"file={_escaped(printable(each.place.source), ',:')},line={each.place.line}"
        lines.append(f"::warning {where},title=unreadable::{_escaped(printable(each.problem))}")
    lines.append(f"batchfsm: {report.verdict}")
    return "\n".join(lines) + "\n"


FORMATS: Final[Mapping[str, Callable[[Report], str]]] = MappingProxyType(
    {"text": text, "json": as_json, "jsonl": as_jsonl, "github": as_github}
)
"""Every way to write a report, by name."""


def paint(printed: str) -> None:
    """Print text that is safe already, its severities in colour on a terminal that wants it."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        sys.stdout.write(printed)
        return
    console = Console(highlight=False, soft_wrap=True)
    colours = _COLOURS | {"inconsistent": "bold red", "consistent": "green", "undetermined": "yellow"}
    for line in printed.splitlines():
        painted = Text(line)
        if (word := _WORDS.match(line)) is not None:
            painted.stylize(colours[word[0]], 0, word.end())
        console.print(painted)


def _many(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("ch") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def _escaped(message: str, also: str = "") -> str:
    """Escape as GitHub's workflow commands ask for."""
    return "".join(f"%{ord(char):02X}" if char in "%\r\n" + also else char for char in message)
