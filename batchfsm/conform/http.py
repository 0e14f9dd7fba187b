"""Requests over bare HTTP: the answer of the server is judged, not an SDK's view of it."""

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
"""Sends a request, with its path relative to the base URL, and returns the answer; UnreachableError if none arrives."""

BODY_BYTES_MAX: Final = 32 * 2**20
"""The most bytes of an answer that are read."""

_TIMEOUT_S: Final = 60.0


class UnreachableError(BatchfsmError, OSError):
    """Raised if a server does not answer, or not at this address."""


def http_caller(base_url: str, key: str) -> Caller:
    """
    Return a function that sends requests to a server.

    Args:
        base_url: The address as clients take it: `http://127.0.0.1:8000/v1`.
        key: The API key; it is sent and shown nowhere.

    Raises:
        UnreachableError: If the address is not one of HTTP.
    """
    if urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).netloc:
        raise UnreachableError(f"{base_url} is no address; write http://127.0.0.1:8000/v1")
    root = base_url.rstrip("/")

    def call(request: Request) -> Answer:
        query = f"?{urlencode(request.query)}" if request.query else ""
        sent = HTTPRequest(  # noqa: S310  # The scheme is checked above.
            root + request.path + query,
            data=request.body if request.method == "POST" else None,
            headers={**request.headers, "authorization": f"Bearer {key}"},
            method=request.method,
        )
        try:
            with urlopen(sent, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # The same.
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Answer(status=answer.status, body=answer.read(BODY_BYTES_MAX), headers=headers)
        except HTTPError as error:
            with error:
                headers = {name.lower(): value for name, value in error.headers.items()}
                return Answer(status=error.code, body=error.read(BODY_BYTES_MAX), headers=headers)
        except (OSError, HTTPException) as error:
            raise UnreachableError(f"{request.method} {root}{request.path}: {_reason(error)}") from error

    return call


def _reason(error: OSError | HTTPException) -> object:
    """Return the reason of an error, without the number and the wrapper that urllib adds."""
    reason = getattr(error, "reason", error)
    return getattr(reason, "strerror", None) or reason
