"""A snapshot is frozen, compares by value, and writes the values that were read."""

from collections.abc import Mapping
from typing import get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchfsm import Snapshot, parse
from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.snapshot import (
    COUNT_FIELDS,
    FILE_FIELDS,
    ROW_FIELDS,
    TEXT_FIELDS,
    TIME_FIELDS,
    WIRE_FIELDS,
    BatchErrorEntry,
    RequestCounts,
    Style,
    to_case,
    to_row,
)
from batchfsm.wire import reader
from support.dialects import DIALECTS
from support.notation import CREATED, WORDS, seen, snap

STYLES = get_args(Style)
PATHS = ["v", "vp", "vpz", "vpzc", "vf", "vpze", "vpg", "vgx", "vpgx"]

# The 22 fields as each style spells them, in the order of the wire.
SPELLINGS = """
id                 id                ID
object             object            Object
endpoint           endpoint          Endpoint
model              model             Model
errors             errors            Errors
input_file_id      inputFileId       InputFileID
completion_window  completionWindow  CompletionWindow
status             status            Status
output_file_id     outputFileId      OutputFileID
error_file_id      errorFileId       ErrorFileID
created_at         createdAt         CreatedAt
in_progress_at     inProgressAt      InProgressAt
expires_at         expiresAt         ExpiresAt
finalizing_at      finalizingAt      FinalizingAt
completed_at       completedAt       CompletedAt
failed_at          failedAt          FailedAt
expired_at         expiredAt         ExpiredAt
cancelling_at      cancellingAt      CancellingAt
cancelled_at       cancelledAt       CancelledAt
request_counts     requestCounts     RequestCounts
usage              usage             Usage
metadata           metadata          Metadata
"""

# Each value is valid in some field, invalid in another, or null in a third.
VALUES = [
    None, "", "text", "canceled", 0, 1, -1, 1.5, True, CREATED, CREATED * 1000, float(CREATED), [], {},
    ["text"], [5], [{"code": "c", "line": 3}], {"data": [{"message": "m", "param": None}]}, {"data": 5},
    {"total": 8, "completed": 3, "failed": 0}, {"total": None, "completed": "3"}, {"team": "search"},
    {"deep": [{}]},
]  # fmt: skip


def read(wire, dialect="openai"):
    """Read an object as the auditor does: an invalid field is listed and raises no error."""
    return reader(DIALECTS[dialect]).read(wire)


# ---------------------------------------------------------------- a value


def test_it_is_frozen():
    """No field can be set, and no attribute can be added."""
    snapshot = parse(snap("v"))

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        snapshot.status = "completed"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        snapshot.novel = 1


def test_it_compares_by_value():
    """Two snapshots of one object are equal; with another `observed_at` they differ."""
    assert parse(snap("vpf")) == parse(snap("vpf"))
    assert parse(snap("vpf")) != parse(snap("vpf"), observed_at=CREATED)
    assert parse(snap("vpf")) != parse(snap("vf"))


def test_it_has_no_hash():
    """A snapshot contains mappings, so it cannot be in a set."""
    with pytest.raises(TypeError, match="unhashable type: 'Snapshot'"):
        hash(parse(snap("v")))


@pytest.mark.parametrize("name", ["usage", "metadata", "bad", "extra"])
def test_its_mappings_are_read_only_views(name):
    """Neither a mapping nor its nested values can be changed."""
    inside = {"deep": {"list": [1, {"deeper": 2}]}}
    wire = snap("v", usage=inside, metadata=inside, novel=inside) | {"created_at": inside}
    mapping = getattr(read(wire), name)
    key = {"bad": "created_at", "extra": "novel"}.get(name)
    nested = mapping if key is None else mapping[key]

    for view in (mapping, nested, nested["deep"], nested["deep"]["list"][1]):
        with pytest.raises(TypeError):
            view["new"] = 1
    assert (1, {"deeper": 2}) == nested["deep"]["list"]


