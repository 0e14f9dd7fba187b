"""The digest of a text, which stands for it in columns: equal for equal bytes, and hardly ever else."""

from __future__ import annotations

from typing import Final

from batchfsm.auditing.tokens import compiled

_LOW: Final = 0xFFFFFFFF
_TOP: Final = 0x7FFFFFFF
# Odd, below 2**31: a product with 32 bits stays below 2**63, compiled or not.
_ONE, _TWO, _THREE, _FOUR = 0x5BD1E995, 0x1B873593, 0x45D9F3B3, 0x6C62272D


@compiled
def digest(buffer, start, end):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # Compiled: the types are its own.
    """Return a low and a high part of 63 bits each, not negative; the low one alone will do for most texts."""
    one, two, three, four = end - start, 0x9E3779B9, 0x7F4A7C15, 0x2545F491
    at = start
    while at < end:
        word = int(buffer[at])
        for place in range(1, min(4, end - at)):
            word |= int(buffer[at + place]) << (8 * place)
        at += 4
        one = _mixed((one ^ word) * _ONE)
        two = _mixed((two ^ word) * _TWO)
        three = _mixed((three ^ word) * _THREE)
        four = _mixed((four ^ word) * _FOUR)
    # Once more, so that the last bytes reach every bit.
    one, two = _mixed((one ^ four) * _TWO), _mixed((two ^ three) * _ONE)
    three, four = _mixed((three ^ one) * _FOUR), _mixed((four ^ two) * _THREE)
    return (one & _TOP) << 32 | two, (three & _TOP) << 32 | four


@compiled
def _mixed(product):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return (product ^ (product >> 29)) & _LOW
