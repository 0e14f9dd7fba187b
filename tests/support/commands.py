"""Commands of `batchfsm`, run in this process or in a separate one."""

import os
import pty
import subprocess
import sys

from click.testing import CliRunner

from batchfsm.cli import app

SELF = [sys.executable, "-m", "batchfsm"]


def ran(*arguments, said=None):
    """Run a command in this process; return its output and exit status."""
    result = CliRunner().invoke(app, [str(each) for each in arguments], input=said)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def run(*arguments, said=None, **changes):
    """Run a command in a separate process with changed environment variables; return the ended process."""
    environment = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    return subprocess.run(
        [*SELF, *map(str, arguments)],
        input=said,
        env={name: value for name, value in (environment | changes).items() if value is not None},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def on_terminal(*arguments, **changes):
    """Run a command with a terminal as its standard output; return the text that it wrote there."""
    master, terminal = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    process = subprocess.Popen(
        [*SELF, *map(str, arguments)],
        stdout=terminal,
        stderr=terminal,
        env=environment | {"TERM": "xterm-256color"} | changes,
    )
    os.close(terminal)
    written = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:  # Linux raises this when the other end is closed.
            break
        if not piece:
            break
        written += piece
    process.wait(60)
    os.close(master)
    return written.decode()
