"""
The fast lane: objects of known keys and well-typed values, which is what nearly every server sends.

What it reads, it reads exactly as the converter of `fields` does (tests/test_wire.py holds
the two against each other); what it cannot vouch for, it leaves to that.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType, NoneType
from typing import Any, Final

import attrs

from batchfsm.dialects import Dialect
from batchfsm.snapshot import (
    COUNT_FIELDS,
    FLAT_FIELDS,
    TIME_FIELDS,
    WIRE_FIELDS,
    RequestCounts,
    Row,
    Snapshot,
)
from batchfsm.wire.fields import TIME_MAX, frozen

_KNOWN: Final = frozenset(WIRE_FIELDS)
_LANE: Final = ("id", *FLAT_FIELDS, "request_counts", "usage", "metadata", "object", "errors")
_TYPES: Final = tuple(
    frozenset(
        {
            NoneType,
            int if name in TIME_FIELDS else dict if name in {"request_counts", "usage", "metadata"} else str,
        }
    )
    for name in _LANE[:-1]
)
_TIMES: Final = slice(_LANE.index("created_at"), _LANE.index("expires_at") + 1)
_TEXTS: Final = slice(_LANE.index("endpoint"), _LANE.index("request_counts"))
_NESTED: Final = slice(_LANE.index("request_counts"), None)
_INTEGERS: Final = (int, int, int)
_NO_COUNTS: Final = (None, None, None)


@attrs.define(eq=False)  # Frozen would cost as much as a third of the reading.
class Plain:
    """What the fast lane read: copies of plain values, and nested ones still the caller's."""

    id: str
    row: Row
    usage: dict[str, Any] | None
    metadata: dict[str, str] | None

    def snapshot(self, observed_at: float | None) -> Snapshot:
        """Return it as a snapshot that shares nothing with the caller's object."""
        *flat, total, completed, failed = self.row
        counts = None if total is None else RequestCounts(total, completed, failed)
        usage = frozen(self.usage) if self.usage else None
        metadata = MappingProxyType({**self.metadata}) if self.metadata else None
        return Snapshot(self.id, *flat, counts, None, usage, metadata, observed_at)  # type: ignore[arg-type]


def plainly(wire: dict[Any, Any], dialect: Dialect) -> Plain | None:
    """Read an object, or return None if it is not plain through and through."""
    if not wire.keys() <= _KNOWN or dialect.null_times:
        return None
    values = tuple(map(wire.get, _LANE))
    if not _well_typed(tuple(map(type, values))) or values[1] in dialect.aliases:
        return None
    counts, usage, metadata, kind, _ = values[_NESTED]
    if not (values[0] and values[1]) or (kind != "batch" and kind is not None):
        return None
    for text in (*values[:2], *values[_TEXTS]):
        if text is not None and not (text and text.isascii()):
            return None
    for time in values[_TIMES]:
        if time is not None and not 0 < time <= TIME_MAX:
            return None
    numbers = _NO_COUNTS
    if counts is not None:
        numbers = tuple(map(counts.get, COUNT_FIELDS))
        if tuple(map(type, numbers)) != _INTEGERS or len(counts) != len(numbers):
            return None
    if (metadata and not _texts(metadata)) or (usage and not _shallow(usage)):
        return None
    return Plain(values[0], values[1:-5] + numbers, usage, metadata)


@lru_cache(maxsize=4096)
def _well_typed(types: tuple[type, ...]) -> bool:
    """Tell whether types along the lane are the wire's; a few dozen patterns ever occur."""
    return (
        types[0] is types[1] is str
        and types[-1] is NoneType
        and all(kind in allowed for kind, allowed in zip(types, _TYPES, strict=False))
    )


def _texts(metadata: dict[Any, Any]) -> bool:
    for key, value in metadata.items():
        if not (type(key) is type(value) is str and key.isascii() and value.isascii()):
            return False
    return True


def _shallow(usage: dict[Any, Any]) -> bool:
    """Tell whether usage holds numbers, and objects of numbers, only: then it is surely not nested too deep."""
    for value in usage.values():
        if type(value) is not int and not (type(value) is dict and {*map(type, value.values())} <= {int}):
            return False
    return True
