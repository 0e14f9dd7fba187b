"""Whole lines of JSON scanned on any number of threads, each at a desk of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np

from batchfsm.auditing.columnar.fields import habits
from batchfsm.auditing.columnar.scanner import BLANK, PAD, PLAIN, Desk, desk, scan
from batchfsm.dialects import Dialect
from batchfsm.logs import OBJECT_CHARS_MAX

LINE_END: Final = 10
_ASCII_MAX: Final = 127


class Scanned(NamedTuple):
    """Lines as whole numbers."""

    cells: Any
    """What they say; as in a `Chunk`."""
    seen: Any
    plain: Any
    starts: Any
    """Where each begins, and the last one ends; bytes."""


class Desks:
    """Desks for one dialect; as many as were ever taken at a time."""

    def __init__(self, dialect: Dialect) -> None:
        """Know how the dialect writes."""
        self._habits = habits(dialect)
        self._free: list[Desk] = []

    def scanned(self, buffer: Any, size: int) -> tuple[Any, Any, Any, Any]:
        """
        Scan some lines.

        Args:
            buffer: Whole lines, and at least `PAD` bytes more; uint8.
            size: How many bytes the lines have.

        Returns:
            As `scan`; what is too long for the scalar core is not plain.
        """
        body = buffer[:size]
        place = self._free.pop() if self._free else desk()
        lines = int(np.count_nonzero(body == LINE_END))
        found = scan(buffer[: size + PAD], self._habits, place, utf8=_is_utf8(body), lines=lines)
        self._free.append(place)
        _, _, starts, kinds = found
        kinds[np.diff(starts, append=size) > OBJECT_CHARS_MAX] = BLANK + 1  # Too long for the scalar core, too.
        return found

    def lines(self, buffer: Any, size: int) -> Scanned:
        """As `scanned`, but tell only what is plain of what each line is."""
        cells, seen, starts, kinds = self.scanned(buffer, size)
        return Scanned(cells, seen, kinds == PLAIN, np.append(starts, size))

    def texts(self, texts: Iterable[bytes]) -> Scanned:
        """Scan texts, a row each, whether there is a line end in one or not."""
        # Of some one would make several lines; a blank line is one, and not plain either.
        body = b"".join(b"\n" if b"\n" in text else text + b"\n" for text in texts)
        return self.lines(np.frombuffer(body + PAD * b"\n", np.uint8), len(body))


def _is_utf8(body: Any) -> bool:
    if not body.size or body.max() <= _ASCII_MAX:
        return True
    try:
        body.tobytes().decode()
    except UnicodeDecodeError:
        return False
    return True
