"""The parser reads each field as set, null or invalid, and reports the path of each refused value."""

import json
from collections import UserDict
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType, SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchfsm import Monitor, SnapshotError, audit, parse
from batchfsm.dialects import Dialect
from batchfsm.errors import UnknownNameError
from batchfsm.lifecycle import OPENAI
from batchfsm.snapshot import (
    COUNT_FIELDS,
    FILE_FIELDS,
    TEXT_FIELDS,
    TIME_FIELDS,
    WIRE_FIELDS,
    BatchErrorEntry,
    RequestCounts,
    to_case,
    to_row,
)
from batchfsm.wire import TIME_MAX, expected_message, reader, short_repr, unwrap
from support.dialects import DIALECTS
from support.notation import CREATED, snap

STYLES = ("snake", "camel", "pascal")
VITAL = ("id", "status", "created_at")
OTHER_TEXTS = [name for name in TEXT_FIELDS if name not in VITAL]
ISO = "2024-03-26T16:45:33Z"
ISO_S = 1711471533


def read(wire, dialect="openai", **more):
    """Read an object as the auditor does: an invalid field is listed and raises no error."""
    return reader(DIALECTS[dialect]).read(wire, **more)


def refused(obj, **more):
    """Return the problems of the SnapshotError that `parse` raises: a mapping of paths to messages."""
    with pytest.raises(SnapshotError) as caught:
        parse(obj, **more)
    paths = dict(caught.value.problems)
    assert len(paths) == len(caught.value.problems)
    return paths


def respelled(value, style):
    """Convert the keys of an object, nested ones too, to another style, as SDKs of other languages do."""
    if isinstance(value, dict):
        return {to_case(key, style): respelled(inner, style) for key, inner in value.items()}
    return [respelled(inner, style) for inner in value] if isinstance(value, list) else value


# ---------------------------------------------------------------- forms


class SDKObject:
    """An SDK object with `to_dict`, as those of openai-python have."""

    def __init__(self, wire):
        self.wire = wire

    def to_dict(self):
        """Return the batch object as a mapping."""
        return self.wire


