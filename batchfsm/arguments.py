"""Checks of arguments that are the same for many public functions: durations, and names of keywords."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from inspect import Parameter, isfunction, signature, unwrap
from math import isfinite, isnan
from typing import Any, TypeVar, cast

from batchfsm.errors import nearest_name
from batchfsm.spans import parse_span

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
ClassT = TypeVar("ClassT", bound=type)

_KEYWORDS = (Parameter.KEYWORD_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def names_keywords(function: FunctionT) -> FunctionT:
    """Return a function that refuses an unknown keyword with a TypeError that names the nearest one."""
    known = [name for name, each in signature(function).parameters.items() if each.kind in _KEYWORDS]

    @wraps(function)
    def checked(*args: Any, **options: Any) -> Any:
        for name in options:
            if name not in known:
                nearest = nearest_name(name, known)
                hint = "" if nearest is None else f"; the nearest is {nearest}"
                raise TypeError(f"{checked.__qualname__}() has no argument {name!r}{hint}")
        return function(*args, **options)

    return cast("FunctionT", checked)


def public_as(name: str) -> Callable[[ClassT], ClassT]:
    """Return a decorator of a base class: Python's own errors about arguments of its methods show a public name."""

    def decorate(base: ClassT) -> ClassT:
        for function in vars(base).values():
            if isfunction(function):
                for each in (function, unwrap(function)):
                    each.__qualname__ = f"{name}.{each.__name__}"
        return base

    return decorate


def check_seconds(name: str, value: object, *, is_positive: bool = False) -> None:
    """
    Raise ValueError unless an argument is a number of seconds.

    Args:
        name: The name of the argument, for the message.
        value: The argument; a bool is no number.
        is_positive: Whether it must be above zero and finite.
    """
    expected = "a positive number" if is_positive else "0 or more seconds"
    if not isinstance(value, int | float) or isinstance(value, bool) or isnan(value):
        raise ValueError(f"{name} is {expected}, not {value!r}{_in_seconds(value)}")
    if not (value > 0 and isfinite(value) if is_positive else value >= 0):
        raise ValueError(f"{name} is {expected}, not {value!r}")


def check_time(name: str, value: object) -> None:
    """Raise TypeError unless an argument is a number, such as Unix seconds; ValueError unless it is finite."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} is a time in Unix seconds, not {value!r}")
    if not isfinite(value):
        raise ValueError(f"{name} is a time in Unix seconds, not {value}")


def _in_seconds(value: object) -> str:
    """Return how to write a duration of another form, as the end of a sentence; empty if it is none."""
    if isinstance(value, timedelta):
        return f": write {value.total_seconds():g}"
    try:
        return f": write {parse_span(value)}" if isinstance(value, str) else ""
    except ValueError:
        return ""
