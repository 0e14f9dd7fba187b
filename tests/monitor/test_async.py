"""`AsyncMonitor` keeps the promises of `Monitor` when tasks run concurrently and are cancelled."""

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchfsm import (
    DIALECTS,
    AsyncMonitor,
    Finding,
    HookError,
    IllegalTransitionError,
    Monitor,
    Observation,
    SnapshotError,
    Transition,
)
from support.histories import logs, written
from support.notation import WORDS, seen, snap

WAIT_S_MAX = 30
"""How long a test may take before it counts as hanging; seconds."""


def awaited(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine function in a new event loop, with a timeout."""

    async def bounded() -> Any:
        async with asyncio.timeout(WAIT_S_MAX):
            return await main()

    return asyncio.run(bounded())


def words(path: str) -> list[str]:
    """Return the statuses of a path."""
    return [WORDS[letter] for letter in path]


def targets(observation: Observation) -> list[str]:
    """Return the statuses that an observation reported as entered."""
    return [transition.target for transition in observation.transitions]


class Log:
    """A coroutine hook that records the entered status, and yields to other tasks before and after."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    async def __call__(self, transition: Transition) -> None:
        """Record a transition."""
        await asyncio.sleep(0)
        self.heard.append((transition.batch_id, transition.target))
        await asyncio.sleep(0)

    def of(self, batch_id: str) -> list[str]:
        """Return the statuses of one batch, in the order of the calls."""
        return [target for name, target in self.heard if name == batch_id]


# ---------------------------------------------------------------- hooks: functions and coroutine functions


def test_hooks_are_awaited_one_after_another_in_order_of_registration():
    """A hook starts only after the previous one has ended, whether they are functions or coroutine functions."""
    monitor, heard = AsyncMonitor(), []

    @monitor.on(name="first")
    async def first(transition: Transition) -> None:
        heard.append(f"first begins {transition.target}")
        for _ in range(5):
            await asyncio.sleep(0)
        heard.append(f"first ends {transition.target}")

    @monitor.on(name="plain")
    def plain(transition: Transition) -> None:
        heard.append(f"plain {transition.target}")

    @monitor.on(name="last")
    async def last(transition: Transition) -> None:
        heard.append(f"last {transition.target}")

    observation = awaited(lambda: monitor.observe(snap("vp")))

    assert [
        line.format(word)
        for word in words("vp")
        for line in ("first begins {}", "first ends {}", "plain {}", "last {}")
    ] == heard
    assert (words("vp"), True) == (targets(observation), observation.delivered)


async def coroutine_hook(heard: list[str], transition: Transition) -> None:
    """Record a transition."""
    await asyncio.sleep(0)
    heard.append(transition.target)


class CoroutineCall:
    """A hook object whose `__call__` is a coroutine function."""

    def __init__(self, heard: list[str]) -> None:
        """Take the list to append to."""
        self.heard = heard

    async def __call__(self, transition: Transition) -> None:
        """Record a transition."""
        await coroutine_hook(self.heard, transition)


@pytest.mark.parametrize("make", [
    lambda heard: functools.partial(coroutine_hook, heard),
    CoroutineCall,
    lambda heard: lambda transition: coroutine_hook(heard, transition),
    lambda heard: lambda transition: asyncio.ensure_future(coroutine_hook(heard, transition)),
    lambda heard: lambda transition: heard.append(transition.target),
], ids=["partial", "object", "lambda", "task", "plain"])  # fmt: skip
def test_whatever_can_be_awaited_is_awaited(make: Callable[[list[str]], Any]):
    """A hook that returns any awaitable has finished when `observe` returns."""
    monitor, heard = AsyncMonitor(), []
    monitor.on("in_progress")(make(heard))

    awaited(lambda: monitor.observe(snap("vp")))

    assert ["in_progress"] == heard


def test_findings_are_awaited_too():
    """Hooks on findings are awaited after the hooks on transitions, with and without rule codes."""
    monitor, heard = AsyncMonitor(), []

    @monitor.on_finding
    async def every(finding: Finding) -> None:
        await asyncio.sleep(0)
        heard.append(finding.rule)

    @monitor.on_finding("P1")
    async def some(finding: Finding) -> None:
        heard.append(f"P1: {finding.rule}")

    monitor.on(name="log")(lambda transition: heard.append(transition.target))

    awaited(lambda: monitor.observe(snap("v", expires_at=None, errors=["odd"])))

    assert ["validating", "P104", "P1: P104", "F403"] == heard


def test_wrong_use_fails_at_once_here_too():
    """Arguments that `Monitor` refuses are refused here, except coroutine functions."""
    monitor = AsyncMonitor()
    with pytest.raises(TypeError, match="needs parentheses"):
        monitor.on(coroutine_hook)
    with pytest.raises(TypeError, match="not both"):
        monitor.on("completed", target="failed")
    with pytest.raises(ValueError, match="has no status 'done'"):
        monitor.on("done")
    with pytest.raises(ValueError, match="completed is final"):
        monitor.on(source="completed")


@given(log=logs, dialect=st.sampled_from(list(DIALECTS)), policy=st.sampled_from(["adopt", "hold", "raise"]))
def test_it_observes_what_the_plain_monitor_observes(log: list[Any], dialect: str, policy: Any):
    """For any log both monitors return the same observations, errors and records, and call the same hooks."""
    plain, monitor = Monitor(dialect, on_illegal=policy), AsyncMonitor(dialect, on_illegal=policy)
    heard, heard_plain = Log(), []
    plain.on(name="log")(lambda transition: heard_plain.append((transition.batch_id, transition.target)))
    monitor.on(name="log")(heard)

    async def compare() -> None:
        for wire, clock in written(log):
            try:
                expected = plain.observe(wire, observed_at=clock)
            except (SnapshotError, IllegalTransitionError) as error:
                with pytest.raises(type(error)) as raised:
                    await monitor.observe(wire, observed_at=clock)
                assert str(error) == str(raised.value)
                assert getattr(error, "observation", None) == getattr(raised.value, "observation", None)
            else:
                assert expected == await monitor.observe(wire, observed_at=clock)

    awaited(compare)
    assert len(plain) == len(monitor)
    assert heard_plain == heard.heard
    for name in {name for name, _ in heard_plain}:
        assert plain[name] == monitor[name]


def test_it_outlives_its_loop():
    """A monitor used in one event loop can be used in a second one."""
    monitor, log = AsyncMonitor(), Log()
    monitor.on(name="log")(log)

    for row in seen("vpzc"):
        awaited(lambda row=row: monitor.observe(row))

    assert words("vpzc") == log.of("batch_1")


# ---------------------------------------------------------------- tasks


def test_many_tasks_that_observe_the_same_batches_deliver_each_key_once_and_in_order():
    """Ten tasks observe five batches while hooks yield: the hooks run as they would for a single task."""
    monitor, log = AsyncMonitor(), Log()
    monitor.on(name="log")(log)
    names = [f"batch_{number}" for number in range(5)]

    async def poll(number: int) -> None:
        for step in range(4):
            for name in names[number % 5 :] + names[: number % 5]:
                await monitor.observe(seen("vpzc", id=name)[step])
                await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*map(poll, range(10)))

    awaited(main)

    assert [words("vpzc")] * 5 == [log.of(name) for name in names]


