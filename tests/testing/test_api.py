"""The fake API called in process: files, batches, lists, cancels and errors, as OpenAI answers."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from batchfsm import audit
from batchfsm.testing import FakeBatchAPI, Request, RequestError, Scenario, ScenarioError, VirtualClock, recordings
from batchfsm.testing.input_file import parse_input
from batchfsm.testing.multipart import parse_parts
from support.dialects import DIALECTS
from support.fake_api import KEY, ask, upload
from support.notation import CREATED

CREATE = {"input_file_id": "file-none", "endpoint": "/v1/chat/completions", "completion_window": "24h"}


def line(custom_id, url="/v1/chat/completions", method="POST", **body):
    """Return one request of an input file."""
    body = {"model": "m", "messages": [{"role": "user", "content": f"to {custom_id}"}]} | body
    return json.dumps({"custom_id": custom_id, "method": method, "url": url, "body": body}).encode() + b"\n"


def created(api, content, **fields):
    """Upload a file and create a batch from it; return the batch."""
    status, batch = ask(api, "POST", "batches", CREATE | {"input_file_id": upload(api, content)} | fields)
    assert 200 == status, batch
    return batch


def rows(api, file_id):
    """Return the parsed lines of a file."""
    answer = api.handle(Request(method="GET", path=f"/v1/files/{file_id}/content", headers=KEY))
    return [json.loads(text) for text in answer.body.splitlines()]


# ---------------------------------------------------------------- state and time


def test_state_is_a_function_of_time_and_not_of_polls():
    """A batch that was polled a hundred times equals one that was never polled."""
    asked, left_alone = FakeBatchAPI(), FakeBatchAPI()
    batch_id = asked.start()
    assert batch_id == left_alone.start()
    for api in (asked, left_alone):
        for _ in range(100):
            api.clock.advance("73s")
            if api is asked:
                ask(api, "GET", f"batches/{batch_id}")

    assert asked.batch(batch_id) == left_alone.batch(batch_id)


@pytest.mark.parametrize(
    "text",
    [
        "validating 5s > in_progress 2h 97+3/100 > finalizing 10m > completed",
        "validating 0s > in_progress 0s > finalizing 0s > completed",
        "expire",
        "cancel at 2s",
        "cancel at 1h",
        "fail line 7 invalid_json_line",
        "validating > in_progress",
        "validating > in_progress > fail",
    ],
)
def test_every_history_that_is_served_is_consistent(text):
    """Two days of polls, ten minutes apart, by retrieve and by list have no error."""
    api = FakeBatchAPI(text)
    batch_id = api.start()
    seen = []
    for _ in range(288):
        seen += [
            {"observed_at": api.clock.now(), "body": ask(api, "GET", path)[1]}
            for path in (f"batches/{batch_id}", "batches")
        ]
        api.clock.advance("10m")
    report = audit(seen)
    # A failure after in_progress is a step that OpenAI's table only tolerates; a stuck batch is overdue.
    odd = {"validating > in_progress > fail": {"H501", "P102"}, "validating > in_progress": {"T207"}}

    assert "consistent" == report.verdict
    assert odd.get(text, set()) >= set(report.counts)


@pytest.mark.parametrize(
    "dialect, text",
    [
        ("ogx", "validating > in_progress 1h > completed"),
        ("aibrix", "scheduling 2s > validating 1s > in_progress 1h > finalizing > completed"),
        ("aibrix", "scheduling 2s > validating 1s > in_progress 1h > cancelling 1s > finalizing > cancelled"),
    ],
)
def test_a_dialect_serves_what_its_own_table_allows(dialect, text):
    """An audit has no finding."""
    api = FakeBatchAPI(Scenario(text, dialect=dialect))
    batch_id = api.start()
    seen = []
    for _ in range(10):
        seen.append(api.batch(batch_id))
        api.clock.advance("10m")

    assert ("consistent", {}) == (audit(seen, dialect=dialect).verdict, dict(audit(seen, dialect=dialect).counts))


def test_the_clock_may_be_ones_own():
    """Any object with the methods of a clock is accepted."""
    api = FakeBatchAPI(clock=VirtualClock(CREATED))

    assert CREATED == api.batch(api.start())["created_at"]


def test_an_unknown_batch_is_a_key_error_without_a_request():
    """`batch` raises as a mapping does and counts no request."""
    with pytest.raises(KeyError, match="batch_none"):
        FakeBatchAPI().batch("batch_none")


def test_a_scenario_is_checked_before_anything_begins():
    """The error is raised at the start, not when the first batch is created."""
    with pytest.raises(ScenarioError, match="openai has no status 'nonsense'"):
        FakeBatchAPI("nonsense 5")


def test_a_life_is_there_from_its_birth_on():
    """A batch that is created in the future is not found before then."""
    api = FakeBatchAPI()
    life = Scenario("expire").life(int(api.clock.now()) + 60)
    api.add(life)
    before = ask(api, "GET", f"batches/{life.batch_id}")[0], ask(api, "GET", "batches")[1]["data"]
    api.clock.advance("1m")

    assert (404, []) == before
    assert 200 == ask(api, "GET", f"batches/{life.batch_id}")[0]
    with pytest.raises(ValueError, match=f"there is a batch {life.batch_id} already"):
        api.add(life)


# ---------------------------------------------------------------- input files

GOOD = line("a") + line("b") + line("c")


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"", [("empty_file", None, None)]),
        (b"\n \n", [("empty_file", None, None)]),
        (line("a") + b"{oops\n" + line("b"), [("invalid_json_line", 2, None)]),
        (b"[1]\n", [("invalid_json_line", 1, None)]),
        (b"[" * 100_000 + b"\n", [("invalid_json_line", 1, None)]),
        (line("a") + b"\n" + line("a"), [("duplicate_custom_id", 3, "custom_id")]),
        (line("a", url="/v1/embeddings"), [("url_mismatch", 1, "url")]),
        (line("a") + line("b", model="other"), [("model_mismatch", 2, "body.model")]),
        (
            b'{"url": "/v1/chat/completions"}\n',
            [("missing_required_parameter", 1, name) for name in ("custom_id", "method", "body")],
        ),
        (line("a", url="/v1/x") + line("a"), [("url_mismatch", 1, "url"), ("duplicate_custom_id", 2, "custom_id")]),
        (line("a", method="GET"), [("invalid_method", 1, "method")]),
        (b"\n".join([b"x"] * 150), [("invalid_json_line", number, None) for number in range(1, 101)]),
        (b"{}\n" * 50_001, [("too_many_tasks", None, None)]),
    ],
    ids=range(13),
)  # fmt: skip
def test_an_input_file_is_validated_as_openai_does(content, expected):
    """The error has a code, a line and a parameter; a hundred errors are kept at most."""
    api = FakeBatchAPI()
    batch = created(api, content)
    api.clock.advance("5s")
    failed = api.batch(batch["id"])

    assert ("validating", "failed") == (batch["status"], failed["status"])
    assert expected == [(error["code"], error["line"], error["param"]) for error in failed["errors"]["data"]]
    assert "consistent" == audit([batch, failed]).verdict


def test_a_file_that_is_not_there_fails_in_validation():
    """As on OpenAI the batch is accepted first."""
    api = FakeBatchAPI()
    _, batch = ask(api, "POST", "batches", CREATE)
    api.clock.advance("5s")

    assert ["invalid_request"] == [error["code"] for error in api.batch(batch["id"])["errors"]["data"]]


def test_a_file_fails_as_the_dialect_does():
    """An AIBrix batch begins in scheduling and then fails."""
    api = FakeBatchAPI(Scenario("scheduling 1s > validating 5s > in_progress", dialect="aibrix"))
    seen = [created(api, b"x")]
    for _ in range(2):
        api.clock.advance("3s")
        seen.append(api.batch(seen[0]["id"]))

    assert {} == audit(seen, dialect=DIALECTS["aibrix"]).counts
    assert ["scheduling", "validating", "failed"] == [batch["status"] for batch in seen]


@pytest.mark.parametrize(
    "text, second, before, after",
    [
        ("validating 20m > in_progress 1h > finalizing > completed", 1200, "validating", "failed"),
        ("validating 3s > fail", 3, "validating", "failed"),
        ("fail at 15m token_limit_exceeded", 900, "validating", "failed"),
        ("expire", 5, "validating", "failed"),
        ("validating", 10**6, "validating", "validating"),
        ("validating 1h > in_progress, cancel at 5m", 300, "validating", "cancelling"),
    ],
)
def test_a_bad_file_fails_when_the_scenario_ends_the_validation(text, second, before, after):
    """A batch that is stuck in validation stays there, and one that is cancelled earlier is cancelled."""
    api = FakeBatchAPI(text)
    batch_id = created(api, b"x")["id"]
    api.clock.advance(second - 1)
    early = api.batch(batch_id)
    api.clock.advance(1)
    late = api.batch(batch_id)

    assert ((before, after), 0) == ((early["status"], late["status"]), late["request_counts"]["total"])
    assert ("invalid_json_line" if after == "failed" else None) == (
        late["errors"] and late["errors"]["data"][0]["code"]
    )


def test_a_bad_file_fails_beside_a_recording_after_the_usual_time():
    """A recording has no duration of the validation."""
    life = Scenario("validating 1h > in_progress").life(CREATED)
    recording = recordings([{"observed_at": CREATED, "body": life.at(CREATED)}])[life.batch_id]
    api = FakeBatchAPI(recording)
    batch_id = created(api, b"x")["id"]
    api.clock.advance("5s")

    assert "failed" == api.batch(batch_id)["status"]


@pytest.mark.parametrize("purpose", ["assistants", "user_data"])
def test_an_input_file_of_another_purpose_fails_in_validation(purpose):
    """It fails as a file that does not exist."""
    api = FakeBatchAPI()
    file_id = api.add_file(GOOD, purpose=purpose)
    _, batch = ask(api, "POST", "batches", CREATE | {"input_file_id": file_id})
    api.clock.advance("5s")

    assert ["invalid_request"] == [error["code"] for error in api.batch(batch["id"])["errors"]["data"]]


def test_a_test_answers_no_request_of_a_bad_file():
    """The function of the test is not called, because the batch never runs."""
    asked = []
    api = FakeBatchAPI(respond=lambda body: asked.append(body) or {})
    created(api, GOOD + b"x")

    assert [] == asked


def test_good_lines_are_read_in_order():
    """Each line keeps its custom_id."""
    lines, errors = parse_input(GOOD, "batch", "/v1/chat/completions")

    assert (["a", "b", "c"], ()) == ([each.custom_id for each in lines], errors)


# ---------------------------------------------------------------- results


def test_results_are_what_the_test_answers():
    """Each result is in the output or the error file, and the counts agree."""
    api = FakeBatchAPI(
        "validating 0s > in_progress 1h > finalizing 0s > completed",
        respond=lambda body: (
            RequestError(500, "no", "bad") if "b" in body["messages"][0]["content"] else {"fine": True}
        ),
    )
    batch = created(api, GOOD)
    api.clock.advance("1h")
    ended = api.batch(batch["id"])
    output, error = rows(api, ended["output_file_id"]), rows(api, ended["error_file_id"])

    assert {"total": 3, "completed": 2, "failed": 1} == ended["request_counts"]
    assert [("a", 200, {"fine": True}), ("c", 200, {"fine": True})] == [
        (row["custom_id"], row["response"]["status_code"], row["response"]["body"]) for row in output
    ]
    assert [("b", 500, {"message": "no", "type": "server_error", "param": None, "code": "bad"})] == [
        (row["custom_id"], row["response"]["status_code"], row["response"]["body"]["error"]) for row in error
    ]
    assert [None] * 3 == [row["error"] for row in output + error]
    assert 3 == len({row["id"] for row in output + error})


def test_results_by_scenario_are_echoes():
    """The number of failed requests is that of the scenario's counts."""
    api = FakeBatchAPI("validating 0s > in_progress 1h 1+2/3 > finalizing 0s > completed")
    batch = created(api, GOOD)
    api.clock.advance("1h")
    ended = api.batch(batch["id"])
    (good,), bad = rows(api, ended["output_file_id"]), rows(api, ended["error_file_id"])

    assert f"to {good['custom_id']}" == good["response"]["body"]["choices"][0]["message"]["content"]
    assert [400, 400] == [row["response"]["status_code"] for row in bad]


