"""A fault of the transport at any poll of a lifecycle changes no key that hooks receive."""

import asyncio
import itertools
import json
import random
from contextlib import aclosing

import pytest

from batchfsm import AsyncMonitor, Monitor, Schedule, audit, awatch, watch
from support.notation import words
from support.server import FAULTS, Clock, Life, Server

PACE = Schedule(delay_s_min=4, delay_s_max=8, jitter=0)
PATHS = ("vpzc", "vpze", "vpgx", "vgx", "vf")


def stale(server):
    """Return the response of a stale replica: the batch as it was ten seconds ago."""
    life = server.lives["batch_1"]
    return 200, {}, json.dumps(life.seen(max(server.clock() - 10, life.born_at)))


STALE = "a stale read"
NAMES = (*FAULTS, STALE)


def faults_of(faults):
    """Return the server's faults, one for each request, for a mapping of request numbers to fault names."""
    return [{**FAULTS, STALE: stale}.get(faults.get(nth)) for nth in range(max(faults, default=-1) + 1)]


class Bench:
    """One server and one client for many runs, because creating a client takes longer than a run."""

    def __init__(self, path, *, number=1):
        self.lives = [
            Life(path, batch_id=f"batch_{index + 1}", at=range(0, 10 * len(path), 10)) for index in range(number)
        ]
        self.server = Server(*self.lives, clock=Clock())
        self.client = self.server.client()

    def begin(self, faults):
        """Reset the server and set its faults."""
        self.server.clock, self.server.requests = Clock(), []
        self.server.faults = faults_of(faults)
        return {"clock": self.server.clock, "schedule": PACE}

    def run(self, faults):
        """Watch to the end; return the keys that hooks received, and the keys that the watch yielded."""
        options, monitor, heard = self.begin(faults), Monitor(), []
        monitor.on(name="hear")(lambda transition: heard.append(transition.key))
        ids = [life.batch_id for life in self.lives]
        watching = watch(self.client, *ids, monitor=monitor, sleep=self.server.clock.sleep, **options)
        return heard, [each.key for each in watching]

    async def arun(self, faults):
        """Watch to the end with an async client; return the same as `run`."""
        options, monitor, heard = self.begin(faults), AsyncMonitor(), []
        monitor.on(name="hear")(lambda transition: heard.append(transition.key))
        ids = [life.batch_id for life in self.lives]
        client = self.server.async_client()
        watching = awatch(client, *ids, monitor=monitor, sleep=self.server.clock.asleep, **options)
        return heard, [each.key async for each in watching]

    def holds(self, faults, expected):
        """Return whether hooks received, and the watch yielded, exactly the expected keys."""
        heard, yielded = self.run(faults)
        return sorted(heard) == sorted(yielded) == expected

    def clean(self):
        """Return the keys of a run without faults, and the number of its requests."""
        heard, yielded = self.run({})
        assert heard == yielded
        return sorted(heard), len(self.server.requests)


@pytest.mark.parametrize("path", [PATHS[0], *(pytest.param(path, marks=pytest.mark.slow) for path in PATHS[1:])])
def test_one_fault_at_any_poll_changes_no_key(path):
    """Each fault is tried at each request of a lifecycle."""
    bench = Bench(path)
    expected, requests = bench.clean()
    assert list(words(path)) == [life.split("/")[1] for life in bench.run({})[0]]

    tried = [{nth: name} for name in NAMES for nth in range(requests)]

    assert [] == [faults for faults in tried if not bench.holds(faults, expected)]
    assert len(NAMES) * requests == len(tried) >= 50


def some_pairs(requests, number, seed):
    """Return pairs of faults at two requests, some of them consecutive."""
    chance = random.Random(seed)  # noqa: S311
    return [{nth: chance.choice(NAMES) for nth in chance.sample(range(requests), 2)} for _ in range(number)]


@pytest.mark.parametrize(
    "path, number", [("vpzc", 40), *(pytest.param(path, 400, marks=pytest.mark.slow) for path in PATHS)]
)
def test_two_faults_change_no_key(path, number):
    """A sample of pairs of faults at two requests leaves the keys unchanged."""
    bench = Bench(path)
    expected, requests = bench.clean()

    assert [] == [pair for pair in some_pairs(requests, number, path) if not bench.holds(pair, expected)]


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_all_pairs_of_a_kind_change_no_key(path):
    """The same fault occurs at each pair of requests; a third 404 in a row would mean that the batch is gone."""
    bench = Bench(path)
    expected, requests = bench.clean()
    tried = [dict.fromkeys(pair, name) for name in NAMES for pair in itertools.combinations(range(requests), 2)]

    assert [] == [faults for faults in tried if not bench.holds(faults, expected)]


