"""Ends without result files are delayed; stalls, repeated failures, and servers whose clock is ahead."""

import json
from email.utils import formatdate

import pytest

from batchfsm import Monitor, Schedule, WatchTimeoutError, audit, parse, watch
from batchfsm.watching import BatchDropped, Fatal, Gone, PollFailed, PollSucceeded, ResultsPending, Stalled, Transient
from support.notation import CREATED, DAY_S, snap
from support.server import Clock, Life, Server

EXACT = Schedule(jitter=0)
COUNTS = {"total": 3, "completed": 2, "failed": 1}
WHOLE = snap("vpzc", request_counts=COUNTS, output_file_id="file-out", error_file_id="file-err")


class ScriptedSource:
    """A source that returns one prepared answer for each fetch, and the last one from then on."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def fetch(self, ids):
        """Return the next answer for each id."""
        return dict.fromkeys(ids, self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


def watched(*answers, **options):
    """Watch a scripted batch; return the last transition, the events, and the time taken."""
    clock, told = Clock(), []
    options = {"clock": clock, "sleep": clock.sleep, "schedule": EXACT, "on_event": told.append} | options
    *_, last = watch("batch_1", source=ScriptedSource(*answers), **options)
    return last, told, clock() - CREATED


@pytest.mark.parametrize(
    "late",
    [
        WHOLE | {"output_file_id": None},
        WHOLE | {"error_file_id": None},
        snap("vpze", request_counts=COUNTS, output_file_id=None),
        snap("vpgx", request_counts=COUNTS, output_file_id=None),
    ],
)
def test_an_end_without_its_results_is_held_back(late):
    """The transition comes when the file is there, and hooks receive the snapshot with the file."""
    last, told, took = watched(late, late, late | {"output_file_id": "file-out", "error_file_id": "file-err"})

    assert last.snapshot.results_available
    assert 2 == took
    (pending,) = [each for each in told if isinstance(each, ResultsPending)]
    assert ("batch_1", late["status"], CREATED + 120) == (pending.batch_id, pending.snapshot.status, pending.until)


@pytest.mark.parametrize(
    "end",
    [
        WHOLE,
        snap("vpzc", request_counts=None),
        snap("vpzc", request_counts={"total": 0, "completed": 0, "failed": 0}, output_file_id=None),
        snap("vpze", request_counts={"total": 3, "completed": 0, "failed": 1}, output_file_id=None),
        snap("vf"),
    ],
)
def test_an_end_that_promises_no_more_is_not_held_back(end):
    """The counts agree with the files, or are missing."""
    _, told, took = watched(end)

    assert 0 == took
    assert not [each for each in told if isinstance(each, ResultsPending)]


@pytest.mark.parametrize("wait_s, took_s", [(0, 0), (5, 5), (120, 120)])
def test_results_that_never_come_are_waited_for_so_long(wait_s, took_s):
    """After the wait the end is observed without its files."""
    late = WHOLE | {"output_file_id": None}

    last, _, took = watched(late, results_wait_s=wait_s)

    assert ("completed", None) == (last.target, last.snapshot.output_file_id)
    assert took_s == took


def test_an_earlier_view_does_not_end_the_wait():
    """A lagging replica shows the batch as running once more, and the wait goes on."""
    late = WHOLE | {"output_file_id": None}

    last, _, took = watched(late, snap("vp"), late, WHOLE)

    assert "file-out" == last.snapshot.output_file_id
    assert 3 == took


@pytest.mark.parametrize("failure", [Gone(), Fatal("refused")])
def test_an_end_that_was_seen_is_not_lost_when_the_batch_is(failure):
    """The end is observed, and no error is raised."""
    last, told, _ = watched(WHOLE | {"output_file_id": None}, failure)

    assert "completed" == last.target
    assert not [each for each in told if isinstance(each, BatchDropped)]


def test_an_end_that_was_seen_is_not_lost_when_the_server_is_down():
    """The end is observed after the wait."""
    last, _, took = watched(WHOLE | {"output_file_id": None}, Transient("down"))

    assert "completed" == last.target
    assert 120 <= took <= 181


@pytest.mark.parametrize("timeout_s", [0, 10])
def test_an_end_that_was_seen_is_not_lost_when_the_time_is_up(timeout_s):
    """The end is observed, and there is no time-out, because no batch is open."""
    last, _, took = watched(WHOLE | {"output_file_id": None}, timeout_s=timeout_s)

    assert ("completed", timeout_s) == (last.target, took)


def test_results_pending_are_retrieved_though_the_list_is_read():
    """The delay between retrieves is that of a status that has just begun."""
    clock, told = Clock(), []
    lives = [Life("vpzc", batch_id=f"batch_{n}", at=[0, 0, 0, 0], **WHOLE_FIELDS) for n in range(12)]
    server = Server(*lives, clock=clock)

    for life in lives:
        life.changes = {**WHOLE_FIELDS, "output_file_id": None}
    clock.sleep = lambda seconds: (
        Clock.sleep(clock, seconds),
        [life.changes.update(WHOLE_FIELDS) for life in lives if clock() > CREATED + 3],
    )
    transitions = list(watch(server.client(), *server.lives, clock=clock, sleep=clock.sleep, on_event=told.append))

    assert 12 == sum(isinstance(each, ResultsPending) for each in told)
    assert {"file-out"} == {each.snapshot.output_file_id for each in transitions}


WHOLE_FIELDS = {"request_counts": COUNTS, "output_file_id": "file-out", "error_file_id": "file-err"}


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"output_file_id": "f"}, True),
        ({"error_file_id": "f"}, True),
        ({}, False),
        ({"output_file_id": "f", "request_counts": {"total": 2, "completed": 0, "failed": 0}}, False),
        ({"error_file_id": "f", "request_counts": {"total": 2, "completed": 0, "failed": 0}}, False),
        ({"error_file_id": "f", "request_counts": {"total": 2, "completed": 0, "failed": 2}}, True),
        ({"request_counts": {"total": 2, "completed": 2, "failed": 0}}, False),
    ],
)
@pytest.mark.parametrize("path", ["vpzc", "vpze", "vpgx"])
def test_results_are_available_by_files_and_counts(path, fields, expected):
    """The status has no influence."""
    none = {"output_file_id": None, "error_file_id": None, "request_counts": None}

    assert expected is parse(snap(path, **none | fields)).results_available


# ---------------------------------------------------------------- stalls


def stalls(*answers, **options):
    """Return the status and age of each batch at the time it was reported as stalled."""
    clock, told = Clock(), []

    def tell(stalled):
        told.append((stalled.status, stalled.is_overdue, clock() - CREATED))

    options = {
        "clock": clock,
        "sleep": clock.sleep,
        "schedule": EXACT,
        "on_stalled": tell,
        "timeout_s": DAY_S / 2,
    } | options
    with pytest.raises(WatchTimeoutError):
        list(watch("batch_1", source=ScriptedSource(*answers), **options))
    return told


@pytest.mark.parametrize(
    "path, bounds, after_s",
    [
        ("v", None, 21_600),
        ("vp", None, 21_600),
        ("vpz", None, 3600),
        ("vpg", None, 3600),
        ("vpg", 100, 100),
        ("vpg", {"cancelling": 50}, 50),
        ("vpg", {"in_progress": 50}, 3600),
        ("vp", {"in_progress": 50, "cancelling": 9}, 50),
    ],
)
def test_each_status_has_its_bound(path, bounds, after_s):
    """The bound is one number for all statuses, one for each, or the dialect's; a status has one event at most."""
    ((status, is_overdue, age_s),) = stalls(snap(path), stalled_after_s=bounds)

    assert (snap(path)["status"], False) == (status, is_overdue)
    assert after_s <= age_s <= after_s + 61


