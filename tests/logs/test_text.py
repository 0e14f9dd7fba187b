"""The parsers of text forms: values that are read are right, and the others are reported."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchfsm.logs.sdk_text.detection import HEADS, TextForm, detect
from batchfsm.logs.sdk_text.literals import NESTING_MAX, NUMBER_LENGTH_MAX, TextError
from batchfsm.logs.sdk_text.parsers import is_complete, read_text
from batchfsm.snapshot import UNREADABLE, WIRE_FIELDS, Unreadable, to_case
from support.calls import count_calls
from support.sdk_text import (
    ENTRY,
    FAILED,
    FORMS,
    PRINTERS,
    TIMES,
    WIRE,
    dart,
    go,
    java,
    kotlin,
    kotlin_entry,
    node,
    printed_list,
    python,
)

SAMPLES = [(form, PRINTERS[form](wire)) for form in FORMS for wire in (WIRE, FAILED)]
SAMPLES.append(("dart", dart(WIRE, as_map=True)))


def read(text: str, form: TextForm) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the fields of a text and the names of the unread ones."""
    reading = read_text(text, form)
    return dict(reading.fields), tuple(reading.unread)


def problem(text: str, form: TextForm) -> str:
    """Return the reason why a text is refused."""
    with pytest.raises(TextError) as caught:
        read_text(text, form)
    return caught.value.problem


def outcome(text: str, form: TextForm) -> int:
    """Return 1 if a text is read, else the column at which it is refused; other errors are raised."""
    try:
        read_text(text, form)
    except TextError as error:
        return error.column
    return 1


