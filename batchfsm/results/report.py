"""The report of an audit of result files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import attrs

from batchfsm.finding import Finding, Verdict
from batchfsm.logs import TruncatedStreamError
from batchfsm.results.lines import MalformedLineError, parse_request
from batchfsm.results.sources import LineFile


@attrs.frozen(kw_only=True)
class Counts:
    """Numbers of requests and answers."""

    requests: int
    """Distinct ids of the input file."""

    answered: int
    """Requests with a good answer: a response with a status below 400."""

    failed: int
    """Requests whose only answers are errors."""

    unanswered: int
    """Requests without an answer, or with an answer that says that they were never run."""


@attrs.frozen(kw_only=True, eq=False)
class ResultsReport:
    """Verdict, counts and findings for the result files of a batch."""

    verdict: Verdict
    """`inconsistent`: a finding of severity error; `undetermined`: none, but the input has no request, a file ends
    early, or the batch has not ended."""

    counts: Counts
    """Numbers of requests and answers."""

    counts_by_rule: Mapping[str, int]
    """Number of findings of each rule that has any; exact."""

    findings: tuple[Finding, ...]
    """The first findings: of the input, of the answers in the order of the files, then R601 and R605."""

    answered: tuple[str, ...]
    """The ids of requests with a good answer, in the order of the input."""

    failed: tuple[str, ...]
    """The ids of failed requests, in the order of the input."""

    unanswered: tuple[str, ...]
    """The ids without an answer, or that were never run (`batch_expired`, `batch_cancelled`), in the order of
    the input."""

    incomplete: tuple[str, ...] = ()
    """A sentence for each reason why the verdict is not `consistent` although no rule is broken."""

    requests: LineFile = attrs.field(repr=False)
    """The input file, for `remaining`."""

    def __repr__(self) -> str:
        """Show the verdict, the numbers of requests and the number of findings of each rule."""
        counts = ", ".join(f"{name} {number}" for name, number in attrs.asdict(self.counts).items())
        rules = "".join(f", {rule} {number}" for rule, number in self.counts_by_rule.items())
        return f"<ResultsReport {self.verdict}: {counts}{rules}>"

    @property
    def ok(self) -> bool:
        """True if the verdict is `consistent`."""
        return self.verdict == "consistent"

    def remaining(self, *, failed: bool = False) -> Iterator[bytes]:
        """
        Yield the lines of the input file to send again, as they are in the file, each with a line end.

        A request whose id is in the input twice is yielded once. The input is read again: a file must not have changed.

        Args:
            failed: Whether failed requests are among them; otherwise only unanswered ones.

        Raises:
            OSError: If the input file can no longer be read.
        """
        wanted: dict[str | None, bool] = dict.fromkeys((*self.unanswered, *(self.failed if failed else ())), True)
        with suppress(TruncatedStreamError):  # `incomplete` says so.
            for _, line in self.requests.lines():
                if line is not None and wanted.pop(_id_or_none(line), False):
                    yield line + b"\n"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "verdict": self.verdict,
            "requests": self.counts.requests,
            "answered": self.counts.answered,
            "failed": self.counts.failed,
            "unanswered": self.counts.unanswered,
            "incomplete": list(self.incomplete),
            "counts": dict(self.counts_by_rule),
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def to_json(self) -> str:
        """Return the report as one JSON document, ASCII only."""
        return json.dumps(self.to_dict(), indent=2)


def _id_or_none(line: bytes) -> str | None:
    try:
        return parse_request(line)
    except MalformedLineError:
        return None
