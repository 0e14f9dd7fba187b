"""Conformance: the scorecards of good and of bad servers."""

import json
import time
from types import SimpleNamespace

import attrs
import pytest
from click.testing import CliRunner

from batchfsm import DIALECTS, RULES, audit, parse
from batchfsm.cli import app
from batchfsm.cli import conform as conform_cli
from batchfsm.conform import Check, Scorecard, UnreachableError, WaitProgress, conform, http_caller
from batchfsm.errors import UnknownNameError
from batchfsm.testing import FakeBatchAPI, Request, SpeedClock
from batchfsm.testing.http import Answer, error_answer, json_answer
from support.dialects import OFF
from support.notation import CREATED, snap

QUICK = "validating 1s > in_progress 1m > finalizing 1s > completed"


def carded(scenario=QUICK, change=lambda request, answer: answer, timeout_s=2000, **options):
    """Return the scorecard of a fake API whose responses `change` may replace."""
    api = FakeBatchAPI(scenario)

    def call(request):
        path, headers = "/v1" + request.path, {**request.headers, "authorization": "Bearer sk-any"}
        return change(request, api.handle(attrs.evolve(request, path=path, headers=headers)))

    return conform(
        call, now=api.clock.now, sleep=api.clock.sleep, server="fake", poll_s=10, timeout_s=timeout_s, **options
    )


def results(card, result="broken"):
    """Return the names of all rules and the questions of all endpoints that have a result."""
    return [f"{score.name}: {score.asked}" for score in card.endpoints if score.result == result] + [
        score.name for score in card.rules if score.result == result
    ]


def witness(card, asked):
    """Return result and witness of the only score whose question contains a text."""
    (score,) = [score for score in (*card.endpoints, *card.rules) if asked in score.asked]
    return score.result, score.witness


# ---------------------------------------------------------------- a good server


def test_the_own_fake_keeps_everything():
    """The scorecard has each endpoint, and each rule that can be observed within an hour."""
    card = carded()

    assert ("consistent", []) == (card.verdict, results(card))
    assert ["T203", "T207", "T208"] == results(card, "not seen")
    assert (11, 35) == (len(card.endpoints), len(card.rules))
    assert [code for code in RULES if code not in OFF] == [score.name for score in card.rules]


def test_what_was_seen_can_be_audited_again():
    """The log has each observation in order, in an envelope."""
    views = []
    card = carded(log=views.append)

    assert card.snapshots == audit(views).snapshots == len(views)
    assert "consistent" == audit(views).verdict


def test_a_dialect_may_be_silent():
    """A rule that is off for the dialect is not seen, and the dialect's own table decides."""
    card = carded(dialect="ogx", scenario="validating 1s > in_progress 1m > finalizing 1m > completed")
    unknown = next(score for score in card.rules if score.name == "S004")

    assert ("not seen", "off for ogx") == witness(card, "deadline-missing")
    assert ("broken", "error") == (unknown.result, unknown.severity)


def test_a_dialect_that_is_none_is_refused():
    """The error is raised before the first request."""
    with pytest.raises(UnknownNameError, match="no dialect is called 'x'"):
        carded(dialect="x")


# ---------------------------------------------------------------- batches with another end


def test_a_batch_that_never_ends_is_not_judged_by_its_end():
    """The checks of an ended batch are not seen."""
    card = carded("validating 1s > in_progress")

    assert ("not seen", "after 2000 s it was in_progress") == witness(card, "a batch of good requests is completed")
    assert {"batches.cancel: a cancel after the end changes nothing", "C302", "T203"} <= set(results(card, "not seen"))
    assert "consistent" == card.verdict


def test_a_batch_that_fails_should_have_been_completed():
    """The witness has the errors of the batch."""
    result, said = witness(carded("fail line 7 model_mismatch"), "a batch of good requests is completed")

    assert "broken" == result
    assert said.startswith('it ended failed, errors: {"object": "list", "data": [{"code": "model_mismatch"')


def test_nothing_ends_where_the_time_is_short():
    """Neither the cancelled batch nor the one with a bad file has ended."""
    card = carded(timeout_s=0, change=lambda _, answer: answer)

    assert ("not seen", "after 0 s it was cancelling") == witness(card, "a batch that is cancelled ends as cancelled")
    assert ("not seen", "after 0 s it was validating") == witness(card, "a file that is no JSON")


# ---------------------------------------------------------------- bad servers


