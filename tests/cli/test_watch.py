"""`batchfsm watch`, as its users meet it: what it shows where, what it runs, and its exit status."""

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

from batchfsm import Monitor, audit
from batchfsm.cli import app
from batchfsm.cli.dashboard import Dashboard
from batchfsm.cli.watch_summary import WatchSummary
from support.notation import CREATED, DAY_S, snap, words
from support.server import SELF, Clock, Life, Server

KEY = "sk-proj-do-not-tell"


@pytest.fixture
def clock(monkeypatch):
    """Return time that passes only by sleeping, for the command, too."""
    clock = Clock()
    monkeypatch.setattr("batchfsm.cli.watch.time", clock)
    return clock


def ran(server, *arguments, key=KEY):
    """Watch batches of a server in this process; return what was printed and the exit status."""
    with server.served() as url:
        result = CliRunner().invoke(
            app, ["watch", "--base-url", url, *map(str, arguments)], env={"OPENAI_API_KEY": key}
        )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


# ---------------------------------------------------------------- exit statuses


@pytest.mark.parametrize("path, status", [("vpzc", 0), ("vf", 1), ("vpgx", 1), ("vpze", 1)])
def test_only_completed_is_good(clock, path, status):
    """Every other end is 1."""
    life = Life(path, at=range(0, 60 * len(path), 60))

    assert status == ran(Server(life, clock=clock), "batch_1").exit_code


@pytest.mark.parametrize(
    "fault, said",
    [((401, {}, ""), "batch_1 dropped: HTTP 401 Unauthorized"), ((404, {}, ""), "batch_1 dropped: HTTP 404 Not Found")],
)
def test_gone_and_refused_are_1(clock, fault, said):
    """The others are watched to their end."""
    server = Server(Life("vpzc", batch_id="batch_2"), clock=clock, faults=[fault])

    result = ran(server, "batch_1", "batch_2")

    assert (1, 1) == (result.exit_code, result.stderr.splitlines().count(said))
    assert "batch_2 completed" in result.stdout


@pytest.mark.parametrize("arguments, naps", [(["--once"], 0), (["--timeout", "7"], 7)])
def test_what_is_still_open_is_3(clock, arguments, naps):
    """After one look, or when the time is up."""
    result = ran(Server(Life("vp"), clock=clock), "batch_1", *arguments)

    assert (3, naps) == (result.exit_code, sum(clock.naps))
    assert "1 batch: 1 validating" == result.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "name the batches to watch, or --all; one of the two"),
        (["batch_1", "--all"], "name the batches to watch, or --all; one of the two"),
        (["batch_1", "--on", "completed"], "--on says when to run a command: --exec is missing"),
        (["batch_1", "--on", "done", "--exec", "cat"], "the openai lifecycle has no status 'done'"),
        (["batch_1", "--exec", ""], "--exec names no command that can be run: ''"),
        (["batch_1", "--exec", "no-such-command -x"], "--exec names no command that can be run: 'no-such-command -x'"),
        (["batch_1", "--exec", "cat '"], "No closing quotation"),
        (["batch_1", "--dialect", "acme"], "no dialect is called 'acme'"),
        ([" "], "an id is empty"),
        (["batch_1", "--base-url", "example.com"], "--base-url begins with http:// or https://"),
        (["batch_1", "--log", "no/such/directory"], "no/such/directory: No such file or directory"),
    ],
    ids=map(str, range(11)),
)
def test_wrong_use_is_2(clock, arguments, said):
    """In one line, and nothing is asked for."""
    server = Server(Life("vpzc"), clock=clock)

    result = ran(server, *arguments)

    assert (2, "", 1) == (result.exit_code, result.stdout, len(result.stderr.splitlines()))
    assert said in result.stderr
    assert [] == server.requests


