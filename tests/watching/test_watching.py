"""Watching: the requests and their times, the handling of responses, events, and the end."""

import asyncio
import json
import logging
import pickle
import re
import sys
from contextlib import aclosing, nullcontext
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import count
from types import SimpleNamespace

import openai
import pytest

from batchfsm import (
    AsyncMonitor,
    HookError,
    IllegalTransitionError,
    MissingExtraError,
    Monitor,
    Schedule,
    WatchError,
    WatchTimeoutError,
    audit,
    awatch,
    parse,
    watch,
)
from batchfsm.journal import TRIES_MAX
from batchfsm.watching import (
    BatchDropped,
    Fatal,
    Gone,
    HooksDead,
    HooksFailed,
    ListProblem,
    PollFailed,
    PollSucceeded,
    Stalled,
    Transient,
    openai_client,
    responses,
)
from support.notation import CREATED, DAY_S, snap, words
from support.server import FAULTS, HTTPX, Clock, Life, Server, raises

EXACT = Schedule(jitter=0)
UP = {"content-type": "application/json"}


@pytest.fixture
def clock():
    """Return a clock that advances only by sleeping."""
    return Clock()


def watched(server, *ids, **options):
    """Watch to the end; return the transitions."""
    options = {"clock": server.clock, "sleep": server.clock.sleep, "schedule": EXACT} | options
    return list(watch(server.client(), *ids, **options))


async def awatched(server, *ids, **options):
    """Watch to the end with an async client; return the transitions."""
    options = {"clock": server.clock, "sleep": server.clock.asleep, "schedule": EXACT} | options
    return [transition async for transition in awatch(server.async_client(), *ids, **options)]


def targets(transitions):
    """Return the targets of transitions."""
    return tuple(transition.target for transition in transitions)


class ScriptedSource:
    """A source that returns one prepared answer for each fetch, and the last one from then on."""

    def __init__(self, *responses):
        self.answers = list(responses)
        self.asked = []

    def fetch(self, ids):
        """Return the next answer, or raise it."""
        self.asked.append(ids)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class AsyncScriptedSource(ScriptedSource):
    """The same source with a coroutine."""

    async def fetch(self, ids):
        """Return the next answer, or raise it."""
        return super().fetch(ids)


def fetched(clock, *responses, ids=("batch_1",), **options):
    """Watch a scripted source to the end; return the transitions and the source."""
    source = ScriptedSource(*responses)
    options = {"clock": clock, "sleep": clock.sleep, "schedule": EXACT} | options
    return list(watch(None, *ids, source=source, **options)), source


END = {"batch_1": snap("vpzc")}


# ---------------------------------------------------------------- the course of a watch


@pytest.mark.parametrize("path", ["vf", "vpzc", "vpze", "vpgx", "vgx"])
def test_a_watch_yields_every_entry_and_ends(clock, path):
    """Each status comes once and in order, for each way to the end."""
    life = Life(path, at=range(0, 60 * len(path), 60))

    assert words(path) == targets(watched(Server(life, clock=clock), "batch_1"))


@pytest.mark.parametrize("path", ["vf", "vpzc", "vpgx"])
def test_an_async_watch_is_the_same(path):
    """The async watch yields the same transitions and sends the same requests."""
    plain, waited = (Server(Life(path), clock=Clock()) for _ in range(2))

    assert targets(watched(plain, "batch_1")) == targets(asyncio.run(awatched(waited, "batch_1")))
    assert plain.requests == waited.requests


def test_hooks_have_run_when_a_transition_is_yielded(clock):
    """Each yielded transition has already been passed to the hooks."""
    monitor, heard = Monitor(), []
    monitor.on(name="hear")(heard.append)
    server = Server(Life("vpzc"), clock=clock)

    for transition in watch(server.client(), "batch_1", monitor=monitor, clock=clock, sleep=clock.sleep):
        assert heard[-1].key == transition.key or transition.key in {each.key for each in heard}
    assert words("vpzc") == targets(heard)


def test_coroutine_hooks_are_awaited():
    """An AsyncMonitor awaits them."""
    monitor, heard = AsyncMonitor(), []

    @monitor.on("completed")
    async def hear(transition):
        await asyncio.sleep(0)
        heard.append(transition.target)

    asyncio.run(awatched(Server(Life("vpzc"), clock=Clock()), "batch_1", monitor=monitor))

    assert ["completed"] == heard


def test_an_id_given_twice_is_watched_once(clock):
    """The batch has one request for each poll."""
    server = Server(Life("vf", at=[0, 0]), clock=clock)

    assert words("vf") == targets(watched(server, "batch_1", "batch_1"))
    assert ["/batches/batch_1"] == server.requests


def test_what_has_ended_for_the_monitor_is_not_asked_for(clock):
    """A restored monitor may hold batches that have ended."""
    monitor = Monitor()
    monitor.observe(snap("vpzc"))
    server = Server(Life("vpzc"), clock=clock)

    assert [] == watched(server, "batch_1", monitor=monitor)
    assert [] == server.requests


def test_pending_hooks_come_before_the_first_look(clock):
    """`redeliver` runs the hooks that a crash interrupted before the first request is sent."""
    monitor, heard = Monitor(), []

    @monitor.on("completed")
    def collect(transition):
        heard.append(transition.batch_id)
        if len(heard) == 1:
            raise ConnectionError

    with pytest.raises(HookError):
        monitor.observe(snap("vpzc", id="batch_0"), observed_at=clock() - 10)
    watched(Server(Life("vpzc"), clock=clock), "batch_1", monitor=monitor)

    assert ["batch_0", "batch_0", "batch_1"] == heard


def test_a_hook_may_have_the_monitor_forget(clock):
    """The watch still ends with the batch."""
    monitor = Monitor()

    @monitor.on("completed")
    def drop(transition):
        monitor.forget(transition.batch_id)

    assert words("vpzc") == targets(watched(Server(Life("vpzc"), clock=clock), "batch_1", monitor=monitor))
    assert 0 == len(monitor)


def test_azure_is_read_in_its_dialect(clock):
    """An Azure client selects the Azure dialect: `Validating` is not an unknown status."""
    life = Life("vpzc", at=[0, 0, 0, 0], status="Completed", created_at=CREATED)
    server = Server(life, clock=clock)
    http = HTTPX.Client(transport=HTTPX.MockTransport(server._respond))
    client = openai.AzureOpenAI(
        api_key="none", api_version="2025-04-01-preview", azure_endpoint="https://x.openai.azure.com", http_client=http
    )
    life.changes = {}

    def spelled(_):
        return 200, {}, json.dumps(snap("v", status="Validating"))

    server.faults = [spelled]

    assert words("vpzc") == targets(watch(client, "batch_1", clock=clock, sleep=clock.sleep))


