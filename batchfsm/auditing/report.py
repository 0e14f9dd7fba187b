"""The report of an audit: a verdict, exact counts, and the first findings with their witnesses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from batchfsm.auditing.findings_table import to_table
from batchfsm.auditing.statistics import LogStatistics
from batchfsm.finding import Finding, Verdict
from batchfsm.logs import UnreadableEntry

FINDINGS_MAX: Final = 1_000
"""How many findings, and how many unreadable places, a report lists by default."""


@attrs.frozen(kw_only=True)
class DialectSummary:
    """The share of one dialect in a log whose dialects were recognised."""

    dialect: str
    """Its name."""

    snapshots: int
    """Number of its snapshots that were checked."""

    batches: int
    """Number of their batches, by id."""

    findings: int
    """Number of findings of its snapshots, of all severities."""


@attrs.frozen(kw_only=True, eq=False)
class Report:
    """The result of an audit."""

    verdict: Verdict
    """`inconsistent`: an error was found. `undetermined`: none was found, but something was not checked: the whole log,
    more unreadable places than allowed, the rest of a log that is cut off, or a selected rule."""

    snapshots: int
    """Number of snapshots that were checked."""

    batches: int
    """Number of their batches, by id."""

    places: int
    """Number of places that are not empty: lines of a file, rows of a table, objects of an iterable."""

    unreadable_count: int
    """Number of places that could not be read, or not in full; exact."""

    unreadable: tuple[UnreadableEntry, ...]
    """The first unreadable places."""

    is_cut_off: bool = False
    """True if the log is incomplete: a compressed file, or a JSON array, has no end."""

    counts: Mapping[str, int]
    """Number of findings of each rule that has any; exact, in the order of the rules."""

    findings: tuple[Finding, ...]
    """The first findings in the order of the log, up to `max_findings`."""

    not_looked: tuple[str, ...] = ()
    """Selected rules that could not check the log, because it lacks the fields that they need."""

    dialects: tuple[DialectSummary, ...] = ()
    """The dialects that `dialect="auto"` recognised, in the order of `DIALECTS`; empty if the dialect was named."""

    skipped: tuple[str, ...] = ()
    """Files of the log that were not read, because the state file has them from an earlier audit."""

    remarks: tuple[str, ...] = ()
    """Remarks on the run itself, such as how it could have been faster."""

    statistics: LogStatistics | None = None
    """The data of the charts of `batchfsm.write_report`; None if it was not collected."""

    def __repr__(self) -> str:
        """Show the verdict, the size of the log and the number of findings of each rule."""
        size = f"{self.snapshots} snapshot{'' if self.snapshots == 1 else 's'}"
        size += f" of {self.batches} batch{'' if self.batches == 1 else 'es'}"
        parts = [size, *(f"{rule} {number}" for rule, number in self.counts.items())]
        return f"<Report {self.verdict}: {', '.join(parts)}{f'; {self.unread}' if self.unread else ''}>"

    @property
    def ok(self) -> bool:
        """True if the verdict is `consistent`."""
        return self.verdict == "consistent"

    @property
    def unread(self) -> str:
        """The unreadable share of the log, as part of a sentence; empty if all of it was read."""
        parts = []
        if self.unreadable_count:
            noun = "place" if self.places == 1 else "places"
            parts.append(f"{self.unreadable_count:,} of {self.places:,} {noun} could not be read, or not in full")
        if self.is_cut_off:
            parts.append("the log is cut off")
        return "; ".join(parts)

    def by_batch(self) -> dict[str | None, tuple[Finding, ...]]:
        """Return the listed findings by batch id; those of batches without id by None."""
        grouped: dict[str | None, list[Finding]] = {}
        for finding in self.findings:
            grouped.setdefault(finding.batch_id, []).append(finding)
        return {batch_id: tuple(found) for batch_id, found in grouped.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values; of a log that was not checked whole, also the reasons."""
        reasons = {
            "places": self.places,
            "is_cut_off": self.is_cut_off,
            "not_looked": list(self.not_looked),
            "skipped": list(self.skipped),
        }
        is_whole = self.verdict != "undetermined" and not (self.is_cut_off or self.not_looked or self.skipped)
        return {
            "verdict": self.verdict,
            "snapshots": self.snapshots,
            "batches": self.batches,
            **({} if is_whole else reasons),
            "unreadable_count": self.unreadable_count,
            "unreadable": [
                {"source": each.place.source, "line": each.place.line, "problem": each.problem}
                for each in self.unreadable
            ],
            "counts": dict(self.counts),
            "findings": [finding.to_dict() for finding in self.findings],
        } | ({"dialects": [attrs.asdict(each) for each in self.dialects]} if self.dialects else {})

    def to_frame(self) -> Any:
        """
        Return the listed findings as a `pyarrow.Table`, a row each; its schema is the same without any.

        Columns: `rule`, `name`, `severity`, `batch_id`, `source`, `line`, `known_source`, `known_line` (the earlier
        place that the finding contradicts), `observed_at` (Unix seconds), `fields` (text of JSON) and `message`. Null
        means unknown.

        Raises:
            MissingExtraError: If pyarrow is not installed.
        """
        return to_table(self.findings)

    def to_json(self) -> str:
        """Return the report as one JSON document, pure ASCII: no id can disturb a terminal."""
        return json.dumps(self.to_dict(), indent=2)
