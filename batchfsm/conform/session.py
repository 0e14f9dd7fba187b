"""A client that wants to know: it calls, remembers what batches looked like, and waits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs

from batchfsm.conform.http import Caller
from batchfsm.finding import plain
from batchfsm.testing import Answer, Request

ENDS: Final = frozenset({"completed", "failed", "expired", "cancelled"})
"""Words of an end; a dialect's own aliases of them are not guessed."""

SHOWN_CHARS_MAX: Final = 160
"""How much of an answer a witness shows."""

_BOUNDARY: Final = "batchfsm-conform-boundary"
_AGAIN: Final = 3
"""How often a batch is looked at after its end: it must not change any more."""


@attrs.frozen
class Reply:
    """An answer, and what it holds."""

    status: int
    """The HTTP status."""
    found: Any
    """What the body holds, if it is JSON; else None."""
    body: bytes

    @property
    def is_batch(self) -> bool:
        """True if it is a batch, with a success."""
        found = self.found
        return self.is_object and found.get("object", "batch") == "batch" and "status" in found

    @property
    def is_object(self) -> bool:
        """True if it is an object, with a success."""
        return self.status < 300 and isinstance(self.found, dict)  # noqa: PLR2004  # HTTP's.

    def __str__(self) -> str:
        """Return what a witness shows."""
        shown = self.body.decode("utf-8", "replace")
        return f"{self.status} {shown if len(shown) <= SHOWN_CHARS_MAX else shown[:SHOWN_CHARS_MAX] + '...'}"


@attrs.define(kw_only=True)
class ServerSession:
    """Calls a server, and keeps every view of a batch with its time."""

    call: Caller
    now: Callable[[], float]
    """The time; Unix seconds."""
    sleep: Callable[[float], None]
    """What waits; seconds."""
    endpoint: str
    """Where requests of batches go: `/v1/chat/completions`."""
    model: str
    """The model that they name."""
    timeout_s: float
    """How long a batch is waited for."""
    poll_s: float
    """How long to wait between two looks."""
    seen: list[dict[str, Any]] = attrs.field(factory=list)
    """Every view of a batch, in an envelope."""

    def ask(self, method: str, path: str, body: object = None, **query: str) -> Reply:
        """Ask for something; what looks like batches in the answer is remembered."""
        if isinstance(body, bytes):
            kind, sent = f"multipart/form-data; boundary={_BOUNDARY}", body
        else:
            kind, sent = "application/json", b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": kind}
        reply = _read(self.call(Request(method=method, path=path, query=query, headers=headers, body=sent)))
        for batch in _batches(reply):
            self.seen.append({"observed_at": self.now(), "snapshot": batch})
        return reply

    def upload(self, lines: str) -> Reply:
        """Upload an input file."""
        parts = [
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n',
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n',
            f"Content-Type: application/jsonl\r\n\r\n{lines}\r\n--{_BOUNDARY}--\r\n",
        ]
        return self.ask("POST", "/files", "".join(parts).encode())

    def lines(self, *custom_ids: str) -> str:
        """Return an input file with these requests."""
        body = {"model": self.model, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
        rows = [{"custom_id": name, "method": "POST", "url": self.endpoint, "body": body} for name in custom_ids]
        return "".join(json.dumps(row) + "\n" for row in rows)

    def create(self, file_id: object, metadata: Mapping[str, str]) -> Reply:
        """Create a batch of an input file."""
        fields = {"input_file_id": file_id, "endpoint": self.endpoint, "completion_window": "24h"}
        return self.ask("POST", "/batches", fields | {"metadata": dict(metadata)})

    def wait(self, batch_id: str) -> Reply:
        """Look at a batch until it has ended, or the time is up; then a few times more."""
        until, reply = self.now() + self.timeout_s, self.ask("GET", f"/batches/{batch_id}")
        while not ended(reply) and self.now() < until:
            self.sleep(self.poll_s)
            reply = self.ask("GET", f"/batches/{batch_id}")
        for _ in range(_AGAIN if ended(reply) else 0):
            self.sleep(self.poll_s)
            reply = self.ask("GET", f"/batches/{batch_id}")
        return reply


def ended(reply: Reply) -> bool:
    """Tell whether a batch has ended."""
    return reply.is_batch and reply.found["status"] in ENDS


def _read(answer: Answer) -> Reply:
    try:
        return Reply(answer.status, answer.json, answer.body)
    except (ValueError, RecursionError):
        return Reply(answer.status, None, answer.body)


def _batches(reply: Reply) -> Iterator[Any]:
    """Yield the batches in an answer."""
    found = reply.found
    if reply.is_batch:
        yield found
    elif isinstance(found, dict) and isinstance(found.get("data"), list):
        yield from (each for each in found["data"] if isinstance(each, dict) and each.get("object") == "batch")


def shown(value: object) -> str:
    """Return a value as a witness shows it."""
    text = json.dumps(plain(value))
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}..."
