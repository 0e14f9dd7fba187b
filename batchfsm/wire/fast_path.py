"""
The fast path of the reader, for objects whose values all have the wire's types, as nearly all objects do.

It reads a mapping through the layout of its keys, which is worked out once for each set of
keys: how an SDK spells them, which are unknown, which are absent. It returns exactly the values
that the converter would (tests/wire/test_wire.py compares the two), or leaves the object to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from math import inf
from operator import itemgetter
from types import MappingProxyType, NoneType
from typing import Any, Final

import attrs

from batchfsm.dialects import Dialect
from batchfsm.lifecycle import ENDED_AT
from batchfsm.snapshot import (
    ALL_TIME_FIELDS,
    COUNT_FIELDS,
    FILE_FIELDS,
    ROW_FIELDS,
    TEXT_FIELDS,
    WIRE_FIELDS,
    BatchErrorEntry,
    Snapshot,
    SnapshotRow,
    make_counts,
    make_snapshot,
    to_row,
)
from batchfsm.wire.envelope import SPELLINGS, canonical_errors, canonical_keys
from batchfsm.wire.values import TIME_MAX, StructureHook, parse_time, time_hook, to_read_only

_PICKED: Final = (*ROW_FIELDS, "id", "object", "request_counts", "usage", "metadata", "errors")
_ROW_WIDTH: Final = len(ROW_FIELDS)
_ALLOWED: Final = tuple(frozenset({NoneType, int if name in ALL_TIME_FIELDS else str}) for name in ROW_FIELDS[1:])
_TIMES: Final = tuple(index for index, name in enumerate(ROW_FIELDS) if name in ALL_TIME_FIELDS)
_FILES: Final = frozenset(index for index, name in enumerate(ROW_FIELDS) if name in FILE_FIELDS)
_TEXTS: Final = frozenset(index for index, name in enumerate(ROW_FIELDS) if name in TEXT_FIELDS)
_NUMBERS_OR_NULLS: Final = frozenset({int, NoneType})
_COUNT_KEYS: Final = frozenset(COUNT_FIELDS)
_NO_COUNTS: Final = (None, None, None)
_ATOMS: Final = frozenset({str, int, float, bool, NoneType})
_PATTERNS_MAX: Final = 4096  # Healthy logs show a few dozen; a hostile one shall not grow the tables.
_KEYS_MAX: Final = 64
_TIME_TEXTS_MAX: Final = 4096  # The snapshots of a batch repeat its times.

_counts_of: Final = itemgetter(*COUNT_FIELDS)
_no_extra: Final[Mapping[str, object]] = MappingProxyType({})


@attrs.frozen(eq=False)
class TypePattern:
    """The types of a row's values: which fields are set. One object for all rows of that pattern."""

    texts: Callable[[SnapshotRow], Sequence[str]]
    times: Callable[[SnapshotRow], Sequence[int]]


Known = Callable[[str, SnapshotRow, TypePattern], SnapshotRow | None]
"""Returns the last row of a batch if it was read here and equals this one of the same pattern, else None."""


@attrs.frozen(eq=False)
class _Layout:
    """Where the fields stand among the values of a mapping with certain keys."""

    pick: Callable[[SnapshotRow], SnapshotRow]
    """Picks the values of `_PICKED`, given the mapping's own and None behind them."""

    extra: tuple[int, ...]
    """Where the unknown keys stand."""


class _Patterns(dict[tuple[type, ...], TypePattern | None]):
    """The pattern of each tuple of types of a row; None if they are not the wire's."""

    def __missing__(self, types: tuple[type, ...]) -> TypePattern | None:
        flat, numbers = types[1:_ROW_WIDTH], {*types[_ROW_WIDTH:]}
        allowed = all(map(_allows, _ALLOWED, flat)) and numbers <= _NUMBERS_OR_NULLS
        pattern = TypePattern(_getter(types, str), _getter(types, int)) if allowed and types[0] is str else None
        if len(self) < _PATTERNS_MAX:
            self[types] = pattern
        return pattern


