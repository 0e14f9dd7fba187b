"""Requests to servers that are slow, send too much or redirect: each has a deadline, and other batches go on."""

import asyncio
import gzip
import json
import socket
import threading
from contextlib import contextmanager, suppress
from itertools import count

import openai
import pytest

from batchfsm import AsyncMonitor, Monitor, Schedule, WatchTimeoutError, awatch, watch
from batchfsm.watching import PollFailed, bounded_http, executors, loop
from support.notation import CREATED, snap, words
from support.server import FAULTS, HTTPX, Clock, Life, Server

EXACT = Schedule(jitter=0)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
SLOW_SERVERS = {
    "a byte at a time": (HEAD + b"content-length: 99999\r\n\r\n", b" "),
    "a header without an end": (HEAD + b"x-long: ", b"a"),
    "no answer": (b"", b""),
}


@contextmanager
def slow_server(first, drop):
    """Answer requests for `ok` at once; answer others with `first`, then a `drop` now and then; yield the base URL."""
    listening, is_over = socket.create_server(("127.0.0.1", 0)), threading.Event()
    body = json.dumps(snap("vpzc", id="ok")).encode()

    def answer(connection):
        with connection:
            if b"/batches/ok" in connection.recv(65_536):
                connection.sendall(HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                return
            try:
                connection.sendall(first)
                while not is_over.wait(0.02):
                    connection.sendall(drop)
            except OSError:
                return  # The client has closed the connection.

    def accept():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        is_over.set()
        listening.close()


@pytest.fixture
def brief(monkeypatch):
    """Give requests a short deadline."""
    monkeypatch.setattr(loop, "SLOW_S", 0.01)
    monkeypatch.setattr(loop, "REQUEST_S_MAX", 1.0)


def options(told):
    """Return the options of a single poll."""
    return {"timeout_s": 0, "on_event": told.append}


@pytest.mark.parametrize("name", SLOW_SERVERS)
def test_a_slow_server_holds_up_no_other_batch(name, brief):
    """The request ends at its deadline and counts as a failure."""
    seen, told = [], []
    with slow_server(*SLOW_SERVERS[name]) as base_url, pytest.raises(WatchTimeoutError) as caught:
        client = openai.OpenAI(api_key="none", base_url=base_url, max_retries=0)
        seen.extend(each.target for each in watch(client, "slow", "ok", **options(told)))

    assert {"slow": None} == caught.value.open
    assert ["no complete response within 1 s"] == [each.reason for each in told if isinstance(each, PollFailed)]


@pytest.mark.parametrize("name", SLOW_SERVERS)
def test_a_slow_server_holds_up_no_other_batch_of_an_async_client(name, brief):
    """The other batch has ended before the deadline of the slow request."""
    seen, told = [], []

    async def main(base_url):
        client = openai.AsyncOpenAI(api_key="none", base_url=base_url, max_retries=0)
        async for transition in awatch(client, "slow", "ok", **options(told)):
            failed = any(isinstance(each, PollFailed) for each in told)
            seen.append((transition.target, failed))

    with slow_server(*SLOW_SERVERS[name]) as base_url, pytest.raises(WatchTimeoutError) as caught:
        asyncio.run(main(base_url))

    assert [(word, False) for word in words("vpzc")] == seen
    assert {"slow": None} == caught.value.open
    assert ["no complete response within 1 s"] == [each.reason for each in told if isinstance(each, PollFailed)]


def test_a_request_under_way_when_the_time_is_up_is_reported(brief):
    """The watch ends without waiting for the request's deadline."""
    told = []
    clock = (CREATED + 4.0 * step for step in count()).__next__

    async def hang(_):
        await asyncio.Event().wait()

    async def main():
        http = HTTPX.AsyncClient(transport=HTTPX.MockTransport(hang))
        client = openai.AsyncOpenAI(api_key="none", http_client=http)
        async for _ in awatch(client, "batch_1", timeout_s=30, clock=clock, on_event=told.append):
            pass

    with pytest.raises(WatchTimeoutError):
        asyncio.run(main())

    assert ["no complete response before the time was up"] == [each.reason for each in told]


def test_hanging_requests_are_bounded(monkeypatch):
    """Above a number of hanging requests no further request is started."""
    monkeypatch.setattr(executors, "THREADS_MAX", 0)
    told, clock = [], Clock()

    with pytest.raises(WatchTimeoutError):
        list(watch(Server(Life("vpzc"), clock=clock).client(), "batch_1", clock=clock, **options(told)))

    assert ["0 requests still hang"] == [each.reason for each in told]


def test_a_list_that_hangs_is_a_failed_poll(brief):
    """The list request has a deadline, too."""
    told = []
    with slow_server(b"", b"") as base_url, pytest.raises(WatchTimeoutError):
        list(watch(openai.OpenAI(api_key="none", base_url=base_url), **options(told)))

    assert [(None, "no complete response within 1 s")] == [(each.batch_id, each.reason) for each in told]


@pytest.mark.parametrize("is_async", [False, True])
def test_an_async_source_has_a_deadline(is_async, brief):
    """A synchronous source must set its own deadline."""

    class Source:
        async def fetch(self, ids):
            await asyncio.Event().wait()

    class PlainSource:
        def fetch(self, ids):
            return dict.fromkeys(ids, snap("vpzc"))

    async def main():
        return [each async for each in awatch("batch_1", source=Source(), timeout_s=0)]

    if is_async:
        with pytest.raises(WatchTimeoutError):
            asyncio.run(main())
    else:
        assert 4 == len(list(watch("batch_1", source=PlainSource(), timeout_s=0)))


# ---------------------------------------------------------------- bounds of a response


def responding(respond, told, *, is_async):
    """Poll a mocked server once; return the reasons of its failures."""
    if is_async:

        async def arespond(request):
            return respond(request)

        http = HTTPX.AsyncClient(transport=HTTPX.MockTransport(arespond), follow_redirects=True)
        client = openai.AsyncOpenAI(api_key="none", max_retries=0, http_client=http)

        async def main():
            return [each async for each in awatch(client, "batch_1", **options(told))]

        run = lambda: asyncio.run(main())  # noqa: E731
    else:
        http = HTTPX.Client(transport=HTTPX.MockTransport(respond), follow_redirects=True)
        client = openai.OpenAI(api_key="none", max_retries=0, http_client=http)
        run = lambda: list(watch(client, "batch_1", **options(told)))  # noqa: E731
    with suppress(WatchTimeoutError):
        run()
    return [each.reason for each in told if isinstance(each, PollFailed)]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("is_packed", [False, True])
def test_a_response_above_a_size_is_cut_off(is_async, is_packed, monkeypatch):
    """The limit is on the decoded size: a compressed body may decode to a thousand times its size."""
    monkeypatch.setattr(bounded_http, "RESPONSE_BYTES_MAX", 2**20)
    body = b" " * 2**21
    headers = {"content-encoding": "gzip"} if is_packed else {}
    content = gzip.compress(body) if is_packed else body

    reasons = responding(lambda _: HTTPX.Response(200, headers=headers, content=content), [], is_async=is_async)

    assert ["a response of more than 1 MiB, cut off"] == reasons


@pytest.mark.parametrize("is_async", [False, True])
def test_a_body_is_left_at_its_deadline(is_async, monkeypatch):
    """The thread closes the response also when the watch no longer waits for it."""
    monkeypatch.setattr(bounded_http, "REQUEST_S_MAX", -1.0)
    body = json.dumps(snap("vpzc")).encode()

    assert ["no complete response within -1 s"] == responding(
        lambda _: HTTPX.Response(200, content=body), [], is_async=is_async
    )


@pytest.mark.parametrize("is_async", [False, True])
def test_redirects_are_not_followed(is_async):
    """A client that follows redirects does not follow them here: the key would go to another host."""
    asked = []

    def respond(request):
        asked.append(str(request.url))
        return HTTPX.Response(307, headers={"location": "https://elsewhere.example/v1/batches/batch_1"})

    reasons = responding(respond, [], is_async=is_async)

    assert ["HTTP 307 Temporary Redirect: redirects are not followed"] == reasons
    assert ["https://api.openai.com/v1/batches/batch_1"] == asked


@pytest.mark.parametrize("is_async", [False, True])
def test_a_packed_response_is_read(is_async):
    """A compressed response is decoded, and its headers no longer name the compression."""
    body = gzip.compress(json.dumps(snap("vpzc")).encode())
    told = []

    assert [] == responding(
        lambda _: HTTPX.Response(200, headers={"content-encoding": "gzip"}, content=body), told, is_async=is_async
    )
    assert ["completed"] == [each.snapshot.status for each in told]


def test_the_settings_of_a_client_are_its_own():
    """Requests use the client's headers, HTTP hooks and base address, and the client is unchanged."""
    seen = []
    http = HTTPX.Client(
        transport=HTTPX.MockTransport(lambda _: HTTPX.Response(200, content=json.dumps(snap("vpzc")))),
        event_hooks={"request": [lambda request: seen.append((request.headers["x-team"], str(request.url)))]},
    )
    client = openai.OpenAI(
        api_key="none", base_url="http://gateway/v1", default_headers={"x-team": "blue"}, http_client=http
    )
    before = dict(vars(client))

    assert 4 == len(list(watch(client, "batch_1")))
    assert [("blue", "http://gateway/v1/batches/batch_1")] == seen
    assert before == {name: value for name, value in vars(client).items() if name in before}
    assert client._client is http


def test_an_error_of_a_thread_is_raised_in_the_thread_that_watches():
    """The caller gets the exception that the client raised in the thread."""

    class Batches:
        def retrieve(self, batch_id):
            raise KeyboardInterrupt

    class Client:
        batches = Batches()

    with pytest.raises(KeyboardInterrupt):
        list(watch(Client(), "batch_1"))


def test_a_rate_limit_without_a_time_pauses_every_batch():
    """The pause is as long as the backoff of the batch whose request was limited."""
    clock = Clock()
    lives = [Life("vpzc", batch_id=f"batch_{number}", at=[0, 0, 0, 0]) for number in range(3)]
    server = Server(*lives, clock=clock, faults=[FAULTS["429 without a word"]])

    assert 12 == len(list(watch(server.client(), *server.lives, clock=clock, sleep=clock.sleep, schedule=EXACT)))
    assert [2] == clock.naps
    assert 4 == len(server.requests)


@pytest.mark.parametrize("is_async", [False, True])
def test_without_ids_the_open_batches_of_the_monitor_are_watched(is_async):
    """They are watched though the list does not show them; a source needs no ids in this case."""
    clock = Clock()
    server = Server(Life("vpzc", at=[0, 0, 0, 0]), clock=clock)
    server._page = lambda _: (200, {}, '{"data": [], "has_more": false}')
    monitor = AsyncMonitor() if is_async else Monitor()

    class Source:
        def fetch(self, ids):
            return {each: snap("vpzc", id=each) for each in ids}

    async def main():
        await monitor.observe(snap("vp"))
        watching = awatch(server.async_client(), monitor=monitor, clock=clock, sleep=clock.asleep)
        return [each.target async for each in watching]

    if is_async:
        assert ["finalizing", "completed"] == asyncio.run(main())
    else:
        monitor.observe(snap("vp"))
        assert ["finalizing", "completed"] == [each.target for each in watch(source=Source(), monitor=monitor)]
        assert [] == list(watch(source=Source(), monitor=monitor))
