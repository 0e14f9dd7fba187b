"""Times of observation, as they stand in an envelope: numbers and RFC 3339 text, in compiled code."""

from __future__ import annotations

from typing import Final

import numpy as np

from batchfsm.auditing.columnar.tokens import (
    NO,
    is_null,
)
from batchfsm.auditing.columnar.words import (
    compiled,
)
from batchfsm.wire import TIME_MAX

_POINT, _ZERO, _NINE, _QUOTE = (ord(sign) for sign in '.09"')
_DIGITS_MAX: Final = 15  # A number of so many digits, divided by a power of ten, is rounded once, as `float` does.
_POWERS: Final = np.array([10.0**place for place in range(_DIGITS_MAX + 1)])
_MICROS: Final = 6
_DAYS: Final = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_EXPONENTS: Final = np.array([ord("e"), ord("E")])


@compiled
def clock(buffer, at):  # type: ignore[no-untyped-def]
    """Return where a time ends, and the time; NaN for null; `NO` if it is none, or not one that is read here."""
    if is_null(buffer, at):
        return at + 4, np.nan
    end, seconds = _rfc3339(buffer, at + 1) if buffer[at] == _QUOTE else _number(buffer, at)
    return (end, seconds) if end >= 0 and 0 < seconds <= TIME_MAX else (NO, np.nan)


@compiled
def _number(buffer, at):  # type: ignore[no-untyped-def]
    start, value, places = at, 0, 0
    while _ZERO <= buffer[at] <= _NINE and at - start < _DIGITS_MAX:
        value = value * 10 + (int(buffer[at]) - _ZERO)
        at += 1
    digits = at - start
    if digits == 0 or (digits > 1 and buffer[start] == _ZERO):
        return NO, np.nan
    if buffer[at] == _POINT:
        at += 1
        while _ZERO <= buffer[at] <= _NINE and digits + places < _DIGITS_MAX:
            value = value * 10 + (int(buffer[at]) - _ZERO)
            places += 1
            at += 1
        if places == 0:
            return NO, np.nan
    if _ZERO <= buffer[at] <= _NINE or buffer[at] == _POINT or buffer[at] in _EXPONENTS:
        return NO, np.nan
    return at, value / _POWERS[places]


@compiled
def _pair(buffer, at, most):  # type: ignore[no-untyped-def]
    """Return two digits as a number, if it is no larger than `most`; else a number so low that any sum is."""
    tens, ones = int(buffer[at]) - _ZERO, int(buffer[at + 1]) - _ZERO
    value = 10 * tens + ones
    return value if 0 <= tens <= 9 and 0 <= ones <= 9 and value <= most else -(10**6)


@compiled
def _rfc3339(buffer, at):  # type: ignore[no-untyped-def]
    """Read `2024-03-26T16:45:33.123456Z` behind its quote; an offset may stand for the Z."""
    year = 100 * _pair(buffer, at, 99) + _pair(buffer, at + 2, 99)
    if year < 1970:
        return NO, np.nan
    month, day = _pair(buffer, at + 5, 12), _pair(buffer, at + 8, 31)
    hour, minute, second = _pair(buffer, at + 11, 23), _pair(buffer, at + 14, 59), _pair(buffer, at + 17, 59)
    signs = buffer[at + 4] == 45 and buffer[at + 7] == 45 and buffer[at + 13] == 58 and buffer[at + 16] == 58
    if month < 1 or day < 1 or min(hour, minute, second) < 0 or not signs:
        return NO, np.nan
    if buffer[at + 10] != 84 and buffer[at + 10] != 116 and buffer[at + 10] != 32:  # T, t, space.
        return NO, np.nan
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > _DAYS[month - 1] + (1 if is_leap and month == 2 else 0):
        return NO, np.nan
    past = year - 1
    days = 365 * year + past // 4 - past // 100 + past // 400 - 719527
    for before in range(month - 1):
        days += _DAYS[before]
    days += day - 1 + (1 if is_leap and month > 2 else 0)
    at, micros = _fraction(buffer, at + 19)
    at, offset_s = _offset(buffer, at)
    if at < 0 or buffer[at] != _QUOTE:
        return NO, np.nan
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset_s
    return at + 1, (seconds * 10**_MICROS + micros) / 10**_MICROS


@compiled
def _fraction(buffer, at):  # type: ignore[no-untyped-def]
    """Read up to six digits behind a point; more are left standing, and so refused."""
    micros, places = 0, 0
    if buffer[at] == _POINT:
        at += 1
        while _ZERO <= buffer[at] <= _NINE and places < _MICROS:
            micros = micros * 10 + (int(buffer[at]) - _ZERO)
            places += 1
            at += 1
        if places == 0:
            at -= 1  # A point alone: it is refused as no offset.
    while places < _MICROS:
        micros *= 10
        places += 1
    return at, micros


@compiled
def _offset(buffer, at):  # type: ignore[no-untyped-def]
    if buffer[at] == 90 or buffer[at] == 122:  # Z, z.
        return at + 1, 0
    if (buffer[at] != 43 and buffer[at] != 45) or buffer[at + 3] != 58:  # +, -, :.
        return NO, 0
    hours, minutes = _pair(buffer, at + 1, 23), _pair(buffer, at + 4, 59)
    if hours < 0 or minutes < 0:
        return NO, 0
    offset_s = hours * 3600 + minutes * 60
    return at + 6, -offset_s if buffer[at] == 45 else offset_s
