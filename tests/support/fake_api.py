"""Requests to the fake API as a client with a key sends them."""

import json

from batchfsm.testing import Request

KEY = {"authorization": "Bearer sk-any"}


def ask(api, method, path, body=b"", **query):
    """Ask, with a key; return status and what came."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = api.handle(Request(method=method, path=f"/v1/{path}", query=query, headers=KEY, body=body))
    return answer.status, answer.json
