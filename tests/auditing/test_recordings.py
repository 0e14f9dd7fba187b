"""Recorded lives of real servers: under their own dialect they do nothing wrong, and OpenAI's names their ways."""

from collections import Counter

from batchfsm import Monitor, audit
from support.recordings import CALLS, RECORDINGS, each_server, lines, of_batches


def severities(report):
    """Return the rules that were breached, with the highest severity of each."""
    order = ("note", "warning", "error")
    return {
        rule: max((each.severity for each in report.findings if each.rule == rule), key=order.index)
        for rule in report.counts
    }


@each_server
def test_no_finding_under_its_own_dialect(server):
    """Under its own dialect, a server's batches do nothing wrong, but for a tolerated step of llmock's."""
    report = audit(of_batches(server), dialect=server.dialect, unreadable_max="100%")  # Answers of errors.

    expected = {"P102": "warning"} if server.file == "server_llmock.jsonl" else {}

    assert expected == severities(report)
    assert "consistent" == report.verdict


@each_server
def test_no_error_as_a_compatible_server(server):
    """Judged as a compatible server, none of its batches gives an error."""
    report = audit(of_batches(server), dialect="compatible", unreadable_max="100%")

    assert "error" not in severities(report).values()
    assert "consistent" == report.verdict


@each_server
def test_deviations_from_openai(server):
    """What a server does otherwise than OpenAI, OpenAI's dialect names."""
    report = audit(of_batches(server), max_findings=10_000)

    assert server.deviations == severities(report)


@each_server
def test_error_answers_are_unreadable(server):
    """An error answer is no batch: it is named and never judged."""
    log = of_batches(server)
    report = audit(log, dialect=server.dialect)
    refused = [number for number, line in enumerate(log, 1) if line["http_status"] >= 400]

    assert len(refused) >= 3
    assert refused == [each.place.line for each in report.unreadable]
    assert {"has none of id, status and created_at: not a batch"} == {each.problem for each in report.unreadable}


@each_server
def test_the_file_itself_is_a_log(server):
    """A recording may be audited as it is; of its other calls, what is no batch is named or S003."""
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
    """A recording has the statuses that its README says."""
    log = [line["body"] for line in of_batches(server)]
    batches = [batch for body in log for batch in (body["data"] if body.get("object") == "list" else [body])]

    assert set(server.statuses.split()) == {batch["status"] for batch in batches if "status" in batch}


@each_server
def test_steps(server):
    """A monitor of the recording sees the steps that its README says, and no batch is left open."""
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
    """The second time nothing fires: every snapshot is known, or an earlier view."""
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
    """A recording says when each line was observed: backwards it gives the same report."""
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
    """HTML, transport errors and error bodies of other servers are named as unreadable, never judged."""
    report = audit([{"observed_at": 1_760_000_000.5} | answer for answer in OTHER_ANSWERS])

    assert [1, 2, 3, 4, 5] == [each.place.line for each in report.unreadable]  # The sixth is a list of none.
    assert (0, {}, "undetermined") == (report.snapshots, report.counts, report.verdict)
