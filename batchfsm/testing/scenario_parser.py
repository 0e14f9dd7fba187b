"""The text of a scenario, read."""

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
"""What becomes of a batch of which nobody says anything."""

_STAY: Final = re.compile(r"([a-z_]+)(?: ((?:\d{1,9}[smhd])+))?(?: (\d{1,9})\+(\d{1,9})/(\d{1,9}))?", re.ASCII)
_FAIL: Final = re.compile(r"fail(?: line (\d{1,9}))?(?: ([a-z_]+))?", re.ASCII)
_CANCEL: Final = re.compile(r"cancel at ((?:\d{1,9}[smhd])+)", re.ASCII)


class ScenarioError(BatchfsmError, ValueError):
    """A scenario that cannot be; the message says where, and what could have been."""


@attrs.frozen
class StatusStay:
    """A status, and what happens in it."""

    status: str
    span_s: float | None = None
    """How long it lasts; None: as long as is usual, or for ever in the last one."""
    counts: tuple[int, int, int] | None = None
    """Requests ended well and badly by its end, and all; None if the scenario does not say."""


@attrs.frozen
class Script:
    """What the text of a scenario says."""

    stays: tuple[StatusStay, ...]
    """The statuses, in order; the last ones of an `expire` are known with the deadline."""
    expires: bool
    """True if it ends by its deadline."""
    errors: tuple[Mapping[str, Any], ...]
    """Why it fails; shown if it does."""
    cancel_s: float | None
    """How long after its birth a cancel is asked for; None if it is not."""


def script(text: str) -> Script:
    """Read a scenario; ScenarioError if it is not written as one."""
    way, *clauses = (" ".join(part.split()) for part in text.split(","))
    if _CANCEL.fullmatch(way):
        way, clauses = HAPPY, [way, *clauses]
    cancels = [_CANCEL.fullmatch(clause) for clause in clauses]
    if len(cancels) > 1 or None in cancels:
        raise ScenarioError(f"scenario {text!r}: after a comma comes `cancel at 1h`, once, and nothing else")
    cancel_s = next((parse_span(found[1]) for found in cancels if found is not None), None)
    *before, last = (part.strip() for part in way.split(">"))
    fails, expires = _FAIL.fullmatch(last), last == "expire"
    if (expires or fails) and not before:
        before = ["validating", "in_progress"] if expires else ["validating"]
    stays = [_stay(part, text) for part in (*before, *([] if expires or fails else [last]))]
    if fails is None:
        return Script(tuple(stays), expires, (FAILURE,), cancel_s)
    line, code = fails.groups()
    error = failure(code or str(FAILURE["code"]), None if line is None else int(line))
    return Script((*stays, StatusStay("failed")), expires, (error,), cancel_s)


def _stay(part: str, text: str) -> StatusStay:
    found = _STAY.fullmatch(part)
    if found is None:
        raise ScenarioError(
            f"scenario {text!r}: cannot read {part!r}; write a status, a span and counts: in_progress 2h 97+3/100"
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
    "too_many_tasks": "The input file has more than 50,000 requests.",
    "invalid_request": "The input file cannot be found.",
    "token_limit_exceeded": "The batch would exceed the enqueued token limit of the organization.",
}
"""Codes of a failed validation that real batches had, with a message for each."""


def failure(code: str, line: int | None = None, param: str | None = None) -> Mapping[str, Any]:
    """Return an entry of `errors`; the line counts from 1."""
    message = FAILURES.get(code, "The input file is not valid.")
    return {"code": code, "message": message, "param": param, "line": line}


def counts_problem(stays: Sequence[StatusStay]) -> str | None:
    """Return what is wrong with the counts of a scenario; None if nothing is."""
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
        return "a completed batch has no request left; see expire, or cancel at"
    return None
