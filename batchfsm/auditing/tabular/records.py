"""Rows of a table as the objects that lines of JSON would have held, for the scalar core."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from batchfsm.auditing.tabular.arrow import arrow
from batchfsm.auditing.tabular.layout import CLOCKS, COUNTS, JSON_TEXT
from batchfsm.auditing.tabular.piece import Piece
from batchfsm.errors import SnapshotError
from batchfsm.finding import Place
from batchfsm.logs import Sighting, Unreadable
from batchfsm.snapshot import COUNT_FIELDS
from batchfsm.wire import decode

_NESTED: Final = (COUNTS, "errors", "usage", "metadata")
_NUMBERS: Final = tuple(f"{COUNTS}.{name}" for name in COUNT_FIELDS)


def sightings(piece: Piece, numbers: Any, name: str) -> Iterator[Sighting | Unreadable]:
    """
    Yield what stands in each row.

    Args:
        piece: The rows.
        numbers: Their numbers in the table, from 0; places count from 1.
        name: What places call the table.
    """
    columns = {field: _values(array, is_clock=field in CLOCKS) for field, array in piece.arrays.items()}
    for row, number in enumerate(numbers):
        place = Place(name, int(number) + 1)
        try:
            yield Sighting(place, _object({field: values[row] for field, values in columns.items()}))
        except SnapshotError as error:
            yield Unreadable(place, error.problems[0][1])


def _values(array: Any, *, is_clock: bool) -> list[Any]:
    types = arrow().types
    values: list[Any] = array.to_pylist()
    if types.is_floating(array.type) and not is_clock:
        # They may be whole numbers: pandas has no other column of those that leaves one out.
        return [int(each) if each is not None and each % 1 == 0 else each for each in values]
    return [each and _Pairs(each) for each in values] if types.is_map(array.type) else values


class _Pairs(list[tuple[str, Any]]):
    """What a map holds, in which a key may stand twice."""


def _object(row: dict[str, Any]) -> dict[str, Any]:
    """Return an envelope, so that what stands beside a batch is never taken for a part of it."""
    seen: dict[str, Any] = {clock: row.pop(clock) for clock in CLOCKS if clock in row}
    if JSON_TEXT in row:
        return {**seen, "batch": None if row[JSON_TEXT] is None else decode(row[JSON_TEXT])}
    if _NUMBERS[0] in row:
        numbers = {each.partition(".")[2]: row.pop(each) for each in _NUMBERS}
        row[COUNTS] = numbers if row[COUNTS] else None
    for field in _NESTED:
        if (value := row.get(field)) is not None:
            row[field] = _nested(field, value)
    return {**seen, "batch": row}


def _nested(field: str, value: Any) -> Any:
    """Return what a column holds as JSON has it; SnapshotError for what it has not."""
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
        # The members of a struct are the keys of all rows: what a row has not is null there.
        return {name: inner for name, inner in value.items() if inner is not None}
    return value
