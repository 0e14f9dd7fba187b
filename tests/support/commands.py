"""Commands of `batchfsm`, run in this process or in a separate one."""

import os
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
