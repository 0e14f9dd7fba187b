"""
Batches as openai-kotlin (Kotlin) dumps them: `data class Batch`, by kotlinx-serialization.

There is no `object`, no `model`, no `usage`. Null defaults are left out, but `errors` has no default and is
always printed. Errors are a page (`PaginatedList`), each with a `type` of its own. `Status` is an open
value class that accepts any string. Serializers that use the properties, such as Gson, dump camelCase.
"""

import json

import pytest

from batchfsm import Monitor, parse
from batchfsm.snapshot import BatchErrorEntry, RequestCounts
from support.notation import CREATED, seen, snap

COMPLETED = """{"id":"batch_68e77800e1b2c3d4e5f60718293a4b5c","endpoint":"/v1/chat/completions","errors":null,
"input_file_id":"file-Kt1in","completion_window":"24h","status":"completed","error_file_id":"file-Kt1err",
"created_at":1760000000,"in_progress_at":1760000001,"expires_at":1760086400,"finalizing_at":1760000900,
"completed_at":1760000902,"request_counts":{"total":9,"completed":0,"failed":9},"metadata":{"team":"ktor"}}"""

FAILED = """{"id":"batch_68e77800e1b2c3d4e5f60718293a4b5d","endpoint":"/v1/chat/completions",
"errors":{"data":[
{"code":"invalid_request","message":"Bad method.","param":"method","type":null,"line":5}],"has_more":false,
"first_id":null,"last_id":null},"input_file_id":"file-Kt2in","completion_window":"24h","status":"failed",
"created_at":1760000000,"expires_at":1760086400,"failed_at":1760000003,
"request_counts":{"total":0,"completed":0,"failed":0}}"""


def encode_to_string(wire):
    """Return a batch as Kotlin dumps it."""
    kept = {name: value for name, value in wire.items() if value is not None and name not in {"object", "model"}}
    page = wire["errors"] and {"data": [each | {"type": None} for each in wire["errors"]["data"]]}
    return json.dumps(kept | {"errors": page})


def by_properties(wire):
    """Return a batch with the names of the properties as keys, without nulls."""
    styled = parse(encode_to_string(wire)).to_dict(style="camel")
    return json.dumps({name: value for name, value in styled.items() if value is not None and name != "object"})


def test_a_completed_batch_is_read_whole():
    """The object is recognized without `object`."""
    batch = parse(COMPLETED)

    assert ("completed", 1760000001, 1760000900, 1760000902) == (
        batch.status,
        batch.in_progress_at,
        batch.finalizing_at,
        batch.completed_at,
    )
    assert RequestCounts(total=9, completed=0, failed=9) == batch.request_counts
    assert (None, "file-Kt1err") == (batch.output_file_id, batch.error_file_id)
    assert ({"team": "ktor"}, None, {}) == (batch.metadata, batch.errors, batch.extra)


def test_errors_are_a_page():
    """The cursors of the page and the `type` of an entry are ignored."""
    assert (BatchErrorEntry(code="invalid_request", message="Bad method.", param="method", line=5),) == parse(
        FAILED
    ).errors


def test_absent_metadata_is_none():
    """Kotlin leaves null defaults out of the dump."""
    assert parse(FAILED).metadata is None
    assert parse(encode_to_string(snap("v", metadata=None))) == parse(encode_to_string(snap("v", metadata={})))


@pytest.mark.parametrize("word", ["queued", "validating_files", "succeeded"])
def test_an_unknown_status_gets_through(word):
    """`parse` keeps an unknown status, and a monitor reports it as S004."""
    monitor = Monitor()
    monitor.observe(encode_to_string(snap("v")))
    observation = monitor.observe(encode_to_string(snap("vp", status=word)))

    assert (word, None) == (
        parse(encode_to_string(snap("v", status=word))).status,
        parse(snap("v", status=word)).known_status,
    )
    assert (["S004"], ()) == ([finding.rule for finding in observation.findings], observation.transitions)
    assert ["in_progress"] == [each.target for each in monitor.observe(encode_to_string(snap("vp"))).transitions]


@pytest.mark.parametrize("dump", [COMPLETED, FAILED], ids=["completed", "failed"])
def test_the_dumps_are_consistent(dump):
    """The fields that Kotlin leaves out cause no finding."""
    observation = Monitor().observe(dump)

    assert ((), "consistent") == (observation.findings, observation.verdict)


@pytest.mark.parametrize("path", ["vpzc", "vf", "vpze", "vgx", "vpgx"])
@pytest.mark.parametrize("dump", [encode_to_string, by_properties])
def test_every_status_is_consistent(path, dump):
    """A complete batch polled by Kotlin has the same findings as its JSON, with statuses that Kotlin lacks too."""
    monitor = Monitor()
    observations = [monitor.observe(dump(wire)) for wire in seen(path)]

    assert [()] * len(path) == [observation.findings for observation in observations]
    assert [1] * len(path) == [len(observation.transitions) for observation in observations]
    assert "consistent" == monitor["batch_1"].verdict


def test_it_is_written_back_in_snake_case():
    """Without nulls except for errors, the output equals the dump plus `object`."""
    written = {
        name: value for name, value in parse(COMPLETED).to_dict().items() if value is not None or name == "errors"
    }

    assert json.loads(COMPLETED) | {"object": "batch"} == written


def test_errors_are_written_back_as_the_wires_list():
    """The keys that `PaginatedList` adds are not written."""
    entry = {"code": "invalid_request", "message": "Bad method.", "param": "method", "line": 5}

    assert {"object": "list", "data": [entry]} == parse(FAILED).to_dict()["errors"]


def test_camel_case_goes_there_and_back():
    """The camelCase names of the properties are read and written."""
    camel = by_properties(snap("vpzc"))

    assert CREATED + 180 == json.loads(camel)["completedAt"]
    assert parse(snap("vpzc", model=None)) == parse(camel)
    assert json.loads(camel).items() <= parse(camel).to_dict(style="camel").items()
