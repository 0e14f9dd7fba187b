"""Compares the answers of a batch with its requests, id by id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from batchfsm.finding import Finding, LogPosition
from batchfsm.results.lines import Outcome, ResultLine
from batchfsm.results.rules import RESULT_RULES
from batchfsm.snapshot import RequestCounts


class ResultsChecker:
    """The ids of requests and answers, and the findings on them."""

    def __init__(self, *, batch_id: str | None, findings_max: int) -> None:
        self._batch_id = batch_id
        self._findings_max = findings_max
        self._counts: Counter[str] = Counter()
        self._requests: dict[str, LogPosition] = {}
        self._answers: dict[str, tuple[Outcome, LogPosition]] = {}
        self.findings: list[Finding] = []

    @property
    def request_count(self) -> int:
        """Number of distinct ids in the input."""
        return len(self._requests)

    @property
    def counts_by_rule(self) -> dict[str, int]:
        """Number of findings of each rule that has any, in the order of the rules."""
        return {code: self._counts[code] for code in RESULT_RULES if self._counts[code]}

    def add_request(self, custom_id: str, position: LogPosition) -> None:
        """Add a line of the input file."""
        known = self._requests.setdefault(custom_id, position)
        if known is not position:
            message = f"request {custom_id!r} is in the input twice: at {known} and {position}"
            self._report("R607", message, {"custom_id": custom_id}, known, position)

    def add_output(self, answer: ResultLine, position: LogPosition) -> None:
        """Add a line of an output file; all requests must have been added."""
        self._add_answer(answer, position)
        if answer.outcome == "failed":
            message = f"the failed request {answer.custom_id!r} is in an output file ({position})"
            self._report("R606", message, {"custom_id": answer.custom_id}, position)

    def add_error(self, answer: ResultLine, position: LogPosition) -> None:
        """Add a line of an error file; all requests must have been added."""
        self._add_answer(answer, position)
        if answer.outcome == "answered":
            message = f"the good answer {answer.custom_id!r} is in an error file ({position})"
            self._report("R606", message, {"custom_id": answer.custom_id}, position)

    def _add_answer(self, answer: ResultLine, position: LogPosition) -> None:
        custom_id, fields = answer.custom_id, {"custom_id": answer.custom_id}
        known = self._answers.get(custom_id)
        if known is not None:
            message = f"request {custom_id!r} has two answers: at {known[1]} and {position}"
            self._report("R602", message, fields, known[1], position)
        elif custom_id not in self._requests:
            self._report(
                "R603", f"the answer {custom_id!r} at {position} has no request in the input", fields, position
            )
        if known is None or answer.outcome == "answered":
            self._answers[custom_id] = answer.outcome, position

    def add_malformed(self, reason: str, position: LogPosition) -> None:
        """Add a line that could not be parsed; `reason` is a sentence without its subject."""
        self._report("R604", f"the line at {position} {reason}", {}, position)

    def check_unanswered(self) -> None:
        """Report each request that is in no output and no error file."""
        for custom_id, position in self._requests.items():
            if custom_id not in self._answers:
                message = f"request {custom_id!r} ({position}) is in neither the output nor the error files"
                self._report("R601", message, {"custom_id": custom_id}, position)

    def check_counts(self, expected: RequestCounts) -> None:
        """Compare the numbers of answers with the counts of the batch."""
        found = Counter(outcome for outcome, _ in self._answers.values())
        compared = {
            "completed": (expected.completed, found["answered"]),
            "failed": (expected.failed, found["failed"]),
        }
        differing = {name: both for name, both in compared.items() if both[0] != both[1]}
        if differing:
            parts = [f"{count:,} {name}, its files have {answers:,}" for name, (count, answers) in differing.items()]
            fields = {f"request_counts.{name}": count for name, (count, _) in differing.items()}
            self._report("R605", f"{self._batch_id} counts {'; '.join(parts)}", fields)

    def ids_by_outcome(self) -> dict[Outcome, tuple[str, ...]]:
        """Return the ids of the input by outcome, each in the order of the input."""
        ids: dict[Outcome, list[str]] = {"answered": [], "failed": [], "unanswered": []}
        for custom_id in self._requests:
            known = self._answers.get(custom_id)
            ids["unanswered" if known is None else known[0]].append(custom_id)
        return {outcome: tuple(found) for outcome, found in ids.items()}

    def _report(self, code: str, message: str, fields: Mapping[str, object], *where: LogPosition) -> None:
        self._counts[code] += 1
        if len(self.findings) < self._findings_max:
            rule = RESULT_RULES[code]
            self.findings.append(
                Finding(
                    rule=code, name=rule.name, severity=rule.severity, batch_id=self._batch_id, message=message,
                    fields=fields, where=where,
                )
            )  # fmt: skip
