"""
The fast lane: objects of known keys and well-typed values, which is what nearly every server sends.

What it reads, it reads exactly as the converter of `fields` does (tests/wire/test_wire.py holds
the two against each other); what it cannot vouch for, it leaves to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType, NoneType
from typing import Any, Final

import attrs

from batchfsm.dialects import Dialect
from batchfsm.snapshot import (
    COUNT_FIELDS,
    FLAT_FIELDS,
    TIME_FIELDS,
    Row,
    Snapshot,
    make_counts,
    make_snapshot,
)
from batchfsm.wire.fields import TIME_MAX

_LANE: Final = ("id", *FLAT_FIELDS, "request_counts", "usage", "metadata", "object", "errors")
_NESTED: Final = frozenset({"request_counts", "usage", "metadata"})
_ALLOWED: Final = tuple(
    frozenset({NoneType, int if name in TIME_FIELDS else dict if name in _NESTED else str}) for name in _LANE[:-1]
)
_FLAT: Final = slice(1, 1 + len(FLAT_FIELDS))
_REST: Final = slice(_FLAT.stop, None)
_INTEGER: Final = frozenset({int})
_NO_COUNTS: Final = (None, None, None)
_PATTERNS_MAX: Final = 4096  # Healthy logs show a few dozen; a hostile one shall not grow the table.

_NULLS: Final[dict[Any, Any]] = dict.fromkeys(_LANE)  # Absent equals null.
_values_of: Final = itemgetter(*_LANE)
_counts_of: Final = itemgetter(*COUNT_FIELDS)


@attrs.frozen(eq=False)
class Pattern:
    """Which fields of a row are set, shared by all rows of that pattern; what reads them asks no more."""

    texts: Callable[[Row], Sequence[str]]
    times: Callable[[Row], Sequence[int]]


class _Patterns(dict[tuple[type, ...], Pattern | None]):
    """The pattern of each tuple of types along the lane; None if they are not the wire's."""

    def __missing__(self, types: tuple[type, ...]) -> Pattern | None:
        *front, errors = types
        well = front[0] is front[1] is str and errors is NoneType and all(map(_allows, _ALLOWED, front))
        pattern = _pattern(types[_FLAT]) if well else None
        if len(self) < _PATTERNS_MAX:
            self[types] = pattern
        return pattern


def _allows(allowed: frozenset[type], kind: type) -> bool:
    return kind in allowed


def _pattern(types: tuple[type, ...]) -> Pattern:
    return Pattern(*(_getter([index for index, kind in enumerate(types) if kind is due]) for due in (str, int)))


def _getter(indices: list[int]) -> Callable[[Row], Any]:
    """Return an `itemgetter` whose answer is a tuple even of one item or none."""
    return itemgetter(*indices) if len(indices) > 1 else lambda row: tuple(row[index] for index in indices)


_PATTERNS: Final = _Patterns()


@attrs.define(eq=False)  # Frozen would cost as much as a third of the reading.
class Plain:
    """What the fast lane read: copies of plain values, and nested ones still the caller's."""

    id: str
    row: Row
    usage: dict[str, Any] | None
    metadata: dict[str, str] | None
    pattern: Pattern

    def is_sound(self, dialect: Dialect) -> bool:
        """Tell whether texts and times are what the converter would take as they are."""
        status = self.row[0]
        texts = self.pattern.texts(self.row)
        if status in dialect.aliases or not (self.id and all(texts) and self.id.isascii() and "".join(texts).isascii()):
            return False
        for time in self.pattern.times(self.row):  # noqa: SIM110  # A generator would take half as long again.
            if not 0 < time <= TIME_MAX:
                return False
        return True

    def snapshot(self, observed_at: float | None) -> Snapshot:
        """Return it as a snapshot that shares nothing with the caller's object."""
        total, completed, failed = self.row[-3:]
        counts = None if total is None else make_counts(total, completed, failed)
        usage = None if self.usage is None else _frozen(self.usage)
        metadata = MappingProxyType({**self.metadata}) if self.metadata else None
        return make_snapshot(self.id, *self.row[:-3], counts, None, usage, metadata, observed_at)


def glance(wire: dict[Any, Any], dialect: Dialect) -> Plain | None:  # noqa: PLR0911  # It gives up early, often.
    """
    Read an object, or return None if it is not of plain types through and through.

    Whether it `is_sound` is still to be asked, unless it equals a row that was.
    """
    whole = wire if len(wire) == len(_NULLS) else _NULLS | wire
    if len(whole) > len(_NULLS) or dialect.null_times:
        return None
    try:
        values = _values_of(whole)
        pattern = _PATTERNS[tuple(map(type, values))]
        if pattern is None:
            return None
        counts, usage, metadata, kind, _ = values[_REST]
        numbers: tuple[Any, ...] = _NO_COUNTS if counts is None else _counts_of(counts)
    except KeyError:
        return None  # There is a key that is not known in the place of one that is.
    total, completed, failed = numbers
    if counts is not None and not (
        type(total) is type(completed) is type(failed) is int and len(counts) == len(numbers)
    ):
        return None
    if kind != "batch" and kind is not None:
        return None
    if (metadata and not _texts(metadata)) or (usage and not _shallow(usage)):
        return None
    return Plain(values[0], values[_FLAT] + numbers, usage, metadata, pattern)


def _texts(metadata: dict[Any, Any]) -> bool:
    for key, value in metadata.items():  # noqa: SIM110  # As above.
        if not (type(key) is type(value) is str and key.isascii() and value.isascii()):
            return False
    return True


def _shallow(usage: dict[Any, Any]) -> bool:
    """Tell whether usage holds numbers, and objects of numbers, only: then it is surely not nested too deep."""
    for value in usage.values():
        if type(value) is not int and not (type(value) is dict and _INTEGER.issuperset(map(type, value.values()))):
            return False
    return True


def _frozen(usage: dict[str, Any]) -> Mapping[str, object]:
    """Return a read-only copy of what is shallow, as `fields.frozen` does of anything."""
    copy = usage.copy()
    for key, value in usage.items():
        if type(value) is dict:
            copy[key] = MappingProxyType(value.copy())
    return MappingProxyType(copy)
