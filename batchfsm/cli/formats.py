"""The report of an audit as text, JSON, JSON lines, annotations for GitHub, or a file of findings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click

from batchfsm.auditing import Report, save
from batchfsm.escapes import printable
from batchfsm.finding import Finding
from batchfsm.rules import RULES, kinds

STATUS: Final = {"consistent": 0, "inconsistent": 1, "undetermined": 2}
"""The exit status of each verdict."""

TERMINAL_FINDINGS_MAX: Final = 20
"""How many findings a terminal lists by default: the verdict and the counts stay on the screen."""

UNREADABLE_MAX: Final = 20
"""How many unreadable places are listed on standard output by default: a file that is no log has one in each line."""

_LEVELS: Final = {"error": "error", "warning": "warning", "note": "notice"}
"""GitHub's word for each severity, the worst first."""


def text(report: Report, *, listed_max: int | None = None, unreadable_max: int | None = None) -> str:
    """
    Return the verdict, the counts by rule, the listed findings, the unreadable places, and the verdict again.

    Args:
        report: The report.
        listed_max: How many findings the text lists at most; None: all of the report.
        unreadable_max: The same for unreadable places.
    """
    verdict = verdict_line(report)
    lines = [verdict, *_dialects(report), *_not_looked(report)]
    counts = counts_table(report.counts, {code: rule.name for code, rule in RULES.items()})
    hidden = _rules_of_absent_fields(report)
    listed = tuple(each for each in report.findings if each.rule not in hidden)
    total = sum(count for code, count in report.counts.items() if code not in hidden)
    findings = [*_absent_fields(report, hidden), *findings_list(listed, total, listed_max)]
    parts = [counts, findings, _unreadable(report, unreadable_max), [verdict]]
    for part in filter(None, parts if any(parts[:-1]) else ()):
        lines += ["", *part]
    return "\n".join(lines) + "\n"


def verdict_line(report: Report) -> str:
    """Return the verdict with the numbers that it rests on, places that could not be read included."""
    line = f"{report.verdict}: {plural(report.snapshots, 'snapshot')} of {plural(report.batches, 'batch')}"
    if report.unread:
        return f"{line}; {report.unread}"
    if report.snapshots:
        return line
    return f"{line}; {'nothing new: the state file has all of this log' if report.skipped else 'the log is empty'}"


def _not_looked(report: Report) -> list[str]:
    """Return one line about the rules that could not be checked, if there are any."""
    rules = ", ".join(report.not_looked)
    return [f"not checked, because the log lacks what they need: {rules}"] if rules else []


def _dialects(report: Report) -> list[str]:
    """Return a line for each dialect that was recognised."""
    return [
        f"  {each.dialect}: {plural(each.snapshots, 'snapshot')} of {plural(each.batches, 'batch')}, "
        f"{plural(each.findings, 'finding')}"
        for each in report.dialects
    ]


def _rules_of_absent_fields(report: Report) -> list[str]:
    """
    Return the rules that a log of little but ids and statuses breaks with every row; none for any other log.

    Such a log has several snapshots, each with a finding of S001 on `created_at`, and statuses without their stamps.
    """
    has_times = report.counts.get("S001", 0) < max(report.snapshots, 2) or "P101" not in report.counts
    if has_times or any({*each.fields} != {"created_at"} for each in report.findings if each.rule == "S001"):
        return []
    about_absence = kinds.MustBeSet | kinds.OwnStampMissing | kinds.SkippedStamp
    return [code for code in report.counts if isinstance(RULES[code].kind, about_absence)]


def _absent_fields(report: Report, hidden: list[str]) -> list[str]:
    """Return one line in place of the findings of the hidden rules."""
    if not hidden:
        return []
    number, codes = sum(report.counts[code] for code in hidden), ",".join(hidden)
    line = (
        f"no snapshot has created_at: {plural(number, 'finding')} on fields that this log does not keep are not listed"
    )
    return [f"{line} (all of them: --format jsonl; the other rules alone: --ignore {codes})"]


def counts_table(counts: Mapping[str, int], names: Mapping[str, str]) -> list[str]:
    """Return a line with count, code and name for each rule that has findings."""
    width = max((len(f"{count:,}") for count in counts.values()), default=0)
    return [f"  {count:>{width},}  {code}  {names[code]}" for code, count in counts.items()]


def findings_list(findings: tuple[Finding, ...], total: int, listed_max: int | None) -> list[str]:
    """
    Return a line for each finding, and the option that lists all of them.

    If not all may be listed, the first finding of each rule comes before the second of any, errors before warnings and
    notes; the lines keep the order of the findings.

    Args:
        findings: The findings that the report holds.
        total: How many findings there are.
        listed_max: How many are listed at most; None: all that the report holds.
    """
    listed = findings if listed_max is None or len(findings) <= listed_max else _sample(findings, listed_max)
    lines = [f"{each.severity} {each.rule} {printable(each.message)}" for each in listed]
    if listed and total > len(listed):
        which = f"{len(listed):,} of {total:,} findings"
        is_first = listed == findings[: len(listed)]
        which = f"the first {which}" if is_first else f"{which}, from as many rules as possible"
        lines.append(f"({which}; all of them: --max-findings {total})")
    return lines


def _sample(findings: tuple[Finding, ...], number: int) -> tuple[Finding, ...]:
    """Return findings of as many rules as possible, in their order."""
    earlier: Counter[str] = Counter()
    severities, ranked = [*_LEVELS], []
    for place, each in enumerate(findings):
        ranked.append((earlier[each.rule], severities.index(each.severity), place))
        earlier[each.rule] += 1
    return tuple(findings[place] for place in sorted(place for *_, place in sorted(ranked)[:number]))


def _unreadable(report: Report, listed_max: int | None) -> list[str]:
    listed = report.unreadable[:listed_max]
    if not listed:
        return []
    lines = [f"{plural(report.unreadable_count, 'place')} could not be read, or not in full:"]
    lines += [f"  {printable(str(each.place))}: {printable(each.problem)}" for each in listed]
    if report.unreadable_count > len(listed):
        lines.append(f"  (the first {len(listed):,}; all of them: --max-findings {report.unreadable_count})")
    if report.verdict == "undetermined" and report.snapshots and not (report.is_cut_off or report.not_looked):
        lines.append(f"  (if such places are normal in this log: --allow-unreadable {report.unreadable_count})")
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
    lines += [f"batchfsm: {line}" for line in (*_not_looked(report), verdict_line(report))]
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


def plural(number: int, noun: str) -> str:
    """Return a number with its noun: `1 batch`, `2,000 batches`."""
    ending = "" if number == 1 else "es" if noun.endswith("ch") else "s"
    return f"{number:,} {noun}{ending}"


def _escaped(message: str, also: str = "") -> str:
    """Escape a text for GitHub's workflow commands."""
    return "".join(f"%{ord(char):02X}" if char in "%\r\n" + also else char for char in message)
