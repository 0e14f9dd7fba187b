"""
The rules once more, for millions of rows: one pass, one mask of bits a row, compiled.

It reads the same rows as `rules` and `history` do, through the arrays of `tables`; the tests hold
the two readings against each other, row by row and code by code. What columns do not tell it
marks `ODD`, and leaves to the scalar core.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from batchfsm.auditing.columns import (
    COLUMNS,
    COMPLETED,
    COUNTED,
    CREATED,
    ERROR_FILE,
    ERRORS,
    EXPIRES,
    FAILED,
    FLAGS,
    ID_HIGH,
    ID_LOW,
    ID_TIME,
    KEPT,
    KEPT_FIELDS,
    LENIENT,
    LIMIT,
    NULL,
    ODD,
    OUTPUT_FILE,
    SENT,
    STATUS,
    TOTAL,
    UNKNOWN,
    WINDOW_S,
)
from batchfsm.auditing.tables import CYCLE, DONE, ILLEGAL, LEFT, SAME, STALE, STAMP, SUM, TOLERATED, Tables
from batchfsm.auditing.tokens import compiled

_FRESH: Final = -2  # In `State.status`: no live row yet. UNKNOWN: none yet whose status the lifecycle has.
_NO_MOVE: Final = -1
_NEVER: Final = NULL + 1  # In `State.errors`: no row told.
_KEPT_COUNT: Final = len(KEPT_FIELDS)
_OBSERVED: Final = len(COLUMNS)
_FIRST_SIZE: Final = 1024

_S_STATUS: Final = SENT["status"]
_S_COUNTS: Final = SENT["request_counts"]
_S_ERRORS: Final = SENT["errors"]
_S_OUTPUT: Final = SENT["output_file_id"]
_S_ERROR: Final = SENT["error_file_id"]
_S_TOTAL: Final = SENT["request_counts.total"]
_S_ID: Final = SENT["id"]
_STAMPS: Final = 2**8 - 1
_H501_LENIENT: Final = LENIENT["H501"]


class State(NamedTuple):
    """What is known of each batch, by slot; a `Track` in columns."""

    keys: Any
    """The ids' digests; shape `(slots, 2)`."""
    status: Any
    first: Any
    """First values, and highest counts; shape `(slots, kept fields)`."""
    last: Any
    """Last values given."""
    errors: Any
    seen: Any
    """When the last live row was seen; NaN if that was not said."""
    latest: Any
    """When the latest row was seen, to notice a log that is out of order."""


