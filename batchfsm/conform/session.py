"""A client's session with a server: sends requests, records every view of a batch, and waits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import attrs

from batchfsm.conform.http import Caller, UnreachableError
from batchfsm.finding import to_json_value
from batchfsm.testing import Answer, Request

FINAL_STATUSES: Final = frozenset({"completed", "failed", "expired", "cancelled"})
"""The final statuses; a dialect's own words for them are not guessed."""

WITNESS_CHARS_MAX: Final = 160
"""The most characters of an answer in a witness."""

UPLOAD_NAME: Final = "in.jsonl"
"""The file name of each upload."""

_BOUNDARY: Final = "batchfsm-conform-boundary"
_POLLS_AFTER_END: Final = 3
"""Number of polls after the end of a batch: it must not change any more."""


@attrs.frozen
class WaitProgress:
    """One poll of a batch that is waited for."""

    batch_id: str
    """The id of the batch."""
    status: str
    """The status, or the answer if that is no batch."""
    waited_s: float
    """The time since the wait began; seconds."""
    timeout_s: float
    """The longest wait for the batch; seconds."""


@attrs.frozen
class Reply:
    """An answer with its decoded body."""

    status: int
    """The HTTP status; 0 if no answer arrived."""
    content: Any
    """The decoded JSON body; None if it is no JSON."""
    body: bytes

    @property
    def is_batch(self) -> bool:
        """True if the answer is a success and its body a batch."""
        content = self.content
        return self.is_object and content.get("object", "batch") == "batch" and "status" in content

    @property
    def is_object(self) -> bool:
        """True if the answer is a success and its body a JSON object."""
        return 0 < self.status < 300 and isinstance(self.content, dict)  # noqa: PLR2004  # HTTP's.

    @property
    def is_refusal(self) -> bool:
        """True if the status is 4xx."""
        return 400 <= self.status < 500  # noqa: PLR2004  # HTTP's own borders.

    @property
    def has_ended(self) -> bool:
        """True if the answer is a batch in a final status."""
        return self.is_batch and self.content["status"] in FINAL_STATUSES

    @property
    def id(self) -> str | None:
        """The id of the object; None if there is none."""
        found = self.content.get("id") if self.is_object else None
        return found if isinstance(found, str) and found else None

    def __str__(self) -> str:
        text = self.body.decode("utf-8", "replace")
        cut = text if len(text) <= WITNESS_CHARS_MAX else text[:WITNESS_CHARS_MAX] + "..."
        return f"{self.status} {cut}" if self.status else cut


@attrs.define(kw_only=True)
class ServerSession:
    """Sends requests to a server, and records every view of a batch with its time."""

    call: Caller
    now: Callable[[], float]
    """Returns the time; Unix seconds."""
    sleep: Callable[[float], None]
    """Waits; seconds."""
    endpoint: str
    """The endpoint of each batch: `/v1/chat/completions`."""
    model: str
    """The model of each request."""
    timeout_s: float
    """The most seconds to wait for each batch."""
    poll_s: float
    """Seconds between two polls."""
    on_wait: Callable[[WaitProgress], None] | None = None
    """Called at each poll of a batch that is waited for."""
    views: list[dict[str, Any]] = attrs.field(factory=list)
    """Every view of a batch, in an envelope."""
    created_ids: list[str] = attrs.field(factory=list)
    """The ids of the batches created."""
    _has_answered: bool = attrs.field(default=False, init=False)

    def ask(self, method: str, path: str, body: object = None, **query: str) -> Reply:
        """
        Send a request, and record the batches in the answer.

        Raises:
            UnreachableError: If the server has not answered yet; later, the reply has status 0.
        """
        if isinstance(body, bytes):
            kind, sent = f"multipart/form-data; boundary={_BOUNDARY}", body
        else:
            kind, sent = "application/json", b"" if body is None else json.dumps(body).encode()
        request = Request(method=method, path=path, query=query, headers={"content-type": kind}, body=sent)
        try:
            answer = self.call(request)
        except UnreachableError as error:
            if not self._has_answered:
                raise
            return Reply(0, None, f"no answer: {error}".encode())
        self._has_answered = True
        reply, observed_at = _decode(answer), _server_time(answer, self.now())
        for batch in _batches(reply):
            self.views.append({"observed_at": observed_at, "snapshot": batch})
        return reply

    def upload(self, lines: str) -> Reply:
        """Upload an input file."""
        parts = [
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n',
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{UPLOAD_NAME}"\r\n',
            f"Content-Type: application/jsonl\r\n\r\n{lines}\r\n--{_BOUNDARY}--\r\n",
        ]
        return self.ask("POST", "/files", "".join(parts).encode())

    def input_lines(self, *custom_ids: str) -> str:
        """Return an input file with one request for each id."""
        body = {"model": self.model, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
        rows = [{"custom_id": name, "method": "POST", "url": self.endpoint, "body": body} for name in custom_ids]
        return "".join(json.dumps(row) + "\n" for row in rows)

    def create(self, parameters: Mapping[str, Any]) -> Reply:
        """Create a batch, and record its id."""
        reply = self.ask("POST", "/batches", dict(parameters))
        if reply.is_batch and reply.id is not None:
            self.created_ids.append(reply.id)
        return reply

    def wait(self, batch_id: str) -> Reply:
        """Poll a batch until it has ended or the time is up, and three times after its end; return the last reply."""
        begun = self.now()
        reply = self._poll(batch_id, begun)
        while not reply.has_ended and self.now() < begun + self.timeout_s:
            self.sleep(self.poll_s)
            reply = self._poll(batch_id, begun)
        for _ in range(_POLLS_AFTER_END if reply.has_ended else 0):
            self.sleep(self.poll_s)
            reply = self._poll(batch_id, begun)
        return reply

    def _poll(self, batch_id: str, begun: float) -> Reply:
        reply = self.ask("GET", f"/batches/{batch_id}")
        if self.on_wait is not None:
            status = str(reply.content["status"] if reply.is_batch else reply)
            self.on_wait(WaitProgress(batch_id, status, self.now() - begun, self.timeout_s))
        return reply


def _server_time(answer: Answer, default: float) -> float:
    """Return the time in the header `date` of an answer, or `default`; Unix seconds."""
    # Stamps are the server's, so its own clock decides whether one is in the future.
    try:
        return parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return default


def _decode(answer: Answer) -> Reply:
    try:
        return Reply(answer.status, answer.json, answer.body)
    except (ValueError, RecursionError):
        return Reply(answer.status, None, answer.body)


def _batches(reply: Reply) -> Iterator[Any]:
    """Yield the batches in an answer."""
    content = reply.content
    if reply.is_batch:
        yield content
    elif isinstance(content, dict) and isinstance(content.get("data"), list):
        yield from (row for row in content["data"] if isinstance(row, dict) and row.get("object") == "batch")


def witness_of(value: object) -> str:
    """Return a value as JSON text, cut after `WITNESS_CHARS_MAX` characters."""
    text = json.dumps(to_json_value(value))
    return text if len(text) <= WITNESS_CHARS_MAX else f"{text[:WITNESS_CHARS_MAX]}..."
