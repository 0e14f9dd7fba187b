"""Wrong lists: a watch checks the rows of a list against retrieves."""

import asyncio
import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchfsm import OPENAI, Schedule, WatchTimeoutError, awatch, watch
from batchfsm.snapshot import to_row
from batchfsm.topology import topology
from batchfsm.watching import ListProblem, PollSucceeded
from batchfsm.watching.scheduler import WatchedBatch
from batchfsm.wire import parse
from support.notation import CREATED, snap, words
from support.server import FAULTS, Clock, Life, Server

EXACT = Schedule(jitter=0)
STALE = ListProblem(
    kind="stale",
    reason="in 2 polls it was older than a retrieve before; it may be a cache; batches are retrieved one by one",
)


class StaleServer(Server):
    """A server whose list never changes after a given time."""

    stale_from = 0
    stale_ids = None

    def _page(self, query):
        now, clock = self.clock(), self.clock
        try:
            fresh = {life.batch_id: life.seen(now) for life in self.lives.values()}
            self.clock = Clock(min(now, CREATED + self.stale_from))
            status, headers, body = super()._page(query)
        finally:
            self.clock = clock
        page = json.loads(body)
        if self.stale_ids is not None:
            page["data"] = [each if each["id"] in self.stale_ids else fresh[each["id"]] for each in page["data"]]
        return status, headers, json.dumps(page)


def lives(number, at=(0, 5, 600, 610)):
    """Return this many lifecycles that end after ten minutes."""
    return [Life("vpzc", batch_id=f"batch_{index}", at=at) for index in range(number)]


def watched(server, *ids, **options):
    """Watch to the end; return the transitions and the events."""
    told = []
    options = {"clock": server.clock, "sleep": server.clock.sleep, "schedule": EXACT, "on_event": told.append} | options
    return list(watch(server.client(), *ids, **options)), told


@pytest.mark.parametrize("stale_from", [0, 7, 300, 605])
@pytest.mark.parametrize("has_ids", [True, False])
def test_a_list_that_is_not_updated_is_given_up(stale_from, has_ids):
    """The watch detects it within two polls, emits one event, and retrieves each batch by itself from then on."""
    server = StaleServer(*lives(12), clock=Clock())
    server.stale_from = stale_from

    transitions, told = watched(server, *(server.lives if has_ids else ()), timeout_s=86_400)

    assert 48 == len(transitions)
    assert server.clock() - CREATED <= 610 + 2 * 61
    assert [STALE] == [each for each in told if isinstance(each, ListProblem)]
    assert not [finding for each in told if isinstance(each, PollSucceeded) for finding in each.findings]


def test_a_list_that_is_partly_stale_is_given_up():
    """Retrieves of one batch at a time find the batches that the list does not update."""
    server = StaleServer(*lives(12), clock=Clock())
    server.stale_ids = {"batch_3", "batch_8"}

    transitions, told = watched(server, *server.lives, timeout_s=86_400)

    assert 48 == len(transitions)
    assert [STALE] == [each for each in told if isinstance(each, ListProblem)]


def test_an_async_watch_gives_a_stale_list_up_alike():
    """The async watch sends the same requests."""
    plain, waited = (StaleServer(*lives(12), clock=Clock()) for _ in range(2))
    watched(plain, *plain.lives)

    async def main():
        client, clock = waited.async_client(), waited.clock
        watching = awatch(client, *waited.lives, clock=clock, sleep=clock.asleep, schedule=EXACT)
        return [each async for each in watching]

    assert 48 == len(asyncio.run(main()))
    assert plain.requests == waited.requests


def test_a_fresh_list_is_never_given_up():
    """The list stays in use however batches change between two polls."""
    server = Server(
        *[Life("vpzc", batch_id=f"batch_{n}", at=[0, n, 40 * n, 41 * n]) for n in range(1, 30)], clock=Clock()
    )

    transitions, told = watched(server, *server.lives)

    assert 116 == len(transitions)
    assert not [each for each in told if isinstance(each, ListProblem)]


def test_a_list_with_fewer_fields_is_not_stale():
    """Missing fields are no evidence; a row without changes counts as a poll without changes."""
    server = Server(*lives(12), clock=Clock())
    shown = Server._page

    def page(query):
        status, headers, body = shown(server, query)
        page = json.loads(body)
        page["data"] = [
            {"id": each["id"], "status": each["status"], "created_at": each["created_at"]} for each in page["data"]
        ]
        return status, headers, json.dumps(page)

    server._page = page

    transitions, told = watched(server, *server.lives)

    assert {*words("vpzc")} >= {each.target for each in transitions}
    assert not [each for each in told if isinstance(each, ListProblem)]
    assert 12 == sum(each.target == "completed" for each in transitions)


def test_a_row_that_cannot_be_read_is_retrieved():
    """A row without a status is replaced by a retrieve."""
    server = Server(*lives(12), clock=Clock())
    shown = Server._page

    def page(query):
        status, headers, body = shown(server, query)
        page = json.loads(body)
        page["data"][3] = {"id": page["data"][3]["id"]}
        return status, headers, json.dumps(page)

    server._page = page

    assert 48 == len(watched(server, *server.lives)[0])


