"""Faults: their responses, the requests that they affect, and the rules that report them."""

import json
import re
from email.utils import parsedate_to_datetime
from math import inf

import pytest

from batchfsm import RULES, audit
from batchfsm.errors import UnknownNameError
from batchfsm.testing import FAULTS, FakeBatchAPI, Request, VirtualClock
from support.fake_api import KEY, ask
from support.notation import CREATED


@pytest.fixture
def api():
    """Return an API with one batch that has been running for an hour."""
    fake = FakeBatchAPI(
        "validating 5s > in_progress 2h 97+3/100 > finalizing 10m > completed", clock=VirtualClock(CREATED)
    )
    fake.start()
    fake.clock.advance("1h")
    return fake


def retrieve(api):
    """Retrieve the one batch; return the answer."""
    batch_id = api.handle(Request(method="GET", path="/v1/batches", headers=KEY)).json["data"][0]["id"]
    return api.handle(Request(method="GET", path=f"/v1/batches/{batch_id}", headers=KEY))


def met(api, fault, **options):
    """Return the response to a retrieve with a fault."""
    retrieve(api)
    api.inject(fault, on="batches.retrieve", **options)
    return retrieve(api)


# ---------------------------------------------------------------- responses


@pytest.mark.parametrize(
    "fault, status, code",
    [("rate_limit", 429, "rate_limit_exceeded"), ("unauthorized", 401, "invalid_api_key"), ("flicker", 404, None), ("poisoned", 500, None)],
)  # fmt: skip
def test_a_refusal_is_written_as_openais(api, fault, status, code):
    """The response is an error object with its code."""
    answer = met(api, fault)

    assert (status, code) == (answer.status, answer.json["error"]["code"])


def test_a_rate_limit_says_when_to_come_again(api):
    """The headers `retry-after` and `retry-after-ms` have the time."""
    headers = met(api, "rate_limit", retry_after_s=1.5).headers

    assert ("1.5", "1500") == (headers["retry-after"], headers["retry-after-ms"])


@pytest.mark.parametrize("fault, status", [("server_error", 500), ("bad_gateway", 502), ("html", 200)])
def test_a_proxy_answers_in_html(api, fault, status):
    """The `Accept` header of the client has no influence."""
    answer = met(api, fault)

    assert (status, "text/html") == (answer.status, answer.headers["content-type"])
    assert answer.body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("fault", ["timeout", "reset"])
def test_an_answer_may_not_come(api, fault):
    """`breaks` names the fault, and each transport raises the error of its library."""
    assert fault == met(api, fault).breaks


def test_after_a_timeout_the_server_has_done_it(api):
    """After a timeout of a create the batch exists and a client must find it; after a reset it does not exist."""
    for fault in ("timeout", "reset"):
        api.inject(fault, on="batches.create")
        fields = {"input_file_id": "file-none", "endpoint": "/v1/responses", "completion_window": "24h"}
        request = Request(method="POST", path="/v1/batches", headers=KEY, body=json.dumps(fields).encode())
        assert fault == api.handle(request).breaks

    assert 2 == len(ask(api, "GET", "batches")[1]["data"])


def test_an_answer_may_end_in_its_middle(api):
    """The rest is not valid JSON."""
    with pytest.raises(json.JSONDecodeError):
        _ = met(api, "truncated").json


def test_an_error_may_come_as_a_success(api):
    """The response has status 200 and no batch."""
    answer = met(api, "error_200")

    assert (200, ["error"]) == (answer.status, list(answer.json))


def test_a_stale_answer_is_of_some_time_ago(api):
    """The answer is never older than the creation of the batch."""
    assert "validating" == met(api, "stale", lag="59m57s").json["status"]
    assert "validating" == met(api, "stale", lag="30d").json["status"]


def test_a_duplicate_is_the_last_answer_once_more(api):
    """The clock has advanced meanwhile."""
    before = retrieve(api)
    api.clock.advance("2h")

    assert before.body == met_after(api, "duplicate").body


def met_after(api, fault):
    """Return the response to the next retrieve, without an earlier retrieve."""
    api.inject(fault, on="batches.retrieve")
    return retrieve(api)


