"""Requests to a fake API and its answers, independent of the transport."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import attrs

Break = Literal["timeout", "reset"]
"""Why no answer arrives: it takes longer than the client waits, or the connection is reset."""

Operation = Literal[
    "files.create", "files.list", "files.retrieve", "files.content", "files.delete",
    "batches.create", "batches.list", "batches.retrieve", "batches.cancel",
]  # fmt: skip
"""An endpoint, named as openai's clients name its method."""

JSON_TYPE: Final = "application/json"


@attrs.frozen(kw_only=True)
class Request:
    """One HTTP request, independent of the transport."""

    method: str
    """`GET`, `POST` or `DELETE`."""

    path: str
    """The path without the query: `/v1/batches`."""

    query: Mapping[str, str] = attrs.field(factory=dict)
    """The parameters after `?`."""

    headers: Mapping[str, str] = attrs.field(factory=dict)
    """The headers, with names in lower case."""

    body: bytes = b""
    """The content; empty if there is none."""


@attrs.frozen(kw_only=True)
class Answer:
    """One HTTP answer, independent of the transport."""

    status: int = 200
    """The HTTP status."""

    body: bytes = b""
    """The content."""

    headers: Mapping[str, str] = attrs.field(factory=dict)
    """The headers, with names in lower case."""

    breaks: Break | None = None
    """Why the answer does not arrive; None if it does."""

    byte_interval_s: float | None = None
    """Seconds of real time before each byte of the body; None: the body arrives at once."""

    @property
    def json(self) -> Any:
        """The decoded JSON body; a new object each time."""
        return json.loads(self.body)

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as one chunk, or byte by byte if it arrives slowly."""
        size = len(self.body) if self.byte_interval_s is None else 1
        yield from (self.body[place : place + size] for place in range(0, len(self.body), size or 1))


@attrs.frozen
class Call:
    """A request that a fake API has received, for assertions about the number and times of requests."""

    at: float
    """Time by the API's clock; Unix seconds."""
    operation: Operation | None
    """The endpoint; None if there is no such endpoint."""
    path: str
    """The path without the query."""
    status: int | None
    """The HTTP status of the answer; None if no answer arrived."""


class RefusedError(Exception):
    """Raised by an endpoint to refuse a request; the fake API sends the error answer. Never leaves the API."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        self.answer = error_answer(status, message, code=code, param=param)
        super().__init__(message)


def json_answer(value: object, status: int = 200) -> Answer:
    """Return an answer with a JSON body."""
    return Answer(status=status, body=json.dumps(value).encode(), headers={"content-type": JSON_TYPE})


def error_answer(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return an answer with an error object in OpenAI's form."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    answer = json_answer({"error": error}, status)
    return attrs.evolve(answer, headers={**answer.headers, **(headers or {})})