# ---------------------------------------------------------------- wrong arguments


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda c: watch(), TypeError, "watch takes a client or source=, exactly one of them"),
        (lambda c: watch(c.client(), "batch_1", source=ScriptedSource(END)), TypeError, "watch takes a client or source=, exactly one of them"),
        (lambda c: watch(source=ScriptedSource(END)), ValueError, "a source without list() needs ids, or a monitor with open batches"),
        (lambda c: watch(c.client(), ""), ValueError, "an id is empty"),
        (lambda c: watch(c.client(), 7), TypeError, "an id is text, not int"),
        (lambda c: watch(c.client(), ["batch_1"]), TypeError, "an id is text, not a list: pass the ids one by one, watch(client, *ids)"),
        (lambda c: watch(c.client(), parse(snap("v"))), TypeError, "an id is text, not Snapshot: pass its id"),
        (lambda c: watch(c.async_client(), "batch_1"), TypeError, "AsyncOpenAI is for awatch, not for watch"),
        (lambda c: awatch(c.client(), "batch_1"), TypeError, "OpenAI is for watch, not for awatch"),
        (lambda c: watch(object(), "batch_1"), TypeError, "object has no batches.retrieve: pass an openai client, or source="),
        (lambda c: watch(ScriptedSource(END), "b"), TypeError, "ScriptedSource has no batches.retrieve: it is a source, so pass it as source="),
        (lambda c: watch(type("Anthropic", (), {"__module__": "anthropic"})(), "b"), TypeError, "Anthropic has no batches.retrieve: pass an openai client, or source=batchfsm.sources.anthropic(client)"),
        (lambda c: watch("batch_1"), TypeError, "str has no batches.retrieve: pass an openai client, or source="),
        (lambda c: watch("b", source=object()), TypeError, "object has no fetch(ids)"),
        (lambda c: watch("b", source=AsyncScriptedSource(END)), TypeError, "watch needs source.fetch to be a plain function"),
        (lambda c: awatch("b", source=ScriptedSource(END)), TypeError, "awatch needs source.fetch to be a coroutine function"),
        (lambda c: watch(c.client(), "b", schedule=5), TypeError, "schedule is a Schedule, such as Schedule(delay_s_min=30), not 5"),
        (lambda c: watch(c.client(), "b", hints=["b"]), TypeError, "hints is a HintQueue, not list"),
        (lambda c: watch(c.client(), "b", log=3), TypeError, "log is a path, or an object with write, not int"),
        (lambda c: watch(c.client(), "b", on_error="ignore"), TypeError, "on_error is a function, not 'ignore'"),
        (lambda c: watch(c.client(), "b", clock=None), TypeError, "clock is a function, not None"),
        (lambda c: watch(c.client(), "b", sleep=asyncio.sleep), TypeError, "sleep is a coroutine function, which would never be awaited"),
        (lambda c: watch(c.client(), "b", on_event=asyncio.sleep), TypeError, "on_event is a coroutine function, which would never be awaited"),
        (lambda c: awatch(c.async_client(), "b", clock=asyncio.sleep), TypeError, "clock is a coroutine function, which would never be awaited"),
        (lambda c: watch(c.client(), "b", monitor=AsyncMonitor()), TypeError, "watch needs monitor to be of Monitor, not AsyncMonitor"),
        (lambda c: awatch(c.async_client(), "b", monitor=Monitor()), TypeError, "awatch needs monitor to be of AsyncMonitor, not Monitor"),
        (lambda c: watch(c.client(), "b", timeout_s=-1), ValueError, "timeout_s is 0 or more seconds, not -1"),
        (lambda c: watch(c.client(), "b", timeout_s=float("nan")), ValueError, "timeout_s is 0 or more seconds, not nan"),
        (lambda c: Schedule(jitter=2), ValueError, "jitter is from 0 to 1, not 2"),
        (lambda c: Schedule(share=0), ValueError, "share is a positive number, not 0"),
        (lambda c: Schedule(sweep_from=0), ValueError, "sweep_from is 1 or more, not 0"),
        (lambda c: Schedule(delay_s_min=61), ValueError, "delay_s_min, 61, is above delay_s_max, 60.0"),
    ],
    ids=map(str, range(30)),
)  # fmt: skip
def test_wrong_use_fails_at_once(clock, call, error, said):
    """The error is raised before the first poll, with one clear message."""
    with pytest.raises(error) as caught:
        call(Server(clock=clock))
    assert said == str(caught.value)


def test_awatch_refuses_a_sleep_that_returns_no_awaitable(clock):
    """The error names the argument; a plain function has already slept."""
    server = Server(Life("vpzc"), clock=clock)

    with pytest.raises(TypeError, match=r"^sleep of awatch is like asyncio\.sleep: it returns an awaitable$"):
        asyncio.run(awatched(server, "batch_1", sleep=clock.sleep))


# ---------------------------------------------------------------- transport errors


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("nth", [0, 1, 2])
def test_a_transport_error_changes_nothing(clock, name, nth):
    """After a fault at any poll the batch is polled again, and each transition comes exactly once."""
    server = Server(Life("vpzc", at=[0, 5, 10, 15]), clock=clock, faults=[None] * nth + [FAULTS[name]])

    assert words("vpzc") == targets(watched(server, "batch_1"))


@pytest.mark.parametrize("name", FAULTS)
def test_an_async_client_fails_alike(name):
    """The async client raises the same exception classes."""
    server = Server(Life("vpzc", at=[0, 5, 10, 15]), clock=Clock(), faults=[FAULTS[name]])

    assert words("vpzc") == targets(asyncio.run(awatched(server, "batch_1")))


def test_failures_in_a_row_back_off(clock):
    """The shortest delay doubles with each failure, up to the longest; a success resets it."""
    faults = [FAULTS["500"]] * 9
    server = Server(Life("vpzc", at=[0, 400, 460, 470]), clock=clock, faults=faults)

    watched(server, "batch_1")

    assert [2, 4, 8, 16, 32, 60, 60, 60, 60] == clock.naps[:9]