def test_a_reordered_answer_was_overtaken_by_the_last_one(api):
    """The response is the last but one."""
    first = retrieve(api)
    api.clock.advance("2h")
    second = retrieve(api)

    assert ("in_progress", "completed") == (first.json["status"], second.json["status"])
    assert first.body == met_after(api, "reordered").body


@pytest.mark.parametrize("fault", ["duplicate", "reordered"])
def test_the_first_answer_repeats_none(api, fault):
    """There is no earlier response to repeat."""
    assert 200 == met_after(api, fault).status


def test_empty_text_stands_for_null(api):
    """Only output and error file ids are affected; OpenAI itself has sent empty text there."""
    batch = met(api, "empty_text").json

    assert ("", "", "file-input") == tuple(batch[f"{kind}_file_id"] for kind in ("output", "error", "input"))


def test_a_change_meets_each_batch_of_a_list(api):
    """Objects that are not batches stay unchanged."""
    api.start()
    api.inject("unknown_status", on="batches.list")
    listed = ask(api, "GET", "batches")[1]["data"]
    api.inject("unknown_status", times=3)

    assert ["paused", "paused"] == [batch["status"] for batch in listed]
    assert [] == ask(api, "GET", "files")[1]["data"]
    assert 404 == ask(api, "GET", "batches/batch_none")[0]
    api.inject("unknown_status", on="files")
    assert "No such File" in ask(api, "GET", "files/none")[1]["error"]["message"]


def test_a_shifted_list_shows_the_last_one_again(api):
    """Pages by offset do this when a new batch is inserted at the front."""
    made = [api.start() for _ in range(4)][::-1]
    api.inject("shifted_list", times=3)
    first = ask(api, "GET", "batches", limit="2")[1]
    second = ask(api, "GET", "batches", limit="2", after=first["last_id"])[1]

    assert made[:2] == [batch["id"] for batch in first["data"]]
    assert [made[1], made[2]] == [batch["id"] for batch in second["data"]]
    assert made[2] == second["last_id"]
    assert 400 == ask(api, "GET", "batches", after="none")[0]


# ---------------------------------------------------------------- rules


def polled(api, fault):
    """Return four observations of a batch, timed by the `date` header; the fault hits the third one."""
    seen = []

    def look():
        answer = retrieve(api)
        seen.append({"observed_at": parsedate_to_datetime(answer.headers["date"]).timestamp(), "body": answer.json})

    look()
    api.clock.advance("75m")
    look()
    api.inject(fault, on="batches.retrieve", lag=None if FAULTS[fault].lag_s is None else "70m")
    look()
    api.clock.advance("1h")
    look()
    return seen


SNAPSHOTS = (
    "stale",
    "duplicate",
    "reordered",
    "empty_text",
    "unknown_status",
    "pascal_status",
    "missing_stamps",
    "skewed_clock",
    "shifted_list",
)
COMPANIONS = {"missing_stamps": {"H504", "P103"}}


@pytest.mark.parametrize("fault", SNAPSHOTS)
def test_a_fault_is_seen_by_the_rule_that_it_names(api, fault):
    """No other rule reports it, except those that a missing timestamp breaks as well."""
    rule = FAULTS[fault].rule
    found = set(audit(polled(api, fault)).counts)

    assert ({rule} if rule else set()) == found - COMPANIONS.get(fault, set())


def test_every_fault_says_what_it_is():
    """Each fault has a name, a sentence, and an existing rule or none."""
    for name, fault in FAULTS.items():
        assert (name, ".") == (fault.name, fault.description[-1])
        assert fault.rule is None or fault.rule in RULES
        assert fault.rule is None or name in (
            *SNAPSHOTS,
            "late_results",
            "stale_list",
        )  # The latter two are tested in test_list_faults.


# ---------------------------------------------------------------- affected requests


def statuses(api, count, path="batches"):
    """Return the status codes of some consecutive responses."""
    return [ask(api, "GET", path)[0] for _ in range(count)]


def test_a_fault_meets_one_request_by_default(api):
    """`times` sets another number of requests."""
    api.inject("rate_limit")
    assert [429, 200] == statuses(api, 2)
    api.inject("rate_limit", times=2)
    assert [429, 429, 200] == statuses(api, 3)


