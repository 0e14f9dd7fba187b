"""Faults of lists and of results: each is a function of the batches, the time and the request."""

import asyncio
import json
from contextlib import ExitStack
from itertools import chain

import openai
import pytest

from batchfsm import audit
from batchfsm.testing import FAULTS, FakeBatchAPI
from support.fake_api import ask
from support.server import HTTPX

PLAN = "validating 5s > in_progress 10m > finalizing 1m > completed"
LISTS = [name for name, fault in FAULTS.items() if fault.operation == "batches.list"]
PAGES_MAX = 20


def api_of(count):
    """Return an API with some batches, and their ids, newest first."""
    api = FakeBatchAPI(PLAN)
    return api, [api.start() for _ in range(count)][::-1]


def pages(api, limit):
    """Return the pages of the list with the query of each, in order; at most `PAGES_MAX`."""
    found, query = [], {"limit": str(limit)}
    while len(found) < PAGES_MAX:
        status, page = ask(api, "GET", "batches", **query)
        assert 200 == status
        found.append(page)
        if not page["has_more"]:
            break
        query |= {"after": page["last_id"]} if page["last_id"] else {}
    return found


def ids_of(page):
    """Return the ids on a page."""
    return [batch["id"] for batch in page["data"]]


@pytest.mark.parametrize("fault", LISTS)
@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_a_page_is_a_page_of_the_api_whatever_the_fault(fault, count, limit):
    """It holds existing batches, no more than `limit`, and its first and last id."""
    api, ids = api_of(count)
    api.inject(fault)
    for page in pages(api, limit):
        shown = ids_of(page)
        assert set(shown) <= set(ids)
        assert len(shown) <= limit
        assert (shown[0], shown[-1]) == (page["first_id"], page["last_id"]) if shown else page["first_id"] is None


@pytest.mark.parametrize("fault", LISTS)
def test_a_fault_of_lists_applies_to_no_other_request(fault):
    """A retrieve is current, and does not count as affected."""
    api, (batch_id,) = api_of(1)
    api.inject(fault, times=1)
    api.clock.advance("1h")

    assert "completed" == ask(api, "GET", f"batches/{batch_id}")[1]["status"]
    assert 1 == len(ask(api, "GET", "files")[1]["data"])
    before = json.dumps(ask(api, "GET", "batches")[1])
    assert (before == json.dumps(ask(api, "GET", "batches")[1])) == (fault == "shifted_list")


@pytest.mark.parametrize("fault", LISTS)
def test_an_unknown_cursor_is_refused_whatever_the_fault(fault):
    """Only a list that ignores cursors accepts it."""
    api, _ = api_of(3)
    api.inject(fault, times=1)

    assert (200 if fault == "repeating_list" else 400) == ask(api, "GET", "batches", after="batch_none")[0]


def test_a_list_may_never_be_refreshed():
    """Each batch is shown as it was created; an audit reports a stale read."""
    api, ids = api_of(2)
    created = [api.batch(batch_id) for batch_id in ids]
    api.inject("stale_list")
    api.clock.advance("30d")
    listed = ask(api, "GET", "batches")[1]["data"]
    retrieved = ask(api, "GET", f"batches/{ids[0]}")[1]

    assert (created, "completed") == (listed, retrieved["status"])
    assert {"H507"} == set(audit([retrieved, listed[0]]).counts)


def test_a_list_may_be_stale_by_a_lag_alone():
    """Batches that are younger than the lag are shown as they were created."""
    api, (old,) = api_of(1)
    api.clock.advance("8m")
    new = api.start()
    api.clock.advance("2m")
    api.inject("stale", lag="5m", on="batches.list")
    listed = {batch["id"]: batch["status"] for batch in ask(api, "GET", "batches")[1]["data"]}

    assert {old: "in_progress", new: "validating"} == listed


def test_a_list_of_files_may_be_stale():
    """It lacks the newest files of batches."""
    api, _ = api_of(1)
    api.clock.advance("1h")
    api.inject("stale", lag="1h", on="files.list")

    assert [0, 1] == [len(ask(api, "GET", "files")[1]["data"]) for _ in range(2)]


def test_a_list_may_be_cut_short():
    """The page lacks half of its rows, and no field shows it."""
    api, ids = api_of(5)
    api.inject("cut_list")

    assert [ids[:2]] == [ids_of(page) for page in pages(api, 100)]


def test_a_list_may_repeat_a_page():
    """Its cursor leads to the same page."""
    api, ids = api_of(5)
    api.inject("repeating_list")

    assert [ids[:2]] * PAGES_MAX == [ids_of(page) for page in pages(api, 2)]


@pytest.mark.parametrize("limit, circle", [(100, [3, 2]), (3, [3, 2]), (2, [2, 2, 1]), (1, [1] * 5)])
def test_a_list_may_go_in_a_circle(limit, circle):
    """The last page is followed by the first one."""
    api, ids = api_of(5)
    api.inject("circling_list")
    found = [ids_of(page) for page in pages(api, limit)]
    once = found[: len(circle)]

    assert (circle, ids) == ([len(page) for page in once], [*chain(*once)])
    assert [once[place % len(circle)] for place in range(PAGES_MAX)] == found


