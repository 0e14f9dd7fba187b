"""What compiles the code of this room; and words, told from each other by their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit

_OPTIONS: Final[dict[str, Any]] = {
    "cache": True,  # Kept on disk: compiling it all takes half a minute.
    "nogil": True,
    # Nothing is allocated in here, so nothing has to be counted: to count took two thirds of the time.
    "_nrt": False,
}
compiled: Any = njit(**_OPTIONS)
"""Compiles a function when it is first called. It takes only what needs no Python object, and makes no arrays."""

inlined: Any = njit(**_OPTIONS, forceinline=True)
"""The same, put into whatever calls it: with its arrays, a call costs more than what a small one does."""


WORD: Final = 8
"""How many bytes `word` takes together."""


class Words(NamedTuple):
    """A table of words by their bytes."""

    letters: Any
    """All words, one behind the other; uint8."""
    spans: Any
    """Rows `(start, end, code)`; start -1 where there is none. As many as a power of two."""


def words(codes: Mapping[str, int]) -> Words:
    """Return a table of words with their codes, which are not negative."""
    spans = np.full((1 << (4 * len(codes)).bit_length(), 3), -1, np.int64)
    letters = "".join(codes).encode()
    start = 0
    for word, code in codes.items():
        end = start + len(word.encode())
        at = _mixed(np.frombuffer(letters, np.uint8), start, end) & (len(spans) - 1)
        while spans[at, 0] >= 0:
            at = (at + 1) & (len(spans) - 1)
        spans[at] = start, end, code
        start = end
    return Words(np.frombuffer(letters, np.uint8), spans)


@compiled
def _mixed(buffer, start, end):  # type: ignore[no-untyped-def]
    mixed = end - start
    for at in range(start, end):
        mixed = (mixed * 31 + int(buffer[at])) & 0xFFFFFF
    return mixed ^ (mixed >> 9)


@inlined
def word(buffer, at):  # type: ignore[no-untyped-def]
    """Return eight bytes as one number; written out, and with an unsigned place, it is one load."""
    place = np.uint64(at)
    return (
        np.uint64(buffer[place])
        | np.uint64(buffer[place + np.uint64(1)]) << np.uint64(8)
        | np.uint64(buffer[place + np.uint64(2)]) << np.uint64(16)
        | np.uint64(buffer[place + np.uint64(3)]) << np.uint64(24)
        | np.uint64(buffer[place + np.uint64(4)]) << np.uint64(32)
        | np.uint64(buffer[place + np.uint64(5)]) << np.uint64(40)
        | np.uint64(buffer[place + np.uint64(6)]) << np.uint64(48)
        | np.uint64(buffer[place + np.uint64(7)]) << np.uint64(56)
    )


@inlined
def equal(one, start, end, other, begin):  # type: ignore[no-untyped-def]
    """Tell whether two pieces of equal length have the same bytes."""
    size, at = end - start, 0
    while at + WORD <= size:
        if word(one, start + at) != word(other, begin + at):
            return False
        at += WORD
    while at < size:
        if one[start + at] != other[begin + at]:
            return False
        at += 1
    return True


@compiled
def code_of(buffer, start, end, table):  # type: ignore[no-untyped-def]
    """Return the code of a word; -1 if the table has it not."""
    room = len(table.spans) - 1
    at = _mixed(buffer, start, end) & room
    while table.spans[at, 0] >= 0:
        begin = table.spans[at, 0]
        if table.spans[at, 1] - begin == end - start and equal(buffer, start, end, table.letters, begin):
            return table.spans[at, 2]
        at = (at + 1) & room
    return -1
