"""Rows of a table as objects, such as lines of JSON would hold, for the row engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from batchfsm.auditing.tables.arrow import load_arrow
from batchfsm.auditing.tables.normalized_batch import NormalizedBatch
from batchfsm.auditing.tables.schema import COUNTS, JSON_TEXT, OBSERVED_AT_FIELDS
from batchfsm.errors import SnapshotError
from batchfsm.finding import LogPosition
from batchfsm.logs import RawRecord, UnreadableEntry
from batchfsm.snapshot import COUNT_FIELDS
from batchfsm.wire import decode

_NESTED: Final = (COUNTS, "errors", "usage", "metadata")
_NUMBERS: Final = tuple(f"{COUNTS}.{name}" for name in COUNT_FIELDS)


def raw_records(batch: NormalizedBatch, places: Iterable[LogPosition]) -> Iterator[RawRecord | UnreadableEntry]:
    """Yield each row of a batch as an object, with its place."""
    columns = {
        field: _to_list(array, is_observed_at=field in OBSERVED_AT_FIELDS) for field, array in batch.arrays.items()
    }
    for row, place in enumerate(places):
        try:
            yield RawRecord(place, _to_envelope({field: values[row] for field, values in columns.items()}))
        except SnapshotError as error:
            yield UnreadableEntry(place, error.problems[0][1])


def _to_list(array: Any, *, is_observed_at: bool) -> list[Any]:
    types = load_arrow().types
    values: list[Any] = array.to_pylist()
    if types.is_floating(array.type) and not is_observed_at:
        # They may be integers: pandas turns a column of integers with a gap into floats.
        return [int(each) if each is not None and each % 1 == 0 else each for each in values]
    return [None if each is None else _Pairs(each) for each in values] if types.is_map(array.type) else values


class _Pairs(list[tuple[str, Any]]):
    """The entries of a map, in which a key may occur twice."""


def _to_envelope(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as an envelope: so the time of observation is never taken for a field of the batch."""
    times: dict[str, Any] = {field: row.pop(field) for field in OBSERVED_AT_FIELDS if field in row}
    if JSON_TEXT in row:
        return {**times, "batch": None if row[JSON_TEXT] is None else decode(row[JSON_TEXT])}
    if _NUMBERS[0] in row:
        numbers = {each.partition(".")[2]: row.pop(each) for each in _NUMBERS}
        row[COUNTS] = numbers if row[COUNTS] else None
    for field in _NESTED:
        if (value := row.get(field)) is not None:
            row[field] = _to_json_value(field, value)
    return {**times, "batch": row}


def _to_json_value(field: str, value: Any) -> Any:
    """Return a nested value as JSON would have it; SnapshotError if JSON text is invalid or a key occurs twice."""
    if isinstance(value, str):
        try:
            return decode(value) if value else None
        except SnapshotError as error:
            raise SnapshotError([(f"$.{field}", f"{field} is {error.problems[0][1]}")]) from None
    if isinstance(value, _Pairs):
        found = dict(value)
        if len(found) < len(value):
            raise SnapshotError([(f"$.{field}", f"{field} has a key that stands twice")])
        return found
    if isinstance(value, dict) and field in ("usage", "metadata"):
        # The members of a struct are the keys of all rows: in a row that lacks a key, its member is null.
        return {name: inner for name, inner in value.items() if inner is not None}
    return value