def test_a_batch_is_retrieved_by_itself_when_it_makes_no_progress():
    """Before a batch is reported as stalled, it is retrieved by itself, because the list may be stale."""
    server, told = Server(*lives(12, at=[0, 5, 25_000, 25_010]), clock=Clock()), []

    def tell(stalled):
        told.append((stalled.batch_id, server.requests[-1]))

    watched(server, *server.lives, on_stalled=tell)

    assert {f"batch_{number}" for number in range(12)} == {batch_id for batch_id, _ in told}
    counts = {each: server.requests.count(f"/batches/{each}") for each in server.lives}
    assert min(counts.values()) >= 1


STATUSES = ["v", "vp", "vpz", "vpzc", "vpg", "vpgx", "vf", "vpze"]


@pytest.mark.parametrize("known", STATUSES)
@pytest.mark.parametrize("shown", STATUSES)
def test_the_age_of_a_row_follows_the_lifecycle(known, shown):
    """Equal rows have the same age, a row with a prefix of the path is older, any other row is newer."""
    watching = WatchedBatch(batch_id="batch_1", row=to_row(parse(snap(known))))

    age = watching.age_of(to_row(parse(snap(shown))), topology(OPENAI))

    assert age == ("same" if shown == known else "behind" if known.startswith(shown) else "news")


def test_a_lower_count_is_behind_and_a_higher_one_is_news():
    """A missing count is neither older nor newer."""
    batch = snap("vp", request_counts={"total": 100, "completed": 40, "failed": 2})
    watching = WatchedBatch(batch_id="batch_1", row=to_row(parse(batch)))

    def age(counts):
        return watching.age_of(to_row(parse(batch | {"request_counts": counts})), topology(OPENAI))

    assert "behind" == age({"total": 100, "completed": 39, "failed": 2})
    assert "news" == age({"total": 100, "completed": 41, "failed": 1})
    assert "news" == age({"total": 101, "completed": 40, "failed": 2})
    assert "same" == age(None)


@pytest.mark.parametrize("field", ["in_progress_at", "expires_at", "input_file_id", "endpoint"])
def test_a_row_that_leaves_out_a_field_is_the_same(field):
    """A list that leaves out a field and gives the known counts shows no earlier view."""
    batch = snap("vp", request_counts={"total": 100, "completed": 40, "failed": 2})
    watching = WatchedBatch(batch_id="batch_1", row=to_row(parse(batch)))

    assert "same" == watching.age_of(to_row(parse(batch | {field: None})), topology(OPENAI))


pages = st.lists(
    st.tuples(st.lists(st.integers(0, 5), max_size=4), st.sampled_from([True, True, True, False, None])),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pages=pages, has_ids=st.booleans())
def test_pages_in_any_order_end_and_hide_nothing_silently(pages, has_ids):
    """A poll of any cycle of pages ends; it ends the watch only if the list was whole and showed all open batches."""
    server = Server(clock=Clock())
    shown = iter(pages * 50)

    def answer(method, url):
        path = url.partition("?")[0]
        server.requests.append(path)
        if not path.endswith("/batches"):
            return 200, {}, json.dumps(snap("vf", id=path.rpartition("/")[2]))
        numbers, has_more = next(shown)
        batches = [snap("vp" if number % 2 else "vf", id=f"batch_{number}") for number in numbers]
        return 200, {}, json.dumps({"data": batches, "has_more": has_more})

    server.answer = answer
    told, problem = [], None
    ids = [f"batch_{number}" for number in range(12)] if has_ids else []
    try:
        for _ in watch(server.client(), *ids, clock=server.clock, timeout_s=0, on_event=told.append):
            pass
    except WatchTimeoutError as error:
        problem = error.list_problem

    problems = [each.reason for each in told if isinstance(each, ListProblem)]
    assert len(problems) <= 1
    assert len([each for each in server.requests if each.endswith("/batches")]) <= 7
    if not has_ids:
        assert problem == (problems[0] if problems else None)


def test_a_list_that_fails_for_long_is_tried_while_nothing_else_answers():
    """The list is not given up, because the whole server may be down."""
    server = Server(*lives(12), clock=Clock(), faults=[FAULTS["500"]] * 30)

    transitions, told = watched(server, *server.lives)

    assert 48 == len(transitions)
    assert not [each for each in told if isinstance(each, ListProblem)]


def test_a_list_that_fails_while_its_batches_answer_is_read_on_without_ids():
    """A watch without ids has no other way to find batches."""
    server = Server(Life("vpzc"), clock=Clock(), list_faults=[None, *[FAULTS["500"]] * 5])

    with suppress(WatchTimeoutError):
        transitions, told = watched(server)
        assert list(words("vpzc")) == [each.target for each in transitions]
        assert not [each for each in told if isinstance(each, ListProblem)]
