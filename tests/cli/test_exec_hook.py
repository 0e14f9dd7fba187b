"""The hook of `--exec`: its time limit, output and environment."""

import shlex
import sys
import time
from pathlib import Path

import pytest

from batchfsm import Monitor
from batchfsm.cli.exec_hook import ExecError, ExecHook
from support.notation import snap

TRANSITION = Monitor().observe(snap("v")).transitions[0]


def command(code):
    """Return a command line that runs Python code."""
    return shlex.join([sys.executable, "-c", code])


def is_running(pid):
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "], ids=["ends at SIGTERM", "ignores SIGTERM"])
def test_a_command_ends_with_all_its_processes_at_the_time_limit(tmp_path, monkeypatch, trap):
    """The command's background processes end, too, and so does a process that ignores SIGTERM."""
    monkeypatch.setattr("batchfsm.cli.exec_hook.GRACE_S", 0.2)
    pids = tmp_path / "pids"
    code = f"{trap}sleep 600 & echo $! $$ > {shlex.quote(str(pids))}; wait; sleep 600"
    hook = ExecHook(shlex.join(["sh", "-c", code]), time_left=lambda: 0.5)

    with pytest.raises(ExecError, match=r"^sh was stopped at the time limit on batch_1/validating/\d+$"):
        hook(TRANSITION)
    time.sleep(0.05)
    assert [False, False] == [is_running(int(pid)) for pid in pids.read_text().split()]


def test_a_command_does_not_start_after_the_time_limit(tmp_path):
    """This is a failure, so a journal keeps the transition for the next watch."""
    ended = []
    hook = ExecHook(f"touch {tmp_path}/ran", time_left=lambda: -1.0, after=lambda _, succeeded: ended.append(succeeded))

    with pytest.raises(ExecError, match=r"^touch was not run: the time limit was reached on "):
        hook(TRANSITION)
    assert ([False], []) == (ended, list(tmp_path.iterdir()))


def test_an_interrupt_ends_the_command(tmp_path, monkeypatch):
    """The interrupt is raised again."""
    pid = tmp_path / "pid"

    def interrupt(process, *_, **__):
        while not pid.exists() or not pid.read_text().strip():
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr("subprocess.Popen.communicate", interrupt)
    hook = ExecHook(shlex.join(["sh", "-c", f"echo $$ > {shlex.quote(str(pid))}; exec sleep 600"]))

    with pytest.raises(KeyboardInterrupt):
        hook(TRANSITION)
    assert not is_running(int(pid.read_text()))


def test_lines_are_passed_on(tmp_path):
    """Standard output and error are forwarded line by line, with bytes that are not UTF-8 escaped."""
    lines = []
    code = "import os; os.write(1, b'one\\n'); os.write(2, b'two \\xff\\n'); os.write(1, b'three')"
    ExecHook(command(code), output=lines.append)(TRANSITION)

    assert ["one", "two \\xff", "three"] == lines
