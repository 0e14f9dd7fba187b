"""`audit_results`: each rule kept and broken, all kinds of sources, damaged files, and remaining requests."""

import gzip
import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchfsm.errors import SnapshotError
from batchfsm.results import RESULT_RULES, audit_results, lines, result_example, sources
from batchfsm.testing import FakeBatchAPI, RequestError
from support.fake_api import ask, download, upload
from support.notation import snap


def request(custom_id):
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/responses", "body": {}}


def good(custom_id):
    return {"custom_id": custom_id, "response": {"status_code": 200, "body": {}}, "error": None}


def bad(custom_id, status=400):
    return {"custom_id": custom_id, "response": {"status_code": status, "body": {}}, "error": None}


def refused(custom_id, code="batch_expired"):
    return {"custom_id": custom_id, "response": None, "error": {"code": code, "message": "late"}}


def file(*rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def judged(requests, outputs=(), errors=(), batch=None):
    return audit_results(file(*map(request, requests)), outputs=file(*outputs), errors=file(*errors), batch=batch)


def batch_of(path="vpzc", total=2, completed=2, failed=0):
    return snap(path, request_counts={"total": total, "completed": completed, "failed": failed})


@pytest.mark.parametrize(
    "rule, report, message",
    [
        ("R601", judged("ab", [good("a")]), "request 'b' (input:2) is in neither the output nor the error files"),
        ("R602", judged("a", [good("a"), good("a")]), "request 'a' has two answers: at outputs[0]:1 and outputs[0]:2"),
        ("R603", judged("a", [good("a"), good("b")]), "the answer 'b' at outputs[0]:2 has no request in the input"),
        (
            "R604",
            judged("a", [good("a"), {"custom_id": "a"}]),
            "the line at outputs[0]:2 has neither response nor error",
        ),
        (
            "R605",
            judged("ab", [good("a")], [bad("b")], batch_of()),
            "batch_1 counts 2 completed, its files have 1; 0 failed, its files have 1",
        ),
        ("R606", judged("ab", [good("a"), bad("b")]), "the failed request 'b' is in an output file (outputs[0]:2)"),
        ("R606", judged("ab", [good("a")], [good("b")]), "the good answer 'b' is in an error file (errors[0]:1)"),
        ("R607", judged("aa", [good("a")]), "request 'a' is in the input twice: at input:1 and input:2"),
    ],
)
def test_each_rule_is_broken_alone(rule, report, message):
    """One finding names the places, and its severity decides the verdict."""
    (finding,) = report.findings

    assert (rule, message) == (finding.rule, finding.message)
    assert (RESULT_RULES[rule].name, RESULT_RULES[rule].severity) == (finding.name, finding.severity)
    assert {rule: 1} == report.counts_by_rule
    assert report.verdict == ("inconsistent" if finding.severity == "error" else "consistent")
    assert report.ok == (finding.severity != "error")


@pytest.mark.parametrize("rule", RESULT_RULES.values(), ids=list(RESULT_RULES))
def test_an_example_breaks_its_rule(rule):
    """The files of an example break the rule once; the message of the example is that of the finding."""
    files = rule.example
    report = audit_results(files.input, outputs=[files.output], errors=[files.errors], batch=files.batch)

    assert 1 == report.counts_by_rule[rule.code]
    assert result_example(rule) in [finding.message for finding in report.findings]


@pytest.mark.parametrize(
    "line, reason",
    [
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"{}", "has no custom_id"),
        (b'{"object": "batch", "id": "batch_1"}', "has no custom_id, but is a batch object"),
        (b'{"observed_at": 7, "batch": {"object": "batch"}}', "has no custom_id, but is a batch object"),
        (b'{"batch": 7}', "has no custom_id"),
        (b'{"custom_id": 7}', "has no custom_id"),
        (b'{"custom_id": ""}', "has no custom_id"),
        (b'{"custom_id": "a", "response": {"status_code": 200}, "error": {}}', "has both response and error"),
        (b'{"custom_id": "a", "response": "ok"}', "has a response without a status_code"),
        (b'{"custom_id": "a", "response": {"status_code": true}}', "has a response without a status_code"),
    ],
)
def test_a_malformed_line_is_one_finding_and_stops_nothing(line, reason):
    """R604 names the line, and the other lines are read."""
    report = audit_results(file(request("a")), outputs=b"\n" + line + b"\r\n" + file(good("a")))

    assert [f"the line at outputs[0]:2 {reason}"] == [finding.message for finding in report.findings]
    assert ("a",) == report.answered


def test_a_request_without_an_id_is_malformed():
    """An input line needs an id only; the output has no finding."""
    report = audit_results([{"url": "/v1"}, request("a")], outputs=[good("a")])

    assert ["the line at input:1 has no custom_id"] == [finding.message for finding in report.findings]
    assert [] == list(report.remaining(failed=True))