def test_a_list_may_be_empty_and_say_that_there_is_more():
    """The page has no cursor."""
    api, _ = api_of(3)
    api.inject("empty_list")

    assert {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": True} == pages(api, 2)[0]


def test_other_faults_may_come_beside_a_list_that_is_never_refreshed():
    """A fault with a number of requests precedes a fault without an end."""
    api, _ = api_of(1)
    api.inject("stale_list")
    api.inject("rate_limit")

    assert [429, 200] == [ask(api, "GET", "batches")[0] for _ in range(2)]


@pytest.mark.parametrize("lag, options", [(60, {}), (300, {"lag": "5m"})])
def test_results_may_come_late(lag, options):
    """File ids are null for a while after the end; an audit reports the missing ones."""
    api, (batch_id,) = api_of(1)
    api.inject("late_results", **options)
    api.clock.advance(665 + lag - 1)
    early = [ask(api, "GET", "batches")[1]["data"][0], ask(api, "GET", f"batches/{batch_id}")[1]]
    api.clock.advance(1)
    late = ask(api, "GET", f"batches/{batch_id}")[1]

    assert [("completed", None)] * 2 == [(batch["status"], batch["output_file_id"]) for batch in early]
    assert api.batch(batch_id) == late
    assert {"F402"} == set(audit([early[0], late]).counts)


# ---------------------------------------------------------------- a body that arrives byte by byte


INTERVAL_S = 0.001


def slow(api, batch_id):
    """Let the next response arrive byte by byte; return its body, and the least number of seconds that it takes."""
    body = json.dumps(api.batch(batch_id)).encode()
    api.inject("slow_body", byte_interval_s=INTERVAL_S, batch_id=batch_id)
    return body, len(body) * INTERVAL_S


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_body_may_arrive_byte_by_byte_through_a_transport(library):
    """It does for sync and for async clients."""
    http = pytest.importorskip(library)
    api, (batch_id,) = api_of(1)
    options = {"base_url": "http://fake.invalid/v1", "headers": {"authorization": "Bearer sk-any"}}
    transport = getattr(api, f"{library}_transport")()

    def read():
        with (
            http.Client(transport=transport, **options) as client,
            client.stream("GET", f"/batches/{batch_id}") as answer,
        ):
            return list(answer.iter_raw())

    async def read_async():
        async with (
            http.AsyncClient(transport=transport, **options) as client,
            client.stream("GET", f"/batches/{batch_id}") as answer,
        ):
            return [chunk async for chunk in answer.aiter_raw()]

    for chunks in (read, lambda: asyncio.run(read_async())):
        body, _ = slow(api, batch_id)
        found = chunks()
        assert ({1}, body) == ({len(chunk) for chunk in found}, b"".join(found))


def test_a_body_may_arrive_byte_by_byte_from_an_asgi_application():
    """Each byte is one message."""
    api, (batch_id,) = api_of(1)
    body, _ = slow(api, batch_id)
    sent = []

    async def receive():
        return {}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": f"/v1/batches/{batch_id}", "query_string": b""}
    asyncio.run(api.asgi(scope | {"headers": [(b"authorization", b"Bearer sk-any")]}, receive, send))

    assert [bytes([each]) for each in body] == [message.get("body", b"") for message in sent[1:-1]]
    assert [True] * len(body) + [False] == [message.get("more_body", False) for message in sent[1:]]


def test_a_body_may_arrive_byte_by_byte_from_a_server():
    """The openai client reads the whole body if its time-out is long enough."""
    api, (batch_id,) = api_of(1)
    with ExitStack() as stack:
        server = stack.enter_context(api.serve())
        client = stack.enter_context(openai.OpenAI(api_key="sk-any", base_url=server.base_url, max_retries=0))
        slow(api, batch_id)
        assert batch_id == client.batches.retrieve(batch_id).id


def test_a_slow_body_ends_with_its_client_and_with_its_server():
    """Client and server can each close the connection; the server goes on serving others."""
    api, (batch_id,) = api_of(1)
    options = {"headers": {"authorization": "Bearer sk-any"}}
    with api.serve() as server:
        api.inject("slow_body", byte_interval_s=0.01, lasts="1h", batch_id=batch_id)
        address = f"{server.base_url}/batches/{batch_id}"
        for _ in range(2):
            with HTTPX.stream("GET", address, **options) as answer:
                assert b"{" == next(answer.iter_raw())
        assert 200 == HTTPX.get(f"{server.base_url}/batches", **options).status_code
        api.clear()
        api.inject("slow_body", byte_interval_s=3600, batch_id=batch_id)
        with pytest.raises(HTTPX.ReadTimeout):
            HTTPX.get(address, timeout=0.05, **options)
