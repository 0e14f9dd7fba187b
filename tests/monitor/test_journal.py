"""Monitors with a journal: after restarts no hook is lost, and without a crash no hook is repeated."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from contextlib import suppress
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchfsm import AsyncMonitor, Finding, HookError, JournalError, Monitor, SnapshotError, SQLiteJournal, Transition
from batchfsm.errors import UnknownNameError
from batchfsm.journal import BACKOFF_S, BACKOFF_S_MAX, TRIES_MAX, BatchUpdate, DeliveryOutcome, backoff_s
from batchfsm.monitor.journal_client import COMMIT_RETRIES_MAX
from support.histories import logs, written
from support.journals import short
from support.notation import CREATED, WORDS, seen, snap

LIFE = seen("vpzc")
WAIT_S_MAX = 30


class CrashError(BaseException):
    """Stands for the end of the process, in a test that runs in one process."""


class Subscription:
    """A hook that records the calls from which it returned, and raises as configured."""

    def __init__(self, *raises: BaseException | None) -> None:
        """Take the exception for each call; None means to return."""
        self.raises, self.heard, self.whole = list(raises), [], []

    def __call__(self, subject: Any) -> None:
        """Raise the next exception, or record the call."""
        if (error := self.raises.pop(0) if self.raises else None) is not None:
            raise error
        self.heard.append(subject.target if isinstance(subject, Transition) else subject.rule)
        self.whole.append(subject)


class Desk:
    """A journal file, and monitors on it, one after each restart."""

    def __init__(self, path: Any) -> None:
        """Take the path of the journal."""
        self.path, self.journals = path, []

    def monitor(self, hook: Any = None, *, kind: Any = Monitor, name: str = "h", **words: Any) -> Any:
        """Return a new monitor on the file, as after a restart, with one hook on every transition."""
        self.journals.append(SQLiteJournal(self.path))
        monitor = kind(journal=self.journals[-1], **words)
        if hook is not None:
            monitor.on(name=name)(hook)
        return monitor

    @property
    def pending(self) -> list[tuple[str, str, int]]:
        """Return the pending deliveries in the file: target, hook, attempts."""
        with SQLiteJournal(self.path) as journal:
            return short(journal.pending())


@pytest.fixture
def desk(tmp_path):
    """Return a journal file with its monitors."""
    desk = Desk(tmp_path / "journal.db")
    yield desk
    for journal in desk.journals:
        journal.close()


def words(path: str) -> list[str]:
    """Return the statuses of a path."""
    return [WORDS[letter] for letter in path]


# ---------------------------------------------------------------- restarts


@pytest.mark.parametrize("sampled", [(0,), (3,), (0, 3), (0, 1, 2, 3), (1, 2)])
def test_a_restart_changes_nothing(desk, sampled):
    """Each snapshot has a new monitor on one journal: each key is delivered once, in order, and no field is lost."""
    listener, lasting = Subscription(), Monitor()
    for place in sampled:
        monitor = desk.monitor(listener)
        assert lasting.observe(LIFE[place]) == monitor.observe(LIFE[place])
    again = desk.monitor(listener)

    assert words("vpzc")[: sampled[-1] + 1] == listener.heard
    assert lasting["batch_1"] == again["batch_1"]
    assert (1, True, False) == (len(again), "batch_1" in again, "batch_2" in again)
    assert () == again.observe(LIFE[sampled[-1]]).transitions
    assert [] == desk.pending


def test_restoring_fires_no_hook(desk):
    """Hooks run neither when a monitor is made, nor when a hook is registered, nor when a batch is looked up."""
    desk.monitor(Subscription()).observe(LIFE[3])
    listener = Subscription()
    monitor = desk.monitor(listener)
    assert "completed" == monitor["batch_1"].status
    monitor.redeliver()

    assert [] == listener.heard


def test_to_look_for_what_was_never_seen_is_a_key_error(desk):
    """The error is raised with and without a journal."""
    with pytest.raises(KeyError):
        desk.monitor()["batch_1"]
    with pytest.raises(KeyError):
        desk.monitor().forget("batch_1")


def test_history_rules_see_over_a_restart(desk):
    """Decreased counts, stale reads and illegal moves are found as they are without a restart."""
    desk.monitor().observe(snap("vpz"))
    fell = snap("vpz", request_counts={"total": 8, "completed": 2, "failed": 0})

    assert [["H505"], ["H507"], ["H502"]] == [
        [finding.rule for finding in desk.monitor().observe(batch).findings]
        for batch in (fell, snap("v"), seen("vpzcp")[-1])
        if batch is not None and (batch["status"] != "in_progress" or desk.monitor().observe(snap("vpzc")))
    ]


@pytest.mark.parametrize("come_back", ["redeliver", "observe again", "observe more"])
@pytest.mark.parametrize("crash_at", range(4))
def test_what_a_crash_kept_from_running_comes_first_in_order(desk, come_back, crash_at):
    """`redeliver` or the next observation of the batch first calls these hooks, with the original snapshots."""
    before, after = Subscription(*[None] * crash_at, CrashError()), Subscription()
    with pytest.raises(CrashError):
        desk.monitor(before).observe(LIFE[3])
    monitor = desk.monitor(after)
    if come_back == "redeliver":
        monitor.redeliver()
    else:
        monitor.observe(LIFE[3] if come_back == "observe again" else snap("vpzc", output_file_id="file-2"))

    assert words("vpzc") == before.heard + after.heard
    assert {"file-out"} == {transition.snapshot.output_file_id for transition in after.whole}
    assert [] == desk.pending


def test_the_same_monitor_goes_on_after_an_interrupt_too(desk):
    """It does so without a journal, too."""
    listener = Subscription(KeyboardInterrupt())
    monitor = desk.monitor(listener)
    with pytest.raises(KeyboardInterrupt):
        monitor.observe(snap("vp"))
    assert [] == listener.heard
    assert monitor.observe(snap("vp")).delivered

    assert words("vp") == listener.heard
    monitor.redeliver()
    assert words("vp") == listener.heard


def test_what_an_interrupt_left_somebody_else_may_have_called(desk):
    """If another process has called the hook meanwhile, this one does not."""
    here, there = Subscription(CrashError()), Subscription()
    monitor = desk.monitor(here)
    with pytest.raises(CrashError):
        monitor.observe(snap("vp"))
    desk.monitor(there).redeliver()
    monitor.observe(snap("vp"))
    monitor.redeliver()
    monitor.observe(snap("vpz"))

    assert (words("vp"), words("z")) == (there.heard, here.heard)


def test_a_hook_that_is_not_registered_any_more_waits(desk):
    """The delivery stays pending until the hook is registered again; other hooks do not wait for it."""
    monitor = desk.monitor(Subscription(CrashError()))
    with pytest.raises(CrashError):
        monitor.observe(snap("v"))
    other = Subscription()
    monitor = desk.monitor(other, name="other")
    monitor.observe(snap("vp"))
    monitor.redeliver()
    assert words("p") == other.heard
    late = monitor.on(name="h")(Subscription())
    monitor.redeliver()

    assert words("v") == late.heard


def test_only_the_hooks_that_have_not_returned_are_called_again(desk):
    """Returned hooks are recorded by name."""
    first, second = Subscription(), Subscription(CrashError())
    monitor = desk.monitor(first, name="first")
    monitor.on(name="second")(second)
    with pytest.raises(CrashError):
        monitor.observe(snap("v"))
    monitor = desk.monitor(first, name="first")
    monitor.on(name="second")(second)
    monitor.redeliver()

    assert (words("v"), words("v")) == (first.heard, second.heard)


def test_all_is_written_before_any_hook_runs(desk):
    """The hook reads the file and finds the new state, and its own delivery as pending."""
    looks = []

    def look(transition: Transition) -> None:
        with SQLiteJournal(desk.path) as journal:
            looks.append((transition.target, journal.load("batch_1").revision, short(journal.pending())))

    desk.monitor(look).observe(snap("vp"))

    assert [
        ("validating", 1, [("validating", "h", 0), ("in_progress", "h", 0)]),
        ("in_progress", 1, [("in_progress", "h", 0)]),
    ] == looks


def test_forgetting_drops_it_from_the_journal(desk):
    """After that the batch is new to every process, and the keys are the same."""
    monitor = desk.monitor(Subscription())
    keys = [each.key for each in monitor.observe(LIFE[3]).transitions]
    monitor.forget("batch_1")
    with pytest.raises(KeyError):
        monitor.forget("batch_1")

    assert (0, False) == (len(monitor), "batch_1" in monitor)
    assert keys == [each.key for each in desk.monitor().observe(LIFE[3]).transitions]


@pytest.mark.parametrize(
    "rows, ended_at",
    [
        (seen("vp"), None),
        (seen("vpzc"), CREATED + 180),
        ([snap("vpzc", completed_at=None)], 42.0),
        ([snap("vpzc", completed_at=None)], CREATED + 120),
        ([*seen("vpzc"), snap("vpzx", cancelled_at=None, cancelling_at=None)], 42.0),
        ([snap("vpzc", created_at=None, in_progress_at=None, finalizing_at=None, completed_at=None)], 0),
        ([*seen("vpzc"), snap("vp")], CREATED + 180),
        ([*seen("vpzc"), snap("vpzcp")], None),
    ],
    ids=[
        "open", "stamp", "observed_at instead of a stamp", "the last time known", "adopted end", "no time known",
        "stale read", "open again by an adopted move",
    ],
)  # fmt: skip
def test_the_journal_stores_when_a_batch_ended(desk, rows, ended_at):
    """The time is the stamp of the final status, or the best estimate; None while the batch is open."""
    monitor = desk.monitor()
    for row in rows:
        monitor.observe(row, observed_at=42.0 if ended_at == 42.0 else None)
    stored = desk.journals[0]._run(lambda execute: execute("SELECT ended_at FROM batchfsm_batches").fetchone())

    assert (ended_at,) == stored


def test_a_batch_that_this_process_has_not_seen_can_be_forgotten(desk):
    """The batch is only in the journal."""
    desk.monitor().observe(LIFE[3])
    desk.monitor().forget("batch_1")

    assert 0 == len(desk.monitor())


def test_looking_again_writes_nothing(desk):
    """A snapshot without changes is not written, with or without a clock, with or without findings."""
    monitor, journal = desk.monitor(Subscription()), desk.journals[0]
    noted = snap("vp", id="batch_2", expires_at=None)  # Breaks P104, each time.

    def poll(at: float) -> list[int]:
        monitor.observe(LIFE[1], observed_at=at)
        monitor.observe(noted, observed_at=at)
        monitor.observe(LIFE[0])  # A stale read.
        return [journal.load(name).revision for name in ("batch_1", "batch_2")]

    assert [[1, 1]] * 3 == [poll(CREATED + wait) for wait in (100, 200, 300)]
    monitor.observe(snap("vp", request_counts={"total": 8, "completed": 5, "failed": 0}))
    assert 2 == journal.load("batch_1").revision


def test_a_state_of_another_lifecycle_is_refused(desk):
    """The error names the batch and its stored status."""
    with SQLiteJournal(desk.path) as journal:
        me = journal.register_owner(lambda *_: None)
        state = '{"version":1,"status":"scheduling","entered":["scheduling"],"legs":[],"adopted":false,"row":null,'
        state += '"first":null,"given":null,"unsaid":[],"observed_at":null,"errors":"","verdict":"undetermined"}'
        journal.commit(BatchUpdate(batch_id="batch_1", owner=me, expected=0, state=state, entries=()))

        journal.commit(BatchUpdate(batch_id="batch_2", owner=me, expected=0, state="{}", entries=()))
    monitor = desk.monitor()
    with pytest.raises(JournalError, match="batch_1 was scheduling, which the openai lifecycle has not"):
        monitor.observe(LIFE[0])
    with pytest.raises(JournalError, match="the stored state of batch_2 cannot be read: it is no state of a batch"):
        monitor.observe(LIFE[0] | {"id": "batch_2"})


def test_what_cannot_be_written_is_an_error_and_changes_nothing(desk):
    """The error is raised for a number of five thousand digits, which Python itself does not convert to text."""
    monitor = desk.monitor()
    monitor.observe(LIFE[0])
    with pytest.raises(JournalError, match="batch_1 cannot be written"):
        monitor.observe(snap("vp", request_counts={"total": 10**5000, "completed": 0, "failed": 0}))

    assert "validating" == monitor["batch_1"].status


# ---------------------------------------------------------------- names


def test_hooks_have_names_of_their_own(desk):
    """Names must be unique: after a restart a delivery is matched to its hook by name."""
    monitor = desk.monitor(Subscription())

    with pytest.raises(ValueError, match="there is a hook called 'h' already; a journal tells hooks apart by name"):
        monitor.on("completed", name="h")(Subscription())
    with pytest.raises(ValueError, match="a lambda has no name that a journal could keep"):
        monitor.on("completed")(lambda transition: None)
    monitor.on("completed", name="mine")(lambda transition: None)


def test_a_hook_can_be_called_by_its_name(desk):
    """An unknown name is an error that lists the registered names."""
    monitor, listener = Monitor(), Subscription()
    monitor.on(name="h")(listener)
    (transition,) = monitor.observe(snap("v")).transitions
    monitor._hooks.call("h", transition)

    assert words("vv") == listener.heard
    with pytest.raises(UnknownNameError, match="no hook is called 'g'; known: h"):
        monitor._hooks.call("g", transition)


# ---------------------------------------------------------------- hooks that raise


def test_a_hook_that_raised_is_pending_over_a_restart(desk):
    """HookError is raised and stored; later observations do not call the hook again."""
    failing, other = Subscription(ValueError("no room")), Subscription()
    monitor = desk.monitor(failing)
    monitor.on(name="other")(other)
    with pytest.raises(HookError) as caught:
        monitor.observe(snap("vp"))
    monitor.observe(snap("vpz"))
    assert (words("pz"), words("vpz"), [("validating", "h", 1)]) == (failing.heard, other.heard, desk.pending)
    assert "raised by the hook h on batch_1/validating/" in str(caught.value.exceptions[0].__notes__)
    with SQLiteJournal(desk.path) as journal:
        assert ["ValueError: no room"] == [row.error for row in journal.pending()]
    after = Subscription()
    monitor = desk.monitor(after)
    monitor.observe(snap("vpzc"))
    monitor.redeliver()

    assert words("cv") == after.heard


@pytest.mark.parametrize("journaled", [True, False])
def test_a_hook_that_raised_is_left_alone_for_a_while(desk, journaled):
    """The wait doubles with each attempt; `redeliver` without a time calls the hook at once."""
    listener = Subscription(*[ValueError() for _ in range(3)])
    monitor = desk.monitor(listener) if journaled else Monitor()
    if not journaled:
        monitor.on(name="h")(listener)
    with pytest.raises(HookError):
        monitor.observe(snap("v"), observed_at=1000 + CREATED)

    def left(now: float | None) -> int:
        with suppress(HookError):
            monitor.redeliver(now=now)
        return len(listener.raises)

    at = 1000 + CREATED
    assert [2, 2, 1, 1, 1] == [left(at + wait) for wait in (0, 9.9, 10, 19.9, 29.9)]
    assert (0, []) == (left(at + 30), listener.heard)
    assert (0, words("v")) == (left(None), listener.heard)


@pytest.mark.parametrize("journaled", [True, False])
def test_a_clock_that_is_set_back_delays_nothing(desk, journaled):
    """Otherwise a hook would wait until the clock reaches the wrong time again."""
    listener = Subscription(ValueError())
    monitor = desk.monitor(listener) if journaled else Monitor()
    if not journaled:
        monitor.on(name="h")(listener)
    with pytest.raises(HookError):
        monitor.observe(snap("v"), observed_at=CREATED + 86_400 * 365)
    monitor.redeliver(now=CREATED)

    assert words("v") == listener.heard


@pytest.mark.parametrize("journaled", [True, False])
def test_after_ten_tries_a_hook_is_given_up(desk, journaled):
    """The last error has a note of that; with a journal the hook is called again only after `requeue_dead`."""
    listener, errors = Subscription(*[ValueError() for _ in range(TRIES_MAX)]), []
    monitor = desk.monitor(listener) if journaled else Monitor()
    if not journaled:
        monitor.on(name="h")(listener)
    now = float(CREATED)
    for number in range(2 * TRIES_MAX):
        try:
            monitor.redeliver(now=now) if number else monitor.observe(snap("v"), observed_at=now)
        except HookError as error:
            errors += error.exceptions
        now += BACKOFF_S_MAX
    assert TRIES_MAX == len(errors)
    retry = "to retry it: batchfsm journal retry JOURNAL, or requeue_dead() of the journal"
    retry = retry if journaled else "redeliver() calls it again"
    assert [f"batchfsm: given up after 10 tries; {retry}"] == errors[-1].__notes__[1:]
    if not journaled:
        monitor.redeliver()  # In memory there are no other owners.
    else:
        monitor.redeliver()
        assert ([], []) == (listener.heard, desk.pending)
        assert 1 == desk.journals[0].requeue_dead()
        monitor.redeliver(now=now)

    assert words("v") == listener.heard


def test_the_wait_doubles_up_to_an_hour():
    """It starts at ten seconds."""
    assert [10, 20, 40, 2560, 3600, 3600] == [backoff_s(tries) for tries in (1, 2, 3, 9, 10, 99)]
    assert (BACKOFF_S, BACKOFF_S_MAX) == (backoff_s(1), backoff_s(50))


def test_an_error_that_cannot_be_written_as_it_is_stops_nothing(desk):
    """Otherwise the outcome could not be stored, and no other hook would be called."""

    class MuteError(Exception):
        """An error whose text cannot be read."""

        def __str__(self) -> str:
            """Raise an error."""
            raise RuntimeError

    for error in (ValueError("half a pair \ud800, a zero \0"), MuteError(), ValueError("x" * 5000)):
        with pytest.raises(HookError):
            desk.monitor(Subscription(error)).observe(snap("v", id=f"batch_{len(desk.journals)}"))
    told = [row.error for row in desk.journals[0].pending()]

    assert ["ValueError: half a pair \\ud800, a zero \\x00", "MuteError: its text cannot be had"] == told[:2]
    assert 1000 == len(told[2])


@pytest.mark.parametrize("kind", [Monitor, AsyncMonitor])
def test_a_path_is_no_journal(kind):
    """The error names the expected type."""
    with pytest.raises(TypeError, match=r"journal= takes a journal, not where it is: SQLiteJournal\('j.db'\)"):
        kind(journal="j.db")


@pytest.mark.parametrize("now", [float("nan"), float("inf")])
def test_what_is_no_time_is_refused(desk, now):
    """The time is checked before use, because it is stored with each error."""
    with pytest.raises(ValueError, match="now= is a time in Unix seconds, not"):
        desk.monitor().redeliver(now=now)


def test_hooks_on_findings_live_in_memory(desk):
    """Findings have no key and are not stored; only `redeliver` of the same monitor calls a failed hook again."""
    listener = Subscription(ValueError())
    monitor = desk.monitor()
    monitor.on_finding("H507")(listener)
    monitor.observe(snap("vp"))
    with pytest.raises(HookError):
        monitor.observe(snap("v"))
    assert [] == desk.pending
    desk.monitor().redeliver()
    monitor.redeliver()

    assert ["H507"] == listener.heard
    assert isinstance(listener.whole[0], Finding)


# ---------------------------------------------------------------- several processes


def test_two_monitors_on_one_batch_make_one_row_a_key(desk):
    """The monitor that loses the race folds again, and emits nothing."""
    here, there = Subscription(), Subscription()
    one, two = desk.monitor(here), desk.monitor(there)
    for row in LIFE:
        first, second = (one, two) if row["status"] in {"validating", "finalizing"} else (two, one)
        assert [1, 0] == [len(each.observe(row).transitions) for each in (first, second)]

    assert (words("vz"), words("pc")) == (here.heard, there.heard)
    assert one["batch_1"].transitions == two["batch_1"].transitions


def test_what_another_process_has_learned_is_known_here(desk):
    """After a lost race the record is loaded again: a row that is stale for one monitor is stale for both."""
    one, two = desk.monitor(), desk.monitor()
    one.observe(LIFE[0])
    two.observe(LIFE[3])
    observation = one.observe(LIFE[1])

    assert (["H507"], ()) == ([found.rule for found in observation.findings], observation.transitions)
    assert "completed" == one["batch_1"].status


def test_what_a_living_process_is_about_to_call_nobody_else_calls(desk):
    """`redeliver` skips deliveries that another living process has leased."""
    there = Subscription()
    other = desk.monitor(there)

    def slow(transition: Transition) -> None:
        other.redeliver()
        other.observe(snap("vp"))

    desk.monitor(slow).observe(snap("vp"))

    assert [] == there.heard


@pytest.mark.parametrize("kind", [Monitor, AsyncMonitor])
def test_what_another_process_finds_while_a_hook_runs_comes_behind_it(desk, kind):
    """The other process queues its delivery; the process that runs the hook delivers it next, so there is one order."""
    heard, there = [], Subscription()
    other = desk.monitor(there)

    def slow(transition: Transition) -> None:
        heard.append(transition.target)
        if transition.target == "validating":
            assert not other.observe(LIFE[1]).delivered
            assert not other.observe(LIFE[2]).delivered
            other.redeliver()
            assert words("v") == heard

    monitor = desk.monitor(slow, kind=kind)

    async def observe() -> Any:
        answer = monitor.observe(LIFE[0])
        return await answer if kind is AsyncMonitor else answer

    assert awaited(observe).delivered

    assert (words("vpz"), []) == (heard, there.heard)
    assert ((), True) == (other.observe(LIFE[2]).transitions, other.observe(LIFE[3]).delivered)
    assert words("c") == there.heard
    assert [] == desk.pending


def test_what_a_dead_process_left_goes_before_what_is_new(desk):
    """The monitor has the batch in memory, and still loads what the dead process left pending."""
    here = Subscription()
    monitor = desk.monitor(here)
    monitor.observe(LIFE[0])
    dying = desk.monitor(Subscription(CrashError()))
    dying._release = lambda turn: None  # As if killed.
    with pytest.raises(CrashError):
        dying.observe(LIFE[1])
    assert () == monitor.observe(LIFE[1]).transitions
    desk.journals[1].close()
    monitor.observe(LIFE[2])

    assert words("vpz") == here.heard
    assert [] == desk.pending


def test_a_race_that_is_lost_for_ever_is_an_error(desk):
    """The commit fails a hundred times because of other writers; then an error is raised."""
    monitor = desk.monitor()
    monitor._store._client._journal.commit = lambda change: None

    with pytest.raises(
        JournalError, match=f"other processes were faster to observe batch_1, {COMMIT_RETRIES_MAX} times"
    ):
        monitor.observe(LIFE[0])


# ---------------------------------------------------------------- a journal that is unavailable for a while


class Away:
    """A journal that is unavailable on request; with `lies` a call takes effect and still raises."""

    def __init__(self, journal: SQLiteJournal) -> None:
        """Take the journal to forward to."""
        self._journal, self.down, self.lies = journal, set(), False

    def __getattr__(self, name: str) -> Any:
        """Forward to the journal, or raise."""
        real = getattr(self._journal, name)
        if name not in self.down:
            return real

        def away(*args: Any, **words: Any) -> Any:
            if self.lies:
                real(*args, **words)
            raise JournalError("away", "the server went away")

        return away


@pytest.fixture
def away(desk):
    """Return a journal that can be made unavailable."""
    journal = SQLiteJournal(desk.path)
    desk.journals.append(journal)
    return Away(journal)


@pytest.mark.parametrize("lies", [False, True])
@pytest.mark.parametrize("first", [LIFE[0], None])
def test_what_could_not_be_written_has_not_happened(desk, away, lies, first):
    """No hook has run; the same snapshot emits it again, even if the write succeeded and only its answer was lost."""
    listener = Subscription()
    monitor = Monitor(journal=away)
    monitor.on(name="h")(listener)
    if first is not None:
        monitor.observe(first)
    heard = list(listener.heard)
    away.down, away.lies = {"commit"}, lies
    with pytest.raises(JournalError, match="away: the server went away"):
        monitor.observe(LIFE[3])
    assert heard == listener.heard
    away.down = set()
    monitor.observe(LIFE[3])

    assert words("vpzc") == listener.heard
    assert "completed" == monitor["batch_1"].status
    assert [] == desk.pending


@pytest.mark.parametrize("come_back", ["observe", "redeliver"])
def test_a_hook_that_returned_is_not_called_again_though_the_journal_does_not_know_yet(desk, away, come_back):
    """The outcome is stored as soon as the journal is available; until then no other hook is called."""
    listener = Subscription()
    monitor = Monitor(journal=away)
    monitor.on(name="h")(listener)
    away.down = {"record", "release"}
    with pytest.raises(JournalError):
        monitor.observe(LIFE[3])
    with pytest.raises(JournalError):
        monitor.observe(LIFE[3])
    assert (words("v"), 4) == (listener.heard, len(desk.pending))
    away.down = set()
    monitor.observe(LIFE[3]) if come_back == "observe" else monitor.redeliver()

    assert words("vpzc") == listener.heard
    assert [] == desk.pending


def test_what_hooks_raised_before_the_journal_went_away_is_told(desk, away):
    """The hooks' errors are notes on the journal's error."""
    monitor = Monitor(journal=away)
    monitor.on(name="h")(Subscription(ValueError("no room")))
    away.down = {"record"}
    with pytest.raises(JournalError) as caught:
        monitor.observe(LIFE[0])

    assert ["batchfsm: before that, a hook raised ValueError('no room'); it stays pending"] == caught.value.__notes__
    away.down = set()
    monitor.redeliver()
    assert [] == desk.pending


def test_what_is_written_under_a_hook_though_nobody_knew_comes_after_the_present_ones(desk, away):
    """The observation inside the hook failed but was written: its deliveries are loaded before the batch is idle."""
    monitor, heard = Monitor(journal=away), []

    @monitor.on(name="h")
    def hear(transition: Transition) -> None:
        heard.append(transition.target)
        if transition.target == "validating":
            away.down, away.lies = {"commit"}, True
            with pytest.raises(JournalError):
                monitor.observe(LIFE[1])
            away.down = set()
            assert () == monitor.observe(LIFE[1]).transitions

    monitor.observe(LIFE[0])

    assert words("vp") == heard
    assert [] == desk.pending


@pytest.mark.parametrize("kind", [Monitor, AsyncMonitor])
def test_to_redeliver_under_a_hook_calls_nothing_of_its_own_batch(desk, kind):
    """The hooks of the batch are running, so its pending deliveries follow the current ones."""
    listener, attempts = Subscription(ValueError()), []
    monitor = desk.monitor(listener, kind=kind)

    @monitor.on("in_progress", name="again")
    def again(transition: Transition) -> Any:
        attempts.append(list(listener.heard))
        return monitor.redeliver()

    async def observe() -> None:
        with pytest.raises(HookError):
            answer = monitor.observe(LIFE[1])
            if kind is AsyncMonitor:
                await answer
        assert [words("p")] == attempts
        await monitor.redeliver() if kind is AsyncMonitor else monitor.redeliver()

    awaited(observe)

    assert words("pv") == listener.heard


class Elsewhere(SQLiteJournal):
    """A journal whose deliveries are made by other programs."""

    is_remote = True


def test_a_monitor_leaves_hooks_to_whoever_calls_them_elsewhere(desk):
    """The monitor writes the deliveries, and calls only hooks on findings."""
    listener, doubts = Subscription(), Subscription()
    with Elsewhere(desk.path) as journal:
        monitor = Monitor(journal=journal)
        monitor.on(name="h")(listener)
        monitor.on_finding(doubts)
        assert not monitor.observe(LIFE[1]).delivered
        assert monitor.observe(LIFE[0]).delivered
        monitor.redeliver()
        after = Monitor(journal=journal)
        after.on(name="h")(listener)
        after.observe(LIFE[2])

    assert ([], ["H507"]) == (listener.heard, doubts.heard)
    assert [(word, "h", 0) for word in words("vpz")] == desk.pending


# ---------------------------------------------------------------- any sequence of events

outcomes = st.lists(st.sampled_from([None, None, ValueError, KeyboardInterrupt, CrashError]), max_size=10)
downs = st.lists(st.sampled_from([None, None, "commit", "record", "claim", "load"]), max_size=10)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(log=logs, first=outcomes, second=outcomes, down=downs, lies=st.booleans(), restarts=st.sets(st.integers(0, 6)))
def test_whatever_happens_each_hook_returns_from_each_key(  # noqa: PLR0917  # All that may happen.
    tmp_path_factory: Any,
    log: list[Any],
    first: list[Any],
    second: list[Any],
    down: list[str | None],
    lies: bool,  # noqa: FBT001
    restarts: set[int],
):
    """
    Hooks raise, are interrupted, the process restarts and the journal is unavailable, at any call, in any log.

    In the end the keys are those of an undisturbed monitor, and each hook has returned once for each of them. It may
    return twice only if a restart came after its return and before the journal stored that.
    """
    bystander, keys = Monitor(), []
    hooks = [Noting(first), Noting(second)]
    stage = Stage(tmp_path_factory.mktemp("desk") / "journal.db", hooks, down, lies=lies)
    for number, (wire, clock) in enumerate(written(log)):
        batch = wire | {"id": "batch_1"}
        try:
            keys += [each.key for each in bystander.observe(batch, observed_at=clock).transitions]
        except SnapshotError:
            continue
        if number in restarts:
            stage.restart()
        stage.observe(batch, clock)
        assert bystander["batch_1"] == attrs.evolve(stage.monitor["batch_1"], snapshot=bystander["batch_1"].snapshot)
    stage.end(len(first) + len(second) + 1)

    assert [set(keys)] * 2 == [set(hook.returned) for hook in hooks]
    if not restarts:
        assert [{1}] * 2 == [set(Counter(hook.returned).values()) or {1} for hook in hooks]


class Stage:
    """A monitor on a journal that is unavailable at times; both can be restarted."""

    def __init__(self, path: Any, hooks: list[Any], down: list[str | None], *, lies: bool) -> None:
        """Start."""
        self.path, self.hooks, self.down, self.lies = path, hooks, down, lies
        self.file: Any = None
        self.restart()

    def restart(self) -> None:
        """Make a new monitor on the same file, with the same hooks."""
        if self.file is not None:
            self.file.close()
        self.file = SQLiteJournal(self.path)
        self.file._db.execute("PRAGMA synchronous = OFF")
        self.journal = Away(self.file)
        self.monitor = Monitor(journal=self.journal)
        for number, hook in enumerate(self.hooks):
            self.monitor.on(name=f"hook {number}")(hook)

    def observe(self, batch: Any, clock: float | None) -> None:
        """Observe; repeat it once if the journal was unavailable."""
        for attempt in (0, 1):
            self.journal.down = {self.down.pop()} if self.down and attempt == 0 else set()
            self.journal.lies = self.lies
            try:
                self.monitor.observe(batch, observed_at=clock)
            except JournalError:
                continue
            except (HookError, KeyboardInterrupt, CrashError):
                pass
            return

    def end(self, tries_max: int) -> None:
        """Redeliver until no hook raises."""
        self.journal.down = set()
        for _ in range(tries_max):
            with suppress(HookError, KeyboardInterrupt, CrashError):
                self.monitor.redeliver()
        self.file.close()


class Noting:
    """A hook that records the keys for which it returned."""

    def __init__(self, outcomes: list[Any]) -> None:
        """Take the exception for each call; None means to return."""
        self.outcomes, self.returned = list(outcomes), []

    def __call__(self, transition: Transition) -> None:
        """Raise the next exception, or record the key."""
        if (error := self.outcomes.pop(0) if self.outcomes else None) is not None:
            raise error
        self.returned.append(transition.key)


def test_threads_that_observe_the_same_batches_deliver_each_key_once_and_in_order(desk):
    """Four threads share one journal and one monitor."""
    heard: list[tuple[str, str]] = []
    monitor = desk.monitor(lambda transition: heard.append((transition.batch_id, transition.target)))
    ids = [f"batch_{number}" for number in range(4)]

    def poll() -> None:
        for row in LIFE:
            for name in ids:
                monitor.observe(row | {"id": name})

    threads = [threading.Thread(target=poll) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S_MAX)

    assert {name: words("vpzc") for name in ids} == {
        name: [target for batch_id, target in heard if batch_id == name] for name in ids
    }


# ---------------------------------------------------------------- under tasks


def awaited(main: Any) -> Any:
    """Run a coroutine function in a new event loop, with a timeout."""

    async def bounded() -> Any:
        async with asyncio.timeout(WAIT_S_MAX):
            return await main()

    return asyncio.run(bounded())


def test_under_tasks_the_same_holds(desk):
    """Coroutine hooks, restarts and `redeliver` lose and repeat nothing, also over two event loops."""
    listener = Subscription(None, CrashError())

    async def hook(transition: Transition) -> None:
        await asyncio.sleep(0)
        listener(transition)

    monitor = desk.monitor(hook, kind=AsyncMonitor)
    with pytest.raises(CrashError):
        awaited(lambda: monitor.observe(LIFE[3]))
    monitor = desk.monitor(hook, kind=AsyncMonitor)
    gc.collect()  # The crashed monitor and its exception refer to each other; until collected, it owns the batch.
    awaited(monitor.redeliver)
    assert () == awaited(lambda: monitor.observe(LIFE[3])).transitions
    assert ("completed", 1, True) == (monitor["batch_1"].status, len(monitor), "batch_1" in monitor)
    monitor.forget("batch_1")

    assert words("vpzc") == listener.heard
    assert 0 == len(monitor)


def test_the_journal_is_used_in_a_thread_of_its_own(desk):
    """Each method of an `AsyncMonitor` calls the journal in that thread, never in that of the event loop."""
    journal, threads = SQLiteJournal(desk.path), set()
    desk.journals.append(journal)
    real = journal._run

    def noted(*args: Any, **words: Any) -> Any:
        threads.add(threading.current_thread().name)
        return real(*args, **words)

    journal._run = noted
    monitor = AsyncMonitor(journal=journal)
    monitor.on(name="h")(Subscription(ValueError()))

    async def main() -> None:
        with pytest.raises(HookError):
            await monitor.observe(LIFE[3])
        await monitor.redeliver()
        assert monitor["batch_1"].terminal
        monitor.forget("batch_1")

    awaited(main)

    assert {"batchfsm-journal_0"} == threads


def test_a_cancellation_while_the_journal_writes_loses_nothing(desk):
    """The task is cancelled at once; if the write succeeded, the next observer delivers the hooks."""
    listener, entered, leave = Subscription(), threading.Event(), threading.Event()
    monitor = desk.monitor(listener, kind=AsyncMonitor)
    real = monitor._store._client._journal.commit

    def slow(change: BatchUpdate) -> bool:
        entered.set()
        assert leave.wait(WAIT_S_MAX)
        return real(change)

    monitor._store._client._journal.commit = slow

    async def main() -> None:
        task = asyncio.create_task(monitor.observe(LIFE[1]))
        assert await asyncio.to_thread(entered.wait, WAIT_S_MAX)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        leave.set()
        assert (await monitor.observe(LIFE[3])).delivered

    awaited(main)

    assert words("vpzc") == listener.heard
    assert [] == desk.pending


def test_a_cancellation_while_a_hook_is_acknowledged_calls_it_no_second_time(desk):
    """The hook has returned; the cancellation came while its outcome was being written."""
    listener, entered, leave = Subscription(), threading.Event(), threading.Event()
    monitor = desk.monitor(listener, kind=AsyncMonitor)
    real = monitor._store._client._journal.record

    def slow(outcome: DeliveryOutcome) -> None:
        entered.set()
        assert leave.wait(WAIT_S_MAX)
        real(outcome)

    monitor._store._client._journal.record = slow

    async def main() -> None:
        task = asyncio.create_task(monitor.observe(LIFE[1]))
        assert await asyncio.to_thread(entered.wait, WAIT_S_MAX)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        leave.set()
        await monitor.redeliver()

    awaited(main)

    assert words("vp") == listener.heard
    assert [] == desk.pending


def test_a_cancellation_when_all_has_been_called_takes_nothing_from_whoever_is_next(desk):
    """The monitor was still loading more deliveries: the batch becomes idle, and its lease is released only once."""
    listener, entered, leave = Subscription(), threading.Event(), threading.Event()
    monitor = desk.monitor(listener, kind=AsyncMonitor)
    real = monitor._store._client._journal.claim

    def slow(*args: Any, **words: Any) -> Any:
        entered.set()
        assert leave.wait(WAIT_S_MAX)
        return real(*args, **words)

    monitor._store._client._journal.claim = slow

    async def main() -> None:
        task = asyncio.create_task(monitor.observe(LIFE[1]))
        assert await asyncio.to_thread(entered.wait, WAIT_S_MAX)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        leave.set()
        assert (await monitor.observe(LIFE[3])).delivered

    awaited(main)

    assert words("vpzc") == listener.heard
    assert [] == desk.pending


def test_a_cancelled_redeliver_leaves_the_rest_for_the_next(desk):
    """The next `redeliver` calls the hooks; a closed journal raises JournalError in a task, too."""
    listener = Subscription(ValueError(), asyncio.CancelledError())
    monitor = desk.monitor(listener, kind=AsyncMonitor)

    async def main() -> None:
        with pytest.raises(HookError):
            await monitor.observe(LIFE[0])
        with pytest.raises(asyncio.CancelledError):
            await monitor.redeliver()
        await monitor.redeliver()
        desk.journals[0].close()
        with pytest.raises(JournalError, match="it is closed"):
            await monitor.observe(LIFE[1])

    awaited(main)

    assert words("v") == listener.heard
