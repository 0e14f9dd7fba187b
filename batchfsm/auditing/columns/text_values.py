"""
Values out of text: hashes, words, completion windows, times inside ids, RFC 3339 times. Compiled.

Each function reads `text[start:end]`, where `text` is a buffer of bytes, and nothing outside it.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping
from math import nan
from typing import Any

import cython

from batchfsm.auditing.columns import layout
from batchfsm.wire import TIME_MAX

if cython.compiled:
    from cython.cimports.libc.string import memchr, memcpy

Bytes = cython.typedef(cython.const[cython.uchar][::1])

# Literals of more than 31 bits would be Python objects.
_NULL = cython.declare(cython.longlong, layout.NULL)
_NAN = cython.declare(cython.double, nan)
_TIME_MAX = cython.declare(cython.longlong, TIME_MAX)
_ALL_BITS = cython.declare(cython.ulonglong, 2**64 - 1)
_FACTOR = cython.declare(cython.ulonglong, 0xBF58476D1CE4E5B9)  # Odd, its bits spread evenly.

_IS_LITTLE_ENDIAN = cython.declare(cython.bint, sys.byteorder == "little")
_WINDOW_DIGITS_MAX = cython.declare(cython.int, 9)
_ID_BYTES = cython.declare(cython.int, 38)  # `batch_` and 32 hexadecimal digits,
_ID_TIME_BYTES = cython.declare(cython.int, 8)  # the first 8 of which are the time.
_DIGITS_MAX = cython.declare(cython.int, 15)  # A number of so many digits is exact in a float.
_MICROS = cython.declare(cython.int, 6)
_YEAR_MAX = cython.declare(cython.int, 2200)  # Microseconds since 1970 are exact in a float until 2255.


if not cython.compiled:

    def fold_product(one: int, other: int) -> int:
        """Return the two halves of a product of 128 bits, combined by exclusive or; compiled: text_values.pxd."""
        product: int = one * other
        return int(product >> 64 ^ product & _ALL_BITS)


@cython.cfunc
@cython.nogil
@cython.exceptval(-9, check=False)
def hash_text(text: Bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t, seed: cython.ulonglong) -> cython.longlong:
    """
    Return the hash of some bytes under a seed; 63 bits, never negative, so never NULL.

    The bytes are followed by a 1, which tells texts of different lengths apart. Each word of eight bytes is combined
    with the state and multiplied by a factor that depends on the seed, and both halves of the product are kept. If the
    factor were known, a change of one word could be undone by a change of the next, whatever the seed.
    """
    factor = (seed ^ _FACTOR) * _FACTOR & _ALL_BITS | 1
    state = seed
    word: cython.ulonglong = 0
    shift: cython.int = 0
    if cython.compiled:
        # Eight bytes at a time; the result is that of the loop below.
        if _IS_LITTLE_ENDIAN and end - start >= 8 and start >= 0 and end <= len(text):
            while end - start >= 8:
                memcpy(cython.address(word), cython.address(text[start]), 8)
                state = fold_product(state ^ word, factor)
                start += 8
            shift = 8 * cython.cast(cython.int, end - start)
            memcpy(cython.address(word), cython.address(text[end - 8]), 8)
            word = (word >> (63 - shift)) >> 1
            start = end
    for at in range(start, end):
        word |= cython.cast(cython.ulonglong, text[at]) << shift
        shift += 8
        if shift == 64:
            state = fold_product(state ^ word, factor)
            word = 0
            shift = 0
    word |= cython.cast(cython.ulonglong, 1) << shift
    return cython.cast(cython.longlong, fold_product(state ^ word, factor) >> 1)


@cython.cfunc
@cython.nogil
@cython.exceptval(-9, check=False)
def count_lines(text: Bytes, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return how many line ends `text[:end]` holds; `bytes.count` takes five times as long."""
    count: cython.Py_ssize_t = 0
    at: cython.Py_ssize_t = 0
    if cython.compiled:
        begin = cython.cast(cython.p_uchar, cython.address(text[0]))
        while at < end <= len(text):
            found = cython.cast(cython.p_uchar, memchr(begin + at, 10, end - at))
            if found == cython.NULL:
                break
            at = found - begin + 1
            count += 1
        return count
    return bytes(text[:end]).count(b"\n")


