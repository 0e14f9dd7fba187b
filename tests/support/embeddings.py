"""An input file that asks for embeddings, and the answers of the fake API to it."""

import json

from batchfsm.testing import RequestError

CREATE = {"endpoint": "/v1/embeddings", "completion_window": "24h"}


def lines(*texts):
    """Return an input file that asks for an embedding of each text."""
    body = [
        {"custom_id": text, "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": text}}
        for text in texts
    ]
    return "\n".join(map(json.dumps, body)).encode()


def respond(body):
    """Answer a request of `lines`."""
    return RequestError(400, "boom") if body["input"] == "bad" else {"embedding": [len(body["input"])]}