@pytest.mark.parametrize("nth", [0, 2])
def test_an_async_client_loses_nothing_either(nth):
    """A sample of the faults suffices, because the async client raises the same exception classes."""
    bench = Bench("vpzc")
    expected, _ = bench.clean()

    for name in NAMES:
        heard, yielded = asyncio.run(bench.arun({nth: name}))
        assert sorted(heard) == sorted(yielded) == expected, name


@pytest.mark.slow
def test_one_fault_in_any_sweep_changes_no_key():
    """Twelve batches are polled by list, and the fault replaces any one page."""
    bench = Bench("vpzc", number=12)
    expected, requests = bench.clean()
    assert 48 == len(expected)
    tried = [{nth: name} for name in NAMES for nth in range(requests)]

    assert [] == [faults for faults in tried if not bench.holds(faults, expected)]


def test_a_server_that_is_down_for_hours_changes_no_key():
    """A thousand faults in a row, of every kind except 404, leave the keys unchanged."""
    bench = Bench("vpzc")
    expected, _ = bench.clean()
    kinds = [name for name in FAULTS if name not in ("404", "302")]

    assert bench.holds({nth: kinds[nth % len(kinds)] for nth in range(1000)}, expected)


# ---------------------------------------------------------------- interrupts


class Fuse:
    """Raises an exception once, at the n-th call of `tick`."""

    def __init__(self, nth, error):
        self.left, self.error = nth, error
        self.has_blown = False

    def tick(self):
        """Count a call; raise at the n-th."""
        if self.left == 0 and not self.has_blown:
            self.has_blown = True
            raise self.error
        self.left -= 1


def interrupted(fuse, log):
    """Watch until interrupted, then with the same monitor to the end; return the keys that hooks received."""
    clock, monitor, heard = Clock(), Monitor(), []
    life = Life("vpzc", at=[0, 10, 20, 30])

    @monitor.on(name="hear")
    def hear(transition):
        fuse.tick()
        heard.append(transition.key)

    class SnapshotSource:
        def fetch(self, ids):
            fuse.tick()
            return {each: life.seen(clock()) for each in ids}

    def sleep(seconds):
        clock.sleep(seconds)
        fuse.tick()

    def follow():
        for _ in watch(
            "batch_1", source=SnapshotSource(), monitor=monitor, schedule=PACE, log=log, clock=clock, sleep=sleep,
            on_event=lambda _: fuse.tick(),
        ):  # fmt: skip
            fuse.tick()

    try:
        follow()
    except BaseException as error:  # noqa: BLE001  # The fuse raises any exception class.
        assert error is fuse.error
        follow()
    return heard


async def cancelled(fuse):
    """Do the same in a task that is cancelled at an `await`."""
    clock, monitor, heard = Clock(), AsyncMonitor(), []
    life = Life("vpzc", at=[0, 10, 20, 30])

    @monitor.on(name="hear")
    async def hear(transition):
        fuse.tick()
        heard.append(transition.key)

    class SnapshotSource:
        async def fetch(self, ids):
            fuse.tick()
            return {each: life.seen(clock()) for each in ids}

    async def sleep(seconds):
        clock.sleep(seconds)
        fuse.tick()

    async def come(event):
        fuse.tick()

    async def follow():
        watching = awatch(
            "batch_1", source=SnapshotSource(), monitor=monitor, schedule=PACE, clock=clock, sleep=sleep, on_event=come
        )
        async with aclosing(watching):
            async for _ in watching:
                pass

    try:
        await follow()
    except asyncio.CancelledError as error:
        assert error is fuse.error
        await follow()
    return heard


def all_points(run, error):
    """Interrupt a run at each point in turn until no point is left; yield the keys of each run."""
    for nth in itertools.count():
        fuse = Fuse(nth, error())
        heard = run(fuse)
        if not fuse.has_blown:
            return
        yield heard


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_anywhere_loses_nothing(error, tmp_path):
    """The interrupt comes during a request, a sleep, a hook, an event or a yield; the log is complete, too."""
    expected = interrupted(Fuse(-1, error()), None)

    runs = list(all_points(lambda fuse: interrupted(fuse, tmp_path / "log"), error))

    assert words("vpzc") == tuple(key.split("/")[1] for key in expected)
    assert [expected] * len(runs) == runs
    assert len(runs) > 30
    assert audit(tmp_path / "log").ok


def test_a_cancellation_anywhere_loses_nothing():
    """The task is cancelled at each `await` in turn."""
    expected = asyncio.run(cancelled(Fuse(-1, asyncio.CancelledError())))

    runs = list(all_points(lambda fuse: asyncio.run(cancelled(fuse)), asyncio.CancelledError))

    assert [expected] * len(runs) == runs
    assert len(runs) > 25