@pytest.mark.parametrize(
    "text, code",
    [("validating 0s > in_progress 1+0/3 > expire", "batch_expired"), ("cancel at 90m", "batch_cancelled")],
)
def test_what_is_cut_off_is_in_the_error_file(text, code):
    """Such requests are counted neither as completed nor as failed."""
    api = FakeBatchAPI(text)
    batch = created(api, GOOD)
    api.clock.advance("2d")
    ended = api.batch(batch["id"])
    output, error = rows(api, ended["output_file_id"]), rows(api, ended["error_file_id"])

    assert ended["request_counts"] == {"total": 3, "completed": len(output), "failed": 0}
    assert [code] * (3 - len(output)) == [row["error"]["code"] for row in error]
    assert {None} == {row["response"] for row in error}


def test_results_come_with_the_end():
    """Before the end there is no file; after it, the file is listed and can be deleted."""
    api = FakeBatchAPI("validating 0s > in_progress 1h > finalizing 0s > completed")
    batch = created(api, GOOD)
    (early,) = ask(api, "GET", "files")[1]["data"]
    api.clock.advance("1h")
    output = api.batch(batch["id"])["output_file_id"]
    listed = ask(api, "GET", "files")[1]["data"]

    assert [output, early["id"]] == [file["id"] for file in listed]
    assert ["batch_output", "batch"] == [file["purpose"] for file in listed]
    assert len(GOOD) == early["bytes"]
    assert (200, {"id": output, "object": "file", "deleted": True}) == ask(api, "DELETE", f"files/{output}")
    assert [404, 404] == [ask(api, method, f"files/{output}")[0] for method in ("GET", "DELETE")]
    assert [early["id"]] == [file["id"] for file in ask(api, "GET", "files")[1]["data"]]


