"""One monitor in many threads: hooks are neither repeated nor lost, run in order, and block no other batch."""

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Barrier, Event, Lock, Thread
from typing import Any

import pytest

from batchfsm import Finding, HookError, Monitor, Transition
from support.notation import WORDS, seen, snap

WAIT_S_MAX = 30
"""How long anything may wait for another thread before the test fails; seconds."""


@pytest.fixture(autouse=True)
def _busy_switching() -> Iterator[None]:
    """Make Python switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run(*jobs: Callable[[], Any]) -> list[Any]:
    """Run each job in its own thread, at the same time; return their results, or raise their errors."""
    start, results, errors = Barrier(len(jobs)), [None] * len(jobs), []

    def work(number: int, job: Callable[[], Any]) -> None:
        try:
            start.wait(WAIT_S_MAX)
            results[number] = job()
        except BaseException as error:  # noqa: BLE001  # Raised below, in the test's own thread.
            errors.append(error)

    threads = [Thread(target=work, args=(number, job), daemon=True) for number, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S_MAX)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if errors:
        raise errors[0]
    return results


def wait(event: Event) -> None:
    """Wait for an event of another thread, with a timeout."""
    assert event.wait(WAIT_S_MAX)


class Log:
    """A hook that records the id of the batch and the status entered."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def __call__(self, transition: Transition) -> None:
        """Record a transition."""
        self.heard.append((transition.batch_id, transition.target))

    def of(self, batch_id: str) -> list[str]:
        """Return the statuses of one batch, in the order of the calls."""
        return [target for name, target in self.heard if name == batch_id]


def words(path: str) -> list[str]:
    """Return the statuses of a path."""
    return [WORDS[letter] for letter in path]


# ---------------------------------------------------------------- once, and in order


@pytest.mark.parametrize("path", ["vpzc", "vpgx"])
def test_many_threads_that_observe_the_same_batches_deliver_each_key_once_and_in_order(path: str):
    """Eight threads observe twelve batches, each in another order: the hooks run as they would for a single thread."""
    monitor, logs = Monitor(), [Log(), Log()]
    for number, log in enumerate(logs):
        monitor.on(name=f"log {number}")(log)
    names = [f"batch_{number}" for number in range(12)]

    def poll(seed: int) -> None:
        mine = random.Random(seed).sample(names, len(names))  # noqa: S311
        for step in range(len(path)):
            for name in mine:
                monitor.observe(seen(path, id=name)[step])

    run(*(lambda seed=seed: poll(seed) for seed in range(8)))

    assert [{name: words(path) for name in names}] * 2 == [{name: log.of(name) for name in names} for log in logs]
    assert {path[-1]} == {key for key, word in WORDS.items() for name in names if monitor[name].status == word}


def test_many_threads_with_batches_of_their_own_do_not_disturb_each_other():
    """Six threads observe ten batches each, in any order of snapshots: each batch has its whole timeline."""
    monitor, log = Monitor(), Log()
    monitor.on(name="log")(log)

    def poll(seed: int) -> list[int]:
        rows = [(f"batch_{seed}_{number}", row) for number in range(10) for row in seen("vpze")]
        random.Random(seed).shuffle(rows)  # noqa: S311
        return [len(monitor.observe(row | {"id": name}).transitions) for name, row in rows]

    emitted = run(*(lambda seed=seed: poll(seed) for seed in range(6)))

    assert [40] * 6 == [sum(each) for each in emitted]
    assert {tuple(words("vpze"))} == {
        tuple(log.of(f"batch_{seed}_{number}")) for seed in range(6) for number in range(10)
    }
    assert 60 == len(monitor)


def test_of_many_threads_with_one_snapshot_one_has_the_transitions():
    """Sixteen threads observe the same snapshot at once: exactly one of them gets the transitions."""
    monitor, log = Monitor(), Log()
    monitor.on(name="log")(log)

    observations = run(*[lambda: monitor.observe(snap("vpzc"))] * 16)

    assert [4] == [len(each.transitions) for each in observations if each.transitions]
    assert {()} == {each.findings for each in observations}
    assert words("vpzc") == log.of("batch_1")