class _Layouts(dict[tuple[Any, ...], _Layout | None]):
    """The layout of each tuple of keys; None if the converter has to read the mapping."""

    def __init__(self, known: Collection[str]) -> None:
        super().__init__()
        self._known = known

    def __missing__(self, keys: tuple[Any, ...]) -> _Layout | None:
        if len(self) >= _PATTERNS_MAX or len(keys) > _KEYS_MAX:
            return None
        self[keys] = layout = _layout(keys, self._known)
        return layout


def _layout(keys: tuple[Any, ...], known: Collection[str]) -> _Layout | None:
    found: dict[str, int] = {}
    extra: list[int] = []
    for index, key in enumerate(keys):
        if not isinstance(key, str):
            return None  # 1 and True are one key of a table.
        name = SPELLINGS.get(key)
        if name is None or name not in known:
            extra.append(index)
        elif name in found:
            return None  # Two spellings may disagree.
        else:
            found[name] = index
    return _Layout(itemgetter(*(found.get(name, -1) for name in _PICKED)), tuple(extra))


def _allows(allowed: frozenset[type], kind: type) -> bool:
    return kind in allowed


def _getter(types: tuple[type, ...], due: type) -> Callable[[SnapshotRow], Any]:
    """Return a function that picks the values of one type, counts excluded, as a tuple."""
    indices = [index for index, kind in enumerate(types[:_ROW_WIDTH]) if kind is due]
    return itemgetter(*indices) if len(indices) > 1 else lambda row: tuple(row[index] for index in indices)


_PATTERNS: Final = _Patterns()
_UNCHECKED: Final = _Patterns()  # Of rows whose values are not checked: a caller can build any snapshot.
_LAYOUTS: Final = _Layouts(frozenset(WIRE_FIELDS))
_LAYOUTS_WITH_END: Final = _Layouts(frozenset({*WIRE_FIELDS, ENDED_AT}))


def known_fields(dialect: Dialect) -> frozenset[str]:
    """Return the fields of objects of a dialect; `ended_at` is one only where it is a stamp."""
    return frozenset(WIRE_FIELDS) | ({ENDED_AT} & {state.stamp for state in dialect.lifecycle.states})


@attrs.define(eq=False)  # Frozen would cost as much as a third of the reading.
class ParsedRow:
    """
    The parsed fields of one batch object; `snapshot` builds a `Snapshot` of them on first use.

    Nested values may still be the caller's: use it, or take its snapshot, before the caller can change them.
    """

    id: Any
    """The batch's id, text; from the auditor alone it may be None."""

    row: SnapshotRow
    """The plain values, as `to_row` has them."""

    pattern: TypePattern | None
    """Stands for their types; None if a field is bad, or the counts are no three numbers or nulls."""

    observed_at: float | None
    errors: tuple[BatchErrorEntry, ...] | None
    metadata: Mapping[str, Any] | None
    chars: float = inf
    """How many characters metadata has, if they were counted."""

    _usage: Mapping[str, Any] | None = None
    _extra: Mapping[str, object] = _no_extra
    _snapshot: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The whole of it, sharing nothing with the caller's object."""
        snapshot = self._snapshot
        if snapshot is None:
            row, usage, metadata = self.row, self._usage, self.metadata
            counts = row[_ROW_WIDTH:]
            self._snapshot = snapshot = make_snapshot(
                self.id,
                *row[:_ROW_WIDTH],
                None if counts == _NO_COUNTS else make_counts(*counts),
                self.errors,
                None if usage is None else _frozen(usage),
                None if metadata is None else MappingProxyType({**metadata}),
                self.observed_at,
                _no_extra,
                self._extra,
            )
        return snapshot

    def detached(self) -> ParsedRow:
        """Return a copy that shares nothing with the caller's object."""
        usage, metadata = self._usage, self.metadata
        return ParsedRow(
            self.id, self.row, self.pattern, self.observed_at, self.errors,
            None if metadata is None else MappingProxyType({**metadata}), self.chars,
            None if usage is None else _frozen(usage), self._extra,
        )  # fmt: skip

    def at(self, observed_at: float | None) -> ParsedRow:
        """Return the row of another observation of the same object."""
        return ParsedRow(
            self.id, self.row, self.pattern, observed_at, self.errors, self.metadata, self.chars, self._usage,
            self._extra,
        )  # fmt: skip

    def __reduce__(self) -> tuple[Callable[..., ParsedRow], tuple[Any, ...]]:
        """Pickle plain values, which are the same in another process; a pattern is not."""
        if self.pattern is None:
            return _of_snapshot, (self.snapshot,)
        extra = None if self._extra is _no_extra else self._extra
        return _restored, (self.id, self.row, self.observed_at, self.errors, self.metadata, self._usage, extra)

    @classmethod
    def of(cls, snapshot: Snapshot) -> ParsedRow:
        """Return a snapshot as a row."""
        row, counts = to_row(snapshot), snapshot.request_counts
        pattern = None if snapshot.bad or type(snapshot.id) is not str else _UNCHECKED[tuple(map(type, row))]
        if counts is not None and row[_ROW_WIDTH:] == _NO_COUNTS:
            pattern = None  # A row of nulls would pass for one without counts.
        return cls(
            snapshot.id, row, pattern, snapshot.observed_at, snapshot.errors, snapshot.metadata or None,
            inf, snapshot.usage, snapshot.extra, snapshot,
        )  # fmt: skip