def test_a_batch_that_is_cancelled_before_it_ran_has_no_files():
    """No request has run."""
    api = FakeBatchAPI("cancel at 0s")
    batch = created(api, GOOD)
    api.clock.advance("1h")

    assert (None, None) == tuple(api.batch(batch["id"])[f"{kind}_file_id"] for kind in ("output", "error"))
    assert 1 == len(ask(api, "GET", "files")[1]["data"])


# ---------------------------------------------------------------- uploads


def test_an_upload_is_kept_byte_by_byte():
    """Line ends stay unchanged, too."""
    content = bytes(range(256)) + b"\r\n\n\r--cu\r\n"
    api = FakeBatchAPI()
    file_id = upload(api, content)

    assert content == api.handle(Request(method="GET", path=f"/v1/files/{file_id}/content", headers=KEY)).body


@pytest.mark.parametrize(
    "content_type, body",
    [
        ("", b""),
        ("application/json", b"{}"),
        ("multipart/form-data", b"--cut--"),
        ("text/plain; boundary=cut", b'--cut\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--cut--'),
        ("multipart/form-data; boundary=cut", b"--cut\r\nContent-Disposition: form-data\r\n\r\nx\r\n--cut--"),
    ],
)
def test_what_is_no_upload_has_no_parts(content_type, body):
    """A part without a name is left out, too."""
    assert {} == parse_parts(content_type, body)


