"""The batches that a monitor tracks: their ids, those still open, and the bound on those that have ended."""

import pickle
import sys
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import batchfsm
import batchfsm.testing
from batchfsm import AsyncMonitor, Monitor, Observation, Snapshot, SQLiteJournal, TrackedBatch, Transition
from support.notation import seen, snap

ENDS = ("vpzc", "vpze", "vf", "vpgx")
PATHS = ("v", "vp", "vpz", "vg", "vpg", *ENDS)


@pytest.fixture(params=["memory", "journal"])
def monitor(request, tmp_path):
    """Return a monitor whose batches are in memory, then one with a journal."""
    if request.param == "memory":
        yield Monitor()
        return
    with SQLiteJournal(tmp_path / "journal.db") as journal:
        yield Monitor(journal=journal)


def statuses(monitor: Monitor) -> dict[str, str | None]:
    """Return the status of each tracked batch."""
    return {batch_id: monitor[batch_id].status for batch_id in monitor}


def test_iteration_gives_the_ids_of_all_batches_and_open_those_that_have_not_ended(monitor):
    """It holds for each path to a final status, and after each snapshot of the path."""
    for path in PATHS:
        monitor.observe(snap(path, id=f"batch_{path}"))

    assert sorted(f"batch_{path}" for path in PATHS) == sorted(monitor)
    assert sorted(f"batch_{path}" for path in PATHS if path not in ENDS) == sorted(monitor.open)
    assert isinstance(monitor.open, tuple)


def test_a_monitor_without_batches_is_empty(monitor):
    assert ([], (), 0) == (list(monitor), monitor.open, len(monitor))


def test_a_status_that_the_lifecycle_does_not_have_is_open(monitor):
    """A status outside the lifecycle is not final."""
    monitor.observe(snap("v", status="paused"))

    assert ("batch_1",) == monitor.open


def test_get_returns_a_batch_or_the_default(monitor):
    """Without a default it is None."""
    monitor.observe(snap("vp"))

    assert monitor["batch_1"] == monitor.get("batch_1") == monitor.get("batch_1", 0)
    assert (None, 0) == (monitor.get("batch_2"), monitor.get("batch_2", 0))


def test_observing_while_iterating_is_safe(monitor):
    """The iteration gives the ids that were there at its start."""
    monitor.observe(snap("v"))
    ids = iter(monitor)
    monitor.observe(snap("v", id="batch_2"))

    assert ["batch_1"] == list(ids)


def test_a_restarted_monitor_finds_its_batches_in_the_journal(tmp_path):
    """A new monitor on the journal has the ids before any observation."""
    for _ in range(2):
        with SQLiteJournal(tmp_path / "journal.db") as journal:
            monitor = Monitor(journal=journal)
            if not len(monitor):
                monitor.observe(snap("vp"))
                monitor.observe(snap("vpzc", id="batch_2"))
            assert (["batch_1", "batch_2"], ("batch_1",)) == (sorted(monitor), monitor.open)


def test_an_async_monitor_gives_the_same(tmp_path):
    """It reads the journal in the journal's thread."""
    with SQLiteJournal(tmp_path / "journal.db") as journal:
        Monitor(journal=journal).observe(snap("vp"))
        monitor = AsyncMonitor(journal=journal)

        assert (["batch_1"], ("batch_1",), None) == (list(monitor), monitor.open, monitor.get("batch_2"))
        assert isinstance(monitor.get("batch_1"), TrackedBatch)


@pytest.mark.parametrize("wrong", ["10", 1.0, True])
def test_keep_ended_is_a_number(wrong):
    """A value of another type is a TypeError."""
    with pytest.raises(TypeError, match=rf"keep_ended= takes a number of batches, or None for all, not {wrong!r}"):
        Monitor(keep_ended=wrong)


def test_keep_ended_is_not_negative():
    """A negative value is a ValueError."""
    with pytest.raises(ValueError, match="keep_ended= is a number of batches, 0 or more, not -1"):
        AsyncMonitor(keep_ended=-1)