def test_hooks_of_one_batch_never_run_at_the_same_time():
    """No other hook of a batch starts between the start and the end of a hook of that batch."""
    monitor, lock, inside, overlaps = Monitor(), Lock(), Counter(), []

    @monitor.on(name="slow")
    def slow(transition: Transition | Finding) -> None:
        with lock:
            inside[transition.batch_id] += 1
            overlaps.append(inside[transition.batch_id])
        for _ in range(50):  # Time for other threads to interfere.
            pass
        with lock:
            inside[transition.batch_id] -= 1

    monitor.on_finding(slow)

    def poll(seed: int) -> None:
        rows = [row for row in seen("vpzc") for _ in range(3)]
        random.Random(seed).shuffle(rows)  # noqa: S311
        for row in rows:
            monitor.observe(row)

    run(*(lambda seed=seed: poll(seed) for seed in range(6)))

    assert {1} == set(overlaps)


def test_hooks_of_different_batches_run_at_the_same_time():
    """Two hooks of different batches that wait for each other both return, since no lock is held while a hook runs."""
    monitor, meeting = Monitor(), Barrier(2)
    monitor.on("validating")(lambda transition: meeting.wait(WAIT_S_MAX))

    run(lambda: monitor.observe(snap("v", id="batch_1")), lambda: monitor.observe(snap("v", id="batch_2")))

    assert 2 == len(monitor)


# ---------------------------------------------------------------- two threads on one batch


def test_who_finds_a_batch_busy_queues_and_returns_at_once():
    """The thread whose hook still runs calls the hooks of the second snapshot afterwards, in order."""
    monitor, log, entered, leave, threads = Monitor(), Log(), Event(), Event(), []

    @monitor.on("validating", name="slow")
    def slow(transition: Transition | Finding) -> None:
        entered.set()
        wait(leave)

    monitor.on(name="log")(log)
    monitor.on("finalizing", name="who")(
        lambda transition: threads.append("second came back" if leave.is_set() else "")
    )

    def second() -> Any:
        wait(entered)
        observation = monitor.observe(snap("vpz"))
        before = [*log.heard], monitor["batch_1"].status
        leave.set()
        return observation, before

    first, (late, before) = run(lambda: monitor.observe(snap("v")), second)

    assert (True, ["validating"]) == (first.delivered, [each.target for each in first.transitions])
    assert (False, ["in_progress", "finalizing"]) == (late.delivered, [each.target for each in late.transitions])
    assert ([], "finalizing") == before
    assert (words("vpz"), ["second came back"]) == (log.of("batch_1"), threads)


def test_an_error_is_raised_at_the_deliverer():
    """The thread that calls the hooks raises their errors, also for snapshots that other threads observed."""
    monitor, entered, leave = Monitor(), Event(), Event()

    @monitor.on("validating", name="slow")
    def slow(transition: Transition | Finding) -> None:
        entered.set()
        wait(leave)

    @monitor.on("in_progress", name="failing")
    def fail(transition: Transition) -> None:
        raise ValueError(transition.target)

    def first() -> Any:
        with pytest.raises(HookError) as raised:
            monitor.observe(snap("v"))
        return raised.value

    def second() -> Any:
        wait(entered)
        observation = monitor.observe(snap("vp"))
        leave.set()
        return observation

    error, observation = run(first, second)

    assert (["in_progress"], ["validating"]) == (
        [str(each) for each in error.exceptions], [each.target for each in error.observation.transitions],
    )  # fmt: skip
    assert (False, ["in_progress"]) == (observation.delivered, [each.target for each in observation.transitions])


