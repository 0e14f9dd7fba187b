"""HTTP clients of an openai client, with bounded responses: no redirects, no body above a size or past a deadline."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from time import monotonic
from typing import Any, Final

REQUEST_S_MAX: Final = 60.0
"""Total deadline of one request, body included; seconds. An openai client itself waits ten minutes for each read."""

RESPONSE_BYTES_MAX: Final = 32 * 2**20
"""Size above which a response is cut off and counts as failed; a page of a hundred batches is far smaller."""

REFUSAL: Final = "batchfsm.refusal"
"""The key in a response's `extensions` of the sentence that says why its body was cut off."""

# The content is decoded already, and its length is another one.
_DROPPED_HEADERS: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})


def bounded_batches(client: Any, *, is_async: bool) -> Any:
    """
    Return the `batches` of an openai client, with bounded responses.

    The client itself and its settings stay as they are. A client of another make is
    returned as it is.
    """
    http = getattr(client, "_client", None)
    if http is None or not hasattr(http, "send"):
        return client.batches
    bounded = copy(client)
    vars(bounded)["_client"] = AsyncBoundedHTTP(http) if is_async else BoundedHTTP(http)
    return type(client.batches)(bounded)


class BoundedHTTP:
    """A client of httpx or httpx2 that reads responses itself; any other attribute is the wrapped client's."""

    def __init__(self, http: Any) -> None:
        self._http = http

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the wrapped client."""
        return getattr(self._http, name)

    def send(self, request: Any, **options: Any) -> Any:
        """Send a request, and return its response with the whole body read."""
        body = _Body()
        response = self._http.send(request, **options | {"stream": True, "follow_redirects": False})
        try:
            if response.is_success:
                for chunk in response.iter_bytes():
                    if not body.add(chunk):
                        break
        finally:
            response.close()
        return body.response_like(response)


class AsyncBoundedHTTP(BoundedHTTP):
    """`BoundedHTTP` for async clients."""

    async def send(self, request: Any, **options: Any) -> Any:
        """Send a request, and return its response with the whole body read."""
        body = _Body()
        response = await self._http.send(request, **options | {"stream": True, "follow_redirects": False})
        try:
            if response.is_success:
                async for chunk in response.aiter_bytes():
                    if not body.add(chunk):
                        break
        finally:
            await response.aclose()
        return body.response_like(response)


class _Body:
    """The decoded body of one response, up to the bounds; empty for a response that is no success."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._deadline = clock() + REQUEST_S_MAX
        self._chunks: list[bytes] = []
        self._size = 0
        self._refusal: str | None = None

    def add(self, chunk: bytes) -> bool:
        """Add a chunk; return False if the rest must not be read."""
        self._size += len(chunk)
        if self._size > RESPONSE_BYTES_MAX:
            self._refusal = f"a response of more than {RESPONSE_BYTES_MAX >> 20} MiB, cut off"
        elif self._clock() > self._deadline:
            self._refusal = no_complete_response(REQUEST_S_MAX)
        else:
            self._chunks.append(chunk)
        return self._refusal is None

    def response_like(self, response: Any) -> Any:
        """Return a response with the status and headers of another one, and this body."""
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in _DROPPED_HEADERS]
        return type(response)(
            response.status_code,
            headers=headers,
            content=b"" if self._refusal else b"".join(self._chunks),
            request=response.request,
            extensions={"http_version": b"HTTP/1.1"} | ({REFUSAL: self._refusal} if self._refusal else {}),
        )


def no_complete_response(seconds: float) -> str:
    """Return the message for a request whose deadline has passed."""
    return f"no complete response within {seconds:.3g} s"