def test_hooks_of_one_batch_never_overlap_and_those_of_different_batches_do():
    """Each batch has one task that runs its hooks; hooks of other batches run meanwhile."""
    monitor, inside, most = AsyncMonitor(), Counter(), Counter()

    @monitor.on(name="slow")
    async def slow(transition: Transition) -> None:
        for name in (transition.batch_id, "all"):
            inside[name] += 1
            most[name] = max(most[name], inside[name])
        await asyncio.sleep(0)
        for name in (transition.batch_id, "all"):
            inside[name] -= 1

    async def main() -> None:
        rows = [row | {"id": name} for row in seen("vpzc") for name in ("batch_1", "batch_2")]
        await asyncio.gather(*(monitor.observe(row) for row in rows))

    awaited(main)

    assert {"batch_1": 1, "batch_2": 1, "all": 2} == dict(most)


def test_who_finds_a_batch_busy_queues_and_returns_at_once():
    """The task that runs the hooks of the batch awaits those of the second snapshot afterwards, in order."""
    monitor, log = AsyncMonitor(), Log()

    async def main() -> tuple[Observation, Observation, list[str]]:
        entered, leave = asyncio.Event(), asyncio.Event()

        @monitor.on("validating", name="slow")
        async def slow(transition: Transition) -> None:
            entered.set()
            await leave.wait()

        monitor.on(name="log")(log)
        first = asyncio.create_task(monitor.observe(snap("v")))
        await entered.wait()
        late = await monitor.observe(snap("vpz"))
        before = log.of("batch_1")
        leave.set()
        return await first, late, before

    first, late, before = awaited(main)

    assert (True, ["validating"]) == (first.delivered, targets(first))
    assert (False, ["in_progress", "finalizing"], []) == (late.delivered, targets(late), before)
    assert words("vpz") == log.of("batch_1")


