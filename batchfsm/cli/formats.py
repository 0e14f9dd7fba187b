"""The report of an audit as text, JSON, JSON lines, annotations for GitHub, or a file of findings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click

from batchfsm.auditing import Report, save
from batchfsm.escapes import printable
from batchfsm.rules import RULES

STATUS: Final = {"consistent": 0, "inconsistent": 1, "undetermined": 2}
"""The exit status of each verdict."""

_LEVELS: Final = {"error": "error", "warning": "warning", "note": "notice"}


def text(report: Report, *, listed_max: int | None = None) -> str:
    """
    Return the verdict, the counts by rule, the listed findings, the unreadable places, and the verdict again.

    Args:
        report: The report.
        listed_max: How many findings, and how many unreadable places, the text lists at most; None: all of the report.
    """
    verdict = verdict_line(report)
    lines = [verdict, *_dialects(report)]
    if report.not_looked:
        lines.append(f"not checked, because the log lacks what they need: {', '.join(report.not_looked)}")
    parts = [_counts(report), _findings(report, listed_max), _unreadable(report, listed_max), [verdict]]
    for part in filter(None, parts if any(parts[:-1]) else ()):
        lines += ["", *part]
    return "\n".join(lines) + "\n"


def verdict_line(report: Report) -> str:
    """Return the verdict with the numbers that it rests on, places that could not be read included."""
    line = f"{report.verdict}: {_plural(report.snapshots, 'snapshot')} of {_plural(report.batches, 'batch')}"
    if report.unread:
        return f"{line}; {report.unread}"
    return line if report.snapshots else f"{line}; the log holds no batch to check"


def _dialects(report: Report) -> list[str]:
    """Return a line for each dialect that was recognised."""
    return [
        f"  {each.dialect}: {_plural(each.snapshots, 'snapshot')} of {_plural(each.batches, 'batch')}, "
        f"{_plural(each.findings, 'finding')}"
        for each in report.dialects
    ]


def _counts(report: Report) -> list[str]:
    width = max((len(f"{count:,}") for count in report.counts.values()), default=0)
    return [f"  {count:>{width},}  {code}  {RULES[code].name}" for code, count in report.counts.items()]


def _findings(report: Report, listed_max: int | None) -> list[str]:
    listed, total = report.findings[:listed_max], sum(report.counts.values())
    lines = [f"{each.severity} {each.rule} {printable(each.message)}" for each in listed]
    if listed and total > len(listed):
        lines.append(f"(the first {len(listed):,} of {total:,} findings; all of them: --max-findings {total})")
    return lines


def _unreadable(report: Report, listed_max: int | None) -> list[str]:
    listed = report.unreadable[:listed_max]
    if not listed:
        return []
    lines = [f"{_plural(report.unreadable_count, 'place')} could not be read, or not in full:"]
    lines += [f"  {printable(str(each.place))}: {printable(each.problem)}" for each in listed]
    if report.unreadable_count > len(listed):
        lines.append(f"  (the first {len(listed):,}; all of them: --max-findings {report.unreadable_count})")
    return lines


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
"""The formats of a report, by name."""


def write_findings(report: Report, path: Path) -> None:
    """Write the listed findings to a file, and print how many of all findings they are."""
    save(report, path)
    total = sum(report.counts.values())
    click.echo(f"batchfsm: {len(report.findings):,} of {total:,} findings in {printable(str(path))}", err=True)


def _plural(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("ch") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def _escaped(message: str, also: str = "") -> str:
    """Escape a text for GitHub's workflow commands."""
    return "".join(f"%{ord(char):02X}" if char in "%\r\n" + also else char for char in message)
