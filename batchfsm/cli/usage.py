"""Groups and types of arguments whose errors are one line, in the words of the other errors."""

from __future__ import annotations

from typing import Any

import click

from batchfsm.errors import UnknownNameError


class NamedGroup(click.Group):
    """A group that names the nearest command if there is none of the name given."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command and its arguments; UnknownNameError if there is none, unless a shell completes it."""
        names, name = self.list_commands(ctx), args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and name not in names:
            raise UnknownNameError("command", name, names)
        return super().resolve_command(ctx, args)


class NumberType(click.ParamType):  # type: ignore[type-arg]  # Generic since click 8.5 only.
    """A number in a range: whole if the range is one of whole numbers."""

    name = "number"

    def __init__(self, low: float, high: float | None = None) -> None:
        self._low, self._high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        try:
            number = type(self._low)(value)
        except ValueError:
            number = None
        if number is None or not number >= self._low or (self._high is not None and number > self._high):
            kind = "a whole number" if isinstance(self._low, int) else "a number"
            span = f"of at least {self._low:g}" if self._high is None else f"from {self._low:g} to {self._high:g}"
            self.fail(f"{value!r} is not {kind} {span}", param, ctx)
        return number


def usage_message(error: click.UsageError) -> str:
    """Return a usage error as one line: the option or argument, the problem, and where to read more."""
    if isinstance(error, click.NoSuchOption):
        near = f"; the nearest is {error.possibilities[0]}" if error.possibilities else ""
        text = f"no option is called {error.option_name}{near}"
    elif isinstance(error, click.BadParameter) and error.param is not None:
        name = error.param.get_error_hint(error.ctx).replace("'", "")
        text = f"{name} is missing" if isinstance(error, click.MissingParameter) else f"{name}: {error.message}"
    else:
        sentence = error.format_message()
        text = sentence[:1].lower() + sentence[1:]
    where = "" if error.ctx is None else f" (see {error.ctx.command_path} --help)"
    return text.rstrip(".") + where
