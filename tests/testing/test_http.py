"""The fake API over HTTP and as an ASGI application, for other processes and languages."""

import asyncio
import http.client
import json
import re
import socket
from contextlib import closing

import openai
import pytest

from batchfsm.testing import FakeBatchAPI, SpeedClock, assert_consistent
from batchfsm.testing import server as serving
from support.embeddings import CREATE, lines, respond
from support.server import HTTPX

KEY = {"authorization": "Bearer sk-any"}


@pytest.fixture(scope="module")
def api():
    """Return the API that one server serves to all tests of this module."""
    return FakeBatchAPI("validating 5s > in_progress 1h > finalizing 10m > completed", respond=respond)


@pytest.fixture(scope="module")
def server(api):
    """Return the server of this module."""
    with api.serve() as serving:
        yield serving


@pytest.fixture
def client(server):
    """Return an openai client that connects over a socket."""
    with openai.OpenAI(api_key="sk-any", base_url=server.base_url, max_retries=0) as opened:
        yield opened


@pytest.fixture
def wire(server):
    """Return an HTTP connection to the server."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        yield connection


def said(connection, method, path, body=None, headers=None):
    """Send a request; return the status and the JSON of the response."""
    connection.request(method, path, body, KEY | (headers or {}))
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


# ---------------------------------------------------------------- the real client over a socket


def test_the_whole_life_of_a_batch_over_http(api, client):
    """The client uploads a file, creates, polls and lists the batch, and downloads the results."""
    uploaded = client.files.create(file=("in.jsonl", lines("one", "bad", "three")), purpose="batch")
    batch = client.batches.create(input_file_id=uploaded.id, **CREATE)
    seen = [batch]
    while batch.status != "completed":
        api.clock.advance("20m")
        batch = client.batches.retrieve(batch.id)
        seen.append(batch)
    output = client.files.content(batch.output_file_id).text.splitlines()

    assert ["one", "three"] == [json.loads(line)["custom_id"] for line in output]
    assert batch.id in [each.id for each in client.batches.list(limit=1)]
    assert_consistent(seen)


def test_a_batch_is_cancelled_over_http(api, client):
    """A second cancel returns the batch; a cancel of a completed batch is a conflict."""
    batch_id = api.start()
    client.batches.cancel(batch_id)
    api.clock.advance("11m")
    done = api.start("validating 0s > in_progress 0s > finalizing 0s > completed")

    assert "cancelled" == client.batches.cancel(batch_id).status
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(done)


@pytest.mark.parametrize(
    "fault, error",
    [
        ("rate_limit", openai.RateLimitError),
        ("server_error", openai.InternalServerError),
        ("reset", openai.APIConnectionError),
        ("truncated", json.JSONDecodeError),
        ("flicker", openai.NotFoundError),
    ],
)
def test_a_fault_over_http(api, client, fault, error):
    """The client raises the same error as for a real one."""
    batch_id = api.start()
    api.inject(fault)
    with pytest.raises(error):
        client.batches.retrieve(batch_id)

    assert batch_id == client.batches.retrieve(batch_id).id


def test_a_request_may_hang(api, client):
    """The client times out, and the server answers other requests."""
    batch_id = api.start()
    api.inject("timeout")
    with pytest.raises(openai.APITimeoutError):
        client.batches.retrieve(batch_id, timeout=0.05)

    assert batch_id == client.batches.retrieve(batch_id).id


# ---------------------------------------------------------------- the server


def test_a_connection_serves_many_requests(wire):
    """Clients with keep-alive need this."""
    first = said(wire, "GET", "/v1/batches?limit=1&after=")
    second = said(wire, "GET", "/v1/batches?limit=1")

    assert (400, "after") == (first[0], first[1]["error"]["param"])
    assert 200 == second[0]


def test_a_body_may_come_in_chunks(wire):
    """Some clients send uploads in chunks."""
    body = b'{"input_file_id": "file-none", "endpoint": "/v1/responses", "completion_window": "24h"}'
    chunks = b"".join(b"%x;note=1\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:])) + b"0\r\n\r\n"
    status, batch = said(wire, "POST", "/v1/batches", chunks, {"transfer-encoding": "chunked"})

    assert (200, "file-none") == (status, batch["input_file_id"])


@pytest.mark.parametrize(
    "head, body",
    [
        ({"content-length": "x"}, b""),
        ({"content-length": "9" * 30}, b""),
        ({"content-length": str(2**28 + 1)}, b""),
        ({"transfer-encoding": "chunked"}, b"zz\r\n"),
        ({"transfer-encoding": "chunked"}, b"-5\r\n"),
        ({"transfer-encoding": "chunked"}, b"fffffffff\r\n"),
    ],
)
def test_a_body_that_is_not_to_be_had_is_refused(wire, head, body):
    """The body cannot be read, so the connection is closed."""
    wire.putrequest("POST", "/v1/batches")
    for name, value in head.items():
        wire.putheader(name, value)
    wire.endheaders()
    wire.send(body)
    answer = wire.getresponse()

    assert (400, "The body of the request is broken, or too large.") == (
        answer.status,
        json.loads(answer.read())["error"]["message"],
    )


def test_what_the_tests_own_code_raises_is_not_lost():
    """The client gets a 500, and closing the server raises the exception."""

    def broken(body):
        raise ValueError("my own mistake")

    api = FakeBatchAPI(respond=broken)
    opened = api.serve()
    with openai.OpenAI(api_key="sk-any", base_url=opened.base_url, max_retries=0) as client:
        uploaded = client.files.create(file=("in.jsonl", lines("one")), purpose="batch")
        with pytest.raises(openai.InternalServerError, match="ValueError: my own mistake"):
            client.batches.create(input_file_id=uploaded.id, **CREATE)
    with pytest.raises(ExceptionGroup, match="raised while the fake API answered requests") as caught:
        opened.close()

    opened.close()
    assert ["my own mistake"] == [str(error) for error in caught.value.exceptions]


def test_what_the_test_raises_goes_before_what_was_answered():
    """The exception of the `with` block is raised, not the one of `respond`."""

    def broken(body):
        raise ValueError("my own mistake")

    api = FakeBatchAPI(respond=broken)
    with (
        pytest.raises(KeyError, match="of the test"),
        api.serve() as opened,
        openai.OpenAI(api_key="sk-any", base_url=opened.base_url, max_retries=0) as client,
    ):
        uploaded = client.files.create(file=("in.jsonl", lines("one")), purpose="batch")
        with pytest.raises(openai.InternalServerError):
            client.batches.create(input_file_id=uploaded.id, **CREATE)
        raise KeyError("of the test")


def test_closing_ends_what_is_open():
    """An idle connection and a hanging request end; then no socket listens."""
    api = FakeBatchAPI()
    with api.serve() as opened:
        idle = http.client.HTTPConnection("127.0.0.1", opened.port, timeout=20)
        assert 200 == said(idle, "GET", "/v1/batches")[0]
        api.inject("timeout")
        hanging = http.client.HTTPConnection("127.0.0.1", opened.port, timeout=20)
        hanging.request("GET", "/v1/batches", headers=KEY)
        while api.calls[-1].status is not None:
            pass  # The request has not reached the server yet.
    with closing(hanging), closing(idle):
        with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
            hanging.getresponse()
        assert b"" == idle.sock.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", opened.port), timeout=20)


def test_a_connection_that_its_client_has_reset_is_cut_without_a_word():
    """The operating system may report that the socket is not connected; no error is raised."""
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        http_server = serving._HTTPServer(("127.0.0.1", 0), serving._Handler)
        unconnected = socket.socket()
        http_server._open = {unconnected}
        http_server.close_connections()
        unconnected.close()
        http_server.server_close()


# ---------------------------------------------------------------- control by other processes


def test_another_process_moves_the_time(api, wire):
    """It also starts batches, injects faults and clears them."""
    _, started = said(wire, "POST", "/batchfsm/start", '{"scenario": "expire"}')
    before = said(wire, "POST", "/batchfsm/clock", "")[1]["now"]
    after = said(wire, "POST", "/batchfsm/advance", '{"span": "2d"}')[1]["now"]
    ended = said(wire, "GET", f"/v1/batches/{started['id']}")[1]["status"]
    said(wire, "POST", "/batchfsm/inject", '{"fault": "rate_limit", "times": 5}')
    limited = said(wire, "GET", "/v1/batches")[0]
    said(wire, "POST", "/batchfsm/clear")

    assert ("expired", 172_800, 429) == (ended, after - before, limited)
    assert (200, api.clock.now()) == (said(wire, "GET", "/v1/batches")[0], after)


@pytest.mark.parametrize(
    "ask, body, status, message",
    [
        ("GET clock", None, 405, "Control it by POST, with a JSON object."),
        ("POST clock", "[]", 405, "Control it by POST, with a JSON object."),
        ("POST clock", "{", 400, "Expecting property name"),
        ("POST stop", "{}", 404, "There are advance, clear, clock, inject and start."),
        ("POST advance", "{}", 400, "missing 1 required positional argument: 'span'"),
        ("POST advance", '{"span": "soon"}', 400, "'soon' is no span of time"),
        ("POST inject", '{"fault": "flood"}', 400, "no fault is called 'flood'"),
        ("POST start", '{"scenario": "x"}', 400, "openai has no status 'x'"),
    ],
)
def test_what_cannot_be_done_says_why(wire, ask, body, status, message):
    """The error object has OpenAI's form."""
    method, name = ask.split()
    code, answer = said(wire, method, f"/batchfsm/{name}", body)

    assert status == code
    assert re.search(re.escape(message), answer["error"]["message"])