def without(wire: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return a batch without some fields."""
    return {name: value for name, value in wire.items() if name not in names}


# ---------------------------------------------------------------- each form, whole


def test_python_repr_is_read_whole():
    """Every field of openai-python's repr is read, with nested classes and escaped text."""
    entry = ENTRY | {"message": "it's \"bad\", status='x'\n\té\\"}
    wire = FAILED | {"errors": {"object": "list", "data": [entry]}, "novel": [1, -2.5, True, {}]}

    fields, unread = read(f"12:00 INFO batch = {python(wire)} took 3s", "python")

    assert (wire, ()) == (without(fields, "model", "usage"), unread)


def test_python_page_is_read_as_a_page():
    """The page that `batches.list()` returns is read as a mapping with its batches under `data`."""
    fields, unread = read(f"SyncCursorPage[Batch](data=[{python(WIRE)}, {python(FAILED)}], has_more=False)", "python")

    assert ("batch_7", "failed", False, ()) == (
        fields["data"][0]["id"],
        fields["data"][1]["status"],
        fields["has_more"],
        unread,
    )


def test_python_dict_is_read():
    """The output of `print(batch.model_dump())` is read, also after another dict."""
    assert (WIRE, ()) == read(f"{{'request': 5}} -> {WIRE!r}", "python")


def test_python_wrapped_lines():
    """A repr that a pretty printer wrapped is read, with trailing commas too."""
    lines = [
        "Batch(",
        "    id='batch_7',",
        "    status='failed',",
        "    request_counts=Counts(",
        "        total=8",
        "    ),",
        ")",
    ]

    assert ({"id": "batch_7", "status": "failed", "request_counts": {"total": 8}}, ()) == read(
        "\n".join(lines), "python"
    )


@pytest.mark.parametrize(
    "value",
    [
        "<Status.COMPLETED: completed>",
        "<Status.COMPLETED: 'completed', 'x'>",
        "<Status a, completed_at=3>",
        "Status.COMPLETED",
        "datetime.datetime(2026, 1, 2, 3, 4)",
        "datetime.datetime(2026, 13, 2, 3, 4, tzinfo=TzInfo(UTC))",
        "0000000000000",
        "xxxxxxxxx",
        "Decimal('17')",
        "b'done, x='",
        "{1, 2}",
        "{1: 2}",
        "(1, 'a')",
        "'a' 'b'",
        "[1, <x>]",
        "Wrapped(root=<x>)",
        "nan",
        "1e999",
        "9" * (NUMBER_LENGTH_MAX + 1),
        r"'\d'",
        r"'\U00110000'",
        r"'\UFFFFFFFF'",
    ],
)
def test_python_other_values_are_unread(value):
    """A value that is not a literal leaves its own field unread; the other fields are read."""
    fields, unread = read(f"Batch(id='b', status={value}, created_at=5)", "python")

    assert ({"id": "b", "created_at": 5}, ("status",)) == (fields, unread)


def test_a_name_that_stands_twice_is_unread():
    """A field with two values is unread, because the right one is unknown."""
    assert ({"id": "b"}, ("status",)) == read("Batch(id='b', status='failed', status='completed')", "python")


def test_kotlin_class_is_read_whole():
    """Every field of openai-kotlin's data class is read; a value class is read as the value inside."""
    errors = {"data": [kotlin_entry(entry) for entry in FAILED["errors"]["data"]]}

    fields, unread = read(f"[main] INFO - {kotlin(FAILED)} (retry 1)", "kotlin")

    assert (without(FAILED, "object") | {"errors": errors}, ()) == (fields, unread)


def test_dart_class_is_read_whole():
    """Every field of openai_flutter_sdk's class is read."""
    assert (FAILED, ()) == read(f"flutter: {dart(FAILED)} done", "dart")


def test_dart_map_is_read_whole():
    """`toJson().toString()` has the API's names and nested classes."""
    assert (FAILED, ()) == read(f"flutter: {dart(FAILED, as_map=True)}", "dart")


def test_dart_map_with_maps_inside():
    """A map that was decoded from JSON is read, except for `usage`."""
    text = dart(WIRE, as_map=True).replace(
        "BatchRequestCounts[total=8, completed=7, failed=1]",
        "{total: 8, completed: null}, usage: {input: {cached: 1}}",
    )

    assert (WIRE | {"request_counts": {"total": 8, "completed": None}}, ("usage",)) == read(text, "dart")


def test_go_pointers_are_unread():
    """A printed address shows that a field is set, but not its value; `<nil>` is null."""
    plain = ("id", "object", "endpoint", "input_file_id", "completion_window", "status", "created_at")
    pointers = tuple(name for name, value in WIRE.items() if value is not None and name not in plain)

    fields, unread = read(f"2026/01/02 got &{go(WIRE)} ok", "go")

    assert (without(WIRE, *pointers), pointers) == (fields, unread)


def test_go_values_of_other_structs():
    """A struct without pointers has its numbers, but 0 may also mean null."""
    counts = "{Total:3 Completed:0 Failed:3}"
    text = f"{{ID:b Status:failed CreatedAt:0 FailedAt:9 ExpiredAt:0 Model: RequestCounts:{counts}}}"

    fields, unread = read(text, "go")

    assert {"id": "b", "status": "failed", "created_at": 0, "failed_at": 9, "model": ""} == without(
        fields, "request_counts"
    )
    assert ({"total": 3, "completed": 0, "failed": 3}, ("expired_at",)) == (fields["request_counts"], unread)


def test_go_free_text_hides_what_follows():
    """A map's texts have no quotes, so the fields after it may be part of a text."""
    text = "{ID:b Status:failed Metadata:map[note:a CompletedAt:5] FailedAt:7}"

    assert (
        {"id": "b", "status": "failed"},
        ("metadata", "completed_at", "failed_at"),
    ) == read(text, "go")


def test_go_unknown_or_double_fields_are_unread():
    """A field of unknown type, or with two values, is unread."""
    assert ({"id": "b"}, ("Tier", "status")) == read("{ID:b Tier:5 Status:failed Status:completed}", "go")


def test_node_object_is_read_whole():
    """Every field of `console.log(batch)` is read."""
    assert (FAILED, ()) == read(f"got {node(FAILED)} after 3s", "node")


def test_node_colours_are_no_part_of_it():
    """The colors that `console.log` prints on a terminal are ignored."""
    assert ({"id": "b", "created_at": 5}, ()) == read(
        "{ id: \x1b[32m'b'\x1b[39m, created_at: \x1b[33m5\x1b[39m }", "node"
    )


@pytest.mark.parametrize(
    "value, printed",
    [
        ("it's", '"it\'s"'),
        ("'\"", "`'\"`"),
        ("a\nb", "'a\\n' +\n    'b'"),
        ("\x07\x1b\u2028\ud800", r"'\x07\x1B\u2028\uD800'"),
        (17, "17n"),
        (0, "-0"),
        (1e21, "1e+21"),
        (None, "undefined"),
        (False, "false"),
        ([], "[]"),
        ({}, "{}"),
        ({"a b": 1}, "{ 'a b': 1 }"),
        ({"q": 1}, "[Object: null prototype] { q: 1 }"),
        ({"q": 1}, "<ref *1> Counts { q: 1 }"),
    ],
)
def test_node_values(value, printed):
    """Each notation of Node for a JSON value is read."""
    assert ({"id": "b", "x": value}, ()) == read(f"{{ id: 'b', x: {printed} }}", "node")


@pytest.mark.parametrize(
    "printed",
    [
        "[Object]",
        "{ object: 'list', data: [ [Object] ] }",
        "[ 1, ... 3 more items ]",
        "'aaa'... 5 more characters",
        "Map(1) { 'k, ' => { a: 2 } }",
        "Set(1) { 'a' }",
        "[Circular *1]",
        "[Function: f]",
        "[TypeError: no such file]",
        "Symbol(x)",
        "2026-13-02T03:04:05.000Z",
        "Infinity",
        "<1 empty item>",
    ],
)
def test_node_other_values_are_unread(printed):
    """A value that JSON does not have, or that Node abbreviated, leaves its own field unread."""
    assert ({"id": "b", "y": 1}, ("x",)) == read(f"{{ id: 'b', x: {printed}, y: 1 }}", "node")


def test_a_wrapped_batch_is_read_alone():
    """`console.log({ batch })` and a dict around a batch give the batch, with its own unread fields."""
    failed = node(WIRE | {"errors": []}).replace("[  ]", "[ [Object] ]")

    assert (without(WIRE, "errors"), ("errors",)) == read(f"{{ tries: 2, batch: {failed} }}", "node")
    assert (WIRE, ()) == read(f"{{'tries': 2, 'batch': {WIRE!r}}}", "python")


def test_an_envelope_that_says_when_stays():
    """An envelope with a time is kept; an abbreviated value in the batch reads as UNREADABLE."""
    text = f"{{ observed_at: 5, batch: {node(WIRE)} }}"

    assert ({"observed_at": 5, "batch": WIRE}, ()) == read(text, "node")
    fields, unread = read(text.replace("{ total: 8, completed: 7, failed: 1 }", "[Object]"), "node")
    assert (WIRE | {"request_counts": UNREADABLE}, ()) == (fields["batch"], unread)


def test_node_object_before_the_batch():
    """Another object of the logger before the batch is skipped, also one without names."""
    assert (WIRE, ()) == read(f"{{ 'a': 1, 5 }} { {'retry': 1} } {node(WIRE)}".replace("'retry'", "retry"), "node")


def test_names_are_spelled_as_on_the_wire():
    """Other spellings of the API's names are converted, unless both spellings are present."""
    assert ({"id": "b", "input_file_id": "f"}, ("request_counts",)) == read(
        "{ id: 'b', inputFileId: 'f', requestCounts: [Object] }", "node"
    )
    assert ({"id": "b", "ID": "c"}, ()) == read("{ id: 'b', ID: 'c' }", "node")


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not on the PATH")
@pytest.mark.parametrize("colors", ["true", "false"])
def test_real_console_log(colors):
    """The output of the installed Node is read, except for the values that Node abbreviates."""
    note = "line, one: 'x'\n" * 12
    usage = {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 1}}
    wire = FAILED | {"metadata": {"note": note, "it's": '"`', "a-b": "\\ \u2028 é"}, "usage": usage}
    show = f"require('util').inspect(JSON.parse(process.argv[1]), {{colors: {colors}}})"
    ran = subprocess.run(
        [shutil.which("node") or "node", "-e", f"console.log('got', {show})", json.dumps(wire)],
        capture_output=True,
        check=True,
        timeout=30,
    )
    lines = ran.stdout.decode().rstrip().split("\n")  # Node does not escape U+2028.

    fields, unread = read("\n".join(lines), "node")

    assert (without(wire, "errors"), ("errors",)) == (fields, unread)
    assert len(lines) == next(n for n in range(1, 99) if is_complete("\n".join(lines[:n]), "node"))


