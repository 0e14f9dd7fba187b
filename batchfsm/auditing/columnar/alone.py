"""What a row breaches by itself, in compiled code: the kinds of rules that ask for no history."""

from __future__ import annotations

from typing import Final

import numpy as np

from batchfsm.auditing.columnar.columns import (
    COLUMNS,
    COMPLETED,
    COUNTED,
    CREATED,
    ERROR_FILE,
    ERRORS,
    EXPIRES,
    FAILED,
    FLAGS,
    FOREIGN,
    ID_TIME,
    LIMIT,
    NULL,
    OUTPUT_FILE,
    SENT,
    STATUS,
    TOTAL,
    UNKNOWN,
    WINDOW_S,
)
from batchfsm.auditing.columnar.words import (
    compiled,
    inlined,
)

_OBSERVED: Final = len(COLUMNS)

_S_STATUS: Final = SENT["status"]
_S_COUNTS: Final = SENT["request_counts"]
_S_ERRORS: Final = SENT["errors"]
_S_OUTPUT: Final = SENT["output_file_id"]
_S_ERROR: Final = SENT["error_file_id"]
_S_TOTAL: Final = SENT["request_counts.total"]
_S_ID: Final = SENT["id"]
_STAMPS: Final = 2**8 - 1


@inlined
def _sent(cell):  # type: ignore[no-untyped-def]
    """Return the set of the fields that a row has set, as the bits of `SENT`."""
    sent = _S_ID | _S_STATUS  # A row without them is not plain.
    for place in range(EXPIRES - CREATED + 1):
        sent |= (cell[CREATED + place] != NULL) << place
    # Without branches, for which fields are set cannot be guessed.
    sent |= (cell[FLAGS] & COUNTED != 0) * _S_COUNTS | (cell[ERRORS] != NULL) * _S_ERRORS
    sent |= (cell[OUTPUT_FILE] != NULL) * _S_OUTPUT | (cell[ERROR_FILE] != NULL) * _S_ERROR
    return sent | (cell[TOTAL] > 0) * _S_TOTAL


@compiled
def alone(cell, seen, tables):  # type: ignore[no-untyped-def]
    """Return what a row breaches by itself."""
    s003, s004, s006, t201, t202, t206, c301, c302, f402 = tables.rules[:9]
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
    if cell[FLAGS] & FOREIGN:
        mask |= s003
    if cell[FLAGS] & LIMIT:
        mask |= s006
    for row in range(len(tables.pairs)):
        earlier, later = cell[tables.pairs[row, 0]], cell[tables.pairs[row, 1]]
        if later != NULL and earlier > later:
            mask |= t201
    mask |= _bounds(cell, seen, status, tables)
    created, expires = cell[CREATED], cell[EXPIRES]
    if NULL not in (created, expires, cell[WINDOW_S]) and (
        abs(expires - created - cell[WINDOW_S]) > tables.window_slack_s
    ):
        mask |= t202
    if NULL not in (created, cell[ID_TIME]) and abs(cell[ID_TIME] - created) > tables.id_slack_s:
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


@inlined
def _bounds(cell, seen, status, tables):  # type: ignore[no-untyped-def]
    """Return which times are later than they may be."""
    mask, is_open = 0, status != tables.unknown and not tables.terminal[status]
    for row in range(len(tables.bounds)):
        time_at, limit_at = tables.bounds[row, 0], tables.bounds[row, 1]
        # NULL is earlier than any limit; no time is later than a limit that is NULL, or NaN.
        time = seen if time_at == _OBSERVED else float(cell[time_at])
        limit = seen if limit_at == _OBSERVED else float(cell[limit_at]) if cell[limit_at] != NULL else np.inf
        is_late = (time > limit + tables.slacks_s[row]) & (is_open | (tables.bounds[row, 2] == 0))
        mask |= is_late * tables.bounds[row, 3]
    return mask