def test_a_clock_that_runs_by_itself_is_not_moved():
    """The server answers 409, because the clock runs in real time."""
    with FakeBatchAPI(clock=SpeedClock(3600)).serve() as opened:
        connection = http.client.HTTPConnection("127.0.0.1", opened.port, timeout=20)
        with closing(connection):
            status, answer = said(connection, "POST", "/batchfsm/advance", '{"span": "1h"}')

    assert (409, "This clock cannot be moved: it runs in real time, or at a multiple of it.") == (
        status,
        answer["error"]["message"],
    )


# ---------------------------------------------------------------- ASGI


def test_an_asgi_application_answers_the_same(api):
    """Requests through httpx's ASGI transport get the same responses."""

    async def _live():
        async with HTTPX.AsyncClient(
            transport=HTTPX.ASGITransport(api.asgi), base_url="http://fake", headers=KEY
        ) as client:
            uploaded = await client.post(
                "/v1/files", files={"file": ("in.jsonl", lines("one"))}, data={"purpose": "batch"}
            )
            fields = CREATE | {"input_file_id": uploaded.json()["id"]}
            created = await client.post("/v1/batches", json=fields)
            await client.post("/batchfsm/advance", json={"span": "2h"})
            ended = await client.get(f"/v1/batches/{created.json()['id']}")
            page = await client.get("/v1/batches", params={"limit": 1})
            api.inject("timeout")
            with pytest.raises(TimeoutError):
                await client.get("/v1/batches")
            api.inject("reset")
            with pytest.raises(ConnectionResetError):
                await client.get("/v1/batches")
            return created.json()["status"], ended.json()["status"], len(page.json()["data"])

    assert ("validating", "completed", 1) == asyncio.run(_live())


def test_an_asgi_application_is_started_and_stopped():
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent = []

    async def _receive():
        return next(messages)

    async def _send(message):
        sent.append(message["type"])

    asyncio.run(FakeBatchAPI().asgi({"type": "lifespan"}, _receive, _send))

    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == sent


def test_a_body_of_many_messages_is_put_together():
    """Servers split large bodies."""
    messages = iter([{"body": b"{", "more_body": True}, {"body": b"", "more_body": True}, {"body": b"}"}])
    sent = []

    async def _receive():
        return next(messages)

    async def _send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/batchfsm/clock", "query_string": b"", "headers": []}
    asyncio.run(FakeBatchAPI().asgi(scope, _receive, _send))

    assert 200 == sent[0]["status"]