@pytest.mark.parametrize(
    "key, said", [("", "is not set"), ("  ", "is not set"), ("sk-Ж", "no header can carry"), ("a\nb", "no header")]
)
def test_a_key_that_is_none_is_2(clock, key, said):
    """It is not quoted."""
    result = ran(Server(clock=clock), "batch_1", key=key)

    assert 2 == result.exit_code
    assert re.fullmatch(rf"batchfsm: OPENAI_API_KEY .*{said}.*\n", result.stderr)


def test_without_the_client_it_says_what_to_install(clock, monkeypatch):
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "openai", None)

    result = ran(Server(clock=clock), "batch_1")

    assert (2, True) == (
        result.exit_code,
        "pip install 'batchfsm[watch]' (in a clone: pip install '.[watch]')" in result.stderr,
    )


# ---------------------------------------------------------------- plain lines


def test_a_line_for_each_entry(clock):
    """With its true time, and how far the batch is."""
    result = ran(Server(Life("vpzc"), clock=clock), "batch_1")

    assert [
        "2025-10-09 08:53:20  batch_1 validating",
        "2025-10-09 08:54:20  batch_1 in_progress  3 ok  0 failed  of 8",
        "2025-10-09 08:55:20  batch_1 finalizing  6 ok  1 failed  of 8",
        "2025-10-09 08:56:20  batch_1 completed  7 ok  1 failed  of 8",
        "1 batch: 1 completed",
    ] == result.stdout.splitlines()
    assert "" == result.stderr


def test_trouble_goes_to_standard_error(clock):
    """Once, until it is another one; then it is well again."""
    html = (502, {"content-type": "text/html"}, "<html>")
    server = Server(Life("vpzc"), clock=clock, faults=[html, html, (503, {}, ""), None, html])

    result = ran(server, "batch_1")

    assert 0 == result.exit_code
    bad, away = "batch_1 trouble: HTTP 502 Bad Gateway", "batch_1 trouble: HTTP 503 Service Unavailable"
    assert [bad, away, bad] == result.stderr.splitlines()


def test_findings_go_to_standard_error(clock):
    """Once for each batch and rule."""
    result = ran(Server(Life("vpzc", expires_at=None), clock=clock), "batch_1")

    assert (0, ["batch_1 note: P104 deadline-missing"]) == (result.exit_code, result.stderr.splitlines())


def test_what_stands_still_is_said(clock):
    """With the time of its last change; and if it is overdue."""
    life = Life("vpzc", at=[0, 10, 3 * DAY_S, 3 * DAY_S + 9])
    clock.sleep = lambda seconds: Clock.sleep(clock, 50 * seconds)  # It is a long time, even so.

    result = ran(Server(life, clock=clock), "batch_1")

    said = [line for line in result.stderr.splitlines() if "stalled" in line]
    assert [
        "batch_1 stalled: no change since 2025-10-09 08:54:10",
        "batch_1 stalled: open long after its deadline",
    ] == said


def test_hostile_text_never_reaches_the_terminal_raw(clock):
    """A status, an id, a reason."""
    life = Life("vpzc", batch_id="\x1b[2J")
    faults = [(200, {}, json.dumps(snap("v", id="\x1b[2J", status="\x1b]0;x\x07")))]

    result = ran(Server(life, clock=clock, faults=faults), "--all")

    assert "\x1b" not in result.output
    assert "\\x1b[2J completed" in result.stdout


def test_all_takes_up_what_is_new(clock):
    """Until none is open."""
    server = Server(Life("vpzc"), Life("vf", batch_id="batch_2", born_at=CREATED + 100), clock=clock)

    result = ran(server, "--all")

    assert (1, "2 batches: 1 completed, 1 failed") == (result.exit_code, result.stdout.splitlines()[-1])


def test_a_list_that_is_refused_is_1(clock):
    """There is nothing to watch."""
    result = ran(Server(clock=clock, faults=[(500, {}, ""), (403, {}, "")]), "--all")

    assert (1, "0 batches") == (result.exit_code, result.stdout.strip())
    assert [
        "trouble: HTTP 500 Internal Server Error",
        "trouble: HTTP 403 Forbidden",
        "dropped: HTTP 403 Forbidden",
    ] == (result.stderr.splitlines())


