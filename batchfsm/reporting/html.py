"""The report of an audit: one HTML file without dependencies."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from os import PathLike
from types import MappingProxyType
from typing import Any, Final

from batchfsm.atomic_file import open_atomic
from batchfsm.auditing import LogStatistics, Report
from batchfsm.errors import needs_extra
from batchfsm.escapes import printable
from batchfsm.explain import bars, clock, span, timeline_title
from batchfsm.finding import Finding
from batchfsm.history import BatchTimeline
from batchfsm.reporting.charts import dwell_times_svg, findings_over_time_svg, quantile, steps_svg
from batchfsm.reporting.vega import COLOURS, OTHER, converter
from batchfsm.rules import RULES, batch_label

_VERDICTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "consistent": "No finding of severity error.",
        "inconsistent": "At least one finding of severity error.",
        "undetermined": "No error was found, but not everything was checked: the log may hold errors.",
    }
)
_EMPTY: Final = "The log holds no batch snapshots."
_NOTHING_NEW: Final = "Nothing new: the state file has all of this log."
_SHARES: Final = (0.1, 0.5, 0.9)
_TO_MINUTES: Final = len("2025-10-09 08:53")  # Findings are counted in spans of a minute or more.


def write_report(report: Report, path: str | PathLike[str], *, title: str = "Audit of batches") -> None:
    """
    Write the report of an audit as one HTML file, which loads nothing and opens from a disk.

    Args:
        report: The result of `audit`. Without `statistics` the page has no pictures,
            and a sentence instead.
        path: The file to write.
        title: The title of the page.

    Raises:
        MissingExtraError: If the extra `report` is not installed.
        OSError: If the file cannot be written; then it is as it was.
        TypeError: If `report` is no result of `audit`.
    """
    if not isinstance(report, Report):
        raise TypeError(f"report is a Report, the result of audit, not {type(report).__name__}")
    text = page(report, title=title)
    with open_atomic(path) as binary:
        binary.write(text.encode())


def ready() -> None:
    """Raise MissingExtraError if the extra for reports is not installed; call it before a long audit."""
    _jinja()
    converter()


def page(report: Report, *, title: str) -> str:
    """Return the page as text."""
    jinja = _jinja()
    here = files("batchfsm.reporting") / "templates"
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    # Jinja2 escapes every value but Markup, which is our own style, script and drawings.
    environment = jinja.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja.StrictUndefined
    )
    environment.filters |= {
        "safe_text": printable,
        "clock": clock,
        "span": span,
        "message": _message,
        "id_parts": _id_parts,
    }
    template = environment.from_string((here / "page.html").read_text(encoding="utf-8"))
    statistics = report.statistics if report.snapshots else None
    found: str = template.render(
        title=title,
        version=version("batchfsm"),
        style=_markup(style),
        script=_markup(script),
        script_digest=b64encode(sha256(script.encode()).digest()).decode(),
        report=report,
        verdict_text=_verdict_text(report),
        rules=[_rule(code, report) for code in report.counts],
        total=sum(report.counts.values()),
        statistics=statistics,
        lifecycle=_markup(steps_svg(statistics)) if statistics else "",
        dwell=_markup(dwell_times_svg(statistics)) if statistics and statistics.dwell_times else "",
        stays=_stays(statistics) if statistics else [],
        over_time=_markup(findings_over_time_svg(statistics)) if statistics and statistics.findings_over_time else "",
        troubled=[
            _timeline(timeline, report.by_batch().get(timeline.batch_id, ()))
            for timeline in statistics.failing_examples
        ]
        if statistics
        else [],
        clean=[_timeline(timeline, ()) for timeline in statistics.clean_examples] if statistics else [],
    )
    return found


def _verdict_text(report: Report) -> str:
    """Return the sentence below the verdict."""
    if report.snapshots:
        return _VERDICTS[report.verdict]
    return _NOTHING_NEW if report.skipped and not report.places else _EMPTY


def _id_parts(batch_id: str | None) -> tuple[str, str]:
    """Return an id in two parts: what messages show of it, and the end of a long one, which paper leaves out."""
    label = batch_label(batch_id or "")
    chars = len(label) if label == batch_id else len(label.removesuffix("..."))
    return printable((batch_id or "")[:chars]), printable((batch_id or "")[chars:])


def _message(finding: Finding) -> str:
    """Return the message of a finding without the id of its batch, which has a column of its own."""
    return finding.message.removeprefix(f"{batch_label(finding.batch_id)} ") if finding.batch_id else finding.message


def _place_of_rule(found: tuple[str, str]) -> tuple[int, str]:
    """Return the place of a rule and a severity: rules have one order everywhere on the page."""
    rule, severity = found
    return [*RULES].index(rule), severity


def _rule(code: str, report: Report) -> dict[str, Any]:
    """Return a rule with the counts and times of its findings."""
    rule, statistics = RULES[code], report.statistics
    spans = (
        [at for (found, _), each in statistics.findings_over_time.items() if found == code for at in each]
        if statistics
        else []
    )
    severities = [severity for found, severity in statistics.findings_over_time if found == code] if statistics else []
    severities = severities or [finding.severity for finding in report.findings if finding.rule == code]
    return {
        "code": code,
        "name": rule.name,
        "severities": [*dict.fromkeys(severities)] or [rule.severity],
        "count": report.counts[code],
        "description": rule.description,
        "remedy": rule.remedy,
        "first": clock(min(spans))[:_TO_MINUTES] if spans else "",
        "last": clock(max(spans))[:_TO_MINUTES] if spans else "",
    }


def _stays(statistics: LogStatistics) -> list[dict[str, Any]]:
    return [
        {
            "status": status,
            "count": sum(stays.values()),
            "quantiles": [quantile(stays, share) for share in _SHARES],
            "longest": max(stays),
        }
        for status, stays in statistics.dwell_times.items()
    ]


def _timeline(timeline: BatchTimeline, findings: tuple[Finding, ...]) -> dict[str, Any]:
    """Return the data of a timeline for the template; `left` and `width` are percentages of its whole time."""
    drawn = bars(timeline)
    times = [time for bar in drawn for time in (bar.at, bar.end) if time is not None] or [0]
    begun, whole = min(times), max(max(times) - min(times), 1)
    return {
        "id": timeline.batch_id,
        "caption": timeline_title(timeline).partition(" · ")[2],
        "findings": sorted({(each.rule, each.severity) for each in findings}, key=_place_of_rule),
        "whole": max(times) - begun,
        "begun": begun,
        "bars": [
            {
                "status": bar.status,
                "colour": COLOURS.get(bar.status, OTHER),
                "at": bar.at,
                "left": round(100 * ((bar.at or 0) - begun) / whole, 2),
                "width": round(100 * max((bar.end or 0) - (bar.at or 0), 0) / whole, 2),
                "stay": (bar.end or 0) - (bar.at or 0),
                "terminal": bar.terminal,
                "seen": bar.seen,
            }
            for bar in drawn
        ],
    }


def _markup(text: str) -> Any:
    """Mark a string as safe HTML."""
    import markupsafe  # noqa: PLC0415  # Jinja2 depends on it.

    return markupsafe.Markup(text)  # noqa: S704  # Never called with text of a log.


def _jinja() -> Any:
    """Return the template library; MissingExtraError if it is not installed."""
    with needs_extra("a report", "report"):
        import jinja2  # noqa: PLC0415  # An extra.
    return jinja2
