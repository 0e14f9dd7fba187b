"""`batchfsm conform`: a scorecard of a server that claims to be compatible."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TextIO

import click
from rich.console import Console
from rich.text import Text

from batchfsm.cli.formats import STATUS
from batchfsm.cli.options import SPAN, DialectChoice, dialect_options
from batchfsm.cli.output import check_outputs, write_coloured
from batchfsm.conform import POLL_S, TIMEOUT_S, WaitProgress, conform, http_caller
from batchfsm.escapes import printable

KEY: Final = "OPENAI_API_KEY"
"""The environment variable with the key; the key is written to no log, error or file."""


@click.command("conform")
@click.argument("base_url")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Form of the scorecard; text by default.",
)
@dialect_options()
@click.option(
    "--endpoint", metavar="E", default="/v1/chat/completions",
    help="Endpoint of the requests in the batches; /v1/chat/completions by default.",
)  # fmt: skip
@click.option("--model", metavar="M", default="gpt-5", help="Model that the requests name; gpt-5 by default.")
@click.option(
    "--timeout", type=SPAN, metavar="SPAN", default=TIMEOUT_S, help="Longest wait for each batch; 15m by default."
)
@click.option("--poll", type=SPAN, metavar="SPAN", default=POLL_S, help="Time between two polls; 1s by default.")
@click.option(
    "--log", type=click.Path(path_type=Path), metavar="F", help="Write every snapshot to a file, for batchfsm audit."
)
@click.option("--all", "show_all", is_flag=True, help="List each check that is kept.")
def command(
    *,
    base_url: str,
    output_format: str,
    dialect: DialectChoice,
    endpoint: str,
    model: str,
    timeout: float,
    poll: float,
    log: Path | None,
    show_all: bool,
) -> None:
    """
    Test a server that claims to be compatible.

    The command acts as a client and prints a scorecard. BASE_URL is the address that clients use, such as
    http://127.0.0.1:8000/v1. The key is taken from OPENAI_API_KEY. Three small batches are created, which may cost
    money.

    Exit status: 0 consistent, 1 inconsistent, 2 undetermined, or stopped by an error.
    """
    check_outputs((), {"--log": log})
    call = http_caller(base_url, os.environ.get(KEY, "none"))
    with ExitStack() as stack:
        record = None if log is None else _recorder(log, stack)
        status = stack.enter_context(Console(stderr=True).status("sending requests")) if sys.stderr.isatty() else None
        card = conform(
            call,
            now=time.time,
            sleep=time.sleep,
            server=base_url,
            dialect=dialect.load(),
            endpoint=endpoint,
            model=model,
            timeout_s=timeout,
            poll_s=poll,
            log=record,
            on_wait=None if status is None else lambda progress: status.update(_wait_text(progress)),
        )
    if output_format == "json":
        click.echo(card.to_json())
    else:
        write_coloured(card.to_text(full=show_all))
    raise click.exceptions.Exit(STATUS[card.verdict])


def _recorder(log: Path, stack: ExitStack) -> Callable[[object], None]:
    """Return a function that writes a view to a file; the first one replaces what the file held."""
    opened: list[TextIO] = []

    def record(view: object) -> None:
        if not opened:
            opened.append(stack.enter_context(log.open("w", encoding="utf-8")))
        print(json.dumps(view), file=opened[0])

    return record


def _wait_text(progress: WaitProgress) -> Text:
    """Return one line about the batch that is waited for; nothing that the server said acts on the terminal."""
    times = f"{progress.waited_s:.0f} s of at most {progress.timeout_s:g} s"
    return Text(printable(f"waiting for {progress.batch_id}: {progress.status}, {times}"))
