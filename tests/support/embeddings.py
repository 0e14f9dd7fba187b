"""An input file with requests for embeddings, and the fake API's responses to them."""

import json

from batchfsm.testing import RequestError

CREATE = {"endpoint": "/v1/embeddings", "completion_window": "24h"}


def lines(*texts):
    """Return an input file with a request for the embedding of each text."""
    body = [
        {"custom_id": text, "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": text}}
        for text in texts
    ]
    return "\n".join(map(json.dumps, body)).encode()


def respond(body):
    """Return the response to a request of `lines`."""
    return RequestError(400, "boom") if body["input"] == "bad" else {"embedding": [len(body["input"])]}
