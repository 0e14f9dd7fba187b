"""Bare HTTP, so that what is judged is what the server sent, and not what an SDK made of it."""

from __future__ import annotations

from collections.abc import Callable
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request as HTTPRequest
from urllib.request import urlopen

from batchfsm.errors import BatchfsmError
from batchfsm.testing import Answer, Request

Caller = Callable[[Request], Answer]
"""What sends a request, its path without the base, and returns the answer; UnreachableError if none came."""

BODY_BYTES_MAX: Final = 32 * 2**20
"""How much of an answer is read."""

_TIMEOUT_S: Final = 60.0


class UnreachableError(BatchfsmError, OSError):
    """The server does not answer at all."""


def caller(base_url: str, key: str) -> Caller:
    """
    Return what calls a server.

    Args:
        base_url: As clients take it: `http://127.0.0.1:8000/v1`.
        key: What is sent as its key, and shown nowhere.

    Raises:
        UnreachableError: If it is no address of HTTP.
    """
    if urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).netloc:
        raise UnreachableError(f"{base_url} is no address; write http://127.0.0.1:8000/v1")
    root = base_url.rstrip("/")

    def call(request: Request) -> Answer:
        query = f"?{urlencode(request.query)}" if request.query else ""
        sent = HTTPRequest(  # noqa: S310  # The scheme was looked at above.
            root + request.path + query,
            data=request.body if request.method == "POST" else None,
            headers={**request.headers, "authorization": f"Bearer {key}"},
            method=request.method,
        )
        try:
            with urlopen(sent, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # The same.
                return Answer(status=answer.status, body=answer.read(BODY_BYTES_MAX))
        except HTTPError as error:
            with error:
                return Answer(status=error.code, body=error.read(BODY_BYTES_MAX))
        except (OSError, HTTPException) as error:
            raise UnreachableError(f"{request.method} {root}{request.path}: {error}") from error

    return call
