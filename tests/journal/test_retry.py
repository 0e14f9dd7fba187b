"""The backoff of hooks that raise: attempts take more than an hour, over restarts, at start and at close."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchfsm import AsyncMonitor, HookError, Monitor, SQLiteJournal
from batchfsm.journal import NEVER_TRIED, TRIES_MAX, DeliveryOutcome, FailureCounts, RetryState
from support.journals import change, transitions, unheard
from support.notation import CREATED, seen, snap

HOUR_S = 3600


class Hook:
    """A hook that raises the given number of times, and counts its calls."""

    def __init__(self, failures: int = 10**6) -> None:
        self.failures, self.calls = failures, 0

    def __call__(self, _: object) -> None:
        """Raise, or return."""
        self.calls += 1
        if self.calls <= self.failures:
            raise OSError("no space left on device")


def monitor_on(journal: Any, hook: Any, name: str = "h") -> Monitor:
    """Return a monitor with one hook."""
    monitor = Monitor(journal=journal)
    monitor.on(name=name)(hook)
    return monitor


@pytest.mark.parametrize("journaled", [True, False])
@given(
    steps=st.lists(st.tuples(st.floats(0, 2 * HOUR_S), st.booleans(), st.integers(1, 4)), min_size=1, max_size=40),
    is_timed=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
def test_however_often_hooks_are_called_they_die_after_more_than_an_hour(tmp_path_factory, journaled, steps, is_timed):
    """Restarts, calls without a time and calls in a row use up no attempts; a hook is failing until it is dead."""
    place, hook, now = tmp_path_factory.mktemp("retry") / "j.db", Hook(), CREATED + 100.0
    with ExitStack() as opened:
        journal = opened.enter_context(SQLiteJournal(place)) if journaled else None
        monitor = monitor_on(journal, hook)
        with suppress(HookError):
            monitor.observe(snap("v"), observed_at=now if is_timed else None)
        first = now if is_timed else None
        for wait_s, has_time, calls in steps:
            now += wait_s
            for _ in range(calls):
                if journaled:  # A restart.
                    opened.close()
                    journal = opened.enter_context(SQLiteJournal(place))
                    journal._db.execute("PRAGMA synchronous = OFF")
                    monitor = monitor_on(journal, hook)
                with suppress(HookError):
                    monitor.redeliver(now=now if has_time else None)
            first = now if first is None and has_time else first
            with suppress(HookError):
                counts = monitor.redeliver(now=now)
                assert FailureCounts(failing=1) == counts or now - first > HOUR_S


def test_a_restart_loop_uses_up_one_try(tmp_path):
    """The hook always fails; twenty runs of a second each call it at their start and their end."""
    hook = Hook()
    for number in range(20):
        with SQLiteJournal(tmp_path / "j.db") as journal:
            monitor, now = monitor_on(journal, hook), CREATED + number / 3
            assert FailureCounts(failing=int(number > 0)) == monitor.redeliver(now=now)
            with suppress(HookError):
                monitor.observe(snap("v"), observed_at=now)
            monitor.redeliver(now=now + 0.3)
            assert [1] == [row.retry.tries for row in journal.pending()]

    assert 1 == hook.calls


@pytest.mark.parametrize("journaled", [True, False])
def test_redeliver_counts_failing_and_dead_hooks(tmp_path, journaled):
    """Its HookError has the same counts; a dead hook counts until it returns."""
    with ExitStack() as opened:
        journal = opened.enter_context(SQLiteJournal(tmp_path / "j.db")) if journaled else None
        hook, other, now = Hook(TRIES_MAX), Hook(1), float(CREATED)
        monitor = monitor_on(journal, hook)
        monitor.on(name="other")(other)
        assert FailureCounts() == monitor.redeliver(now=now)
        with pytest.raises(HookError) as caught:
            monitor.observe(snap("v"), observed_at=now)
        assert None is caught.value.counts
        assert FailureCounts(failing=2) == monitor.redeliver(now=now)
        counts = []
        for _ in range(1, TRIES_MAX):
            now += HOUR_S
            with pytest.raises(HookError) as caught:
                monitor.redeliver(now=now)
            counts.append(caught.value.counts)
        assert [FailureCounts(failing=1)] * (TRIES_MAX - 2) + [FailureCounts(dead=1)] == counts
        assert FailureCounts(dead=1) == caught.value.derive([ValueError()]).counts == monitor.redeliver(now=now)
        if journal is not None:
            journal.requeue_dead()

        assert FailureCounts() == monitor.redeliver()


def test_failing_hooks_are_counted_by_name_and_dead_ones_of_all(tmp_path):
    """`failing` counts only the monitor's own hooks, `dead` all dead letters of the journal."""
    with SQLiteJournal(tmp_path / "j.db") as journal:
        (born,) = transitions(snap("v"))
        journal.commit(change(journal.register_owner(unheard), (born, ("h", "i", "dead", "new"))))
        for hook, tries in [("h", 1), ("i", 2), ("dead", TRIES_MAX)]:
            retry = RetryState(tries, 1, 10**9)
            journal.record(DeliveryOutcome(batch_id="batch_1", key=born.key, hook=hook, error="E", retry=retry))

        assert FailureCounts(failing=1, dead=1) == journal.count_failures({"h", "new"})
        assert FailureCounts(failing=1, dead=1) == monitor_on(journal, Hook(), name="i").redeliver(now=2.0)


def test_an_async_monitor_counts_too(tmp_path):
    async def counted() -> list[FailureCounts]:
        with SQLiteJournal(tmp_path / "j.db") as journal:
            monitor = AsyncMonitor(journal=journal)
            monitor.on(name="h")(Hook(1))
            with pytest.raises(HookError):
                await monitor.observe(seen("v")[0], observed_at=CREATED + 1.0)
            return [await monitor.redeliver(now=CREATED + wait) for wait in (2.0, 11.0)]

    assert [FailureCounts(failing=1), FailureCounts()] == asyncio.run(counted())


def test_a_monitor_whose_hooks_run_elsewhere_counts_none(tmp_path):
    """The workers count their failures."""
    with SQLiteJournal(tmp_path / "j.db") as journal:
        me = journal.register_owner(unheard)
        (born,) = transitions(snap("v"))
        journal.commit(change(me, (born, ("h",))))
        journal.is_remote = True

        assert FailureCounts() == monitor_on(journal, Hook()).redeliver()


def test_a_try_before_its_time_is_not_counted():
    """A failure before its time is not counted, nor is one without a time, except the first."""
    once = NEVER_TRIED.after_failure(100.0)
    assert (RetryState(1, 100, 110), True) == (once, once.is_due(110))
    assert once == once.after_failure(None) == once.after_failure(109.9)
    assert RetryState(2, 110, 130) == once.after_failure(110)
    assert RetryState(2, 99, 119) == once.after_failure(99)  # The clock was set back.
    untimed = NEVER_TRIED.after_failure(None)
    assert (RetryState(1), True) == (untimed, untimed.is_due(1))
    assert RetryState(2, 5, 25) == untimed.after_failure(None).after_failure(5)
    dead = RetryState(TRIES_MAX, 1, 2)
    assert (True, False, dead) == (dead.is_dead, dead.is_due(10**9), dead.after_failure(10**9))
