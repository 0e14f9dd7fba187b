"""The answers to the requests of a batch, and the output and error file made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from batchfsm.testing.input_file import Line
from batchfsm.testing.sample_answers import sample_answer
from batchfsm.testing.timeline import WireObject, made_id

_UNANSWERED: Final = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "cancelled": ("batch_cancelled", "This request was not executed: the batch was cancelled."),
}


@attrs.frozen
class RequestError:
    """A failed request; `respond` returns it in place of the body of an answer."""

    status: int = 400
    """HTTP status of this request."""
    message: str = "The model could not answer."
    """Message for people."""
    code: str | None = None
    """Code for programs."""

    @property
    def body(self) -> Mapping[str, Any]:
        """The body of the answer in the error file."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"  # noqa: PLR2004  # HTTP's own border.
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}


Respond = Callable[[Mapping[str, Any]], Mapping[str, Any] | RequestError]
"""Returns the answer to a request, given its body: the body of the answer, or a `RequestError`."""


@attrs.frozen(kw_only=True)
class Requests:
    """The requests of a batch, with the answer to each."""

    lines: Sequence[Line]
    answers: Sequence[Mapping[str, Any] | RequestError]

    @property
    def outcomes(self) -> list[bool]:
        """For each request, whether it succeeds."""
        return [not isinstance(answer, RequestError) for answer in self.answers]

    def files(self, ended: WireObject) -> tuple[bytes, bytes]:
        """
        Return the output and the error file.

        Args:
            ended: The batch in its final status. Its counts say how many of the first
                requests have answers; the others are errors of a batch that was cut off.
        """
        left = {True: ended["request_counts"]["completed"], False: ended["request_counts"]["failed"]}
        output: list[Mapping[str, Any]] = []
        error: list[Mapping[str, Any]] = []
        for number, (line, answer) in enumerate(zip(self.lines, self.answers, strict=True), 1):
            succeeds = not isinstance(answer, RequestError)
            if left[succeeds] > 0:
                left[succeeds] -= 1
                (output if succeeds else error).append(_answered_row(ended, number, line, answer))
            else:
                error.append(_unanswered_row(ended, number, line))
        return _json_lines(output), _json_lines(error)


def answer_requests(
    lines: Sequence[Line], outcomes: Sequence[bool], respond: Respond | None, *, endpoint: str, created_at: int
) -> Requests:
    """
    Return the requests of a batch with their answers.

    Args:
        lines: The requests.
        outcomes: For each, whether it succeeds; used if `respond` is None.
        respond: Returns the answer to a request's body; None: the endpoint's default answers.
        endpoint: The endpoint of the batch.
        created_at: Time in the default answers; Unix seconds.
    """
    if respond is not None:
        return Requests(lines=lines, answers=[_checked_answer(respond(line.body)) for line in lines])
    answers = [
        sample_answer(endpoint, line.body, line.custom_id, created_at) if succeeds else RequestError()
        for line, succeeds in zip(lines, outcomes, strict=True)
    ]
    return Requests(lines=lines, answers=answers)


def _checked_answer(answer: object) -> Mapping[str, Any] | RequestError:
    """Return the answer of a test's function; TypeError if it is none."""
    if not isinstance(answer, Mapping | RequestError):
        kind = type(answer).__name__
        raise TypeError(f"respond returned {kind}; it returns the body of an answer, a mapping, or a RequestError")
    return answer


def _answered_row(
    ended: WireObject, number: int, line: Line, answer: Mapping[str, Any] | RequestError
) -> Mapping[str, Any]:
    status, body = (answer.status, answer.body) if isinstance(answer, RequestError) else (200, answer)
    request_id = made_id("req_", ended["created_at"], ended["id"], number)
    return _row_ids(ended, number, line) | {
        "response": {"status_code": status, "request_id": request_id, "body": body},
        "error": None,
    }


def _unanswered_row(ended: WireObject, number: int, line: Line) -> Mapping[str, Any]:
    code, message = _UNANSWERED[ended["status"]]
    return _row_ids(ended, number, line) | {"response": None, "error": {"code": code, "message": message}}


def _row_ids(ended: WireObject, number: int, line: Line) -> dict[str, Any]:
    return {"id": made_id("batch_req_", ended["created_at"], ended["id"], number), "custom_id": line.custom_id}


def _json_lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
