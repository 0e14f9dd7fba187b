"""Batch records, transitions and snapshots survive the round trip through text."""

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchfsm import Dialect, Snapshot, SnapshotError, Transition, parse
from batchfsm.history import BatchRecord, Fold, dump, restore
from batchfsm.journal.serialization import snapshot_of, snapshot_text, transition_of, transition_text
from batchfsm.route import RouteStep
from batchfsm.snapshot import UNREADABLE
from batchfsm.wire import ParsedRow, reader
from support.dialects import DIALECTS
from support.histories import logs, written
from support.notation import CREATED, seen, snap

dialects = st.sampled_from(list(DIALECTS.values()))


def known(track: BatchRecord) -> dict[str, Any]:
    """Return the values of a record, without `pattern`, which only the cache uses."""
    values = {field.name: getattr(track, field.name) for field in attrs.fields(BatchRecord) if field.name != "pattern"}
    steps = [tuple(getattr(step, field.name) for field in attrs.fields(RouteStep)) for step in track.steps_taken]
    return values | {"steps_taken": steps}


def copied(track: BatchRecord) -> BatchRecord:
    """Serialize a record and parse it again."""
    return restore(dump(track, observed_at=track.observed_at))


def read(wire: dict[str, Any], clock: float | None, dialect: Dialect) -> Snapshot | None:
    """Return a snapshot of `batch_1`; None if it cannot be read."""
    try:
        return reader(dialect).read(wire | {"id": "batch_1"}, clock)
    except SnapshotError:
        return None


@given(log=logs, dialect=dialects, policy=st.sampled_from(["adopt", "hold"]))
def test_every_track_survives_the_round_trip(log: list[Any], dialect: Dialect, policy: Any):
    """It holds after each row: after adopted moves, invalid fields, lost values and garbage."""
    fold, track = Fold(dialect, on_illegal=policy), BatchRecord()
    assert known(track) == known(copied(track))
    for wire, clock in written(log):
        if (snapshot := read(wire, clock, dialect)) is not None:
            fold.apply(track, snapshot)
            assert known(track) == known(copied(track))


@given(log=logs, dialect=dialects, policy=st.sampled_from(["adopt", "hold"]), restarts=st.sets(st.integers(0, 6)))
def test_observing_after_a_restore_equals_observing_without(
    log: list[Any], dialect: Dialect, policy: Any, restarts: set[int]
):
    """Transitions, findings and records are the same row by row, cached or not."""
    fold, lasting, restored = Fold(dialect, on_illegal=policy), BatchRecord(), BatchRecord()
    for number, (wire, clock) in enumerate(written(log)):
        if (snapshot := read(wire, clock, dialect)) is None:
            continue
        row = ParsedRow.of(snapshot)
        if number in restarts:
            restored = copied(restored)
        lasting, told = fold.apply_immutable(lasting, row)
        restored, told_again = fold.apply_immutable(restored, row)

        assert (told.transitions, told.findings) == (told_again.transitions, told_again.findings)
        assert known(lasting) == known(restored)


def test_batches_that_took_one_way_share_its_legs_after_a_restore_too():
    """Otherwise each restored batch would have its own entries in the cache, and displace those of others."""
    fold = Fold(DIALECTS["openai"])
    tracks = []
    for name in ("batch_1", "batch_2"):
        track = BatchRecord()
        for row in seen("vpz", id=name):
            fold.apply(track, parse(row))
        tracks.append(copied(track))

    assert tracks[0].steps_taken is tracks[1].steps_taken
    assert tracks[0].row[0] is tracks[1].row[0]  # type: ignore[index]


@pytest.mark.parametrize(
    "text, problem",
    [
        ("{}", r"it is no state of a batch \(KeyError\('version'\)\)"),
        ("[]", "it is no state of a batch"),
        ("null", "it is no state of a batch"),
        ('{"version": 1}', "it is no state of a batch"),
        ('{"version": 2}', "it has version 2, and this batchfsm reads version 1"),
        ("nonsense", "Expecting value"),
    ],
)
def test_what_is_no_state_is_refused(text: str, problem: str):
    """The error names the fault."""
    with pytest.raises(ValueError, match=problem):
        restore(text)


