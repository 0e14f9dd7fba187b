"""Ways into a fake API from within the process: transports of httpx and httpx2, clients of openai-python."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

from batchfsm.testing.http import Answer, Request

Handle = Callable[[Request], Answer]
"""What answers a request."""

Library = Literal["httpx", "httpx2"]
"""The two libraries, alike but in name."""


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
            raise http.ReadError("the fake API has cut the connection", request=request)
        return http.Response(answer.status, headers=dict(answer.headers), content=answer.body)

    return http.MockTransport(answer)


def openai_client(handle: Handle, kind: Literal["OpenAI", "AsyncOpenAI"], options: dict[str, Any]) -> Any:
    """Return a client of openai-python."""
    openai = _imported("openai")
    # 3 is built on httpx2, those before on httpx.
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
    """Import the library of a door, which its users have anyway."""
    try:
        return import_module(name)
    except ImportError:
        raise ModuleNotFoundError(f"this door of FakeBatchAPI needs the package {name}", name=name) from None