class Batches:
    """The batches met so far, with room for more."""

    def __init__(self) -> None:
        """Know none."""
        self.count = 0
        self.places = np.full(2 * _FIRST_SIZE, -1, np.int64)
        self.state = State(
            keys=np.empty((_FIRST_SIZE, 2), np.int64),
            status=np.full(_FIRST_SIZE, _FRESH, np.int8),
            first=np.full((_FIRST_SIZE, _KEPT_COUNT), NULL, np.int64),
            last=np.full((_FIRST_SIZE, _KEPT_COUNT), NULL, np.int64),
            errors=np.full(_FIRST_SIZE, _NEVER, np.int64),
            seen=np.full(_FIRST_SIZE, np.nan),
            latest=np.full(_FIRST_SIZE, -np.inf),
        )

    def locate(self, cells: Any) -> Any:
        """Return the slot of each row; those of new batches are taken."""
        self._make_room(len(cells))
        slots = np.empty(len(cells), np.int64)
        self.count = _locate(cells, self.state.keys, self.places, self.count, slots)
        return slots

    def _make_room(self, more: int) -> None:
        """Have slots for that many more batches, and a table of places no more than half full."""
        size = len(self.state.status)
        wanted = self.count + more
        if wanted > size:
            # A quarter more, and in place where the system can: a copy would need the memory twice.
            size = max(wanted, size + size // 4)
            fresh = (0, _FRESH, NULL, NULL, _NEVER, np.nan, -np.inf)
            for array, value in zip(self.state, fresh, strict=True):
                before = len(array)
                array.resize((size, *array.shape[1:]), refcheck=False)
                array[before:] = value
        if 2 * wanted > len(self.places):
            self.places = np.full(1 << (2 * wanted).bit_length(), -1, np.int64)
            _place(self.state.keys, self.count, self.places)

    def judge(self, cells: Any, seen: Any, slots: Any, tables: Tables) -> Any:
        """
        Judge rows in the order of their observation, each batch's.

        Args:
            cells: The rows; shape `(n, len(COLUMNS))`.
            seen: When each was seen; NaN if that was not said. Shape `(n,)`.
            slots: As from `locate`; -1: the row is passed over.
            tables: The dialect's.

        Returns:
            The mask of each row; None if a row comes behind a later one of its batch.
        """
        masks = np.zeros(len(cells), np.int64)
        return masks if _judge(cells, seen, slots, tables, self.state, masks) else None


@compiled
def _locate(cells, keys, places, count, slots):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # Compiled.
    room = len(places) - 1
    for row in range(len(cells)):
        low, high = cells[row, ID_LOW], cells[row, ID_HIGH]
        at = low & room
        while True:
            slot = places[at]
            if slot < 0:
                slot = places[at] = count
                keys[slot, 0], keys[slot, 1] = low, high
                count += 1
            if keys[slot, 0] == low and keys[slot, 1] == high:
                break
            at = (at + 1) & room
        slots[row] = slot
    return count


@compiled
def _place(keys, count, places):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    room = len(places) - 1
    for slot in range(count):
        at = keys[slot, 0] & room
        while places[at] >= 0:
            at = (at + 1) & room
        places[at] = slot


@compiled
def _judge(cells, seen, slots, tables, state, masks):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for row in range(len(cells)):
        slot = slots[row]
        if slot < 0:
            continue
        if seen[row] < state.latest[slot]:
            return False
        if seen[row] > state.latest[slot]:
            state.latest[slot] = seen[row]
        masks[row] = _alone(cells[row], seen[row], tables) | _after(cells[row], seen[row], slot, tables, state)
    return True


@compiled
def _sent(cell):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return the set of the fields that a row has set, as the bits of `SENT`."""
    sent = _S_ID
    for place in range(EXPIRES - CREATED + 1):
        if cell[CREATED + place] != NULL:
            sent |= 1 << place
    if cell[STATUS] != NULL:
        sent |= _S_STATUS
    if cell[FLAGS] & COUNTED:
        sent |= _S_COUNTS
    if cell[ERRORS] != NULL:
        sent |= _S_ERRORS
    if cell[OUTPUT_FILE] != NULL:
        sent |= _S_OUTPUT
    if cell[ERROR_FILE] != NULL:
        sent |= _S_ERROR
    if cell[TOTAL] > 0:
        sent |= _S_TOTAL
    return sent


@compiled
def _alone(cell, seen, tables):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return what a row breaches by itself."""
    s004, s006, t201, t202, t206, c301, c302, f402 = tables.rules[:8]
    sent = _sent(cell)
    status = cell[STATUS] if cell[STATUS] >= 0 else tables.unknown
    mask = tables.walks[status, sent & _STAMPS]
    for row in range(len(tables.nulls)):
        if tables.nulls[row, 1] >> status & 1 and tables.nulls[row, 0] & ~sent:
            mask |= tables.nulls[row, 2]
    for row in range(len(tables.sets)):
        if tables.sets[row, 1] >> status & 1 and tables.sets[row, 0] & sent:
            mask |= tables.sets[row, 2]
    if cell[STATUS] == UNKNOWN:
        mask |= s004
    if cell[FLAGS] & LIMIT:
        mask |= s006
    for row in range(len(tables.pairs)):
        earlier, later = cell[tables.pairs[row, 0]], cell[tables.pairs[row, 1]]
        if later != NULL and earlier > later:
            mask |= t201
    mask |= _bounds(cell, seen, status, tables)
    created = cell[CREATED]
    if created != NULL:
        span_s = cell[EXPIRES] - created
        if cell[EXPIRES] != NULL and cell[WINDOW_S] != NULL and abs(span_s - cell[WINDOW_S]) > tables.window_slack_s:
            mask |= t202
        if cell[ID_TIME] != NULL and abs(cell[ID_TIME] - created) > tables.id_slack_s:
            mask |= t206
    total, completed, failed = cell[TOTAL], cell[COMPLETED], cell[FAILED]
    known = total != NULL and completed != NULL and failed != NULL
    # NULL is below zero, too.
    if (NULL < total < 0) or (NULL < completed < 0) or (NULL < failed < 0) or (known and completed + failed > total):
        mask |= c301
    if status == tables.completed:
        if known and completed >= 0 and failed >= 0 and completed + failed < total:
            mask |= c302
        if completed > 0 and cell[OUTPUT_FILE] == NULL:
            mask |= f402
    return mask


@compiled
def _bounds(cell, seen, status, tables):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return which times are later than they may be."""
    mask = 0
    for row in range(len(tables.bounds)):
        time_at, limit_at = tables.bounds[row, 0], tables.bounds[row, 1]
        time = seen if time_at == _OBSERVED else float(cell[time_at])
        limit = seen if limit_at == _OBSERVED else float(cell[limit_at])
        if (time_at != _OBSERVED and cell[time_at] == NULL) or (limit_at != _OBSERVED and cell[limit_at] == NULL):
            continue
        is_open = status != tables.unknown and not tables.terminal[status]
        if (is_open or not tables.bounds[row, 2]) and time > limit + tables.slacks_s[row]:
            mask |= tables.bounds[row, 3]
    return mask


@compiled
def _after(cell, seen, slot, tables, state):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return what a row breaches after those before it of its batch, and learn from it."""
    first, last, status = state.first[slot], state.last[slot], cell[STATUS]
    known = state.status[slot]
    if known == _FRESH:
        _learn(cell, first, last, tables)
        state.status[slot] = status if status >= 0 else UNKNOWN
        state.seen[slot], state.errors[slot] = seen, cell[ERRORS]
        return 0
    h501, h502, h507, h508 = tables.rules[8:12]
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
        if state.errors[slot] not in (cell[ERRORS], _NEVER):
            # Another text may hold the same errors.
            mask |= h508 if NULL in (state.errors[slot], cell[ERRORS]) and not mask & _lost(tables) else 0
            mask |= ODD if NULL not in (state.errors[slot], cell[ERRORS]) else 0
    _learn(cell, first, last, tables)
    if status >= 0:
        state.status[slot] = status
    state.seen[slot], state.errors[slot] = seen, cell[ERRORS]
    return mask


@compiled
def _move(cell, seen, known, first, tables, last_seen):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
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
def _covers(cell, first, tables):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
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
def _kept(cell, first, last, move, tables):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return the bits of H503 to H506 that a row breaches."""
    mask = 0
    silent = move in (STALE, ILLEGAL, LEFT)
    for place in range(_KEPT_COUNT):
        value, fate = cell[KEPT + place], tables.kinds[place]
        if value == last[place] or (silent and fate != 0):
            continue
        says = value != NULL or STAMP <= fate < SUM
        if fate == DONE:
            if says and last[place] != NULL and value < last[place]:
                mask |= tables.bits[place]
        elif says and first[place] != NULL and value != first[place]:
            mask |= tables.bits[place]
    return mask


@compiled
def _lost(tables):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return the bits of H504, H505 and H506."""
    bits = 0
    for place in range(_KEPT_COUNT):
        if tables.kinds[place] != 0:
            bits |= tables.bits[place]
    return bits


@compiled
def _moved_on(cell, first, last, tables, mask, h508):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
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
def _learn(cell, first, last, tables):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Take a live row for the last one."""
    for place in range(_KEPT_COUNT):
        value, fate = cell[KEPT + place], tables.kinds[place]
        if fate == DONE:
            first[place] = max(first[place], value)
        elif first[place] == NULL and not (fate == SUM and value <= 0):
            first[place] = value
        if value != NULL or STAMP <= fate < SUM:
            last[place] = value