def test_an_interrupted_deliverer_leaves_the_rest_to_the_next_observer():
    """SystemExit ends one thread; the next observer delivers the hooks that other threads queued meanwhile."""
    monitor, log, entered, leave = Monitor(), Log(), Event(), Event()
    exits = [SystemExit()]

    @monitor.on("validating", name="exiting")
    def leave_the_thread(transition: Transition) -> None:
        if exits:
            entered.set()
            wait(leave)
            raise exits.pop()

    monitor.on(name="log")(log)

    def first() -> None:
        with pytest.raises(SystemExit):
            monitor.observe(snap("v"))

    def second() -> None:
        wait(entered)
        monitor.observe(snap("vp"))
        leave.set()

    run(first, second)
    heard = log.of("batch_1")

    last = monitor.observe(snap("vpz"))

    assert ([], True, words("vpz")) == (heard, last.delivered, log.of("batch_1"))


def test_an_illegal_move_raises_where_it_was_observed():
    """The error is raised in the thread that observed the snapshot, not in the one that runs the hooks."""
    monitor, entered, leave = Monitor(on_illegal="raise"), Event(), Event()
    monitor.observe(snap("vpz"))

    @monitor.on("completed", name="slow")
    def slow(transition: Transition | Finding) -> None:
        entered.set()
        wait(leave)

    def second() -> Any:
        wait(entered)
        try:
            with pytest.raises(Exception, match="completed is final") as raised:
                monitor.observe(snap("vf"))
        finally:
            leave.set()
        return raised.value

    first, error = run(lambda: monitor.observe(snap("vpzc")), second)

    assert ("consistent", "failed", "completed") == (first.verdict, error.target, monitor["batch_1"].status)


# ---------------------------------------------------------------- no deadlock


def test_crossing_hooks_do_not_deadlock():
    """A hook of batch 1 observes batch 2 while, in another thread, a hook of batch 2 observes batch 1."""
    monitor, log, meeting = Monitor(), Log(), Barrier(2)
    other, inner = {"batch_1": "batch_2", "batch_2": "batch_1"}, []

    @monitor.on("in_progress", name="cross")
    def cross(transition: Transition) -> None:
        meeting.wait(WAIT_S_MAX)  # Now hooks of both batches are running.
        inner.append(monitor.observe(snap("vpz", id=other[transition.batch_id])))
        meeting.wait(WAIT_S_MAX)

    monitor.on(name="log")(log)

    run(lambda: monitor.observe(snap("vp", id="batch_1")), lambda: monitor.observe(snap("vp", id="batch_2")))

    assert [False, False] == [each.delivered for each in inner]
    assert [words("vpz")] * 2 == [log.of("batch_1"), log.of("batch_2")]


def test_hooks_that_observe_at_random_end():
    """Hooks in four threads observe any of five batches: all threads return, and each key is delivered once."""
    monitor, log, dice = Monitor(), Log(), random.Random(7)  # noqa: S311
    names, lives = [f"batch_{number}" for number in range(5)], [snap("vpzc"[:length]) for length in range(1, 5)]

    @monitor.on(name="curious")
    def look(transition: Transition) -> None:
        monitor.observe(dice.choice(lives) | {"id": dice.choice(names)})

    monitor.on(name="log")(log)

    def poll(seed: int) -> None:
        mine = random.Random(seed)  # noqa: S311
        for _ in range(30):
            monitor.observe(mine.choice(lives) | {"id": mine.choice(names)})

    run(*(lambda seed=seed: poll(seed) for seed in range(4)))
    for name in names:
        monitor.observe(snap("vpzc", id=name))

    assert [words("vpzc")] * 5 == [log.of(name) for name in names]


# ---------------------------------------------------------------- errors, redelivery, forgetting