@pytest.mark.parametrize("missing", ["file", "purpose"])
def test_an_upload_needs_both_parts(missing):
    """The error names the missing part."""
    name = "purpose" if missing == "file" else "file"
    body = f'--cut\r\nContent-Disposition: form-data; name="{name}"\r\n\r\nx\r\n--cut--\r\n'.encode()
    headers = KEY | {"content-type": "multipart/form-data; boundary=cut"}
    answer = FakeBatchAPI().handle(Request(method="POST", path="/v1/files", headers=headers, body=body))

    assert (400, missing) == (answer.status, answer.json["error"]["param"])


# ---------------------------------------------------------------- create


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"input_file_id": None}, "input_file_id"),
        ({"endpoint": None}, "endpoint"),
        ({"endpoint": "/v1/none"}, "endpoint"),
        ({"completion_window": None}, "completion_window"),
        ({"completion_window": "soon"}, "completion_window"),
        ({"metadata": "x"}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {"scenario": "validating > completed"}}, "metadata.scenario"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {f"k{number}": "v" for number in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"output_expires_after": "1h"}, "output_expires_after.anchor"),
        ({"output_expires_after": {"anchor": "now", "seconds": 3600}}, "output_expires_after.anchor"),
        ({"output_expires_after": {"anchor": "created_at"}}, "output_expires_after.seconds"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 3599}}, "output_expires_after.seconds"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 2_592_001}}, "output_expires_after.seconds"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": True}}, "output_expires_after.seconds"),
    ],
)
def test_a_create_that_cannot_be_is_refused(fields, param):
    """The error names the wrong parameter."""
    api = FakeBatchAPI()
    status, answer = ask(api, "POST", "batches", CREATE | {"input_file_id": upload(api, GOOD)} | fields)

    assert (400, param) == (status, answer["error"]["param"])
    assert [] == ask(api, "GET", "batches")[1]["data"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(body):
    """The API answers with an error for the whole body."""
    assert 400 == ask(FakeBatchAPI(), "POST", "batches", body)[0]


def test_metadata_at_its_limits_is_kept():
    """The limits are 16 pairs, keys of 64 characters and values of 512."""
    metadata = {f"{number:064}": "v" * 512 for number in range(16)}

    assert metadata == created(FakeBatchAPI(), GOOD, metadata=metadata)["metadata"]


def test_another_window_is_taken_as_compatible_servers_do():
    """It is refused if the scenario contradicts its deadline."""
    api = FakeBatchAPI(Scenario("validating > in_progress", dialect="groq"))
    fields = CREATE | {"input_file_id": upload(api, GOOD), "completion_window": "48h"}
    _, batch = ask(api, "POST", "batches", fields)
    early = {"metadata": {"scenario": "validating > in_progress 24h > finalizing 1h > expired"}}

    assert ("48h", 172_800) == (batch["completion_window"], batch["expires_at"] - batch["created_at"])
    for refused in (early, {"completion_window": "soon"}):
        status, answer = ask(api, "POST", "batches", fields | refused)
        assert (400, "completion_window") == (status, answer["error"]["param"])


def test_a_client_says_what_becomes_of_its_batch():
    """The scenario stands in the metadata, so that clients in any language can choose it."""
    api = FakeBatchAPI()
    batch = created(api, GOOD, metadata={"scenario": "expire", "team": "search"})
    api.clock.advance("2d")

    assert ("expired", "search") == (api.batch(batch["id"])["status"], batch["metadata"]["team"])


def test_what_one_batch_is_given_follows_the_dialect_of_all():
    """A scenario given by the metadata or by the test is read in the dialect of the API."""
    api = FakeBatchAPI(Scenario("validating > in_progress 1h > completed", dialect="ogx"))
    text = "validating 0s > in_progress 0s > completed"
    batch = created(api, GOOD, metadata={"scenario": text})

    assert ("completed", "completed") == (batch["status"], api.batch(api.start(text))["status"])


def test_a_batch_remembers_what_it_was_made_of():
    """The batch has the fields of the request."""
    api = FakeBatchAPI()
    batch = created(api, line("a", url="/v1/responses"), endpoint="/v1/responses", metadata=None)

    assert ("/v1/responses", None, 86_400) == (
        batch["endpoint"],
        batch["metadata"],
        batch["expires_at"] - batch["created_at"],
    )
    assert {"team": "x"} == api.batch(api.start(metadata={"team": "x"}))["metadata"]


# ---------------------------------------------------------------- cancel, list, errors


def test_a_cancel_is_answered_with_the_batch():
    """The batch is cancelled ten minutes later and keeps the work done until then."""
    api = FakeBatchAPI("validating 0s > in_progress 1h 100+0/100 > finalizing > completed")
    batch_id = api.start()
    api.clock.advance("30m")
    status, batch = ask(api, "POST", f"batches/{batch_id}/cancel")
    api.clock.advance("11m")

    assert (200, "cancelling") == (status, batch["status"])
    assert ("cancelled", 50) == (api.batch(batch_id)["status"], api.batch(batch_id)["request_counts"]["completed"])
    assert (200, api.batch(batch_id)) == ask(api, "POST", f"batches/{batch_id}/cancel")


@pytest.mark.parametrize("pause, status", [("61m", "finalizing"), ("2h", "completed")])
def test_a_cancel_that_comes_too_late_is_a_conflict(pause, status):
    """The batch continues unchanged."""
    api = FakeBatchAPI("validating 0s > in_progress 1h > finalizing 10m > completed")
    batch_id = api.start()
    api.clock.advance(pause)
    code, answer = ask(api, "POST", f"batches/{batch_id}/cancel")

    assert (409, f"Cannot cancel a batch with status '{status}'.") == (code, answer["error"]["message"])
    assert status == api.batch(batch_id)["status"]


def test_a_list_is_paged_newest_first():
    """Each batch comes once, and the cursor is the last id of a page."""
    api = FakeBatchAPI()
    made = []
    for number in range(45):
        made.append(api.start())
        api.clock.advance(number % 2)
    pages, after = [], {}
    while not pages or pages[-1]["has_more"]:
        pages.append(ask(api, "GET", "batches", **after)[1])
        after = {"after": pages[-1]["last_id"]}

    assert made[::-1] == [batch["id"] for page in pages for batch in page["data"]]
    assert [20, 20, 5] == [len(page["data"]) for page in pages]
    assert all(page["first_id"] == page["data"][0]["id"] for page in pages)
    assert 45 == len(ask(api, "GET", "batches", limit="100")[1]["data"])


def test_an_empty_list_has_no_ids():
    """Its `first_id` and `last_id` are null, and `has_more` is false."""
    page = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}

    assert (200, page) == ask(FakeBatchAPI(), "GET", "batches")


