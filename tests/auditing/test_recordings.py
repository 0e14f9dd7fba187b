"""Recorded lives of real servers: consistent under their own dialects, with known deviations from OpenAI's."""

from collections import Counter

from batchfsm import Monitor, audit
from support.recordings import CALLS, RECORDINGS, each_server, lines, of_batches


def severities(report):
    """Return the violated rules, with the highest severity of each."""
    order = ("note", "warning", "error")
    return {
        rule: max((each.severity for each in report.findings if each.rule == rule), key=order.index)
        for rule in report.counts
    }


@each_server
def test_no_finding_under_its_own_dialect(server):
    """Under its own dialect a server has no finding, except for a tolerated step of llmock's."""
    report = audit(of_batches(server), dialect=server.dialect, unreadable_max="100%")  # Error responses.

    expected = {"P102": "warning"} if server.file == "server_llmock.jsonl" else {}

    assert expected == severities(report)
    assert "consistent" == report.verdict


@each_server
def test_no_error_as_a_compatible_server(server):
    """Under the dialect `compatible` no server has an error."""
    report = audit(of_batches(server), dialect="compatible", unreadable_max="100%")

    assert "error" not in severities(report).values()
    assert "consistent" == report.verdict


@each_server
def test_deviations_from_openai(server):
    """Under OpenAI's dialect the findings are the known deviations of the server."""
    report = audit(of_batches(server), max_findings=10_000)

    assert server.deviations == severities(report)


@each_server
def test_error_answers_are_unreadable(server):
    """An error response is reported as unreadable and is not checked."""
    log = of_batches(server)
    report = audit(log, dialect=server.dialect)
    refused = [number for number, line in enumerate(log, 1) if line["http_status"] >= 400]

    assert len(refused) >= 3
    assert refused == [each.place.line for each in report.unreadable]
    assert {"has none of id, status and created_at: not a batch"} == {each.problem for each in report.unreadable}


@each_server
def test_the_file_itself_is_a_log(server):
    """A recording can be audited as a file; only its other calls give errors, and text is unreadable."""
    log = lines(server)
    report = audit(RECORDINGS / server.file, dialect=server.dialect, max_findings=10_000)

    assert CALLS.isdisjoint(
        log[each.where[-1].line - 1]["call"] for each in report.findings if each.severity == "error"
    )
    assert {"S001", "S003", "S004"} >= {each.rule for each in report.findings if each.severity == "error"}
    assert [number for number, line in enumerate(log, 1) if "text" in line] == [
        each.place.line for each in report.unreadable if "text" in log[each.place.line - 1]
    ]


@each_server
def test_statuses(server):
    """A recording has the statuses that its README lists."""
    log = [line["body"] for line in of_batches(server)]
    batches = [batch for body in log for batch in (body["data"] if body.get("object") == "list" else [body])]

    assert set(server.statuses.split()) == {batch["status"] for batch in batches if "status" in batch}


@each_server
def test_steps(server):
    """A monitor of a recording observes the steps and final statuses that its README lists."""
    monitor = Monitor(server.dialect)
    steps, last = set(), {}
    for line in of_batches(server):
        body = line["body"]
        for batch in body["data"] if body.get("object") == "list" else [body]:
            if "id" in batch:
                observation = monitor.observe(batch, observed_at=line["observed_at"])
                steps |= {
                    f"{each.source} {'?' if each.event is None else '>'} {each.target}"
                    for each in observation.transitions
                    if each.source is not None
                }
                last[batch["id"]] = monitor[batch["id"]].status

    assert {step.strip() for step in " ".join(server.steps.split()).split(",")} == steps
    assert server.ends == Counter(last.values())


@each_server
def test_a_recording_that_is_played_twice(server):
    """The second replay emits no transition: every snapshot is known or stale."""
    monitor = Monitor(server.dialect)
    keys = []
    for line in of_batches(server) * 2:
        body = line["body"]
        for batch in body["data"] if body.get("object") == "list" else [body]:
            if "id" in batch:
                keys += [each.key for each in monitor.observe(batch, observed_at=line["observed_at"]).transitions]

    assert sorted(set(keys)) == sorted(keys)


@each_server
def test_any_order_of_a_recording(server):
    """A recording gives the same report backwards, because each line has a time of observation."""
    log = of_batches(server)
    there, back = audit(log, max_findings=0), audit(log[::-1], max_findings=0)

    assert (there.counts, there.verdict, there.snapshots, there.batches, there.unreadable_count) == (
        back.counts,
        back.verdict,
        back.snapshots,
        back.batches,
        back.unreadable_count,
    )


OTHER_ANSWERS = [
    {
        "call": "retrieve",
        "batch_id": "batch_1",
        "http_status": 502,
        "text": "<html><body>502 Bad Gateway</body></html>",
    },
    {"call": "retrieve", "batch_id": "batch_1", "transport_error": "ReadTimeout: timed out"},
    {"call": "retrieve", "batch_id": "batch_1", "http_status": 200, "body": None, "text": ""},
    {"call": "list", "http_status": 500, "body": {"error": {"message": "no", "type": "server_error"}}},
    {"call": "create", "http_status": 422, "body": {"detail": [{"loc": ["body"], "msg": "bad window"}]}},
    {"call": "list", "http_status": 200, "body": []},
]


def test_answers_that_are_no_batch():
    """HTML, transport errors and error bodies of other servers are unreadable and are not checked."""
    report = audit([{"observed_at": 1_760_000_000.5} | answer for answer in OTHER_ANSWERS])

    assert [1, 2, 3, 4, 5] == [each.place.line for each in report.unreadable]  # The sixth is an empty list.
    assert (0, {}, "undetermined") == (report.snapshots, report.counts, report.verdict)
