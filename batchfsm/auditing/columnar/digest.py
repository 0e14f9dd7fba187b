"""
Texts as whole numbers: equal ones have equal digests, others hardly ever, whoever read them.

Products of 32 by 32 bits fit into 64, so nothing here overflows, compiled or not.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from batchfsm.auditing.columnar.words import (
    WORD,
    compiled,
    inlined,
    word,
)

# Numbers of one type, or the compiler would turn to floats where signed and unsigned ones meet.
_HALF: Final = np.uint64(32)
_LOW_HALF: Final = np.uint64(2**32 - 1)
_ONE: Final = np.uint64(1)
# Odd numbers of 32 bits without a pattern: the first digits of the square roots of 2, 3, 5 and 7 behind the point.
_SQRT_2, _SQRT_3, _SQRT_5, _SQRT_7 = (np.uint64(part) for part in (0x6A09E667, 0xBB67AE85, 0x3C6EF373, 0xA54FF53B))


@inlined
def _mixed(state, one, other):  # type: ignore[no-untyped-def]
    """Spread every bit of a state over the others; a change in one half alone always changes the outcome."""
    low, high = (state & _LOW_HALF) * one, (state >> _HALF) * other
    return low ^ (high >> _HALF) ^ (high << _HALF)


@inlined
def _few(buffer, at, end):  # type: ignore[no-untyped-def]
    word = np.uint64(0)
    for place in range(at, end):
        word = word << np.uint64(8) | np.uint64(buffer[place])
    return word


@compiled
def digest(buffer, start, end):  # type: ignore[no-untyped-def]
    """
    Return the digest of some bytes.

    Args:
        buffer: Bytes, uint8; what lies beyond `end` is not touched.
        start: Where they begin.
        end: Where they end.

    Returns:
        `(low, high)`, of 63 bits each, never negative: so never NULL. The low one alone does for all but ids.
    """
    low = _SQRT_2 ^ np.uint64(end - start)
    high = _SQRT_7 ^ np.uint64(end - start)
    at, rest = start, end - start
    while rest > 0:
        # The last bytes are read together with some before them, if there are: the length tells these apart.
        is_whole = rest >= WORD or at > start
        piece = word(buffer, min(at, end - WORD)) if is_whole else _few(buffer, at, end)
        low = _mixed(low ^ piece, _SQRT_2, _SQRT_3)
        high = _mixed(high ^ piece, _SQRT_5, _SQRT_7)
        at += WORD
        rest -= WORD
    for _ in range(2):
        low = _mixed(low, _SQRT_7, _SQRT_5)
        high = _mixed(high, _SQRT_3, _SQRT_2)
    return np.int64(low >> _ONE), np.int64(high >> _ONE)


def key_of(batch_id: str) -> tuple[int, int]:
    """Return the digest of an id."""
    letters = np.frombuffer(batch_id.encode("utf-8", "surrogatepass"), np.uint8)
    low, high = digest(letters, 0, len(letters))
    return int(low), int(high)
