"""Each input form of an object gives the row and the snapshot that the converter gives."""

import json
from collections import UserDict
from copy import deepcopy
from types import MappingProxyType, SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchfsm import SnapshotError
from batchfsm.auditing.spill import pickled, unpickled
from batchfsm.snapshot import COUNT_FIELDS, WIRE_FIELDS, to_case, to_row
from batchfsm.wire import (
    ParsedRow,
    decode,
    decode_problem,
    decoder,
    envelope,
    fast_path,
    make_scanner,
    reader,
    unwrap,
    unwrap_single,
)
from batchfsm.wire.envelope import SPELLINGS
from support.dialects import DIALECTS
from support.histories import FIELDS
from support.notation import CREATED, snap

FORMS = {
    "dict": lambda wire: wire,
    "view": MappingProxyType,
    "mapping": UserDict,
    "text": json.dumps,
    "text with a line end": lambda wire: json.dumps(wire, ensure_ascii=False) + "\n",
    "bytes": lambda wire: json.dumps(wire).encode(),
    "SDK object": lambda wire: SimpleNamespace(model_dump=lambda: wire),
    "envelope": lambda wire: {"batch": wire},
    "list": lambda wire: [wire],
}
ODD = {
    "id": ["batch_é", "\ud800", ""],
    "model": ["ft:gpt-4:é", "\ud800"],
    "error_file_id": [""],
    "errors": [{"data": [{"code": "a", "line": 3}]}, {"Data": [{"Code": "a"}]}, [{"code": "a", "line": True}], ["\ud800"]],
    "metadata": [{"customer": "Zoë"}, {"\ud800": "a"}, {"a": {"b": {}}}, [1], ""],
    "usage": [{"a": {"b": {"c": 1}}}, {"a": [1]}, {"a": 1.5, "b": None}],
    "request_counts": [{"Total": 8, "completed": 3, "failed": 0}, {"total": 8, "Total": 9, "completed": 3, "failed": 0},
                       {"total": 8, "completed": 3, "failed": 0, "pending": 5},
                       dict.fromkeys(COUNT_FIELDS)],
    "novel": [1, "é", [], {"a": [1, {"b": 2}]}, {"a": None}],
    "Novel": [None, 5],
    "createdAt": [CREATED, CREATED + 1],
}  # fmt: skip


def deep():
    """Return an object that is nested deeper than the parser accepts."""
    found = {}
    for _ in range(100):
        found = {"deep": found}
    return found


values = st.sampled_from([*FIELDS, *ODD]).flatmap(
    lambda name: st.tuples(st.just(name), st.sampled_from([*FIELDS.get(name, ()), *ODD.get(name, ()), deep()]))
)
wires = st.builds(
    lambda path, changes, absent, style: {
        to_case(name, style) if name in SPELLINGS else name: value
        for name, value in (snap(path) | dict(changes)).items()
        if name not in absent
    },
    st.sampled_from(["v", "vp", "vpz", "vpzc", "vf", "vpze", "vpgx"]),
    st.lists(values, max_size=3),
    st.sets(st.sampled_from(["object", "model", "metadata", "created_at", "errors", "usage"]), max_size=2),
    st.sampled_from(["snake", "snake", "camel", "pascal"]),
)
clocks = st.sampled_from([None, CREATED + 5, CREATED + 5.5, "2025-10-09T08:54:20Z", "soon", True, -1])
dialects = st.sampled_from(sorted(DIALECTS))


def answer(read):
    """Return the comparable values of a row with their types, or the refusal."""
    try:
        parsed = read()
    except SnapshotError as error:
        return error.problems
    assert parsed.row == to_row(parsed.snapshot)
    return repr(
        (parsed.snapshot, parsed.row, parsed.id, parsed.observed_at, parsed.errors, dict(parsed.metadata or {}))
    )


@pytest.mark.parametrize("form", FORMS)
@given(wire=wires, dialect=dialects, seen=clocks)
def test_every_form_gives_the_row_of_the_converter(form, wire, dialect, seen):
    """For valid, unusual and invalid values, each form gives the converter's values, types and refusals."""
    wire_reader = reader(DIALECTS[dialect])
    expected = answer(lambda: ParsedRow.of(wire_reader._read(json.loads(json.dumps(wire)), seen)))

    assert expected == answer(lambda: wire_reader.read_row(FORMS[form](wire), seen))


