"""Rows of a table as cells: each field read into its columns, whole columns at a time."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from batchfsm.auditing.columnar import texts
from batchfsm.auditing.columnar.arrays import (
    BEYOND,
    Text,
    flags_of,
    floats_of,
    given_of,
    own_texts_of,
    text_of,
    whole_of,
)
from batchfsm.auditing.columnar.columns import (
    COLUMNS,
    COUNTED,
    FLAGS,
    FOREIGN,
    ID_HIGH,
    ID_LOW,
    ID_TIME,
    NULL,
    STATUS,
    WINDOW_S,
)
from batchfsm.auditing.columnar.digest import digest
from batchfsm.auditing.columnar.fields import Habits
from batchfsm.auditing.columnar.nests import nests
from batchfsm.auditing.tabular import CLOCKS, COUNTS, Piece
from batchfsm.snapshot import COUNT_FIELDS, FILE_FIELDS, TIME_FIELDS
from batchfsm.wire import TIME_MAX

_DIGESTED: Final = ("endpoint", "input_file_id", "completion_window", "output_file_id", "error_file_id")
_NUMBERS: Final = tuple(f"{COUNTS}.{name}" for name in COUNT_FIELDS)
_BLOCK_ROWS: Final = 4096  # What is written together stays in the cache.
_CLOCK_ROOM: Final = 128
_BATCH: Final = b"batch"


def weave(piece: Piece, habits: Habits) -> tuple[Any, Any, Any]:
    """
    Read rows of fields.

    Args:
        piece: The rows.
        habits: The dialect's.

    Returns:
        Their cells, when they were seen (NaN if not said), and whether they are plain; a row for each.
    """
    plain = np.ones(piece.count, np.bool_)
    columns: dict[int, Any] = {FLAGS: np.zeros(piece.count, np.int64)}
    for field, array in piece.arrays.items():
        if field in TIME_FIELDS:
            columns[COLUMNS.index(field)] = _times(array, habits, plain)
        elif field in _DIGESTED:
            columns |= _digested(field, text_of(array), habits)
    columns |= _identity(text_of(piece.arrays["id"]), plain)
    columns[STATUS] = _status(text_of(piece.arrays["status"]), habits, plain)
    if "object" in piece.arrays:
        columns[FLAGS] |= _foreign(text_of(piece.arrays["object"]), plain)
    if _NUMBERS[0] in piece.arrays:
        columns |= _counts(piece, columns[FLAGS], habits, plain)
    nests(piece, habits, columns, plain)
    return _woven(columns, piece.count), seen(piece, plain), plain


def seen(piece: Piece, plain: Any) -> Any:
    """Return when each row was seen, by the first of its clocks that is set."""
    found = np.full(piece.count, np.nan)
    for array in (piece.arrays[clock] for clock in reversed(CLOCKS) if clock in piece.arrays):
        if str(array.type) == "double":
            given, times = given_of(array), floats_of(array)
            plain &= ~given | ((times > 0) & (times <= TIME_MAX))
        else:
            text = own_texts_of(array)
            given, times = text.given, np.empty(piece.count)
            texts.clocks(text.letters, text.offsets, given, np.zeros(_CLOCK_ROOM, np.uint8), times, plain)
        found = np.where(given, times, found)
    return found


def _times(array: Any, habits: Habits, plain: Any) -> Any:
    values = whole_of(array)
    found = np.empty(len(values), np.int64)
    texts.seconds(values, habits.nulls, habits.milliseconds, found, plain)
    return found


def _digests(text: Text) -> tuple[Any, Any]:
    low, high = np.empty(text.count, np.int64), np.empty(text.count, np.int64)
    texts.digests(text.letters, text.offsets, low, high)
    return low, high


def _digested(field: str, text: Text, habits: Habits) -> dict[int, Any]:
    low, _ = _digests(text)
    if field in FILE_FIELDS or habits.null_text:
        low[np.diff(text.offsets) == 0] = NULL
    columns = {COLUMNS.index(field): text.spread(low, null=NULL)}
    if field == "completion_window":
        windows = np.empty(text.count, np.int64)
        texts.windows(text.letters, text.offsets, windows)
        columns[WINDOW_S] = text.spread(windows, null=NULL)
    return columns


def _identity(text: Text, plain: Any) -> dict[int, Any]:
    low, high = _digests(text)
    times = np.empty(text.count, np.int64)
    texts.id_times(text.letters, text.offsets, times)
    plain &= text.given & text.spread(np.diff(text.offsets) > 0, null=False)
    return {
        ID_LOW: text.spread(low, null=NULL),
        ID_HIGH: text.spread(high, null=NULL),
        ID_TIME: text.spread(times, null=NULL),
    }


def _status(text: Text, habits: Habits, plain: Any) -> Any:
    codes = np.empty(text.count, np.int64)
    texts.codes(text.letters, text.offsets, habits.statuses, codes)
    plain &= text.given & text.spread(np.diff(text.offsets) > 0, null=False)
    return text.spread(codes, null=NULL)


def _foreign(text: Text, plain: Any) -> Any:
    """Return the flag of a text that is not `batch`."""
    low, _ = _digests(text)
    letters = np.frombuffer(_BATCH, np.uint8)
    batch, _ = digest(letters, 0, len(letters))
    plain &= ~text.given | text.spread(np.diff(text.offsets) > 0, null=True)  # An empty one may be null.
    return text.spread(np.where(low == batch, 0, FOREIGN), null=0)


def _counts(piece: Piece, flags: Any, habits: Habits, plain: Any) -> dict[int, Any]:
    columns = {COLUMNS.index(name): whole_of(piece.arrays[name]) for name in _NUMBERS}
    given = flags_of(piece.arrays[COUNTS])
    for values in columns.values():
        plain &= values != BEYOND
        if not habits.null_counts:
            plain &= (values != NULL) | ~given
    return {**columns, FLAGS: flags | np.where(given, COUNTED, 0)}


def _woven(columns: dict[int, Any], count: int) -> Any:
    cells = np.empty((count, len(COLUMNS)), np.int64)
    for start in range(0, count, _BLOCK_ROWS):
        block = cells[start : start + _BLOCK_ROWS]
        for place in range(len(COLUMNS)):
            block[:, place] = columns[place][start : start + _BLOCK_ROWS] if place in columns else NULL
    return cells