@pytest.mark.parametrize(
    "printed, value",
    [
        ("<BatchStatus.IN_PROGRESS: 'in_progress'>", "in_progress"),
        ('<Status.ODD: "it\'s">', "it's"),
        ("<Level.HIGH: 3>", 3),
        ("datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)", 1767323045),
        ("datetime.datetime(2026, 1, 2, 3, 4, tzinfo=TzInfo(UTC))", 1767323040),
        ("datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=TzInfo(0))", 1767323045),
        ("datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=zoneinfo.ZoneInfo(key='UTC'))", 1767323045),
        ("datetime.datetime(2026, 1, 2, 3, 4, 5, 500000, tzinfo=datetime.timezone.utc)", 1767323045.5),
        (
            "datetime.datetime(2026, 1, 2, 4, 4, 5, tzinfo=datetime.timezone(datetime.timedelta(seconds=3600)))",
            1767323045,
        ),
        (
            "datetime.datetime(2026, 1, 1, 22, 4, 5, tzinfo=datetime.timezone(datetime.timedelta(days=-1, seconds=68400)))",
            1767323045,
        ),
    ],
)
def test_python_enums_and_times(printed, value):
    """A member of an enum reads as its value, and an aware datetime as Unix seconds."""
    assert ({"id": "b", "x": value, "y": 1}, ()) == read(f"Batch(id='b', x={printed}, y=1)", "python")


def test_node_dates_are_seconds():
    """A `Date` is printed in UTC, without quotes."""
    assert ({"id": "b", "x": 1767323045}, ()) == read("{ id: 'b', x: 2026-01-02T03:04:05.000Z }", "node")


