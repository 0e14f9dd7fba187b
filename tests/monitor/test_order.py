"""First attempts of the hooks of one batch follow the order of its transitions, whichever processes make them."""

from __future__ import annotations

import random
from contextlib import suppress
from threading import Barrier, Lock, Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchfsm import Monitor, SQLiteJournal, Transition
from batchfsm.journal import open_journal
from support.crashes import HOOKS, raced, tally
from support.journals import journal_place
from support.notation import WORDS, seen

PATH = "vpzc"
LIFE = dict(zip(PATH, seen(PATH), strict=True))
TARGETS = [WORDS[letter] for letter in PATH]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.server)])
def place(request, tmp_path):
    """Return a place for a journal in each database."""
    with journal_place(request.param, tmp_path) as found:
        yield found


def poller(journal: Any, heard: list[str], hook: Any = None) -> Monitor:
    """Return a monitor whose hook records the statuses that it receives."""
    monitor = Monitor(journal=journal)

    @monitor.on(name="h")
    def note(transition: Transition) -> None:
        heard.append(transition.target)
        if hook is not None:
            hook(transition)

    return monitor


def interrupted(place: str, letter: str) -> None:
    """Observe a batch whose hook is interrupted and so stays pending."""
    with open_journal(place) as journal:
        monitor = Monitor(journal=journal)

        @monitor.on(name="h")
        def stop(_: Transition) -> None:
            raise KeyboardInterrupt

        with suppress(KeyboardInterrupt):
            monitor.observe(LIFE[letter])


def test_a_poller_that_loses_the_race_for_a_commit_keeps_the_order(place):
    """The poller has claimed an earlier hook; after it loses the race it claims the later one of the other poller."""
    interrupted(place, "v")
    heard: list[str] = []
    with open_journal(place) as first, open_journal(place) as second:
        faster, slower = poller(first, heard), poller(second, heard)
        commit: Any = second.commit

        def lose(change: Any) -> Any:
            second.commit = commit
            faster.observe(LIFE["p"])
            return commit(change)

        second.commit = lose
        slower.observe(LIFE["z"])

        assert ["validating", "in_progress", "finalizing"] == heard
        assert [] == first.pending()


def test_a_poller_that_loses_every_race_but_the_last_keeps_the_order(place):
    """The other poller writes one more transition before each attempt to commit."""
    interrupted(place, "v")
    heard: list[str] = []
    with open_journal(place) as first, open_journal(place) as second:
        faster, slower = poller(first, heard), poller(second, heard)
        commit, rows = second.commit, [LIFE["p"], LIFE["z"]]

        def lose(change: Any) -> Any:
            if rows:
                faster.observe(rows.pop(0))
            return commit(change)

        second.commit = lose
        slower.observe(LIFE["c"])

        assert TARGETS == heard
        assert [] == first.pending()


def test_a_hook_that_returns_during_a_claim_is_not_called_again(tmp_path):
    """Another thread claims deliveries while the hook runs, and queues them after the hook has returned."""
    heard: list[str] = []
    with SQLiteJournal(tmp_path / "j.db") as journal, SQLiteJournal(tmp_path / "j.db") as other:
        in_hook, claimed, settled = Barrier(2), Barrier(2), Barrier(2)

        def wait(transition: Transition) -> None:
            if transition.target == "validating":
                in_hook.wait(30)
                claimed.wait(30)

        monitor = poller(journal, heard, wait)
        store, claim = monitor._store, journal.claim

        def slow(*args: Any, **words: Any) -> Any:
            rows = claim(*args, **words)
            journal.claim = claim
            claimed.wait(30)
            settled.wait(30)
            return rows

        settle = store.settle

        def noted(*args: Any) -> Any:
            write = settle(*args)
            store.settle = settle
            settled.wait(30)
            return write

        thread = Thread(target=monitor.observe, args=(LIFE["v"],))
        thread.start()
        in_hook.wait(30)
        poller(other, heard).observe(LIFE["p"])
        store.settle, journal.claim = noted, slow
        monitor.observe(LIFE["z"])
        thread.join(30)
        assert [] == journal.pending()

    assert ["validating", "in_progress", "finalizing"] == heard


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    looks=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(PATH), st.integers(0, 3)), min_size=1, max_size=8),
    left=st.sampled_from(["", "v", "p"]),
)
def test_whatever_is_interleaved_the_order_is_kept(tmp_path_factory, looks, left):
    """While one of three pollers writes, others observe once or more, nested as deep as they lose races."""
    place = str(tmp_path_factory.mktemp("order") / "journal.db")
    for letter in left:
        interrupted(place, letter)
    heard: list[str] = []
    journals = [SQLiteJournal(place) for _ in range(3)]
    monitors = [poller(journal, heard) for journal in journals]
    waiting, busy = list(looks), set()

    def look() -> None:
        side, letter, races = waiting.pop()
        if side in busy:
            return
        busy.add(side)
        journal, commit = journals[side], type(journals[side]).commit
        journal._db.execute("PRAGMA synchronous = OFF")
        left = [races]

        def lose(change: Any) -> Any:
            while left[0] and waiting:
                left[0] -= 1
                look()
            return commit(journal, change)

        journal.commit = lose
        monitors[side].observe(LIFE[letter])
        del journal.commit
        busy.discard(side)

    while waiting:
        look()
    for monitor in monitors:
        monitor.redeliver()
    monitors[0].observe(LIFE["c"])
    assert [] == journals[0].pending()
    for journal in journals:
        journal.close()

    assert TARGETS == list(dict.fromkeys(heard))


@pytest.mark.slow
def test_threads_with_journals_of_their_own_keep_the_order(place):
    """Four pollers race for the same batches: each key is delivered once, in order."""
    ids, heard, lock = [f"batch_{number}" for number in range(12)], [], Lock()
    start = Barrier(4)

    def poll(side: int) -> None:
        luck = random.Random(side)  # noqa: S311
        with open_journal(place) as journal:
            monitor = Monitor(journal=journal)

            @monitor.on(name="h")
            def note(transition: Transition) -> None:
                with lock:
                    heard.append((transition.batch_id, transition.target))

            start.wait(30)
            for batch_id in ids:
                for letter in PATH:
                    if letter == "c" or luck.random() < 0.7:
                        monitor.observe(LIFE[letter] | {"id": batch_id})
            for _ in range(3):
                monitor.redeliver()

    threads = [Thread(target=poll, args=(side,)) for side in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    with open_journal(place) as journal:
        assert [] == journal.pending()

    assert [(batch_id, target) for batch_id in ids for target in TARGETS] == sorted(
        heard, key=lambda each: ids.index(each[0])
    )


@pytest.mark.slow
def test_processes_keep_the_order(place, tmp_path):
    """Each of four pollers runs in its own process."""
    raced(place, tmp_path / "notes", 30, sides=4)
    found = tally(place, tmp_path / "notes", 29, HOOKS[:1])

    assert (0, 0, 0, 0) == (found.lost, found.repeated, found.disordered, found.pending)