@pytest.mark.parametrize(
    "headers, waited",
    [
        ({"retry-after": "17"}, 17),
        ({"retry-after-ms": "17500", "retry-after": "3"}, 17.5),
        ({"retry-after": format_datetime(datetime.fromtimestamp(CREATED + 90, UTC), usegmt=True)}, 90),
        ({"retry-after": format_datetime(datetime.fromtimestamp(CREATED - 90, UTC), usegmt=True)}, 2),
        ({"retry-after": "1e9"}, 3600),
        ({"retry-after": "soon"}, 2),
        ({"retry-after": "-5"}, 2),
        ({"retry-after": "nan"}, 2),
        ({"retry-after-ms": "inf", "retry-after": "9"}, 9),
        ({}, 2),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(clock, status, headers, waited):
    """It may hold seconds, milliseconds or a date, at most one hour; an invalid value is ignored."""
    server = Server(Life("vpzc", at=[0, 60, 90, 120]), clock=clock, faults=[(status, headers, "")])

    watched(server, "batch_1")

    assert waited == clock.naps[0]


def test_429_is_about_every_batch(clock):
    """No request is sent until `Retry-After` has passed, and the rest of the poll is postponed, too."""
    lives = [Life("vpzc", batch_id=f"batch_{number}") for number in range(3)]
    server = Server(*lives, clock=clock, faults=[(429, {"retry-after": "20"}, "")])

    assert 12 == len(watched(server, "batch_0", "batch_1", "batch_2"))
    assert 20 == clock.naps[0]
    assert ["/batches/batch_0", "/batches/batch_0", "/batches/batch_1"] == server.requests[:3]


def test_503_is_about_one_batch(clock):
    """The other batches are polled as usual."""
    lives = [Life("vpzc", batch_id=f"batch_{number}") for number in range(2)]
    server = Server(*lives, clock=clock, faults=[(503, {"retry-after": "50"}, "")])

    watched(server, "batch_0", "batch_1")

    assert 1 == clock.naps[0]


def test_what_a_client_refuses_to_send_is_a_bad_id(clock):
    """The batch is dropped at once, because no later request could succeed."""

    class Calls:
        def retrieve(self, batch_id, timeout):
            raise ValueError("path segments must not be '..'")

    class Batches:
        with_raw_response = Calls()
        retrieve = Calls.retrieve

    class Client:
        batches = Batches()

    with pytest.raises(ExceptionGroup) as caught:
        list(watch(Client(), "..", clock=clock, sleep=clock.sleep))
    (error,) = caught.value.exceptions
    assert "the client refused the id (ValueError)" == error.reason


def test_a_client_that_only_parses_will_do(clock):
    """Without `with_raw_response` the watch reads the objects that the client returns, batches and pages."""

    class Batches:
        def retrieve(self, batch_id):
            return openai.types.Batch.construct(**snap("vpzc"))

        def list(self, **_):
            return {"data": [snap("vpzc")], "has_more": False}

    class Client:
        batches = Batches()

    assert words("vpzc") == targets(watch(Client(), "batch_1", clock=clock, sleep=clock.sleep))
    assert () == targets(watch(Client(), clock=clock, sleep=clock.sleep))


# ---------------------------------------------------------------- dropped batches


def test_a_batch_is_gone_after_three_404_in_a_row(clock):
    """The batch is dropped, and the error has the kind `gone`."""
    server = Server(clock=clock)

    with pytest.raises(ExceptionGroup) as caught:
        watched(server, "batch_1")

    (error,) = caught.value.exceptions
    assert 3 == len(server.requests)
    assert ("batch_1", "gone", "HTTP 404 Not Found") == (error.batch_id, error.kind, error.reason)
    assert "batch_1 cannot be watched: HTTP 404 Not Found; the server does not have it" == str(error)


@pytest.mark.parametrize("between", [None, FAULTS["500"]])
def test_three_404_with_another_answer_between_are_no_row(clock, between):
    """A replica that lags behind may answer 404 now and then."""
    flicker = [FAULTS["404"], FAULTS["404"], between, FAULTS["404"], FAULTS["404"]]
    server = Server(Life("vpzc"), clock=clock, faults=flicker)

    assert words("vpzc") == targets(watched(server, "batch_1"))


@pytest.mark.parametrize("status", [400, 401, 403, 405, 422])
def test_a_refusal_for_good_drops_the_batch(clock, status):
    """The other batches are watched to their end; then the error is raised in one group."""
    server = Server(Life("vpzc"), Life("vpzc", batch_id="batch_2"), clock=clock, faults=[(status, {}, "{}")])
    seen = []

    with pytest.raises(ExceptionGroup) as caught:
        for transition in watch(server.client(), "batch_1", "batch_2", clock=clock, sleep=clock.sleep):
            seen.append(transition.key.partition("/")[0])  # noqa: PERF401

    (error,) = caught.value.exceptions
    assert ["batch_2"] * 4 == seen
    assert isinstance(error, WatchError)
    assert ("batch_1", "fatal") == (error.batch_id, error.kind)
    assert f"HTTP {status}" in str(error)
    assert 1 == server.requests.count("/batches/batch_1")


def test_on_error_is_told_at_once_and_nothing_is_raised(clock):
    """`on_error` is called while the other batches are still open."""
    server = Server(Life("vpzc"), clock=clock, faults=[None, (403, {}, "")])
    told = []

    transitions = watched(server, "batch_1", "batch_2", on_error=lambda error: told.append((clock(), error)))

    assert words("vpzc") == targets(transitions)
    assert [(CREATED, "batch_2")] == [(when, error.batch_id) for when, error in told]


def test_what_on_error_raises_ends_the_watch(clock):
    """A user can stop at the first error in this way."""

    def stop(error):
        raise error

    with pytest.raises(WatchError):
        watched(Server(clock=clock, faults=[(401, {}, "")]), "batch_1", on_error=stop)


def test_coroutine_callbacks_are_awaited():
    """Only `awatch` awaits callbacks."""
    told = []

    async def tell(error):
        await asyncio.sleep(0)
        told.append(error.kind)

    asyncio.run(awatched(Server(clock=Clock(), faults=[(401, {}, "")]), "batch_1", on_error=tell))

    assert ["fatal"] == told


def test_errors_can_be_pickled():
    """A worker process may raise them."""
    error = WatchError("batch_1", "gone", "HTTP 404")
    timeout = WatchTimeoutError(5, {"batch_1": None}, [error])

    again = pickle.loads(pickle.dumps(timeout))  # noqa: S301  # Our own.

    assert (str(timeout), dict(timeout.open)) == (str(again), dict(again.open))
    assert str(error) == str(again.errors[0])


# ---------------------------------------------------------------- time-outs


def test_when_the_time_is_up_it_says_what_is_open(clock):
    """The WatchTimeoutError names the open batches and their statuses."""
    lives = [Life("vp", batch_id=f"batch_{number}", at=[0, 10]) for number in range(7)]

    with pytest.raises(TimeoutError) as caught:
        watched(Server(*lives, clock=clock), *(life.batch_id for life in lives), timeout_s=30)

    assert 30 == clock() - CREATED
    assert isinstance(caught.value, WatchTimeoutError)
    assert {life.batch_id: "in_progress" for life in lives} == caught.value.open
    assert (
        "the watch timed out after 30 s, still open: batch_0 (in_progress), batch_1 (in_progress), batch_2 (in_progress), "
        "batch_3 (in_progress), batch_4 (in_progress), and 2 more"
    ) == str(caught.value)


def test_no_time_is_one_look(clock):
    """With a time-out of 0 there is one poll, and no error if the batch has ended by then."""
    server = Server(Life("vpzc", at=[0, 0, 0, 0]), Life("vp", batch_id="batch_2", at=[0, 0]), clock=clock)

    assert words("vpzc") == targets(watched(server, "batch_1", timeout_s=0))
    with pytest.raises(WatchTimeoutError):
        watched(server, "batch_1", "batch_2", timeout_s=0)
    assert [] == clock.naps


def test_a_time_out_brings_the_errors_along(clock):
    """The WatchTimeoutError has the errors of dropped batches in `errors`."""
    server = Server(Life("vp"), clock=clock, faults=[(401, {}, "")])

    with pytest.raises(WatchTimeoutError) as caught:
        watched(server, "batch_2", "batch_1", timeout_s=5)

    assert ["batch_2"] == [error.batch_id for error in caught.value.errors]


def test_a_clock_that_is_set_back_puts_nothing_off(clock):
    """The next poll comes after the planned delay, not an hour later."""

    def back(_):
        clock.now -= 3600
        return 200, {}, json.dumps(snap("v"))

    server = Server(Life("vf", at=[0, 0]), clock=clock, faults=[back])
    server.lives["batch_1"].seen = lambda now: snap("vf", at=[0, 5])

    assert words("vf") == targets(watched(server, "batch_1"))
    assert [1] == clock.naps


# ---------------------------------------------------------------- schedule


def test_the_delay_is_a_tenth_of_the_time_in_the_status(clock):
    """The delay is between a second and a minute, and starts anew with each status."""
    watched(Server(Life("vpzc", at=[0, 3, 1000, 1200]), clock=clock), "batch_1")

    assert [1] * 13 == clock.naps[:13]  # Up to ten seconds after the status began.
    assert 60 == max(clock.naps)
    after = clock.naps[clock.naps.index(60) :]
    assert any(nap < 10 for nap in after)  # After it has become finalizing.


@pytest.mark.parametrize("rolled, expected", [(0.0, 10.0), (0.5, 9.5), (1.0, 9.0)])
def test_jitter_leaves_out_up_to_a_tenth(rolled, expected):
    """Many pollers that started together spread their requests."""
    assert expected == Schedule(random=lambda: rolled).delay_s(100)


def test_jitter_keeps_the_bounds():
    """The delay is never below the shortest one."""
    assert 1 == Schedule(random=lambda: 1.0).delay_s(0)
    assert 60 == Schedule(random=lambda: 0.0).delay_s(10**9, failures=10**6)


def test_a_batch_is_looked_at_right_after_its_deadline(clock):
    """The batch may have expired at that time."""
    server = Server(Life("vpze", at=[0, 10, 20, 100], expires_at=CREATED + 100), clock=clock)

    watched(server, "batch_1", schedule=Schedule(jitter=0, delay_s_min=30))

    assert 101 == clock() - CREATED


def test_a_stamp_ahead_of_our_clock_is_no_age(clock):
    """A server whose clock is ahead causes no negative age and no long delay."""
    clock.now -= 500

    transitions, _ = fetched(clock, {"batch_1": snap("v")}, {"batch_1": snap("v")}, END)

    assert [1, 1] == clock.naps
    assert words("vpzc") == targets(transitions)


def test_what_has_taken_longer_than_the_delay_is_not_waited_for(clock):
    """A slow hook uses up the delay, and the next poll comes at once."""

    def slow(event):
        clock.now += 100

    server = Server(Life("vpzc", at=[0, 150, 250, 350]), clock=clock)

    assert words("vpzc") == targets(watched(server, "batch_1", on_event=slow))
    assert [] == clock.naps


# ---------------------------------------------------------------- stalled batches


def test_a_batch_that_stands_still_is_told_of_once(clock):
    """A batch without a changed field is reported after six hours, and the watch goes on."""
    told = []
    server = Server(Life("vpzc", at=[0, 10, 30_000, 30_010]), clock=clock)

    watched(server, "batch_1", on_stalled=lambda stalled: told.append((clock() - CREATED, stalled)))

    ((when, stalled),) = told
    assert Stalled(batch_id="batch_1", status="in_progress", since=CREATED + 10, is_overdue=False) == stalled
    assert 21_610 <= when <= 21_610 + 60


def test_a_batch_that_moves_and_stands_still_again_is_told_of_again(clock):
    """Each standstill has its own report."""
    told = []
    schedule = Schedule(stalled_after_s=100, jitter=0)
    server = Server(Life("vpzc", at=[0, 10, 500, 900]), clock=clock)

    watched(server, "batch_1", schedule=schedule, on_stalled=told.append)

    assert ["in_progress", "finalizing"] == [stalled.status for stalled in told]


def test_a_batch_that_is_never_seen_stands_still_too(clock):
    """A batch is also reported if the server is down for hours."""
    told = []

    with pytest.raises(WatchTimeoutError):
        fetched(clock, OSError("down"), on_stalled=told.append, timeout_s=30_000)

    assert [None] == [stalled.status for stalled in told]


def test_an_overdue_batch_is_stalled_at_once(clock):
    """Its deadline passed more than a day ago, which is T207."""
    told = []
    clock.now += 3 * DAY_S

    fetched(clock, {"batch_1": snap("vp")}, {"batch_1": snap("vp")}, END, on_stalled=told.append)

    assert [True] == [stalled.is_overdue for stalled in told]


# ---------------------------------------------------------------- polls of the list


def many(number, path="vpzc", **options):
    """Return this many lifecycles."""
    return [Life(path, batch_id=f"batch_{index}", **options) for index in range(number)]


def test_ten_open_batches_are_read_by_list(clock):
    """Each list poll also retrieves one batch by itself, in turn; nine open batches are retrieved one by one."""
    ten, nine = Server(*many(10), clock=clock), Server(*many(9), clock=Clock())

    assert 40 == len(watched(ten, *ten.lives))
    assert 36 == len(watched(nine, *nine.lives))
    assert [f"/batches/batch_{number}" for number in range(10)] == ten.requests[:20:2]
    assert {"/batches"} == set(ten.requests[1::2])
    assert "/batches" not in nine.requests


def test_the_list_is_read_while_that_is_cheaper(clock):
    """With three open batches a page and a retrieve are cheaper than three retrieves; two are retrieved one by one."""
    lives = [Life("vpzc", batch_id=f"batch_{index}", at=[0, 0, 0, 100 * index]) for index in range(10)]
    server = Server(*lives, clock=clock)

    assert 40 == len(watched(server, *server.lives))
    last_list = len(server.requests) - server.requests[::-1].index("/batches")
    assert {"/batches/batch_8", "/batches/batch_9"} == set(server.requests[last_list:])


def test_it_sweeps_no_more_when_that_is_dearer(clock):
    """The few batches that are left are on late pages, and retrieves need fewer requests."""
    lives = [
        Life("vpzc", batch_id=f"batch_{index:03}", at=[0, 0, 0, 0 if index % 199 else 900]) for index in range(400)
    ]
    server = Server(*lives, clock=clock)

    assert 1600 == len(watched(server, *server.lives))
    assert 4 == server.requests.count("/batches")


def test_a_sweep_reads_as_many_pages_as_it_takes(clock):
    """A page has a hundred batches."""
    server = Server(*many(250, at=[0, 0, 0, 0]), clock=clock)

    assert 1000 == len(watched(server, *server.lives))
    assert ["/batches/batch_0"] + ["/batches"] * 3 == server.requests


def test_what_a_list_does_not_show_is_asked_for_by_itself(clock):
    """The watch stops reading pages of other batches when retrieves need fewer requests."""
    strangers = [Life("vpzc", batch_id=f"other_{index}", born_at=CREATED + 100) for index in range(3000)]
    clock.now += 1000
    server = Server(*many(12), *strangers, clock=clock)

    assert 48 == len(watched(server, *(f"batch_{index}" for index in range(12))))
    assert 24 >= len(server.requests)


def test_a_server_without_a_list_is_asked_one_by_one(clock):
    """A 404 of the list does not count as a 404 of a batch."""
    server = Server(*many(10, at=[0, 0, 0, 0]), clock=clock, list_faults=[(404, {}, "")])
    told = []

    assert 40 == len(watched(server, *server.lives, on_event=told.append))
    assert ["/batches/batch_0", "/batches", "/batches/batch_1"] == server.requests[:3]
    assert 1 == server.requests.count("/batches")
    reason = "HTTP 404 Not Found; batches are retrieved one by one"
    assert [ListProblem(kind="unavailable", reason=reason)] == [each for each in told if isinstance(each, ListProblem)]


def test_a_list_that_is_broken_for_good_is_given_up(clock):
    """After three failures one batch is retrieved: if that succeeds, the watch stops using the list."""

    def answer(method, url, answer=Server.answer):
        if url.partition("?")[0].endswith("/batches"):
            server.requests.append("/batches")
            return 500, {}, ""
        return answer(server, method, url)

    server = Server(*many(10), clock=clock)
    server.answer = answer

    assert 40 == len(watched(server, *server.lives))
    assert 3 == server.requests.count("/batches")


def test_a_server_that_is_down_is_not_asked_by_thousands(clock):
    """While the list fails, each poll retrieves one batch at most."""
    server = Server(*many(100), clock=clock, faults=[FAULTS["502 HTML"]] * 12)

    assert 400 == len(watched(server, *server.lives))
    assert 6 >= len([each for each in server.requests[:12] if each != "/batches"])


def test_a_throttled_list_is_left_alone(clock):
    """No request is sent during the pause."""
    faults = [(429, {"retry-after": "40"}, "")] * 4
    server = Server(*many(10), clock=clock, faults=faults)

    assert 40 == len(watched(server, *server.lives))
    assert [40] * 4 == clock.naps[:4]


def test_the_youngest_sets_the_pace_of_sweeps(clock):
    """The delay follows the age since creation: among many batches the status of one has always just changed."""
    server = Server(*many(10, at=[0, 3, 1000, 1010]), clock=clock)

    watched(server, *server.lives)

    assert [60] * 3 == clock.naps[-3:]


def test_a_batch_that_fails_does_not_hold_up_the_sweep(clock):
    """An unknown id is retrieved three times, and the list shows the others."""
    told = []
    server = Server(*many(10), clock=clock)

    watched(server, *server.lives, "nobody", on_error=told.append)

    assert ["nobody"] == [error.batch_id for error in told]
    assert 3 == server.requests.count("/batches/nobody")


def test_async_clients_ask_for_several_at_a_time():
    """At most ten requests run at once, and each response belongs to its own batch."""
    busy, most = 0, 0
    server = Server(*many(30, at=[0, 0, 0, 0]), clock=Clock())
    ten = asyncio.Barrier(10)

    async def respond(request):
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        async with asyncio.timeout(60):
            await ten.wait()  # No request is answered before ten have arrived.
        busy -= 1
        return server._respond(request)

    async def main():
        http = HTTPX.AsyncClient(transport=HTTPX.MockTransport(respond))
        client = openai.AsyncOpenAI(api_key="none", max_retries=0, http_client=http)
        schedule = Schedule(sweep_from=100)
        return [each async for each in awatch(client, *server.lives, clock=server.clock, schedule=schedule)]

    assert 120 == len(asyncio.run(main()))
    assert 10 == most


def test_async_clients_sweep_too():
    """The async watch sends the same requests as the sync one."""
    plain, waited = (Server(*many(110), clock=Clock()) for _ in range(2))

    assert 440 == len(watched(plain, *plain.lives)) == len(asyncio.run(awatched(waited, *waited.lives)))
    assert plain.requests == waited.requests


def test_deadlines_that_come_in_crowds_are_one_sweep(clock):
    """Thirty batches with the same deadline need one poll of the list."""
    lives = many(30, "vpze", at=[0, 10, 20, 100], expires_at=CREATED + 100)
    server = Server(*lives, clock=clock)

    watched(server, *server.lives, schedule=Schedule(jitter=0, delay_s_min=60))

    assert ["/batches"] * 3 == server.requests[1::2]  # At once, after a minute, after the deadline.
    assert 6 == len(server.requests)
    assert 101 == clock() - CREATED


def test_async_clients_stop_asking_when_throttled():
    """After a 429 no further request of the same poll is sent."""
    server = Server(*many(30, at=[0, 0, 0, 0]), clock=Clock(), faults=[(429, {"retry-after": "5"}, "")])

    asyncio.run(awatched(server, *server.lives, schedule=Schedule(sweep_from=100)))

    assert 30 < len(server.requests) <= 50


# ---------------------------------------------------------------- without ids


def test_without_ids_every_open_batch_is_watched_and_new_ones(clock):
    """Batches that ended before the watch are left out; one that began and ended between two list polls is included."""
    server = Server(
        Life("vpzc", batch_id="old", born_at=CREATED - 2 * DAY_S),
        Life("vpzc", batch_id="open", at=[0, 3, 500, 510]),
        Life("vpgx", batch_id="new", born_at=CREATED + 100),
        Life("vf", batch_id="brief", born_at=CREATED + 300, at=[0, 1]),
        clock=clock,
    )

    transitions = watched(server)

    by_batch = {name: [each.target for each in transitions if each.batch_id == name] for name in server.lives}
    assert {"old": "", "open": "vpzc", "new": "vpgx", "brief": "vf"} == {
        name: "".join(letter for word in entered for letter in "vpzcfegx" if words(letter) == (word,))
        for name, entered in by_batch.items()
    }


def test_without_ids_it_ends_when_none_is_open(clock):
    """The watch ends after a list without open batches, and not after a list that failed."""
    server = Server(Life("vpzc", at=[0, 0, 0, 0]), clock=clock, faults=[FAULTS["502 HTML"]])

    assert [] == watched(server)
    assert 2 == len(server.requests)


def test_without_ids_a_refused_list_ends_it(clock):
    """A watch without ids has no other way to find batches."""
    with pytest.raises(ExceptionGroup) as caught:
        watched(Server(clock=clock, faults=[(401, {}, "")]))

    assert ["the list of batches cannot be watched: HTTP 401 Unauthorized; a retry cannot succeed"] == [
        str(error) for error in caught.value.exceptions
    ]


def test_without_ids_a_list_refused_later_drops_what_is_open(clock):
    """A key may be withdrawn during the watch."""
    with pytest.raises(ExceptionGroup) as caught:
        watched(Server(Life("vp"), clock=clock, list_faults=[None, (404, {}, "")]))

    assert ["batch_1", None] == [error.batch_id for error in caught.value.exceptions]


def test_without_ids_the_time_may_be_up_before_any_list(clock):
    """The message names the missing list."""
    with pytest.raises(WatchTimeoutError, match="no list of batches came"):
        watched(Server(clock=clock, faults=[FAULTS["500"]] * 99), timeout_s=20)


def test_a_batch_that_was_dropped_is_not_found_again(clock):
    """Under `raise` an illegal transition is reported once."""
    life = Life("vpzc", at=[0, 1, 2, 3])
    clock.now += 1
    server = Server(life, Life("vpzc", batch_id="batch_2", at=[0, 90, 95, 99]), clock=clock)
    monitor, told = Monitor(on_illegal="raise"), []
    monitor.observe(snap("vf"))
    monitor.forget("batch_1")
    monitor.observe(snap("vpg", at=[0, 1, 1]))
    life.seen = lambda now: snap("v", created_at=CREATED, failed_at=None, in_progress_at=CREATED + 700)

    watched(server, monitor=monitor, on_error=told.append)

    assert 1 >= len(told)


def test_a_list_that_shows_the_oldest_first_is_read_to_its_end(clock):
    """New batches are on the last page of such a list."""
    lives = [
        Life("vpzc", batch_id=f"old_{index}", born_at=CREATED - 900 + index, at=[0, 1, 2, 3]) for index in range(25)
    ]
    server = Server(*lives, Life("vpzc"), Life("vf", batch_id="new", born_at=CREATED + 100), clock=clock)
    shown = Server._page

    def page(query):
        status, headers, body = shown(server, {"limit": ["1000"]})
        batches = list(reversed(json.loads(body)["data"]))
        begin = [batch["id"] for batch in batches].index(query["after"][0]) + 1 if "after" in query else 0
        rest = batches[begin : begin + 10]
        return status, headers, json.dumps({"data": rest, "has_more": begin + 10 < len(batches)})

    server._page = page

    assert {"batch_1", "new"} == {each.batch_id for each in watched(server)}


PAGES = {
    "empty": (['{"data": [], "has_more": true}'], "page 1 is empty, and more are announced", 1),
    "no ids": (['{"data": [{"id": 7}, null, "x"], "has_more": true}'], "page 1 repeats earlier ones", 1),
    "one page again and again": (
        ['{"data": [{"id": "x", "status": "completed", "created_at": "soon"}], "has_more": true}'],
        "page 2 repeats earlier ones",
        2,
    ),
    "a circle of two": (
        [json.dumps({"data": [snap("vpzc", id=each)], "has_more": True}) for each in "ab"],
        "page 3 repeats earlier ones",
        3,
    ),
    "a cursor again": (
        [
            json.dumps({"data": [snap("vpzc", id=each) for each in page], "has_more": True})
            for page in ("ab", "cd", "eb", "fg")
        ],
        "page 3 leads back to an earlier one",
        3,
    ),
    "an entry without an id": (
        [json.dumps({"data": [snap("vpzc"), {"status": "in_progress"}], "has_more": False})],
        "page 1 has a batch without an id",
        1,
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_list_that_leads_nowhere_is_cut_short_and_reported(clock, name):
    """A truncated list does not mean that no batch is open: it is read again until the time is up."""
    pages, problem, number = PAGES[name]
    server, told = Server(clock=clock), []
    server._page = lambda _: (200, {}, pages[(len(server.requests) - 1) % len(pages)])

    with pytest.raises(WatchTimeoutError) as caught:
        watched(server, timeout_s=0, on_event=told.append)

    assert problem == caught.value.list_problem
    assert f"the watch timed out after 0 s, the list of batches is incomplete: {problem}" == str(caught.value)
    assert [ListProblem(kind="cut_short", reason=problem)] == [each for each in told if isinstance(each, ListProblem)]
    assert number == len(server.requests)


def test_a_list_without_an_end_is_cut_short_at_a_number_of_pages(clock, monkeypatch):
    """Each page is a new one and announces a further one."""
    monkeypatch.setattr("batchfsm.watching.pagination.PAGES_MAX", 7)
    server = Server(clock=clock)
    server._page = lambda query: (
        200, {}, json.dumps({"data": [snap("vf", id=f"batch_{len(server.requests)}")], "has_more": True})
    )  # fmt: skip

    with pytest.raises(WatchTimeoutError, match="it goes on after 7 pages"):
        watched(server, timeout_s=0)
    assert 7 == len(server.requests)


def test_the_same_problem_of_a_list_is_one_event(clock):
    """The problem has a second event only after a complete list."""
    server, told = Server(clock=clock), []
    cut, whole = '{"data": [], "has_more": true}', json.dumps({"data": [snap("vp")], "has_more": False})
    pages = iter([cut, cut, whole, cut, '{"data": []}'])
    server.answer = lambda method, url: (200, {}, next(pages) if "batch_1" not in url else json.dumps(snap("vf")))

    watched(server, on_event=told.append, on_error=told.append)

    assert 2 == sum(isinstance(each, ListProblem) for each in told)


def test_the_time_is_up_between_two_pages(clock):
    """The watch stops between the pages of a slow list."""
    server = Server(clock=clock)

    def page(query):
        clock.now += 4
        return 200, {}, json.dumps({"data": [snap("vp", id=f"batch_{len(server.requests)}")], "has_more": True})

    server._page = page

    with pytest.raises(WatchTimeoutError) as caught:
        watched(server, timeout_s=10)
    assert ["batch_1", "batch_2", "batch_3"] == list(caught.value.open)
    assert 3 == len(server.requests)


def test_a_sweep_shows_what_a_look_of_its_own_did_not(clock):
    """After its deadline a batch is retrieved by itself; if that fails, the next list poll shows it."""
    server = Server(Life("vpzc", at=[0, 0, 0, 200], expires_at=CREATED + 100), clock=clock)
    answer = server.answer

    def failing(method, url):
        if not url.endswith("/batch_1"):
            return answer(method, url)
        server.requests.append("/batches/batch_1")
        return 503, {"retry-after": "3000"}, ""

    server.answer = failing

    assert words("vpzc") == targets(watched(server))
    assert 1 == server.requests.count("/batches/batch_1")


def test_what_ended_while_nobody_watched_is_no_history(clock):
    """A batch that the monitor holds as open gets its end, though it ended before the first list poll."""
    monitor = Monitor()
    monitor.observe(snap("vp"))
    clock.now += DAY_S
    server = Server(Life("vpzc"), Life("vpzc", batch_id="batch_2"), clock=clock)

    transitions = watched(server, monitor=monitor)

    assert [("batch_1", "finalizing"), ("batch_1", "completed")] == [
        (each.batch_id, each.target) for each in transitions
    ]


@pytest.mark.parametrize("page", ['{"data": {}}', "{}", '{"error": {}}'])
def test_an_answer_that_is_no_page_is_no_sweep(clock, page):
    """The list is read again."""
    server = Server(clock=clock, faults=[(200, {}, page)])

    assert [] == watched(server)
    assert 2 == len(server.requests)


# ---------------------------------------------------------------- requirements of a client


@pytest.mark.parametrize(
    "own, sent",
    [
        ({}, {"connect": 5, "read": 60, "write": 60, "pool": 60}),
        ({"timeout": 7}, {"connect": 7, "read": 7, "write": 7, "pool": 7}),
        ({"timeout": 700}, {"connect": 60, "read": 60, "write": 60, "pool": 60}),
        ({"timeout": None}, {"connect": 60, "read": 60, "write": 60, "pool": 60}),
        ({"timeout": HTTPX.Timeout(9, read=None)}, {"connect": 9, "read": 60, "write": 9, "pool": 9}),
    ],
)
def test_no_request_takes_longer_than_a_minute(clock, own, sent):
    """The client's own time-outs are kept if they are shorter."""
    server, asked = Server(Life("vf", at=[0, 0]), clock=clock), []

    def respond(request):
        asked.append(request.extensions["timeout"])
        return server._respond(request)

    http = HTTPX.Client(transport=HTTPX.MockTransport(respond))
    client = openai.OpenAI(api_key="none", max_retries=0, http_client=http, **own)

    list(watch(client, "batch_1", clock=clock))

    assert [sent] == asked


def test_the_retries_of_a_client_are_its_own(clock):
    """A request that the client repeats counts as one."""
    server, naps = Server(Life("vf", at=[0, 0]), clock=clock, faults=[FAULTS["500"]]), []
    client = server.client().with_options(max_retries=1)
    client._sleep_for_retry = lambda **_: naps.append(True)

    assert words("vf") == targets(watch(client, "batch_1", clock=clock))
    assert (2, 1) == (len(server.requests), len(naps))


def test_the_client_of_the_command_line_leaves_trying_again_to_the_schedule():
    """The client itself repeats no request; the schedule of the watch does."""
    client = openai_client.connect(api_key="sk-none", base_url="http://127.0.0.1:1/v1")

    assert (0, "http://127.0.0.1:1/v1/") == (client.max_retries, str(client.base_url))


def test_without_an_openai_client_the_command_line_says_what_to_install(monkeypatch):
    """The message names the extra."""
    monkeypatch.setitem(sys.modules, "openai", None)

    with pytest.raises(MissingExtraError, match=r"'batchfsm\[watch\]'"):
        openai_client.connect(api_key="sk-none", base_url=None)


# ---------------------------------------------------------------- sources


def test_a_source_needs_no_sdk(clock):
    """A source returns snapshots by id."""
    transitions, source = fetched(clock, {"batch_1": parse(snap("vp"))}, {"batch_1": parse(snap("vpzc"))})

    assert words("vpzc") == targets(transitions)
    assert [("batch_1",)] * 2 == source.asked


def test_an_async_source_is_awaited(clock):
    """`awatch` awaits it."""

    async def main():
        source = AsyncScriptedSource(OSError(), {"batch_1": parse(snap("vp"))}, END)
        return [each async for each in awatch("batch_1", source=source, clock=clock, sleep=clock.asleep)]

    assert words("vpzc") == targets(asyncio.run(main()))


@pytest.mark.parametrize(
    "answer",
    [{}, None, [], {"batch_1": None}, {"batch_1": Transient()}, {"batch_1": Gone()}, {"batch_1": "<html>"}, OSError("x"), RuntimeError("x")],
)  # fmt: skip
def test_what_a_source_cannot_answer_is_a_failed_look(clock, answer):
    """The batch is fetched again."""
    transitions, source = fetched(clock, answer, END)

    assert words("vpzc") == targets(transitions)
    assert 2 == len(source.asked)


def test_a_source_may_say_fatal(clock):
    """`Fatal` drops the one batch for which it is returned."""
    told = []
    answer = {"batch_1": Fatal("a bad id"), "batch_2": parse(snap("vf", id="batch_2"))}

    transitions, _ = fetched(clock, answer, ids=("batch_1", "batch_2"), on_error=told.append)

    assert words("vf") == targets(transitions)
    assert ["a bad id"] == [error.reason for error in told]


class RefusedError(Exception):
    """An error with the attribute `status_code`, as most HTTP clients raise it."""

    def __init__(self, status_code):
        super().__init__("secret")
        self.status_code = status_code


def test_what_a_source_raises_is_classed_by_its_status(clock):
    """A 401 is fatal for each batch; a 404 for several ids does not show which batch is missing."""
    told = []
    fetched(clock, RefusedError(401), ids=("a", "b"), on_error=told.append)
    assert ["fatal", "fatal"] == [error.kind for error in told]

    transitions, _ = fetched(clock, *[RefusedError(404)] * 4, END | {"b": snap("vf", id="b")}, ids=("batch_1", "b"))
    assert 6 == len(transitions)

    fetched(clock, RefusedError(404), on_error=told.append)
    assert "gone" == told[-1].kind


def test_a_source_is_swept_from_ten_on(clock):
    """With ten batches or more, one fetch has all ids."""
    ids = tuple(f"batch_{index}" for index in range(12))
    ends = {each: snap("vpzc", id=each) for each in ids}

    transitions, source = fetched(clock, OSError(), ends, ids=ids)

    assert 48 == len(transitions)
    assert [ids, ids] == source.asked


def test_a_time_of_observation_that_a_source_gives_is_kept(clock):
    """The time of the source is more exact than the time of the watch."""
    (*_, last), _ = fetched(clock, {"batch_1": parse(snap("vpzc"), observed_at=CREATED + 5.0)})

    assert CREATED + 5 == last.observed_at


# ---------------------------------------------------------------- hooks that raise, illegal transitions


def test_a_hook_that_raises_stops_nothing(clock):
    """The hook is called again between polls; once it has returned there is no error."""
    monitor, tries = Monitor(), []

    @monitor.on("in_progress")
    def shaky(transition):
        tries.append(clock())
        if len(tries) < 3:
            raise ConnectionError

    assert words("vpzc") == targets(watched(Server(Life("vpzc"), clock=clock), "batch_1", monitor=monitor))
    assert 3 == len(tries)


def test_a_hook_that_never_returns_well_is_raised_at_the_end(clock):
    """The last error of the hook is raised once, after all other batches have ended."""
    monitor = Monitor()

    @monitor.on("completed")
    def broken(transition):
        raise ConnectionError("down")

    seen = []
    with pytest.raises(ExceptionGroup) as caught:
        for each in watch(
            Server(Life("vpzc"), clock=clock).client(), "batch_1", monitor=monitor, clock=clock, sleep=clock.sleep
        ):
            seen.append(each.target)  # noqa: PERF401

    assert words("vpzc") == tuple(seen)
    assert [ConnectionError] == [type(error) for error in caught.value.exceptions]
    assert "watch ended with 1 error" == caught.value.message


def test_errors_of_a_watch_are_flat(clock):
    """`except*` finds the exceptions of hooks beside the dropped batches; no group contains another group."""
    monitor = Monitor()

    @monitor.on("completed", name="first")
    def first(transition):
        raise ConnectionError("down")

    @monitor.on("completed", name="second")
    def second(transition):
        raise LookupError("none")

    found = []
    try:
        watched(Server(Life("vpzc"), clock=clock), "batch_1", "batch_2", monitor=monitor)
    except* LookupError as group:
        found += group.exceptions
    except* (ConnectionError, WatchError) as group:
        found += group.exceptions

    assert [LookupError, WatchError, ConnectionError] == [type(each) for each in found]


def test_on_error_hears_of_hooks_at_once_and_at_the_end(clock):
    """`on_error` is called at the first failure and at the end; failures in between are only logged."""
    monitor, told = Monitor(), []

    @monitor.on("in_progress")
    def broken(transition):
        raise ConnectionError("down")

    watched(Server(Life("vpzc"), clock=clock), "batch_1", monitor=monitor, on_error=told.append)

    assert [HookError, HookError] == [type(error) for error in told]


def test_a_coroutine_hook_that_raises_stops_nothing():
    """The watch continues as with a plain hook."""
    monitor, told = AsyncMonitor(), []

    @monitor.on("in_progress")
    async def broken(transition):
        raise ConnectionError("down")

    server = Server(Life("vpzc"), clock=Clock())
    transitions = asyncio.run(awatched(server, "batch_1", monitor=monitor, on_error=told.append))

    assert words("vpzc") == targets(transitions)
    assert [HookError, HookError] == [type(error) for error in told]


def test_an_illegal_move_is_raised_if_the_monitor_says_so(clock):
    """The batch is dropped, because each poll would raise again; the others are watched on."""
    told = []
    gone_back = snap("vpzcp")

    fetched(
        clock, {"batch_1": snap("vp")}, {"batch_1": snap("vpz")}, {"batch_1": snap("v", in_progress_at=CREATED + 1)}, monitor=Monitor(on_illegal="raise"), on_error=told.append,
    )  # fmt: skip

    assert [IllegalTransitionError] == [type(error) for error in told]
    assert "in_progress" == gone_back["status"]


def test_an_unknown_status_is_watched_on(clock):
    """S004 is a finding and does not end the watch."""
    transitions, _ = fetched(clock, {"batch_1": snap("v", status="scheduling")}, END)

    assert words("vpzc") == targets(transitions)


# ---------------------------------------------------------------- log, close, cancel


def test_the_log_is_what_audit_reads(clock, tmp_path):
    """The log has every snapshot unchanged, with its time."""
    log = tmp_path / "watch.jsonl"
    server = Server(Life("vpzc", unheard_of=[1]), clock=clock)

    watched(server, "batch_1", log=log)

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(server.requests) == len(lines)
    assert {"observed_at": CREATED, "snapshot": snap("v", unheard_of=[1])} == lines[0]
    assert (True, len(lines)) == ((report := audit(log)).ok, report.snapshots)


def test_failed_looks_are_not_logged(clock, tmp_path):
    """They have no snapshot."""
    faults = [FAULTS["HTML at 200"], FAULTS["an error body at 200"], FAULTS["404"]]
    log = tmp_path / "watch.jsonl"

    watched(Server(Life("vpzc"), clock=clock, faults=faults), "batch_1", log=log)

    assert 0 == audit(log).unreadable_count


def test_a_torn_line_of_an_earlier_log_is_ended(clock, tmp_path):
    """The torn line is closed, complete lines are kept, and new lines follow."""
    log = tmp_path / "watch.jsonl"
    log.write_text('{"observed_at": 1, "snap')

    watched(Server(Life("vf", at=[0, 0]), clock=clock), "batch_1", log=str(log))
    watched(Server(Life("vf", at=[0, 0]), clock=clock), "batch_1", log=str(log))

    report = audit(log)
    assert (2, 1) == (report.snapshots, report.unreadable_count)


def test_a_log_may_be_anything_with_write(clock):
    """The watch writes to it and does not close it."""

    class Lines(list):
        write = list.append

    lines = Lines()
    watched(Server(Life("vf", at=[0, 0]), clock=clock), "batch_1", log=lines)
    fetched(clock, {"batch_1": parse(snap("vf"))}, log=lines)

    assert ["failed", "failed"] == [json.loads(line)["snapshot"]["status"] for line in lines]


def test_closing_the_generator_stops_at_once(clock, tmp_path):
    """The monitor keeps its state, and another watch continues from it."""
    monitor, log = Monitor(), tmp_path / "watch.jsonl"
    server = Server(Life("vpzc"), clock=clock)

    watching = watch(server.client(), "batch_1", monitor=monitor, log=log, clock=clock, sleep=clock.sleep)
    first = next(watching)
    watching.close()

    assert "validating" == first.target
    assert 1 == len(server.requests)
    assert words("pzc") == targets(watched(server, "batch_1", monitor=monitor, log=log))
    assert audit(log).ok


def test_an_interrupt_while_waiting_stops_at_once(clock, tmp_path):
    """KeyboardInterrupt passes through, and the log is closed."""

    def interrupted(seconds):
        raise KeyboardInterrupt

    server, log = Server(Life("vpzc"), clock=clock), tmp_path / "watch.jsonl"

    with pytest.raises(KeyboardInterrupt):
        watched(server, "batch_1", sleep=interrupted, log=log)
    assert 1 == len(log.read_text().splitlines())


def test_cancelling_the_task_stops_at_once():
    """The task is cancelled during a sleep and during a request; another watch continues."""
    monitor = AsyncMonitor()

    async def main():
        server = Server(Life("vpzc"), clock=Clock())
        stuck = asyncio.Event()

        async def follow(sleep):
            watching = awatch(server.async_client(), "batch_1", monitor=monitor, clock=server.clock, sleep=sleep)
            async with aclosing(watching):
                return [each.target async for each in watching]

        async def forever(_):
            stuck.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(follow(forever))
        await stuck.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await follow(server.clock.asleep)

    assert list(words("pzc")) == asyncio.run(main())


def test_an_async_generator_may_be_left_early():
    """`aclosing` closes all resources at the end of its block."""

    async def main():
        server = Server(Life("vpzc"), clock=Clock())
        async with aclosing(awatch(server.async_client(), "batch_1", clock=server.clock)) as watching:
            return (await anext(watching)).target

    assert "validating" == asyncio.run(main())


def test_the_real_sleep_is_the_default():
    """The delays are short; the test's clock advances at each reading, so a slow machine changes nothing."""
    clock = (CREATED + 1000 + step / 2000 for step in count()).__next__
    brief = Schedule(delay_s_min=0.01, delay_s_max=0.01)
    source = ScriptedSource({"batch_1": snap("vp")}, END)
    assert words("vpzc") == targets(watch("batch_1", source=source, schedule=brief, clock=clock))

    async def main():
        source = AsyncScriptedSource({"batch_1": snap("vp")}, END)
        return [each async for each in awatch("batch_1", source=source, schedule=brief, clock=clock)]

    assert words("vpzc") == targets(asyncio.run(main()))


# ---------------------------------------------------------------- events


def test_all_that_happens_is_told(clock):
    """The events come in order, each with its own class; a lasting finding has one event."""
    monitor, told = Monitor(), []

    @monitor.on("in_progress")
    def broken(transition):
        raise ConnectionError("down")

    faults = [FAULTS["500"], FAULTS["404"], (401, {}, ""), None]
    lives = [Life("vp", batch_id=name, at=[0, 3], expires_at=None) for name in ("batch_1", "batch_2")]
    with pytest.raises(WatchTimeoutError):
        watched(
            Server(*lives, clock=clock, faults=faults), "batch_1", "batch_2",
            monitor=monitor, on_event=told.append, timeout_s=99, schedule=Schedule(jitter=0, stalled_after_s=50),
        )  # fmt: skip

    assert [
        PollFailed(batch_id="batch_1", kind="transient", reason="HTTP 500 Internal Server Error"),
        PollFailed(batch_id="batch_2", kind="gone", reason="HTTP 404 Not Found"),
        PollFailed(batch_id="batch_1", kind="fatal", reason="HTTP 401 Unauthorized"),
    ] == [event for event in told if isinstance(event, PollFailed)]
    (dropped,) = [event for event in told if isinstance(event, BatchDropped)]
    assert ("batch_1", "fatal") == (dropped.batch_id, dropped.error.kind)
    looked = [event for event in told if isinstance(event, PollSucceeded)]
    assert words("vp") == targets(each for event in looked for each in event.transitions)
    assert ["P104"] == [finding.rule for event in looked for finding in event.findings]
    failed = [str(each) for event in told if isinstance(event, HooksFailed) for each in event.error.exceptions]
    assert {"down"} == set(failed)
    assert ["batch_2"] == [event.batch_id for event in told if isinstance(event, Stalled)]


def test_a_dead_hook_is_an_event_and_a_warning(clock, caplog):
    """The watch in which the hook dies and each later one warn; the first raises its last error at the end."""
    monitor, told, errors = Monitor(), [], []

    @monitor.on("in_progress")
    def broken(transition):
        raise ConnectionError("down")

    options = {"monitor": monitor, "on_event": told.append}
    life = Life("vpzc", at=[0, 1, 20_000, 20_001])
    with pytest.raises(ExceptionGroup) as caught:
        watched(Server(life, clock=clock), "batch_1", **options)
    watched(Server(Life("vpzc"), clock=clock), "batch_1", **options, on_error=errors.append)
    tries = [event for event in told if isinstance(event, HooksFailed)]

    assert (TRIES_MAX, 1, []) == (len(tries), len(caught.value.exceptions), errors)
    assert [HooksDead(count=1), HooksDead(count=1)] == [event for event in told if isinstance(event, HooksDead)]
    assert ["hooks_dead - count=1"] * 2 == [
        record.getMessage() for record in caplog.records if record.event == "hooks_dead"
    ]
    assert {logging.WARNING} == {record.levelno for record in caplog.records if record.event == "hooks_dead"}


def test_a_hook_that_returned_in_the_end_is_no_error(clock):
    """The hook raised twice and returned when it was called again between polls."""
    monitor, tries = Monitor(), []

    @monitor.on("in_progress")
    def shaky(transition):
        tries.append(transition.key)
        if len(tries) < 3:
            raise ConnectionError("down")

    watched(Server(Life("vpzc", at=[0, 1, 2000, 2001]), clock=clock), "batch_1", monitor=monitor)

    assert 3 == len(tries)


def test_the_end_of_a_watch_is_no_try(clock):
    """The hook failed a moment ago; it stays pending with one try, and its error is raised."""
    monitor, tries = Monitor(), []

    @monitor.on("completed")
    def broken(transition):
        tries.append(transition.key)
        raise ConnectionError("down")

    for _ in range(3):
        with pytest.raises(ExceptionGroup) if not tries else nullcontext():
            watched(Server(Life("vpzc"), clock=clock), "batch_1", monitor=monitor)

    assert (1, 1) == (len(tries), monitor.redeliver(now=clock()).failing)


# ---------------------------------------------------------------- logging


def test_what_is_logged_is_structured(clock, caplog):
    """Each record has one word as event and fields; transitions are INFO, problems higher, unchanged polls DEBUG."""
    caplog.set_level(logging.DEBUG, "batchfsm")
    server = Server(Life("vpzc", at=[0, 5, 6, 7], expires_at=None), clock=clock, faults=[FAULTS["500"]])

    watched(server, "batch_1")

    by_event = {record.event: record for record in caplog.records}
    assert 1 == len([record for record in caplog.records if record.event == "finding"])  # P104 is logged once.
    assert {"poll_failed", "transition", "finding", "unchanged"} == set(by_event)
    assert ("transient", "HTTP 500 Internal Server Error") == (
        by_event["poll_failed"].kind,
        by_event["poll_failed"].reason,
    )
    last = by_event["transition"]
    assert ("batch_1", "completed", "observed", 0, logging.INFO) == (
        last.batch_id,
        last.target,
        last.evidence,
        last.lag_s,
        last.levelno,
    )
    assert f"batch_1/completed/{CREATED + 7}" == last.key


SECRET = "sk-proj-do-not-tell"  # The test searches the logs and errors for it.


@pytest.mark.parametrize(
    "fault",
    [
        (401, {}, json.dumps({"error": {"message": f"Incorrect API key provided: {SECRET}.", "code": SECRET}})),
        (500, {"x-echo": SECRET}, f"<p>{SECRET}</p>"),
        raises(lambda: HTTPX.LocalProtocolError(f"Illegal header value b'Bearer {SECRET}'")),
        (200, {}, f'{{"error": "{SECRET}"}}'),
    ],
)
def test_no_key_reaches_a_log_or_an_error(clock, caplog, fault, tmp_path):
    """A server's echo of the key and the metadata are left out, too."""
    caplog.set_level(logging.DEBUG, "batchfsm")
    told, log = [], tmp_path / "log"
    server = Server(Life("vpzc", metadata={"owner": "Q-PRIVATE"}), clock=clock, faults=[fault])

    watched(server, "batch_1", on_error=told.append, log=log)

    said = caplog.text + "".join(str(vars(record)) for record in caplog.records) + str(told)
    assert SECRET not in said + log.read_text()
    assert "Q-PRIVATE" not in said


def test_the_classes_of_status_are_complete():
    """Every status code has a class; a code that is not a refusal is transient."""
    of = {
        status: type(responses.classify_status(status, {}, now=0)).__name__
        for status in (302, 400, 404, 408, 410, 425, 429, 499, 500, 599)
    }

    assert {
        302: "Transient", 400: "Fatal", 404: "Gone", 408: "Transient", 410: "Gone", 425: "Transient", 429: "Transient",
        499: "Fatal", 500: "Transient", 599: "Transient",
    } == of  # fmt: skip


@pytest.mark.parametrize(
    "monitor, said",
    [
        (Monitor(), "the source has batches of anthropic, and the monitor is for openai: pass Monitor('anthropic')"),
        (
            Monitor("mistral"),
            "the source has batches of anthropic, and the monitor is for mistral: pass Monitor('anthropic')",
        ),
    ],
    ids=["openai", "mistral"],
)
def test_a_monitor_of_another_provider_is_refused(monitor, said):
    """In its dialect no batch of the source has a known status, so that the watch would never end."""
    source = SimpleNamespace(dialect="anthropic", fetch=lambda _: {})

    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        watch("msgbatch_1", source=source, monitor=monitor)


def test_a_monitor_of_the_sources_provider_is_accepted():
    """A source without a dialect goes with every monitor."""
    watch(
        "msgbatch_1", source=SimpleNamespace(dialect="anthropic", fetch=lambda _: {}), monitor=Monitor("anthropic")
    ).close()
    watch("batch_1", source=SimpleNamespace(fetch=lambda _: {}), monitor=Monitor("anthropic")).close()
