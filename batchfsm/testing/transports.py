"""Transports of httpx and httpx2, and clients of openai-python, that call a fake API in the same process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import import_module
from typing import Any, Literal

from batchfsm.testing.http import Answer, Request

Handle = Callable[[Request], Answer]
"""Returns the answer to a request."""

Library = Literal["httpx", "httpx2"]
"""An HTTP client library; the two have the same interface."""


def transport(handle: Handle, library: Library) -> Any:
    """Return a mock transport of a library."""
    http = _imported(library)

    def answer(request: Any) -> Any:
        answer = handle(
            Request(
                method=request.method,
                path=request.url.path,
                query=dict(request.url.params),
                headers=dict(request.headers),
                body=request.content,
            )
        )
        if answer.breaks == "timeout":
            raise http.ReadTimeout("the fake API does not answer", request=request)
        if answer.breaks == "reset":
            raise http.ReadError("the fake API has reset the connection", request=request)
        if answer.byte_interval_s is not None:
            return http.Response(answer.status, headers=dict(answer.headers), stream=_slow_stream(http, answer))
        return http.Response(answer.status, headers=dict(answer.headers), content=answer.body)

    return http.MockTransport(answer)


def _slow_stream(http: Any, answer: Answer) -> Any:
    """Return a stream, for sync and async clients, that sleeps before each byte."""

    def read(_: object) -> Iterator[bytes]:
        for chunk in answer.chunks():
            time.sleep(answer.byte_interval_s or 0)
            yield chunk

    async def read_async(_: object) -> AsyncIterator[bytes]:
        for chunk in answer.chunks():
            await asyncio.sleep(answer.byte_interval_s or 0)
            yield chunk

    bases = (http.SyncByteStream, http.AsyncByteStream)
    return type("SlowStream", bases, {"__iter__": read, "__aiter__": read_async})()


def openai_client(handle: Handle, kind: Literal["OpenAI", "AsyncOpenAI"], options: dict[str, Any]) -> Any:
    """Return a client of openai-python."""
    openai = _imported("openai")
    # openai 3 uses httpx2; earlier versions use httpx.
    default = openai.DefaultHttpxClient
    library: Library = "httpx2" if any(base.__module__.startswith("httpx2") for base in default.__mro__) else "httpx"
    http = _imported(library)
    client = http.Client if kind == "OpenAI" else http.AsyncClient
    given = {
        "api_key": "sk-fake",
        "base_url": "http://fake.invalid/v1",
        "max_retries": 0,
        "http_client": client(transport=transport(handle, library)),
    }
    return getattr(openai, kind)(**{**given, **options})


def _imported(name: str) -> Any:
    """Import a client library; its users have it installed."""
    try:
        return import_module(name)
    except ImportError:
        raise ModuleNotFoundError(
            f"this client of FakeBatchAPI needs the package {name}: pip install {name}", name=name
        ) from None