def _of_snapshot(snapshot: Snapshot) -> ParsedRow:
    return ParsedRow.of(snapshot)


def _restored(batch_id: str, row: SnapshotRow, *rest: Any) -> ParsedRow:
    observed_at, errors, metadata, usage, extra = rest
    pattern = _UNCHECKED[tuple(map(type, row))]
    return ParsedRow(
        batch_id, row, pattern, observed_at, errors, metadata, inf, usage, _no_extra if extra is None else extra
    )


class _StatusWords(dict[str, str]):
    """The lifecycle's word for each of the wire's words; an unknown word stays as it is."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self._dialect = dialect

    def __missing__(self, word: str) -> str:
        if type(word) is not str:
            raise TypeError  # The converter refuses it.
        status = self._dialect.canonical_status(word)
        if len(self) < _PATTERNS_MAX and len(word) <= _KEYS_MAX:
            self[word] = status
        return status


class FastPath:
    """Reads plain mappings as one dialect writes them."""

    def __init__(self, dialect: Dialect, errors: StructureHook) -> None:
        """
        Prepare for a dialect.

        Args:
            dialect: Whose habits of writing are taken for granted.
            errors: Reads `errors` whose keys are canonical.
        """
        self._words = _StatusWords(dialect)
        self._layouts = _LAYOUTS_WITH_END if ENDED_AT in known_fields(dialect) else _LAYOUTS
        self._blanks = _TEXTS if dialect.null_text else _FILES
        self._null_times = frozenset(dialect.null_time_values)
        self._null_counts = dialect.null_counts
        self._kinds = ("batch", None, "") if dialect.null_text else ("batch", None)
        self._errors = errors
        self._time = time_hook(dialect)
        self._time_of_text = lru_cache(_TIME_TEXTS_MAX)(lambda text: self._time(text, None))

    def parse(  # noqa: C901  # One more call for each object would be felt.
        self, wire: dict[Any, Any], observed_at: Any = None, known: Known | None = None
    ) -> ParsedRow | None:
        """
        Read an object.

        Args:
            wire: The object, bare.
            observed_at: When it was seen, not checked yet.
            known: Finds the last row of the batch, which need not be checked again.

        Returns:
            None if the converter has to read it.
        """
        layout = self._layouts[tuple(wire)]
        if layout is None:
            return None
        values = (*wire.values(), None)
        picked = layout.pick(values)
        batch_id, kind, counts, usage, metadata, errors = picked[_ROW_WIDTH:]
        if kind not in self._kinds or type(batch_id) is not str or not batch_id:
            return None
        try:
            seen = None if observed_at is None else parse_time(observed_at)
            if type(counts) is dict and counts.keys() == _COUNT_KEYS:
                row = picked[:_ROW_WIDTH] + _counts_of(counts)
            else:
                row = picked[:_ROW_WIDTH] + (_NO_COUNTS if counts is None else _canonical_counts(counts))
            if counts is not None and None in row[_ROW_WIDTH:] and not self._takes_null_counts(row):
                return None
            pattern = _PATTERNS[tuple(map(type, row))]
            last = None if known is None or pattern is None else known(batch_id, row, pattern)
            if last is None:
                row, pattern = self._checked(batch_id, row, pattern)
            else:
                row = last
            chars = 0
            if metadata is not None:
                chars, metadata = _chars_of(metadata), metadata or None
            if usage is not None and not _is_shallow(usage):
                usage = to_read_only(usage)
            if errors is not None:
                errors = self._errors(canonical_errors(errors), None)
            extra = _no_extra
            if layout.extra or row[0] is not picked[0]:
                extra = _extra(wire, values, layout.extra, picked[0], row[0])
        except (ValueError, TypeError, ArithmeticError, KeyError, ExceptionGroup):
            return None  # Some value is odd; cattrs raises a group of errors.
        return ParsedRow(batch_id, row, pattern, seen, errors, metadata, chars, usage, extra)

    def _checked(self, batch_id: str, row: SnapshotRow, pattern: TypePattern | None) -> tuple[SnapshotRow, TypePattern]:
        """Return a row in canonical form, with its pattern; ValueError or TypeError if it cannot be taken as it is."""
        texts: Sequence[str] = ()
        is_canonical = False
        if pattern is not None:
            texts, times = pattern.texts(row), pattern.times(row)
            is_canonical = (
                "" not in texts
                and self._words[row[0]] == row[0]
                and (not times or (min(times) > 0 and max(times) <= TIME_MAX))
                and (not self._null_times or self._null_times.isdisjoint(times))
            )
        if not is_canonical or pattern is None:
            row = self._canonical(row)
            pattern = _PATTERNS[tuple(map(type, row))]
            if pattern is None:
                raise TypeError
            texts = pattern.texts(row)
        text = batch_id + "".join(texts)
        if not text.isascii():
            text.encode()  # A lone surrogate is not text.
        return row, pattern

    def _canonical(self, row: SnapshotRow) -> SnapshotRow:
        """Return a row with blanks and sentinels as None, times in seconds, and the lifecycle's word for the status."""
        values = [*row]
        values[0] = self._words[row[0]]
        for index in _TIMES:
            if values[index] is None:
                continue
            value = values[index]
            values[index] = self._time_of_text(value) if type(value) is str else self._time(value, None)
        for index in self._blanks:
            values[index] = None if values[index] == "" else values[index]
        return tuple(values)

    def _takes_null_counts(self, row: SnapshotRow) -> bool:
        """Return whether a row may have null counts: not all of them, which would pass for no counts."""
        return self._null_counts and row[_ROW_WIDTH:] != _NO_COUNTS


