"""
Lines of JSON, read into whole numbers by compiled code: those that are plain through and through.

Plain is a line that holds one batch, bare or in one envelope, every field of it of the wire's type
and spelled in the wire's way. Of anything else, however slightly odd, nothing is believed: the
scalar core reads it. So this code need not be clever, only sure.

It is fast because a log has few shapes. What stands between the values, keys and all, is the same
in nearly every line; a line is read along the shape of the one before it, and only one that does
not fit is taken apart key by key, and its shape remembered.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from batchfsm.auditing.columnar.clock import clock
from batchfsm.auditing.columnar.columns import COLUMNS, FLAGS, NULL
from batchfsm.auditing.columnar.fields import (
    ATOM,
    KEYS,
    OBJECT,
    OBSERVED,
    ODD_KEY,
    STAMPED,
    VITAL,
    WRAPPER,
    Habits,
    field,
)
from batchfsm.auditing.columnar.inner import key
from batchfsm.auditing.columnar.tokens import (
    CLOSE,
    COMMA,
    LINE_END,
    NO,
    OPEN,
    OPEN_LIST,
    blank,
    scratch,
)
from batchfsm.auditing.columnar.words import (
    compiled,
    equal,
)

PLAIN, BLANK, OTHER = range(3)
"""What a line is: read into cells, blank, or the scalar core's."""

PAD: Final = 64
"""How many bytes must follow the last line end: so far does the code look ahead."""

_ENVELOPE: Final = -2
_SHAPES: Final = 4
_SLOTS_MAX: Final = 60
_LETTERS_MAX: Final = 4096
_WHEN, _WHEN_ELSE = 0, 1  # In `Desk.times`: `observed_at`, and `timestamp`, which counts where that is null.


class Desk(NamedTuple):
    """What reading takes with it from line to line; each thread has its own."""

    names: Any
    """Room for keys, from `tokens.scratch`."""
    letters: Any
    """What stands between the values of each shape, one piece behind the other."""
    slots: Any
    """Of each shape, rows `(where a piece begins, where it ends, code of the value behind it)`; the code of the
    last piece is -9, and -8 stands where there is no shape."""
    turn: Any
    """The shape that fitted last, and how many were learned."""
    times: Any
    spans: Any
    """Where the values of the line begin and end that is taken apart, with their codes."""


_LAST_PIECE, _NO_SHAPE = -9, -8


def desk() -> Desk:
    """Return a desk that knows no shape."""
    slots = np.full((_SHAPES, _SLOTS_MAX + 1, 3), _NO_SHAPE, np.int64)
    return Desk(
        names=scratch(),
        letters=np.zeros((_SHAPES, _LETTERS_MAX), np.uint8),
        slots=slots,
        turn=np.zeros(2, np.int64),
        times=np.empty(2),
        spans=np.empty((_SLOTS_MAX + 1, 3), np.int64),
    )


def scan(buffer: Any, habits: Habits, desk: Desk, *, utf8: bool, lines: int) -> tuple[Any, Any, Any, Any]:
    """
    Read whole lines.

    Args:
        buffer: Their bytes, the last one a line end, and `PAD` more; uint8.
        habits: The dialect's.
        desk: From line to line, and from call to call.
        utf8: True if the bytes are known to be UTF-8; else a line with any beyond ASCII is not plain.
        lines: How many there are.

    Returns:
        Cells, times of observation (NaN if not said), where each line begins, and which kind it is;
        a row for each line.
    """
    cells = np.empty((lines, len(COLUMNS)), np.int64)
    seen = np.empty(lines)
    starts = np.empty(lines, np.int64)
    kinds = np.empty(lines, np.int8)
    _scan(buffer, habits, desk, utf8, cells, seen, starts, kinds)
    return cells, seen, starts, kinds


@compiled
def _scan(buffer, habits, desk, utf8, cells, seen, starts, kinds):  # type: ignore[no-untyped-def]
    at = 0
    for row in range(len(cells)):
        starts[row] = at
        at = blank(buffer, at)
        kinds[row] = OTHER
        if buffer[at] == LINE_END:
            kinds[row] = BLANK
        elif buffer[at] == OPEN:
            end = _line(buffer, at, habits, desk, utf8, cells[row])
            if end >= 0:
                kinds[row], at = PLAIN, end
        seen[row] = desk.times[_WHEN_ELSE] if np.isnan(desk.times[_WHEN]) else desk.times[_WHEN]
        while buffer[at] != LINE_END:
            at += 1
        at += 1


@compiled
def _line(buffer, at, habits, desk, utf8, cell):  # type: ignore[no-untyped-def]
    """Read a line and return where it ends; `NO` if it is not plain."""
    for turn in range(_SHAPES):
        shape = (desk.turn[0] + turn) % _SHAPES
        _clear(cell, desk.times)
        end = _along(buffer, at, habits, desk, utf8, cell, desk.letters[shape], desk.slots[shape])
        if end >= 0:
            desk.turn[0] = shape
            return end
    return _apart(buffer, at, habits, desk, utf8, cell)


@compiled
def _clear(cell, times):  # type: ignore[no-untyped-def]
    for column in range(len(cell)):
        cell[column] = NULL
    cell[FLAGS] = 0
    times[_WHEN] = times[_WHEN_ELSE] = np.nan


