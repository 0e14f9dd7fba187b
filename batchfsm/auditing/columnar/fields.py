"""The values of a batch's fields, each read into its column if it is what the wire allows; compiled."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from batchfsm.auditing.columnar.columns import (
    COLUMNS,
    CREATED,
    FLAGS,
    FOREIGN,
    ID_HIGH,
    ID_LOW,
    ID_TIME,
    KEPT,
    NULL,
    STATUS,
    TOTAL,
    UNKNOWN,
    WINDOW_S,
)
from batchfsm.auditing.columnar.digest import digest
from batchfsm.auditing.columnar.inner import counts, errors, metadata
from batchfsm.auditing.columnar.tokens import (
    ESCAPED,
    NO,
    OPEN,
    QUOTE,
    atom_end,
    is_null,
    text_end,
    value_end,
    whole,
)
from batchfsm.auditing.columnar.words import (
    Words,
    code_of,
    compiled,
    equal,
    inlined,
    words,
)
from batchfsm.dialects import Dialect
from batchfsm.snapshot import FILE_FIELDS, TIME_FIELDS, WIRE_FIELDS
from batchfsm.wire import SPELLINGS, TIME_MAX

_TEXTS: Final = ("endpoint", "input_file_id", "completion_window", "output_file_id", "error_file_id")

# The code of a key is the column that its value goes to, or one of these.
ID_KEY, STATUS_KEY, OBJECT, MODEL, ERRORS_KEY, COUNTS, USAGE, METADATA, OBSERVED, STAMPED, WRAPPER, ATOM, ODD_KEY = (
    range(40, 53)
)
KEYS: Final = words(
    {
        # In another spelling than the wire's.
        **{spelling: ODD_KEY for spelling, name in SPELLINGS.items() if spelling != name and name in WIRE_FIELDS},
        **{name: COLUMNS.index(name) for name in (*TIME_FIELDS, *_TEXTS)},
        "id": ID_KEY,
        "status": STATUS_KEY,
        "object": OBJECT,
        "model": MODEL,
        "errors": ERRORS_KEY,
        "request_counts": COUNTS,
        "usage": USAGE,
        "metadata": METADATA,
        "observed_at": OBSERVED,
        "timestamp": STAMPED,
        **dict.fromkeys(("snapshot", "batch", "body", "data"), WRAPPER),
    }
)
"""The keys of a batch and of its envelope; any other has no code."""

VITAL: Final = (1 << ID_KEY) | (1 << STATUS_KEY) | (1 << CREATED)
"""The bits of the codes of what a batch cannot do without."""

_BATCH: Final = np.frombuffer(b"batch", np.uint8)
_FIRST_TEXT: Final = COLUMNS.index("endpoint")
_FILES: Final = np.array([name in FILE_FIELDS for name in _TEXTS])
_WINDOW: Final = COLUMNS.index("completion_window")
_UNITS_S: Final = np.array([{"s": 1, "m": 60, "h": 3600, "d": 86_400}.get(chr(byte), 0) for byte in range(256)])
_WINDOW_DIGITS_MAX: Final = 9
_ID_HEAD: Final = np.frombuffer(b"batch_", np.uint8)
_ID_BYTES, _ID_TIME_BYTES = 38, 8
_LOWER_HEX: Final = np.array([int(chr(b), 16) if chr(b) in "0123456789abcdef" else -1 for b in range(256)])


class Habits(NamedTuple):
    """How a dialect writes."""

    statuses: Words
    nulls: Any
    """Whole numbers that stand for null where a time is due."""
    milliseconds: bool
    null_text: bool
    null_counts: bool


def habits(dialect: Dialect) -> Habits:
    """Return how a dialect writes, for `scan`."""
    known = dialect.lifecycle.statuses
    spelled = {word: known.index(status) for word, status in dialect.aliases.items()}
    # No array of no type: there is always one number, and it is no time.
    nulls = [NULL, *(null for null in dialect.null_times if isinstance(null, int))]
    return Habits(
        statuses=words({name: code for code, name in enumerate(known)} | spelled),
        nulls=np.array(nulls, np.int64),
        milliseconds="milliseconds" in dialect.times,
        null_text=dialect.null_text,
        null_counts=dialect.null_counts,
    )


@inlined
def field(buffer, at, code, habits, utf8, names, top, cell):  # type: ignore[no-untyped-def]
    """Read the value of a key, and return where it ends; `NO` if it is not plain."""
    if KEPT <= code < _FIRST_TEXT:
        return _time(buffer, at, habits, cell, code)
    if _FIRST_TEXT <= code < TOTAL:
        return _text(buffer, at, habits, utf8, cell, code)
    if code == ID_KEY:
        return _identity(buffer, at, utf8, cell)
    if code == STATUS_KEY:
        return _status(buffer, at, habits, utf8, cell)
    if code == OBJECT:
        return _object(buffer, at, utf8, cell)
    if code == COUNTS:
        return counts(buffer, at, habits, names, top, cell)
    if code == ERRORS_KEY:
        return errors(buffer, at, utf8, names, top, cell)
    if code == METADATA:
        return metadata(buffer, at, utf8, names, top, cell)
    if code == ATOM:
        return atom_end(buffer, at, utf8)
    # Of the rest no rule speaks, but the wire says of what type they are.
    if (code == MODEL and buffer[at] != QUOTE) or (code == USAGE and buffer[at] != OPEN):
        return at + 4 if is_null(buffer, at) else NO
    return value_end(buffer, at, utf8, names, top)


@inlined
def _time(buffer, at, habits, cell, column):  # type: ignore[no-untyped-def]
    if is_null(buffer, at):
        return at + 4
    end, value = whole(buffer, at)
    for null in habits.nulls:
        if value == null:
            return end  # Its cell stays null.
    if habits.milliseconds and value > TIME_MAX:
        value //= 1000
    if not 0 < value <= TIME_MAX:
        return NO
    cell[column] = value
    return end


@inlined
def _text(buffer, at, habits, utf8, cell, column):  # type: ignore[no-untyped-def]
    if is_null(buffer, at):
        return at + 4
    if buffer[at] != QUOTE:
        return NO
    end, kind = text_end(buffer, at + 1, utf8)
    if end < 0 or kind & ESCAPED:
        return NO
    if end == at + 1 and (_FILES[column - _FIRST_TEXT] or habits.null_text):
        return end + 1
    cell[column], _ = digest(buffer, at + 1, end)
    if column == _WINDOW:
        cell[WINDOW_S] = window_s(buffer, at + 1, end)
    return end + 1


@compiled
def window_s(buffer, start, end):  # type: ignore[no-untyped-def]
    """Return `24h`, `7d`, `90m` or `30s` in seconds; NULL for what is none of them."""
    if not 2 <= end - start <= _WINDOW_DIGITS_MAX + 1:
        return NULL
    number = 0
    for at in range(start, end - 1):
        digit = int(buffer[at]) - 48
        if not 0 <= digit <= 9:
            return NULL
        number = number * 10 + digit
    unit_s = _UNITS_S[buffer[end - 1]]
    return number * unit_s if unit_s else NULL


@compiled
def id_time(buffer, start, end):  # type: ignore[no-untyped-def]
    """Return the Unix seconds that a `batch_` id of 32 hex digits begins with; NULL for any other id."""
    head = len(_ID_HEAD)
    if end - start != _ID_BYTES or not equal(buffer, start, start + head, _ID_HEAD, 0):
        return NULL
    time = 0
    for at in range(start + head, end):
        digit = _LOWER_HEX[buffer[at]]
        if digit < 0:
            return NULL
        if at < start + head + _ID_TIME_BYTES:
            time = time * 16 + digit
    return time


@inlined
def _identity(buffer, at, utf8, cell):  # type: ignore[no-untyped-def]
    if buffer[at] != QUOTE:
        return NO
    end, kind = text_end(buffer, at + 1, utf8)
    if end < 0 or kind & ESCAPED or end == at + 1:
        return NO
    cell[ID_LOW], cell[ID_HIGH] = digest(buffer, at + 1, end)
    cell[ID_TIME] = id_time(buffer, at + 1, end)
    return end + 1


@inlined
def _status(buffer, at, habits, utf8, cell):  # type: ignore[no-untyped-def]
    if buffer[at] != QUOTE:
        return NO
    end, kind = text_end(buffer, at + 1, utf8)
    if end < 0 or kind & ESCAPED or end == at + 1:
        return NO
    cell[STATUS] = max(UNKNOWN, code_of(buffer, at + 1, end, habits.statuses))
    return end + 1


@inlined
def _object(buffer, at, utf8, cell):  # type: ignore[no-untyped-def]
    if is_null(buffer, at):
        return at + 4
    behind = at + 1 + len(_BATCH)
    if buffer[at] == QUOTE and equal(buffer, at + 1, behind, _BATCH, 0) and buffer[behind] == QUOTE:
        return behind + 1
    if buffer[at] != QUOTE:
        return NO
    end, kind = text_end(buffer, at + 1, utf8)
    if end < 0 or kind & ESCAPED or end == at + 1:  # An escape may spell the word, an empty text be null.
        return NO
    cell[FLAGS] |= FOREIGN
    return end + 1
