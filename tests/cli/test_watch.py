"""`batchfsm watch`: its output, its hooks, and its exit status."""

import io
import json
import os
import pty
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import pytest
from click.testing import CliRunner
from rich.console import Console

import batchfsm
from batchfsm import Monitor, audit
from batchfsm.cli import app
from batchfsm.cli.dashboard import Dashboard
from batchfsm.cli.watch_output import LiveOutput, TextOutput
from batchfsm.cli.watch_summary import WatchSummary
from batchfsm.cli.watch_view import WatchView
from batchfsm.journal import DeliveryOutcome, RetryState
from batchfsm.watching import PollSucceeded, Stalled
from support.notation import CREATED, DAY_S, snap, words
from support.server import SELF, Clock, Life, Server

KEY = "sk-proj-do-not-tell"


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that advances only by sleeping, for the command, too."""
    clock = Clock()
    monkeypatch.setattr("batchfsm.cli.watch.time", clock)
    return clock


def ran(server, *arguments, key=KEY):
    """Watch batches of a server in this process; return the output and the exit status."""
    with server.served() as url:
        result = CliRunner().invoke(
            app, ["watch", "--base-url", url, *map(str, arguments)], env={"OPENAI_API_KEY": key}
        )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


# ---------------------------------------------------------------- exit statuses


@pytest.mark.parametrize("path, status", [("vpzc", 0), ("vf", 1), ("vpgx", 1), ("vpze", 1)])
def test_only_completed_is_good(clock, path, status):
    """Each other end has exit status 1."""
    life = Life(path, at=range(0, 60 * len(path), 60))

    assert status == ran(Server(life, clock=clock), "batch_1").exit_code


@pytest.mark.parametrize(
    "fault, said",
    [((401, {}, ""), "batch_1 dropped: HTTP 401 Unauthorized"), ((404, {}, ""), "batch_1 dropped: HTTP 404 Not Found")],
)
def test_gone_and_refused_are_1(clock, fault, said):
    """The other batches are watched to their end."""
    server = Server(Life("vpzc", batch_id="batch_2"), clock=clock, faults=[fault])

    result = ran(server, "batch_1", "batch_2")

    assert (1, 1) == (result.exit_code, result.stderr.splitlines().count(said))
    assert "batch_2 completed" in result.stdout


@pytest.mark.parametrize("arguments, naps", [(["--once"], 0), (["--timeout", "7"], 7)])
def test_what_is_still_open_is_3(clock, arguments, naps):
    """The watch ends after one poll, or when the time is up."""
    result = ran(Server(Life("vp"), clock=clock), "batch_1", *arguments)

    assert (3, naps) == (result.exit_code, sum(clock.naps))
    reason = " (time limit reached)" if naps else ""
    assert f"1 batch: 1 validating{reason}" == result.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "name the batches to watch, or --all, or --journal J to go on with the batches open in it"),
        (["batch_1", "--all"], "name the batches to watch, or --all; not both"),
        (["batch_1", "--on", "completed"], "--on says when to run a command: --exec is missing"),
        (["batch_1", "--on", "done", "--exec", "cat"], "the openai lifecycle has no status 'done'"),
        (["batch_1", "--exec", ""], "--exec names no command that can be run: ''"),
        (["batch_1", "--exec", "no-such-command -x"], "--exec names no command that can be run: 'no-such-command -x'"),
        (["batch_1", "--exec", "cat '"], '--exec cannot be split into words: No closing quotation: "cat \'"'),
        (
            ["batch_1", "--exec", __file__],
            f"--exec names no command that can be run: {__file__!r}, a file that may not be executed (chmod +x)",
        ),
        (["batch_1", "--dialect", "acme"], "no dialect is called 'acme'"),
        ([" "], "an id is empty"),
        (
            ["batch_1", "--stalled-after", "soon"],
            "--stalled-after takes SPAN or STATUS=SPAN, such as 6h, cancelling=1h: 'soon' is no span of time",
        ),
        (
            ["batch_1", "--stalled-after", "1h", "--stalled-after", "cancelling=1h"],
            "--stalled-after takes one span for all statuses, or one for each status that is named; not both",
        ),
        (
            ["batch_1", "--stalled-after", "gone=1h"],
            "--stalled-after names 'gone', which is no open status of openai: ",
        ),
        (["batch_1", "--base-url", "example.com"], "--base-url begins with http:// or https://"),
        (["batch_1", "--log", "no/such/directory"], "no/such/directory: No such file or directory"),
    ],
    ids=map(str, range(15)),
)
def test_wrong_use_is_2(clock, arguments, said):
    """The error is one line, and no request is sent."""
    server = Server(Life("vpzc"), clock=clock)

    result = ran(server, *arguments)

    assert (2, "", 1) == (result.exit_code, result.stdout, len(result.stderr.splitlines()))
    assert said in result.stderr
    assert [] == server.requests


@pytest.mark.parametrize(
    "arguments",
    [
        ["--exec", "no-such-command"],
        ["--exec", "cat", "--on", "done"],
        ["--stalled-after", "gone=1h"],
        ["--dialect", "acme"],
    ],
    ids="-".join,
)
def test_wrong_use_creates_no_journal(clock, tmp_path, arguments):
    """The arguments are checked before the file is opened."""
    journal = tmp_path / "batches.db"

    result = ran(Server(clock=clock), "batch_1", "--journal", journal, *arguments)

    assert 2 == result.exit_code
    assert not journal.exists()


@pytest.mark.parametrize(
    "key, said",
    [("", "is not set"), ("  ", "is not set"), ("sk-Ж", "no HTTP header can carry"), ("a\nb", "no HTTP header")],
)
def test_a_key_that_is_none_is_2(clock, key, said):
    """The error does not quote the key."""
    result = ran(Server(clock=clock), "batch_1", key=key)

    assert 2 == result.exit_code
    assert re.fullmatch(rf"batchfsm: OPENAI_API_KEY .*{said}.*\n", result.stderr)


def test_without_the_client_it_says_what_to_install(clock, monkeypatch):
    """The message names the extra."""
    monkeypatch.setitem(sys.modules, "openai", None)

    result = ran(Server(clock=clock), "batch_1")

    assert (2, True) == (
        result.exit_code,
        "pip install 'batchfsm[watch]' (in a clone: pip install '.[watch]')" in result.stderr,
    )


# ---------------------------------------------------------------- plain lines


def test_a_line_for_each_entry(clock):
    """The line has the true time of the transition, and the progress of the batch."""
    result = ran(Server(Life("vpzc"), clock=clock), "batch_1")

    assert [
        "2025-10-09 08:53:20  batch_1 validating",
        "2025-10-09 08:54:20  batch_1 in_progress  3 ok  0 failed  of 8",
        "2025-10-09 08:55:20  batch_1 finalizing  6 ok  1 failed  of 8",
        "2025-10-09 08:56:20  batch_1 completed  7 ok  1 failed  of 8",
        "                     batch_1 1 of 8 requests failed, see file-err",
        "1 batch: 1 completed",
    ] == result.stdout.splitlines()
    assert "" == result.stderr


def test_trouble_goes_to_standard_error(clock):
    """A problem has one line until it changes; after a success it has a new one."""
    html = (502, {"content-type": "text/html"}, "<html>")
    server = Server(Life("vpzc"), clock=clock, faults=[html, html, (503, {}, ""), None, html])

    result = ran(server, "batch_1")

    assert 0 == result.exit_code
    bad, away = "batch_1 trouble: HTTP 502 Bad Gateway", "batch_1 trouble: HTTP 503 Service Unavailable"
    assert [bad, away, bad] == result.stderr.splitlines()


def test_findings_go_to_standard_error(clock):
    """Each batch and rule has one line."""
    result = ran(Server(Life("vpzc", expires_at=None), clock=clock), "batch_1")

    assert (0, ["note P104 batch_1 has no expires_at"]) == (result.exit_code, result.stderr.splitlines())


def test_what_stands_still_is_said(clock):
    """The line has the time of the last change; a status has one line, though it is overdue later."""
    life = Life("vpzc", at=[0, 10, 3 * DAY_S, 3 * DAY_S + 9])
    clock.sleep = lambda seconds: Clock.sleep(clock, 50 * seconds)  # For fewer polls.

    result = ran(Server(life, clock=clock), "batch_1")

    said = [line for line in result.stderr.splitlines() if "stalled" in line]
    assert ["batch_1 stalled: in_progress, no change since 2025-10-09 08:54:10"] == said


@pytest.mark.parametrize("bound", ["in_progress=10m", "600"])
def test_a_batch_is_stalled_after_the_time_of_its_status(clock, bound):
    """`--stalled-after` sets the time for one status, or for all."""
    result = ran(Server(Life("vpzc", at=[0, 10, 900, 910]), clock=clock), "batch_1", "--stalled-after", bound)

    assert 1 == result.stderr.count("batch_1 stalled: in_progress, no change since 2025-10-09 08:53:")


def viewed(summary):
    """Return a view of plain lines and its monitor."""
    monitor = Monitor()
    return WatchView(monitor, summary, TextOutput(summary)), monitor


def test_a_batch_that_is_open_after_its_deadline_is_shown(capsys):
    """The line has the status."""
    view, _ = viewed(WatchSummary({"batch_1": "finalizing"}))

    view.handle(Stalled(batch_id="batch_1", status="finalizing", since=CREATED, is_overdue=True))

    assert "batch_1 stalled: finalizing, open long after its deadline\n" == capsys.readouterr().err


def test_a_status_whose_transition_went_to_another_process_is_shown(capsys):
    """The status has one line without a hint, because the monitor holds it."""
    summary = WatchSummary({"batch_1": None})
    view, monitor = viewed(summary)
    snapshot = batchfsm.parse(snap("vp"), observed_at=CREATED + 90)
    monitor.observe(snapshot)

    for _ in range(2):
        view.handle(PollSucceeded(batch_id="batch_1", snapshot=snapshot, transitions=(), findings=()))

    assert "2025-10-09 08:54:50  batch_1 in_progress\n" == capsys.readouterr().out
    assert {"batch_1": "in_progress"} == summary.statuses


def test_a_batch_that_ended_in_another_watch_counts(capsys):
    """Its end and its failed requests come from the monitor, without a poll of this watch."""
    summary = WatchSummary({"batch_1": None, "batch_2": None})
    view, monitor = viewed(summary)
    monitor.observe(snap("vpzc"))

    view.finish()

    assert ({"batch_1": "completed", "batch_2": None}, {"batch_1"}) == (summary.statuses, summary.with_failed_requests)


def test_the_live_view_shows_why_a_watch_ended_early(capsys):
    """The reason stands below the view; without a reason there is no line."""
    summary = WatchSummary({})
    output = LiveOutput(summary, Console(file=io.StringIO()), Dashboard(Monitor(), summary, lambda: 0.0))

    output.show("end", None, reason="")
    output.show("end", None, reason="time limit reached")

    assert "time limit reached\n" == capsys.readouterr().out


def test_the_last_failure_of_a_stalled_batch_is_shown(capsys):
    """The batch may be stalled because each request fails."""
    view, _ = viewed(WatchSummary({"batch_1": None}))

    view.handle(Stalled(batch_id="batch_1", status=None, since=CREATED, is_overdue=False, last_failure="HTTP 503"))

    said = "batch_1 stalled: not polled yet, no change since 2025-10-09 08:53:20; the last request failed: HTTP 503\n"
    assert said == capsys.readouterr().err


@pytest.mark.parametrize("wait, line", [([], 1), (["--results-wait", "0"], 0)])
def test_an_end_without_its_files_is_waited_for(clock, wait, line):
    """The wait is at most --results-wait."""
    result = ran(Server(Life("vpzc", output_file_id=None), clock=clock), "batch_1", *wait)

    assert 0 == result.exit_code
    assert line == result.stderr.count(
        "batch_1 waiting: completed, without the files that its counts promise; asked again until "
    )


def test_a_list_that_was_cut_short_is_3(clock):
    """An incomplete list does not prove that no batch is open."""
    cut = json.dumps({"object": "list", "data": [], "has_more": True})
    result = ran(Server(clock=clock, faults=[(200, {}, cut)] * 9), "--all", "--once")

    assert 3 == result.exit_code
    assert "trouble: the list of batches: " in result.stderr


def test_hostile_text_never_reaches_the_terminal_raw(clock):
    """Control characters in a status, an id and a reason are escaped."""
    life = Life("vpzc", batch_id="\x1b[2J")
    faults = [(200, {}, json.dumps(snap("v", id="\x1b[2J", status="\x1b]0;x\x07")))]

    result = ran(Server(life, clock=clock, faults=faults), "--all")

    assert "\x1b" not in result.output
    assert "\\x1b[2J completed" in result.stdout


def test_all_takes_up_what_is_new(clock):
    """The watch ends when no batch is open."""
    server = Server(Life("vpzc"), Life("vf", batch_id="batch_2", born_at=CREATED + 100), clock=clock)

    result = ran(server, "--all")

    assert (1, "2 batches: 1 completed, 1 failed") == (result.exit_code, result.stdout.splitlines()[-1])


def test_a_list_that_is_refused_is_1(clock):
    """The watch has no batch."""
    result = ran(Server(clock=clock, faults=[(500, {}, ""), (403, {}, "")]), "--all")

    assert (1, "0 batches") == (result.exit_code, result.stdout.strip())
    assert [
        "trouble: HTTP 500 Internal Server Error",
        "trouble: HTTP 403 Forbidden",
        "dropped: HTTP 403 Forbidden",
    ] == (result.stderr.splitlines())


LIMIT = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached", "line": None}
BAD_LINES = [{"code": "invalid_json_line", "message": "no JSON\x1b[2J", "line": line} for line in (7, 8, 9, 10, 11)]


@pytest.mark.parametrize(
    "errors, shown",
    [
        ([LIMIT], ["token_limit_exceeded: Enqueued token limit reached"]),
        ([{}], ["error: no message"]),
        (
            BAD_LINES,
            [*(f"invalid_json_line (line {line}): no JSON\\x1b[2J" for line in (7, 8, 9)), "and 2 more errors"],
        ),
    ],
    ids=["one", "empty", "many"],
)
def test_a_failed_batch_shows_why(clock, errors, shown):
    """The line of the last status is followed by code, line and message of the first errors."""
    life = Life("vf", errors={"object": "list", "data": errors}, request_counts=None)

    result = ran(Server(life, clock=clock), "batch_1")

    assert [f"batch_1 {line}" for line in shown] == [line.strip() for line in result.stdout.splitlines()[2:-1]]


@pytest.mark.parametrize(
    "failed, total, shown",
    [
        (3, 3, "all 3 requests failed, see file-err"),
        (1, 1, "all 1 request failed, see file-err"),
        (1, 8, "1 of 8 requests failed, see file-err"),
    ],
)
def test_failed_requests_of_a_completed_batch_are_shown(clock, failed, total, shown):
    """The error file is named; the exit status is 0, or 1 with --fail-on-errors."""
    counts = {"total": total, "completed": total - failed, "failed": failed}
    life = Life("vpzc", request_counts=counts, error_file_id="file-err")

    for options, status in ([], 0), (["--fail-on-errors"], 1):
        result = ran(Server(life, clock=clock), "batch_1", *options)
        assert (status, f"batch_1 {shown}") == (result.exit_code, result.stdout.splitlines()[-2].strip())


def test_fail_on_errors_is_about_failed_requests(clock, tmp_path):
    """Without failed requests the exit status is 0; batches that ended in an earlier watch count too."""
    journal = tmp_path / "j.db"
    good = Life("vpzc", request_counts={"total": 8, "completed": 8, "failed": 0})

    assert 0 == ran(Server(good, clock=clock), "batch_1", "--fail-on-errors").exit_code
    assert 0 == ran(Server(Life("vpzc"), clock=clock), "batch_1", "--journal", journal).exit_code
    again = ran(Server(Life("vpzc"), clock=clock), "batch_1", "--journal", journal, "--fail-on-errors")
    assert (1, "1 batch: 1 completed (requests failed)") == (again.exit_code, again.stdout.splitlines()[-1])


def test_an_unknown_status_is_counted_as_it_was_seen(clock):
    """The summary has the server's text, and the finding its message."""
    life = Life("vp", status="Finished")

    result = ran(Server(life, clock=clock), "batch_1", "--timeout", "1m")

    assert (3, "1 batch: 1 Finished; findings: 1 S004 unknown-status (time limit reached)") == (
        result.exit_code,
        result.stdout.splitlines()[-1],
    )
    hint = "  batch_1 Finished  (no status of the dialect openai; try --alias Finished=STATUS)"
    assert 1 == sum(line.endswith(hint) for line in result.stdout.splitlines())
    assert any(line.startswith("error S004 ") for line in result.stderr.splitlines())


