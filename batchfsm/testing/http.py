"""What goes in and out of a fake API: requests and answers, whatever carries them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

Break = Literal["timeout", "reset"]
"""How an answer does not come: nothing arrives in time, or the connection is cut."""

Operation = Literal[
    "files.create", "files.list", "files.retrieve", "files.content", "files.delete",
    "batches.create", "batches.list", "batches.retrieve", "batches.cancel",
]  # fmt: skip
"""What can be asked for, as openai's clients name it."""

JSON_TYPE: Final = "application/json"


@attrs.frozen(kw_only=True)
class Request:
    """One request over HTTP, whatever carries it."""

    method: str
    """`GET`, `POST` or `DELETE`."""

    path: str
    """Where it goes, without the query: `/v1/batches`."""

    query: Mapping[str, str] = attrs.field(factory=dict)
    """The parameters after `?`."""

    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Its headers, names in lower case."""

    body: bytes = b""
    """What it carries."""


@attrs.frozen(kw_only=True)
class Answer:
    """What comes back for a request."""

    status: int = 200
    """The HTTP status."""

    body: bytes = b""
    """What it carries."""

    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Its headers, names in lower case."""

    breaks: Break | None = None
    """How it does not come; None if it does."""

    @property
    def json(self) -> Any:
        """What the body holds, read anew."""
        return json.loads(self.body)


@attrs.frozen
class Call:
    """That somebody asked, for tests of how often and how a client asks."""

    at: float
    """When, by the clock of the API; Unix seconds."""
    operation: Operation | None
    """What for; None if there is no such endpoint."""
    path: str
    """Where."""
    status: int | None
    """The HTTP status of the answer; None if none came."""


class RefusedError(Exception):
    """An endpoint refuses; the fake turns it into an error answer. Never leaves the API."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        """Hold what the answer will say."""
        self.answer = refusal(status, message, code=code, param=param)
        super().__init__(message)


def answered(value: object, status: int = 200) -> Answer:
    """Return an answer that holds a value as JSON."""
    return Answer(status=status, body=json.dumps(value).encode(), headers={"content-type": JSON_TYPE})


def refusal(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return an error as OpenAI writes it."""
    error = {"message": message, "type": kind, "param": param, "code": code}
    answer = answered({"error": error}, status)
    return attrs.evolve(answer, headers={**answer.headers, **(headers or {})})