def test_an_error_is_raised_at_the_deliverer():
    """The task that awaits the hooks gets their errors, also for snapshots that other tasks observed."""
    monitor = AsyncMonitor()

    async def main() -> tuple[HookError, Observation]:
        entered, leave = asyncio.Event(), asyncio.Event()

        @monitor.on("validating", name="slow")
        async def slow(transition: Transition) -> None:
            entered.set()
            await leave.wait()

        @monitor.on("in_progress", name="failing")
        async def fail(transition: Transition) -> None:
            raise ValueError(transition.target)

        first = asyncio.create_task(monitor.observe(snap("v")))
        await entered.wait()
        late = await monitor.observe(snap("vp"))
        leave.set()
        with pytest.raises(HookError) as raised:
            await first
        return raised.value, late

    error, late = awaited(main)

    assert (["in_progress"], ["validating"]) == (
        [str(each) for each in error.exceptions], targets(error.observation),
    )  # fmt: skip
    assert False is late.delivered


def test_crossing_hooks_do_not_deadlock():
    """A hook of batch 1 observes batch 2 while, in another task, a hook of batch 2 observes batch 1."""
    monitor, log = AsyncMonitor(), Log()
    other, inner = {"batch_1": "batch_2", "batch_2": "batch_1"}, []

    async def main() -> None:
        meeting = asyncio.Barrier(2)

        @monitor.on("in_progress", name="cross")
        async def cross(transition: Transition) -> None:
            await meeting.wait()  # Now hooks of both batches are running.
            inner.append(await monitor.observe(snap("vpz", id=other[transition.batch_id])))
            await meeting.wait()

        monitor.on(name="log")(log)
        await asyncio.gather(*(monitor.observe(snap("vp", id=name)) for name in other))

    awaited(main)

    assert [False, False] == [each.delivered for each in inner]
    assert [words("vpz")] * 2 == [log.of(name) for name in other]


def test_a_hook_that_observes_its_own_batch_runs_to_completion():
    """The nested snapshot is folded at once; its hooks run after the current ones."""
    monitor, heard, inner = AsyncMonitor(), [], []

    @monitor.on("validating", name="poller")
    async def poll(transition: Transition) -> None:
        heard.append("poll begins")
        inner.append(await monitor.observe(snap("vpz")))
        heard.append("poll ends")

    monitor.on(name="log")(lambda transition: heard.append(transition.target))

    outer = awaited(lambda: monitor.observe(snap("v")))

    assert ["poll begins", "poll ends", *words("vpz")] == heard
    assert ([(["in_progress", "finalizing"], False)], True) == (
        [(targets(each), each.delivered) for each in inner], outer.delivered,
    )  # fmt: skip


def test_a_hook_that_observes_another_batch_queues_its_hooks():
    """The hooks of the other batch are awaited after those of the first, whichever task the hook observes in."""
    monitor, heard, inner = AsyncMonitor(), [], []

    @monitor.on("completed", name="chain")
    async def chain(transition: Transition) -> None:
        if transition.batch_id == "batch_1":
            inner.append(await monitor.observe(snap("v", id="batch_2")))
            inner.extend(await asyncio.gather(monitor.observe(snap("v", id="batch_3"))))
            heard.append("chained")

    monitor.on(name="log")(lambda transition: heard.append(f"{transition.batch_id} {transition.target}"))

    outer = awaited(lambda: monitor.observe(snap("vpzc")))

    assert ["chained", "batch_1 completed", "batch_2 validating", "batch_3 validating"] == heard[-4:]
    assert [False, False] == [each.delivered for each in inner]
    assert outer.delivered