@pytest.mark.parametrize("dialect", [["--alias", "Finished=completed"], ["--dialect", "mine.py:MINE"]])
def test_a_word_of_the_server_can_be_given_its_meaning(clock, tmp_path, monkeypatch, dialect):
    """`--alias` or a dialect in a file gives it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from batchfsm import Dialect\nMINE = Dialect(name='mine', aliases={'Finished': 'completed'})\n"
    )

    result = ran(Server(Life("vpzc", status="Finished"), clock=clock), "batch_1", *dialect)

    assert (0, "1 batch: 1 completed;") == (result.exit_code, result.stdout.splitlines()[-1][:21])


def test_repeated_failures_are_counted(clock):
    """A problem has a line at its 1st, 10th and 100th time in a row, and one more if it lasts to the end."""
    result = ran(Server(Life("vpzc"), clock=clock, faults=[(503, {}, "")] * 500), "batch_1", "--timeout", "3h")

    said = [line.partition(": ")[2] for line in result.stderr.splitlines()]
    reason = "HTTP 503 Service Unavailable"
    assert [reason, f"{reason} (10 times)", f"{reason} (100 times)"] == said[:3]
    assert 4 == len(said)
    assert re.fullmatch(rf"{reason} \(\d{{3}} times\)", said[3])


# ---------------------------------------------------------------- JSON, the log


def test_json_is_one_object_a_line(clock):
    """Each object has the snapshot; the last one is the summary."""
    server = Server(Life("vpzc", expires_at=None), clock=clock, faults=[(500, {}, "")])

    result = ran(server, "batch_1", "--json")

    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert ["trouble", "transition", "finding", "transition", "transition", "transition", "end"] == [
        each["type"] for each in objects
    ]
    entered = [each for each in objects if each["type"] == "transition"]
    assert list(words("vpzc")) == [each["target"] for each in entered]
    assert f"batch_1/completed/{CREATED + 180}" == entered[-1]["key"]
    assert snap("vpzc", expires_at=None, model="gpt-5-2025-08-07", usage=None) == entered[-1]["snapshot"]
    assert {
        "type": "end",
        "batch_id": None,
        "exit_status": 0,
        "statuses": {"batch_1": "completed"},
        "reason": "",
    } == objects[-1]
    assert "" == result.stderr


def test_the_log_is_what_audit_reads(clock, tmp_path):
    """The log has every snapshot."""
    log, server = tmp_path / "watch.jsonl", Server(Life("vpzc"), clock=clock)

    ran(server, "batch_1", "--log", log)

    report = audit(log)
    assert (True, len(server.requests)) == (report.ok, report.snapshots)


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_key_is_told_to_nobody(clock, arguments, tmp_path):
    """No output has the key, even if the server repeats it."""
    log = tmp_path / "watch.jsonl"
    echo = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}", "code": KEY}})
    faults = [(500, {"x-echo": KEY}, echo), (200, {}, echo), (401, {}, echo)]

    result = ran(Server(Life("vpzc"), clock=clock, faults=faults), "batch_1", "--log", log, *arguments)

    assert 1 == result.exit_code
    assert KEY not in result.output + result.stderr + log.read_text()


# ---------------------------------------------------------------- commands


def command(code):
    """Return a command line that runs Python code."""
    return shlex.join([sys.executable, "-c", code])


def test_a_command_gets_the_transition(clock, tmp_path):
    """The command gets JSON on its standard input, for the statuses of `--on` only."""
    heard = tmp_path / "heard"
    code = f"import sys; open({str(heard)!r}, 'a').write(sys.stdin.read() + chr(10))"

    result = ran(
        Server(Life("vpzc"), clock=clock),
        "batch_1",
        "--on",
        "in_progress",
        "--on",
        "completed",
        "--exec",
        command(code),
    )

    told = [json.loads(line) for line in heard.read_text().splitlines()]
    assert 0 == result.exit_code
    assert ["in_progress", "completed"] == [each["target"] for each in told]
    assert "file-out" == told[-1]["snapshot"]["output_file_id"]


def test_a_command_that_fails_is_run_again(clock, tmp_path):
    """It runs again before the next poll; a success in the end is no failure."""
    tries = tmp_path / "tries"
    code = f"f = open({str(tries)!r}, 'a'); f.write('x'); f.close(); raise SystemExit(open({str(tries)!r}).read() != 'xxx')"

    result = ran(Server(Life("vpzc"), clock=clock), "batch_1", "--on", "in_progress", "--exec", command(code))

    assert (0, "xxx") == (result.exit_code, tries.read_text())
    key = f"batch_1/in_progress/{CREATED + 60}"
    assert [f"failed: {sys.executable} ended with status 1 on {key}"] == result.stderr.splitlines()


def test_a_command_that_fails_to_the_end_is_1(clock):
    """The exit status is 1 although the batch has completed."""
    result = ran(Server(Life("vpzc"), clock=clock), "batch_1", "--on", "completed", "--exec", "false")

    assert (1, "1 batch: 1 completed") == (result.exit_code, result.stdout.splitlines()[-1])


def test_with_a_journal_a_command_that_has_run_does_not_run_again(clock, tmp_path):
    """The next watch runs a command that failed in the first one, and no command that succeeded."""
    tries, journal = tmp_path / "tries", tmp_path / "batches.db"
    code = (
        f"f = open({str(tries)!r}, 'a'); f.write('x'); f.close(); raise SystemExit(open({str(tries)!r}).read() == 'x')"
    )
    watching = ["batch_1", "--journal", journal, "--on", "completed", "--exec", command(code)]

    first = ran(Server(Life("vpzc"), clock=clock), *watching[:3])
    assert (0, False) == (first.exit_code, tries.exists())

    pending = []
    for wait_s in (0, 9, 1, 60):
        clock.sleep(wait_s)
        pending.append(ran(Server(Life("vpzc", batch_id="batch_2"), clock=clock), "batch_2", *watching[1:]))

    assert [1, 1, 0, 0] == [each.exit_code for each in pending]
    assert "xx" == tries.read_text()
    assert "1 batch: 1 completed" == pending[-1].stdout.splitlines()[-1]
    failing = f"failed: 1 hook is failing, to be tried again by the next watch: see batchfsm journal pending {journal}"
    assert [True, True, False, False] == [failing in each.stderr.splitlines() for each in pending]


def test_with_a_journal_alone_the_open_batches_go_on(clock, tmp_path):
    """Without ids the watch has the batches that are open in the journal; without any it ends at once."""
    journal, other = tmp_path / "batches.db", Life("vp", batch_id="batch_2")
    first = ran(Server(Life("vp"), other, clock=clock), "batch_1", "--journal", journal, "--once")

    second = ran(Server(Life("vpzc"), other, clock=clock), "--journal", journal)
    server = Server(Life("vpzc"), other, clock=clock)
    third = ran(server, "--journal", journal)

    assert (3, 0, 0) == (first.exit_code, second.exit_code, third.exit_code)
    assert "1 batch: 1 completed" == second.stdout.splitlines()[-1]
    assert ("0 batches (every batch in the journal has ended)\n", []) == (third.stdout, server.requests)


def test_an_empty_journal_is_named_as_the_reason(clock, tmp_path):
    """Without the reason the watch would look like one that is over."""
    server, journal = Server(clock=clock), tmp_path / "batches.db"
    batchfsm.SQLiteJournal(journal).close()

    result = ran(server, "--journal", journal)

    assert (0, "0 batches (the journal holds no batch)\n", []) == (result.exit_code, result.stdout, server.requests)


def test_a_journal_that_is_missing_is_refused(clock, tmp_path):
    """Without ids a missing journal is a misspelled path; with ids, or with --all, it is created."""
    server, journal = Server(Life("vpzc"), clock=clock), tmp_path / "bathces.db"

    refused = ran(server, "--journal", journal)

    assert (2, "", f"batchfsm: {journal}: there is no journal\n") == (refused.exit_code, refused.stdout, refused.stderr)
    assert [] == [*server.requests, *tmp_path.iterdir()]
    assert 0 == ran(server, "--all", "--journal", journal).exit_code
    assert journal.exists()


def test_a_list_without_an_open_batch_is_named_as_the_reason(clock):
    """The last line says why nothing was watched."""
    result = ran(Server(clock=clock), "--all")

    assert (0, "0 batches (the list shows no open batch)\n") == (result.exit_code, result.stdout)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--log", "no/log.jsonl"], "no/log.jsonl: No such file or directory"),
        (["--log", "."], ".: Is a directory"),
        (["--exec", "no-such-command"], "--exec names no command that can be run: 'no-such-command'"),
        (["--exec-env", "TOKEN"], "--exec-env passes a variable to a command: --exec is missing"),
        (["--log", "j.db"], "--log j.db would overwrite the file of --journal"),
        (["--dialect", "auto"], "--dialect auto is for the logs that audit and timeline read: name one dialect"),
    ],
)
def test_a_watch_that_is_refused_creates_nothing(options, said, clock, tmp_path, monkeypatch):
    """Neither a journal nor a log is left behind."""
    monkeypatch.chdir(tmp_path)
    result = ran(Server(clock=clock), "batch_1", "--journal", "j.db", *options)

    assert (2, "", f"batchfsm: {said}\n") == (result.exit_code, result.stdout, result.stderr)
    assert [] == [*tmp_path.iterdir()]


def test_a_dead_command_makes_every_watch_of_the_journal_fail(clock, tmp_path):
    """The watches fail until the command is retried or dropped; the message names the commands for both."""
    journal = tmp_path / "batches.db"
    ran(Server(Life("vpzc"), clock=clock), "batch_1", "--journal", journal, "--on", "completed", "--exec", "false")
    with batchfsm.SQLiteJournal(journal) as opened:
        row = opened.pending()[0]
        opened.record(
            DeliveryOutcome(batch_id="batch_1", key=row.transition.key, hook=row.hook, error="x", retry=RetryState(10))
        )

    result = ran(Server(Life("vpzc", batch_id="batch_2"), clock=clock), "batch_2", "--journal", journal)

    assert 1 == result.exit_code
    assert (
        f"failed: 1 hook is dead after too many tries: see batchfsm journal dead {journal}, retry with batchfsm journal retry {journal}"
        in result.stderr.splitlines()
    )


@pytest.mark.slow
def test_two_watches_on_one_journal_both_show_the_end(tmp_path):
    """Only one of them gets each transition, and both show the true end and have exit status 0."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    lives = [
        Life("vpzc", batch_id=f"batch_{number}", at=[0, 1, 2, 3], born_at=int(time.time()) - 1) for number in range(4)
    ]
    ids = [life.batch_id for life in lives]
    with real(*lives) as url:
        processes = [in_a_process(url, *ids, "--journal", tmp_path / "j.db", **pipes) for _ in range(2)]
        ends = [(process.communicate(timeout=60), process.returncode) for process in processes]

    assert [("4 batches: 4 completed", 0)] * 2 == [(out.splitlines()[-1], status) for (out, _), status in ends]


