"""What becomes of each request: the lines of the output and the error file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from batchfsm.testing.input_file import Line
from batchfsm.testing.timeline import Wire, made_id

_UNDONE: Final = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "cancelled": ("batch_cancelled", "This request was not executed: the batch was cancelled."),
}


@attrs.frozen
class RequestError:
    """That a request ends badly, in place of the body that it is answered with."""

    status: int = 400
    """The HTTP status of that one request."""
    message: str = "The model could not answer."
    """Why, for people."""
    code: str | None = None
    """Why, for machines."""

    @property
    def body(self) -> Mapping[str, Any]:
        """What the error file holds for it."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"  # noqa: PLR2004  # HTTP's own border.
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}


Respond = Callable[[Mapping[str, Any]], Mapping[str, Any] | RequestError]
"""What a test answers a request with: given its body, the body of the answer, or a `RequestError`."""


@attrs.frozen(kw_only=True)
class Requests:
    """The requests of a batch, with what each ends in."""

    lines: Sequence[Line]
    endings: Sequence[Mapping[str, Any] | RequestError]

    @property
    def outcomes(self) -> list[bool]:
        """Which of them end well."""
        return [not isinstance(ending, RequestError) for ending in self.endings]

    def files(self, ended: Wire) -> tuple[bytes, bytes]:
        """
        Return the output and the error file.

        Args:
            ended: The batch in its final status. As many of the first requests as it
                counts are in the files; the others, if it was cut off, are errors.
        """
        left = {True: ended["request_counts"]["completed"], False: ended["request_counts"]["failed"]}
        output: list[Mapping[str, Any]] = []
        error: list[Mapping[str, Any]] = []
        for number, (line, ending) in enumerate(zip(self.lines, self.endings, strict=True), 1):
            well = not isinstance(ending, RequestError)
            if left[well] > 0:
                left[well] -= 1
                (output if well else error).append(_row(ended, number, line, ending))
            else:
                error.append(_undone(ended, number, line))
        return _lines(output), _lines(error)


def ended_in(lines: Sequence[Line], outcomes: Sequence[bool], respond: Respond | None, endpoint: str) -> Requests:
    """Ask what each request ends in: the test, or where it has no answers, the scenario."""
    if respond is not None:
        return Requests(lines=lines, endings=[respond(line.body) for line in lines])
    endings = [_echo(line, endpoint) if well else RequestError() for line, well in zip(lines, outcomes, strict=True)]
    return Requests(lines=lines, endings=endings)


def _echo(line: Line, endpoint: str) -> Mapping[str, Any]:
    """Return an answer in the shape of a chat completion, which says what it was asked."""
    said = line.body.get("messages")
    content = said[-1].get("content") if isinstance(said, list) and said and isinstance(said[-1], dict) else None
    if endpoint != "/v1/chat/completions":
        return {"object": "echo", "model": line.body.get("model"), "request": line.body}
    return {
        "id": f"chatcmpl-{line.custom_id}",
        "object": "chat.completion",
        "created": 0,
        "model": line.body.get("model") or "gpt-5-2025-08-07",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def _row(ended: Wire, number: int, line: Line, ending: Mapping[str, Any] | RequestError) -> Mapping[str, Any]:
    status, body = (ending.status, ending.body) if isinstance(ending, RequestError) else (200, ending)
    request_id = made_id("req_", ended["created_at"], ended["id"], number)
    return _named(ended, number, line) | {
        "response": {"status_code": status, "request_id": request_id, "body": body},
        "error": None,
    }


def _undone(ended: Wire, number: int, line: Line) -> Mapping[str, Any]:
    code, message = _UNDONE[ended["status"]]
    return _named(ended, number, line) | {"response": None, "error": {"code": code, "message": message}}


def _named(ended: Wire, number: int, line: Line) -> dict[str, Any]:
    return {"id": made_id("batch_req_", ended["created_at"], ended["id"], number), "custom_id": line.custom_id}


def _lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