# ---------------------------------------------------------------- JSON, the log


def test_json_is_one_object_a_line(clock):
    """With the snapshot in it; the last one says how it ended."""
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
    assert {"type": "end", "batch_id": None, "exit_status": 0, "statuses": {"batch_1": "completed"}} == objects[-1]
    assert "" == result.stderr


def test_the_log_is_what_audit_reads(clock, tmp_path):
    """Every snapshot."""
    log, server = tmp_path / "watch.jsonl", Server(Life("vpzc"), clock=clock)

    ran(server, "batch_1", "--log", log)

    report = audit(log)
    assert (True, len(server.requests)) == (report.ok, report.snapshots)


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_key_is_told_to_nobody(clock, arguments, tmp_path):
    """Whatever a server echoes."""
    log = tmp_path / "watch.jsonl"
    echo = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}", "code": KEY}})
    faults = [(500, {"x-echo": KEY}, echo), (200, {}, echo), (401, {}, echo)]

    result = ran(Server(Life("vpzc"), clock=clock, faults=faults), "batch_1", "--log", log, *arguments)

    assert 1 == result.exit_code
    assert KEY not in result.output + result.stderr + log.read_text()


# ---------------------------------------------------------------- commands


def command(code):
    """Return a command line that runs some Python."""
    return shlex.join([sys.executable, "-c", code])


def test_a_command_gets_the_transition(clock, tmp_path):
    """As JSON on its standard input; on the statuses that were named."""
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
    """Before the next look; what has ended well in the end is well."""
    tries = tmp_path / "tries"
    code = f"f = open({str(tries)!r}, 'a'); f.write('x'); f.close(); raise SystemExit(open({str(tries)!r}).read() != 'xxx')"

    result = ran(Server(Life("vpzc"), clock=clock), "batch_1", "--on", "in_progress", "--exec", command(code))

    assert (0, "xxx") == (result.exit_code, tries.read_text())
    key = f"batch_1/in_progress/{CREATED + 60}"
    assert [f"failed: {sys.executable} ended with status 1 on {key}"] == result.stderr.splitlines()


def test_a_command_that_fails_to_the_end_is_1(clock):
    """Though the batch has completed."""
    result = ran(Server(Life("vpzc"), clock=clock), "batch_1", "--on", "completed", "--exec", "false")

    assert (1, "1 batch: 1 completed") == (result.exit_code, result.stdout.splitlines()[-1])


def test_with_a_journal_a_command_that_has_run_does_not_run_again(clock, tmp_path):
    """Over restarts: what failed to the end of one watch is run by the next, what returned is not."""
    tries, journal = tmp_path / "tries", tmp_path / "batches.db"
    code = (
        f"f = open({str(tries)!r}, 'a'); f.write('x'); f.close(); raise SystemExit(open({str(tries)!r}).read() == 'x')"
    )
    watching = ["batch_1", "--journal", journal, "--on", "completed", "--exec", command(code)]

    first = ran(Server(Life("vpzc"), clock=clock), *watching[:3])
    assert (0, False) == (first.exit_code, tries.exists())

    pending = [ran(Server(Life("vpzc", batch_id="batch_2"), clock=clock), "batch_2", *watching[1:]) for _ in range(3)]

    assert [0, 0, 0] == [each.exit_code for each in pending]
    assert "xx" == tries.read_text()
    assert "1 batch: 1 completed" == pending[-1].stdout.splitlines()[-1]


def test_a_journal_that_is_none_is_refused(clock, tmp_path):
    """In one line, and the file is left as it was."""
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
    """Serve lives in real time."""
    with Server(*lives, clock=time.time).served() as url:
        yield url


def aged(path, age_s, **changes):
    """Return a life that began some seconds ago, and is in its last status."""
    return Life(path, at=[0] * len(path), born_at=int(time.time()) - age_s, **changes)


