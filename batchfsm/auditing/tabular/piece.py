"""Some rows of a table, field by field, each in one of few types: whole numbers, floats, text, or as it was nested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from batchfsm.auditing.tabular.arrow import arrow
from batchfsm.auditing.tabular.layout import CLOCKS, COUNTS, Layout
from batchfsm.errors import SourceError
from batchfsm.snapshot import COUNT_FIELDS, TIME_FIELDS
from batchfsm.wire import SPELLINGS

_MICROS: Final = 10**6


@attrs.frozen(eq=False)
class Piece:
    """Rows in the order of their table."""

    count: int
    """How many."""

    arrays: Mapping[str, Any]
    """
    What each field holds, of Arrow's types: times and numbers of requests int64, uint64, float64 or text; times
    of observation float64 or text; text as text, plain or by dictionary; the rest as it is nested. Numbers of
    requests are fields of their own, and `request_counts` then tells (bool) whether they are set.
    """


def piece(batch: Any, layout: Layout, name: str) -> Piece:
    """
    Sort the columns of a record batch by field.

    Raises:
        SourceError: If a text is not UTF-8, or a number is beyond 64 bits.
    """
    pa = arrow()
    arrays: dict[str, Any] = {}
    for field, path in layout.paths.items():
        array = batch.column(path[0])
        for member in path[1:]:
            array = array.flatten()[array.type.get_field_index(member)]
        try:
            if field == COUNTS and pa.types.is_struct(array.type):
                arrays |= _numbers(array)
            else:
                arrays[field] = _plain(field, array)
        except pa.ArrowInvalid as error:
            raise SourceError(f"{name}: the column {'.'.join(path)} cannot be read: {error}") from error
    if f"{COUNTS}.total" in arrays and COUNTS not in arrays:
        given = [arrays[f"{COUNTS}.{each}"].is_valid() for each in COUNT_FIELDS]
        # Three columns of nulls are no counts.
        arrays[COUNTS] = pa.compute.or_(pa.compute.or_(given[0], given[1]), given[2])
    return Piece(batch.num_rows, arrays)


def _numbers(struct: Any) -> dict[str, Any]:
    """Return the counts of a struct, and where it is set."""
    pa = arrow()
    held = {SPELLINGS.get(member.name): array for member, array in zip(struct.type, struct.flatten(), strict=True)}
    nulls = pa.nulls(len(struct), pa.int64())
    found = {f"{COUNTS}.{each}": _plain(COUNTS, held[each]) if each in held else nulls for each in COUNT_FIELDS}
    return {**found, COUNTS: struct.is_valid()}


def _plain(field: str, array: Any) -> Any:
    """Return what a column holds, in one of few types."""
    pa = arrow()
    array = getattr(array, "storage", array)  # Of what has a type of its own, such as JSON.
    types, kind = pa.types, array.type
    if types.is_dictionary(kind):
        if types.is_string(kind.value_type) and not array.dictionary.null_count:
            array.dictionary.validate(full=True)
            return array
        array, kind = array.dictionary_decode(), kind.value_type
    if types.is_binary(kind) or types.is_large_binary(kind):
        return array.cast(pa.large_string())
    if types.is_string(kind) or types.is_large_string(kind) or types.is_nested(kind):
        array.validate(full=True)  # Parquet does not promise that text is UTF-8.
        return array
    is_clock = field in CLOCKS
    if types.is_null(kind) and not (is_clock or field in TIME_FIELDS or field.startswith(COUNTS)):
        return array.cast(pa.string())
    return _number(array, is_clock=is_clock)


def _number(array: Any, *, is_clock: bool) -> Any:
    """Return numbers and timestamps as whole numbers, or as floats where they are floats or of observation."""
    pa, kind = arrow(), array.type
    if pa.types.is_timestamp(kind):
        return _since_1970(array, is_clock=is_clock)
    if is_clock or pa.types.is_floating(kind):
        return array.cast(pa.float64(), safe=False)
    return array if pa.types.is_uint64(kind) else array.cast(pa.int64())


def _since_1970(array: Any, *, is_clock: bool) -> Any:
    """Return timestamps as Unix seconds; those of observation with their fractions, to the microsecond."""
    pa = arrow()
    unit = "us" if is_clock else "s"
    whole = array.cast(pa.timestamp(unit), safe=False).cast(pa.int64())  # Finer ones are cut off.
    return pa.compute.divide(whole.cast(pa.float64(), safe=False), float(_MICROS)) if is_clock else whole
