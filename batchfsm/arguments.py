"""Checks of arguments that are the same for many public functions: durations and times."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from inspect import isfunction
from math import isfinite, isnan
from typing import TypeVar

from batchfsm.spans import parse_span

ClassT = TypeVar("ClassT", bound=type)


def public_as(name: str) -> Callable[[ClassT], ClassT]:
    """Return a decorator of a base class: Python's own errors about arguments of its methods show a public name."""

    def decorate(base: ClassT) -> ClassT:
        for function in vars(base).values():
            if isfunction(function):
                function.__qualname__ = f"{name}.{function.__name__}"
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
