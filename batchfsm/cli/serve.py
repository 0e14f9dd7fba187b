"""`batchfsm serve`: the fake API for other processes, its time at a multiple of the real one."""

from __future__ import annotations

from contextlib import suppress
from threading import Event

import click

from batchfsm.cli.options import DialectChoice, dialect_options
from batchfsm.testing import FakeBatchAPI, Scenario, SpeedClock, VirtualClock
from batchfsm.testing.scenario_parser import HAPPY


@click.command("serve")
@click.option("--scenario", metavar="TEXT", default=HAPPY, help=f"Course of every batch; by default {HAPPY!r}.")
@dialect_options()
@click.option(
    "--speed", type=click.FloatRange(min=0), metavar="X", default=1.0,
    help="Seconds that pass in a real second; 1 by default. 0: time moves only by POST /batchfsm/advance.",
)  # fmt: skip
@click.option("--host", metavar="H", default="127.0.0.1", help="Address to listen on; 127.0.0.1 by default.")
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="P", default=8000,
    help="Port to listen on; 8000 by default. 0: any free one.",
)  # fmt: skip
def command(*, scenario: str, dialect: DialectChoice, speed: float, host: str, port: int) -> None:
    """
    Serve a fake Batch API over HTTP.

    The server runs until it is interrupted. With --speed 0, POST /batchfsm/advance with {"span": "1h"} moves the time.
    """
    clock = SpeedClock(speed) if speed else VirtualClock()
    api = FakeBatchAPI(Scenario(scenario, dialect=dialect.load()), clock=clock)
    with api.serve(host=host, port=port) as server:
        click.echo(f"OPENAI_BASE_URL={server.base_url}")
        with suppress(KeyboardInterrupt):
            Event().wait()
