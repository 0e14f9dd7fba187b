"""A batch of a table's rows, field by field, converted to few Arrow types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from batchfsm.auditing.tables.arrow import first_line, load_arrow, load_compute
from batchfsm.auditing.tables.schema import COUNTS, OBSERVED_AT_FIELDS, TableSchema
from batchfsm.errors import SourceError
from batchfsm.snapshot import COUNT_FIELDS, TIME_FIELDS
from batchfsm.wire import SPELLINGS


@attrs.frozen(eq=False)
class NormalizedBatch:
    """Consecutive rows of a table."""

    count: int

    arrays: Mapping[str, Any]
    """
    The Arrow array of each field. Times and numbers of requests are int64, uint64, float64 or text; times of
    observation int64, float64 or text; text is text, plain or by dictionary; other fields are nested as in the table.
    Numbers of requests are fields of their own: `request_counts.total`; `request_counts` (bool) is then True
    where they are set.
    """

    def slice(self, first: int, count: int) -> NormalizedBatch:
        """Return at most `count` rows from `first` on; nothing is copied."""
        arrays = {field: array.slice(first, count) for field, array in self.arrays.items()}
        return NormalizedBatch(min(count, self.count - first), arrays)


def normalize(batch: Any, fields: TableSchema, name: str) -> NormalizedBatch:
    """
    Convert an Arrow record batch of the table `name`.

    Raises:
        SourceError: If a text is not UTF-8, a number has more than 64 bits, or a column is damaged.
    """
    pa = load_arrow()
    arrays: dict[str, Any] = {}
    for field, path in fields.paths.items():
        array = batch.column(path[0])
        try:
            for member in path[1:]:
                array = array.flatten()[array.type.get_field_index(member)]
            if field == COUNTS and pa.types.is_struct(array.type):
                arrays |= _count_arrays(array)
            else:
                arrays[field] = _to_supported_type(field, array)
        except pa.ArrowException as error:
            raise SourceError(f"{name}: the column {'.'.join(path)} cannot be read: {first_line(error)}") from error
    if f"{COUNTS}.total" in arrays and COUNTS not in arrays:
        # Three columns of nulls are no counts.
        arrays[COUNTS] = _any_given([arrays[f"{COUNTS}.{each}"] for each in COUNT_FIELDS])
    return NormalizedBatch(batch.num_rows, arrays)


def _count_arrays(struct: Any) -> dict[str, Any]:
    """Return the counts of a struct, and where it is set."""
    pa = load_arrow()
    held = {SPELLINGS.get(member.name): array for member, array in zip(struct.type, struct.flatten(), strict=True)}
    nulls = pa.nulls(len(struct), pa.int64())
    found = {
        f"{COUNTS}.{each}": _to_supported_type(COUNTS, held[each]) if each in held else nulls for each in COUNT_FIELDS
    }
    return {**found, COUNTS: struct.is_valid()}


def _any_given(arrays: Sequence[Any]) -> Any:
    """Return an Arrow array of booleans: True where any of some arrays is not null."""
    pa, count = load_arrow(), len(arrays[0])
    bits = 0
    for array in arrays:
        if array.null_count < count:
            bits |= _validity(array)
    return pa.Array.from_buffers(pa.bool_(), count, [None, pa.py_buffer(bits.to_bytes((count + 7) // 8, "little"))])


def _validity(array: Any) -> int:
    """Return which values of an Arrow array are not null, as bits; there is at least one."""
    count: int = len(array)
    bitmap = array.buffers()[0]
    if bitmap is None:
        return (1 << count) - 1
    first, shift = divmod(array.offset, 8)
    bits: int = int.from_bytes(memoryview(bitmap)[first : (array.offset + count + 7) // 8], "little") >> shift
    return bits & ((1 << count) - 1)


def _to_supported_type(field: str, array: Any) -> Any:
    pa = load_arrow()
    array = getattr(array, "storage", array)  # Of an extension type, such as JSON.
    types, kind = pa.types, array.type
    if types.is_dictionary(kind):
        # In a damaged file, an index may lie outside the dictionary; the dictionary's values are validated, too.
        array.validate(full=True)
        if types.is_string(kind.value_type) and not array.dictionary.null_count:
            return array
        array, kind = array.dictionary_decode(), kind.value_type
    if types.is_binary(kind) or types.is_large_binary(kind):
        return array.cast(pa.large_string())
    if types.is_string(kind) or types.is_large_string(kind) or types.is_nested(kind):
        array.validate(full=True)  # Parquet does not promise that text is UTF-8.
        return array
    is_observed_at = field in OBSERVED_AT_FIELDS
    if types.is_null(kind) and not (is_observed_at or field in TIME_FIELDS or field.startswith(COUNTS)):
        return array.cast(pa.string())
    return _to_number(array, is_observed_at=is_observed_at)


def _to_number(array: Any, *, is_observed_at: bool) -> Any:
    """Convert integers and timestamps to int64, all else to floats; timestamps of observation to floats, too."""
    pa, kind = load_arrow(), array.type
    if pa.types.is_timestamp(kind):
        return _to_unix_seconds(array, is_observed_at=is_observed_at)
    if str(kind) in ("int64", "uint64", "double") and not (is_observed_at and pa.types.is_uint64(kind)):
        return array  # A cast to its own type would copy it.
    if is_observed_at or pa.types.is_floating(kind):
        return array.cast(pa.float64(), safe=False)
    return array.cast(pa.int64())


def _to_unix_seconds(array: Any, *, is_observed_at: bool) -> Any:
    """Convert timestamps to whole seconds; times of observation to floats, exact to the microsecond."""
    pa = load_arrow()
    unit = "us" if is_observed_at else "s"
    whole = array.cast(pa.timestamp(unit), safe=False).cast(pa.int64())  # Fractions of the unit are cut off.
    return load_compute().divide(whole.cast(pa.float64(), safe=False), 1e6) if is_observed_at else whole
