"""`batchfsm conform`: a scorecard of a server that says it is compatible."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from batchfsm.cli.formats import STATUS, paint
from batchfsm.conform import POLL_S, TIMEOUT_S, caller, conform
from batchfsm.dialects import DIALECTS

KEY: Final = "OPENAI_API_KEY"
"""Where the key is taken from; it reaches no log, error or file."""


def conform_command(
    base_url: Annotated[str, typer.Argument(help="The server, as clients take it: http://127.0.0.1:8000/v1")],
    *,
    output_format: Annotated[
        Literal["text", "json"], typer.Option("--format", help="How to write the scorecard.")
    ] = "text",
    dialect: Annotated[str, typer.Option(help=f"Whose lifecycle: {', '.join(DIALECTS)}.")] = "openai",
    endpoint: Annotated[str, typer.Option(help="Where the requests of the batches go.")] = "/v1/chat/completions",
    model: Annotated[str, typer.Option(help="The model that they name.")] = "gpt-5",
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait for each batch.")] = TIMEOUT_S,
    poll: Annotated[float, typer.Option(min=0, help="Seconds between two looks.")] = POLL_S,
    log: Annotated[Path | None, typer.Option(help="Write every view of a batch here, for `batchfsm audit`.")] = None,
) -> None:
    """
    Drive a server through what a client can, and say what it keeps; the key is taken from OPENAI_API_KEY.

    Three small batches are made, which may cost money.
    Exit status: 0 consistent, 1 inconsistent, 2 undetermined, or stopped by an error.
    """
    call = caller(base_url, os.environ.get(KEY, "none"))
    with ExitStack() as stack:
        views = None if log is None else stack.enter_context(log.open("w", encoding="utf-8"))
        card = conform(
            call,
            now=time.time,
            sleep=time.sleep,
            server=base_url,
            dialect=dialect,
            endpoint=endpoint,
            model=model,
            timeout_s=timeout,
            poll_s=poll,
            log=None if views is None else lambda view: print(json.dumps(view), file=views),
        )
    if output_format == "json":
        typer.echo(card.to_json())
    else:
        paint(card.to_text())
    raise typer.Exit(STATUS[card.verdict])
