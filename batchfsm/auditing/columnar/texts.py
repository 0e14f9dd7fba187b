"""Columns of text, as Arrow has them, read into whole numbers as the values of a line are; compiled."""

from __future__ import annotations

from typing import Final

import numpy as np

from batchfsm.auditing.columnar.clock import clock
from batchfsm.auditing.columnar.columns import FLAGS, NULL, UNKNOWN
from batchfsm.auditing.columnar.digest import digest
from batchfsm.auditing.columnar.fields import id_time, window_s
from batchfsm.auditing.columnar.inner import counts, errors, metadata
from batchfsm.auditing.columnar.tokens import LINE_END, NO, OPEN, QUOTE, is_null, value_end
from batchfsm.auditing.columnar.words import code_of, compiled, equal
from batchfsm.wire import TIME_MAX

COUNTS_TEXT, ERRORS_TEXT, METADATA_TEXT, USAGE_TEXT = range(4)
"""What a column of JSON text holds."""

_CARRIAGE_RETURN: Final = 13
_CLOCK_BYTES_MAX: Final = 40


@compiled
def digests(letters, offsets, low, high):  # type: ignore[no-untyped-def]
    """Digest each text."""
    for row in range(len(low)):
        low[row], high[row] = digest(letters, offsets[row], offsets[row + 1])


@compiled
def codes(letters, offsets, table, found):  # type: ignore[no-untyped-def]
    """Look each text up in a table of words; UNKNOWN for what is none of them."""
    for row in range(len(found)):
        found[row] = max(UNKNOWN, code_of(letters, offsets[row], offsets[row + 1], table))


@compiled
def windows(letters, offsets, found):  # type: ignore[no-untyped-def]
    """Read each completion window, in seconds."""
    for row in range(len(found)):
        found[row] = window_s(letters, offsets[row], offsets[row + 1])


@compiled
def id_times(letters, offsets, found):  # type: ignore[no-untyped-def]
    """Read the time inside each id."""
    for row in range(len(found)):
        found[row] = id_time(letters, offsets[row], offsets[row + 1])


@compiled
def seconds(values, nulls, milliseconds, found, plain):  # type: ignore[no-untyped-def]
    """Read times as the dialect writes them; NULL is null. A row with a bad one is not plain."""
    for row in range(len(values)):
        value = values[row]
        for null in nulls:  # NULL is among them.
            if value == null:
                value = NULL
        if milliseconds and value > TIME_MAX:
            value //= 1000
        if value != NULL and not 0 < value <= TIME_MAX:
            plain[row] = False
        found[row] = value


@compiled
def clocks(letters, offsets, given, scratch, found, plain):  # type: ignore[no-untyped-def]
    """Read RFC 3339 text, NaN where none is given; a row with another text is not plain."""
    for row in range(len(found)):
        found[row] = np.nan
        start, size = offsets[row], offsets[row + 1] - offsets[row]
        if not given[row]:
            continue
        if size > _CLOCK_BYTES_MAX:
            plain[row] = False
            continue
        scratch[:] = LINE_END
        scratch[0] = scratch[size + 1] = QUOTE
        for at in range(size):
            scratch[at + 1] = letters[start + at]
        end, found[row] = clock(scratch, 0)
        if end != size + 2:
            plain[row] = False


@compiled
def nested(letters, offsets, kind, habits, names, cells, plain):  # type: ignore[no-untyped-def]
    """Read JSON texts of one field into its cells; one that is not what the wire allows is not plain."""
    for row in range(len(cells)):
        start, end = offsets[row], offsets[row + 1]
        cells[row, FLAGS] = 0
        if start == end:
            continue
        utf8 = True  # Arrow has made sure of it.
        at = NO
        if kind == COUNTS_TEXT:
            at = counts(letters, start, habits, names, 0, cells[row])
        elif kind == ERRORS_TEXT:
            at = errors(letters, start, utf8, names, 0, cells[row])
        elif kind == METADATA_TEXT:
            at = metadata(letters, start, utf8, names, 0, cells[row])
        elif is_null(letters, start):
            at = start + 4
        elif letters[start] == OPEN:
            at = value_end(letters, start, utf8, names, 0)
        if at != end:
            plain[row] = False


@compiled
def joined(letters, offsets, found):  # type: ignore[no-untyped-def]
    """Put texts one behind the other, each on a line of its own."""
    at = 0
    for row in range(len(offsets) - 1):
        for place in range(offsets[row], offsets[row + 1]):
            # Between values a line end is a blank, and so is a return; inside a text both are refused.
            found[at] = _CARRIAGE_RETURN if letters[place] == LINE_END else letters[place]
            at += 1
        found[at] = LINE_END
        at += 1


@compiled
def pairs(offsets, letters, places, values, given, limits, plain):  # type: ignore[no-untyped-def]
    """
    Look at maps: a row is plain if it has few keys, short ones, none of them twice, and short texts behind them.

    Args:
        offsets: Where the entries of each row begin.
        letters: The keys' bytes.
        places: Where each key begins among them.
        values: How many bytes each value has; NULL if it is null, or no text.
        given: Is there a map?
        limits: How many keys, and how many bytes a key and a value may have.
        plain: What is told.
    """
    for row in range(len(plain)):
        first, end = offsets[row], offsets[row + 1]
        if not given[row]:
            continue
        if end - first > limits[0]:
            plain[row] = False
            continue
        for one in range(first, end):
            begin, size = places[one], places[one + 1] - places[one]
            if size > limits[1] or not 0 <= values[one] <= limits[2]:
                plain[row] = False
            for other in range(first, one):
                if places[other + 1] - places[other] == size and equal(
                    letters, begin, begin + size, letters, places[other]
                ):
                    plain[row] = False