@given(wire=wires, dialect=dialects, seen=clocks)
def test_a_snapshot_is_the_row_it_was_read_from(wire, dialect, seen):
    """A row and its snapshot are unchanged after they are parsed again or written to disk."""
    wire_reader = reader(DIALECTS[dialect])
    try:
        parsed, again = wire_reader.read_row(wire, seen), wire_reader.read_row(deepcopy(wire), seen)
    except SnapshotError:
        return
    expected = answer(lambda: parsed)

    assert parsed is wire_reader.read_row(parsed)
    assert expected == answer(lambda: wire_reader.read_row(parsed.snapshot))
    restored = unpickled(pickled(again))  # The row has not built its snapshot yet.
    assert (expected, parsed.pattern is None) == (answer(lambda: restored), restored.pattern is None)


@pytest.mark.parametrize("seen", [CREATED + 7, None])
def test_a_row_may_be_seen_at_another_time(seen):
    """The argument `observed_at` overrides the time in the row; without the argument the row's time stays."""
    wire_reader = reader(DIALECTS["openai"])
    parsed = wire_reader.read_row(snap("vp"), CREATED + 5)

    assert (seen or CREATED + 5) == wire_reader.read_row(parsed, seen).observed_at


@pytest.mark.parametrize("path", ["v", "vp", "vpz", "vpzc", "vf"])
@pytest.mark.parametrize(
    "change",
    [
        {"errors": {"object": "list", "data": [{"code": "a", "message": "é", "param": None, "line": 7}]}},
        {"metadata": {"customer": "Zoë"}, "model": "ft:gpt-4:é"},
        {"novel": 1, "nested": {"a": [1, 2]}},
        {"error_file_id": ""},
        {"usage": {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1}}},
        {"metadata": []},
    ],
)
def test_healthy_rows_do_without_the_converter(path, change):
    """Errors, unknown keys, non-ASCII text and blank file ids take the fast path, since real servers send them."""
    assert reader(DIALECTS["openai"]).parse_fast(snap(path) | change) is not None


@pytest.mark.parametrize(
    "dialect, change",
    [
        ("azure", {"status": "Validating", "created_at": "2025-10-09T08:54:20Z", "endpoint": ""}),
        ("azure", {"request_counts": {"total": None, "completed": 3, "failed": 0}, "object": ""}),
        ("zhipu", {"created_at": CREATED * 1000}),
        ("aibrix", {"status": "created", "in_progress_at": "0", "created_at": str(CREATED)}),
        ("compatible", {"status": "queued", "expires_at": 0}),
    ],
)
def test_a_dialect_does_without_the_converter_too(dialect, change):
    """A dialect's aliases, time forms, sentinels and null counts take the fast path under that dialect only."""
    wire = snap("v") | change

    assert reader(DIALECTS[dialect]).parse_fast(wire) is not None
    assert reader(DIALECTS["openai"]).read(wire).bad or reader(DIALECTS["openai"]).read(wire).known_status is None


def test_a_row_shares_nothing_with_the_callers_object():
    """After the snapshot is built, a change of the caller's object does not change the row."""
    wire = snap("vp", usage={"a": {"b": 1}}, novel=[1], metadata={"a": "b"})
    snapshot = reader(DIALECTS["openai"]).read_row(wire).snapshot
    before = deepcopy(repr(snapshot))
    wire["usage"]["a"]["b"] = wire["metadata"]["a"] = wire["novel"][0] = "other"

    assert before == repr(snapshot)


# ---------------------------------------------------------------- envelopes


inner = st.sampled_from(
    [snap("v"), snap("v") | {"object": "list"}, {"Object": "batch"}, {}, [snap("v")], None, "text", 5]
)
names = [
    "snapshot",
    "batch",
    "body",
    "data",
    "observed_at",
    "timestamp",
    "object",
    "Object",
    "id",
    "status",
    "created_at",
    1,
]
envelopes = st.dictionaries(st.sampled_from(names), inner | clocks | st.just("batch"), max_size=5)