def test_a_batch_that_was_reduced_keeps_its_status_and_transitions():
    """Records are reduced in the order in which batches ended; records of open batches are never reduced."""
    monitor, whole = Monitor(keep_ended=1), Monitor()
    for number, path in enumerate(PATHS):
        for each in (monitor, whole):
            each.observe(snap(path, id=f"batch_{number}"))

    assert (sorted(whole), sorted(whole.open), len(whole)) == (sorted(monitor), sorted(monitor.open), len(monitor))
    for batch_id in whole:
        expected, found = whole[batch_id], monitor[batch_id]
        assert (expected.status, expected.verdict, expected.terminal) == (found.status, found.verdict, found.terminal)
        assert expected.transitions == found.transitions
    reduced = [batch_id for batch_id in monitor if monitor[batch_id].snapshot is None]
    assert [f"batch_{PATHS.index(path)}" for path in ENDS[:-1]] == sorted(reduced)


def test_a_batch_that_was_reduced_can_be_forgotten():
    """The next snapshot of the batch is its first one again."""
    monitor = Monitor(keep_ended=0)
    first = monitor.observe(snap("vpzc"))
    monitor.forget("batch_1")

    assert ("batch_1" in monitor, len(monitor)) == (False, 0)
    with pytest.raises(KeyError):
        monitor.forget("batch_1")
    assert first.transitions == monitor.observe(snap("vpzc")).transitions


@pytest.mark.parametrize("path", ["v", "vp", "vpz"])
def test_an_earlier_view_of_a_reduced_batch_is_a_stale_read(path):
    """The record that is left is enough to recognize it."""
    monitor = Monitor(keep_ended=0)
    monitor.observe(snap("vpzc"))

    late = monitor.observe(snap(path))

    assert ((), ["H507"]) == (late.transitions, [each.rule for each in late.findings])
    assert "completed" == monitor["batch_1"].status


def test_a_reduced_batch_that_was_started_again_gets_its_new_keys():
    """The server put the batch back: statuses entered later have new times and so new keys. No key is emitted twice."""
    monitor, keys = Monitor(keep_ended=0), []
    monitor.on()(lambda transition: keys.append(transition.key))
    first = snap("vpzc")
    again = snap("vp") | {"in_progress_at": first["completed_at"] + 60}
    done = first | {"in_progress_at": again["in_progress_at"], "completed_at": again["in_progress_at"] + 60}

    observed = [monitor.observe(row) for row in (first, again, done, first, done, again, done)]

    assert "H502" in [each.rule for each in observed[1].findings]
    assert f"batch_1/completed/{done['completed_at']}" in keys
    assert sorted(set(keys)) == sorted(keys)


@given(
    looks=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=40),
    ends=st.tuples(*[st.sampled_from(ENDS)] * 6),
    keep=st.integers(0, 3),
)
def test_no_bound_changes_what_is_emitted(looks, ends, keep):
    """Six legal timelines in any order give the same transitions, statuses and open batches with any bound."""
    limited, whole = Monitor(keep_ended=keep), Monitor()
    emitted: dict[Monitor, list[str]] = {limited: [], whole: []}
    for monitor in (limited, whole):
        monitor.on()(lambda transition, monitor=monitor: emitted[monitor].append(transition.key))

    for number, place in looks:
        end = ends[number]
        row = snap(end[: place + 1], id=f"batch_{number}")
        for monitor in (limited, whole):
            monitor.observe(row)

    assert emitted[whole] == emitted[limited]
    assert statuses(whole) == statuses(limited)
    assert sorted(whole.open) == sorted(limited.open)
    assert keep >= sum(limited[batch_id].terminal and limited[batch_id].snapshot is not None for batch_id in limited)


