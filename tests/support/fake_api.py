"""Requests to the fake API with a key."""

import json

from batchfsm.testing import Request

KEY = {"authorization": "Bearer sk-any"}


def ask(api, method, path, body=b"", **query):
    """Send a request with a key; return the status and the JSON of the response."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = api.handle(Request(method=method, path=f"/v1/{path}", query=query, headers=KEY, body=body))
    return answer.status, answer.json


def upload(api, content, purpose="batch"):
    """Upload a file; return its id."""
    form = (
        f'--cut\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
        '--cut\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n'
    ).encode()
    headers = KEY | {"content-type": "multipart/form-data; boundary=cut"}
    body = form + content + b"\r\n--cut--\r\n"
    return api.handle(Request(method="POST", path="/v1/files", headers=headers, body=body)).json["id"]


def download(api, file_id):
    """Return the content of a file."""
    return api.handle(Request(method="GET", path=f"/v1/files/{file_id}/content", headers=KEY)).body