@pytest.mark.slow
def test_a_hanging_command_is_bounded_by_the_time_limit(tmp_path):
    """The command and its processes end; the exit status is that of the time limit."""
    pids = tmp_path / "pids"
    hang = f"sleep 600 & echo $! $$ > {shlex.quote(str(pids))}; wait"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with (
        real(aged("vp", 100)) as url,
        in_a_process(url, "batch_1", "--timeout", "2", "--exec", shlex.join(["sh", "-c", hang]), **pipes) as process,
    ):
        _, err = process.communicate(timeout=60)

    assert 3 == process.returncode
    assert "failed: sh was stopped at the time limit on batch_1/validating/" in err
    assert [] == [pid for pid in pids.read_text().split() if is_running(pid)]


def is_running(pid):
    """Return whether a process runs; one that has ended stays in the table until its parent asks for its status."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False).stdout  # noqa: S607
    return state.strip() != "" and not state.startswith("Z")


@pytest.mark.parametrize("options, seen", [([], "None"), (["--exec-env", "OPENAI_API_KEY"], repr(KEY))])
def test_a_command_gets_the_key_only_if_it_is_meant_to(clock, tmp_path, options, seen):
    """Without --exec-env the key is not in the command's environment."""
    heard = tmp_path / "heard"
    code = f"import os; open({str(heard)!r}, 'w').write(repr(os.environ.get('OPENAI_API_KEY')))"

    ran(Server(Life("vpzc"), clock=clock), "batch_1", "--on", "completed", "--exec", command(code), *options)

    assert seen == heard.read_text()


