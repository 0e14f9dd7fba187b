"""Pieces of a file of lines, cut anywhere: each has the lines that begin in it, whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from batchfsm.auditing.columnar.desks import LINE_END
from batchfsm.auditing.columnar.scanner import PAD
from batchfsm.logs import OBJECT_CHARS_MAX

LINE_BYTES_MAX: Final = 4 * OBJECT_CHARS_MAX  # A character has four bytes at most.
_MORE_BYTES: Final = 2**16
"""How much is read at a time behind a piece, where its last line goes on."""

Fill = Callable[[int, Any], None]
"""Fills an array with the bytes of a file from an offset on; it raises if there are not so many."""


class Cut(NamedTuple):
    """Some whole lines of a file."""

    offset: int
    """Where the first of them begins; bytes."""
    buffer: Any
    """They, each with its end, and `PAD` bytes more; uint8."""
    size: int
    """How many bytes they have."""
    is_whole: bool
    """False: the last one is longer than `LINE_BYTES_MAX`, and cut off."""


def cut(fill: Fill, begin: int, end: int, size: int) -> Cut:
    """
    Read the lines that begin in a piece of a file.

    Args:
        fill: What reads the file.
        begin: Where the piece begins; bytes.
        end: Where it ends.
        size: How many bytes the file has.
    """
    at = max(begin - 1, 0)  # A line begins behind the end of the one before it.
    buffer = np.empty(min(end + _MORE_BYTES, size) - at + 1 + PAD, np.uint8)
    filled = len(buffer) - 1 - PAD
    fill(at, buffer[:filled])
    start = _behind_line_end(buffer, 0, end - at - 1) if begin else 0
    if start < 0:
        return Cut(end, np.full(PAD, LINE_END, np.uint8), 0, is_whole=True)
    stop = _behind_line_end(buffer, end - at - 1, filled)
    while stop < 0 and at + filled < size and filled - (end - at) <= LINE_BYTES_MAX:
        more = min(size - at - filled, filled)
        buffer = np.append(buffer[:filled], np.empty(more + 1 + PAD, np.uint8))
        fill(at + filled, buffer[filled : filled + more])
        stop = _behind_line_end(buffer, filled, filled + more)
        filled += more
    is_whole = stop >= 0 or at + filled == size
    if stop < 0:
        buffer[filled] = LINE_END
        stop = filled + 1
    buffer[stop : stop + PAD] = LINE_END
    return Cut(at + start, buffer[start : stop + PAD], stop - start, is_whole)


def _behind_line_end(buffer: Any, start: int, end: int) -> int:
    """Return where the first line end in some bytes is behind; -1 if there is none."""
    for first in range(start, end, _MORE_BYTES):
        found: int = buffer[first : min(first + _MORE_BYTES, end)].tobytes().find(LINE_END)
        if found >= 0:
            return first + found + 1
    return -1
