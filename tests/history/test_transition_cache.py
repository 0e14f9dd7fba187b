"""A cached transition has the effect of the fold, down to the places of findings; healthy rows of any form use it."""

import json
from itertools import product
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchfsm import Finding, Monitor, SnapshotError, audit, parse, watch
from batchfsm.finding import LogPosition
from batchfsm.history import BatchRecord, Fold
from batchfsm.history.transition_cache import TransitionCache
from batchfsm.route import RouteStep
from batchfsm.rules import engine_for
from batchfsm.wire import ParsedRow, Reader, fast_path, reader
from support.dialects import DIALECTS
from support.histories import FIELDS, Row, counts, logs, written
from support.notation import CREATED, snap

READ_BARE_ROW = Reader.read_bare_row
CACHED = {name: Fold(dialect) for name, dialect in DIALECTS.items()}
"""Folds that all examples share: what one example has taught them, the next one meets in the cache."""

FORMS: dict[str, Any] = {
    "mapping": dict,
    "text": json.dumps,
    "SDK object": lambda wire: SimpleNamespace(model_dump=lambda: wire),
    "snapshot": parse,
}
USAGE = {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1}}


def known(track: BatchRecord) -> dict[str, Any]:
    """Return the values of a record, without `pattern`, which only the cache uses."""
    values = {field.name: getattr(track, field.name) for field in attrs.fields(BatchRecord) if field.name != "pattern"}
    steps = [tuple(getattr(step, field.name) for field in attrs.fields(RouteStep)) for step in track.steps_taken]
    return values | {"steps_taken": steps, "row": repr(track.row)}


def told(findings: list[Finding]) -> list[Any]:
    """Return the findings with their messages, places and times."""
    return [(found, found.message, found.where, found.observed_at) for found in findings]


def read(dialect: str, wire: Row, clock: float | None) -> ParsedRow | None:
    """Return a parsed row of `batch_1`; None if it cannot be read."""
    try:
        return reader(DIALECTS[dialect]).read_row(wire | {"id": "batch_1"}, clock)
    except SnapshotError:
        return None


def life(batch_id: str, **more: Any) -> list[Row]:
    """Return a healthy life with two rows for each status."""
    return [snap(path, id=batch_id, **more) for path in ("v", "vp", "vpz", "vpzc") for _ in range(2)]


@pytest.mark.logic
@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=40)
@given(log=logs)
def test_a_cached_transition_does_what_the_fold_does(dialect: str, log: list[Any]):
    """Findings, places and records are the same row by row, whether the record is changed in place or copied."""
    fold, expected, changed, kept = Fold(DIALECTS[dialect]), BatchRecord(), BatchRecord(), BatchRecord()
    for number, (wire, clock) in enumerate(written(log), 1):
        if (parsed := read(dialect, wire, clock)) is None:
            continue
        place = LogPosition("log", number)
        folded = fold.apply(expected, parsed.snapshot, place=place)
        assert told(folded.findings) == told(CACHED[dialect].advance(changed, parsed, place))
        assert known(expected) == known(changed)

        before = known(kept)
        after, followed = CACHED[dialect].apply_immutable(kept, parsed)
        assert before == known(kept)
        assert (folded.findings, folded.transitions) == (followed.findings, followed.transitions)
        assert known(expected) | {"places": None} == known(after)
        kept = after


PARTIAL_COUNTS = [counts(*each) for each in product((None, 0, 8, 9), (None, 3, 4), (None, -1, 0)) if any(each)]
lives_with_partial_counts = st.lists(
    st.tuples(st.sampled_from(["v", "vp", "vp", "vpz", "vpzc", "vpzc"]), st.sampled_from(PARTIAL_COUNTS)),
    min_size=2,
    max_size=6,
).map(lambda rows: sorted(rows, key=lambda row: len(row[0])))


@pytest.mark.logic
@given(life=lives_with_partial_counts)
def test_lives_with_partial_counts_are_judged_as_the_fold_does(life: list[tuple[str, Row]]):
    """The cache changes no answer on rows whose counts are null or set, come and go, rise and fall."""
    fold, expected, changed = Fold(DIALECTS["azure"]), BatchRecord(), BatchRecord()
    for number, (path, given_counts) in enumerate(life, 1):
        parsed = reader(DIALECTS["azure"]).read_row(snap(path, request_counts=given_counts))
        place = LogPosition("log", number)
        folded = fold.apply(expected, parsed.snapshot, place=place)
        assert told(folded.findings) == told(CACHED["azure"].advance(changed, parsed, place))
        assert known(expected) == known(changed)


