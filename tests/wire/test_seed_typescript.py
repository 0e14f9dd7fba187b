"""
Batches as openai-node (TypeScript) has them, and LangChain JS after it: `interface Batch`.

TypeScript does not check an object at run time, so `JSON.stringify(batch)` equals the server's JSON: the same
order of keys, nulls, unknown fields and unknown statuses. Older servers send no `model` and no `usage`.
"""

import json

import pytest

from batchfsm import Monitor, parse
from batchfsm.snapshot import BatchErrorEntry, RequestCounts
from support.notation import seen, snap

CANCELLED = """{"id":"batch_68e77800d1b2c3d4e5f60718293a4b5c","object":"batch",
"endpoint":"/v1/chat/completions",
"model":"gpt-5-2025-08-07","errors":null,"input_file_id":"file-Ts1in","completion_window":"24h",
"status":"cancelled","output_file_id":"file-Ts1out","error_file_id":"file-Ts1err","created_at":1760000000,
"in_progress_at":1760000062,"expires_at":1760086400,"finalizing_at":null,"completed_at":null,"failed_at":null,
"expired_at":null,"cancelling_at":1760000300,"cancelled_at":1760000905,
"request_counts":{"total":8,"completed":4,"failed":0},"usage":{"input_tokens":120,
"input_tokens_details":{"cached_tokens":0},"output_tokens":40,"output_tokens_details":{"reasoning_tokens":8},
"total_tokens":160},"metadata":{"chain":"summaries"}}"""

OLDER = """{"id":"batch_abc123","object":"batch","endpoint":"/v1/embeddings","errors":{"object":"list",
"data":[
{"code":"url_mismatch","message":"Not /v1/embeddings.","param":"url","line":3}]},"input_file_id":"file-Ts2in",
"completion_window":"24h","status":"failed","output_file_id":null,"error_file_id":null,
"created_at":1760000000,
"in_progress_at":null,"expires_at":1760086400,"finalizing_at":null,"completed_at":null,"failed_at":1760000001,
"expired_at":null,"cancelling_at":null,"cancelled_at":null,"request_counts":{"total":0,"completed":0,
"failed":0},"metadata":null}"""


def camel_cased(wire):
    """Return a batch as an application dumps it that converts keys to camelCase and nulls to undefined."""
    styled = parse(wire).to_dict(style="camel")
    return json.dumps({name: value for name, value in styled.items() if value is not None})


def test_a_cancelled_batch_is_read_whole():
    """Partial results, counts and usage are read."""
    batch = parse(CANCELLED)

    assert ("cancelled", 1760000300, 1760000905) == (batch.status, batch.cancelling_at, batch.cancelled_at)
    assert RequestCounts(total=8, completed=4, failed=0) == batch.request_counts
    assert ("file-Ts1out", "gpt-5-2025-08-07") == (batch.output_file_id, batch.model)
    assert {"chain": "summaries"} == batch.metadata


def test_usage_is_kept_to_the_bottom():
    """Nested token details are kept as read-only mappings."""
    usage = parse(CANCELLED).usage

    assert json.loads(CANCELLED)["usage"] == usage
    with pytest.raises(TypeError):
        usage["output_tokens_details"]["reasoning_tokens"] = 9


def test_an_older_object_has_neither_model_nor_usage():
    """LangChain's reference shows this form, in which errors are an object with data."""
    batch = parse(OLDER)

    assert (None, None, None) == (batch.model, batch.usage, batch.metadata)
    assert (BatchErrorEntry(code="url_mismatch", message="Not /v1/embeddings.", param="url", line=3),) == batch.errors


def test_an_unknown_status_gets_through():
    """TypeScript accepts any string; `parse` keeps it, and a monitor reports S004."""
    monitor = Monitor()
    monitor.observe(json.dumps(snap("v")))
    observation = monitor.observe(json.dumps(snap("vp", status="paused")))

    assert ("paused", None) == (
        parse(snap("vp", status="paused")).status,
        parse(snap("vp", status="paused")).known_status,
    )
    assert (["S004"], (), "inconsistent") == (
        [finding.rule for finding in observation.findings],
        observation.transitions,
        observation.verdict,
    )
    assert "validating" == monitor["batch_1"].status


def test_an_unknown_field_gets_through():
    """An unknown field is kept and written."""
    text = json.dumps(snap("vp", output_expires_after={"anchor": "created_at", "seconds": 3600}))

    assert {"output_expires_after": {"anchor": "created_at", "seconds": 3600}} == parse(text).extra
    assert json.loads(text).items() <= parse(text).to_dict().items()


@pytest.mark.parametrize("dump", [CANCELLED, OLDER], ids=["cancelled", "older"])
def test_the_dumps_are_consistent(dump):
    """The JSON of the API causes no finding."""
    observation = Monitor().observe(dump)

    assert ((), "consistent") == (observation.findings, observation.verdict)


@pytest.mark.parametrize("path", ["vpzc", "vf", "vpze", "vgx", "vpgx"])
@pytest.mark.parametrize("dump", [json.dumps, camel_cased], ids=["snake", "camel"])
def test_every_status_is_consistent(path, dump):
    """A complete batch polled by Node has the expected findings, with the API's keys or an application's."""
    monitor = Monitor()
    observations = [monitor.observe(dump(wire)) for wire in seen(path)]

    assert [()] * len(path) == [observation.findings for observation in observations]
    assert [1] * len(path) == [len(observation.transitions) for observation in observations]
    assert "consistent" == monitor["batch_1"].verdict


def test_it_is_written_back_as_it_came():
    """Every key of the API is written in the API's order, with explicit nulls."""
    assert json.loads(CANCELLED) == parse(CANCELLED).to_dict()
    assert list(json.loads(CANCELLED)) == list(parse(CANCELLED).to_dict())
    assert json.loads(OLDER) | {"model": None, "usage": None} == parse(OLDER).to_dict()


def test_camel_case_goes_there_and_back():
    """An application's camelCase keys are read and written."""
    camel = camel_cased(CANCELLED)

    assert parse(CANCELLED) == parse(camel)
    assert json.loads(camel).items() <= parse(camel).to_dict(style="camel").items()