def altered(matches, replace):
    """Return a change of the responses to requests for which `matches` holds; `replace` takes request and response."""
    return lambda request, answer: replace(request, answer) if matches(request) else answer


def is_create(request):
    """Return whether the request creates a batch."""
    return (request.method, request.path) == ("POST", "/batches")


def is_cancel(request):
    """Return whether the request cancels a batch."""
    return request.path.endswith("/cancel")


def is_list(request):
    """Return whether the request lists batches."""
    return (request.method, request.path) == ("GET", "/batches")


def with_fields(**fields):
    """Return a change that replaces fields of successful responses."""
    return lambda _, answer: json_answer(answer.json | fields) if answer.status == 200 else answer


BROKEN = {
    "no uploads": (
        lambda request: request.path == "/files",
        lambda *_: error_answer(501, "no files here"),
        {
            "files.create: an upload is answered with its file: id, object, purpose, name, size",
            "batches.create: a new batch repeats the parameters of its request",
            "batches.create: a file that is no JSON is refused, or fails the batch",
        },
        "501",
    ),
    "another file": (
        is_create,
        with_fields(input_file_id="file-other"),
        {"batches.create: a new batch repeats the parameters of its request", "H503"},
        'input_file_id is "file-other"',
    ),
    "metadata dropped": (
        is_create,
        with_fields(metadata=None),
        {"batches.create: a new batch repeats the parameters of its request"},
        "metadata is null",
    ),
    "not found is empty": (
        lambda request: "00000000" in request.path,
        lambda *_: json_answer({}),
        {
            "batches.retrieve: an unknown batch is 404, with an error object",
            "batches.cancel: an unknown batch is 404, with an error object",
        },
        "answered 200 {}",
    ),
    "results in another tongue": (
        lambda request: request.path.endswith("/content"),
        lambda *_: Answer(body=b"<html>"),
        {"files.content: each request stands once in the output or the error file"},
        "output_file_id: answered 200 <html>",
    ),
    "results of others": (
        lambda request: request.path.endswith("/content"),
        lambda *_: Answer(body=b'{"custom_id": "one"}\n'),
        {"files.content: each request stands once in the output or the error file"},
        'found {"one": 1}',
    ),
    "a list of pages without batches": (
        is_list,
        lambda *_: json_answer({"data": [5]}),
        {"batches.list: the pages show every batch once"},
        'answered 200 {"data": [5]}',
    ),
    "a list in HTML": (
        is_list,
        lambda *_: Answer(body=b"<html>" + b"x" * 500),
        {"batches.list: the pages show every batch once"},
        "xxx...",
    ),
    "a list that ignores the limit": (
        is_list,
        lambda _, answer: json_answer(answer.json | {"data": answer.json["data"] * 2}),
        {"batches.list: the pages show every batch once", "batches.list: the newest batch comes first"},
        "a page of 2 has 4 batches",
    ),
    "a list that repeats": (
        is_list,
        lambda _, answer: json_answer(answer.json | {"data": answer.json["data"][:1] * 2}),
        {"batches.list: the pages show every batch once"},
        "is shown twice",
    ),
    "an empty list": (
        is_list,
        lambda *_: json_answer({"object": "list", "data": [], "has_more": True}),
        {"batches.list: the pages show every batch once"},
        "is not shown",
    ),
    "the oldest first": (
        is_list,
        lambda _, answer: json_answer(answer.json | {"data": answer.json["data"][::-1]}),
        {"batches.list: the newest batch comes first", "batches.list: the pages show every batch once"},
        "created_at: [",
    ),
    "cancel is not there": (
        is_cancel,
        lambda *_: error_answer(404, "no such route"),
        {"batches.cancel: a batch that is cancelled ends as cancelled"},
        "answered 404",
    ),
    "cancel breaks down": (
        lambda request: is_cancel(request) and "00000000" not in request.path,
        lambda *_: error_answer(500, "oops"),
        {
            "batches.cancel: a batch that is cancelled ends as cancelled",
            "batches.cancel: a cancel after the end changes nothing",
        },
        "answered 500",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_a_server_breaks_is_named_with_a_witness(name):
    """No other check is broken."""
    matches, replace, expected, said = BROKEN[name]
    card = carded(change=altered(matches, replace))
    witnesses = " ".join(score.witness for score in card.endpoints if score.result == "broken")

    assert expected == set(results(card))
    assert said in witnesses
    assert ("inconsistent" if expected else "consistent") == card.verdict


PARAMETERS = ("object", "input_file_id", "endpoint", "completion_window", "metadata")


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("value", ["absent", None, "1d", "banana", 5, True, [], {}, {"conform": "other"}])
def test_a_parameter_that_a_new_batch_changes_is_named(name, value):
    """The parameter may be absent, null, of another type, or have another value."""

    def change(_, answer):
        batch = answer.json | {name: value}
        return json_answer({key: each for key, each in batch.items() if key != name or value != "absent"})

    result, said = witness(carded(change=altered(is_create, change)), "a new batch repeats the parameters")

    assert "broken" == result
    assert said.startswith(f"{name} is " if name != "object" or value == "absent" else "answered 200 ")


@pytest.mark.parametrize(
    "name, value", [("object", None), ("purpose", "assistants"), ("filename", "x"), ("bytes", 1), ("bytes", True)]
)
def test_an_upload_with_other_fields_is_a_warning(name, value):
    """The batch can be created nevertheless."""
    upload = altered(
        lambda request: request.path == "/files", lambda _, answer: json_answer(answer.json | {name: value})
    )
    card = carded(change=upload)
    (check,) = [check for check in card.endpoints if check.name == "files.create"]

    assert ("broken", "warning", "consistent") == (check.result, check.severity, card.verdict)
    assert check.witness.startswith(f"{name} is ")


@pytest.mark.parametrize(
    "fields", [{"cancelled_at": 5}, {"output_file_id": None}, {"request_counts": {}}, {"status": "x"}]
)
def test_a_late_cancel_that_changes_any_field_is_named(fields):
    """Fields other than the status are compared, too."""
    ended = []

    def change(request, answer):
        if is_cancel(request) and answer.status == 409:
            ended.append(request.path.removesuffix("/cancel"))
        return json_answer(answer.json | fields) if request.path in ended and answer.status == 200 else answer

    (name,) = fields
    result, said = witness(carded(change=change), "a cancel after the end changes nothing")

    assert ("broken", True) == (result, said.startswith(f"then {name} is "))


def test_a_batch_that_is_gone_after_a_late_cancel_is_named():
    """The witness is the response."""
    ended = []

    def change(request, answer):
        if is_cancel(request) and answer.status == 409:
            ended.append(request.path.removesuffix("/cancel"))
        return error_answer(404, "gone") if request.path in ended else answer

    result, said = witness(carded(change=change), "a cancel after the end changes nothing")

    assert ("broken", True) == (result, said.startswith('now it is 404 {"error"'))


@pytest.mark.parametrize("error", [None, "no such batch", {}, {"message": None}])
def test_an_error_object_has_a_message(error):
    """A 404 without a message breaks the check."""
    bare = altered(lambda request: "00000000" in request.path, lambda *_: json_answer({"error": error}, 404))

    assert {f"batches.{name}: an unknown batch is 404, with an error object" for name in ("retrieve", "cancel")} == set(
        results(carded(change=bare))
    )


def test_every_batch_that_was_created_must_be_listed():
    """Each batch is looked up, not only the first one."""

    def drop(_, answer):
        return json_answer(answer.json | {"data": answer.json["data"][1:]}) if answer.json["data"] else answer

    first_page = altered(lambda request: is_list(request) and "after" not in request.query, drop)

    result, said = witness(carded(change=first_page), "the pages show every batch once")

    assert ("broken", True) == (result, said.endswith("is not shown"))


def test_a_missing_prefix_is_named():
    """An address without /v1 has no resource; a server without batches is judged."""

    def below(prefix):
        api = FakeBatchAPI(QUICK)

        def call(request):
            headers = {**request.headers, "authorization": "Bearer sk-any"}
            return api.handle(attrs.evolve(request, path=prefix + request.path, headers=headers))

        return conform(call, now=api.clock.now, sleep=api.clock.sleep, server="fake", poll_s=10)

    with pytest.raises(UnreachableError, match="the address has no /files, but it has /v1/batches: write it with /v1"):
        below("")
    assert "inconsistent" == below("/v2").verdict


def test_a_connection_that_breaks_in_the_middle_does_not_end_the_run():
    """A broken connection counts as a response; only a server that never answered stops the run."""
    count = []

    def break_one(request, answer):
        count.append(request)
        if len(count) in (5, 6):
            raise UnreachableError("GET /batches: reset")
        return answer

    card = carded(change=break_one)

    assert ("consistent", []) == (card.verdict, results(card))
    gone = altered(is_list, lambda *_: (_ for _ in ()).throw(UnreachableError("GET /batches: reset")))
    assert ("broken", "answered no answer: GET /batches: reset") == witness(carded(change=gone), "the pages show")


def test_a_wait_reports_each_poll():
    """The report has the batch, its status, the time so far and the time limit."""
    found = []
    card = carded(on_wait=found.append)
    batch_ids = {each.batch_id for each in found}

    assert ("consistent", 3) == (card.verdict, len(batch_ids))
    assert {2000} == {each.timeout_s for each in found}
    assert {"validating", "in_progress", "completed", "cancelling", "cancelled", "failed"} == {
        each.status for each in found
    }
    assert [0.0] * 3 == [each.waited_s for each in found if each.waited_s == 0]


def test_stamps_are_judged_by_the_servers_own_clock():
    """A server whose clock is ahead of the local one has no timestamps in the future."""
    ahead = FakeBatchAPI(QUICK)
    ahead.clock.advance("10d")
    now = FakeBatchAPI().clock.now

    def call(request):
        headers = {**request.headers, "authorization": "Bearer sk-any"}
        return ahead.handle(attrs.evolve(request, path="/v1" + request.path, headers=headers))

    def judged(change):
        return conform(lambda request: change(call(request)), now=now, sleep=ahead.clock.sleep, server="x", timeout_s=1)

    undated = judged(lambda answer: attrs.evolve(answer, headers={"date": "soon"}))

    assert [] == results(judged(lambda answer: answer))
    assert ["T205"] == results(undated)


def test_a_cancel_that_is_too_late_is_not_seen():
    """The batch has completed before, so the server shows no cancel of a running batch."""
    card = carded("validating 0s > in_progress 0s > finalizing 0s > completed")

    assert ("not seen", "it was completed before the cancel took hold") == witness(card, "a batch that is cancelled")


def test_a_cancelled_batch_that_ends_otherwise_is_named():
    """The batch ends as failed, for example."""

    def fail(request, answer):
        ended = answer.json.get("status") == "cancelled"
        return json_answer(answer.json | {"status": "failed"}) if ended else answer

    card = carded(change=altered(lambda request: request.method == "GET" and "content" not in request.path, fail))

    assert ("broken", "it ended failed, errors: null") == witness(card, "a batch that is cancelled ends as cancelled")


def test_a_cancel_that_reopens_a_batch_is_named():
    """The check is broken for any response to the cancel."""
    reopened = []

    def change(request, answer):
        if is_cancel(request) and answer.status == 409:
            reopened.append(request.path.removesuffix("/cancel"))
        again = request.path in reopened and answer.status == 200
        return json_answer(answer.json | {"status": "in_progress"}) if again else answer

    result, said = witness(carded(change=change), "a cancel after the end changes nothing")

    assert ("broken", 'then status is "in_progress", not "completed"') == (result, said)


def test_an_invalid_file_that_is_completed_is_named():
    """A server may also refuse the file at once."""

    def complete(request, answer):
        failed = answer.json.get("status") == "failed"
        return json_answer(answer.json | {"status": "completed"}) if failed else answer

    matches = lambda request: request.method == "GET" and "content" not in request.path  # noqa: E731
    bad = carded(change=altered(matches, complete))
    refused = carded(change=altered(lambda request: b'"PO' in request.body, lambda *_: error_answer(400, "no JSON")))

    assert "broken" == witness(bad, "a file that is no JSON")[0]
    assert ("kept", "") == witness(refused, "a file that is no JSON")


def test_a_list_without_times_has_no_order():
    """Times that are text are not compared."""

    def untimed(_, answer):
        return json_answer(answer.json | {"data": [each | {"created_at": None} for each in answer.json["data"]]})

    assert ("not seen", "there are not two batches with a time") == witness(
        carded(change=altered(is_list, untimed)), "the newest batch comes first"
    )


def test_a_list_without_end_is_not_turned_for_ever():
    """Fifty pages are read at most."""
    count = []

    def endless(request, answer):
        count.append(request)
        return json_answer({"data": [{"id": f"batch_{len(count)}"}, {"id": f"batch_x{len(count)}"}], "has_more": True})

    card = carded(change=altered(is_list, endless))

    assert (50, "kept") == (len(count), witness(card, "the pages show every batch once")[0])


def test_a_batch_that_vanishes_is_not_judged_by_its_end():
    """The witness is the response."""
    gone = altered(lambda request: request.method == "GET" and "batch_" in request.path, lambda *_: Answer(body=b"[]"))

    assert ("not seen", "after 2000 s it was 200 []") == witness(carded(change=gone), "a batch of good requests")


def test_a_rule_that_is_broken_shows_its_worst_finding():
    """The finding with the highest severity is shown, whatever the order."""
    retrieves = altered(lambda request: request.path.startswith("/batches/batch_"), with_fields(expires_at=None))
    card = carded(change=retrieves)
    (score,) = [score for score in card.rules if score.name == "P104"]

    assert ("broken", "note") == (score.result, score.severity)
    assert "has no expires_at" in score.witness
    assert "consistent" == card.verdict


# ---------------------------------------------------------------- observable rules


@pytest.mark.parametrize(
    "code, history, expected",
    [
        ("T207", [snap("vp", metadata=None)], False),
        ("T207", [snap("vp", expires_at=None)], False),
        ("T207", [snap("vp")], True),
        ("T208", [snap("vg", cancelling_at=None)], False),
        ("T208", [snap("vg")], True),
        ("T208", [snap("vg", status="paused")], False),
        ("P103", [snap("vp")], False),
        ("P103", [snap("vpz")], True),
        ("T205", [snap("vp")], True),
        ("F405", [snap("vpzc")], False),
        ("F405", [snap("vpzc", request_counts={"total": 8, "completed": 8, "failed": 0})], True),
        ("S001", [snap("v", status="paused")], True),
        ("P104", [snap("v", status="paused")], True),
        ("H506", [snap("vp"), snap("vpz")], False),
        ("H502", [snap("vpzc")], False),
        ("H502", [snap("vpzc"), snap("vpzc")], True),
        ("F402", [snap("vpze")], False),
        ("F402", [snap("vpzc", request_counts=None)], False),
        ("F402", [snap("vpzc")], True),
        ("S001", [], False),
    ],
    ids=range(20),
)
def test_silence_counts_where_something_was_seen(code, history, expected):
    """A rule is kept only if the history could have broken it."""
    # Later than every time limit, and before files may be gone.
    late = [parse(wire, observed_at=CREATED + 20 * 86_400 if expected else None) for wire in history]

    assert expected is RULES[code].kind.is_observable(late, DIALECTS["openai"])


# ---------------------------------------------------------------- the scorecard


def test_a_card_without_batches_is_undetermined():
    card = Scorecard(server="x", dialect="openai", snapshots=0, endpoints=(), rules=())

    assert "undetermined" == card.verdict
    assert card.to_text() == (
        "endpoints: 0 kept, 0 broken, 0 not seen\n\nrules: 0 kept, 0 broken, 0 not seen\n\n"
        "broken: 0 of 0 endpoint checks, 0 of 0 rules\nundetermined: x as openai; 0 snapshots\n"
    )


def test_a_card_is_text_and_json():
    """Broken checks come first, the verdict last; control characters of the server are escaped."""
    scores = (
        Check("a", "one", "kept"),
        Check("b", "two", "broken", "\x1b[2J", "warning"),
        Check("c", "three", "not seen"),
        Check("a", "four", "kept"),
        Check("d", "five", "kept"),
    )
    card = Scorecard(server="x", dialect="openai", snapshots=3, endpoints=scores, rules=())

    assert [
        "  broken    b                 two (warning)",
        "                              \\x1b[2J",
        "  not seen  c                 three",
        "  kept      a x2, d",
    ] == card.to_text().splitlines()[1:5]
    assert [
        "  kept      a                 one",
        "  kept      a                 four",
        "  kept      d                 five",
    ] == card.to_text(full=True).splitlines()[4:7]
    assert card.to_text().endswith(
        "\nbroken: 1 of 5 endpoint checks, 0 of 0 rules\nconsistent: x as openai; 3 snapshots\n"
    )
    assert card.to_dict() == json.loads(card.to_json())
    assert ("consistent", "broken") == (card.verdict, card.to_dict()["endpoints"][1]["result"])


# ---------------------------------------------------------------- the command


def ran(*arguments):
    """Run the command in this process."""
    return CliRunner().invoke(app, ["conform", *arguments])


def test_the_command_judges_a_server(tmp_path):
    """The command prints the scorecard as text or JSON; the exit status is that of the verdict."""
    log = tmp_path / "log.jsonl"
    # The clock is fast and half a day behind, so that no timestamp lies in the future.
    clock = SpeedClock(2_000, begins_at=time.time() - 43_200)
    with FakeBatchAPI("validating 1s > in_progress 1m > finalizing 5m > completed", clock=clock).serve() as server:
        text = ran(server.base_url, "--poll", "0.01")
        full = ran(server.base_url, "--poll", "0.01", "--all")
        document = ran(server.base_url, "--poll", "0.01", "--format", "json", "--log", str(log), "--dialect", "ogx")

    assert (0, "") == (text.exit_code, text.stderr)
    broken, verdict = text.stdout.splitlines()[-2:]
    assert broken.startswith("broken: 0 of 11 endpoint checks, 0 of ")
    assert verdict.startswith(f"consistent: {server.base_url} as openai; ")
    assert max(map(len, text.stdout.splitlines())) <= 80
    assert "\n  kept      S001" in full.stdout
    assert (1, "inconsistent") == (document.exit_code, json.loads(document.stdout)["verdict"])
    assert json.loads(document.stdout)["snapshots"] == len(log.read_text().splitlines())


@pytest.mark.parametrize(
    "url, said",
    [
        ("http://127.0.0.1:9/v1", "batchfsm: POST http://127.0.0.1:9/v1/files: "),
        ("file:///etc/passwd", "batchfsm: file:///etc/passwd is no address; write http://127.0.0.1:8000/v1"),
        ("http://", "batchfsm: http:// is no address; write http://127.0.0.1:8000/v1"),
    ],
)
def test_a_server_that_is_not_there_stops_the_run(url, said):
    """An address without a server is one line on standard error, and exit status 2."""
    found = ran(url)

    assert (2, 1, "") == (found.exit_code, found.stderr.count("\n"), found.stdout)
    assert found.stderr.startswith(said)


@pytest.mark.parametrize("old", [None, "yesterday's views\n"])
def test_a_run_without_a_view_leaves_the_log(old, tmp_path):
    """If the server does not respond, `--log` creates no file, and an old one keeps its content."""
    log = tmp_path / "log.jsonl"
    if old is not None:
        log.write_text(old)
    found = ran("http://127.0.0.1:9/v1", "--log", str(log))

    assert 2 == found.exit_code
    assert ([] if old is None else [old]) == [path.read_text() for path in tmp_path.iterdir()]


def test_a_log_that_cannot_be_written_stops_the_run_at_once(tmp_path):
    """No batch is created, which may cost money."""
    found = ran("http://127.0.0.1:9/v1", "--log", str(tmp_path / "no" / "log.jsonl"))

    assert (2, f"batchfsm: {tmp_path}/no/log.jsonl: No such file or directory\n") == (found.exit_code, found.stderr)


def test_a_call_returns_errors_as_answers():
    """A request without a response raises an error."""
    api = FakeBatchAPI()
    with api.serve() as server:
        call = http_caller(server.base_url + "/", "sk-any")
        assert 200 == call(Request(method="GET", path="/batches", query={"limit": "1"})).status
        assert 404 == call(Request(method="POST", path="/batches/none/cancel")).status
        api.inject("reset")
        with pytest.raises(UnreachableError, match=r"^GET .*/v1/batches: "):
            call(Request(method="GET", path="/batches"))


def test_a_refused_connection_is_told_in_plain_words():
    """The message has the reason of the operating system, without the wrapper and the number."""
    with pytest.raises(UnreachableError, match=r"^GET http://127.0.0.1:1/v1/batches: Connection refused$"):
        http_caller("http://127.0.0.1:1/v1", "sk-any")(Request(method="GET", path="/batches"))


def test_a_wait_is_shown_at_a_terminal(monkeypatch):
    """Progress goes to standard error; control characters of the server are escaped."""
    monkeypatch.setattr(conform_cli, "sys", SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: True)))
    clock = SpeedClock(2_000, begins_at=time.time() - 43_200)
    with FakeBatchAPI(QUICK, clock=clock).serve() as server:
        found = ran(server.base_url, "--poll", "0.01")

    assert 0 == found.exit_code
    assert (
        "waiting for b: \\x1b[2J, 3 s of at most 900 s"
        == conform_cli._wait_text(WaitProgress("b", "\x1b[2J", 3.2, 900)).plain
    )