@given(envelopes)
@example({"object": "list", "data": [snap("v")]})
def test_the_usual_envelope_is_opened_as_any_other(envelope):
    """The quick check of an envelope gives the result of the full check, or defers to the full check."""
    found = unwrap_single(envelope)

    assert found is None or [found] == list(unwrap(envelope))


# ---------------------------------------------------------------- duplicate keys


class Pairs(list):
    """The pairs of a JSON object, in which a key may occur twice."""


texts = st.text(st.sampled_from('ab:" \\\t\né{},'), max_size=6)
found = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(texts, inner), max_size=4).map(Pairs),
    max_leaves=12,
)
blanks = st.sampled_from(["", "", "", " ", "  ", "\n", "\t", "\r"])
ends = st.sampled_from(["}", "}", '"a": 1}', ', "a": 1}', "", "} x", "}\n", "} \r\n"])


@st.composite
def documents(draw):
    """Draw JSON text, or text that is almost JSON, with blanks where JSON allows them."""

    def text_of(value):
        if isinstance(value, Pairs):
            pairs = (f"{text_of(key)}:{text_of(each)}" for key, each in value)
            return f"{draw(blanks)}{{{','.join(pairs)}}}{draw(blanks)}"
        if isinstance(value, list):
            return f"[{','.join(map(text_of, value))}]"
        return f"{draw(blanks)}{json.dumps(value, ensure_ascii=draw(st.booleans()))}{draw(blanks)}"

    return f'{{"a": {text_of(draw(found))}, "b": {text_of(draw(found))}{draw(ends)}'


def outcome(decode_it):
    """Return the decoded value, or the error."""
    try:
        return repr(decode_it())
    except SnapshotError as error:
        return error.problems[0][1]
    except ValueError as error:
        return decode_problem(error)


@given(documents())
@example('{"a" :1, "b": 2, "b": 3}')
@example('{"a": "\\\\", "b:": "\\":", "c": 1}')
@example('{"a": "x\\":", "a": 1}')
@example('{"a": "http://b", "a": 1}')
def test_a_key_that_stands_twice_is_always_seen(text):
    """Counting colons finds the same duplicate keys as a comparison of all pairs."""
    assert outcome(lambda: decoder.raw_decode(text, 0)) == outcome(lambda: make_scanner()(text, 0))
    assert outcome(lambda: decoder.decode(text)) == outcome(lambda: decode(text))


def test_text_with_a_mark_is_refused():
    """A byte order mark is allowed in bytes; text that begins with one is not JSON."""
    assert outcome(lambda: decode("\ufeff{}")).startswith("not JSON: Unexpected UTF-8 BOM")


# ---------------------------------------------------------------- caches have a bounded size


def test_full_tables_read_all_the_same(monkeypatch):
    """When a cache is full, an object that is not in it is parsed without it, and the row is the same."""
    wire_reader = reader(DIALECTS["openai"])
    expected = answer(lambda: wire_reader.read_row(snap("vpzc")))
    layouts, patterns = fast_path._Layouts(frozenset(WIRE_FIELDS)), fast_path._Patterns()
    monkeypatch.setattr(fast_path, "_PATTERNS_MAX", 0)
    monkeypatch.setattr(fast_path, "_PATTERNS", patterns)
    monkeypatch.setattr(wire_reader.parse_fast.__self__, "_layouts", layouts)

    assert expected == answer(lambda: wire_reader.read_row(snap("vpzc")))
    assert ({}, {}) == (layouts, patterns)


def test_objects_of_very_many_keys_are_read_without_a_table():
    """The converter reads such objects, and their envelopes are parsed each time."""
    many = {f"key_{number}": number for number in range(100)}
    sizes = len(fast_path._LAYOUTS), len(envelope._ENVELOPES)

    assert many == reader(DIALECTS["openai"]).read(snap("vp") | many).extra
    assert (snap("vp"), 5) == unwrap_single({"observed_at": 5, "batch": snap("vp")} | many)
    assert sizes == (len(fast_path._LAYOUTS), len(envelope._ENVELOPES))
