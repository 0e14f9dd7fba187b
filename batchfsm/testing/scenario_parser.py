"""Parser of the text of a scenario."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import attrs

from batchfsm.errors import BatchfsmError
from batchfsm.spans import parse_span
from batchfsm.testing.timeline import FAILURE

HAPPY: Final = "validating 5s > in_progress 2h 97+3/100 > finalizing 10m > completed"
"""The default scenario."""

_SPAN: Final = r"((?:\d{1,9}[smhd])+|\d{1,9})"
_STAY: Final = re.compile(rf"([a-z_]+)(?: {_SPAN})?(?: (\d{{1,9}})\+(\d{{1,9}})/(\d{{1,9}}))?", re.ASCII)
_FAIL: Final = re.compile(rf"fail(?: at {_SPAN})?(?: line (\d{{1,9}}))?(?: ([a-z_]+))?", re.ASCII)
_CANCEL: Final = re.compile(rf"cancel at {_SPAN}(?: for {_SPAN})?", re.ASCII)


class ScenarioError(BatchfsmError, ValueError):
    """Raised for an invalid scenario; the message says where it is invalid, and what would be valid."""

    __module__ = "batchfsm.testing"


@attrs.frozen
class StatusStay:
    """A status of a scenario, with its duration and counts."""

    status: str
    span_s: float | None = None
    """Seconds in the status; None: the usual time, or for ever in the last one."""
    counts: tuple[int, int, int] | None = None
    """Completed, failed and total requests at its end; None if the scenario does not say."""


@attrs.frozen
class Script:
    """A parsed scenario."""

    stays: tuple[StatusStay, ...]
    """The statuses, in order; those of an `expire` follow from the deadline."""
    expires: bool
    """True if the batch expires at its deadline."""
    errors: tuple[Mapping[str, Any], ...]
    """The errors of the batch if it fails."""
    cancel_s: float | None
    """Seconds from creation to a cancel; None if it is not cancelled."""
    cancelling_s: float | None = None
    """Seconds from the cancel to `cancelled`; None: the usual time."""


def parse_script(text: str) -> Script:
    """Parse the text of a scenario; ScenarioError if its form is invalid."""
    walk, *clauses = (" ".join(part.split()) for part in text.split(","))
    if _CANCEL.fullmatch(walk):
        walk, clauses = HAPPY, [walk, *clauses]
    cancels = [_CANCEL.fullmatch(clause) for clause in clauses]
    if len(cancels) > 1 or None in cancels:
        raise ScenarioError(f"scenario {text!r}: after a comma comes `cancel at 1h`, once, and nothing else")
    cancel = next((found for found in cancels if found is not None), None)
    cancel_s = None if cancel is None else parse_span(cancel[1])
    cancelling_s = None if cancel is None or cancel[2] is None else parse_span(cancel[2])
    *before, last = (part.strip() for part in walk.split(">"))
    fails, expires = _FAIL.fullmatch(last), last == "expire"
    if (expires or fails) and not before:
        before = ["validating", "in_progress"] if expires else ["validating"]
    stays = [_stay(part, text) for part in (*before, *([] if expires or fails else [last]))]
    errors = (_failure_in([stay.status for stay in stays]),)
    if fails is not None:
        if fails[1] is not None:
            stays = _fail_at(parse_span(fails[1]), stays, text)
        errors = (failure(fails[3] or errors[0]["code"], None if fails[2] is None else int(fails[2])),)
        stays = [*stays, StatusStay("failed")]
    return Script(tuple(stays), expires, errors, cancel_s, cancelling_s)


def _failure_in(statuses: Sequence[str]) -> Mapping[str, Any]:
    """Return the default error of a batch that fails after these statuses: its file is invalid, or its run failed."""
    return failure("server_error") if "in_progress" in statuses else FAILURE


def _fail_at(second: float, stays: Sequence[StatusStay], text: str) -> list[StatusStay]:
    """Return the stays with the last one ending so many seconds after creation."""
    *before, last = stays
    left_s = second - sum(stay.span_s or 0 for stay in before)
    if last.span_s is not None or left_s < 0 or any(stay.span_s is None for stay in before):
        raise ScenarioError(f"scenario {text!r}: `fail at` contradicts the spans before it; write `fail` without `at`")
    return [*before, StatusStay(last.status, left_s, last.counts)]


def _stay(part: str, text: str) -> StatusStay:
    found = _STAY.fullmatch(part)
    if found is None:
        raise ScenarioError(
            f"scenario {text!r}: cannot read {part!r}; write a status, a span and counts, as in_progress 2h 97+3/100, "
            "or expire, fail at 15m, cancel at 1h"
        )
    status, span, *numbers = found.groups()
    counts = None if numbers[0] is None else (int(numbers[0]), int(numbers[1]), int(numbers[2]))
    return StatusStay(status, None if span is None else parse_span(span), counts)


FAILURES: Final[Mapping[str, str]] = {
    "invalid_json_line": str(FAILURE["message"]),
    "empty_file": "The input file is empty.",
    "duplicate_custom_id": "The custom_id of this request is that of another request in the file.",
    "url_mismatch": "The url of this request is not the endpoint of the batch.",
    "model_mismatch": "The model of this request is not that of the requests before it.",
    "missing_required_parameter": "A parameter of this request is missing.",
    "invalid_method": "The method of this request is not POST.",
    "server_error": "The server had an error while it ran the batch.",
    "too_many_tasks": "The input file has more than 50,000 requests.",
    "invalid_request": "The input file does not exist, or its purpose is not batch.",
    "token_limit_exceeded": "The batch would exceed the enqueued token limit of the organization.",
}
"""Error codes of failed batches, with a message for each; `invalid_method` and `server_error` are inferred."""


def failure(code: str, line: int | None = None, param: str | None = None) -> Mapping[str, Any]:
    """Return an entry of `errors`; lines count from 1."""
    message = FAILURES.get(code, "The batch failed.")
    return {"code": code, "message": message, "param": param, "line": line}


def counts_problem(stays: Sequence[StatusStay]) -> str | None:
    """Return why the counts of a scenario are invalid; None if they are valid."""
    counted = [(stay.status, stay.counts) for stay in stays if stay.counts is not None]
    if any(completed + failed > total or total == 0 for _, (completed, failed, total) in counted):
        return "more requests are done than there are"
    if any(
        first[2] != second[2] or first[0] > second[0] or first[1] > second[1]
        for (_, first), (_, second) in pairwise(counted)
    ):
        return "counts never fall, and the total stays"
    statuses = [stay.status for stay in stays]
    if any("in_progress" not in statuses[: statuses.index(status) + 1] for status, _ in counted):
        return "nothing is counted before in_progress"
    if statuses[-1] == "completed" and counted and sum(counted[-1][1][:2]) != counted[-1][1][2]:
        return "a completed batch has no request left; write expire, or cancel at"
    return None