def test_a_journal_that_is_none_is_refused(clock, tmp_path):
    """The error is one line, and the file is unchanged."""
    other = tmp_path / "letter.txt"
    other.write_text("Dear all")

    result = ran(Server(Life("vpzc"), clock=clock), "batch_1", "--journal", other)

    assert (2, 1, "Dear all") == (result.exit_code, len(result.stderr.splitlines()), other.read_text())


def in_a_process(server_url, *arguments, **options):
    """Start the command in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "TERM"}}
    environment |= {"OPENAI_API_KEY": KEY} | options.pop("env", {})
    return subprocess.Popen(
        [*SELF, "watch", "--base-url", server_url, *map(str, arguments)], env=environment, **options
    )


@contextmanager
def real(*lives):
    """Serve lifecycles in real time; yield the base URL."""
    with Server(*lives, clock=time.time).served() as url:
        yield url


def aged(path, age_s, **changes):
    """Return a lifecycle that began some seconds ago and is in its last status."""
    return Life(path, at=[0] * len(path), born_at=int(time.time()) - age_s, **changes)


def test_what_a_command_prints_is_not_mixed_with_json():
    """The output of the command goes to standard error."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with (
        real(aged("vpzc", 100)) as url,
        in_a_process(url, "batch_1", "--json", "--exec", "echo hello", **pipes) as process,
    ):
        out, err = process.communicate(timeout=60)

    assert (0, 4) == (process.returncode, err.count("hello\n"))
    assert 5 == len([json.loads(line) for line in out.splitlines()])