def test_what_a_command_prints_is_not_mixed_with_json():
    """It goes to standard error."""
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
    """Against a real server, in real time: none is lost; the same key may come again, and nothing else."""
    born_at, chance = int(time.time()) - 1, random.Random(7)  # noqa: S311  # The same moments each time.
    lives = [
        Life("vpzc", batch_id=f"batch_{index}", at=[0, *sorted(chance.sample(range(1, 40), 3))], born_at=born_at)
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
                status = process.wait(timeout=chance.uniform(0.5, 4) if kills < 15 else 120)
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
    """With a summary, a whole log and no traceback."""
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
    """Run the command in a terminal; return its exit status and all that was written."""
    master, terminal = pty.openpty()
    env = {"TERM": "xterm-256color", "COLUMNS": columns, "LINES": "24"} | changes
    process = in_a_process(url, *arguments, stdin=terminal, stdout=terminal, stderr=terminal, env=env)
    os.close(terminal)
    written = b""
    with suppress(OSError):  # So Linux ends a terminal that nobody else has open.
        while piece := os.read(master, 4096):
            written += piece
    os.close(master)
    return process.wait(timeout=60), written.decode()


def test_a_terminal_gets_a_view():
    """With the cursor shown again at the end."""
    with real(aged("vpzc", 100), aged("vp", 100, batch_id="batch_2")) as url:
        status, written = seen_in_a_terminal(url, "batch_1", "batch_2", "--once")

    assert 3 == status
    assert "2 batches: 1 completed, 1 in_progress" in written
    assert re.search(r"batch_1.*completed.*8/8", written)
    assert "\x1b[32m" in written
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")


@pytest.mark.slow
def test_a_terminal_without_colour_gets_none():
    """The view needs none."""
    with real(aged("vpzc", 100)) as url:
        _, written = seen_in_a_terminal(url, "batch_1", NO_COLOR="1")

    assert "\x1b[32m" not in written
    assert re.search(r"batch_1 +completed +█+", written)


@pytest.mark.slow
def test_a_dumb_terminal_gets_lines():
    """It could not draw over what it has drawn."""
    with real(aged("vpzc", 100)) as url:
        status, written = seen_in_a_terminal(url, "batch_1", TERM="dumb")

    assert (0, False, 5) == (status, "\x1b" in written, len(written.splitlines()))


def test_a_command_has_the_terminal_to_itself():
    """What it prints is above the view; so is what it ended with."""
    with real(aged("vpzc", 100)) as url:
        status, written = seen_in_a_terminal(
            url, "batch_1", "--on", "completed", "--exec", command("print('mine'); exit(3)")
        )

    assert 1 == status
    assert re.search(r"mine\r\n", written)
    assert "endedwithstatus3onbatch_1/completed/" in re.sub(r"\s", "", written)


def rendered(board, *, columns=80, lines=24, encoding="utf-8"):
    """Return what a board looks like, line by line, without colours."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=columns, height=lines, color_system=None, force_terminal=True)
    console.print(board)
    file.flush()
    return [line.rstrip() for line in file.buffer.getvalue().decode(encoding).splitlines()]


def board(*batches, at=CREATED + 1000, statuses=None, observed_at=None, dialect="openai", **fields):
    """Return a board of some batches, as they are seen at a time."""
    monitor = Monitor(dialect)
    for batch in batches:
        monitor.observe(batch, observed_at=float(observed_at or at - 5))
    found = {batch["id"]: monitor[batch["id"]].status for batch in batches}
    return Dashboard(monitor, WatchSummary(statuses or found, **fields), lambda: at)


RUNNING = snap("vp", request_counts={"total": 100, "completed": 40, "failed": 10})


def test_a_row_says_how_far_a_batch_is():
    """Status, bar, done, failed, elapsed, rate, deadline, age of the last look."""
    head, names, row = rendered(board(RUNNING))

    assert "1 batch: 1 in_progress" == head
    assert ["batch", "status", "done", "failed", "elapsed", "rate", "by", "UTC", "seen"] == names.split()
    assert "batch_1 in_progress ██▒··· 50/100     10 16 m 40 s 3/min  08:53  5 s" == " ".join(row.split(" ")).replace(
        "  ", " ", 0
    )


@pytest.mark.parametrize(
    "batch, at, cells",
    [
        (snap("v"), 10, ["batch_1", "validating", "······", "10", "s", "08:53", "5", "s"]),
        (snap("vf"), 100, ["batch_1", "failed", "······", "1", "m", "00", "s"]),
        (snap("vpzc"), 9999, ["batch_1", "completed", "█████▒", "8/8", "1", "3", "m", "00", "s", "4/min"]),
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
    """Whatever the server has told, or not."""
    assert cells == rendered(board(batch, at=CREATED + at))[2].split()


def test_wide_terminals_show_ids_whole():
    """And long bars."""
    batch = RUNNING | {"id": "batch_68b398ec31dc8190a77c93f9f3c50eef"}

    assert (
        "batch_68b398ec31dc8190a77c93f9f3c50eef in_progress " + "█" * 16 + "▒" * 4 + "·" * 20
        in rendered(board(batch), columns=200)[2]
    )
    assert rendered(board(batch))[2].startswith("…f3c50eef in_progress ██▒··· ")


def test_narrow_terminals_show_less():
    """What is needed most."""
    assert ["batch", "status", "done", "failed", "seen"] == rendered(board(RUNNING), columns=60)[1].split()


def test_an_ascii_terminal_is_shown_ascii():
    """In other glyphs."""
    batch = RUNNING | {"id": "batch_68b398ec31dc8190a77c93f9f3c50eef"}

    assert rendered(board(batch), encoding="ascii")[2].startswith("~f3c50eef in_progress ##x... ")


def test_a_line_is_never_longer_than_the_terminal():
    """Whatever the status is."""
    strange = board(snap("v", status="s" * 200), RUNNING | {"id": "i" * 200}, dialect="compatible")

    assert all(len(line) <= 80 for line in rendered(strange))


def test_a_batch_that_was_never_seen_has_a_row():
    """It has no numbers yet."""
    assert ["batch_1", "-"] == rendered(board(statuses={"batch_1": None}))[2].split()
    assert ["batch_1", "refused"] == rendered(board(statuses={"batch_1": "refused"}))[2].split()


def test_no_batch_has_no_table():
    """One line says so."""
    assert ["0 batches"] == rendered(board())


def test_five_hundred_fit_on_any_screen():
    """What has moved last is on top, what has ended is at the end; the rest is counted."""
    statuses = {f"batch_{index}": "validating" for index in range(500)}
    tally = WatchSummary(statuses)
    tally.enter("batch_7", "in_progress")
    tally.enter("batch_8", "completed")
    tally.enter("batch_9", "cancelling")

    lines = rendered(Dashboard(Monitor(), tally, lambda: 0.0), lines=10)

    assert "500 batches: 497 validating, 1 in_progress, 1 completed, 1 cancelling" == lines[0]
    assert ["batch_9", "batch_7", "batch_0"] == [line.split()[0] for line in lines[2:5]]
    assert "and 495 more: 494 validating, 1 completed" == lines[-1]
    assert 10 > len(lines)


def test_trouble_and_findings_have_a_line():
    """The last trouble, and how many more there are."""
    tally = WatchSummary({"batch_1": None})
    assert tally.fret("batch_1", "HTTP 502")
    assert not tally.fret("batch_1", "HTTP 502")
    assert "batch_1: HTTP 502" == rendered(Dashboard(Monitor(), tally, lambda: 0.0))[-1]

    tally.fret("\x1b", "HTTP 503")
    tally.findings["P104", "deadline-missing"] += 2
    lines = rendered(Dashboard(Monitor(), tally, lambda: 0.0))

    assert "1 batch: 1 not seen yet; findings: 2 P104 deadline-missing" == lines[0]
    assert "\\x1b: HTTP 503 (and 1 more in trouble)" == lines[-1]