@pytest.mark.parametrize(
    "text",
    [
        '#<OpenAI::Models::Batch:0x1a8 {id: "b", status: :failed, created_at: 5, metadata: {"a b": "c", d: :"e"}}>',
        '{:id=>"b", :status=>:failed, :created_at=>5, :metadata=>{:"a b"=>"c", :d=>"e"}}',
        '{"id" => "b", "status" => "failed", "created_at" => 1970-01-01 00:00:05 UTC, "metadata" => {"a b" => "c", d: "e"}}',
        '{id: "b", status: "failed", created_at: 1970-01-01 00:00:05 +0000, metadata: {"a b": "c", d: "\\u0065"}}',
    ],
)
def test_ruby_hashes_and_objects(text):
    """Hashes with string and symbol keys, of Ruby 3.4 and older, and openai-ruby's objects are read."""
    expected = {"id": "b", "status": "failed", "created_at": 5, "metadata": {"a b": "c", "d": "e"}}

    assert "ruby" == detect(f"I, [2026-11-30] INFO -- : {text}")
    assert (expected, ()) == read(text, "ruby")


@pytest.mark.parametrize(
    "value", ["#<Object:0x1>", "1..2", "1970-01-01 00:00:05", "1970-13-01 00:00:05 UTC", "Status", "'a'"]
)
def test_ruby_other_values_are_unread(value):
    """Objects, ranges and times without a zone leave their own field unread."""
    assert ({"id": "b", "y": 1}, ("x",)) == read(f'{{"id"=>"b", "x"=>{value}, "y"=>1}}', "ruby")


def test_ruby_objects_inside():
    """A nested object is read if it prints a hash."""
    text = '#<OpenAI::Batch:0x1a {id: "b", request_counts: #<OpenAI::Counts:0x2 {total: 3}>, x: #<A:0x3 {a: 1} b>}>'

    assert ({"id": "b", "request_counts": {"total": 3}}, ("x",)) == read(text, "ruby")


def test_java_without_counts():
    """Absent counts stay absent."""
    assert "request_counts" not in read(java(WIRE | {"request_counts": None}), "java")[0]


def test_rust_variants():
    """A variant of an enum is read as a status if it is one of the eight; other variants are unread."""
    text = 'Batch {{ id: "b", status: {}, kind: {}, x: Some(Inner {{ a: [1, 2], b: Null }}), e: "\\u{{e9}}" }}'

    assert ({"id": "b", "status": "in_progress", "x": {"a": [1, 2], "b": None}, "e": "é"}, ("kind",)) == read(
        text.format("InProgress", "Inner(1, 2)"), "rust"
    )
    assert ("status", "kind") == read(text.format("Paused", "Completed"), "rust")[1]
    assert "brackets nest deeper than 64" == problem('Batch { id: "b", x: ' + "Some(" * 99, "rust")


def test_java_texts_that_may_be_others_are_unread():
    """A text that contains other fields' names leaves its field unread; with all names, the batch is refused."""
    entry = ENTRY | {"message": "a, param=b"}
    fields, unread = read(java(FAILED | {"errors": {"object": "list", "data": [entry]}}), "java")
    two = java(WIRE | {"metadata": {"a": "1", "b": "2"}})
    tail = java(WIRE).partition(", metadata=")[2]

    assert ("failed", ("errors",)) == (fields["status"], unread)
    assert ("metadata",) == read(two, "java")[1]
    assert "errors or metadata may end in two places" == problem(java(WIRE | {"metadata": {"a": tail}}), "java")
    assert ("additional_properties",) == read(java(WIRE)[:-2] + "tier=x}}", "java")[1]
    assert ("usage",) == read(
        java(WIRE).replace("}}, additional", "}}, usage=BatchUsage{a=1, b={}}, additional"), "java"
    )[1]


def test_a_list_of_anything_else():
    """Hidden items stay in the list as UNREADABLE; a list of other objects is read as such."""
    text = f"[ {node(WIRE)}, [Object], ... 2 more items ]"

    assert ({"data": [WIRE, UNREADABLE, UNREADABLE]}, ()) == read(text, "node")
    assert ({"data": [{"a": 1}]}, ()) == read("[ { a: 1 } ]", "node")


# ---------------------------------------------------------------- printed lists and pages


def batches_of(text, form):
    """Return the batches of a list, each with its unread fields; None if the list is refused."""
    try:
        reading = read_text(text, form)
    except TextError:
        return None
    items = reading.fields.get("data")
    assert isinstance(items, list)
    assert not reading.unread
    return items


def holds(batch, wire):
    """Return whether each field of a batch has the value that was printed, or is unread."""
    if isinstance(wire.get("errors"), dict) and isinstance(batch.get("errors"), dict):
        batch = batch | {"errors": wire["errors"]} if same_errors(batch["errors"], wire["errors"]) else batch
    return all(
        isinstance(value, Unreadable) or (value or None) == (wire.get(name) or None) for name, value in batch.items()
    )