@pytest.mark.logic
@pytest.mark.parametrize("path", ["vp", "vpzc"])
def test_each_change_of_partial_counts_is_judged_as_the_fold_does(path: str):
    """Each pair of counts, of which any may be null, in two rows of a batch that was in progress."""
    fold, cached, read_row = Fold(DIALECTS["azure"]), Fold(DIALECTS["azure"]), reader(DIALECTS["azure"]).read_row
    first_rows, rows = (
        [read_row(snap(each, request_counts=given)) for given in PARTIAL_COUNTS] for each in ("vp", path)
    )
    places = [LogPosition("log", number) for number in (1, 2)]
    for first, parsed in [*product(first_rows, rows)] * 2:  # The second time, all that can be cached is.
        expected, changed = BatchRecord(), BatchRecord()
        cached.advance(changed, first, places[0])
        fold.apply(expected, first.snapshot, place=places[0])
        folded = fold.apply(expected, parsed.snapshot, place=places[1])
        assert told(folded.findings) == told(cached.advance(changed, parsed, places[1]))
        assert known(expected) == known(changed)


def test_the_second_life_with_partial_counts_needs_no_fold(monkeypatch: pytest.MonkeyPatch):
    """Where a server never gives a total, or no failed requests, lives like the first come from the cache."""
    monkeypatch.setattr(fast_path, "_PATTERNS", fast_path._Patterns())  # Other tests may have left no room in it.
    monitor, folded = Monitor("azure"), []
    rows = [
        wire | {"request_counts": counts(None, done, None)}
        for path, done in (("v", 0), ("vp", 0), ("vp", 3), ("vpzc", 8), ("vpzc", 8))
        for wire in [snap(path)]
    ]
    for wire in rows:
        monitor.observe(wire)
    monkeypatch.setattr(Fold, "apply", lambda *_, **__: folded.append(1))

    for wire in rows:
        monitor.observe(wire | {"id": "batch_2"})
    assert [] == folded
    assert "completed" == monitor["batch_2"].status


LIVES = [
    ["v", "vp", "vp", "vpz", "vpzc", "vpzc"],
    ["v", "v", "vf", "vf"],
    ["v", "vp", "vpg", "vpgx", "vpgx"],
    ["vpze", "vpze"],
]
COUNTS = [counts(total, done, failed) for total in (0, 7, 8, 9) for done in (0, 3, 4, 9) for failed in (0, 1)]
CHANGES = {
    **FIELDS,
    "request_counts": [*FIELDS["request_counts"], *COUNTS],
    "errors": [*FIELDS["errors"], [{"code": "a", "line": 7}]],
    "expires_at": [*FIELDS["expires_at"], CREATED + 86_401],
}
CHANGED = [{name: value} for name, values in CHANGES.items() for value in values]
CLOCKS = [
    None,
    CREATED + 500.0,
    *(
        pytest.param(clock, marks=pytest.mark.slow)
        for clock in (CREATED + 1.0, CREATED + 90_000.0, CREATED + 500_000.0)
    ),
]
"""Before the stamps of a life, after them, and when it is overdue."""


@pytest.mark.logic
@pytest.mark.parametrize("path", LIVES)
@pytest.mark.parametrize("clock", CLOCKS)
def test_one_change_to_a_healthy_life_is_judged_as_the_fold_does(path: list[str], clock: float | None):
    """The cache has seen the life; any value of any field in any row is judged as by the fold, whatever the times."""
    fold, cached = Fold(DIALECTS["openai"]), Fold(DIALECTS["openai"])
    read_row = reader(DIALECTS["openai"]).read_row
    rows = [snap(each, **({} if each in ("v", "vf", "vpzc") else {"request_counts": counts(8, 3)})) for each in path]
    for known_clock in (None, CREATED + 500.0):
        for then in (known_clock, CREATED + 500.0, clock):
            track = BatchRecord()
            for wire in rows:
                for seen_at in (known_clock, then, then):
                    cached.advance(track, read_row(wire, seen_at), LogPosition("log", 1))
        before = BatchRecord()
        for index, wire in enumerate(rows):
            cached.advance(before, read_row(wire, known_clock), LogPosition("log", index))
            for base in rows[index : index + 2]:
                for change in CHANGED:
                    if (parsed := read("openai", base | change, clock)) is None:
                        continue
                    expected, changed = (attrs.evolve(before, places={**before.places}) for _ in range(2))
                    folded = fold.apply(expected, parsed.snapshot, place=LogPosition("log", 99))
                    repeats = before.row == parsed.row and cached.is_repeat(before, parsed)
                    assert told(folded.findings) == told(cached.advance(changed, parsed, LogPosition("log", 99)))
                    assert known(expected) == known(changed)
                    assert not repeats or ([], []) == (folded.findings, folded.transitions)


@pytest.mark.logic
@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=40)
@given(log=logs)
def test_a_repeated_row_is_one_that_brings_nothing(dialect: str, log: list[Any]):
    """If a row is taken as a repetition, the fold has no finding on it, and changes only the time of the record."""
    fold, track = Fold(DIALECTS[dialect]), BatchRecord()
    for wire, clock in written([each for each in log for _ in range(2)]):
        if (parsed := read(dialect, wire, clock)) is None:
            continue
        repeats = track.row == parsed.row and CACHED[dialect].is_repeat(track, parsed)
        before = known(track)
        folded = fold.apply(track.copy(), parsed.snapshot)
        track, _ = CACHED[dialect].apply_immutable(track, parsed)
        if repeats:
            assert ([], [], "same") == (folded.findings, folded.transitions, folded.move)
            assert before | {"observed_at": parsed.observed_at} == known(track)


