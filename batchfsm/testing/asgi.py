"""The fake API as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from batchfsm.testing.http import Answer, Request

Message = MutableMapping[str, Any]
"""A scope or an event of ASGI."""


async def serve(
    handle: Callable[[Request], Answer],
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """
    Answer one request, or acknowledge the start and the stop of the server.

    Raises:
        TimeoutError: If the fault `timeout` applies to the request.
        ConnectionResetError: If the fault `reset` applies to it.
    """
    if scope["type"] == "lifespan":
        await _acknowledge_lifespan(receive, send)
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
        raise ConnectionResetError("the fake API has reset the connection")
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    for chunk in answer.chunks():
        await asyncio.sleep(answer.byte_interval_s or 0)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body"})


async def _acknowledge_lifespan(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    for _ in range(2):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