def same_errors(found, wire):
    """Compare entries without openai-kotlin's `type`; an empty text equals null, as openai-java prints both alike."""
    texts = [[without(entry, "type") for entry in entries] for entries in (found["data"], wire["data"])]
    read, printed = (
        [{name: None if value == "" else value for name, value in entry.items()} for entry in entries]
        for entries in texts
    )
    return read == printed


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("page", [False, True])
def test_a_printed_list_is_read_whole(form, page):
    """Every batch of a list or page is read, with any text before and after it."""
    wires = [WIRE, FAILED, WIRE | {"id": "batch_8", "metadata": None}]
    found = batches_of(f"12:00 INFO {printed_list(form, wires, page=page)} took 3s", form)

    assert found is not None
    assert [wire["id"] for wire in wires] == [batch["id"] for batch in found]
    assert all(holds(batch, wire) for batch, wire in zip(found, wires, strict=True))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("page", [False, True])
def test_a_list_that_is_cut_off_is_never_read_as_another(form, page):
    """A list that is cut off at any character is refused, or all of its batches are read."""
    wires = [WIRE, FAILED]
    text = printed_list(form, wires, page=page)
    for length in range(len(text)):
        found = batches_of(text[:length], form) if HEADS[form].search(text[:length]) else None
        if found is not None:
            assert len(wires) == len(found)
            assert all(holds(batch, wire) for batch, wire in zip(found, wires, strict=True))


# ---------------------------------------------------------------- ambiguity of text without quotes


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": "1", "b": "2"},
        {"params": "temperature=0, top_p=1, k: 2, l: 3"},
        {"a=b: c": "d=e: f"},
        {"note": "f(x"},
        {"})}]": ""},
        {"note": "see (a {b})] and [c {d}])"},
    ],
)
@pytest.mark.parametrize("printer", [kotlin, dart])
def test_metadata_that_may_be_another_is_unread(printer, metadata):
    """Without quotes, the ends of keys and values are ambiguous, so the metadata is unread."""
    form: TextForm = "kotlin" if printer is kotlin else "dart"

    fields, unread = read(printer(WIRE | {"metadata": metadata}), form)

    assert (("metadata",), "completed", WIRE["completed_at"]) == (
        unread,
        fields["status"],
        fields["completed_at"],
    )


@pytest.mark.parametrize(
    "metadata",
    [{"note": "hello, world"}, {"f": "f([{x} y])"}, {"url": "http://x/?y"}, {"n": "null"}, {"": ""}],
)
@pytest.mark.parametrize("printer", [kotlin, dart])
def test_metadata_that_can_be_only_one_is_read(printer, metadata):
    """A single pair is unambiguous if its text cannot contain a second pair; `null` in it is a text."""
    form: TextForm = "kotlin" if printer is kotlin else "dart"

    assert metadata == read(printer(WIRE | {"metadata": metadata}), form)[0]["metadata"]


def test_no_metadata():
    """For no metadata, Kotlin prints null and Dart an empty map."""
    wire = WIRE | {"metadata": None}

    assert (None, {}) == (
        read(kotlin(wire) + " {x})", "kotlin")[0]["metadata"],
        read(dart(wire) + " {x})", "dart")[0]["metadata"],
    )


def test_a_suffix_that_may_be_metadata():
    """If the text after the object could also end it, the end of the metadata is ambiguous."""
    assert ("metadata",) == read(f"Result({kotlin(WIRE)}, headers={{a=b}})", "kotlin")[1]


def test_fields_behind_unread_metadata_are_unread():
    """Fields after unread metadata may be part of it, so they are unread, not absent."""
    text = "{id: b, object: batch, status: failed, metadata: {a: b}, completed_at: 5, usage: {x: {y: 1}}}"

    assert (
        {"id": "b", "object": "batch", "status": "failed"},
        ("metadata", "completed_at", "usage"),
    ) == read(text, "dart")


@pytest.mark.parametrize(
    "message", ["a, status=Status(value=expired)), b", "x]], status=expired, y", ", line=", "(", "[{"]
)
@pytest.mark.parametrize("printer", [kotlin, dart])
def test_messages_hold_what_they_like(printer, message):
    """A message that contains separators does not change any other field."""
    form: TextForm = "kotlin" if printer is kotlin else "dart"
    wire = FAILED | {"errors": {"object": "list", "data": [ENTRY | {"message": message}]}}

    fields, unread = read(printer(wire), form)

    assert ("failed", FAILED["failed_at"]) == (fields["status"], fields["failed_at"])
    if unread:
        assert ((("errors",), ", line=")) == (unread, message)
    else:
        assert message == fields["errors"]["data"][0]["message"]


@pytest.mark.parametrize(
    "entry",
    [
        "code=a, message=bad, param=x, param=null, line=1",
        "code=a, message=bad, param=null",
        "code=a, message=bad, param=null, line=one",
        "kind=a, code=a, message=b, param=null, line=1",
    ],
)
def test_errors_that_may_be_others_are_unread(entry):
    """An entry with a duplicate, missing or wrongly typed part leaves only `errors` unread."""
    text = dart(FAILED).replace("code=empty_file, message=No lines., param=null, line=3", entry)

    assert (without(FAILED, "errors"), ("errors",)) == read(text, "dart")


