"""A cache of parsed rows by the content of their objects: a poller reads an unchanged object many times."""

from __future__ import annotations

import marshal
from typing import Any, Final

from batchfsm.wire.fast_path import ParsedRow

ROWS_MAX: Final = 1024
"""The number of rows that are kept; then the cache starts anew."""

BYTES_MAX: Final = 4096
"""The length of the content of the longest object that is kept; real ones have about 600 bytes."""

_VERSION: Final = 2  # Versions above write equal values as different bytes: they mark shared and interned ones.


def content_of(found: dict[Any, Any]) -> bytes | None:
    """Return the values of an object, with their types, as bytes; None if it is long, or has other types than JSON."""
    try:
        content = marshal.dumps(found, _VERSION)
    except ValueError:
        return None
    return content if len(content) <= BYTES_MAX else None


class RowCache:
    """The rows of one dialect, by content; safe to share between threads."""

    def __init__(self) -> None:
        self._rows: dict[bytes, ParsedRow] = {}

    def find(self, content: bytes, observed_at: float | None) -> ParsedRow | None:
        """Return the row of an object with this content, at a time of observation; None if it is not kept."""
        row = self._rows.get(content)
        return None if row is None else row.at(observed_at)

    def add(self, content: bytes, parsed: ParsedRow) -> None:
        """Keep a row without invalid fields."""
        if parsed.pattern is not None:
            if len(self._rows) >= ROWS_MAX:
                self._rows.clear()
            self._rows[content] = parsed.detached()
