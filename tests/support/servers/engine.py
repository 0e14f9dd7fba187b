"""A model server that answers each chat with hello; batch servers send their requests to it."""

import json
from http.server import BaseHTTPRequestHandler

MODEL = "stub-model"


class Engine(BaseHTTPRequestHandler):
    """Lists one model, and completes each chat."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Log nothing."""

    def do_GET(self):  # The name is that of the standard library.
        """Answer any GET request with the list of the one model."""
        self.answer({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "nobody"}]})

    def do_POST(self):
        """Answer any POST request with a completed chat."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        message = {"role": "assistant", "content": "hello"}
        self.answer(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 0,
                "model": MODEL,
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            }
        )

    def answer(self, found):
        """Send a value as JSON."""
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