def test_a_line_that_is_too_long_is_malformed(monkeypatch):
    """The line is not kept in memory."""
    monkeypatch.setattr(sources, "LINE_BYTES_MAX", 100)
    monkeypatch.setattr(lines, "LINE_BYTES_MAX", 100)
    report = audit_results([request("a")], outputs=file({"custom_id": "x" * 100}) + file(good("a")))

    assert ["the line at outputs[0]:1 is longer than 100 bytes"] == [finding.message for finding in report.findings]


@pytest.mark.parametrize("code", ["batch_expired", "batch_cancelled"])
def test_requests_that_were_never_run_are_unanswered(code):
    """They do not count as failed, and the counts of the batch exclude them."""
    report = judged("abc", [good("a")], [refused("b", code), bad("c")], batch_of("vpze", 3, 1, 1))

    assert (("a",), ("c",), ("b",)) == (report.answered, report.failed, report.unanswered)
    assert "consistent" == report.verdict


def test_an_error_of_another_code_is_a_failure():
    report = judged("a", [], [refused("a", "server_error")])

    assert ("a",) == report.failed


@pytest.mark.parametrize("status", ["vpze", "vgx", "vpg"])
def test_a_batch_that_has_not_completed(status):
    """R601 is silent for an expired batch; a batch that is cancelling has incomplete answers."""
    batch = batch_of(status, 2, 1, 0)
    report = judged("ab", [good("a")], batch=batch)

    assert {} == report.counts_by_rule
    expected = "undetermined" if batch["status"] == "cancelling" else "consistent"
    assert expected == report.verdict
    assert bool(report.incomplete) == (expected == "undetermined")


def test_a_batch_in_an_unknown_status_is_taken_for_a_completed_one():
    report = judged("a", [], batch=snap("vpzc", status="done"))

    assert {"R601": 1} == report.counts_by_rule


def test_a_malformed_batch_is_refused():
    with pytest.raises(SnapshotError):
        judged("a", [good("a")], batch={"id": 7})


def test_a_batch_without_counts():
    report = judged("a", [good("a")], batch=snap("vpzc", request_counts=None))

    assert "consistent" == report.verdict


def test_an_empty_input_proves_nothing():
    """The verdict is `undetermined`, and the report has the reason."""
    report = audit_results(b"\n", outputs=b"")

    assert ("undetermined", ("the input has no request",)) == (report.verdict, report.incomplete)


def test_the_better_answer_counts():
    """Of two answers in any order the good one is the request's outcome."""
    for answers in ([bad("a"), good("a")], [good("a"), bad("a")]):
        assert ("a",) == judged("a", answers).answered
    assert ("a",) == judged("a", [], [bad("a"), refused("a")]).failed


def ways_to_pass(folder, content):
    """Return the content as each kind of source, by name."""
    folder.mkdir()
    path = folder / "file.jsonl"
    path.write_bytes(content)
    packed = folder / "file.jsonl.gz"
    packed.write_bytes(gzip.compress(content))
    rows = content.splitlines()
    return {
        "path": path,
        "name": str(path),
        "gzip": packed,
        "bytes": content,
        "text": content.decode(),
        "lines": rows,
        "iterator": iter(rows),
        "open file": io.BytesIO(content),
        "texts": [row.decode() for row in rows],
        "mappings": (json.loads(row) for row in rows),
        "byte order mark": b"\xef\xbb\xbf" + content,
        "windows": content.replace(b"\n", b"\r\n"),
        "no last line end": content.rstrip(),
    }


WAYS = [
    "path", "name", "gzip", "bytes", "text", "lines", "iterator", "open file", "texts", "mappings", "byte order mark",
    "windows", "no last line end",
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_kind_of_source_says_the_same(tmp_path, way):
    """Paths, content and lines give the same report and the same remaining lines."""
    requests = file(request("a"), request("b"), request("ü"))
    source = ways_to_pass(tmp_path / "in", requests)[way]
    outputs = ways_to_pass(tmp_path / "out", file(good("b")))[way]
    report = audit_results(source, outputs=[outputs] if isinstance(outputs, list) else outputs)

    assert {"R601": 2} == report.counts_by_rule
    assert ("a", "ü") == report.unanswered
    assert [request("a"), request("ü")] == [json.loads(line) for line in report.remaining()]
    assert [request("a"), request("ü")] == [json.loads(line) for line in report.remaining()]


def test_several_files():
    """Each file of a list is read, and the places name the file."""
    report = audit_results(
        file(request("a"), request("b")), outputs=(file(good("a")), file(good("a"))), errors=[file(bad("b"))]
    )

    assert ["request 'a' has two answers: at outputs[0]:1 and outputs[1]:1"] == [
        each.message for each in report.findings
    ]


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file(request("a")))))
    report = audit_results("-", outputs={"custom_id": "a", "response": {"status_code": 200}})

    assert ("-", "consistent") == (report.requests.name, report.verdict)


def test_a_source_of_another_type():
    with pytest.raises(TypeError, match=r"^expected lines as text, bytes or mappings, got int$"):
        audit_results([1], outputs=b"")