def test_an_entry_that_is_not_closed_is_unread():
    """If an entry ends with a bracket of the wrong kind, `errors` is unread."""
    text = kotlin(FAILED).replace("line=null)], hasMore", "line=null]], hasMore")

    assert ("errors",) == read(text, "kotlin")[1]


def test_errors_without_entries():
    """An empty list of errors is read as a list."""
    wire = FAILED | {"errors": {"object": "list", "data": []}}

    assert ({"data": []}, wire["errors"]) == (
        read(kotlin(wire), "kotlin")[0]["errors"],
        read(dart(wire), "dart")[0]["errors"],
    )


def test_errors_that_may_end_in_two_places():
    """If a message contains the whole rest of the class, the end of the errors is ambiguous and the text is refused."""
    rest = dart(WIRE).partition(", inputFileId")[2]
    wire = FAILED | {"errors": {"object": "list", "data": [ENTRY | {"message": f"[]]], inputFileId{rest}"}]}}

    assert "errors may end in two places" == problem(dart(wire), "dart")


@pytest.mark.parametrize(
    "name, printed",
    [
        ("request_counts", "RequestCounts(total=a)"),
        ("request_counts", "5"),
        ("request_counts", "X()"),
        ("status", "S(a=b, c=d)"),
        ("created_at", "Time(x=[a])"),
    ],
)
def test_values_of_another_shape_are_unread(name, printed):
    """A known field with a value of an unknown class is unread; the other fields are read."""
    text = f"Batch(id=b, {to_case(name, 'camel')}={printed})"

    assert ({"id": "b"}, (name,)) == read(text, "kotlin")


def test_a_time_that_is_no_number_is_kept_as_text():
    """The text is kept, and a rule reports it later."""
    assert ({"id": "b", "created_at": "2026-01-02T03:04:05Z", "failed_at": 1.5}, ()) == read(
        "Batch(id=b, createdAt=2026-01-02T03:04:05Z, failedAt=1.5)", "kotlin"
    )


# ---------------------------------------------------------------- texts that are refused


@pytest.mark.parametrize(
    "form, text, expected",
    [
        ("python", "nothing here", "none begins here"),
        ("python", "Batch(id='b'", "a value has no end"),
        ("python", "Batch(id='b)", "a quote is not closed"),
        ("python", "Batch(id='b\n', x=1)", "a quote is not closed"),
        ("python", "Batch(id='b']", "a comma or ) is due"),
        ("python", "Batch(id=, x=1)", "a value is due"),
        ("python", "Batch(id='b', x=<a(b]>)", "a value has no end"),
        ("python", "Batch(id='b', x=<Bob's>)", "a quote cannot be told from an apostrophe"),
        ("python", "Batch(id='b', 5)", "its values have no names"),
        ("python", "Batch(id=" + "[" * 999, f"brackets nest deeper than {NESTING_MAX}"),
        ("python", "Batch(id=x" + "(" * 999, f"brackets nest deeper than {NESTING_MAX}"),
        ("python", f"{python(WIRE)}, {python(WIRE)}", "a second one begins here"),
        ("node", "{ id: 'a' } { id: 'b' }", "a second one begins here"),
        ("node", "{ id: 'a', x: [ 1 }", "a comma or ] is due"),
        ("kotlin", f"{kotlin(WIRE)}, {kotlin(WIRE)}", "a second one begins here"),
        ("kotlin", "Batch(id=b, note=x, status=failed)", "a known field or ) is due"),
        ("kotlin", "Batch(id=b, status=(x", "a known field or ) is due"),
        ("kotlin", kotlin(FAILED).partition("message")[0], "errors has no end"),
        ("kotlin", kotlin(WIRE)[:-1], "metadata has no end"),
        ("kotlin", "Batch(id=b, metadata=x})", "metadata has no end"),
        ("dart", "{id: b, object: batch, note: a, status: failed}", "a known field or } is due"),
        ("go", "{ID:b Status:in progress CreatedAt:5}", "a field is due"),
        ("go", "{ID:b Status:in", "a field is due"),
        ("go", f"{go(WIRE)} {go(WIRE)}", "a second one begins here"),
        ("go", f"[{go(WIRE)}, {go(WIRE)}]", "the list goes on with something that is no batch"),
        ("kotlin", f"[{kotlin(WIRE)}, {kotlin(WIRE)}", "the list has no end"),
        ("kotlin", f"[{kotlin(WIRE)}, x, {kotlin(WIRE)}]", "the list goes on with something that is no batch"),
        ("dart", f"[{dart(WIRE)}; {dart(WIRE)}]", "the list goes on with something that is no batch"),
        ("go", '{ID:"batch_1", Object:"batch", CreatedAt:17}', "Go's %#v is not read; %+v is, and JSON"),
        ("java", "Batch{id=b, status=failed}", "the fields of openai-java's Batch are due"),
        ("java", java(WIRE).partition("errors")[0] + "errors=}", "the fields behind errors are due"),
    ],
)
def test_refusals_say_why(form, text, expected):
    """The error has one reason."""
    assert expected == problem(text, form)


