"""Bounds of caches, which a hostile log could fill, and corner cases that only a direct caller reaches."""

import asyncio

from batchfsm import AsyncMonitor, Dialect, HookError, Monitor, parse
from batchfsm.history import BatchRecord, transition_cache
from batchfsm.rules import engine
from batchfsm.snapshot import UNREADABLE
from batchfsm.wire import fast_path, reader
from support.dialects import DIALECTS
from support.notation import snap


def test_full_tables_answer_all_the_same(monkeypatch):
    """If a cache is full, results that it does not hold are computed again and are the same."""
    for module, name in (
        (transition_cache, "_TRANSITIONS_MAX"),
        (engine, "_PATTERNS_MAX"),
        (fast_path, "_PATTERNS_MAX"),
    ):
        monkeypatch.setattr(module, name, 0)
    monkeypatch.setattr(fast_path, "_PATTERNS", fast_path._Patterns())  # Other tests have filled the shared cache.
    monitor, usual = Monitor(Dialect(name="crowded")), Monitor()

    for path in ("v", "vp", "vpz", "vpzc", "vpzc"):
        wire = snap(path, model=None if path == "v" else "m", usage={path: 1}, error_file_id=None)
        assert usual.observe(wire) == monitor.observe(wire)


def test_what_a_text_form_hides_has_a_word():
    """The snapshot's `bad` shows a placeholder for a value hidden by the text form."""
    assert "unread" == repr(UNREADABLE)


def test_a_track_without_rows_has_no_snapshot():
    """No row was folded yet."""
    assert None is BatchRecord().snapshot("batch_1")


def test_two_spellings_of_a_count_that_agree_are_one():
    """A count given under two names with one value is read as one count."""
    counts = {"total": 8, "Total": 8, "completed": 1, "failed": 0, "Failed": None}

    assert 8 == parse(snap("vp", request_counts=counts)).request_counts.total


def test_what_is_forgotten_meanwhile_is_not_delivered_again():
    """A hook called by `redeliver` may forget another batch that is pending: the hooks of that batch are not called."""
    monitor, called = AsyncMonitor(), []

    @monitor.on("validating")
    def once(transition):
        called.append(transition.batch_id)
        if len(called) <= 2:
            raise ValueError(transition.batch_id)
        monitor.forget("batch_2")

    async def play():
        """Observe two batches whose hooks raise, then deliver again."""
        for batch_id in ("batch_1", "batch_2"):
            try:
                await monitor.observe(snap("v", id=batch_id))
            except HookError as error:
                assert [batch_id] == [str(each) for each in error.exceptions]
        await monitor.redeliver()

    asyncio.run(play())
    assert ["batch_1", "batch_2", "batch_1"] == called
    assert "batch_2" not in monitor


def test_a_bad_time_of_observation_is_no_field_of_the_batch():
    """`observed_at` is listed in `bad`, and is not written back among the fields of the batch."""
    snapshot = reader(DIALECTS["openai"]).read({"batch": snap("v"), "observed_at": "yesterday"})

    assert {"observed_at": "yesterday"} == dict(snapshot.bad)
    assert "observed_at" not in snapshot.to_dict()