def _canonical_counts(counts: Any) -> tuple[Any, ...]:
    """Return the three numbers of `request_counts` spelled otherwise; TypeError if they are none."""
    if type(counts) is not dict:
        raise TypeError
    numbers: tuple[Any, ...] = _counts_of(dict.fromkeys(COUNT_FIELDS) | canonical_keys(counts))
    return numbers


def _chars_of(metadata: Any) -> int:
    """Return how many characters metadata has; TypeError if it holds anything but text."""
    if type(metadata) is not dict:
        if metadata != []:
            raise TypeError
        return 0  # PHP writes an empty map as [].
    text = "".join([*metadata, *metadata.values()])
    if not text.isascii():
        text.encode()  # As above.
    return len(text)


def _is_shallow(usage: Any) -> bool:
    """Return whether usage holds plain values, and objects of plain values, only: then it is not nested too deep."""
    if type(usage) is not dict:
        raise TypeError
    for value in usage.values():
        if type(value) is dict:
            for inner in value.values():
                if type(inner) is not int and type(inner) not in _ATOMS:
                    return False
        elif type(value) is not int and type(value) not in _ATOMS:
            return False
    return True


def _frozen(usage: Mapping[str, Any]) -> Mapping[str, object]:
    """Return a read-only copy of usage, which is shallow or frozen already."""
    copy = {**usage}
    for key, value in copy.items():
        if type(value) is dict:
            copy[key] = MappingProxyType({**value})
    return MappingProxyType(copy)


def _extra(
    wire: dict[str, Any], values: Sequence[Any], places: Sequence[int], word: str, status: str
) -> Mapping[str, object]:
    """Return a read-only copy of the unknown keys, and the wire's word of an alias."""
    keys = [*wire]
    extra = {keys[place]: to_read_only(values[place]) for place in places}
    return MappingProxyType(extra if word == status else extra | {"status": word})
