"""`batchfsm diagram`: the lifecycle of a dialect as a picture or text."""

from __future__ import annotations

from pathlib import Path

import click

from batchfsm.cli.options import DialectChoice, dialect_options
from batchfsm.cli.output import check_outputs, write
from batchfsm.diagram import FORMATS


@click.command("diagram")
@dialect_options()
@click.option(
    "--format",
    "output_format",
    type=click.Choice(list(FORMATS)),
    default="mermaid",
    help="Form of the picture; mermaid by default.",
)
@click.option("--output", type=click.Path(path_type=Path), metavar="F", help="Write to a file.")
def command(*, dialect: DialectChoice, output_format: str, output: Path | None) -> None:
    """
    Draw the lifecycle of a dialect.

    Tolerated steps are dashed: no OpenAI batch takes them, but compatible servers do.
    """
    check_outputs((), {"--output": output})
    write(FORMATS[output_format](dialect.load().lifecycle), output)
