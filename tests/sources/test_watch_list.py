"""A watch over the list of a source: it needs no ids, follows every open batch and new ones, and ends with them."""

import asyncio
from contextlib import aclosing

import pytest

from batchfsm import AsyncMonitor, Monitor, Schedule, Snapshot, WatchTimeoutError, awatch, watch
from batchfsm.sources import AsyncProviderSource, ProviderSource
from batchfsm.watching import Gone
from batchfsm.watching.events import PollFailed
from support.notation import CREATED
from support.other_providers import ANTHROPIC, ENDED

SLOW = Schedule(jitter=0)


class SDKError(Exception):
    """An error of an SDK."""

    status_code = 503


class RefusedError(Exception):
    """An error of an SDK: the key may not read."""

    status_code = 401


class Account:
    """The batches of an account: each ends at a time, and is listed from a time on."""

    def __init__(self, **ends_at):
        self.now = 0.0
        self.ends_at, self.listed_from = ends_at, dict.fromkeys(ends_at, 0.0)
        self.calls, self.list_errors, self.stale = [], [], False

    def body(self, batch_id, *, is_stale=False):
        body = ENDED if self.now >= self.ends_at[batch_id] and not is_stale else ANTHROPIC
        return body | {"id": batch_id}

    def retrieve(self, batch_id):
        self.calls.append(batch_id)
        return self.body(batch_id)

    def list_page(self, cursor):
        self.calls.append("list")
        if self.list_errors:
            raise self.list_errors.pop()
        shown = [each for each, since in self.listed_from.items() if self.now >= since]
        return [self.body(each, is_stale=self.stale) for each in shown], None

    def sleep(self, seconds):
        self.now += seconds

    def source(self):
        return ProviderSource(dialect="anthropic", retrieve=self.retrieve, list_page=self.list_page)

    def async_source(self):
        async def retrieve(batch_id):
            return self.retrieve(batch_id)

        async def list_page(cursor):
            return self.list_page(cursor)

        return AsyncProviderSource(dialect="anthropic", retrieve=retrieve, list_page=list_page)


def watched(account, **options):
    """Watch an account without ids; return the ended batches in order."""
    options = {"clock": lambda: account.now, "sleep": account.sleep, "schedule": SLOW} | options
    return [each.batch_id for each in watch(source=account.source(), **options) if each.target == "ended"]


def test_every_open_batch_is_watched_to_its_end():
    """A batch that had ended before the watch is not reported, and each open one is."""
    account = Account(old=-1.0, first=20.0, second=40.0)

    assert ["first", "second"] == watched(account)
    assert "old" not in account.calls


def test_a_monitor_is_made_in_the_dialect_of_the_source():
    """Without a monitor the words of the provider are known."""
    account = Account(first=5.0)
    targets = [each.target for each in watch(source=account.source(), clock=lambda: account.now, sleep=account.sleep)]

    assert ["in_progress", "cancelling", "ended"] == targets


def test_a_new_batch_is_found():
    """A batch that the list shows later is watched too, even one that has ended meanwhile."""
    account = Account(first=60.0, new=10.0)
    account.listed_from["new"] = 20.0

    assert {"first", "new"} == set(watched(account))


def test_a_batch_that_the_list_leaves_out_is_fetched():
    """A list that drops a batch does not hide its end."""
    account = Account(first=30.0)
    body = account.body

    def list_page(cursor):
        page = Account.list_page(account, cursor)
        return page if account.now < 5 else ([], None)

    account.body, account.list_page = body, list_page

    assert ["first"] == watched(account)


def test_an_account_without_an_open_batch_ends_at_once():
    account = Account(old=-1.0)

    assert [] == watched(account)
    assert ["list"] == account.calls


def test_a_failed_list_is_tried_again():
    """A transient error of the list is an event and ends nothing."""
    account, events = Account(first=20.0), []
    account.list_errors = [SDKError(), SDKError()]

    assert ["first"] == watched(account, on_event=events.append)
    assert ["HTTP 503 Service Unavailable"] == [each.reason for each in events if isinstance(each, PollFailed)][:1]


def test_a_refused_list_ends_the_watch():
    account, events = Account(first=20.0), []
    account.list_errors = [RefusedError()]

    with pytest.raises(ExceptionGroup) as caught:
        watched(account, on_event=events.append)

    assert "HTTP 401 Unauthorized" in str(caught.value.exceptions[0])
    assert [(None, "fatal")] == [(each.batch_id, each.kind) for each in events if isinstance(each, PollFailed)]