def test_a_chain_of_batches_does_not_grow_the_stack():
    """Each hook observes the next of two thousand batches; no hook runs inside another."""
    monitor, depths, depth = AsyncMonitor(), [], [0]

    @monitor.on("validating", name="next")
    async def observe_next(transition: Transition) -> None:
        depth[0] += 1
        depths.append(depth[0])
        number = int(transition.batch_id.removeprefix("batch_"))
        await asyncio.sleep(0)
        if number < 2000:
            await monitor.observe(snap("v", id=f"batch_{number + 1}"))
        depth[0] -= 1

    awaited(lambda: monitor.observe(snap("v")))

    assert [1] * 2000 == depths


def test_a_task_that_a_hook_started_observes_on_its_own_after_the_hooks():
    """The task awaits the hooks of its batch after the `observe` that started it has returned."""
    monitor, heard = AsyncMonitor(), []
    tasks: list[asyncio.Task[Any]] = []
    ended = asyncio.Event()

    async def later() -> bool:
        await ended.wait()
        return (await monitor.observe(snap("v", id="batch_2"))).delivered

    @monitor.on("completed", name="start")
    async def start(_: Transition) -> None:
        tasks.append(asyncio.create_task(later()))

    monitor.on("validating", name="log")(lambda transition: heard.append(transition.batch_id))

    async def main() -> bool:
        await monitor.observe(snap("vpzc"))
        ended.set()
        return await tasks[0]

    assert awaited(main)
    assert ["batch_1", "batch_2"] == heard


# ---------------------------------------------------------------- errors


def test_a_hook_that_raises_stops_nobody():
    """All hooks run; then one HookError contains all their errors and the observation."""
    monitor, log = AsyncMonitor(), Log()

    @monitor.on("validating", "finalizing", name="failing")
    async def fail(transition: Transition) -> None:
        await asyncio.sleep(0)
        raise ValueError(transition.target)

    monitor.on(name="log")(log)

    async def main() -> HookError:
        with pytest.raises(HookError) as raised:
            await monitor.observe(snap("vpz"))
        return raised.value

    error = awaited(main)

    assert words("vpz") == log.of("batch_1") == targets(error.observation)
    assert ["validating", "finalizing"] == [str(each) for each in error.exceptions]
    assert ["batchfsm: raised by the hook failing on batch_1/finalizing/1760000120"] == error.exceptions[1].__notes__


def test_redeliver_awaits_what_raised_until_it_returns():
    """Each failed hook is awaited once for each key; a HookError of `redeliver` has no observation."""
    monitor, log, moods = AsyncMonitor(), Log(), [ValueError("1"), None, ValueError("2")]

    @monitor.on(name="moody")
    async def moody(transition: Transition) -> None:
        await asyncio.sleep(0)
        if moods and (error := moods.pop(0)):
            raise error
        await log(transition)

    async def main() -> list[HookError]:
        errors = []
        for call in (lambda: monitor.observe(snap("vp")), monitor.redeliver, monitor.redeliver, monitor.redeliver):
            try:
                await call()
            except HookError as error:
                errors.append(error)
        return errors

    errors = awaited(main)

    assert [["1"], ["2"]] == [[str(each) for each in error.exceptions] for error in errors]
    assert [True, False] == [error.observation is not None for error in errors]
    assert ["in_progress", "validating"] == log.of("batch_1")


def test_raise_raises_after_the_hooks():
    """Hooks on findings run before the illegal move is raised; their errors become its cause."""
    monitor = AsyncMonitor(on_illegal="raise")

    @monitor.on_finding("H502")
    async def fail(finding: Finding) -> None:
        raise ValueError(finding.rule)

    async def main() -> IllegalTransitionError:
        await monitor.observe(snap("vpzc"))
        with pytest.raises(IllegalTransitionError) as raised:
            await monitor.observe(snap("vf"))
        return raised.value

    error = awaited(main)

    assert ("completed", ["H502"]) == (monitor["batch_1"].status, [each.rule for each in error.observation.findings])
    assert isinstance(error.__cause__, HookError)