@cython.cfunc
@cython.nogil
@cython.exceptval(-9, check=False)
def window_seconds(text: Bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
    """Return `24h`, `7d`, `90m` or `30s` in seconds; NULL for any other text."""
    number: cython.longlong = 0
    if not 2 <= end - start <= _WINDOW_DIGITS_MAX + 1:
        return _NULL
    for at in range(start, end - 1):
        digit = text[at] - 48
        if not 0 <= digit <= 9:
            return _NULL
        number = number * 10 + digit
    digit = text[end - 1]
    if digit == 115:  # s
        return number
    if digit == 109:  # m
        return number * 60
    if digit == 104:  # h
        return number * 3600
    if digit == 100:  # d
        return number * 86_400
    return _NULL


@cython.cfunc
@cython.nogil
@cython.exceptval(-9, check=False)
def id_seconds(text: Bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
    """Return the Unix seconds that a `batch_` id of 32 hexadecimal digits begins with; NULL for any other id."""
    time: cython.longlong = 0
    if end - start != _ID_BYTES:
        return _NULL
    if not (text[start] == 98 and text[start + 1] == 97 and text[start + 2] == 116):  # bat
        return _NULL
    if not (text[start + 3] == 99 and text[start + 4] == 104 and text[start + 5] == 95):  # ch_
        return _NULL
    for at in range(start + 6, end):
        digit = text[at]
        if 48 <= digit <= 57:
            digit -= 48
        elif 97 <= digit <= 102:
            digit -= 87
        else:
            return _NULL
        if at < start + 6 + _ID_TIME_BYTES:
            time = time * 16 + digit
    return time


@cython.cfunc
@cython.nogil
@cython.exceptval(-9, check=False)
def decimal(text: Bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.double:
    """Return a JSON number of at most 15 digits, without exponent, as Python's `float` reads it; NaN for others."""
    value: cython.longlong = 0
    digits: cython.int = 0
    power: cython.double = 1
    is_fraction: cython.bint = False
    for at in range(start, end):
        if text[at] == 46 and not is_fraction:
            is_fraction = True
            continue
        if not 48 <= text[at] <= 57 or digits == _DIGITS_MAX:
            return _NAN
        value = value * 10 + (text[at] - 48)
        digits += 1
        if is_fraction:
            power *= 10
    # A power of ten up to 10**15 is exact, so the quotient is rounded once, as `float` rounds it.
    return value / power


@cython.cfunc
@cython.nogil
@cython.exceptval(-9, check=False)
def _two_digits(text: Bytes, at: cython.Py_ssize_t, most: cython.int) -> cython.int:
    """Return two digits as a number up to `most`; else -100,000, so low that every sum with it is negative."""
    tens = text[at] - 48
    ones = text[at + 1] - 48
    if 0 <= tens <= 9 and 0 <= ones <= 9 and 10 * tens + ones <= most:
        return 10 * tens + ones
    return -100_000


@cython.cfunc
@cython.nogil
@cython.exceptval(-9, check=False)
def rfc3339(text: Bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.double:
    """Return `2024-03-26T16:45:33.123456Z` (or with an offset) as Unix seconds; NaN for any other text."""
    micros: cython.longlong = 0
    places: cython.int = 0
    offset_s: cython.int = 0
    at = start + 19
    if not 20 <= end - start <= 32:
        return _NAN
    year = 100 * _two_digits(text, start, 99) + _two_digits(text, start + 2, 99)
    month, day = _two_digits(text, start + 5, 12), _two_digits(text, start + 8, 31)
    if not 1970 <= year <= _YEAR_MAX or month < 1 or day < 1 or day > _days_in_month(year, month):
        return _NAN
    if not (text[start + 4] == 45 and text[start + 7] == 45 and text[start + 13] == 58 and text[start + 16] == 58):
        return _NAN
    if not (text[start + 10] == 84 or text[start + 10] == 116 or text[start + 10] == 32):  # T, t, space
        return _NAN
    second = _two_digits(text, start + 11, 23) * 3600 + _two_digits(text, start + 14, 59) * 60
    second += _two_digits(text, start + 17, 59)
    if second < 0:
        return _NAN
    if text[at] == 46:
        at += 1
        while at < end and 48 <= text[at] <= 57 and places < _MICROS:
            micros = micros * 10 + (text[at] - 48)
            places += 1
            at += 1
        if places == 0:
            return _NAN
        while places < _MICROS:
            micros *= 10
            places += 1
    if at + 1 == end and (text[at] == 90 or text[at] == 122):  # Z, z
        offset_s = 0
    elif at + 6 == end and (text[at] == 43 or text[at] == 45) and text[at + 3] == 58:
        offset_s = _two_digits(text, at + 1, 23) * 3600 + _two_digits(text, at + 4, 59) * 60
        if offset_s < 0:
            return _NAN
        if text[at] == 45:
            offset_s = -offset_s
    else:
        return _NAN
    second += _days_before(year, month, day) * 86_400 - offset_s
    # Nine seconds before 1970 would be the value that means an exception.
    return (second * 1_000_000 + micros) / 1e6 if second >= 0 else _NAN


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(-9, check=False)
def _is_leap(year: cython.int) -> cython.bint:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


@cython.cfunc
@cython.nogil
@cython.exceptval(-9, check=False)
def _days_in_month(year: cython.int, month: cython.int) -> cython.int:
    if month == 2:
        return 29 if _is_leap(year) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


@cython.cfunc
@cython.nogil
@cython.exceptval(-9, check=False)
def _days_before(year: cython.int, month: cython.int, day: cython.int) -> cython.longlong:
    """Return the days from 1970-01-01 to a date."""
    past = year - 1
    days = 365 * (past + 1) + past // 4 - past // 100 + past // 400 - 719_527 + day - 1
    for before in range(1, month):
        days += _days_in_month(year, before)
    return days


@cython.cfunc
@cython.nogil
@cython.exceptval(-9, check=False)
def observation_time(
    text: Bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t, is_text: cython.bint
) -> cython.double:
    """Return a time of observation, text or number, as Unix seconds; NaN if it is none that is read here."""
    seconds = rfc3339(text, start, end) if is_text else decimal(text, start, end)
    return seconds if 0 < seconds <= _TIME_MAX else _NAN


@cython.final
@cython.cclass
class WordTable:
    """Codes of known words, found by their hash and compared byte by byte."""

    letters: Bytes
    spans: cython.longlong[::1]  # Of each slot `start, end, code, hash`; start -1 if the slot is free.
    mask: cython.longlong
    seed: cython.ulonglong  # Of the hashes.

    def __init__(self, codes: Mapping[str, int], seed: int) -> None:
        letters = bytearray(b"\0")
        size = 1 << (2 * len(codes)).bit_length()
        spans = array("q", [-1, 0, 0, 0] * size)
        for word, code in codes.items():
            start = len(letters)
            letters += word.encode()
            hashed = hash_bytes(word.encode(), seed)
            slot = hashed & (size - 1)
            while spans[4 * slot] >= 0:
                slot = (slot + 1) & (size - 1)
            spans[4 * slot : 4 * slot + 4] = array("q", [start, len(letters), code, hashed])
        self.letters, self.spans, self.mask, self.seed = letters, spans, size - 1, seed

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-9, check=False)
    def find(
        self, hashed: cython.longlong, text: Bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.int:
        """Return the code of `text[start:end]`, whose hash is given; -1 if the table does not have the word."""
        slot = hashed & self.mask
        while self.spans[4 * slot] >= 0:
            begin = self.spans[4 * slot]
            if self.spans[4 * slot + 3] == hashed and self.spans[4 * slot + 1] - begin == end - start:
                at = start
                while at < end and text[at] == self.letters[begin + at - start]:
                    at += 1
                if at == end:
                    return self.spans[4 * slot + 2]
            slot = (slot + 1) & self.mask
        return -1


def hash_bytes(text: Any, seed: int) -> int:
    """Return the hash of a whole buffer of bytes."""
    view: Bytes = text
    return int(hash_text(view, 0, len(view), seed))


def id_hashes(batch_id: str, seed: int) -> tuple[int, int]:
    """Return the hashes of an id: the columns `id_low` and `id_high`."""
    text = batch_id.encode("utf-8", "surrogatepass")
    return hash_bytes(text, layout.PUBLIC_SEED), hash_bytes(text, seed)
