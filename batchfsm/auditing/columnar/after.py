"""What a row breaches after those before it of its batch, in compiled code; a `Fold` in columns."""

from __future__ import annotations

from typing import Final

from batchfsm.auditing.columnar.columns import (
    COMPLETED,
    ERRORS,
    KEPT,
    KEPT_FIELDS,
    LENIENT,
    LORE,
    NULL,
    ODD,
    ROSE,
    STATUS,
    STEADY,
    UNKNOWN,
)
from batchfsm.auditing.columnar.tables import CYCLE, DONE, ILLEGAL, LEFT, SAME, STALE, STAMP, SUM, TOLERATED
from batchfsm.auditing.columnar.words import (
    compiled,
    inlined,
)

FRESH: Final = -2  # In `State.status`: no live row yet. UNKNOWN: none yet whose status the lifecycle has.
_NO_MOVE: Final = -1
NEVER: Final = NULL + 1  # In `State.errors`: no row told.
_KEPT_COUNT: Final = len(KEPT_FIELDS)
_COMPLETED: Final = COMPLETED - KEPT

_H501_LENIENT: Final = LENIENT["H501"]


@compiled
def after(cell, seen, slot, tables, state):  # type: ignore[no-untyped-def]
    """Return what a row breaches after those before it of its batch, and learn from it."""
    first, last, status = state.first[slot], state.last[slot], cell[STATUS]
    known = state.status[slot]
    if known == FRESH:
        _learn(cell, first, last, tables)
        state.status[slot] = status if status >= 0 else UNKNOWN
        state.seen[slot], state.errors[slot] = seen, cell[ERRORS]
        return 0
    h501, h502, h507, h508 = tables.rules[9:13]
    move = _move(cell, seen, known, first, tables, state.seen[slot])
    if move == CYCLE:
        return ODD
    mask = _kept(cell, first, last, move, tables)
    if move == STALE:
        for place in range(_KEPT_COUNT):
            # A list may tell the endpoint that a retrieve left out: what no row gave before is learned.
            if tables.kinds[place] == 0 and first[place] == NULL:
                first[place] = cell[KEPT + place]
        return mask | h507
    if move in (ILLEGAL, TOLERATED):
        mask |= h501 | (_H501_LENIENT if move == TOLERATED else 0)
    elif move == LEFT:
        mask |= h502
    elif move == SAME and tables.terminal[known]:
        mask |= _moved_on(cell, first, last, tables, mask, h508)
        if state.errors[slot] not in (cell[ERRORS], NEVER):
            # Another text may hold the same errors.
            mask |= h508 if NULL in (state.errors[slot], cell[ERRORS]) and not mask & _lost(tables) else 0
            mask |= ODD if NULL not in (state.errors[slot], cell[ERRORS]) else 0
    if mask & ~LORE or state.errors[slot] != cell[ERRORS]:
        mask &= ~LORE
    _learn(cell, first, last, tables)
    if status >= 0:
        state.status[slot] = status
    state.seen[slot], state.errors[slot] = seen, cell[ERRORS]
    return mask


@inlined
def _move(cell, seen, known, first, tables, last_seen):  # type: ignore[no-untyped-def]
    """Return what a row's status says after the known one."""
    status = cell[STATUS]
    if status < 0 or known < 0:
        return _NO_MOVE
    late = seen < last_seen  # False if either was not said.
    if status == known:
        return STALE if late and _covers(cell, first, tables) else SAME
    if tables.moves[known, status, 0] == tables.moves[known, status, 1]:
        return tables.moves[known, status, 0]
    return tables.moves[known, status, 1 if _covers(cell, first, tables) else 0]


@compiled
def _covers(cell, first, tables):  # type: ignore[no-untyped-def]
    """Tell whether a row is below what is known: it sets and counts nothing new."""
    for place in range(_KEPT_COUNT):
        value, fate = cell[KEPT + place], tables.kinds[place]
        if value == NULL or fate == 0:
            continue
        if fate == DONE:
            if value > (0 if first[place] == NULL else first[place]):
                return False
        elif value != first[place] and not (fate == SUM and value == 0):
            return False
    return True


@compiled
def _kept(cell, first, last, move, tables):  # type: ignore[no-untyped-def]
    """Return the bits of H503 to H506 that a row breaches, and whether it is `STEADY` as far as these fields tell."""
    mask, is_steady, rose = 0, move == SAME, 0
    silent = move in (STALE, ILLEGAL, LEFT)
    for place in range(_KEPT_COUNT):
        value, fate = cell[KEPT + place], tables.kinds[place]
        if value == last[place] or (silent and fate != 0):
            continue
        if fate == DONE and value > last[place]:
            rose |= ROSE << (place - _COMPLETED)
            continue
        is_steady = False
        says = value != NULL or STAMP <= fate < SUM
        if fate == DONE:
            mask |= tables.bits[place] if says else 0
        elif says and first[place] != NULL and value != first[place]:
            mask |= tables.bits[place]
    return mask | (STEADY | rose if is_steady else 0)


@compiled
def _lost(tables):  # type: ignore[no-untyped-def]
    """Return the bits of H504, H505 and H506."""
    bits = 0
    for place in range(_KEPT_COUNT):
        if tables.kinds[place] != 0:
            bits |= tables.bits[place]
    return bits


@compiled
def _moved_on(cell, first, last, tables, mask, h508):  # type: ignore[no-untyped-def]
    """Return H508 if something moved on after the end, and nothing was lost."""
    if mask & _lost(tables):
        return 0
    for place in range(_KEPT_COUNT):
        value, fate = cell[KEPT + place], tables.kinds[place]
        if fate >= SUM and last[place] != NULL and value > last[place]:
            return h508
        if fate == STAMP and value != NULL and first[place] == NULL and last[place] == NULL:
            return h508
    return 0


@compiled
def _learn(cell, first, last, tables):  # type: ignore[no-untyped-def]
    """Take a live row for the last one."""
    for place in range(_KEPT_COUNT):
        value, fate = cell[KEPT + place], tables.kinds[place]
        if fate == DONE:
            first[place] = max(first[place], value)
        elif first[place] == NULL and not (fate == SUM and value <= 0):
            first[place] = value
        if value != NULL or STAMP <= fate < SUM:
            last[place] = value