FORMS = {
    "dict": dict,
    "mapping": UserDict,
    "view": MappingProxyType,
    "text": json.dumps,
    "bytes": lambda wire: json.dumps(wire, indent=4).encode(),
    "bytearray": lambda wire: bytearray(json.dumps(wire), "ascii"),
    "UTF-16": lambda wire: json.dumps(wire).encode("utf-16"),
    "to_dict": SDKObject,
    "to_dict of its own": lambda wire: SimpleNamespace(to_dict=lambda: wire),
    "model_dump of its own": lambda wire: SimpleNamespace(model_dump=lambda: wire),
    "snapshot": parse,
    "list": lambda wire: [wire],
    "tuple": lambda wire: (wire,),
    "page": lambda wire: {"object": "list", "data": [wire], "has_more": False},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_the_same(form):
    """A mapping, JSON text in each of Python's types, an SDK object and a snapshot give the same batch."""
    wire = snap("vpzc", usage={"input_tokens": 3}, novel=[1, {"a": None}])

    assert parse(wire) == parse(FORMS[form](wire))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("path", ["v", "vpzc", "vf", "vpgx"])
def test_every_style_of_keys_reads_the_same(style, path):
    """Keys in snake, camel and Pascal case give the same batch, in counts and errors too."""
    wire = snap(path)
    styled = respelled({name: value for name, value in wire.items() if name != "metadata"}, style)

    assert parse(wire) == parse(styled | {to_case("metadata", style): wire["metadata"]})


def test_ids_are_read_with_and_without_the_acronym():
    """Go writes InputFileID; other Pascal writers write InputFileId and Id."""
    one = parse({"ID": "batch_1", "Status": "validating", "CreatedAt": 1, "InputFileID": "file-in"})
    other = parse({"Id": "batch_1", "Status": "validating", "CreatedAt": 1, "InputFileId": "file-in"})

    assert one == other
    assert ("batch_1", "file-in", {}) == (one.id, one.input_file_id, one.extra)


def test_a_snapshot_is_read_as_it_is():
    """A snapshot is not parsed again; only its `observed_at` can be replaced."""
    snapshot = parse(snap("vp"))

    assert snapshot is parse(snapshot)
    assert parse(snap("vp"), observed_at=7.0) == parse(snapshot, observed_at=7)


@pytest.mark.parametrize("form", ["view", "to_dict", "snapshot"])
def test_an_envelope_may_hold_any_form(form):
    """An envelope may contain an SDK object beside the time of observation."""
    envelope = {"batch": FORMS[form](snap("vp")), "observed_at": 7}

    assert parse(snap("vp"), observed_at=7.0) == parse(envelope)


NO_BATCH = [
    (None, "expected a batch object, got null"),
    (5, "expected a batch object, got 5"),
    (dict, "expected a batch object, got <class 'dict'>"),
    ("null", "expected a batch object, got null"),
    ('"batch_1"', "expected a batch object, got 'batch_1'"),
    ("", "not JSON: Expecting value (column 1)"),
    (" \n", "not JSON: Expecting value (column 1)"),
    ('{"id" "batch_1"}', "not JSON: Expecting ':' delimiter (column 7)"),
    (b'{"id": "\xff"}', "not UTF-8 (byte 9)"),
    ("[" * 100_000, "nested too deep to be read"),
    ("[]", "expected one batch, found 0"),
    ([snap("v"), snap("v")], "expected one batch, found 2"),
    ({"object": "list", "data": []}, "expected one batch, found 0"),
    ({}, "has none of id, status and created_at: not a batch"),
    ({"error": {"message": "no such batch"}}, "has none of id, status and created_at: not a batch"),
    ({"id": None, "object": "batch"}, "has none of id, status and created_at: not a batch"),
    ({"body": {"error": "overloaded"}}, "has none of id, status and created_at: not a batch"),
]


@pytest.mark.parametrize("obj, problem", NO_BATCH, ids=range(len(NO_BATCH)))
def test_what_is_no_batch_is_refused_as_a_whole(obj, problem):
    """The path is `$`, and the message describes the value."""
    assert {"$": problem} == refused(obj)


@pytest.mark.parametrize(
    "obj", [f'{{"id": {"1" * 5000}}}', {"id": "a", "created_at": 10**5000}, "1" * 5000], ids=range(3)
)
def test_a_number_of_thousands_of_digits_is_refused(obj):
    """Python refuses to convert such integers by default; the parser reports them and does not crash."""
    with pytest.raises(SnapshotError):
        parse(obj)


def test_a_key_named_twice_is_refused():
    """A duplicate key in a JSON object, nested or not, is refused: the last value would override silently."""
    twice = '{"id": "batch_1", "status": "failed", "created_at": 1, "status": "completed"}'
    nested = '{"id": "batch_1", "metadata": {"a": "1", "a": "2"}}'

    assert {"$": "not JSON to rely on: the key 'status' stands twice in one object"} == refused(twice)
    assert {"$": "not JSON to rely on: the key 'a' stands twice in one object"} == refused(nested)


@pytest.mark.parametrize(
    "dialect",
    ["groq", DIALECTS["groq"], Dialect(name="mine", optional_stamps={"finalizing"}), OPENAI],
    ids=["name", "dialect", "own", "lifecycle"],
)
def test_a_dialect_is_named_or_given(dialect):
    """`dialect` accepts a name, a user's own dialect or a bare lifecycle."""
    assert parse(snap("vpzc")) == parse(snap("vpzc"), dialect=dialect)


def test_an_unknown_dialect_is_refused():
    """The error lists the registered dialects."""
    with pytest.raises(UnknownNameError, match="no dialect is called 'gpt'; known: openai, azure"):
        parse(snap("v"), dialect="gpt")


# ---------------------------------------------------------------- null, absent, blank


@pytest.mark.parametrize("name", [name for name in WIRE_FIELDS if name not in {"id", "status", "created_at"}])
def test_absent_is_null(name):
    """An absent field and a null field give the same snapshot."""
    wire = snap("vpzc", usage=None)
    absent = {key: value for key, value in wire.items() if key != name}

    assert parse(wire | {name: None}) == parse(absent)
    assert name == "object" or getattr(parse(absent), name) is None


@pytest.mark.parametrize("name", FILE_FIELDS)
def test_a_blank_file_id_is_null(name):
    """OpenAI has sent `""` for an error file that does not exist."""
    assert parse(snap("vpzc", **{name: None})) == parse(snap("vpzc", **{name: ""}))


@pytest.mark.parametrize("name", [name for name in OTHER_TEXTS if name not in FILE_FIELDS])
def test_another_blank_text_is_null_where_the_dialect_says_so(name):
    """For Azure `""` is null in every text field; for OpenAI it is a text."""
    wire = snap("vpzc", **{name: ""})

    assert (None, "") == (getattr(parse(wire, dialect="azure"), name), getattr(parse(wire), name))


@pytest.mark.parametrize("name", ["id", "status"])
def test_a_blank_id_or_status_is_missing_where_blanks_are_null(name):
    """Under a dialect that reads blanks as null, a blank id or status counts as absent."""
    assert {f"$.{name}": "a value is missing"} == refused(snap("v", **{name: ""}), dialect="azure")


def test_no_metadata_is_none():
    """Null, absent, `{}` and PHP's `[]` all read as no metadata."""
    without = snap("v")
    del without["metadata"]

    assert [None] * 4 == [
        parse(wire).metadata
        for wire in (without, snap("v", metadata=None), snap("v", metadata={}), snap("v", metadata=[]))
    ]


@pytest.mark.parametrize("missing", [("id",), ("status",), ("created_at",), ("id", "status"), ("status", "created_at")])
@pytest.mark.parametrize("null", [True, False])
def test_a_batch_cannot_do_without_three_fields(missing, null):
    """S001 reports id, status and created_at, each with its path, if null or absent."""
    wire = snap("vp")
    for name in missing:
        if null:
            wire[name] = None
        else:
            del wire[name]

    assert dict.fromkeys([f"$.{name}" for name in missing], "a value is missing") == refused(wire)


# ---------------------------------------------------------------- bad fields


NO_TIMES = [
    "17",
    "",
    ISO,
    17.5,
    True,
    False,
    0,
    -17,
    0.0,
    TIME_MAX + 1,
    1e300,
    float("nan"),
    float("inf"),
    [],
    [17],
    {},
]
NO_TEXTS = [5, 1.5, True, [], ["text"], {}, {"value": "text"}, "lone \ud800"]
NO_NUMBERS = ["8", "", 8.0, 8.5, True, [], {}, float("nan"), None]
NO_OBJECTS = [5, 1.5, True, "text", "", ["text"]]
NO_ERRORS = [
    5, True, "text", {"data": 5}, {"data": {"code": "c"}}, [5], [None], [["code"]], [{"code": 5}],
    [{"message": []}], [{"line": "3"}], [{"line": 3.0}], [{"line": True}], [{"code": "fine"}, {"param": 7}],
    ["lone \ud800"],
]  # fmt: skip

BAD = [
    *((name, value) for name in TIME_FIELDS for value in NO_TIMES),
    *((name, value) for name in TEXT_FIELDS for value in NO_TEXTS),
    *((f"request_counts.{name}", value) for name in COUNT_FIELDS for value in NO_NUMBERS),
    *((name, value) for name in ("request_counts", "usage", "metadata") for value in NO_OBJECTS),
    ("request_counts", []),
    ("usage", []),
    ("metadata", {"team": "lone \ud800"}),
    ("metadata", {"lone \ud800": "team"}),
    *(("errors", value) for value in NO_ERRORS),
    *(("object", value) for value in ("list", "Batch", "", 5, True, [], {})),
]


@pytest.mark.parametrize("name, value", BAD, ids=[f"{name}-{number}" for number, (name, _) in enumerate(BAD)])
def test_a_bad_value_is_refused_at_its_path(name, value):
    """No value is coerced: each field refuses invalid values at its exact `$.path`."""
    outer, _, inner = name.partition(".")
    wire = snap("vpzc")
    wire[outer] = {**wire[outer], inner: value} if inner else value
    snapshot = read(wire)

    assert {f"$.{name}": expected_message(name, value)} == refused(wire)
    assert [name] == list(snapshot.bad)
    assert name == "object" or getattr(snapshot.request_counts if inner else snapshot, inner or name) is None


def test_what_is_not_bad_is_read_beside_it():
    """An invalid field reads as None, and the other fields keep their values."""
    good, damaged = parse(snap("vpzc")), read(snap("vpzc", status=7, finalizing_at="17", model=3))
    names = [name for name in WIRE_FIELDS if name != "object" and getattr(good, name) != getattr(damaged, name)]

    assert {"model": None, "status": None, "finalizing_at": None} == {name: getattr(damaged, name) for name in names}


def test_all_refusals_are_raised_at_once():
    """One error lists every path: first the missing fields, then the invalid ones."""
    wire = {"object": "list", "id": 5, "created_at": "17", "metadata": [1], "request_counts": {"total": 8}}

    assert {
        "$.status": "a value is missing",
        "$.created_at": "expected whole Unix seconds, got '17'",
        "$.id": "expected text, got 5",
        "$.metadata": "expected null or an object, got a list",
        "$.object": "expected 'batch', got 'list'",
        "$.request_counts.completed": "expected a whole number, got null",
        "$.request_counts.failed": "expected a whole number, got null",
    } == refused(wire)


@pytest.mark.parametrize(
    "name, value, problem",
    [
        (
            "created_at",
            1711471533000,
            "expected whole Unix seconds, got 1711471533000 (milliseconds?)",
        ),
        (
            "failed_at",
            {},
            "expected null or whole Unix seconds, got an empty object (R's jsonlite writes null so)",
        ),
        ("failed_at", {"a": 1}, "expected null or whole Unix seconds, got an object"),
        ("endpoint", [], "expected null or text, got an empty list"),
        ("errors", 5, "expected null, or a list of errors, got 5"),
        ("usage", "text", "expected null or an object, got 'text'"),
        ("request_counts.total", None, "expected a whole number, got null"),
        ("observed_at", "noon", "expected Unix seconds or RFC 3339 text, got 'noon'"),
        ("object", "list", "expected 'batch', got 'list'"),
        ("model", 10**5000, "expected null or text, got a huge number"),
    ],
    ids=range(10),
)
def test_a_refusal_says_what_was_due(name, value, problem):
    """The message at a path is short, however long the value is."""
    assert problem == expected_message(name, value)


@given(st.none() | st.integers() | st.floats() | st.text(min_size=70) | st.binary(min_size=30) | st.lists(st.text()))
def test_a_value_is_shown_in_a_few_characters(value):
    """A message contains at most a short excerpt of the server's value."""
    assert len(short_repr(value)) <= 80


@pytest.mark.parametrize("name", ["usage", "metadata", "novel", "endpoint"])
def test_a_value_nested_too_deep_is_refused(name):
    """A copy of the value could exhaust the stack, so the fast path and the converter refuse it in every place."""
    deep = {}
    for _ in range(1000):
        deep = {"deep": deep}

    assert {f"$.{name}"} == refused(snap("v", **{name: deep})).keys()


def test_an_object_that_holds_itself_is_refused():
    """An object that contains itself is refused in finite time."""
    wire = snap("v")
    wire["metadata"] = wire
    page = {"data": []}
    page["data"].append(page)

    assert {"$.metadata"} == refused(wire).keys()
    assert {"$"} == refused(page).keys()


# ---------------------------------------------------------------- conflicting spellings


@pytest.mark.parametrize("first, second", [("created_at", "createdAt"), ("CreatedAt", "created_at")])
def test_two_spellings_that_agree_are_one(first, second):
    """A second spelling of a field is harmless if its value is equal or null."""
    wire = {"id": "batch_1", "status": "validating", first: 17}

    assert 17 == parse(wire | {second: 17}).created_at
    assert 17 == parse(wire | {second: None}).created_at
    assert 17 == parse({"id": "batch_1", "status": "validating", second: None, first: 17}).created_at


def test_two_spellings_that_disagree_are_bad():
    """Two different values for one field are both refused."""
    snapshot = read(snap("vp", inProgressAt=CREATED + 1))

    assert {"in_progress_at": (CREATED + 60, CREATED + 1)} == snapshot.bad
    assert snapshot.in_progress_at is None


def test_two_spellings_of_a_count_that_disagree_are_bad():
    """In `request_counts` too, the last value does not override silently."""
    counts = {"total": 8, "Total": 9, "completed": 3, "failed": 0}

    assert {"$.request_counts.total"} == refused(snap("vp", request_counts=counts)).keys()


# ---------------------------------------------------------------- times


# Each form of one second, and the dialects that use the form.
TIMES = {
    "seconds": (ISO_S, {*DIALECTS}),
    "float": (float(ISO_S), {*DIALECTS}),
    "milliseconds": (ISO_S * 1000 + 999, {"zhipu", "compatible"}),
    "float milliseconds": (ISO_S * 1000.0, {"zhipu", "compatible"}),
    "Z": (ISO, {"azure", "compatible"}),
    "offset": ("2024-03-26T18:15:33+01:30", {"azure", "compatible"}),
    "no sign of UTC": ("2024-03-26T16:45:33-00:00", {"azure", "compatible"}),
    "1 digit": ("2024-03-26T16:45:33.9Z", {"azure", "compatible"}),
    "7 digits": ("2024-03-26T16:45:33.9999999Z", {"azure", "compatible"}),
    "9 digits": ("2024-03-26T16:45:33.999999999Z", {"azure", "compatible"}),
    "digits": (str(ISO_S), {"aibrix", "compatible"}),
    "digits of milliseconds": (f"{ISO_S}999", {"compatible"}),
}
NEVER = [
    "2024-03-26",
    "2024-03-26T16:45:33",
    "2024-03-26T16:45Z",
    "2024-03-26T16:45:33.Z",
    "2024-03-26T16:45:33.1234567890Z",
    "2024-03-26T16:45:33+0130",
    "2024-03-26T24:00:00Z",
    "2024-02-30T16:45:33Z",
    "2024-03-26T16:61:33Z",
    "1969-12-31T23:59:59Z",
    "2024-W13-2T16:45:33Z",
    "20240326T164533Z",
    "٢٠٢٤-03-26T16:45:33Z",
    " 2024-03-26T16:45:33Z",
    "1711471533.0",
    "-1711471533",
    "+1711471533",
    "1_711_471_533",
    "١٧١١٤٧١٥٣٣",
    " 1711471533",
    "1e9",
    "null",
    "9" * 5000,
    True,
    10**14 + 1000,
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("form", TIMES)
def test_a_time_is_read_in_the_forms_of_the_dialect(dialect, form):
    """Whole seconds are valid in each dialect, other forms only where the dialect has them; fractions are truncated."""
    value, dialects = TIMES[form]
    snapshot = read(snap("vpzc", completed_at=value), dialect)

    if dialect in dialects:
        assert (ISO_S, int, {}) == (snapshot.completed_at, type(snapshot.completed_at), snapshot.bad)
    else:
        assert (None, {"completed_at": value}) == (snapshot.completed_at, snapshot.bad)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("value", NEVER, ids=range(len(NEVER)))
def test_other_forms_of_a_time_are_bad_everywhere(dialect, value):
    """Dates, weeks, times without an offset, spaces, signs and non-ASCII digits are refused in every dialect."""
    assert ["completed_at"] == list(read(snap("vpzc", completed_at=value), dialect).bad)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_largest_second_is_no_millisecond(dialect):
    """10^11 seconds is the year 5138; larger numbers are milliseconds, or invalid."""
    assert TIME_MAX == 10**11
    assert TIME_MAX == parse(snap("v", expires_at=TIME_MAX), dialect=dialect).expires_at
    above = read(snap("v", expires_at=TIME_MAX + 1), dialect)
    assert (10**8 if dialect in {"zhipu", "compatible"} else None) == above.expires_at


SENTINELS = {"aibrix": ["0"], "compatible": [0, "0", "", 946684800, 946656000000]}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("value", [0, "0", "", 946684800, 946656000000, 0.0, False, "946684800"], ids=repr)
def test_sentinels_are_null_where_the_dialect_says_so(dialect, value):
    """Type and value must match: False and 0.0 are not 0, and the year 2000 is a time in other dialects."""
    snapshot = read(snap("vpzc", expires_at=value), dialect)
    is_null = any(type(value) is type(null) and value == null for null in SENTINELS.get(dialect, []))

    assert is_null == (snapshot.expires_at is None and not snapshot.bad)


def test_a_created_at_that_is_a_sentinel_is_missing():
    """A sentinel counts as null, so S001 reports it."""
    assert {"$.created_at": "a value is missing"} == refused(snap("v", created_at=0), dialect="compatible")
    assert {"$.created_at": expected_message("created_at", 0)} == refused(snap("v", created_at=0))


# ---------------------------------------------------------------- counts, aliases, errors


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("counts", [{"total": None, "completed": 3, "failed": 0}, {"completed": 3, "failed": 0}])
def test_a_null_count_is_unknown_where_the_dialect_allows_it(dialect, counts):
    """Azure and Zhipu send null for unknown numbers; other dialects refuse null. The other counts are read."""
    snapshot = read(snap("vp", request_counts=counts), dialect)
    allowed = dialect in {"azure", "zhipu", "compatible"}

    assert RequestCounts(None, 3, 0) == snapshot.request_counts
    assert ({} if allowed else {"request_counts.total": None}) == snapshot.bad


def test_unknown_counts_are_left_out():
    """Qoder also counts pending requests; the snapshot has only three counts."""
    counts = {"total": 8, "completed": 3, "failed": 0, "pending": 5}

    assert RequestCounts(8, 3, 0) == parse(snap("vp", request_counts=counts)).request_counts


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_alias_reads_as_its_word(dialect):
    """The status is the lifecycle's word, and the server's word is kept."""
    for word, status in DIALECTS[dialect].aliases.items():
        snapshot = parse(snap("v", status=word), dialect=dialect)
        assert (status, {"status": word}) == (snapshot.status, snapshot.extra)


@pytest.mark.parametrize("word", ["paused", "Completed", " completed", "COMPLETED", "canceled"])
def test_an_unknown_status_is_a_value(word):
    """`parse` keeps an unknown status; rule S004 reports it."""
    snapshot = parse(snap("vp", status=word))

    assert (word, None, {}) == (snapshot.status, snapshot.known_status, snapshot.extra)


ENTRY = {"code": "empty_file", "message": "No lines.", "param": None, "line": 3}


@pytest.mark.parametrize(
    "errors, entries",
    [
        ({"object": "list", "data": [ENTRY]}, [BatchErrorEntry(code="empty_file", message="No lines.", line=3)]),
        (
            {"data": [ENTRY | {"type": None}], "has_more": None, "first_id": None},
            [BatchErrorEntry(code="empty_file", message="No lines.", line=3)],
        ),
        ([ENTRY, {}], [BatchErrorEntry(code="empty_file", message="No lines.", line=3), BatchErrorEntry()]),
        (["No lines.", "No key."], [BatchErrorEntry(message="No lines."), BatchErrorEntry(message="No key.")]),
        ({"Object": "list", "Data": [{"Code": "c", "Line": 1}]}, [BatchErrorEntry(code="c", line=1)]),
    ],
)
def test_errors_come_in_four_shapes(errors, entries):
    """An object with data, a page, a list of objects and a list of texts are accepted, with keys in any style."""
    assert tuple(entries) == parse(snap("vf", errors=errors)).errors


@pytest.mark.parametrize("errors", [None, [], {}, {"object": "list"}, {"data": None}, {"data": []}])
def test_no_errors_are_none(errors):
    """Each representation of an empty list of errors reads as None."""
    assert parse(snap("vf", errors=errors)).errors is None


def test_unknown_keys_are_kept():
    """A key without a field in the snapshot is in `extra`, in any spelling."""
    own = {"output_blob": "https://x/y", "fileName": "in.jsonl", "nested": {"a": [1]}, 7: "seven"}

    assert own | {"nested": {"a": (1,)}} == parse(snap("v") | own).extra


# ---------------------------------------------------------------- envelopes and observed_at


@pytest.mark.parametrize("wrapper", ["snapshot", "batch", "body", "data"])
@pytest.mark.parametrize("clock", ["observed_at", "timestamp"])
@pytest.mark.parametrize("seen", [ISO_S, float(ISO_S), ISO])
def test_an_envelope_is_opened(wrapper, clock, seen):
    """The batch in the envelope is read with the envelope's time of observation."""
    envelope = {clock: seen, wrapper: snap("vp"), "id": "req_1", "status": 200}

    assert parse(snap("vp"), observed_at=float(ISO_S)) == parse(envelope)
    assert parse(snap("vp"), observed_at=float(ISO_S)) == parse(json.dumps(envelope))


def test_a_batch_is_no_envelope():
    """An object with `object: batch`, or with all three required fields, is not treated as an envelope."""
    inner = snap("vpzc")

    assert "validating" == parse(snap("v", body=inner)).status
    assert "validating" == parse({"ID": "batch_1", "Status": "validating", "CreatedAt": 1, "data": inner}).status
    assert "completed" == parse({"id": "line_1", "status": 200, "data": inner}).status


def test_a_batch_is_told_from_an_envelope_by_any_spelling():
    """`Id` is an accepted spelling of the id, so an object with `Id` is a batch, as one with `ID` is."""
    wire = {"Id": "batch_1", "Status": "validating", "CreatedAt": 1, "data": snap("vpzc")}

    assert "validating" == parse(wire).status


def test_envelopes_may_be_nested():
    """A log line may contain a page of envelopes; the innermost time is used."""
    line = {
        "timestamp": 5,
        "body": {"object": "list", "data": [{"observed_at": 7, "batch": snap("v")}, snap("vp")]},
    }

    assert [(snap("v"), 7), (snap("vp"), 5)] == list(unwrap(line))


def test_an_envelope_that_holds_no_object_is_not_opened():
    """A `body` of text or null is not treated as a batch."""
    assert {"$"} == refused({"body": "502 Bad Gateway"}).keys()
    assert {"body": "502"} == parse({"id": "a", "status": "validating", "created_at": 1, "body": "502"}).extra


def test_the_argument_goes_before_the_envelope():
    """The argument overrides the envelope's times; in the envelope, observed_at takes precedence over timestamp."""
    assert 9.0 == parse({"observed_at": 7, "batch": snap("v")}, observed_at=9).observed_at
    assert 7.0 == parse({"timestamp": 5, "observed_at": 7, "batch": snap("v")}).observed_at
    assert 5.0 == parse({"timestamp": 5, "observed_at": None, "batch": snap("v")}).observed_at
    assert parse(snap("v", observed_at=7)).observed_at is None


@pytest.mark.parametrize(
    "seen, read_as",
    [
        (ISO_S, 1711471533.0),
        (ISO_S + 0.25, 1711471533.25),
        (ISO, 1711471533.0),
        ("2024-03-26T16:45:33.25Z", 1711471533.25),
        ("2024-03-26t18:45:33.250+02:00", 1711471533.25),
        ("2024-03-26 16:45:33z", 1711471533.0),
        (TIME_MAX, 1e11),
    ],
)
def test_when_it_was_seen_is_a_float_of_seconds(seen, read_as):
    """Unix seconds, with or without a fraction, and RFC 3339 text are read as a float in every dialect."""
    for dialect in DIALECTS:
        observed_at = parse(snap("vp"), observed_at=seen, dialect=dialect).observed_at
        assert (read_as, float) == (observed_at, type(observed_at))


@pytest.mark.parametrize(
    "seen", [True, 0, -1, 0.0, TIME_MAX + 1, float("nan"), float("inf"), "noon", "17", "", [], {}], ids=repr
)
def test_a_time_of_observation_is_not_guessed(seen):
    """Any other value is refused at its path, as the argument or in the envelope."""
    assert {"$.observed_at": expected_message("observed_at", seen)} == refused(snap("v"), observed_at=seen)
    assert {"$.observed_at"} == refused({"observed_at": seen, "batch": snap("v")}).keys()
    assert {"observed_at": parse(snap("v", extra=seen)).extra["extra"]} == read(snap("v"), observed_at=seen).bad


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(5000, 1, 1)), st.integers(-1439, 1439))  # noqa: DTZ001
def test_any_rfc_3339_text_is_its_second(moment, offset):
    """With any offset, the text gives the second that Python computes."""
    local = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=offset)))

    assert int(local.timestamp() // 1) == parse(snap("v", created_at=local.isoformat()), dialect="azure").created_at
    assert local.timestamp() == parse(snap("v"), observed_at=local.isoformat()).observed_at


# ---------------------------------------------------------------- the caller's object


@pytest.mark.parametrize("plain", [True, False])
def test_what_the_caller_changes_later_changes_no_snapshot(plain):
    """The fast path and the converter copy counts, errors, usage, metadata, unknown and refused values."""
    wire = snap("vp", usage={"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1}})
    if not plain:
        wire |= {"errors": {"data": [dict(ENTRY)]}, "novel": {"list": [{}]}, "endpoint": {"bad": [1]}}
    assert plain == (reader(DIALECTS["openai"]).parse_fast(wire) is not None)
    before, snapshot = read(deepcopy(wire)), read(wire)

    wire["status"] = "completed"
    wire["request_counts"]["total"] = 99
    wire["usage"]["input_tokens_details"]["cached_tokens"] = 99
    wire["usage"]["new"] = 99
    wire["metadata"]["team"] = "other"
    if not plain:
        wire["errors"]["data"][0]["code"] = "other"
        wire["errors"]["data"].append(ENTRY)
        wire["novel"]["list"][0]["new"] = 99
        wire["endpoint"]["bad"].append(2)

    assert before == snapshot


def test_reading_changes_nothing_of_the_callers():
    """Invalid fields are removed from a copy, never from the caller's object."""
    wire = snap("vp", endpoint=5, request_counts={"total": "8", "Completed": 3}, errors=[{"Code": 7}])
    before = deepcopy(wire)

    read(wire)

    assert before == wire


# ---------------------------------------------------------------- the fast path agrees with the converter


def values(name):
    """Return values for a field: mostly valid ones, some invalid, some borderline."""
    if name in TIME_FIELDS:
        times = [CREATED, 1, TIME_MAX, TIME_MAX + 1, 0, -1, True, float(CREATED), 946684800, 946656000000]
        return st.sampled_from([*times, str(CREATED), "0", "", ISO]) | st.integers(1, TIME_MAX)
    if name in TEXT_FIELDS:
        texts = ["", "canceled", "Validating", "complete", "scheduling", "paused", "é", "\ud800", "a\0b"]
        return st.sampled_from([*texts, 5, True, [], {}]) | st.text(max_size=3)
    if name == "object":
        return st.sampled_from(["batch", "list", "", 5])
    if name == "request_counts":
        number = st.sampled_from([0, 8, -1, True, 8.0, "8", None])
        named = st.dictionaries(st.sampled_from([*COUNT_FIELDS, "Total", "pending"]), number, max_size=4)
        return named | st.tuples(*[st.integers()] * 3).map(lambda some: dict(zip(COUNT_FIELDS, some, strict=True)))
    if name == "errors":
        return st.sampled_from([{}, [], [ENTRY], ["text"], {"data": [ENTRY]}, {"data": [{"code": 5}]}, "text"])
    atoms = st.sampled_from(["", "text", "é", "\ud800", 1, 1.5, True, None, [], [1], {}, {"a": 1}, {"a": {"b": 1}}])
    return st.dictionaries(st.sampled_from(["a", "é", "\ud800", 1, ""]), atoms, max_size=3) | st.sampled_from([[], 5])


def changed(names):
    """Return a few fields with values of their kind, or null."""
    return st.fixed_dictionaries({}, optional={name: st.none() | values(name) for name in names})


NEARLY_PLAIN = st.builds(
    lambda path, changes, absent, extra: (
        {name: value for name, value in (snap(path) | changes).items() if name not in absent} | extra
    ),
    st.sampled_from(["v", "vp", "vpz", "vpzc", "vf", "vpze", "vpgx"]),
    st.lists(st.sampled_from(WIRE_FIELDS), max_size=3).flatmap(changed),
    st.sets(st.sampled_from([name for name in WIRE_FIELDS if name != "status"]), max_size=3),
    st.sampled_from([{}, {}, {}, {"novel": 1}, {"createdAt": CREATED}, {"ID": "batch_2"}]),
)


@given(NEARLY_PLAIN, st.sampled_from(sorted(DIALECTS)))
@example(snap("vp", request_counts={"total": 8, "completed": 3, "failed": 0, "Total": 9}), "openai")
def test_the_fast_lane_reads_as_the_converter_does(wire, dialect):
    """An object that the fast path accepts gives the converter's values and types."""
    found = reader(DIALECTS[dialect]).parse_fast(wire)

    if found is not None:
        slow = reader(DIALECTS[dialect])._read(wire, None)
        assert (slow, repr(slow)) == (found.snapshot, repr(found.snapshot))
        assert (slow.id, to_row(slow)) == (found.id, found.row)


@pytest.mark.parametrize("path", ["v", "vp", "vpz", "vpzc", "vpze", "vpg", "vpgx"])
def test_what_openai_sends_takes_the_fast_lane(path):
    """Complete histories take the fast path, with and without usage."""
    usage = {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1}, "total_tokens": 3}

    assert reader(DIALECTS["openai"]).parse_fast(snap(path)) is not None
    assert reader(DIALECTS["openai"]).parse_fast(snap(path, usage=usage)) is not None


@given(NEARLY_PLAIN, st.sampled_from(sorted(DIALECTS)))
def test_a_field_is_set_null_or_bad_and_nothing_else(wire, dialect):
    """An invalid field reads None and is refused at its path, a missing one is named once, the others are read."""
    try:
        snapshot = read(wire, dialect)
    except SnapshotError:
        assert {"$"} == refused(wire, dialect=dialect).keys()
        return
    missing = [name for name in VITAL if getattr(snapshot, name) is None and name not in snapshot.bad]
    for name in set(snapshot.bad) & {
        *TIME_FIELDS,
        *TEXT_FIELDS,
        "errors",
        "usage",
        "metadata",
        "request_counts",
    }:
        assert getattr(snapshot, name) is None
    if missing or snapshot.bad:
        assert {f"$.{name}" for name in (*missing, *snapshot.bad)} == refused(wire, dialect=dialect).keys()
    else:
        assert snapshot == parse(wire, dialect=dialect)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*WIRE_FIELDS, *COUNT_FIELDS, "data", "body", "code", "ID"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(sorted(DIALECTS)), JSON)
def test_nothing_makes_reading_crash(obj, dialect, seen):
    """Any JSON value is read or refused, with the same result as an object and as text."""
    answers = []
    for form in (obj, json.dumps(obj)):
        try:
            answers.append(repr(read(form, dialect, observed_at=seen)))
        except SnapshotError as error:
            answers.append(error.problems)

    assert answers[0] == answers[1] or isinstance(obj, str)


@pytest.mark.parametrize(
    "name, key",
    [("id", "batch_id"), ("id", "batchId"), ("id", "BatchID"), ("status", "state"), ("created_at", "created")],
)
def test_a_required_field_under_another_key(name, key):
    """The message about a missing field names a similar key, whose value is not used."""
    wire = {(key if field == name else field): value for field, value in snap("v").items()} | {name: None}

    with pytest.raises(SnapshotError) as caught:
        parse(wire)
    messages = [finding.message for finding in audit([wire]).findings if finding.rule == "S001"]

    assert ((f"$.{name}", f"a value is missing; there is '{key}' instead"),) == tuple(caught.value.problems)
    if name == "id":
        with pytest.raises(SnapshotError, match=f"cannot be tracked; there is '{key}' instead"):
            Monitor().observe(wire)
    assert [True] == [f"has no {name}; it has the key '{key}', not '{name}'" in message for message in messages]


def test_a_required_field_without_another_key():
    """The message names no key that does not resemble a required field."""
    with pytest.raises(SnapshotError) as caught:
        parse(snap("v", id=None, file_id="f", batch="b"))

    assert (("$.id", "a value is missing"),) == tuple(caught.value.problems)
