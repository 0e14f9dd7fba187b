"""An object of another provider than the dialect's: every message names that provider."""

import re

import pytest

from batchfsm import Dialect, Monitor, SnapshotError, audit, parse
from support.notation import snap

CLAUDE = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "in_progress",
    "request_counts": {"processing": 4, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
    "created_at": "2026-01-01T00:00:00Z",
}
MISTRAL = {"id": "job_1", "status": "RUNNING", "created_at": 1, "total_requests": 3}
GEMINI = {"name": "batches/1", "metadata": {"state": "BATCH_STATE_RUNNING", "createTime": "2026-01-01T00:00:00Z"}}
BEDROCK = {"jobArn": "arn:1", "submitTime": "2026-01-01T00:00:00Z"}


def messages(dialect, batch):
    """Return the texts of the findings of one object, by a monitor and by an audit."""
    observed = [finding.message for finding in Monitor(dialect).observe(batch).findings]
    audited = [
        finding.message.removesuffix(" (seen at iterable:1)") for finding in audit([batch], dialect=dialect).findings
    ]
    assert observed == audited
    return observed


@pytest.mark.parametrize(
    "dialect, batch, start",
    [
        ("openai", CLAUDE, "msgbatch_1 has no status; it has the mark of anthropic, not of openai: name that dialect"),
        ("azure", CLAUDE, "msgbatch_1 has no status; it has the mark of anthropic, not of openai: name that dialect"),
        ("openai", MISTRAL, "job_1 has status 'RUNNING'; it has the mark of mistral, not of openai: name that dialect"),
        (
            "anthropic",
            snap("v", completion_window="24h"),
            "batch_1 has status 'validating'; it has the mark of openai, not of",
        ),
    ],
    ids=["openai", "azure", "mistral", "anthropic"],
)
def test_a_finding_names_the_dialect_of_the_object(dialect, batch, start):
    """The first finding, S001 or S004, has the hint; a monitor and an audit report the same."""
    assert messages(dialect, batch)[0].startswith(start)


@pytest.mark.parametrize("batch, mark", [(GEMINI, "gemini"), (BEDROCK, "bedrock")], ids=["gemini", "bedrock"])
@pytest.mark.parametrize("call", [lambda batch: Monitor().observe(batch), parse], ids=["observe", "parse"])
def test_an_unreadable_object_has_the_hint_in_its_error(call, batch, mark):
    """An object without the keys of a batch cannot be observed."""
    with pytest.raises(
        SnapshotError, match=f"not a batch; it has the mark of {mark}, not of openai: name that dialect$"
    ):
        call(batch)


def test_a_strict_parse_has_the_hint_after_all_problems():
    """It is a problem of the whole object."""
    with pytest.raises(SnapshotError) as caught:
        parse(CLAUDE)

    assert ("$", "it has the mark of anthropic, not of openai: name that dialect") == caught.value.problems[-1]


def test_a_batch_of_the_dialect_itself_has_no_hint():
    """Nor has an object without a mark, one of a dialect of the user's own, or one whose provider is recognised."""
    assert all("mark" not in each for each in messages("openai", snap("v", status="odd", completion_window="24h")))
    assert all("mark" not in each for each in messages("openai", {"id": "x"}))
    assert all("mark" not in each for each in messages(Dialect(name="mine"), CLAUDE))
    with pytest.raises(SnapshotError) as caught:
        parse(CLAUDE | {"created_at": 1.5}, dialect="auto")
    assert "mark" not in str(caught.value)


@pytest.mark.parametrize("text", ["batch_1", "msgbatch_1", "batches/1", "arn:aws:bedrock:us-east-1:1:job/1"])
def test_an_id_in_place_of_a_batch_says_what_to_pass(text):
    """The id itself is not repeated."""
    with pytest.raises(SnapshotError, match=r"^not JSON: .*; for an id, pass the object that a retrieve returns$"):
        Monitor().observe(text)


@pytest.mark.parametrize("text", ["", "{", "<html>", "batch_1 is done", "None", b"batch_1"], ids=repr)
def test_other_text_is_just_no_json(text):
    """The hint is for ids."""
    with pytest.raises(SnapshotError, match=re.compile(r"^not JSON: [^;]*$")):
        Monitor().observe(text)