def test_a_list_that_lags_behind_is_given_up():
    """A list older than a retrieve is reported, and batches are then fetched."""
    account, events = Account(first=20.0, second=60.0, third=90.0), []
    account.stale = True
    targets = watched(account, on_event=events.append, timeout_s=4000, on_error=events.append)

    assert {"first", "second", "third"} == set(targets)


def test_a_single_poll_lists_once():
    account = Account(first=20.0)

    with pytest.raises(WatchTimeoutError):
        watched(account, timeout_s=0)

    assert "list" == account.calls[0]


def test_a_throttled_fetch_stops_the_poll():
    """While a rate limit lasts, the list is not read."""

    class ThrottledError(Exception):
        status_code = 429

    account, errors = Account(first=40.0), [ThrottledError()]
    retrieve = account.retrieve

    def retrieve_or_fail(batch_id):
        if errors and account.now > 1:
            raise errors.pop()
        return retrieve(batch_id)

    account.retrieve = retrieve_or_fail

    assert ["first"] == watched(account)
    assert [] == errors


def test_awatch_follows_an_async_list():
    account = Account(old=-1.0, first=20.0)

    async def sleep(seconds):
        account.sleep(seconds)

    async def follow():
        found = awatch(
            source=account.async_source(), monitor=AsyncMonitor("anthropic"), clock=lambda: account.now, sleep=sleep
        )
        async with aclosing(found):
            return [each.batch_id async for each in found if each.target == "ended"]

    assert ["first"] == asyncio.run(follow())


def test_an_async_list_may_fail_or_hang():
    """An error is classified, and a list that never answers is cut off at its deadline."""
    account, events = Account(first=5.0), []
    account.list_errors = [SDKError()]

    async def hang():
        source = account.async_source()

        class Source:
            dialect = "anthropic"
            fetch = source.fetch
            calls = 0

            async def list(self):
                Source.calls += 1
                if Source.calls == 1:
                    await asyncio.sleep(60)
                async for each in source.list():
                    yield each

        found = awatch(source=Source(), timeout_s=0.3, on_event=events.append)
        async with aclosing(found):
            return [each async for each in found]

    with pytest.raises(WatchTimeoutError):
        asyncio.run(hang())
    assert any("no complete response" in each.reason for each in events if isinstance(each, PollFailed))


def test_an_async_error_of_a_list_is_classified():
    account = Account(first=5.0)
    account.list_errors = [RefusedError()]

    async def follow():
        found = awatch(source=account.async_source(), clock=lambda: account.now)
        async with aclosing(found):
            return [each async for each in found]

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(follow())

    assert "HTTP 401 Unauthorized" in str(caught.value.exceptions[0])


class Plain:
    """A user's own source with a list."""

    def __init__(self, *listed):
        self.listed = listed

    def fetch(self, ids):
        return {each: Gone("") for each in ids}

    def list(self):
        if self.listed == (None,):
            raise ConnectionError
        return self.listed


def test_a_source_of_ones_own_may_have_a_list():
    """A snapshot without a creation time is followed too; the dialect is OpenAI's unless a monitor has another."""
    found = Plain(Snapshot(id="b", status="completed"), Snapshot(id="c", status="completed", created_at=CREATED))

    assert [] == list(watch(source=found, sleep=lambda _: None))


@pytest.mark.parametrize("listed, reason", [
    (({"id": "b"},), "list yielded dict, not a Snapshot"), ((None,), "ConnectionError"),
])  # fmt: skip
def test_a_list_of_something_else_is_a_failure(listed, reason):
    events = []

    with pytest.raises(WatchTimeoutError):
        list(watch(source=Plain(*listed), timeout_s=0, on_event=events.append))

    assert [reason] == [each.reason for each in events if isinstance(each, PollFailed)]


def test_a_list_of_the_other_kind_is_refused():
    """The error comes at once."""

    class Mixed(Plain):
        async def list(self):
            yield None

    class MixedAsync:
        async def fetch(self, ids):
            return {}

        def list(self):
            return []

    with pytest.raises(TypeError, match="watch needs a source whose list is a plain function"):
        watch(source=Mixed())
    with pytest.raises(TypeError, match="awatch needs a source whose list is an async generator function"):
        awatch(source=MixedAsync())


def test_a_monitor_with_an_open_batch_that_the_list_does_not_show():
    """The batch of the monitor is watched beside those of the list."""
    account = Account(first=10.0, hidden=20.0)
    account.listed_from["hidden"] = 10**9
    monitor = Monitor("anthropic")
    monitor.observe(ANTHROPIC | {"id": "hidden"})

    assert ["first", "hidden"] == watched(account, monitor=monitor)
