"""
Batches as openai_flutter_sdk (Dart) dumps them: `class Batch`, by openapi-generator.

`jsonEncode(batch)` has every key of the wire, nulls explicit; metadata is never null but `{}`, and errors
always have `data`, which may be empty. There is no `model` and no `usage`. An unknown status fails a null
check, so no dump contains one. The camelCase keys are those of `toString()`, which returns text.
"""

import json

import pytest

from batchfsm import Monitor, parse
from batchfsm.snapshot import BatchErrorEntry, RequestCounts
from support.notation import seen, snap

EXPIRED = """{"id":"batch_68e77800c1b2c3d4e5f60718293a4b5c","object":"batch","endpoint":"/v1/responses",
"errors":null,
"input_file_id":"file-Da1in","completion_window":"24h","status":"expired","output_file_id":"file-Da1out",
"error_file_id":"file-Da1err","created_at":1760000000,"in_progress_at":1760000003,"expires_at":1760086400,
"finalizing_at":1760086401,"completed_at":null,"failed_at":null,"expired_at":1760087008,"cancelling_at":null,
"cancelled_at":null,"request_counts":{"total":10,"completed":1,"failed":0},"metadata":{"app":"flutter"}}"""

FAILED = """{"id":"batch_68e77800c1b2c3d4e5f60718293a4b5d","object":"batch","endpoint":"/v1/responses",
"errors":{"object":"list","data":[{"code":"duplicate_custom_id","message":"Twice: a-1.","param":"custom_id",
"line":2}]},"input_file_id":"file-Da2in","completion_window":"24h","status":"failed","output_file_id":null,
"error_file_id":null,"created_at":1760000000,"in_progress_at":null,"expires_at":1760086400,
"finalizing_at":null,
"completed_at":null,"failed_at":1760000004,"expired_at":null,"cancelling_at":null,"cancelled_at":null,
"request_counts":{"total":0,"completed":0,"failed":0},"metadata":{}}"""


def json_encode(wire):
    """Return a batch as Dart dumps it."""
    kept = {name: value for name, value in wire.items() if name != "model"}
    return json.dumps(kept | {"metadata": wire["metadata"] or {}})


def test_an_expired_batch_is_read_whole():
    """Every field is read: the counts before the deadline, and the files of partial results."""
    batch = parse(EXPIRED)

    assert ("expired", 1760086401, 1760087008, None) == (
        batch.status,
        batch.finalizing_at,
        batch.expired_at,
        batch.completed_at,
    )
    assert RequestCounts(total=10, completed=1, failed=0) == batch.request_counts
    assert ("file-Da1out", "file-Da1err") == (batch.output_file_id, batch.error_file_id)
    assert ({"app": "flutter"}, None, {}) == (batch.metadata, batch.errors, batch.extra)


def test_errors_are_an_object_with_data():
    """Each entry has all four keys."""
    assert (
        BatchErrorEntry(code="duplicate_custom_id", message="Twice: a-1.", param="custom_id", line=2),
    ) == parse(FAILED).errors  # fmt: skip


def test_errors_without_entries_are_none():
    """Dart's `data` is `[]` for null errors."""
    assert parse(json_encode(snap("vf", errors={"object": "list", "data": []}))).errors is None


def test_empty_metadata_is_none():
    """Dart writes `{}` for null, absent and empty metadata."""
    assert parse(FAILED).metadata is None
    assert parse(json_encode(snap("v", metadata=None))) == parse(json_encode(snap("v", metadata={})))


@pytest.mark.parametrize("dump", [EXPIRED, FAILED], ids=["expired", "failed"])
def test_the_dumps_are_consistent(dump):
    """Explicit nulls cause no finding."""
    observation = Monitor().observe(dump)

    assert ((), "consistent") == (observation.findings, observation.verdict)


@pytest.mark.parametrize("path", ["vpzc", "vf", "vpze", "vgx", "vpgx"])
def test_every_status_is_consistent(path):
    """A complete batch polled by Dart has the same findings as its JSON."""
    monitor = Monitor()
    observations = [monitor.observe(json_encode(wire)) for wire in seen(path)]

    assert [()] * len(path) == [observation.findings for observation in observations]
    assert [1] * len(path) == [len(observation.transitions) for observation in observations]
    assert "consistent" == monitor["batch_1"].verdict


@pytest.mark.parametrize("dump", [EXPIRED, FAILED], ids=["expired", "failed"])
def test_it_is_written_back_with_explicit_nulls(dump):
    """In snake_case the output equals the dump, except that `{}` is null and two keys are added."""
    wire = json.loads(dump)

    assert wire | {"metadata": wire["metadata"] or None, "model": None, "usage": None} == parse(dump).to_dict()


def test_camel_case_goes_there_and_back():
    """The keys of Dart's `toString()` are read and written in the camel style."""
    camel = parse(EXPIRED).to_dict(style="camel")

    assert ("file-Da1in", 1760087008) == (camel["inputFileId"], camel["expiredAt"])
    assert parse(EXPIRED) == parse(camel)