# ---------------------------------------------------------------- cancellation


def test_a_cancelled_observation_is_cancelled():
    """The task is cancelled, the running hook gets the CancelledError, and later hooks do not run."""
    monitor, log, seen_by_hook = AsyncMonitor(), Log(), []

    async def main() -> bool:
        entered = asyncio.Event()

        @monitor.on("in_progress", name="stuck once")
        async def stuck(transition: Transition) -> None:
            if not entered.is_set():
                entered.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    seen_by_hook.append(transition.target)
                    raise

        monitor.on(name="log")(log)
        task = asyncio.create_task(monitor.observe(snap("vpz")))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert awaited(main) is True
    assert (["in_progress"], ["validating"]) == (seen_by_hook, log.of("batch_1"))
    assert "finalizing" == monitor["batch_1"].status


@pytest.mark.parametrize("come_back", ["observe again", "observe more", "redeliver"])
def test_what_a_cancellation_kept_from_running_comes_first(come_back: str):
    """The hooks that did not run are called once and in order: by `redeliver`, or first at the next observation."""
    monitor, log = AsyncMonitor(), Log()

    async def main() -> None:
        entered = asyncio.Event()

        @monitor.on("in_progress", name="stuck once")
        async def stuck(transition: Transition) -> None:
            if not entered.is_set():
                entered.set()
                await asyncio.Event().wait()

        monitor.on(name="log")(log)
        task = asyncio.create_task(monitor.observe(snap("vpz")))
        await entered.wait()
        task.cancel()
        await asyncio.wait([task])
        if come_back == "redeliver":
            await monitor.redeliver()
        else:
            assert (await monitor.observe(snap("vpz" if come_back == "observe again" else "vpzc"))).delivered

    awaited(main)

    assert words("vpzc" if come_back == "observe more" else "vpz") == log.of("batch_1")


def test_what_others_queued_at_a_cancelled_deliverer_is_not_lost():
    """After the cancellation the next observer runs the hooks that another task has queued."""
    monitor, log = AsyncMonitor(), Log()

    async def main() -> None:
        entered = asyncio.Event()

        @monitor.on("validating", name="stuck once")
        async def stuck(transition: Transition) -> None:
            if not entered.is_set():
                entered.set()
                await asyncio.Event().wait()

        monitor.on(name="log")(log)
        task = asyncio.create_task(monitor.observe(snap("v")))
        await entered.wait()
        assert not (await monitor.observe(snap("vp"))).delivered
        task.cancel()
        await asyncio.wait([task])
        assert [] == log.of("batch_1")
        await monitor.observe(snap("vp"))

    awaited(main)

    assert words("vp") == log.of("batch_1")


def test_a_timeout_ends_a_stuck_hook():
    """`asyncio.timeout` around `observe` raises TimeoutError if a hook takes too long."""
    monitor, log, calls = AsyncMonitor(), Log(), []

    @monitor.on("validating", name="stuck once")
    async def stuck(transition: Transition) -> None:
        calls.append(transition.target)
        if len(calls) == 1:
            await asyncio.Event().wait()

    monitor.on(name="log")(log)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await monitor.observe(snap("vp"))
        await monitor.redeliver()

    awaited(main)

    assert (["validating"] * 2, words("vp")) == (calls, log.of("batch_1"))


def test_an_observation_that_is_thrown_away_loses_nothing():
    """If the coroutine is closed while a hook waits, the batch is idle and the other hooks stay queued."""
    monitor, log, calls = AsyncMonitor(), Log(), []

    @monitor.on("validating", name="waiting once")
    async def waiting(transition: Transition) -> None:
        calls.append(transition.target)
        if len(calls) == 1:
            await asyncio.sleep(0)

    monitor.on(name="log")(log)
    thrown_away = monitor.observe(snap("vp"))
    thrown_away.send(None)
    thrown_away.close()

    again = awaited(lambda: monitor.observe(snap("vp")))

    assert (True, ["validating"] * 2, words("vp")) == (again.delivered, calls, log.of("batch_1"))