def test_a_fault_may_last(api):
    """The fault applies to each request within the time."""
    api.inject("rate_limit", lasts="10m")
    before = statuses(api, 3)
    api.clock.advance("599s")
    still = statuses(api, 1)
    api.clock.advance("1s")

    assert ([429] * 3, [429], [200]) == (before, still, statuses(api, 1))


def test_a_fault_may_be_over_by_number_or_by_time(api):
    """It ends at the number or at the time, whichever comes first."""
    api.inject("rate_limit", times=1, lasts="10m")

    assert [429, 200] == statuses(api, 2)


def test_a_fault_may_be_meant_for_some_requests(api):
    """Requests are selected by operation or its prefix, and by batch."""
    other = api.start()
    api.inject("rate_limit", on="batches.retrieve", lasts=inf)
    assert [200, 429] == [*statuses(api, 1), *statuses(api, 1, f"batches/{other}")]
    api.clear()
    api.inject("rate_limit", on="files", lasts=inf)
    assert [200, 429] == [*statuses(api, 1), *statuses(api, 1, "files")]
    assert [404] == statuses(api, 1, "nowhere")
    api.clear()
    api.inject("poisoned", batch_id=other)
    assert [200, 500, 500, 500] == [*statuses(api, 1), *statuses(api, 3, f"batches/{other}")]


def test_what_changes_the_server_comes_from_no_cache(api):
    """A stale cancel would have a time in the past."""
    batch_id = ask(api, "GET", "batches")[1]["data"][0]["id"]
    api.inject("stale", lag="30m")

    assert api.clock.now() == ask(api, "POST", f"batches/{batch_id}/cancel")[1]["cancelling_at"]


def test_the_first_fault_that_was_injected_comes_first(api):
    """The second fault follows when the first has ended."""
    api.inject("flicker")
    api.inject("rate_limit")

    assert [404, 429, 200] == statuses(api, 3)


def test_a_fault_that_is_none_is_refused(api):
    """The message lists the known faults."""
    with pytest.raises(UnknownNameError, match="no fault is called 'flood'; known: rate_limit, server_error"):
        api.inject("flood")
    with pytest.raises(ValueError, match="a fault meets at least one request: 0"):
        api.inject("rate_limit", times=0)


@pytest.mark.parametrize(
    "on, hint", [("batch.retrieve", "the nearest is batches.retrieve; "), ("batches.get", ""), ("retrieve", "")]
)
def test_a_request_that_no_client_sends_is_refused(on, hint):
    """A fault for it would never apply; only a slip has a nearest name."""
    known = "batches.create, batches.list, batches.retrieve, batches.cancel"

    with pytest.raises(UnknownNameError, match=f"no request is called '{on}'; {hint}known: .*{known}"):
        FakeBatchAPI().inject("html", on=on)


@pytest.mark.parametrize(
    "options, kind, said",
    [
        ({"lag": "5m"}, ValueError, "html takes no lag; those that do: stale, skewed_clock, late_results"),
        ({"batch_id": 3}, TypeError, "batch_id is the id of a batch, text, not 3"),
        ({"times": "3"}, TypeError, "times is a number of requests, not '3'"),
        ({"times": True}, TypeError, "times is a number of requests, not True"),
        ({"times": 0}, ValueError, "a fault meets at least one request: 0"),
    ],
    ids=["lag", "batch_id", "times text", "times bool", "times zero"],
)
def test_an_option_without_effect_is_refused(options, kind, said):
    """A test with it would pass without the fault."""
    with pytest.raises(kind, match=f"^{re.escape(said)}$"):
        FakeBatchAPI().inject("html", **options)


def test_times_of_the_fake_are_checked():
    """Its clock needs `now`, and a signature a time in Unix seconds."""
    with pytest.raises(TypeError, match=r"^clock has a method now, as a VirtualClock; 3 has none$"):
        FakeBatchAPI(clock=3)
    with pytest.raises(TypeError, match=r"^signed_at is a time in Unix seconds, not '5m'$"):
        FakeBatchAPI().webhooks(signed_at="5m")