def test_a_stall_is_reported_once():
    """A batch that stalls for three days, two of them after its deadline, has one event."""
    assert 1 == len(
        stalls(snap("vp"), stalled_after_s=50, timeout_s=3 * DAY_S, schedule=Schedule(delay_s_max=600, jitter=0))
    )


@pytest.mark.parametrize(
    "bounds, problem",
    [
        (0, "stalled_after_s is a positive number, not 0"),
        ("1h", "stalled_after_s is a positive number, not '1h': write 3600"),
        ({"cancelling": -1}, "stalled_after_s of cancelling is a positive number, not -1"),
        (
            {"canceling": 1},
            "stalled_after_s names 'canceling', which is no open status of openai: validating, in_progress, finalizing, cancelling",
        ),
        (
            {"completed": 1},
            "stalled_after_s names 'completed', which is no open status of openai: validating, in_progress, finalizing, cancelling",
        ),
    ],
)
def test_wrong_bounds_are_refused(bounds, problem):
    with pytest.raises(ValueError, match=f"^{problem}$"):
        watch("batch_1", source=ScriptedSource(snap("v")), stalled_after_s=bounds)


def test_a_negative_wait_for_results_is_refused():
    with pytest.raises(ValueError, match=r"^results_wait_s is 0 or more seconds, not -1$"):
        watch("batch_1", source=ScriptedSource(snap("v")), results_wait_s=-1)


# ---------------------------------------------------------------- repeated failures