@given(st.integers(1, 60))
def test_a_file_that_is_cut_off_is_never_consistent(size):
    """The verdict of a truncated compressed file is never `consistent`, and the lines before the damage count."""
    whole = gzip.compress(file(*map(good, map(str, range(30)))))
    outputs = whole[:-size]
    report = audit_results(file(*map(request, map(str, range(30)))), outputs=outputs)

    assert report.verdict != "consistent"
    assert 1 == len(report.incomplete)
    assert report.incomplete[0].startswith("outputs[0] could not be read beyond line ")


def test_an_input_that_is_cut_off():
    """`remaining` yields the lines before the damage."""
    packed = gzip.compress(file(*[request(str(n)) | {"pad": "x" * n} for n in range(30)]))
    report = audit_results(packed[:-20], outputs=b"")

    assert "inconsistent" == report.verdict
    assert len(report.unanswered) == len(list(report.remaining()))


def test_counts_stay_exact_beyond_the_listed_findings():
    report = audit_results([request(str(n)) for n in range(50)], outputs=b"", max_findings=3)

    assert (3, {"R601": 50}) == (len(report.findings), report.counts_by_rule)


def test_the_json_of_a_report():
    """It has numbers, rules and findings, in ASCII."""
    report = judged("ü", [])

    found = json.loads(report.to_json())
    assert ["R601"] == [finding.pop("rule") for finding in found["findings"]]
    assert {"verdict": "inconsistent", "requests": 1, "answered": 0, "failed": 0, "unanswered": 1} == {
        name: found[name] for name in ("verdict", "requests", "answered", "failed", "unanswered")
    }
    assert report.to_json().isascii()


def test_failed_requests_are_left_too_if_asked_for():
    report = judged("abc", [good("a")], [bad("b")])

    assert [request("c")] == [json.loads(line) for line in report.remaining()]
    assert [request("b"), request("c")] == [json.loads(line) for line in report.remaining(failed=True)]


def test_bytes_are_counted_for_a_bar(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(file(request("a")))
    counted = []
    audit_results(path, outputs=file(good("a")), count_bytes=counted.append)

    assert len(file(request("a"))) + len(file(good("a"))) == sum(counted)


IDS = st.lists(st.sampled_from("abcdef"), max_size=8)


@given(IDS, IDS, IDS)
def test_the_numbers_are_those_of_sets(asked, well, badly):
    """Answered, failed and unanswered partition the ids of the input, in its order."""
    report = judged(asked, map(good, well), map(bad, badly))
    distinct = list(dict.fromkeys(asked))

    assert [i for i in distinct if i in well] == list(report.answered)
    assert [i for i in distinct if i in badly and i not in well] == list(report.failed)
    assert [i for i in distinct if i not in badly and i not in well] == list(report.unanswered)
    assert len(distinct) == report.counts.requests
    assert len(asked) - len(distinct) == report.counts_by_rule.get("R607", 0)
    assert len(set(well + badly) - set(asked)) <= report.counts_by_rule.get("R603", 0)


SCENARIOS = [
    "validating 5s > in_progress 1h 6+2/8 > finalizing 1m > completed",
    "validating 5s > in_progress 1h 8+0/8 > finalizing 1m > completed",
    "validating 5s > in_progress 1h 3+0/8 > cancelling 1m > cancelled",
    "validating 5s > in_progress 23h 3+1/8 > finalizing 1h > expired",
]


def driven(scenario, respond, content):
    """Return the ended batch and the content of its output and error files, from the fake API."""
    api = FakeBatchAPI(scenario, respond=respond)
    input_file = upload(api, content)
    _, batch = ask(api, "POST", "batches", {
        "input_file_id": input_file, "endpoint": "/v1/chat/completions", "completion_window": "24h",
    })  # fmt: skip
    api.clock.advance("48h")
    _, batch = ask(api, "GET", f"batches/{batch['id']}")
    return batch, [
        b"" if batch[name] is None else download(api, batch[name]) for name in ("output_file_id", "error_file_id")
    ]


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize(
    "respond", [None, lambda body: RequestError() if body["n"] % 3 == 0 else {"object": "echo"}], ids=["told", "asked"]
)
def test_the_files_of_the_fake_api_pass(scenario, respond):
    """The report is consistent for each end of a batch, also if a function of the test responds."""
    content = file(*[request(str(n)) | {"url": "/v1/chat/completions", "body": {"n": n}} for n in range(8)])
    batch, (outputs, errors) = driven(scenario, respond, content)
    report = audit_results(content, outputs=outputs, errors=errors, batch=batch)

    assert ("consistent", {}) == (report.verdict, report.counts_by_rule)
    assert 0 < report.counts.answered


def test_a_report_has_a_short_repr():
    """It has the verdict and the counts, not the ids of all requests."""
    report = judged(["a", "b"], [good("a")])

    assert "<ResultsReport inconsistent: requests 2, answered 1, failed 0, unanswered 1, R601 1>" == repr(report)
