"""What stands inside a batch's counts, errors and metadata, read if it is what the wire allows; compiled."""

from __future__ import annotations

from typing import Any, Final

from batchfsm.auditing.columnar.columns import (
    COMPLETED,
    COUNTED,
    ERRORS,
    FAILED,
    FLAGS,
    LIMIT,
    TOTAL,
)
from batchfsm.auditing.columnar.digest import (
    digest,
)
from batchfsm.auditing.columnar.tokens import (
    ASCII,
    CLOSE,
    CLOSE_LIST,
    COLON,
    COMMA,
    NO,
    OPEN,
    OPEN_LIST,
    QUOTE,
    atom_end,
    blank,
    is_null,
    key_end,
    text_end,
    value_end,
    whole,
)
from batchfsm.auditing.columnar.words import (
    code_of,
    compiled,
    words,
)
from batchfsm.rules import RULES

_NUMBERS: Final = words({"total": TOTAL, "completed": COMPLETED, "failed": FAILED})
_PARTS: Final = words({"code": 0, "message": 1, "param": 2, "line": 3})
_PAGE: Final = words({"object": 0, "data": 1})
_LIMITS: Any = RULES["S006"].kind
_PAIRS_MAX, _KEY_MAX, _VALUE_MAX = _LIMITS.pairs_max, _LIMITS.key_chars_max, _LIMITS.value_chars_max


@compiled
def key(buffer, at, names, base, top, table):  # type: ignore[no-untyped-def]
    """Pass a key and its colon; return where its value begins, and its code, -1 if it has none."""
    end = key_end(buffer, at, names, base, top)
    if end < 0:
        return NO, -1
    behind = blank(buffer, end + 1)
    if buffer[behind] != COLON:
        return NO, -1
    return blank(buffer, behind + 1), code_of(buffer, at + 1, end, table)


@compiled
def counts(buffer, at, habits, names, top, cell):  # type: ignore[no-untyped-def]
    """Read `request_counts`, each of which has its column."""
    if is_null(buffer, at):
        return at + 4
    if buffer[at] != OPEN:
        return NO
    base, sign, given = top, COMMA, 0
    while sign == COMMA:
        at, column = key(buffer, blank(buffer, at + 1), names, base, top, _NUMBERS)
        if at < 0 or column < 0:
            return NO
        top += 1
        if is_null(buffer, at):
            at += 4
        else:
            given += 1
            at, cell[column] = whole(buffer, at)
        if at < 0:
            return NO
        at = blank(buffer, at)
        sign = buffer[at]
    if sign != CLOSE or (given < 3 and not habits.null_counts):
        return NO
    cell[FLAGS] |= COUNTED
    return at + 1


@compiled
def errors(buffer, at, utf8, names, top, cell):  # type: ignore[no-untyped-def]
    """Read a list of errors, or an object that holds one; the digest is that of the bytes."""
    if is_null(buffer, at):
        return at + 4
    start, base = at, top
    if buffer[at] == OPEN:
        sign, held = COMMA, False
        while sign == COMMA:
            at, part = key(buffer, blank(buffer, at + 1), names, base, top, _PAGE)
            if at < 0 or part < 0:
                return NO
            top += 1
            if part == 1:
                at, some = _entries(buffer, at, utf8, names, top)
                held = held or some
            else:
                at = atom_end(buffer, at, utf8)
            if at < 0:
                return NO
            at = blank(buffer, at)
            sign = buffer[at]
        if sign != CLOSE:
            return NO
        at += 1
    else:
        at, held = _entries(buffer, at, utf8, names, top)
    if at >= 0 and held:
        cell[ERRORS], _ = digest(buffer, start, at)
    return at


@compiled
def _entries(buffer, at, utf8, names, top):  # type: ignore[no-untyped-def]
    """Return where a list of errors ends, and whether it holds any."""
    if is_null(buffer, at):
        return at + 4, False
    if buffer[at] != OPEN_LIST:
        return NO, False
    behind = blank(buffer, at + 1)
    if buffer[behind] == CLOSE_LIST:
        return behind + 1, False
    sign = COMMA
    while sign == COMMA:
        at = blank(buffer, at + 1)
        at = _entry(buffer, at, utf8, names, top)
        if at < 0:
            return NO, False
        at = blank(buffer, at)
        sign = buffer[at]
    return (at + 1 if sign == CLOSE_LIST else NO), True


@compiled
def _entry(buffer, at, utf8, names, base):  # type: ignore[no-untyped-def]
    if buffer[at] != OPEN:
        return NO
    top, sign = base, COMMA
    while sign == COMMA:
        at, part = key(buffer, blank(buffer, at + 1), names, base, top, _PARTS)
        if at < 0 or part < 0:
            return NO
        top += 1
        if part == 3 and not is_null(buffer, at):
            at, _ = whole(buffer, at)
        elif is_null(buffer, at) or buffer[at] == QUOTE:
            at = atom_end(buffer, at, utf8)
        else:
            return NO
        if at < 0:
            return NO
        at = blank(buffer, at)
        sign = buffer[at]
    return at + 1 if sign == CLOSE else NO


@compiled
def metadata(buffer, at, utf8, names, top, cell):  # type: ignore[no-untyped-def]
    """Read metadata and judge their size (S006); NO where their characters, not bytes, decide."""
    if is_null(buffer, at):
        return at + 4
    behind = blank(buffer, at + 1)
    if buffer[at] == OPEN_LIST:
        return behind + 1 if buffer[behind] == CLOSE_LIST else NO  # PHP's empty map.
    if buffer[at] != OPEN:
        return NO
    if buffer[behind] == CLOSE:
        return behind + 1
    base, sign, beyond = top, COMMA, False
    while sign == COMMA:
        start = blank(buffer, at + 1)
        at, _ = key(buffer, start, names, base, top, _PAGE)
        if at < 0:
            return NO
        beyond = beyond or names[top, 1] - names[top, 0] > _KEY_MAX
        top += 1
        if buffer[at] == QUOTE:
            end, kind = text_end(buffer, at + 1, utf8)
            if end < 0 or (kind != ASCII and end - at - 1 > _VALUE_MAX):
                return NO
            beyond = beyond or end - at - 1 > _VALUE_MAX
            at = end + 1
        else:
            beyond = True  # A value that is no text.
            at = value_end(buffer, at, utf8, names, top)
            if at < 0:
                return NO
        at = blank(buffer, at)
        sign = buffer[at]
    if sign != CLOSE:
        return NO
    if beyond or top - base > _PAIRS_MAX:
        cell[FLAGS] |= LIMIT
    return at + 1
