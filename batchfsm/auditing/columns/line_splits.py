"""Splits of a file of lines: each holds the lines that begin in a range of bytes, whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from batchfsm.auditing.columns.tokenizer import PAD
from batchfsm.logs import OBJECT_CHARS_MAX

LINE_BYTES_MAX: Final = 4 * OBJECT_CHARS_MAX  # A character has four bytes at most.
_MORE_BYTES: Final = 2**16
"""How much is read at a time behind the range, where its last line goes on."""

Fill = Callable[[int, Any], None]
"""Fills a buffer with the bytes of a file from an offset on; raises if the file does not have so many."""


class Split(NamedTuple):
    """Whole lines of a file."""

    offset: int
    """Where the first line begins; bytes."""
    text: bytearray
    """The lines, each with its end, and `PAD` line ends more."""
    size: int
    """How many bytes the lines have."""
    is_whole: bool
    """False if the last line is longer than `LINE_BYTES_MAX` and was cut off."""


def read_split(fill: Fill, begin: int, end: int, size: int) -> Split:
    """
    Read the lines that begin in a range.

    Args:
        fill: Reads the file.
        begin: Where the range begins; bytes.
        end: Where it ends.
        size: How many bytes the file has.
    """
    at = max(begin - 1, 0)  # A line begins behind the end of the one before it.
    text = bytearray(min(end + _MORE_BYTES, size) - at)
    fill(at, memoryview(text))
    start = text.find(b"\n", 0, end - at - 1) + 1 if begin else 0
    if begin and not start:
        return Split(end, bytearray(b"\n" * PAD), 0, is_whole=True)
    stop = text.find(b"\n", end - at - 1) + 1
    while not stop and at + len(text) < size and len(text) - (end - at) <= LINE_BYTES_MAX:
        filled = len(text)
        text.extend(bytes(min(size - at - filled, filled)))
        with memoryview(text) as view:
            fill(at + filled, view[filled:])
        stop = text.find(b"\n", filled) + 1
    is_whole = stop > 0 or at + len(text) == size
    if not stop:
        text += b"\n"
        stop = len(text)
    del text[stop:], text[:start]
    text += b"\n" * PAD
    return Split(at + start, text, stop - start, is_whole)
