"""Parts of the watch loop by themselves: responses that come too late, rows that cannot be used, failed lists."""

from collections import deque
from math import inf
from types import SimpleNamespace

import pytest

from batchfsm.watching import Transient
from batchfsm.watching.loop import WatchLoop
from batchfsm.watching.response_handler import BatchDiscovery, ResponseHandler
from batchfsm.watching.scheduler import Scheduler


def finish(generator):
    """Run a generator of effects that yields none; return its result."""
    with pytest.raises(StopIteration) as caught:
        next(generator)
    return caught.value.value


def test_an_id_that_is_no_longer_open_is_not_requested():
    """Its request is dropped from the queue, and the wait ends at once."""
    loop = SimpleNamespace(
        _queue=deque(), _not_yet_slow=set(), _in_flight=set(), _is_single_poll=False, _now=lambda: 0.0,
        _is_time_up=lambda: False, _options=SimpleNamespace(concurrency=4),
        _scheduler=SimpleNamespace(open={}, is_paused=lambda _: False),
    )  # fmt: skip
    loop._start_requests = lambda: WatchLoop._start_requests(loop)

    assert finish(WatchLoop._retrieve(loop, ("batch_1",))) is None
    assert (deque(), set()) == (loop._queue, loop._in_flight)


def test_a_response_for_a_batch_that_has_ended_is_ignored():
    """A list has shown its end while the request was under way."""
    loop = SimpleNamespace(
        _in_flight={"batch_1"}, _not_yet_slow={"batch_1"}, _is_server_up=False, _scheduler=SimpleNamespace(open={})
    )
    finish(WatchLoop._handle_wake_up(loop, SimpleNamespace(hints=(), responses=(("batch_1", object()),))))

    assert (set(), set(), True) == (loop._in_flight, loop._not_yet_slow, loop._is_server_up)


def test_a_row_that_cannot_be_used_leaves_its_batch_wanted():
    def refuse(_):
        return False
        yield

    loop = SimpleNamespace(_handler=SimpleNamespace(handle_listed=refuse))
    wanted = {"batch_1": None}

    assert True is finish(WatchLoop._handle_listed(loop, SimpleNamespace(batch_id="batch_1"), wanted))
    assert {"batch_1": None} == wanted


def handler_of(parsed, watched=None):
    """Return a stand-in for a response handler whose reader returns a row."""
    return SimpleNamespace(
        _read=lambda *_: parsed, _write_log=lambda *_: None, _topology=None, is_list_behind=False,
        _scheduler=SimpleNamespace(open={"batch_1": watched}),
    )  # fmt: skip


ROW = SimpleNamespace(batch_id="batch_1", response={})


def test_a_row_that_is_no_batch_is_not_handled():
    assert False is finish(ResponseHandler.handle_listed(handler_of(Transient("odd")), ROW))


def test_an_older_row_after_a_list_proves_nothing():
    """The last row came from a list, too: the list is not behind a retrieve."""
    watched = SimpleNamespace(age_of=lambda *_: "older", final_row=None, is_row_retrieved=False)
    handler = handler_of(SimpleNamespace(row=()), watched)

    assert True is finish(ResponseHandler.handle_listed(handler, ROW))
    assert not handler.is_list_behind


def test_a_requested_batch_is_not_due():
    assert inf == Scheduler._due_at(SimpleNamespace(), SimpleNamespace(is_requested=True), polls_list=False)


def test_a_list_that_is_throttled_pauses_every_request():
    """The server's delay holds for the list and for each batch."""
    scheduler = SimpleNamespace(
        _list_failures=0, discovers=True, may_discover=True, open={}, _paused_until=0.0,
        _schedule=SimpleNamespace(sweep_from=10, delay_s=lambda *_, **__: 5.0),
    )  # fmt: skip
    Scheduler.record_list(scheduler, 100.0, Transient("HTTP 429", 60.0, is_throttled=True), 1, is_whole=False)

    assert (160.0, 160.0) == (scheduler._list_at, scheduler._paused_until)


def test_a_listed_row_without_a_status_opens_no_batch():
    discovery = SimpleNamespace(
        _scheduler=SimpleNamespace(ended={}, dropped={}), _handler=SimpleNamespace(listed_status=lambda _: None)
    )
    row = SimpleNamespace(batch_id="batch_1", created_at=0)

    assert finish(BatchDiscovery.discover(discovery, row, 0.0)) is None