# ---------------------------------------------------------------- transitions and snapshots


@given(log=logs, dialect=dialects)
def test_every_snapshot_survives_the_round_trip(log: list[Any], dialect: Dialect):
    """Counts, errors, metadata, invalid fields and unknown keys are the same, so hooks get the whole snapshot."""
    for wire, clock in written(log):
        if (snapshot := read(wire | {"own": {"deep": [1, {"a": None}]}}, clock, dialect)) is not None:
            assert snapshot == snapshot_of(snapshot_text(snapshot))


def test_a_snapshot_is_as_frozen_as_it_was():
    """It has read-only mappings and tuples, not the dicts and lists of JSON."""
    row = snap("vpzc", usage={"input_tokens": 1, "details": {"a": [1]}}, own=[1, [2]])
    copy = snapshot_of(snapshot_text(parse(row)))

    assert (1, (2,)) == copy.extra["own"]
    with pytest.raises(TypeError):
        copy.usage["input_tokens"] = 2  # type: ignore[index]
    with pytest.raises(TypeError):
        copy.extra["own"] = None  # type: ignore[index]


def test_a_snapshot_without_counts_is_stored():
    """Request counts that are null come back as None."""
    snapshot = parse(snap("vp", request_counts=None))

    assert snapshot.request_counts is None
    assert snapshot == snapshot_of(snapshot_text(snapshot))


def test_what_a_text_form_hides_stays_hidden():
    """The placeholder of a hidden value is stored separately from values."""
    snapshot = reader(DIALECTS["openai"]).read(snap("vp") | {"usage": UNREADABLE})
    copy = snapshot_of(snapshot_text(snapshot))

    assert UNREADABLE is copy.bad["usage"]
    assert snapshot == copy


def test_what_json_has_not_is_kept_as_text():
    """NaN under an unknown key becomes text; all other fields are unchanged."""
    snapshot = parse(snap("vp", own=float("nan"), huge=10**5000))
    copy = snapshot_of(snapshot_text(snapshot))

    assert ("nan", "a huge number") == (copy.extra["own"], copy.extra["huge"])
    assert attrs.evolve(snapshot, extra={}) == attrs.evolve(copy, extra={})


@given(log=logs, dialect=dialects)
def test_every_transition_survives_the_round_trip(log: list[Any], dialect: Dialect):
    """The transition is the same, with its snapshot; without one it is refused, since a hook must get it."""
    fold, track = Fold(dialect), BatchRecord()
    for wire, clock in written(log):
        if (snapshot := read(wire, clock, dialect)) is None:
            continue
        for transition in fold.apply(track, snapshot).transitions:
            text = transition_text(transition)
            assert transition == transition_of(text, snapshot_text(snapshot))
            with pytest.raises(TypeError):
                transition_of(text, None)


def test_a_snapshot_is_plain_json_under_the_wires_names():
    """A person or another program can read pending snapshots."""
    form = json.loads(snapshot_text(parse(snap("vpzc"), observed_at=CREATED + 0.5)))

    assert {"id": "batch_1", "status": "completed", "output_file_id": "file-out"}.items() <= form.items()
    assert ({"total": 8, "completed": 7, "failed": 1}, CREATED + 0.5) == (form["request_counts"], form["observed_at"])
    assert {"failed_at", "errors", "bad", "extra", "unread"}.isdisjoint(form)


def test_a_transition_is_plain_json():
    """The snapshot is not part of it, since it is deleted when the last hook has returned."""
    transition = Transition("b", "validating", "in_progress", "start", 5, "stamped", False, 6.5, parse(snap("vp")))

    assert {
        "batch_id": "b", "source": "validating", "target": "in_progress", "event": "start", "at": 5,
        "evidence": "stamped", "terminal": False, "observed_at": 6.5,
    } == json.loads(transition_text(transition))  # fmt: skip