def test_with_failing_hooks_each_returns_once_a_key_whoever_redelivers():
    """A hook raises at every third call; six threads observe and four redeliver at the same time."""
    monitor, lock, calls, returned = Monitor(), Lock(), [0], Counter()

    @monitor.on(name="moody")
    def moody(transition: Transition) -> None:
        with lock:
            calls[0] += 1
            mood = calls[0] % 3
        if not mood:
            raise ValueError
        with lock:
            returned[transition.key] += 1

    def quietly(call: Callable[[], Any]) -> None:
        with suppress(HookError):
            call()

    def poll(number: int) -> None:
        for row in seen("vpzc"):
            quietly(lambda: monitor.observe(row | {"id": f"batch_{number % 3}"}))  # noqa: B023

    run(*(lambda number=number: poll(number) for number in range(6)))
    for _ in range(20):
        run(*[lambda: quietly(monitor.redeliver)] * 4)

    keys = {transition.key for number in range(3) for transition in monitor[f"batch_{number}"].transitions}
    assert (dict.fromkeys(keys, 1), 12) == (dict(returned), len(keys))


def test_forgetting_and_observing_at_once_breaks_nothing():
    """If one thread forgets a batch while another observes it, each record starts with the birth."""
    monitor, log = Monitor(), Log()
    monitor.on(name="log")(log)

    def forget() -> None:
        for _ in range(60):
            try:
                monitor.forget("batch_1")
            except KeyError:
                continue

    def poll() -> None:
        for row in seen("vpzc") * 15:
            monitor.observe(row)

    run(forget, poll, poll)

    monitor.observe(snap("vpzc"))
    assert words("vpzc") == [transition.target for transition in monitor["batch_1"].transitions]
    assert {"validating"} == {log.heard[0][1]}


def test_a_forgotten_batch_is_free_for_others_while_its_old_hook_still_runs():
    """The next observer runs the hooks of its snapshot at once, without waiting for the hook that still runs."""
    monitor, entered, leave, heard = Monitor(), Event(), Event(), []

    @monitor.on(name="slow once")
    def slow(transition: Transition | Finding) -> None:
        heard.append(transition.target)
        if len(heard) == 1:
            entered.set()
            wait(leave)

    def second() -> Any:
        wait(entered)
        monitor.forget("batch_1")
        observation = monitor.observe(snap("v"))
        leave.set()
        return observation

    _, again = run(lambda: monitor.observe(snap("v")), second)

    assert (["validating"], ["validating"] * 2) == ([each.target for each in again.transitions], heard)


def test_what_is_known_can_be_read_at_any_time():
    """A state read by another thread is that between two folds: its status and its transitions agree."""
    monitor, stop, asked = Monitor(), Event(), []

    def ask() -> None:
        while not stop.is_set():
            if "batch_1" in monitor:
                known = monitor["batch_1"]
                asked.append(known.transitions[-1].target == known.status == known.snapshot.status)

    def poll() -> None:
        try:
            for _ in range(20):
                for row in seen("vpzc"):
                    monitor.observe(row)
                monitor.forget("batch_1")
            monitor.observe(snap("v"))
        finally:
            stop.set()

    def ask_again() -> None:
        try:
            ask()
        except KeyError:  # Another thread forgot the batch between the two calls.
            ask_again()

    run(poll, ask_again)

    assert {True} >= set(asked)


def test_hooks_may_be_registered_while_others_observe():
    """A hook registered late is called for later transitions, and no thread raises."""
    monitor, log, late = Monitor(), Log(), Log()
    monitor.on(name="log")(log)

    def register() -> None:
        for number in range(30):
            monitor.on(name=f"late {number}")(late)
            monitor.on_finding(f"H50{number % 8 + 1}", name=f"finding {number}")(_ignore)

    def poll(number: int) -> None:
        for row in seen("vpzc"):
            monitor.observe(row | {"id": f"batch_{number}"})

    run(register, *(lambda number=number: poll(number) for number in range(4)))

    assert [words("vpzc")] * 4 == [log.of(f"batch_{number}") for number in range(4)]


def _ignore(finding: Finding) -> None:
    """Do nothing."""
