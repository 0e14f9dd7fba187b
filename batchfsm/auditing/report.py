"""What an audit found: a verdict, exact counts, and the first findings with their witnesses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from batchfsm.auditing.findings_table import frame
from batchfsm.auditing.statistics import LogStatistics
from batchfsm.finding import Finding, Verdict
from batchfsm.logs import UnreadableEntry

FINDINGS_MAX: Final = 1_000
"""How many findings, and how many unreadable places, a report lists by default."""


@attrs.frozen(kw_only=True, eq=False)
class Report:
    """What an audit found."""

    verdict: Verdict
    """`inconsistent`: an error was found; `undetermined`: none, and not all that was asked was judged."""

    snapshots: int
    """How many snapshots were judged."""

    batches: int
    """How many batches they are of, by id."""

    unreadable_count: int
    """How many objects or lines could not be read, or not in full; exact."""

    unreadable: tuple[UnreadableEntry, ...]
    """The first of them, each with its place."""

    counts: Mapping[str, int]
    """How many findings each rule has; exact, in the order of the rules, rules without findings left out."""

    findings: tuple[Finding, ...]
    """The first findings in the order of the log, as many as were asked for."""

    not_looked: tuple[str, ...] = ()
    """What was selected and could not look, because the log has not what it needs."""

    remarks: tuple[str, ...] = ()
    """What there is to say of the run itself, such as how it could have been faster."""

    flow: LogStatistics | None = None
    """What the batches went through, for the pictures of a report; None if it was not gathered."""

    @property
    def ok(self) -> bool:
        """True if the verdict is `consistent`."""
        return self.verdict == "consistent"

    def by_batch(self) -> dict[str | None, tuple[Finding, ...]]:
        """Return the listed findings by batch id; None for those of batches without one."""
        grouped: dict[str | None, list[Finding]] = {}
        for finding in self.findings:
            grouped.setdefault(finding.batch_id, []).append(finding)
        return {batch_id: tuple(found) for batch_id, found in grouped.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "verdict": self.verdict,
            "snapshots": self.snapshots,
            "batches": self.batches,
            "unreadable_count": self.unreadable_count,
            "unreadable": [
                {"source": each.place.source, "line": each.place.line, "problem": each.problem}
                for each in self.unreadable
            ],
            "counts": dict(self.counts),
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def to_frame(self) -> Any:
        """
        Return the listed findings as a `pyarrow.Table`, a row each; its schema is the same without any.

        Columns: `rule`, `name`, `severity`, `batch_id`, `source`, `line`, `known_source`, `known_line` (the earlier
        place that the finding contradicts), `observed_at` (Unix seconds), `fields` (text of JSON) and `message`. Null
        is what nobody knows.

        Raises:
            MissingExtraError: If pyarrow is not installed.
        """
        return frame(self.findings)

    def to_json(self) -> str:
        """Return it as one JSON document, pure ASCII: no id can disturb a terminal."""
        return json.dumps(self.to_dict(), indent=2)