@pytest.mark.slow
def test_killed_and_restarted_at_will_it_runs_every_command(tmp_path):
    """Against a real server each command runs at least once; a key may come again, and no other key comes."""
    born_at, chance = int(time.time()) - 1, random.Random(7)  # noqa: S311
    lives = [
        Life("vpzc", batch_id=f"batch_{index}", at=[0, *sorted(chance.sample(range(1, 20), 3))], born_at=born_at)
        for index in range(12)
    ]
    heard = tmp_path / "heard"
    code = f"cat >> {shlex.quote(str(heard))}; echo >> {shlex.quote(str(heard))}"
    arguments = (
        *(life.batch_id for life in lives),
        "--journal",
        tmp_path / "journal.db",
        "--exec",
        shlex.join(["sh", "-c", code]),
    )
    kills = 0
    with real(*lives) as url:
        while True:
            process = in_a_process(url, *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                status = process.wait(timeout=chance.uniform(0.5, 2.5) if kills < 15 else 120)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
            else:
                break
    keys = [json.loads(line)["key"] for line in heard.read_text().splitlines() if line]

    assert 0 == status
    assert kills >= 5
    assert {
        f"{life.batch_id}/{word}/{born_at + at}"
        for life in lives
        for word, at in zip(words("vpzc"), life.at, strict=True)
    } == set(keys)


# ---------------------------------------------------------------- signals, broken pipes


@pytest.mark.parametrize(
    "number, status", [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)]
)
def test_a_signal_stops_it_at_once(number, status, tmp_path):
    """The watch prints a summary and no traceback, and the log is complete."""
    log, pipes = tmp_path / "log", {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with real(aged("vp", 5000)) as url, in_a_process(url, "batch_1", "--log", log, **pipes) as process:
        said = [process.stdout.readline(), process.stdout.readline()]
        process.send_signal(number)
        out, err = process.communicate(timeout=60)

    assert (status, "", "1 batch: 1 in_progress\n") == (process.returncode, err, out)
    assert "in_progress" in said[-1]
    assert 1 == audit(log).snapshots


# ---------------------------------------------------------------- the live view


def seen_in_a_terminal(url, *arguments, columns="80", **changes):
    """Run the command in a terminal; return its exit status and its output."""
    master, terminal = pty.openpty()
    env = {"TERM": "xterm-256color", "COLUMNS": columns, "LINES": "24"} | changes
    process = in_a_process(url, *arguments, stdin=terminal, stdout=terminal, stderr=terminal, env=env)
    os.close(terminal)
    written = b""
    with suppress(OSError):  # Linux ends a terminal in this way when no other process has it open.
        while piece := os.read(master, 4096):
            written += piece
    os.close(master)
    return process.wait(timeout=60), written.decode()


def test_a_terminal_gets_a_view():
    """The cursor is shown again at the end."""
    with real(aged("vpzc", 100), aged("vp", 100, batch_id="batch_2")) as url:
        status, written = seen_in_a_terminal(url, "batch_1", "batch_2", "--once")

    assert 3 == status
    assert "2 batches: 1 completed, 1 in_progress" in written
    assert re.search(r"batch_1.*completed.*8/8", written)
    assert "\x1b[32m" in written
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")


@pytest.mark.slow
def test_a_terminal_without_colour_gets_none():
    """The view needs no colours."""
    with real(aged("vpzc", 100)) as url:
        _, written = seen_in_a_terminal(url, "batch_1", NO_COLOR="1")

    assert "\x1b[32m" not in written
    assert re.search(r"batch_1 +completed +█+", written)


@pytest.mark.slow
def test_a_dumb_terminal_gets_lines():
    """Such a terminal cannot move its cursor: four statuses, why a request failed, and the summary."""
    with real(aged("vpzc", 100)) as url:
        status, written = seen_in_a_terminal(url, "batch_1", TERM="dumb")

    assert (0, False, 6) == (status, "\x1b" in written, len(written.splitlines()))


def test_a_command_prints_above_the_view():
    """The output of the command and its exit status are above the view."""
    with real(aged("vpzc", 100)) as url:
        status, written = seen_in_a_terminal(
            url, "batch_1", "--on", "completed", "--exec", command("print('mine'); exit(3)")
        )

    assert 1 == status
    assert re.search(r"mine *\r?\n", written)
    assert "endedwithstatus3onbatch_1/completed/" in re.sub(r"\s", "", written)


def rendered(board, *, columns=80, lines=24, encoding="utf-8"):
    """Return the lines of a rendered board, without colours."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=columns, height=lines, color_system=None, force_terminal=True)
    console.print(board)
    file.flush()
    return [line.rstrip() for line in file.buffer.getvalue().decode(encoding).splitlines()]


def board(*batches, at=CREATED + 1000, statuses=None, observed_at=None, dialect="openai", **fields):
    """Return a board of some batches at a time."""
    monitor = Monitor(dialect)
    for batch in batches:
        monitor.observe(batch, observed_at=float(observed_at or at - 5))
    found = {batch["id"]: monitor[batch["id"]].status for batch in batches}
    return Dashboard(monitor, WatchSummary(statuses or found, **fields), lambda: at)


RUNNING = snap("vp", request_counts={"total": 100, "completed": 40, "failed": 10})


def test_a_row_has_the_time_of_a_server_whose_clock_is_ahead():
    """Such a server's clock dates the observations: a batch that ran for 1,000 s of it is not 0 s old."""
    *_, row = rendered(board(RUNNING, at=CREATED - 3600, observed_at=CREATED + 1000))

    assert ["16", "m", "40", "s", "3/min", "08:53", "0", "s"] == row.split()[-8:]


def test_a_row_says_how_far_a_batch_is():
    """The row has status, bar, done, failed, elapsed, rate, deadline and the age of the last poll."""
    head, names, row = rendered(board(RUNNING))

    assert "1 batch: 1 in_progress" == head
    assert ["batch", "status", "done", "failed", "elapsed", "rate", "expires", "polled"] == names.split()
    assert "batch_1 in_progress ██▒··· 50/100     10 16 m 40 s 3/min   08:53    5 s" == " ".join(
        row.split(" ")
    ).replace("  ", " ", 0)


@pytest.mark.parametrize(
    "batch, at, cells",
    [
        (snap("v"), 10, ["batch_1", "validating", "······", "10", "s", "08:53", "5", "s"]),
        (snap("vf"), 100, ["batch_1", "failed", "······", "1", "m", "00", "s"]),
        (snap("vpzc"), 9999, ["batch_1", "completed", "█████▒", "8/8", "1", "3", "m", "00", "s"]),
        (snap("vp", expires_at=None), 100, ["batch_1", "in_progress", "██····", "3/8", "1", "m", "40", "s", "4/min", "5", "s"]),
        (snap("vp", expires_at=10**15), 100, ["batch_1", "in_progress", "██····", "3/8", "1", "m", "40", "s", "4/min", "5", "s"]),
        (snap("vp"), DAY_S + 60, ["batch_1", "in_progress", "██····", "3/8", "1", "d", "00", "h", "0/h", "overdue", "5", "s"]),
        (snap("vp"), 50_000, ["batch_1", "in_progress", "██····", "3/8", "13", "h", "53", "m", "0/h", "08:53!", "5", "s"]),
        (snap("vp", expires_at=CREATED + 7 * DAY_S), 100, ["batch_1", "in_progress", "██····", "3/8", "1", "m", "40", "s", "4/min", "16", "Oct", "5", "s"]),
        (RUNNING | {"request_counts": {"total": 9000, "completed": 9000, "failed": 0}}, 1000, ["batch_1", "in_progress", "██████", "9000/9000", "16", "m", "40", "s", "10/s", "08:53", "5", "s"]),
        (snap("vp", request_counts=None), 100, ["batch_1", "in_progress", "······", "1", "m", "40", "s", "08:53", "5", "s"]),
        (snap("vp", request_counts={"total": 1000, "completed": 0, "failed": 1}), 100, ["batch_1", "in_progress", "······", "1/1000", "1", "1", "m", "40", "s", "2/min", "08:53", "5", "s"]),
        (snap("v", created_at=None), 100, ["batch_1", "validating", "······", "08:53", "5", "s"]),
    ],
    ids=map(str, range(12)),
)  # fmt: skip
def test_what_a_row_can_say(batch, at, cells):
    """Values that the server has not sent have no cell."""
    assert cells == rendered(board(batch, at=CREATED + at))[2].split()


def test_wide_terminals_show_ids_whole():
    """The bar is longer, too."""
    batch = RUNNING | {"id": "batch_68b398ec31dc8190a77c93f9f3c50eef"}

    assert (
        "batch_68b398ec31dc8190a77c93f9f3c50eef in_progress " + "█" * 16 + "▒" * 4 + "·" * 20
        in rendered(board(batch), columns=200)[2]
    )
    assert rendered(board(batch))[2].startswith("batch_…c50eef in_progress ██▒··· ")


def test_narrow_terminals_show_less():
    """The most important columns stay."""
    assert ["batch", "status", "done", "failed", "polled"] == rendered(board(RUNNING), columns=60)[1].split()


def test_an_ascii_terminal_is_shown_ascii():
    """Other glyphs take the place of the characters that it lacks."""
    batch = RUNNING | {"id": "batch_68b398ec31dc8190a77c93f9f3c50eef"}

    assert rendered(board(batch), encoding="ascii")[2].startswith("batch_~c50eef in_progress ##x... ")


def test_a_line_is_never_longer_than_the_terminal():
    """The status may have any length."""
    strange = board(snap("v", status="s" * 200), RUNNING | {"id": "i" * 200}, dialect="compatible")

    assert all(len(line) <= 80 for line in rendered(strange))


def test_a_batch_that_was_never_seen_has_a_row():
    """The row has no numbers."""
    assert ["batch_1", "-"] == rendered(board(statuses={"batch_1": None}))[2].split()
    assert ["batch_1", "refused"] == rendered(board(statuses={"batch_1": "refused"}))[2].split()


def test_no_batch_has_no_table():
    """One line states that there is no batch."""
    assert ["0 batches"] == rendered(board())


def test_five_hundred_fit_on_any_screen():
    """The batch that changed last is on top, ended ones are at the end; the remaining ones are counted."""
    statuses = {f"batch_{index}": "validating" for index in range(500)}
    tally = WatchSummary(statuses)
    tally.enter("batch_7", "in_progress")
    tally.enter("batch_8", "completed")
    tally.enter("batch_9", "cancelling")

    lines = rendered(Dashboard(Monitor(), tally, lambda: 0.0), lines=10)

    assert "500 batches: 497 validating, 1 in_progress, 1 completed, 1 cancelling" == lines[0]
    assert ["batch_9", "batch_7"] == [line.split()[0] for line in lines[2:4]]
    assert "and 496 more: 495 validating, 1 completed" == lines[-1]
    assert 10 > len(lines)


def test_trouble_and_findings_have_a_line():
    """The line has the last problem and the number of further ones."""
    tally = WatchSummary({"batch_1": None})
    assert tally.record_problem("batch_1", "HTTP 502")
    assert not tally.record_problem("batch_1", "HTTP 502", 2)
    assert "batch_1: HTTP 502 (2 times)" == rendered(Dashboard(Monitor(), tally, lambda: 0.0))[-1]

    tally.record_problem("\x1b", "HTTP 503")
    tally.findings["P104", "deadline-missing"] += 2
    lines = rendered(Dashboard(Monitor(), tally, lambda: 0.0))

    assert "1 batch: 1 not polled yet" == lines[0]
    assert "findings: 2 P104 deadline-missing" == lines[-2]
    assert "\\x1b: HTTP 503 (and 1 more with problems)" == lines[-1]
