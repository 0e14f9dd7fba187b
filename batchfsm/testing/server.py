"""The fake API as an HTTP server on loopback, for other processes and other languages."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

from batchfsm.testing.http import Answer, Request, error_answer

HANG_S: Final = 60.0
"""Seconds that a request with the fault `timeout` hangs, unless its client gives up before."""

BODY_BYTES_MAX: Final = 256 * 2**20
"""The largest accepted body; OpenAI accepts input files of 200 MB."""

_LINE_BYTES_MAX: Final = 2**16


class Server:
    """
    A fake API that serves HTTP on a thread of its own, until it is closed.

    It is a context manager. An exception in the code of a test that answers a request
    is a 500 for the client, and is raised again when the server is closed.
    """

    def __init__(self, handle: Callable[[Request], Answer], host: str = "127.0.0.1", port: int = 0) -> None:
        self._http = _HTTPServer((host, port), _Handler)
        self._http.handle_one = handle
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Server {self.base_url}>"

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._http.server_address[1])

    @property
    def base_url(self) -> str:
        """The `base_url` of clients: `http://127.0.0.1:8000/v1`."""
        return f"http://{self._http.server_address[0]!s}:{self.port}/v1"

    def close(self) -> None:
        """
        Stop, and close open connections; a second call does nothing.

        Raises:
            ExceptionGroup: With the exceptions of the test's own code.
        """
        self._http.stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.close_connections()
        self._http.server_close()
        errors, self._http.errors = self._http.errors, []
        if errors:
            raise ExceptionGroup("raised while the fake API answered requests", errors)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An exception of the block comes before those of the answers.
        if error is None:
            self.close()
        else:
            with suppress(ExceptionGroup):
                self.close()


class _HTTPServer(ThreadingHTTPServer):
    """An HTTP server that knows its connections, to close them."""

    daemon_threads = False  # Closing waits for them, so that none outlives a test.
    handle_one: Callable[[Request], Answer]

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.stopping = Event()
        self.errors: list[Exception] = []
        self._open: set[socket.socket] = set()
        self._lock = Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Close every connection, so that no thread waits for an idle client."""
        with self._lock:
            still_open = list(self._open)
        for each in still_open:
            with suppress(OSError):  # The client closed it first.
                each.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HTTPServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # Its name in the standard library.
        """Log nothing: the API records its calls."""

    def _serve(self) -> None:
        body = self._body()
        if body is None:
            self.close_connection = True
            self._send(error_answer(400, "The body of the request is broken, or too large."))
            return
        url = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=url.path,
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        try:
            answer = self.server.handle_one(request)
        except Exception as error:  # noqa: BLE001  # Raised when the server is closed.
            self.server.errors.append(error)
            answer = error_answer(500, f"{type(error).__name__}: {error}", kind="server_error")
        if answer.breaks is None:
            self._send(answer)
            return
        self.close_connection = True
        if answer.breaks == "timeout":
            self.server.stopping.wait(HANG_S)
        # A connection closed with a linger of 0 s is reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = _serve  # noqa: N815  # As the standard library calls them.

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        if answer.byte_interval_s is None:
            self.wfile.write(answer.body)
        else:
            self._send_slowly(answer.chunks(), answer.byte_interval_s)

    def _send_slowly(self, chunks: Iterator[bytes], interval_s: float) -> None:
        """Send a body byte by byte, until the client or the server gives up."""
        with suppress(ConnectionError):
            for chunk in chunks:
                if self.server.stopping.wait(interval_s):
                    break
                self.wfile.write(chunk)
            else:
                return
        self.close_connection = True

    def _body(self) -> bytes | None:
        """Return the body, sent at once or in chunks; None if it is broken or too large."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        length = self.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and int(length[:12]) <= BODY_BYTES_MAX):
            return None
        return self.rfile.read(int(length))

    def _chunks(self) -> bytes | None:
        chunks, left = [], BODY_BYTES_MAX
        while True:
            head = self.rfile.readline(_LINE_BYTES_MAX).partition(b";")[0].strip()
            try:
                size = int(head, 16)
            except ValueError:
                return None
            left -= size
            if size < 0 or left < 0:
                return None
            chunks.append(self.rfile.read(size))
            self.rfile.readline(_LINE_BYTES_MAX)
            if size == 0:
                return b"".join(chunks)
