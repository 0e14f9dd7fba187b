"""What a row breaches by itself, in compiled code: the kinds of rules that ask for no history."""

from __future__ import annotations

from typing import Final

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


@compiled
def _sent(cell):  # type: ignore[no-untyped-def]
    """Return the set of the fields that a row has set, as the bits of `SENT`."""
    sent = _S_ID | _S_STATUS  # A row without them is not plain.
    for place in range(EXPIRES - CREATED + 1):
        if cell[CREATED + place] != NULL:
            sent |= 1 << place
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


@compiled
def _bounds(cell, seen, status, tables):  # type: ignore[no-untyped-def]
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
