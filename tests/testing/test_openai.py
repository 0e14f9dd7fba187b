"""openai-python against the fake API: the lifecycle of a batch, in the client's own types and errors."""

import asyncio
import json

import httpx
import openai
import pytest
from openai.types import Batch

import batchfsm
from batchfsm.testing import FakeBatchAPI, assert_consistent, assert_lifecycle
from support.embeddings import CREATE, lines, respond

PLAN = "validating 5s > in_progress 1h > finalizing 10m > completed"


@pytest.fixture
def api():
    """Return a fake API that answers the requests of `lines`."""
    return FakeBatchAPI(PLAN, respond=respond)


@pytest.fixture
def client(api):
    """Return a client of the API; close it afterwards."""
    with api.client() as opened:
        yield opened


def test_the_whole_life_of_a_batch(api, client):
    """The client uploads, creates, polls and downloads; every object has the client's own type."""
    uploaded = client.files.create(file=("in.jsonl", lines("one", "bad", "three")), purpose="batch")
    batch = client.batches.create(input_file_id=uploaded.id, metadata={"team": "search"}, **CREATE)
    seen = [batch]
    while batch.status != "completed":
        api.clock.advance("10m")
        batch = client.batches.retrieve(batch.id)
        seen.append(batch)
    output = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
    (error,) = [json.loads(line) for line in client.files.content(batch.error_file_id).text.splitlines()]

    assert {Batch} == {type(each) for each in seen}
    assert ("uploaded", "batch", {"team": "search"}) == (
        uploaded.filename and "uploaded",
        uploaded.purpose,
        batch.metadata,
    )
    assert (3, 2, 1) == (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed)
    assert [("one", [3]), ("three", [5])] == [
        (row["custom_id"], row["response"]["body"]["embedding"]) for row in output
    ]
    assert ("bad", 400) == (error["custom_id"], error["response"]["status_code"])
    assert_lifecycle(seen, "validating > in_progress > finalizing > completed")
    assert_consistent(seen)


def test_a_batch_is_cancelled(api, client):
    """The results of the work done before the cancel can be downloaded."""
    uploaded = client.files.create(file=lines("one", "two"), purpose="batch")
    batch = client.batches.create(input_file_id=uploaded.id, **CREATE)
    api.clock.advance("31m")
    asked = client.batches.cancel(batch.id)
    api.clock.advance("11m")
    ended = client.batches.retrieve(batch.id)

    assert ("cancelling", "cancelled", 1) == (asked.status, ended.status, ended.request_counts.completed)
    assert 1 == len(client.files.content(ended.output_file_id).text.splitlines())
    assert_consistent([batch, asked, ended])


def test_a_batch_that_fails_says_why(api, client):
    """The error has the line."""
    uploaded = client.files.create(file=lines("one") + b"\n{", purpose="batch")
    batch = client.batches.create(input_file_id=uploaded.id, **CREATE)
    api.clock.advance("1m")
    failed = client.batches.retrieve(batch.id)

    assert ("failed", [("invalid_json_line", 2)]) == (
        failed.status,
        [(each.code, each.line) for each in failed.errors.data],
    )


def test_a_list_is_paged_to_its_end(api, client):
    """The client requests the next page itself."""
    made = [api.start() for _ in range(45)][::-1]

    assert made == [batch.id for batch in client.batches.list()]
    assert made == [batch.id for batch in client.batches.list(limit=7)]
    assert 3 + 7 == sum(call.operation == "batches.list" for call in api.calls)
    assert [] == list(FakeBatchAPI().client().batches.list())


def test_files_are_listed_and_deleted(client):
    """The list has the uploaded file, and after its deletion none."""
    uploaded = client.files.create(file=("in.jsonl", b"x"), purpose="batch")
    listed = list(client.files.list())
    deleted = client.files.delete(uploaded.id)

    assert ([(uploaded.id, "in.jsonl", 1)], True) == (
        [(file.id, file.filename, file.bytes) for file in listed],
        deleted.deleted,
    )
    assert [] == list(client.files.list())