@pytest.mark.parametrize(
    "query, param",
    [({"limit": limit}, "limit") for limit in ("0", "101", "-1", "x", "", "²", "9" * 5000)]
    + [({"after": "none"}, "after")],
)
def test_a_page_that_cannot_be_is_refused(query, param):
    """OpenAI answers 400 for a limit above 100."""
    status, answer = ask(FakeBatchAPI(), "GET", "batches", **query)

    assert (400, param) == (status, answer["error"]["param"])


@pytest.mark.parametrize(
    "method, path, message",
    [
        ("GET", "batches/batch_none", "No batch found with id 'batch_none'."),
        ("POST", "batches/batch_none/cancel", "No batch found with id 'batch_none'."),
        ("GET", "files/file-none", "No such File object: file-none"),
        ("GET", "files/file-none/content", "No such File object: file-none"),
        ("DELETE", "files/file-none", "No such File object: file-none"),
        ("GET", "models", "Invalid URL (GET /v1/models)"),
        ("PUT", "batches", "Invalid URL (PUT /v1/batches)"),
    ],
)
def test_what_is_not_there_is_not_found(method, path, message):
    """The error object has OpenAI's form."""
    error = {"message": message, "type": "invalid_request_error", "code": None}

    status, answer = ask(FakeBatchAPI(), method, path)
    assert 404 == status
    assert error == {name: value for name, value in answer["error"].items() if name != "param"}


