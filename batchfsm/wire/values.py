"""Values of the wire, read without coercion; and how messages show them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from numbers import Real
from types import MappingProxyType
from typing import Any, Final

from batchfsm.dialects import Dialect
from batchfsm.snapshot import REQUIRED_FIELDS, TIME_FIELDS

TIME_MAX: Final = 10**11
"""The largest number read as Unix seconds (the year 5138); larger ones are milliseconds."""

DEPTH_MAX: Final = 64
"""How deep a value may nest. Deeper ones are refused: a copy of them could exhaust the stack."""

StructureHook = Callable[[Any, Any], Any]
"""A cattrs structure hook: `(value, type) -> value`, raising ValueError."""

_SHOWN_CHARS_MAX: Final = 80
_ATOMS: Final = frozenset({str, int, float, bool, type(None)})
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DIGITS: Final = re.compile(r"\d{1,20}", re.ASCII)


def parse_time(value: object) -> float | None:
    """
    Return the time of an envelope as Unix seconds; it is Unix seconds, RFC 3339 text or an aware `datetime`.

    Raises:
        ValueError: If it is none of them.
        TypeError: If it is a `datetime` without a time zone: no log has one, so it is the caller's mistake.
    """
    if isinstance(value, (int, float)) and type(value) is not bool and 0 < value <= TIME_MAX:
        return float(value)
    if isinstance(value, str):
        return _rfc3339(value).timestamp()
    if isinstance(value, datetime):
        return _seconds(value)
    raise ValueError


def parse_observed_at(value: Any) -> float | None:
    """
    Return an argument `observed_at` as Unix seconds; None if it is None.

    Raises:
        TypeError: If it is no time, or a `datetime` without a time zone.
        ValueError: If it is text in another form, or a number that is no plausible time in seconds.
    """
    if value is None:
        return None
    expected = "observed_at= takes Unix seconds, RFC 3339 text or an aware datetime"
    if type(value) is not bool and isinstance(value, Real):
        number: Any = value
        if 0 < number <= TIME_MAX:
            return float(number)
        hint = "; milliseconds?" if number > TIME_MAX else ""
        msg = f"{expected}; {value!r} is no time in seconds{hint}"
        raise ValueError(msg)
    if not isinstance(value, str | datetime):
        msg = f"{expected}, not {short_repr(value)}"
        raise TypeError(msg)
    try:
        return parse_time(value)
    except ValueError as error:
        msg = f"{expected}; {value!r} is none of them: RFC 3339 is like 2026-11-30T12:00:00Z"
        raise ValueError(msg) from error


def _seconds(time: datetime) -> float:
    if time.utcoffset() is None:
        msg = f"observed_at takes an aware datetime; {time!r} has no time zone: datetime.now(UTC) has one"
        raise TypeError(msg)
    return time.timestamp()


def to_read_only(value: object, depth: int = DEPTH_MAX) -> Any:
    """
    Return a read-only copy: mappings as views, lists as tuples.

    Raises:
        ValueError: If it nests deeper than `DEPTH_MAX`.
    """
    if type(value) in _ATOMS:
        return value
    if not depth:
        msg = f"nested deeper than {DEPTH_MAX} levels"
        raise ValueError(msg)
    if type(value) is dict or isinstance(value, Mapping):
        return MappingProxyType(
            {key: inner if type(inner) in _ATOMS else to_read_only(inner, depth - 1) for key, inner in value.items()}
        )
    return tuple(to_read_only(inner, depth - 1) for inner in value) if isinstance(value, list | tuple) else value


def expected_message(name: str, value: object) -> str:
    """Return the expected form of a field and its value, for a message."""
    null = "" if name in REQUIRED_FIELDS else "null or "
    due = f"{null}text"
    if name in TIME_FIELDS:
        due = f"{null}whole Unix seconds"
        if isinstance(value, int) and value > TIME_MAX:
            return f"expected {due}, got {short_repr(value)} (milliseconds?)"
    elif name == "observed_at":
        due = "Unix seconds or RFC 3339 text"
    elif name == "object":
        due = "'batch'"
    elif name.startswith("request_counts."):
        due = "a whole number"
    elif name == "errors":
        due = "null, or a list of errors"
    elif name in {"request_counts", "usage", "metadata"}:
        due = "null or an object"
    if name == "metadata" and not isinstance(value, Mapping | list | tuple):
        return f"expected {due}, got {'text' if isinstance(value, str) else 'a number'}"  # It is private.
    hint = " (R's jsonlite writes null so)" if isinstance(value, Mapping) and not value else ""
    return f"expected {due}, got {short_repr(value)}{hint}"


def short_repr(value: object) -> str:
    """Return a value as a short piece of text for a message; 80 characters at most."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "an object" if value else "an empty object"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**40:
        return "a huge number"  # Its digits could be thousands, and take Python long to write.
    text = repr(value[:_SHOWN_CHARS_MAX] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN_CHARS_MAX else f"{text[: _SHOWN_CHARS_MAX - 3]}..."


def time_hook(dialect: Dialect) -> StructureHook:
    """Return a reader of one time, as the dialect writes it."""
    nulls = {(type(null), null) for null in dialect.null_time_values}

    def time(value: object, _: object) -> int | None:
        # By type as well: False == 0, and False is no sentinel.
        if value is None or (isinstance(value, int | str) and (type(value), value) in nulls):
            return None
        if isinstance(value, str) and "digits" in dialect.time_formats and _DIGITS.fullmatch(value):
            value = int(value)
        elif isinstance(value, str) and "iso" in dialect.time_formats:
            value = math.floor(_rfc3339(value).timestamp())  # Fractions are cut off.
        elif isinstance(value, datetime) and "datetime" in dialect.time_formats and value.tzinfo is not None:
            value = math.floor(value.timestamp())
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value % 1:
            raise ValueError
        seconds = int(value)
        if "milliseconds" in dialect.time_formats and seconds > TIME_MAX:
            seconds //= 1000
        if not 0 < seconds <= TIME_MAX:
            raise ValueError
        return seconds

    return time


def _rfc3339(text: str) -> datetime:
    if not _RFC3339.fullmatch(text):
        raise ValueError  # `fromisoformat` alone would accept a bare date, a week, or a time without an offset.
    return datetime.fromisoformat(text.upper())