def test_a_failing_task_group_cancels_its_observations():
    """A failing sibling cancels the group's tasks; a later observation runs the hooks that did not run."""
    monitor, log = AsyncMonitor(), Log()

    async def main() -> None:
        entered = asyncio.Event()

        @monitor.on("validating", name="stuck once")
        async def stuck(transition: Transition) -> None:
            if not entered.is_set():
                entered.set()
                await asyncio.Event().wait()

        monitor.on(name="log")(log)

        async def fail() -> None:
            await entered.wait()
            raise RuntimeError

        with pytest.raises(ExceptionGroup) as raised:
            async with asyncio.TaskGroup() as group:
                group.create_task(monitor.observe(snap("v")))
                group.create_task(fail())
        assert [RuntimeError] == [type(each) for each in raised.value.exceptions]
        await monitor.observe(snap("vp"))

    awaited(main)

    assert words("vp") == log.of("batch_1")


@pytest.mark.parametrize("interrupt", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_what_a_hook_raises_as_an_interrupt_passes_at_once(interrupt: type[BaseException], kind: str):
    """The exception is raised at once, not collected in a HookError, and the hook is called again later."""
    monitor, log, interrupts = AsyncMonitor(), Log(), [interrupt()]

    def plain(transition: Transition) -> None:
        if interrupts:
            raise interrupts.pop()

    async def coroutine(transition: Transition) -> None:
        plain(transition)

    monitor.on("in_progress", name="interrupting")(plain if kind == "plain" else coroutine)
    monitor.on(name="log")(log)

    async def main() -> None:
        with pytest.raises(interrupt):
            await monitor.observe(snap("vpz"))
        assert ["validating"] == log.of("batch_1")
        await monitor.redeliver()

    awaited(main)

    assert words("vpz") == log.of("batch_1")


def test_a_cancelled_redeliver_loses_no_other_batch():
    """Of three pending batches the first is cancelled: the others stay pending, and none stays marked as running."""
    monitor, log, moods = AsyncMonitor(), Log(), [ValueError(), ValueError(), ValueError()]
    names = ["batch_1", "batch_2", "batch_3"]

    async def main() -> list[bool]:
        entered = asyncio.Event()

        @monitor.on("validating", name="moody")
        async def moody(transition: Transition) -> None:
            if moods:
                raise moods.pop()
            if not entered.is_set():
                entered.set()
                await asyncio.Event().wait()
            await log(transition)

        for name in names:
            with pytest.raises(HookError):
                await monitor.observe(snap("v", id=name))
        task = asyncio.create_task(monitor.redeliver())
        await entered.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        delivered = [(await monitor.observe(snap("vp", id=name))).delivered for name in names]
        await monitor.redeliver()
        return delivered

    assert [True] * 3 == awaited(main)
    assert [["validating"]] * 3 == [log.of(name) for name in names]


outcomes = st.lists(st.sampled_from([None, None, ValueError, asyncio.CancelledError, KeyboardInterrupt]), max_size=12)


@given(log=logs, outcomes=outcomes)
def test_whatever_hooks_do_each_returns_once_a_key(log: list[Any], outcomes: list[Any]):
    """Hooks raise, are cancelled or interrupted at any call, in any log: each returns once for each key."""
    monitor, bystander, moods, returned, keys = AsyncMonitor(), Monitor(), list(outcomes), [], []

    @monitor.on(name="moody")
    async def moody(transition: Transition) -> None:
        await asyncio.sleep(0)
        if (error := moods.pop(0) if moods else None) is not None:
            raise error
        returned.append(transition.key)

    async def quietly(call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        try:
            await call()
        except (HookError, asyncio.CancelledError, KeyboardInterrupt):
            return

    async def main() -> None:
        for wire, clock in written(log):
            batch = wire | {"id": "batch_1"}
            try:
                keys.extend(each.key for each in bystander.observe(batch, observed_at=clock).transitions)
            except SnapshotError:
                continue
            await quietly(lambda: monitor.observe(batch, observed_at=clock))  # noqa: B023
        for _ in range(len(outcomes) + 1):
            await quietly(monitor.redeliver)

    awaited(main)

    assert sorted(keys) == sorted(returned)
    assert ValueError in outcomes or keys == returned