@pytest.mark.parametrize("headers", [{}, {"authorization": ""}, {"authorization": "Bearer "}])
def test_without_a_key_nothing_is_answered(headers):
    """Any key is accepted."""
    answer = FakeBatchAPI().handle(Request(method="GET", path="/v1/batches", headers=headers))

    assert (401, "invalid_api_key") == (answer.status, answer.json["error"]["code"])


def test_calls_are_remembered():
    """A call has its time, operation and status."""
    api = FakeBatchAPI(clock=VirtualClock(CREATED))
    ask(api, "GET", "batches")
    api.clock.advance("5s")
    api.inject("reset")
    api.handle(Request(method="GET", path="/v1/batches/b"))
    api.handle(Request(method="GET", path="/nowhere"))

    assert [
        (CREATED, "batches.list", 200),
        (CREATED + 5, "batches.retrieve", None),
        (CREATED + 5, None, 404),
    ] == [(call.at, call.operation, call.status) for call in api.calls]


# ---------------------------------------------------------------- many at once


def test_a_thousand_batches_by_eight_threads():
    """No batch is lost or has the id of another, and each has the status of its own time."""
    api = FakeBatchAPI("validating 5s > in_progress 1h > finalizing > completed")

    def live(number):
        batch_id = api.start()
        api.clock.advance(1)
        seen = [ask(api, "GET", f"batches/{batch_id}")[1] for _ in range(3)]
        if number % 10 == 0:
            ask(api, "POST", f"batches/{batch_id}/cancel")
        return batch_id, seen

    with ThreadPoolExecutor(8) as pool:
        made = dict(pool.map(live, range(1000)))
    cancelled = [batch_id for batch_id in made if api.batch(batch_id)["status"] == "cancelling"]
    api.clock.advance("2d")

    assert 1000 == len(made)
    assert 100 == len([batch_id for batch_id in made if api.batch(batch_id)["status"] == "cancelled"]) >= len(cancelled)
    assert all(
        before["created_at"] == after["created_at"] for seen in made.values() for before, after in pairwise(seen)
    )
    assert "consistent" == audit([batch for seen in made.values() for batch in seen]).verdict


def test_the_parts_of_the_kit_are_short_when_printed():
    """The API shows its time and its requests, the clock its time, the server its address."""
    api = FakeBatchAPI()

    assert "<FakeBatchAPI at 1760000000, requests: 0>" == repr(api)
    assert "VirtualClock(1760000000.0)" == repr(api.clock)
    with api.serve() as server:
        assert f"<Server {server.base_url}>" == repr(server)
