"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import click
from click.shell_completion import CompletionItem

from batchfsm.cli.failures import StopError
from batchfsm.dialects import AUTO, DIALECTS, Dialect, get_dialect
from batchfsm.errors import BatchfsmError
from batchfsm.lifecycle import OPENAI, Lifecycle
from batchfsm.logs import INPUT_FORMATS
from batchfsm.rules import RULES
from batchfsm.spans import parse_span

_Function = TypeVar("_Function", bound=Callable[..., Any])


class SpanType(click.ParamType):  # type: ignore[type-arg]  # Generic since click 8.5 only.
    """A span of time: `90`, `5m`, `1h30m`, `30d`."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        try:
            return parse_span(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


SPAN: Final = SpanType()


@attrs.frozen
class DialectChoice:
    """The dialect that `--dialect` and `--alias` name."""

    name: str | None
    """A built-in dialect, or `FILE.py:NAME`; None without `--dialect`."""

    aliases: tuple[str, ...] = ()
    """Further words for a status, as `WORD=STATUS`."""

    def load(self, default: str = "openai") -> Dialect:
        """
        Return the dialect, with its further aliases.

        Raises:
            UnknownNameError: If no dialect has that name.
            DefinitionError: If an alias contradicts the dialect.
            StopError: If the file has no such dialect, no dialect in it is named, the name is `auto`, or an alias is
                not written as `WORD=STATUS`.
        """
        name = self.name or default
        if name == AUTO:
            raise StopError("--dialect auto is for the logs that audit and timeline read: name one dialect")
        if name.endswith(".py"):
            raise StopError(f"--dialect {name} names a file: add the name of the dialect in it, {name}:NAME")
        path, colon, variable = name.rpartition(":")
        dialect = _dialect_of_file(path, variable) if colon and path.endswith(".py") else get_dialect(name)
        words = dict(map(_alias, self.aliases))
        return attrs.evolve(dialect, aliases={**dialect.aliases, **words}) if words else dialect

    def load_or_auto(self) -> Dialect | str:
        """
        Return the dialect as `load` does, or `auto` for a log whose dialects are recognised.

        Raises:
            StopError: If there are further aliases for `auto`; else as `load`.
        """
        if self.name != AUTO:
            return self.load()
        if self.aliases:
            raise StopError("--alias adds a word to one dialect: name it instead of auto")
        return AUTO


def dialect_options(
    default_help: str = "openai by default", *, recognises: bool = False
) -> Callable[[_Function], _Function]:
    """
    Add `--dialect` and `--alias` to a command, which gets both as one argument, a `DialectChoice`.

    Args:
        default_help: The dialect without `--dialect`, for the help.
        recognises: True if the command takes `auto`, too.
    """
    names = [*DIALECTS, AUTO] if recognises else [*DIALECTS]
    auto_help = f"; {AUTO} recognises the provider of each object" if recognises else ""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    def decorated(function: _Function) -> _Function:
        @click.option(
            "--dialect", metavar="D", shell_complete=complete,
            help=f"Server family: {', '.join(DIALECTS)}, or your own as FILE.py:NAME; {default_help}{auto_help}.",
        )  # fmt: skip
        @click.option(
            "--alias", "aliases", metavar="WORD=STATUS", multiple=True,
            help="Read a server's word as a known status, such as Done=completed; may be repeated.",
        )  # fmt: skip
        @wraps(function)
        def with_dialect(*, dialect: str | None, aliases: tuple[str, ...], **options: Any) -> Any:
            return function(dialect=DialectChoice(dialect, aliases), **options)

        return with_dialect  # type: ignore[return-value]  # It takes the same options.

    return decorated


def _complete_input_format(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in INPUT_FORMATS if name.startswith(incomplete)]


input_format_option: Final = click.option(
    "--input-format", metavar="F", default="auto", shell_complete=_complete_input_format,
    help=f"Form of the logs: {', '.join(INPUT_FORMATS)}; auto detects it.",
)  # fmt: skip
"""Adds `--input-format` to a command that reads logs."""


def complete_rules(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the lists of rules that begin so: what stands before the last comma is kept."""
    before, comma, word = incomplete.rpartition(",")
    names = [*RULES, *(rule.name for rule in RULES.values())]
    return [f"{before}{comma}{name}" for name in names if name.startswith(word)]


def complete_file(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Leave the names of files to the shell."""
    return [CompletionItem(incomplete, type="file")]


def complete_status(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the statuses of OpenAI's lifecycle that begin so."""
    return [status for status in OPENAI.statuses if status.startswith(incomplete)]


def names_in_file(path: str) -> dict[str, Any]:
    """Return the names that a Python file defines; a file that cannot be run is one line, like every other error."""
    Path(path).open("rb").close()  # Its OSError has the path as it was given.
    try:
        return runpy.run_path(path)
    except BatchfsmError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise StopError(f"{path} cannot be run: {type(error).__name__}: {error}") from error


def _dialect_of_file(path: str, name: str) -> Dialect:
    defined = names_in_file(path)
    found = defined.get(name)
    if isinstance(found, Dialect | Lifecycle):
        return get_dialect(found)
    names = [each for each, value in defined.items() if isinstance(value, Dialect | Lifecycle)]
    raise StopError(f"{path} defines no dialect {name!r}; it defines {_listed(names)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"


def _alias(option: str) -> tuple[str, str]:
    word, equals, status = option.rpartition("=")
    if not equals or not word:
        raise StopError(f"--alias takes WORD=STATUS, such as Done=completed; not {option!r}")
    return word, status
