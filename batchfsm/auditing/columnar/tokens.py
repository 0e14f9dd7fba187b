"""JSON, token by token, in compiled code: strict where Python's reader is, and stricter where in doubt."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from batchfsm.auditing.columnar.words import WORD, compiled, equal, inlined, word

NO: Final = -1
"""Instead of a place: what stands here is not plain."""

ASCII: Final = 0
HIGH: Final = 1
"""A text of bytes beyond ASCII; it is valid UTF-8, or `NO`."""
ESCAPED: Final = 2
"""A text with escapes: its bytes are not what it says."""

_DIGITS_MAX: Final = 17  # What surely fits into 64 bits.
_NUMBER_BYTES_MAX: Final = 100  # Python refuses integers of more than 4,300 digits.
_DEPTH_MAX: Final = 16
NAMES_MAX: Final = 64
"""How many keys all open objects together may have, so that one that stands twice is noticed."""

QUOTE, BACKSLASH, COMMA, COLON = (ord(sign) for sign in '"\\,:')
OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, LINE_END = (ord(sign) for sign in "{}[]\n")
_MINUS, _PLUS, _POINT, _ZERO, _NINE = (ord(sign) for sign in "-+.09")
_N, _T, _F, _U, _E = (ord(sign) for sign in "ntfue")
_BIG_E: Final = ord("E")

_ORDINARY, _QUOTED, _ESCAPE, _CONTROL, _BEYOND = range(5)
_CLASSES: Final = np.array(
    [_CONTROL if byte < 32 else _BEYOND if byte > 127 else _ORDINARY for byte in range(256)], np.uint8
)
_CLASSES[QUOTE], _CLASSES[BACKSLASH] = _QUOTED, _ESCAPE
_LOW_BITS, _HIGH_BITS, _TO_SPACE, _QUOTES, _BACKSLASHES = (
    np.uint64(int.from_bytes([byte] * WORD)) for byte in (0x7F, 0x80, 0x80 - 32, QUOTE, BACKSLASH)
)
_SIMPLE: Final = np.array([chr(byte) in '"\\/bfnrt' for byte in range(256)])
_HEX: Final = np.array([int(chr(byte), 16) if chr(byte) in "0123456789abcdefABCDEF" else -1 for byte in range(256)])


@inlined
def blank(buffer, at):  # type: ignore[no-untyped-def]
    """Pass spaces and tabs, but no line end."""
    while buffer[at] == 32 or buffer[at] == 9 or buffer[at] == 13:
        at += 1
    return at


@inlined
def _is_ordinary(eight):  # type: ignore[no-untyped-def]
    """Tell whether eight bytes are all ASCII, and neither control characters, quotes nor backslashes."""
    low = eight & _LOW_BITS  # Without their highest bits no sum carries over into the next byte.
    fits = (low + _TO_SPACE) & ((low ^ _QUOTES) + _LOW_BITS) & ((low ^ _BACKSLASHES) + _LOW_BITS) & ~eight
    return fits & _HIGH_BITS == _HIGH_BITS


@inlined
def text_end(buffer, at, utf8):  # type: ignore[no-untyped-def]
    """Return where the text that begins behind a quote ends, and of what it is; `NO` if it is no sound text."""
    kind = ASCII
    while True:
        while _is_ordinary(word(buffer, at)):
            at += WORD
        found = _CLASSES[buffer[at]]
        if found == _ORDINARY:
            at += 1
        elif found == _QUOTED:
            return at, kind
        elif found == _BEYOND and utf8:
            kind |= HIGH
            at += 1
        elif found == _ESCAPE:
            kind |= ESCAPED
            at = _escape_end(buffer, at)
            if at < 0:
                return NO, kind
        else:
            return NO, kind


@compiled
def _escape_end(buffer, at):  # type: ignore[no-untyped-def]
    """Pass an escape; half a pair of surrogates, and so each, is in doubt."""
    if _SIMPLE[buffer[at + 1]]:
        return at + 2
    if buffer[at + 1] != _U:
        return NO
    value = 0
    for place in range(at + 2, at + 6):
        digit = _HEX[buffer[place]]
        if digit < 0:
            return NO
        value = value * 16 + digit
    return NO if 0xD800 <= value <= 0xDFFF else at + 6


@inlined
def is_null(buffer, at):  # type: ignore[no-untyped-def]
    """Tell whether null stands here."""
    return buffer[at] == _N and buffer[at + 1] == _U and buffer[at + 2] == 108 and buffer[at + 3] == 108


@inlined
def whole(buffer, at):  # type: ignore[no-untyped-def]
    """Return where a whole number ends, and the number; `NO` if it is none, or too long."""
    negative = buffer[at] == _MINUS
    start = at = at + 1 if negative else at
    value = 0
    while _ZERO <= buffer[at] <= _NINE and at - start <= _DIGITS_MAX:
        value = value * 10 + (int(buffer[at]) - _ZERO)
        at += 1
    digits = at - start
    if digits == 0 or digits > _DIGITS_MAX or (digits > 1 and buffer[start] == _ZERO):
        return NO, 0
    if buffer[at] == _POINT or buffer[at] == _E or buffer[at] == _BIG_E:
        return NO, 0
    return at, -value if negative else value


@compiled
def _digits_end(buffer, at):  # type: ignore[no-untyped-def]
    start = at
    while _ZERO <= buffer[at] <= _NINE:
        at += 1
    return NO if at == start or at - start > _NUMBER_BYTES_MAX else at


@compiled
def number_end(buffer, at):  # type: ignore[no-untyped-def]
    """Return where a number of any form ends; `NO` if it is none."""
    if buffer[at] == _MINUS:
        at += 1
    leads_zero = buffer[at] == _ZERO
    start = at
    at = _digits_end(buffer, at)
    if at < 0 or (leads_zero and at - start > 1):
        return NO
    if buffer[at] == _POINT:
        at = _digits_end(buffer, at + 1)
        if at < 0:
            return NO
    if buffer[at] == _E or buffer[at] == _BIG_E:
        at += 1
        if buffer[at] == _MINUS or buffer[at] == _PLUS:
            at += 1
        at = _digits_end(buffer, at)
    return at


@compiled
def atom_end(buffer, at, utf8):  # type: ignore[no-untyped-def]
    """Return where a text, number, true, false or null ends; `NO` if none of them stands here."""
    if buffer[at] == QUOTE:
        end, _ = text_end(buffer, at + 1, utf8)
        return NO if end < 0 else end + 1
    if is_null(buffer, at):
        return at + 4
    if buffer[at] == _T and buffer[at + 1] == 114 and buffer[at + 2] == _U and buffer[at + 3] == _E:
        return at + 4
    if (
        buffer[at] == _F
        and buffer[at + 1] == 97
        and buffer[at + 2] == 108
        and buffer[at + 3] == 115
        and buffer[at + 4] == _E
    ):
        return at + 5
    return number_end(buffer, at)


@compiled
def key_end(buffer, at, names, base, top):  # type: ignore[no-untyped-def]
    """
    Return where a key ends that begins with the quote at `at`, and take it into `names`.

    `NO` if it is no key, is escaped, or stands among `names[base:top]` already.
    """
    if buffer[at] != QUOTE or top >= NAMES_MAX:
        return NO
    end, kind = text_end(buffer, at + 1, True)
    if end < 0 or kind != ASCII:
        return NO
    for place in range(base, top):
        start, behind = names[place, 0], names[place, 1]
        if behind - start == end - at - 1 and equal(buffer, start, behind, buffer, at + 1):
            return NO
    names[top, 0], names[top, 1] = at + 1, end
    return end


@compiled
def value_end(buffer, at, utf8, names, top):  # type: ignore[no-untyped-def]
    """Return where any value ends; `NO` if it is unsound, nests deep, or has a key that stands twice."""
    bases = names[NAMES_MAX:]  # Where the keys of each open object begin; -1 for a list.
    depth = 0
    while True:
        if buffer[at] == OPEN or buffer[at] == OPEN_LIST:
            if depth == _DEPTH_MAX:
                return NO
            is_object = buffer[at] == OPEN
            bases[depth, 0] = top if is_object else -1
            depth += 1
            at = blank(buffer, at + 1)
            if buffer[at] != (CLOSE if is_object else CLOSE_LIST):
                if is_object:
                    at = _key(buffer, at, names, bases[depth - 1, 0], top)
                    top += 1
                    if at < 0:
                        return NO
                continue
        else:
            at = atom_end(buffer, at, utf8)
            if at < 0:
                return NO
            at = blank(buffer, at)
        while depth > 0 and buffer[at] != COMMA:
            base = bases[depth - 1, 0]
            if buffer[at] != (CLOSE_LIST if base < 0 else CLOSE):
                return NO
            top = top if base < 0 else base
            depth -= 1
            at += 1
            if depth > 0:
                at = blank(buffer, at)
        if depth == 0:
            return at
        at = blank(buffer, at + 1)
        if bases[depth - 1, 0] >= 0:
            at = _key(buffer, at, names, bases[depth - 1, 0], top)
            top += 1
            if at < 0:
                return NO


@compiled
def _key(buffer, at, names, base, top):  # type: ignore[no-untyped-def]
    """Pass a key and its colon; return where its value begins."""
    at = key_end(buffer, at, names, base, top)
    if at < 0:
        return NO
    at = blank(buffer, at + 1)
    return blank(buffer, at + 1) if buffer[at] == COLON else NO


def scratch() -> Any:
    """Return the room that reading a value takes."""
    return np.empty((NAMES_MAX + _DEPTH_MAX, 2), np.int64)
