"""`batchfsm serve`: the fake API for other processes, its time at a multiple of the real one."""

from __future__ import annotations

from contextlib import suppress
from threading import Event
from typing import Annotated

import typer

from batchfsm.testing import FakeBatchAPI, Scenario, SpeedClock, VirtualClock
from batchfsm.testing.scenario_parser import HAPPY


def serve_command(
    *,
    scenario: Annotated[str, typer.Option(help="What becomes of every batch.")] = HAPPY,
    dialect: Annotated[str, typer.Option(help="Whose table the scenario follows.")] = "openai",
    speed: Annotated[
        float, typer.Option(min=0, help="Seconds that pass in one; 0: the time moves only when it is told to.")
    ] = 1,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0: any that is free.")] = 8000,
) -> None:
    """
    Serve a fake Batch API over HTTP until it is interrupted.

    POST /batchfsm/advance with {"span": "1h"} moves a time that does not run by itself.
    """
    clock = SpeedClock(speed) if speed else VirtualClock()
    api = FakeBatchAPI(Scenario(scenario, dialect=dialect), clock=clock)
    with api.serve(host=host, port=port) as server:
        typer.echo(f"OPENAI_BASE_URL={server.base_url}")
        with suppress(KeyboardInterrupt):
            Event().wait()
