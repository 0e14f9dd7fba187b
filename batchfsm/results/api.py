"""`audit_results`: checks that each request of a batch was answered exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from batchfsm.dialects import Dialect, get_dialect
from batchfsm.finding import LogPosition, Verdict
from batchfsm.logs import TruncatedStreamError
from batchfsm.results.checker import ResultsChecker
from batchfsm.results.lines import MalformedLineError, parse_answer, parse_request
from batchfsm.results.report import Counts, ResultsReport
from batchfsm.results.rules import RESULT_RULES, ResultRule
from batchfsm.results.sources import LineFile, ResultsSource
from batchfsm.wire import parse

FINDINGS_MAX: Final = 1_000
"""The default number of findings that a report lists."""

_CUT_OFF: Final = frozenset({"expired", "cancelled"})
"""Final statuses in which requests may be without an answer."""

LineT = TypeVar("LineT")


def audit_results(
    input: ResultsSource,  # noqa: A002  # OpenAI's name for it: the input file.
    *,
    outputs: ResultsSource | Sequence[ResultsSource],
    errors: ResultsSource | Sequence[ResultsSource] = (),
    batch: object = None,
    dialect: str | Dialect = "openai",
    max_findings: int = FINDINGS_MAX,
    count_bytes: Callable[[int], object] = lambda _: None,
) -> ResultsReport:
    """
    Check that each request of a batch was answered exactly once; the memory needed grows with the ids only.

    Args:
        input: The input file: a path, its content, or an iterable of lines (see `ResultsSource`).
        outputs: An output file, or a list or tuple of output files; a batch without a good answer has none: `()`.
        errors: An error file, or a list or tuple of error files.
        batch: The batch object, in any form that `parse` takes. None: unknown; R605 is not checked, and R601 is checked
            as for a batch that completed.
        dialect: The dialect of the batch object.
        max_findings: The number of findings to list; counts stay exact.
        count_bytes: Called with the number of bytes of each read, for a progress bar.

    Raises:
        OSError: If a file cannot be read.
        SourceError: If a file is an archive or a table.
        TypeError: If a source is of another type.
        SnapshotError: If the batch object is malformed.
        MissingExtraError: If a file is compressed with zstd, and no decompressor is installed.
    """
    server = get_dialect(dialect)
    snapshot = None if batch is None else parse(batch, dialect=server)
    checker = ResultsChecker(batch_id=None if snapshot is None else snapshot.id, findings_max=max_findings)
    requests = LineFile(input, "input", count_bytes)
    incomplete = list(_read(requests, parse_request, checker.add_request, checker))
    for name, given, add_answer in (
        ("outputs", outputs, checker.add_output),
        ("errors", errors, checker.add_error),
    ):
        for index, source in enumerate(given if isinstance(given, list | tuple) else (given,)):
            file = LineFile(source, f"{name}[{index}]", count_bytes)
            incomplete += _read(file, parse_answer, add_answer, checker)
    if snapshot is None or snapshot.status not in server.lifecycle.statuses:
        checker.check_unanswered()
    elif snapshot.status not in server.lifecycle.terminal:
        incomplete.append(f"{snapshot.id} is {snapshot.status}: it has not ended, so answers may still come")
    else:
        if snapshot.status not in _CUT_OFF:
            checker.check_unanswered()
        if snapshot.request_counts is not None:
            checker.check_counts(snapshot.request_counts)
    if not checker.request_count:
        incomplete.append("the input has no request")
    return _report(checker, requests, incomplete)


def result_example(rule: ResultRule) -> str:
    """Return the message that a rule gives for its own example."""
    files = rule.example
    report = audit_results(files.input, outputs=[files.output], errors=[files.errors], batch=files.batch)
    return next(finding.message for finding in report.findings if finding.rule == rule.code)


def _read(
    file: LineFile,
    parse_line: Callable[[bytes | None], LineT],
    add: Callable[[LineT, LogPosition], None],
    checker: ResultsChecker,
) -> Iterator[str]:
    """Add each line of a file to the checker; yield a sentence if the file ends early."""
    number = 0
    try:
        for number, line in file.lines():
            position = LogPosition(file.name, number)
            try:
                add(parse_line(line), position)
            except MalformedLineError as error:
                checker.add_malformed(str(error), position)
    except TruncatedStreamError as error:
        yield f"{file.name} could not be read beyond line {number}: {error}"


def _report(checker: ResultsChecker, requests: LineFile, incomplete: list[str]) -> ResultsReport:
    ids = checker.ids_by_outcome()
    verdict: Verdict = "undetermined" if incomplete else "consistent"
    if any(RESULT_RULES[code].severity == "error" for code in checker.counts_by_rule):
        verdict = "inconsistent"
    return ResultsReport(
        verdict=verdict,
        counts=Counts(
            requests=checker.request_count,
            answered=len(ids["answered"]),
            failed=len(ids["failed"]),
            unanswered=len(ids["unanswered"]),
        ),
        counts_by_rule=checker.counts_by_rule,
        findings=tuple(checker.findings),
        incomplete=tuple(incomplete),
        requests=requests,
        **ids,
    )