def test_it_can_be_built_by_keywords():
    """Only id and status are required; the other fields default to None or empty."""
    snapshot = Snapshot(id="batch_1", status="validating")
    unset = {field.name: getattr(snapshot, field.name) for field in attrs.fields(Snapshot)[2:]}

    assert {"bad": {}, "extra": {}} == {name: value for name, value in unset.items() if value is not None}


@pytest.mark.parametrize("letter", WORDS)
def test_a_word_of_openai_is_a_known_status(letter):
    """Each of OpenAI's eight statuses is a known status."""
    assert WORDS[letter] == parse(snap(letter)).known_status


@pytest.mark.parametrize("dialect, word", [("openai", "paused"), ("openai", "Validating"), ("aibrix", "scheduling")])
def test_any_other_word_is_a_value_and_not_known(dialect, word):
    """An unknown status is kept and not known; the same holds for a status that only a dialect has."""
    snapshot = parse(snap("v", status=word), dialect=dialect)

    assert (word, None) == (snapshot.status, snapshot.known_status)


# ---------------------------------------------------------------- fields


def test_the_fields_are_those_of_the_wire():
    """Every field of the API but `object` is a field of the snapshot, and the lists of fields contain them all."""
    names = [field.name for field in attrs.fields(Snapshot)]

    assert {*WIRE_FIELDS} - {"object"} | {"ended_at", "observed_at", "bad", "extra"} == {*names}
    assert {*TIME_FIELDS, *TEXT_FIELDS, "object", "errors", "request_counts", "usage", "metadata"} == {*WIRE_FIELDS}
    assert (9, (*STAMP_FIELDS, "expires_at")) == (len(TIME_FIELDS), TIME_FIELDS)
    assert {*FILE_FIELDS} < {*TEXT_FIELDS}


def test_a_row_is_its_plain_values():
    """A row has all scalar fields except the id, then the three counts, with None for an unknown value."""
    snapshot = parse(snap("vpz"))

    assert {
        **{name: getattr(snapshot, name) for name in ROW_FIELDS},
        "total": 8,
        "completed": 6,
        "failed": 1,
    } == dict(zip((*ROW_FIELDS, *COUNT_FIELDS), to_row(snapshot), strict=True))
    assert (None, None, None) == to_row(parse(snap("v", request_counts=None)))[-3:]
    assert {*TIME_FIELDS, "ended_at", *TEXT_FIELDS} - {"id"} == {*ROW_FIELDS}


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize("line", SPELLINGS.strip().splitlines())
def test_a_field_is_spelled_in_three_styles(line):
    """PascalCase uses Go's acronym, `ID`."""
    snake, camel, pascal = line.split()

    assert (snake, camel, pascal) == tuple(to_case(snake, style) for style in STYLES)


@pytest.mark.parametrize("column, style", list(enumerate(STYLES)))
def test_it_writes_every_field_in_a_style(column, style):
    """All 22 keys are written in the API's order, with explicit nulls."""
    keys = [line.split()[column] for line in SPELLINGS.strip().splitlines()]

    assert keys == list(parse(snap("v")).to_dict(style=style))


