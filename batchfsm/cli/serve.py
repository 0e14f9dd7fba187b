"""`batchfsm serve`: the fake API for other processes, its time at a multiple of the real one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Any

import click

from batchfsm.cli.failures import StopError
from batchfsm.cli.options import DialectChoice, complete_file, dialect_options, names_in_file
from batchfsm.cli.usage import NumberType
from batchfsm.testing import FakeBatchAPI, Scenario, Server, SpeedClock, VirtualClock
from batchfsm.testing.scenario_parser import HAPPY


@click.command("serve")
@click.option("--scenario", metavar="TEXT", default=HAPPY, help=f"Course of every batch; by default {HAPPY!r}.")
@dialect_options()
@click.option(
    "--speed", type=NumberType(0.0), metavar="X", default=1.0,
    help="Seconds that pass in a real second; 1 by default. 0: time moves only by POST /batchfsm/advance.",
)  # fmt: skip
@click.option("--host", metavar="H", default="127.0.0.1", help="Address to listen on; 127.0.0.1 by default.")
@click.option(
    "--port", type=NumberType(0, 65535), metavar="P", default=8000,
    help="Port to listen on; 8000 by default. 0: any free one.",
)  # fmt: skip
@click.option(
    "--respond", shell_complete=complete_file, metavar="FILE.py:NAME",
    help="A function that returns the answer to a request's body; by default each endpoint has one of its own.",
)  # fmt: skip
def command(*, scenario: str, dialect: DialectChoice, speed: float, host: str, port: int, respond: str | None) -> None:
    """
    Serve a fake Batch API over HTTP.

    The server runs until it is interrupted. With --speed 0, POST /batchfsm/advance with {"span": "1h"} moves the time.
    """
    clock = SpeedClock(speed) if speed else VirtualClock()
    function = None if respond is None else _function(respond)
    api = FakeBatchAPI(Scenario(scenario, dialect=dialect.load()), clock=clock, respond=function)
    try:
        with _serve(api, host, port) as server:
            click.echo(f"OPENAI_BASE_URL={server.base_url}")
            with suppress(KeyboardInterrupt):
                Event().wait()
    except ExceptionGroup as group:
        # Clients got a 500 for each; the function of --respond is the only code that raises here.
        first = group.exceptions[0]
        times = len(group.exceptions)
        raise StopError(f"{respond} raised {times} times, first {type(first).__name__}: {first}") from None


def _serve(api: FakeBatchAPI, host: str, port: int) -> Server:
    """Start the server; StopError if it cannot listen there."""
    try:
        return api.serve(host=host, port=port)
    except OSError as error:
        raise StopError(f"cannot listen on {host}:{port}: {error.strerror}; --port 0 takes any free port") from error


def _function(respond: str) -> Callable[..., Any]:
    """Return the function that `FILE.py:NAME` names."""
    path, _, name = respond.rpartition(":")
    if not path.endswith(".py"):
        raise StopError(f"--respond takes FILE.py:NAME, not {respond!r}")
    found = names_in_file(path).get(name)
    if not callable(found):
        raise StopError(f"{path} defines no function {name!r}")
    return found  # type: ignore[no-any-return]
