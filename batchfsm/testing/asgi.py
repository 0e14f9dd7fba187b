"""The fake API as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from batchfsm.testing.http import Answer, Request

Message = MutableMapping[str, Any]
"""What ASGI passes about."""


async def serve(
    handle: Callable[[Request], Answer],
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """
    Answer one request, or live through a server's start and end.

    Raises:
        TimeoutError: If the request meets a `timeout`.
        ConnectionResetError: If it meets a `reset`.
    """
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = handle(
        Request(
            method=scope["method"],
            path=scope["path"],
            query=dict(parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True)),
            headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
            body=body,
        )
    )
    if answer.breaks == "timeout":
        raise TimeoutError("the fake API does not answer")
    if answer.breaks == "reset":
        raise ConnectionResetError("the fake API has cut the connection")
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _live(receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]) -> None:
    """Say that all is well, at the start and at the end."""
    for _ in range(2):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