def test_text_error_is_one_sentence_with_its_place():
    """The error has problem, form and column, can be pickled, and is a ValueError."""
    with pytest.raises(ValueError, match="no batch") as caught:
        read_text("Batch(id='b', status=)", "python")

    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert "no batch in python form: a value is due (column 22)" == str(error)
    assert ("python", 22, "a value is due", False) == (
        error.form,
        error.column,
        error.problem,
        error.truncated,
    )


# ---------------------------------------------------------------- detect, is_complete


@pytest.mark.parametrize("form, text", SAMPLES)
def test_detect_finds_every_form(form, text):
    """Each form is detected by its beginning, also after a prefix and with colors."""
    assert [form] * 3 == [
        detect(text),
        detect(f"ctx={{ a: 1 }} INFO {text}"),
        detect(f"\x1b[36m{text}\x1b[0m"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[",
        "batch: {",
        json.dumps(WIRE),
        json.dumps([WIRE]),
        json.dumps(WIRE, indent=2),
        "{}",
        "createBatch(id=5)",
        "done",
    ],
)
def test_detect_finds_none(text):
    """JSON, ordinary lines and a lone brace are not detected as a form."""
    assert detect(text) is None


def test_detect_with_two_lines():
    """The line after a lone brace distinguishes Node's form from JSON; other forms are detected by the first line."""
    assert ("node", None, "python") == (
        detect("{\n  id: 'b',"),
        detect('{\n  "id": "b",'),
        detect("batch = Batch("),
    )


@pytest.mark.parametrize("form, text", SAMPLES)
def test_bare_forms_are_read_between_colours(form, text):
    """A line that a logger colored is read like the same line without colors."""
    assert read(text, form) == read(f"\x1b[32m{text}\x1b[0m", form)


@pytest.mark.parametrize("form, text", SAMPLES)
def test_ends_with_the_closing_bracket(form, text):
    """No text is complete before its last bracket, except in forms where a shorter text may be complete."""
    early = [n for n in range(len(text)) if is_complete(text[:n], form)]

    assert (True, True) == (is_complete(text, form), is_complete(text + " done", form))
    assert form in ("go", "kotlin", "dart") or not early


def test_ends_line_by_line():
    """The lines of one object are collected until the object is complete."""
    lines = node(FAILED).splitlines()

    assert [False] * (len(lines) - 1) + [True] == [
        is_complete("\n".join(lines[: n + 1]), "node") for n in range(len(lines))
    ]


# ---------------------------------------------------------------- any input is read or refused


@pytest.mark.parametrize("form, text", SAMPLES)
def test_every_beginning_is_refused(form, text):
    """A text that is cut off at any character is refused."""
    for length in range(len(text)):
        with pytest.raises(TextError):
            read_text(text[:length], form)


PIECES = st.sampled_from(
    [*"()[]{}<>,:='\"`\\ \n\x1b", ", ", ": ", "})", "}]", "]]", "null", "Batch(id=", "{ID:", "0x1", "<nil>"]
    + ["9" * 400]
    + [f", {to_case(name, 'camel')}=" for name in WIRE_FIELDS]
)  # fmt: skip


@pytest.mark.logic
@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 900), st.integers(0, 9), PIECES), max_size=4))
def test_damage_never_crashes(sample, damage):
    """A text with parts removed or inserted is read or refused."""
    _, text = sample
    for at, length, piece in damage:
        text = text[:at] + piece + text[at + length :]

    for form in FORMS:
        assert 1 <= outcome(text, form) <= len(text) + 1
    assert detect(text) in (None, *FORMS)


TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=6).map("".join).filter(lambda text: text != "null")
IDS = st.from_regex(r"[a-z]{1,8}[-_/.][A-Za-z0-9]{1,8}", fullmatch=True).filter(lambda text: text != "null")
ENTRIES = st.fixed_dictionaries(
    {"code": IDS, "message": TEXTS, "param": st.none() | IDS, "line": st.none() | st.integers(0, 9)}
)
WIRES = st.fixed_dictionaries(
    {
        "id": IDS,
        "object": st.just("batch"),
        "endpoint": IDS,
        "errors": st.none()
        | st.fixed_dictionaries({"object": st.just("list"), "data": st.lists(ENTRIES, max_size=3)}),
        "input_file_id": IDS,
        "completion_window": IDS,
        "status": IDS,
        "output_file_id": st.none() | IDS,
        **dict.fromkeys(TIMES, st.none() | st.integers(1, 10**11)),
        "created_at": st.integers(1, 10**11),
        "request_counts": st.none()
        | st.fixed_dictionaries(dict.fromkeys(("total", "completed", "failed"), st.integers(-1, 99))),
        "metadata": st.dictionaries(TEXTS, TEXTS, max_size=3),
    }
).map(lambda wire: {name: wire[name] for name in WIRE_FIELDS if name in wire})  # fmt: skip


