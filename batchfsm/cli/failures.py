"""Errors that stop a command, and their exit statuses."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

import click

from batchfsm.cli.usage import usage_message
from batchfsm.errors import BatchfsmError
from batchfsm.escapes import printable


class StopError(BatchfsmError):
    """The command cannot go on; the message says why."""


@contextmanager
def handle_errors() -> Iterator[None]:
    """Turn an error that stops a command into one line on standard error and exit status 2; an interrupt into 130."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # An id may hold characters that the terminal cannot show.
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has closed the pipe. Python would raise again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(2) from None
    except KeyboardInterrupt:
        raise click.exceptions.Exit(128 + signal.SIGINT) from None
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        click.echo(f"batchfsm: {printable(usage_message(error))}", err=True)
        raise click.exceptions.Exit(2) from None
    except (BatchfsmError, OSError) as error:
        click.echo(f"batchfsm: {printable(_message(error))}", err=True)
        raise click.exceptions.Exit(2) from None


def _message(error: Exception) -> str:
    """Return an error's message; of the operating system's errors the file and the problem, without the number."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