def test_failures_alike_are_counted_and_not_repeated():
    """The 1st, 10th and 100th failure have an event, and the end of the series has one with the remaining count."""
    failure = Transient("down")
    _, told, _ = watched(*[failure] * 123, Transient("other"), snap("vpzc", request_counts=None))

    failed = [(each.reason, each.count, each.new) for each in told if isinstance(each, PollFailed)]

    assert [("down", 1, 1), ("down", 10, 9), ("down", 100, 90), ("down", 123, 23), ("other", 1, 1)] == failed


@pytest.mark.parametrize(
    "error, reason",
    [
        ({"message": "No batch", "type": "invalid_request_error", "code": None}, ": type invalid_request_error"),
        ({"type": "server_error", "code": "rate_limit_exceeded"}, ": type server_error, code rate_limit_exceeded"),
        ({"code": 500}, ": code 500"),
        ({"code": True, "type": ["x"]}, ""),
        ({"code": "sk-proj-secret", "type": "AIzaSyA1b2C3"}, ""),
        ({"code": "0123456789abcdef", "type": "x" * 99}, ""),
        ("sk-secret", ""),
    ],
)
def test_an_error_in_place_of_a_batch_has_its_type_and_code_in_the_reason(error, reason):
    """Only words and short numbers are quoted, so that no key is."""
    _, told, _ = watched({"error": error}, WHOLE)

    assert [f"an error in place of a batch{reason}"] == [each.reason for each in told if isinstance(each, PollFailed)]


def test_a_stall_names_the_failure_of_the_last_request():
    """The failure may mean that the batch no longer exists."""
    clock, told = Clock(), []
    body = {"error": {"type": "invalid_request_error"}}

    with pytest.raises(WatchTimeoutError):
        list(
            watch(
                "batch_1",
                source=ScriptedSource(snap("vp"), body),
                on_event=told.append,
                clock=clock,
                sleep=clock.sleep,
                timeout_s=DAY_S,
            )
        )

    (stalled,) = [each for each in told if isinstance(each, Stalled)]
    assert "an error in place of a batch: type invalid_request_error" == stalled.last_failure


# ---------------------------------------------------------------- the server's clock


def dated(life, ahead_s, header_s):
    """Return a server whose clock is this far ahead, with a `Date` header that may be ahead, too."""
    clock = Clock()
    server = Server(life, clock=clock)

    def answer(method, url):
        headers = {} if header_s is None else {"date": formatdate(clock() + header_s, usegmt=True)}
        return 200, headers, json.dumps(life.seen(clock() + ahead_s))

    server.answer = answer
    return server


def rules(server, log):
    """Watch to the end; return the rules that the watch and an audit of its log report."""
    told = []
    list(watch(server.client(), "batch_1", clock=server.clock, sleep=server.clock.sleep, on_event=told.append, log=log))
    polls = [each for each in told if isinstance(each, PollSucceeded)]
    return {finding.rule for each in polls for finding in each.findings}, {*audit(log).counts}


def test_a_server_ahead_of_our_clock_dates_its_batches(tmp_path):
    """T205 is not reported if the `Date` of the responses explains the timestamps, neither live nor from the log."""
    server = dated(Life("vpzc", at=[0, 500, 9000, 9100]), ahead_s=600, header_s=600)

    assert (set(), set()) == rules(server, tmp_path / "log")


@pytest.mark.parametrize("header_s", [None, 0, 100, -600])
def test_a_timestamp_in_the_future_of_the_server_is_a_finding(header_s, tmp_path):
    """The finding stays if the `Date` header is missing or does not explain the timestamp."""
    server = dated(Life("vpzc", at=[0, 500, 9000, 9100]), ahead_s=600, header_s=header_s)

    found, logged = rules(server, tmp_path / "log")

    assert "T205" in found & logged


def test_a_header_alone_dates_nothing(tmp_path):
    """Without a timestamp in the future the local time is used, because the header may come from a proxy."""
    server = dated(Life("vpzc", at=[0, 5, 90, 91]), ahead_s=0, header_s=DAY_S * 30)
    monitor = Monitor()

    (*_, last) = watch(server.client(), "batch_1", monitor=monitor, clock=server.clock, sleep=server.clock.sleep)

    assert server.clock() == last.observed_at


def test_a_response_without_a_header_goes_on_from_the_last_one(tmp_path):
    """The offset of the last response with a header stays in use."""
    life = Life("vpzc", at=[0, 500, 9000, 9100])
    server, dates = dated(life, ahead_s=600, header_s=600), [True]
    answer = server.answer

    def sometimes(method, url):
        status, headers, body = answer(method, url)
        dates.append(not dates[-1])
        return status, headers if dates[-2] else {}, body

    server.answer = sometimes

    assert (set(), set()) == rules(server, tmp_path / "log")