@pytest.mark.parametrize(
    "ask, error",
    [
        (lambda client: client.batches.retrieve("batch_none"), openai.NotFoundError),
        (lambda client: client.batches.cancel("batch_none"), openai.NotFoundError),
        (lambda client: client.files.content("file-none"), openai.NotFoundError),
        (lambda client: client.batches.list(limit=101).data, openai.BadRequestError),
        (lambda client: client.batches.create(input_file_id="f", endpoint="/v1/x", completion_window="24h"), openai.BadRequestError),
        (lambda client: client.models.list(), openai.NotFoundError),
    ],
    ids=range(6),
)  # fmt: skip
def test_errors_are_the_clients_own(client, ask, error):
    """They have the message and the body in OpenAI's form."""
    with pytest.raises(error) as caught:
        ask(client)

    assert "invalid_request_error" == caught.value.type
    assert caught.value.request_id.startswith("req_")


def test_a_cancel_after_the_end_is_a_conflict(api, client):
    """A 409, which the client would send again with retries."""
    batch_id = api.start()
    api.clock.advance("1d")
    with pytest.raises(openai.ConflictError, match="Cannot cancel a batch with status 'completed'"):
        client.batches.cancel(batch_id)


FAULTS = {
    "rate_limit": openai.RateLimitError,
    "server_error": openai.InternalServerError,
    "bad_gateway": openai.InternalServerError,
    "unauthorized": openai.AuthenticationError,
    "timeout": openai.APITimeoutError,
    "reset": openai.APIConnectionError,
    "truncated": json.JSONDecodeError,
    "flicker": openai.NotFoundError,
    "poisoned": openai.InternalServerError,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_what_the_client_makes_of_it(api, client, fault):
    """The client raises the same error as with a real server."""
    batch_id = api.start()
    api.inject(fault)
    with pytest.raises(FAULTS[fault]):
        client.batches.retrieve(batch_id)


def test_a_page_of_html_is_no_batch(api, client):
    """The client returns a string and raises no error."""
    api.inject("html")

    assert isinstance(client.batches.retrieve(api.start()), str)


def test_the_clients_own_retries_are_seen(api):
    """They are off by default, because they sleep in real time."""
    api.inject("rate_limit", times=2, retry_after_s=0.001)
    with api.client(max_retries=2) as client:
        client.batches.retrieve(api.start())

    assert [429, 429, 200] == [call.status for call in api.calls]


def test_an_async_client_sees_the_same(api):

    async def _live():
        async with api.async_client() as client:
            uploaded = await client.files.create(file=("in.jsonl", lines("one")), purpose="batch")
            batch = await client.batches.create(input_file_id=uploaded.id, **CREATE)
            api.clock.advance("2h")
            ended = await client.batches.retrieve(batch.id)
            api.inject("reset")
            with pytest.raises(openai.APIConnectionError):
                await client.batches.retrieve(batch.id)
            return [batch, ended, *[each async for each in client.batches.list()]]

    seen = asyncio.run(_live())
    assert ["validating", "completed", "completed"] == [batch.status for batch in seen]


def test_a_monitor_takes_what_the_client_gives(api, client):
    """The library and its testing package work together."""
    monitor, entered = batchfsm.Monitor(), []
    monitor.on(name="log")(lambda transition: entered.append(transition.target))
    batch_id = api.start()
    for pause in ("0s", "30m", "1h", "0s"):
        api.clock.advance(pause)
        monitor.observe(client.batches.retrieve(batch_id), observed_at=api.clock.now())

    assert ["validating", "in_progress", "finalizing", "completed"] == entered
    assert "consistent" == monitor[batch_id].verdict


def test_the_door_of_httpx_is_there_for_others(api):
    """openai-python 2 and other httpx clients use it."""
    headers = {"Authorization": "Bearer sk-any"}
    with httpx.Client(transport=api.httpx_transport(), base_url="http://fake", headers=headers) as client:
        page = client.get("/v1/batches", params={"limit": 5})
        api.inject("timeout")
        with pytest.raises(httpx.ReadTimeout):
            client.get("/v1/batches")

    assert (200, []) == (page.status_code, page.json()["data"])


def test_the_door_of_httpx2_is_there_too(api):
    """openai-python 3 and other httpx2 clients use it."""
    httpx2 = pytest.importorskip("httpx2")
    with httpx2.Client(transport=api.httpx2_transport(), base_url="http://fake") as client:
        api.inject("reset", times=1)
        with pytest.raises(httpx2.ReadError):
            client.get("/v1/batches")
        assert 401 == client.get("/v1/batches").status_code


def test_a_client_may_be_made_with_options_of_ones_own(api):
    """They replace the defaults of `client`."""
    with api.client(api_key="sk-mine", timeout=5) as client:
        assert ("sk-mine", 5, 0) == (client.api_key, client.timeout, client.max_retries)