def printed_and_read(printer, wire, suffix):
    """Check that each field of a printed text has its value or is unread, or that the text is refused."""
    form: TextForm = "kotlin" if printer is kotlin else "dart" if printer is dart else "go"
    try:
        fields, unread = read(printer(wire) + suffix, form)
    except TextError:
        return
    if printer is kotlin:
        wire = without(wire, "object")
        if wire["errors"]:
            wire["errors"] = {"data": [kotlin_entry(entry) for entry in wire["errors"]["data"]]}

    assert fields == {name: wire[name] for name in fields}
    assert set(wire) <= {*fields, *unread}


def lists_are_what_was_printed(form, wires, page):
    """Check that each field of each batch of a printed list has its value or is unread, or that the list is refused."""
    found = batches_of(printed_list(form, wires, page=page), form)

    if found is not None:
        assert len(wires) == len(found)
        for batch, wire in zip(found, wires, strict=True):
            assert holds(batch, wire)


LISTS = st.tuples(st.sampled_from(FORMS), st.lists(WIRES, min_size=1, max_size=3), st.booleans())


@pytest.mark.logic
@settings(max_examples=100, deadline=None)
@given(LISTS)
def test_what_is_read_of_a_list_is_what_was_printed(printed):
    """With any text in messages and metadata, no batch of a list has a value of another batch."""
    lists_are_what_was_printed(*printed)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(LISTS)
def test_what_is_read_of_many_lists_is_what_was_printed(printed):
    """In four hundred lists, each field has its value or is unread."""
    lists_are_what_was_printed(*printed)


@pytest.mark.logic
@settings(max_examples=100, deadline=None)
@given(st.sampled_from(FORMS), WIRES, st.data())
def test_a_text_that_is_cut_off_is_never_read_as_another(form, wire, data):
    """A batch that is cut off at any character is refused, or read with its own values."""
    text = PRINTERS[form](wire)
    cut = text[: data.draw(st.integers(0, len(text)))]
    try:
        reading = read_text(cut, form)
    except TextError:
        return
    assert holds({**reading.fields, **reading.unread}, wire)


PRINTED = st.tuples(st.sampled_from([kotlin, dart, go]), WIRES, st.sampled_from(["", " ok", "})", " {x}]"]))


@pytest.mark.logic
@settings(max_examples=100)
@given(PRINTED)
def test_what_is_read_is_what_was_printed(printed):
    """With any text in messages and metadata, each field has its value or is unread."""
    printed_and_read(*printed)


@pytest.mark.slow
@settings(max_examples=400)
@given(PRINTED)
def test_what_is_read_is_what_was_printed_in_many_texts(printed):
    """In four hundred texts, each field has its value or is unread."""
    printed_and_read(*printed)


@pytest.mark.logic
@settings(max_examples=100, deadline=None)
@given(WIRES)
def test_python_texts_survive(wire):
    """Quoted texts may contain any character and are read unchanged."""
    assert (wire, ()) == (
        without(read(python(wire), "python")[0], "model", "usage", *(set(WIRE) - set(wire))),
        (),
    )


BUILDING_BLOCKS = [
    "(",
    "[",
    "{",
    ",",
    "'",
    "<",
    "\\",
    " ",
    "a",
    "]], status=x",
    ", param=x",
    "{ a: ",
    "', ",
    "{id: ",
    "' +\n'",
    "{'",
]
"""Texts that a reader may take for the beginning or the end of something."""


def long_texts(piece, chars):
    """Yield form and text, where the text repeats one piece: alone, and as a field of a batch."""
    alone = piece * (chars // len(piece))
    for form, text in SAMPLES:
        yield form, alone
        yield form, text.replace("24h", "24h" + alone[: chars // 20])
        yield form, text.replace("batch_7", alone[: chars // 20])


@pytest.mark.parametrize("piece", BUILDING_BLOCKS)
def test_the_work_of_a_long_text_is_linear(piece):
    """A text of twice the length takes about twice as many function calls."""
    for (form, once), (_, twice) in zip(long_texts(piece, 2_000), long_texts(piece, 4_000), strict=True):
        for read_long in (outcome, lambda text, _: detect(text)):
            assert count_calls(read_long, twice, form) < 2.2 * count_calls(read_long, once, form) + 200


@pytest.mark.parametrize("chars", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("piece", BUILDING_BLOCKS)
def test_a_long_text_of_one_piece_is_read_or_refused(piece, chars):
    """A long text of one repeated piece, alone or inside a batch, is read or refused."""
    for form, text in long_texts(piece, chars):
        assert outcome(text, form)
    assert detect(piece * (chars // len(piece))) in (None, "node", "python")
