"""A server of batches for the tests of watching: lives on a virtual clock, behind mock transports or on loopback."""

import importlib
import json
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import openai

from support.notation import CREATED, seconds, snap

SELF = [
    sys.executable,
    "-c",
    # The tests may be started in the background by a shell that makes processes ignore interrupts.
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from batchfsm.__main__ import main; main()",
]
"""The command, in a process of its own that can be interrupted."""

HTTPX = importlib.import_module("httpx2" if int(openai.VERSION.split(".")[0]) >= 3 else "httpx")
"""The HTTP library of the installed openai."""


def raises(make):
    """Return a fault that raises the exception of `make`."""

    def fault(_):
        raise make()

    return fault


HTML = "<html><body>Bad gateway</body></html>"
FAULTS = {
    "429": (429, {"retry-after": "7"}, '{"error": {"message": "slow down"}}'),
    "429 without a word": (429, {}, ""),
    "500": (500, {}, '{"error": {"message": "oops"}}'),
    "502 HTML": (502, {"content-type": "text/html"}, HTML),
    "503": (503, {"retry-after-ms": "2500"}, ""),
    "408": (408, {}, ""),
    "409": (409, {}, ""),
    "302": (302, {"location": "https://login.example"}, ""),
    "time-out": raises(lambda: HTTPX.ReadTimeout("slow")),
    "reset": raises(lambda: HTTPX.ReadError("reset by peer")),
    "refused": raises(lambda: HTTPX.ConnectError("refused")),
    "cut off": raises(lambda: HTTPX.RemoteProtocolError("peer closed connection")),
    "truncated JSON": (200, {}, json.dumps(snap("vp"))[:40]),
    "HTML at 200": (200, {"content-type": "text/html"}, HTML),
    "an error body at 200": (200, {}, '{"error": {"message": "upstream", "code": 500}}'),
    "nothing at 200": (200, {}, ""),
    "null at 200": (200, {}, "null"),
    "a list at 200": (200, {}, "[]"),
    "not UTF-8": (200, {}, "caf\udce9".encode("utf-8", "surrogateescape")),
    "another batch": (200, {}, json.dumps(snap("vpzc", id="batch_other"))),
    "no id": (200, {}, json.dumps(snap("vpzc", id=None))),
    "404": (404, {}, "{}"),
}  # fmt: skip
"""Responses and errors in place of an answer, by name; none of them is an observation."""


class Clock:
    """A clock that advances only by sleeping."""

    def __init__(self, now=float(CREATED)):
        self.now = now
        self.naps = []

    def __call__(self):
        """Return Unix seconds."""
        return self.now

    time = __call__

    def sleep(self, seconds):
        """Advance the clock without waiting."""
        self.naps.append(seconds)
        self.now += seconds

    async def asleep(self, seconds):
        """Advance the clock without waiting."""
        self.sleep(seconds)


class Life:
    """A batch that goes along a path and enters a status at each second of `at`; `seconds(path)` by default."""

    def __init__(self, path, *, batch_id="batch_1", at=None, born_at=CREATED, **changes):
        self.path, self.batch_id, self.born_at, self.changes = path, batch_id, born_at, changes
        self.at = seconds(path) if at is None else list(at)

    def seen(self, now):
        """Return the batch object at a time; None before its creation."""
        entered = [second for second in self.at if self.born_at + second <= now]
        if not entered:
            return None
        batch = snap(self.path[: len(entered)], at=entered, id=self.batch_id)
        shift = self.born_at - CREATED
        moved = {key: batch[key] + shift for key in batch if key.endswith("_at") and batch[key] is not None}
        return batch | moved | self.changes


class Server:
    """Answers requests as OpenAI does; each request takes one entry of the fault lists, where None is no fault."""

    def __init__(self, *lives, clock, faults=(), list_faults=()):
        self.lives = {life.batch_id: life for life in lives}
        self.clock = clock
        self.faults, self.list_faults = list(faults), list(list_faults)
        self.requests = []

    def answer(self, method, url):
        """Return `(status, headers, body)`, or raise the exception of a transport."""
        parts = urlsplit(url)
        self.requests.append(parts.path.rpartition("/v1")[2] or parts.path)
        *_, name = parts.path.split("/")
        faults = self.list_faults if name == "batches" and self.list_faults else self.faults
        fault = faults.pop(0) if faults else None
        if fault is not None:
            return fault(self) if callable(fault) else fault
        if name == "batches":
            return self._page(parse_qs(parts.query))
        life = self.lives.get(name)
        batch = None if life is None else life.seen(self.clock())
        if batch is None:
            error = {"message": f"No batch found with id '{name}'.", "type": "invalid_request_error", "code": None}
            return 404, {}, json.dumps({"error": error})
        return 200, {}, json.dumps(batch)

    def _page(self, query):
        shown = [batch for life in self.lives.values() if (batch := life.seen(self.clock())) is not None]
        shown.sort(key=lambda batch: batch["created_at"], reverse=True)
        ids = [batch["id"] for batch in shown]
        begin = ids.index(query["after"][0]) + 1 if "after" in query else 0
        page = shown[begin : begin + int(query.get("limit", ["20"])[0])]
        more = begin + len(page) < len(shown)
        return 200, {}, json.dumps({"object": "list", "data": page, "has_more": more})

    def _respond(self, request):
        status, headers, body = self.answer(request.method, str(request.url))
        return HTTPX.Response(status, headers={"content-type": "application/json"} | headers, content=body)

    def client(self, **options):
        """Return a sync openai client of this server."""
        http = HTTPX.Client(transport=HTTPX.MockTransport(self._respond))
        return openai.OpenAI(api_key="sk-none", max_retries=0, http_client=http, **options)

    def async_client(self):
        """Return an async openai client of this server."""

        async def respond(request):
            """Return the response of the server."""
            return self._respond(request)

        http = HTTPX.AsyncClient(transport=HTTPX.MockTransport(respond))
        return openai.AsyncOpenAI(api_key="sk-none", max_retries=0, http_client=http)

    @contextmanager
    def served(self):
        """Serve on loopback; yield the base URL."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                """Answer a GET request."""
                status, headers, body = server.answer("GET", self.path)
                payload = body.encode()
                self.send_response(status)
                for name, value in (
                    {"content-type": "application/json", "content-length": len(payload)} | headers
                ).items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_):
                """Log nothing."""

        listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}/v1"
        finally:
            listening.shutdown()
            listening.server_close()
            thread.join()