def test_it_writes_plain_json_values():
    """The output consists of dicts, lists and scalars, not of read-only views."""
    wire = snap("vf", usage={"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1}}, novel=[{"a": [1]}])

    written = parse(wire).to_dict()

    assert wire == written
    assert {dict, list} == {type(written[name]) for name in ("usage", "metadata", "errors", "novel")}


def test_nested_keys_are_spelled_too():
    """Keys in counts and errors follow the style; keys in usage and metadata are unchanged."""
    wire = snap("vf", usage={"input_tokens": 3}, metadata={"my_team": "search"})
    error = {"Code": "empty_file", "Message": "The file is empty.", "Param": None, "Line": 1}

    written = parse(wire).to_dict(style="pascal")

    assert {"Total": 0, "Completed": 0, "Failed": 0} == written["RequestCounts"]
    assert {"Object": "list", "Data": [error]} == written["Errors"]
    assert ({"input_tokens": 3}, {"my_team": "search"}) == (written["Usage"], written["Metadata"])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("path", PATHS)
def test_what_is_written_reads_the_same(path, style):
    """Each snapshot of a legal history is equal after writing and parsing with the same `observed_at`."""
    for wire in seen(path):
        snapshot = parse(wire, observed_at=CREATED + 7)

        assert snapshot == parse(snapshot.to_dict(style=style), observed_at=CREATED + 7)


@pytest.mark.parametrize("style", STYLES)
def test_unknown_keys_are_written_as_they_came(style):
    """An unknown key keeps the server's spelling."""
    wire = snap("v", output_blob="https://x/y", fileName="in.jsonl", Total=3)
    snapshot = parse(wire)

    assert {"output_blob": "https://x/y", "fileName": "in.jsonl", "Total": 3} == snapshot.extra
    assert snapshot.extra.items() <= snapshot.to_dict(style=style).items()
    assert snapshot == parse(snapshot.to_dict(style=style))


@pytest.mark.parametrize("style", STYLES)
def test_an_alias_is_written_as_it_came(style):
    """The output has the server's own status."""
    snapshot = parse(snap("vgx", status="canceled"), dialect="azure")

    assert ("cancelled", {"status": "canceled"}) == (snapshot.status, snapshot.extra)
    assert "canceled" == snapshot.to_dict(style=style)[to_case("status", style)]
    assert snapshot == parse(snapshot.to_dict(style=style), dialect="azure")


@pytest.mark.parametrize("style", STYLES)
def test_bad_fields_are_written_as_they_came(style):
    """The output includes refused values, refused counts too."""
    wire = snap("vp", created_at="17", object="list", endpoint=5, metadata=[1]) | {
        "request_counts": {"total": "8", "completed": 3, "failed": None},
        "errors": [{"code": 7}],
    }
    snapshot = read(wire)

    assert {
        "created_at": "17",
        "endpoint": 5,
        "errors": ({"code": 7},),
        "metadata": (1,),
        "object": "list",
        "request_counts.failed": None,
        "request_counts.total": "8",
    } == dict(snapshot.bad)
    assert RequestCounts(None, 3, None) == snapshot.request_counts
    assert snapshot == read(snapshot.to_dict(style=style))
    if style == "snake":
        assert wire.items() <= snapshot.to_dict().items()


@given(
    st.dictionaries(st.sampled_from([*WIRE_FIELDS, "novel", "Total"]), st.sampled_from(VALUES)),
    st.sampled_from(sorted(DIALECTS)),
    st.sampled_from(STYLES),
)
def test_whatever_was_read_reads_the_same_when_written(changes, dialect, style):
    """With any mixture of set, null and invalid fields, in any dialect, writing and parsing loses no value."""
    # One field is always valid, so that the object is recognized as a batch.
    snapshot = read(snap("vpz") | changes | {"id": "batch_1"}, dialect)

    assert snapshot == read(snapshot.to_dict(style=style), dialect)


def test_what_is_written_is_ones_own():
    """Changing the written mapping does not change the snapshot."""
    snapshot = parse(snap("vf", novel={"list": [1]}))
    written = snapshot.to_dict()
    before = parse(snap("vf", novel={"list": [1]}))

    written["novel"]["list"].append(2)
    written["metadata"]["new"] = "x"
    written["errors"]["data"].clear()

    assert before == snapshot


# ---------------------------------------------------------------- nested values


def test_counts_and_errors_have_names():
    """Both are frozen and have the API's names as attributes."""
    snapshot = parse(snap("vf"))

    assert RequestCounts(total=0, completed=0, failed=0) == snapshot.request_counts
    assert (BatchErrorEntry(code="empty_file", message="The file is empty.", line=1),) == snapshot.errors
    assert isinstance(snapshot.metadata, Mapping)