@settings(max_examples=30)
@given(looks=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12), keep=st.integers(0, 2))
def test_no_bound_changes_what_is_emitted_with_a_journal(looks, keep, tmp_path_factory):
    """A record that is not in memory is loaded whole from the journal."""
    path: Path = tmp_path_factory.mktemp("journal") / "journal.db"
    with SQLiteJournal(path) as journal:
        limited, whole, told = Monitor(journal=journal, keep_ended=keep), Monitor(), []
        limited.on(name="log")(told.append)
        expected: list[Transition] = []
        whole.on()(expected.append)
        for number, place in looks:
            row = snap("vpzc"[: place + 1], id=f"batch_{number}")
            assert whole.observe(row) == limited.observe(row)

        assert expected == told
        assert [whole[batch_id] for batch_id in sorted(whole)] == [limited[batch_id] for batch_id in sorted(limited)]
        assert keep >= len([each for each in limited._store._memory.records.values() if each.status == "completed"])
        assert set(limited._store._client._revisions) == set(limited._store._memory.records)


def sizes(monitor: Monitor) -> int:
    """Return the bytes of the objects that only the records of one monitor refer to."""
    counted: set[int] = set()
    total = 0

    def add(value: Any) -> None:
        nonlocal total
        if id(value) not in counted:
            counted.add(id(value))
            total += sys.getsizeof(value)

    for batch_id in monitor:
        add(batch_id)
    store = monitor._store
    for record in store.records.values():
        for value in (record, record.row, *record.row, record.times, *record.times):
            add(value)
    for ended in store._ended.values():
        for value in (ended, ended.times):
            add(value)
    return total


def test_reduced_batches_take_less_than_half_of_the_memory():
    """The objects in the records of a thousand batches are measured."""
    limited, whole = Monitor(keep_ended=10), Monitor()
    for number in range(1000):
        row = seen("vpzc", id=f"batch_{number:032}")[-1] | {
            "input_file_id": f"file-{number:022}",
            "output_file_id": f"file-{number:022}",
            "created_at": 1_760_000_000 + number,
        }
        limited.observe(row)
        whole.observe(row)

    assert 2 * sizes(limited) < sizes(whole)


def test_a_monitor_and_its_results_are_short_when_printed(tmp_path):
    """The reprs fit a line of a terminal: no snapshot inside a transition, and no field that is not set."""
    monitor = Monitor()
    first, late = monitor.observe(snap("v")), monitor.observe(snap("vpzc"))
    stale = monitor.observe(snap("v"))

    assert "<Observation consistent: validating>" == repr(first)
    assert "<Observation consistent: in_progress > finalizing > completed>" == repr(late)
    assert "<Observation consistent: no transition, H507 stale-read>" == repr(stale)
    assert "<Observation consistent: no transition, not delivered>" == repr(
        Observation((), (), "consistent", delivered=False)
    )
    assert "<Monitor openai, batches: 1>" == repr(monitor)
    assert "TrackedBatch(id='batch_1', status='completed', terminal=True, verdict='consistent')" == repr(
        monitor["batch_1"]
    )
    assert (
        f"Transition(batch_id='batch_1', source=None, target='validating', at={first.transitions[0].at}, "
        "evidence='observed')"
    ) == repr(first.transitions[0])
    with SQLiteJournal(tmp_path / "j.db") as journal:
        assert f"<AsyncMonitor openai, journal: <SQLiteJournal {tmp_path / 'j.db'}>>" == repr(
            AsyncMonitor(journal=journal)
        )


def test_a_snapshot_shows_the_fields_that_are_set():
    """Its repr leaves out fields with their default value, and shows mappings as dicts."""
    shown = repr(Snapshot(id="batch_1", status="validating", metadata=MappingProxyType({"team": ("a",)})))

    assert "Snapshot(id='batch_1', status='validating', metadata={'team': ['a']})" == shown


@pytest.mark.parametrize(
    "name",
    [name for name in (*batchfsm.__all__, "testing.ScenarioError") if name.endswith("Error")],
)
def test_a_traceback_shows_the_name_to_catch(name):
    """An error is shown by its public name, and is found by it: a worker process can send it back."""
    error = attrgetter(name)(batchfsm)

    assert f"batchfsm.{name}" == f"{error.__module__}.{error.__qualname__}"
    assert error is pickle.loads(pickle.dumps(error))  # noqa: S301
