r"""
Batches as jeedom-openai (PHP) dumps them: `JeedomOpenAI\Model\Batch`, by openapi-generator.

`json_encode($batch)` leaves out every null but metadata, escapes slashes, and writes empty metadata as
`[]`. Its getters are camelCase, and so are the keys of serializers that use the getters. The model refuses
an unknown status.
"""

import json

import pytest

from batchfsm import Monitor, parse
from batchfsm.snapshot import BatchErrorEntry, RequestCounts
from support.notation import CREATED, seen, snap

COMPLETED = r"""{"id":"batch_68e77800a1b2c3d4e5f60718293a4b5c","object":"batch","endpoint":"\/v1\/embeddings",
"input_file_id":"file-Jd1in","completion_window":"24h","status":"completed","output_file_id":"file-Jd1out",
"created_at":1760000000,"in_progress_at":1760000004,"expires_at":1760086400,"finalizing_at":1760003600,
"completed_at":1760003661,"request_counts":{"total":40,"completed":40,"failed":0},
"metadata":{"plugin":"jeedom","room":"kitchen"}}"""

FAILED = r"""{"id":"batch_68e77800a1b2c3d4e5f60718293a4b5d","object":"batch","endpoint":"\/v1\/embeddings",
"errors":{"object":"list","data":[{"code":"invalid_json_line","message":"This line is not \"JSON\".",
"param":null,"line":7},{"code":"model_mismatch","message":"Two models.","param":"body.model","line":null}]},
"input_file_id":"file-Jd2in","completion_window":"24h","status":"failed","created_at":1760000000,
"expires_at":1760086400,"failed_at":1760000002,"request_counts":{"total":0,"completed":0,"failed":0},
"metadata":null}"""


def json_encode(wire):
    """Return a batch as PHP dumps it."""
    kept = {name: value for name, value in wire.items() if value is not None and name != "model"}
    kept["metadata"] = wire["metadata"] or (None if wire["metadata"] is None else [])
    return json.dumps(kept, separators=(",", ":")).replace("/", r"\/")


def by_getters(text):
    """Return a batch with the names of the getters as keys: camelCase, explicit nulls."""
    wire = parse(text).to_dict(style="camel")
    return json.dumps({name: value for name, value in wire.items() if name not in {"model", "usage"}})


def test_a_completed_batch_is_read_whole():
    """Every field that PHP dumps is set, and the others are null."""
    batch = parse(COMPLETED)

    assert ("completed", "/v1/embeddings", "24h") == (batch.status, batch.endpoint, batch.completion_window)
    assert (1760000000, 1760000004, 1760003600, 1760003661, 1760086400) == (
        batch.created_at,
        batch.in_progress_at,
        batch.finalizing_at,
        batch.completed_at,
        batch.expires_at,
    )
    assert (None, None, None, None) == (
        batch.failed_at,
        batch.expired_at,
        batch.cancelling_at,
        batch.cancelled_at,
    )
    assert ("file-Jd1in", "file-Jd1out", None) == (
        batch.input_file_id,
        batch.output_file_id,
        batch.error_file_id,
    )
    assert RequestCounts(total=40, completed=40, failed=0) == batch.request_counts
    assert ({"plugin": "jeedom", "room": "kitchen"}, {}) == (batch.metadata, batch.extra)


def test_errors_keep_their_nulls():
    """An entry's null param and line are in the dump and are read."""
    assert (
        BatchErrorEntry(code="invalid_json_line", message='This line is not "JSON".', line=7),
        BatchErrorEntry(code="model_mismatch", message="Two models.", param="body.model"),
    ) == parse(FAILED).errors


@pytest.mark.parametrize("metadata", [None, {}])
def test_no_metadata_comes_as_null_or_as_an_empty_array(metadata):
    """PHP writes an empty map as `[]`."""
    text = json_encode(snap("v", metadata=metadata))

    assert text.endswith('"metadata":null}' if metadata is None else '"metadata":[]}')
    assert parse(text).metadata is None


@pytest.mark.parametrize("dump", [COMPLETED, FAILED], ids=["completed", "failed"])
def test_the_dumps_are_consistent(dump):
    """The fields that PHP leaves out cause no finding."""
    observation = Monitor().observe(dump)

    assert ((), "consistent") == (observation.findings, observation.verdict)


@pytest.mark.parametrize("path", ["vpzc", "vf", "vpze", "vgx", "vpgx"])
@pytest.mark.parametrize("dump", [json_encode, lambda wire: by_getters(json_encode(wire))], ids=["snake", "camel"])
def test_every_status_is_consistent(path, dump):
    """A complete batch polled by PHP has the same findings as its JSON, in both styles of keys."""
    monitor = Monitor()
    observations = [monitor.observe(dump(wire)) for wire in seen(path, metadata={})]

    assert [()] * len(path) == [observation.findings for observation in observations]
    assert [1] * len(path) == [len(observation.transitions) for observation in observations]
    assert "consistent" == monitor["batch_1"].verdict


@pytest.mark.parametrize("dump", [COMPLETED, FAILED], ids=["completed", "failed"])
def test_it_is_written_back_in_snake_case(dump):
    """Without nulls, the output equals PHP's dump."""
    written = parse(dump).to_dict()

    assert json.loads(dump) | {"metadata": written["metadata"]} == {
        name: value for name, value in written.items() if value is not None or name == "metadata"
    }


def test_camel_case_goes_there_and_back():
    """The camelCase keys of getters are read and written."""
    camel = by_getters(COMPLETED)

    assert '"inputFileId": "file-Jd1in"' in camel
    assert parse(COMPLETED) == parse(camel)
    assert json.loads(camel).items() <= parse(camel).to_dict(style="camel").items()
    assert CREATED == parse(camel).created_at