@compiled
def _along(buffer, at, habits, desk, utf8, cell, letters, slots):  # type: ignore[no-untyped-def]
    """Read a line along a shape; `NO` if it does not fit, or a value is not plain."""
    slot = -1
    while True:  # The last piece, or a place without a shape, is its end.
        slot += 1
        begin, end, code = slots[slot, 0], slots[slot, 1], slots[slot, 2]
        if code == _NO_SHAPE or not equal(letters, begin, end, buffer, at):
            return NO
        at += end - begin
        if code == _LAST_PIECE:
            at = blank(buffer, at)
            return at if buffer[at] == LINE_END else NO
        if code == OBSERVED:
            at, desk.times[_WHEN] = clock(buffer, at)
        elif code == STAMPED:
            at, desk.times[_WHEN_ELSE] = clock(buffer, at)
        else:
            at = field(buffer, at, code, habits, utf8, desk.names, 0, cell)
        if at < 0:
            return NO


@compiled
def _value(buffer, at, code, habits, utf8, names, top, cell):  # type: ignore[no-untyped-def]
    """Do as `field` does, which is too large to be put into everything that calls it."""
    return field(buffer, at, code, habits, utf8, names, top, cell)


@compiled
def _apart(buffer, at, habits, desk, utf8, cell):  # type: ignore[no-untyped-def]
    """Take a line apart, key by key, and remember its shape."""
    start = at
    _clear(cell, desk.times)
    desk.spans[_SLOTS_MAX, 0] = 0
    end = _batch(buffer, at, habits, desk, utf8, 0, cell, False)
    if end == _ENVELOPE:
        _clear(cell, desk.times)
        desk.spans[_SLOTS_MAX, 0] = 0
        end = _envelope(buffer, at, habits, desk, utf8, cell)
    if end < 0:
        return NO
    behind = blank(buffer, end)
    if buffer[behind] != LINE_END:
        return NO
    _learn(buffer, start, end, desk)
    return behind


@compiled
def _batch(buffer, at, habits, desk, utf8, base, cell, inside):  # type: ignore[no-untyped-def]
    """Return where a plain batch ends that begins here; `_ENVELOPE` if it seems to be one."""
    met, top, sign = 0, base, COMMA
    while sign == COMMA:
        at, code = key(buffer, blank(buffer, at + 1), desk.names, base, top, KEYS)
        if at < 0 or code == ODD_KEY:
            return NO
        top += 1
        if code == WRAPPER and not inside:
            if buffer[at] == OPEN or buffer[at] == OPEN_LIST:
                return _ENVELOPE
            code = ATOM
        elif code in (WRAPPER, OBSERVED, STAMPED):
            code = -1  # Of a batch itself they are unknown keys.
        start = at
        at = _value(buffer, at, code, habits, utf8, desk.names, top, cell)
        if at < 0:
            return NO
        _note(desk, start, at, code)
        met |= 1 << max(code, 0)
        at = blank(buffer, at)
        sign = buffer[at]
    return at + 1 if sign == CLOSE and met & VITAL == VITAL else NO


@compiled
def _envelope(buffer, at, habits, desk, utf8, cell):  # type: ignore[no-untyped-def]
    """Return where an envelope ends that holds one plain batch, and learn when that was seen."""
    met, top, wrapped, sign = 0, 0, False, COMMA
    while sign == COMMA:
        at, code = key(buffer, blank(buffer, at + 1), desk.names, 0, top, KEYS)
        if at < 0 or code in (OBJECT, ODD_KEY):
            return NO
        top += 1
        start = at
        if code == WRAPPER and (buffer[at] == OPEN or buffer[at] == OPEN_LIST):
            if wrapped or buffer[at] == OPEN_LIST:
                return NO  # A page, or one of two: which of them counts is not for us to say.
            wrapped = True
            at = _batch(buffer, at, habits, desk, utf8, top, cell, True)
        elif code == OBSERVED:
            at, desk.times[_WHEN] = clock(buffer, at)
            _note(desk, start, at, code)
        elif code == STAMPED:
            at, desk.times[_WHEN_ELSE] = clock(buffer, at)
            _note(desk, start, at, code)
        else:
            met |= 1 << max(code, 0)
            code = ATOM if code == WRAPPER else -1
            at = _value(buffer, at, code, habits, utf8, desk.names, top, cell)
            _note(desk, start, at, code)
        if at < 0:
            return NO
        at = blank(buffer, at)
        sign = buffer[at]
    return at + 1 if sign == CLOSE and wrapped and met & VITAL != VITAL else NO


@compiled
def _note(desk, start, end, code):  # type: ignore[no-untyped-def]
    """Remember where a value stands."""
    count = desk.spans[_SLOTS_MAX, 0]
    if count < _SLOTS_MAX:
        desk.spans[count, 0], desk.spans[count, 1], desk.spans[count, 2] = start, end, code
        desk.spans[_SLOTS_MAX, 0] = count + 1


@compiled
def _learn(buffer, start, end, desk):  # type: ignore[no-untyped-def]
    """Remember the shape of a line in the place of the one learned longest ago."""
    count = desk.spans[_SLOTS_MAX, 0]
    values = 0
    for place in range(count):
        values += desk.spans[place, 1] - desk.spans[place, 0]
    if count == _SLOTS_MAX or end - start - values > _LETTERS_MAX:
        return
    shape = desk.turn[1] % _SHAPES
    desk.turn[1] += 1
    letters, slots, size, at = desk.letters[shape], desk.slots[shape], 0, start
    for slot in range(count + 1):
        behind = desk.spans[slot, 0] if slot < count else end
        slots[slot, 0] = size
        for place in range(at, behind):
            letters[size] = buffer[place]
            size += 1
        slots[slot, 1], slots[slot, 2] = size, desk.spans[slot, 2] if slot < count else _LAST_PIECE
        at = desk.spans[slot, 1] if slot < count else end
    desk.turn[0] = shape