@given(log=logs, dialect=st.sampled_from(sorted(DIALECTS)), skew_s=st.sampled_from([0, 60]))
def test_a_quick_check_is_silent_only_where_the_rule_is(log: list[Any], dialect: str, skew_s: float):
    """The two implementations of a rule agree on every row."""
    judge = engine_for(DIALECTS[dialect], skew_s)
    for wire, clock in written(log):
        parsed = read(dialect, wire, clock)
        if parsed is None or parsed.pattern is None:
            continue
        for _, look, is_silent in judge.checks_for(parsed.snapshot):
            assert not is_silent(parsed) or look(parsed.snapshot) is None


@pytest.mark.parametrize("digits", [f"{CREATED:08x}", f"{CREATED - 999:08x}", "no-hex-8", "0x00_001"])
def test_the_quick_check_of_an_id_is_sure_only_of_its_own_second(digits: str):
    """T206 is broken by a valid time that differs; an invalid time is left to the rule."""
    parsed = ParsedRow.of(parse(snap("v", id=f"batch_{digits}{'0' * 24}")))
    checks = {
        rule.code: (look, is_silent)
        for rule, look, is_silent in engine_for(DIALECTS["openai"]).checks_for(parsed.snapshot)
    }
    look, is_silent = checks["T206"]

    assert (digits == f"{CREATED:08x}") == is_silent(parsed)
    assert (digits == f"{CREATED - 999:08x}") == (look(parsed.snapshot) is not None)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("more", [{}, {"usage": USAGE, "metadata": {"a": "é"}, "model": "gpt"}, {"novel": [1]}])
def test_the_second_life_of_a_kind_needs_no_fold(form: str, more: Row, monkeypatch: pytest.MonkeyPatch):
    """For any form of rows: after one life was folded, lives like it come from the cache."""
    monitor, folded = Monitor(), []
    for wire in life("batch_1", **more):
        monitor.observe(FORMS[form](wire))
    monkeypatch.setattr(Fold, "apply", lambda *_, **__: folded.append(1))

    for wire in life("batch_2", **more):
        monitor.observe(FORMS[form](wire))
    assert [] == folded
    assert "completed" == monitor["batch_2"].status


@pytest.mark.parametrize("batch_id", ["batch_2", f"batch_{CREATED:08x}{'0' * 24}"])
def test_a_healthy_row_of_an_audit_builds_no_snapshot(batch_id: str):
    """All rules can be checked on the plain values."""
    fold, first, second = Fold(DIALECTS["openai"]), BatchRecord(), BatchRecord()
    for number, wire in enumerate(life("batch_1"), 1):
        fold.advance(first, ParsedRow.of(parse(wire)), LogPosition("log", number))
    rows = [
        reader(DIALECTS["openai"]).read_row(wire, CREATED + 900 + number) for number, wire in enumerate(life(batch_id))
    ]
    for _ in range(2):
        second = BatchRecord()
        for number, parsed in enumerate(rows, 1):
            parsed._snapshot = None
            assert [] == fold.advance(second, parsed, LogPosition("log", number))

    assert [None] * len(rows) == [parsed._snapshot for parsed in rows]


@pytest.mark.parametrize("form", FORMS)
def test_the_second_life_of_a_kind_needs_no_fold_in_an_audit(form: str, monkeypatch: pytest.MonkeyPatch):
    """The auditor uses one cache for all forms: of two equal lives the second has only hits."""
    hits, find = [], TransitionCache.find

    def counted(cache: TransitionCache, record: BatchRecord, parsed: ParsedRow) -> Any:
        found = find(cache, record, parsed)
        hits.append(found is not None)
        return found

    monkeypatch.setattr(TransitionCache, "find", counted)
    lives = [[FORMS[form](wire) for wire in life(batch_id)] for batch_id in ("batch_1", "batch_2")]

    report = audit(each for log in lives for each in log)

    size = len(lives[0])
    assert ("consistent", 2 * size) == (report.verdict, report.snapshots)
    assert [True] * size == hits[size:]


def test_a_watch_reads_each_answer_once(monkeypatch: pytest.MonkeyPatch):
    """Each response is parsed once; the monitor gets the parsed row."""
    wires, read = life("batch_1"), []
    monkeypatch.setattr(Reader, "read_bare_row", lambda self, *args: (read.append(1), READ_BARE_ROW(self, *args))[1])
    clock = SimpleNamespace(now=float(CREATED))

    def fetch(ids: list[str]) -> dict[str, Any]:
        return {ids[0]: wires[min(len(read), len(wires) - 1)]}

    source: Any = SimpleNamespace(fetch=fetch)
    targets = [
        transition.target
        for transition in watch(
            None,
            "batch_1",
            source=source,
            clock=lambda: clock.now,
            sleep=lambda seconds: setattr(clock, "now", clock.now + seconds),
        )
    ]

    assert "completed" == targets[-1]
    assert len(wires) == len(read)
