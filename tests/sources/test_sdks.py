"""Sources over the real SDKs with a transport in this process; a test skips if its SDK is absent."""

import json
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec

import pytest

from batchfsm.sources import anthropic, bedrock, gemini, mistral
from batchfsm.watching import Gone
from support.other_providers import BEDROCK, ENDED, GEMINI, MISTRAL


def http_library():
    """Return the HTTP library of the SDKs: httpx2 if it is installed, else httpx."""
    return import_module("httpx2" if find_spec("httpx2") else "httpx")


def transport_of(library, answers):
    """Return a transport that answers known paths, and responds 404 to any other path."""

    def handle(request):
        found = answers.get(request.url.path.split("/", 2)[2])  # The path without the version of the API.
        return library.Response(404 if found is None else 200, json={} if found is None else found)

    return library.MockTransport(handle)


def test_anthropic():
    """`fetch` returns snapshots, and `Gone` for a missing batch; `list` returns every batch."""
    sdk = pytest.importorskip("anthropic", reason="the SDK of Anthropic is not installed")
    library = http_library()
    path = "messages/batches"
    answers = {f"{path}/msgbatch_1": ENDED, path: {"data": [ENDED], "has_more": False, "last_id": "msgbatch_1"}}
    client = sdk.Anthropic(
        api_key="k", max_retries=0, http_client=sdk.DefaultHttpxClient(transport=transport_of(library, answers))
    )
    source = anthropic(client)
    found = source.fetch(("msgbatch_1", "msgbatch_2"))

    assert ("ended", True) == (found["msgbatch_1"].status, isinstance(found["msgbatch_2"], Gone))
    assert ["ended"] == [each.status for each in source.list()]


def test_gemini():
    """The snapshot has the counts, which the SDK's own object leaves out; a missing batch is `Gone`."""
    genai = pytest.importorskip("google.genai", reason="the SDK of Gemini is not installed")
    httpx = http_library()
    answers = {"batches/1": GEMINI, "batches": {"operations": [GEMINI]}}
    client = genai.Client(
        api_key="k",
        http_options=genai.types.HttpOptions(client_args={"transport": transport_of(httpx, answers)}),
    )
    source = gemini(client)
    found = source.fetch(("1", "2"))

    assert (3, True) == (found["1"].request_counts.total, isinstance(found["2"], Gone))
    assert ["completed"] == [each.status for each in source.list()]


def test_bedrock():
    """boto3's datetimes become Unix seconds, and a missing job is `Gone`."""
    boto3 = pytest.importorskip("boto3", reason="the SDK of AWS is not installed")
    stubber = import_module("botocore.stub").Stubber

    client = boto3.client("bedrock", region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="k")
    times = {name: f"{BEDROCK[name]}" for name in ("submitTime", "endTime", "lastModifiedTime")}
    arn = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl"
    job = BEDROCK | {name: datetime.fromisoformat(text) for name, text in times.items()} | {
        "jobArn": arn, "modelId": "amazon.nova-pro-v1:0", "roleArn": "arn:aws:iam::123456789012:role/example",
        "inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://example/in"}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://example/out"}},
    }  # fmt: skip
    with stubber(client) as stub:
        stub.add_response("get_model_invocation_job", job)
        stub.add_client_error("get_model_invocation_job", "ResourceNotFoundException")
        found = bedrock(client).fetch((arn, "none"))

    assert ("expired", True) == (found[arn].status, isinstance(found["none"], Gone))
    assert 1767225600 == found[arn].created_at


def test_mistral():
    """Jobs of the SDK's own type become snapshots, and a missing job is `Gone`."""
    sdk = pytest.importorskip("mistralai.client", reason="the SDK of Mistral is not installed")
    httpx = http_library()
    job = MISTRAL | {"input_files": [], "completed_requests": 8, "endpoint": "/v1/chat/completions"}
    answers = {"batch/jobs/5befe8c6": job, "batch/jobs": {"data": [job], "total": 1, "object": "list"}}
    client = sdk.Mistral(api_key="k", client=httpx.Client(transport=transport_of(httpx, answers)))
    source = mistral(client)
    found = source.fetch(("5befe8c6", "none"))

    assert ("in_progress", 100) == (found["5befe8c6"].status, found["5befe8c6"].request_counts.total)
    assert isinstance(found["none"], Gone)
    assert ["in_progress"] == [each.status for each in source.list()]
    assert "SECRET" not in json.dumps(found["5befe8c6"].to_dict())
