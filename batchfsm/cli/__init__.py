"""
The command line. Each command is a module of this package, loaded when it is called.

A new command is a module `batchfsm/cli/NAME.py` with a click command called `command`, and a row in `COMMANDS`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

import click

from batchfsm.cli.failures import handle_errors
from batchfsm.cli.usage import NamedGroup

COMMANDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "audit": "Check every snapshot of a log, alone and against earlier ones.",
        "results": "Check that each request of a batch was answered exactly once.",
        "rules": "Explain the rules: meaning, evidence, example, remedy.",
        "timeline": "Draw the history of each batch in a log.",
        "diagram": "Draw the lifecycle of a dialect.",
        "watch": "Watch batches until all have ended.",
        "journal": "List a journal's batches and hooks, and retry dead hooks.",
        "sql": "Print the rules as one SQL query, for a log in a warehouse.",
        "conform": "Test a server that claims to be compatible.",
        "serve": "Serve a fake Batch API over HTTP.",
        "demo": "Observe a shipped log with hooks, then audit it.",
    }
)
"""The commands in the order of the help, each with its line there."""


class CommandGroup(NamedGroup):
    """Loads the module of a command when the command is called: the help of all needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click passes it.
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command; None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"batchfsm.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the options before the command."""
        with handle_errors():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error that stops it is one line on standard error and exit status 2."""
        with handle_errors():
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()  # A closed pipe is an error here; when Python exits, it would be a traceback.


@click.group(
    "batchfsm",
    cls=CommandGroup,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog='Shell completion: eval "$(_BATCHFSM_COMPLETE=bash_source batchfsm)"; for other shells zsh_source or '
    "fish_source.",
)
@click.version_option(package_name="batchfsm", prog_name="batchfsm", message="%(prog)s %(version)s")
def app() -> None:
    """Batch jobs of OpenAI and compatible servers: watch them, audit their logs, test against a fake API."""
