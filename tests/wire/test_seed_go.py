"""
Batches as oaiapi-go (Go) dumps them: `components.Batch`, by Speakeasy.

`json.Marshal` leaves out every null (`omitempty`), in errors too, and loses the contents of metadata: `{}` or
nothing is left. A struct copied without its tags dumps PascalCase with Go's acronym, `InputFileID`, and nil
pointers as null. `Unmarshal` refuses an unknown status, so no dump contains one.
"""

import json

import pytest

from batchfsm import Monitor, parse
from batchfsm.snapshot import BatchErrorEntry, RequestCounts
from support.notation import seen

COMPLETED = """{"id":"batch_68e77800b1b2c3d4e5f60718293a4b5c","object":"batch",
"endpoint":"/v1/chat/completions",
"input_file_id":"file-Go1in","completion_window":"24h","status":"completed","output_file_id":"file-Go1out",
"error_file_id":"file-Go1err","created_at":1760000000,"in_progress_at":1760000061,"expires_at":1760086400,
"finalizing_at":1760007200,"completed_at":1760007200,"request_counts":{"total":12,"completed":11,"failed":1},
"metadata":{}}"""

FAILED = """{"id":"batch_68e77800b1b2c3d4e5f60718293a4b5d","object":"batch","endpoint":"/v1/chat/completions",
"errors":{"object":"list","data":[{"code":"token_limit_exceeded","message":"Enqueued token limit reached."}]},
"input_file_id":"file-Go2in","completion_window":"24h","status":"failed","created_at":1760000000,
"expires_at":1760086400,"failed_at":1760000125,"request_counts":{"total":0,"completed":0,"failed":0}}"""

UNTAGGED = """{"ID":"batch_68e77800b1b2c3d4e5f60718293a4b5e","Object":"batch",
"Endpoint":"/v1/chat/completions",
"Errors":{"Object":"list","Data":[{"Code":"empty_file","Message":"No lines.","Param":null,"Line":1}]},
"InputFileID":"file-Go3in","CompletionWindow":"24h","Status":"failed","OutputFileID":null,"ErrorFileID":null,
"CreatedAt":1760000000,"InProgressAt":null,"ExpiresAt":1760086400,"FinalizingAt":null,"CompletedAt":null,
"FailedAt":1760000001,"ExpiredAt":null,"CancellingAt":null,"CancelledAt":null,
"RequestCounts":{"Total":0,"Completed":0,"Failed":0},"Metadata":{}}"""


def marshal(wire):
    """Return a batch as Go's `json.Marshal` dumps it."""
    kept = {name: value for name, value in wire.items() if value is not None and name != "model"}
    if "metadata" in kept:
        kept["metadata"] = {}
    if "errors" in kept:
        entries = [{key: value for key, value in each.items() if value is not None} for each in wire["errors"]["data"]]
        kept["errors"] = {"object": "list", "data": entries}
    return json.dumps(kept)


def untagged(wire):
    """Return a batch as Go dumps a struct without tags: PascalCase, nil as null."""
    written = parse(marshal(wire)).to_dict(style="pascal")
    return json.dumps(
        {name: value for name, value in written.items() if name not in {"Model", "Usage"}} | {"Metadata": {}}
    )


def test_a_completed_batch_is_read_whole():
    """Every field that Go dumps is set, and the others are null."""
    batch = parse(COMPLETED)

    assert ("completed", 1760007200, 1760007200) == (batch.status, batch.finalizing_at, batch.completed_at)
    assert ("file-Go1in", "file-Go1out", "file-Go1err") == (
        batch.input_file_id,
        batch.output_file_id,
        batch.error_file_id,
    )
    assert RequestCounts(total=12, completed=11, failed=1) == batch.request_counts
    assert (None, None, None) == (batch.failed_at, batch.errors, batch.model)


def test_metadata_is_forgotten():
    """An empty or absent metadata object reads as unknown metadata, because Go loses the contents."""
    assert [None, None, None] == [parse(text).metadata for text in (COMPLETED, FAILED, UNTAGGED)]


def test_an_error_may_lack_its_line():
    """`omitempty` leaves out null values of param and line."""
    assert (
        BatchErrorEntry(code="token_limit_exceeded", message="Enqueued token limit reached."),
    ) == parse(FAILED).errors  # fmt: skip


def test_pascal_case_is_read_to_the_bottom():
    """ID, InputFileID, RequestCounts.Total and Errors.Data.Line are recognized, and no key is unknown."""
    batch = parse(UNTAGGED)

    assert ("batch_68e77800b1b2c3d4e5f60718293a4b5e", "file-Go3in") == (batch.id, batch.input_file_id)
    assert (RequestCounts(0, 0, 0), {}) == (batch.request_counts, batch.extra)
    assert (BatchErrorEntry(code="empty_file", message="No lines.", line=1),) == batch.errors


@pytest.mark.parametrize("dump", [COMPLETED, FAILED, UNTAGGED], ids=["completed", "failed", "untagged"])
def test_the_dumps_are_consistent(dump):
    """The fields that Go leaves out cause no finding."""
    observation = Monitor().observe(dump)

    assert ((), "consistent") == (observation.findings, observation.verdict)


@pytest.mark.parametrize("path", ["vpzc", "vf", "vpze", "vgx", "vpgx"])
@pytest.mark.parametrize("dump", [marshal, untagged])
def test_every_status_is_consistent(path, dump):
    """A complete batch polled by Go has the same findings as its JSON, with tags and without."""
    monitor = Monitor()
    observations = [monitor.observe(dump(wire)) for wire in seen(path)]

    assert [()] * len(path) == [observation.findings for observation in observations]
    assert [1] * len(path) == [len(observation.transitions) for observation in observations]
    assert "consistent" == monitor["batch_1"].verdict


def test_it_is_written_back_with_its_tags():
    """In snake_case without nulls, the output equals the dump, except for the metadata that Go loses."""
    for dump in (COMPLETED, FAILED):
        written = parse(dump).to_dict()
        kept = {name: value for name, value in written.items() if value is not None}
        if dump is FAILED:
            kept["errors"]["data"] = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}]
        assert {name: value for name, value in json.loads(dump).items() if name != "metadata"} == kept


def test_it_is_written_back_without_tags():
    """In PascalCase the output has every key of the struct, with null for nil."""
    written = parse(UNTAGGED).to_dict(style="pascal")

    assert json.loads(UNTAGGED) | {"Metadata": None, "Model": None, "Usage": None} == written
