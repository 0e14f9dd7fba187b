"""Rows out of a table's columns: each field decoded into its columns, whole columns at a time."""

from __future__ import annotations

from array import array
from itertools import pairwise
from math import nan
from operator import and_
from typing import Any, Final

import attrs

from batchfsm.auditing.columns import arrow_values, layout, row_arrays
from batchfsm.auditing.columns.json_rows import FIELD_CODES, RowReader
from batchfsm.auditing.columns.lookup_tables import null_times, status_codes
from batchfsm.auditing.columns.text_values import WordTable, hash_bytes
from batchfsm.auditing.columns.tokenizer import KEYS_MAX, PAD
from batchfsm.auditing.tables import COUNTS, JSON_TEXT, OBSERVED_AT_FIELDS, NormalizedBatch, index_array
from batchfsm.dialects import Dialect
from batchfsm.logs import OBJECT_CHARS_MAX
from batchfsm.rules import RULES
from batchfsm.snapshot import COUNT_FIELDS, FILE_FIELDS, TIME_FIELDS

_TEXT_FIELDS: Final = ("endpoint", "input_file_id", "completion_window", "output_file_id", "error_file_id")
_COUNTS: Final = tuple(f"{COUNTS}.{name}" for name in COUNT_FIELDS)
_BLOCK_ROWS: Final = 2048  # Rows of so many bytes stay in the cache while their columns are written.
_TEXT_TYPES: Final = ("string", "large_string")
_ERROR_TYPES: Final = {
    **dict.fromkeys(("code", "message", "param"), (*_TEXT_TYPES, "null")),
    "line": ("int64", "int32", "null"),
}
_JSON_COLUMNS: Final = {
    COUNTS: tuple(layout.COLUMNS.index(name) for name in _COUNTS),
    "errors": (layout.ERRORS,),
    "metadata": (),
    "usage": (),
}
"""The columns that the JSON text of each field fills, beside `flags`."""
_LIMIT: Any = RULES["S006"].kind
_METADATA_LIMITS: Final = array("q", [_LIMIT.pairs_max, _LIMIT.key_chars_max, _LIMIT.value_chars_max])
_NO_LIMITS: Final = array("q", [KEYS_MAX, 2**62, 2**62])


@attrs.frozen(eq=False)
class StringColumn:
    """A column of text: some texts, and which of them each row has."""

    text: Any
    """The bytes of all texts, and `PAD` line ends more."""
    offsets: Any
    """Where each text begins, and the last one ends; `array('q')`."""
    given: Any
    """0 where a row has none; bytes."""
    indices: Any
    """The index of each row's text, `array('i')`; None if each row has its own."""

    def spread(self, values: Any, *, null: int = layout.NULL) -> Any:
        """Return for each row the value of its text, `null` if it has none; `array('q')`."""
        return (
            values
            if self.indices is None and 0 not in self.given
            else arrow_values.spread(values, self.indices, self.given, null)
        )

    @property
    def sizes(self) -> Any:
        """The length of each text in bytes; `array('q')`."""
        return arrow_values.differences(self.offsets)


class TableDecoder:
    """Decodes batches of a table's rows as one dialect writes them; used by one thread at a time."""

    def __init__(self, dialect: Dialect, seed: int = layout.HASH_SEED) -> None:
        self._seed = seed
        self._reader = RowReader(dialect, seed)
        self._statuses = WordTable(status_codes(dialect), seed)
        self._any_spelling = dialect.any_spelling
        self._null_times = null_times(dialect)
        self._milliseconds = "milliseconds" in dialect.time_formats
        self._null_text, self._null_counts = dialect.null_text, dialect.null_counts

    def decode(self, batch: NormalizedBatch) -> tuple[Any, Any, Any]:
        """Return the values of the rows, their times of observation, and which are decoded; as in a `RowBatch`."""
        decoded = bytearray(b"\1") * batch.count
        if JSON_TEXT in batch.arrays:
            return self._decode_documents(batch, decoded)
        columns: dict[int, Any] = {layout.FLAGS: array("q", bytes(8 * batch.count))}
        for field, values in batch.arrays.items():
            if field in TIME_FIELDS:
                times = columns[layout.COLUMNS.index(field)] = _to_int_column(values)
                arrow_values.read_times(times, self._null_times, self._milliseconds, decoded)
            elif field in _TEXT_FIELDS:
                columns |= self._decode_text(field, _to_string_column(values))
        columns |= _decode_id(_to_string_column(batch.arrays["id"]), decoded, self._seed)
        columns[layout.STATUS] = self._decode_status(_to_string_column(batch.arrays["status"]), decoded)
        if "object" in batch.arrays:
            _add_flags(columns, _decode_object(_to_string_column(batch.arrays["object"]), decoded))
        if _COUNTS[0] in batch.arrays:
            self._decode_counts(batch, columns, decoded)
        for field in _JSON_COLUMNS:
            if field in batch.arrays and str(batch.arrays[field].type) != "bool":
                self._decode_nested(field, batch.arrays[field], columns, decoded)
        return _to_rows(columns, batch.count), _observation_times(batch, decoded), decoded

    def _decode_documents(self, batch: NormalizedBatch, decoded: bytearray) -> tuple[Any, Any, Any]:
        """Decode a column of JSON text, a batch or an envelope each."""
        values = batch.arrays[JSON_TEXT]
        column = _to_string_column(values.dictionary_decode() if hasattr(values, "dictionary") else values)
        rows, inner = layout.new_rows(batch.count), array("d", [nan]) * batch.count
        # Between two values a line end is a space; inside a text both are invalid.
        text = column.text[:-PAD].replace(b"\n", b"\r") + PAD * b"\n"
        self._reader.read_documents(text, column.offsets, rows, inner, decoded)
        for row, (start, end) in enumerate(zip(column.offsets, column.offsets[1:], strict=False)):
            if end - start > OBJECT_CHARS_MAX or not column.given[row]:
                decoded[row] = 0
        beside = _observation_times(batch, decoded)
        times = array("d", [mine if mine == mine else other for mine, other in zip(inner, beside, strict=True)])  # noqa: PLR0124
        return rows, times, decoded

    def _decode_text(self, field: str, column: StringColumn) -> dict[int, Any]:
        hashes = arrow_values.hash_column(column.text, column.offsets, self._seed)
        if field in FILE_FIELDS or self._null_text:
            sizes = column.sizes
            if 0 in sizes:
                hashes = array("q", [each if size else layout.NULL for each, size in zip(hashes, sizes, strict=True)])
        found = {layout.COLUMNS.index(field): column.spread(hashes)}
        if field == "completion_window":
            found[layout.WINDOW_S] = column.spread(arrow_values.window_column(column.text, column.offsets))
        return found

    def _decode_status(self, column: StringColumn, decoded: bytearray) -> Any:
        _require_text(column, decoded)
        codes = column.spread(arrow_values.word_column(column.text, column.offsets, self._statuses))
        if self._any_spelling:
            # A word that is not in the table may be another spelling of one that is: the row engine reads it.
            decoded[:] = bytes(map(and_, decoded, (code >= 0 for code in codes)))
        return codes

    def _decode_counts(self, batch: NormalizedBatch, columns: dict[int, Any], decoded: bytearray) -> None:
        flags = batch.arrays[COUNTS]
        is_set = _bits(flags.buffers()[1], flags)
        for name in _COUNTS:
            values = columns[layout.COLUMNS.index(name)] = _to_int_column(batch.arrays[name])
            arrow_values.require_counts(values, is_set, self._null_counts, decoded)
        _add_flags(columns, arrow_values.flags(is_set, layout.COUNTS_SET))

    def _decode_nested(self, field: str, values: Any, columns: dict[int, Any], decoded: bytearray) -> None:
        """Decode counts, errors, metadata or usage; a row whose value may not be as the wire has it is not decoded."""
        kind = str(values.type)
        if hasattr(values, "dictionary") or kind in (*_TEXT_TYPES, "null"):
            self._decode_json(field, _to_string_column(values), columns, decoded)
        elif field == "errors":
            columns[layout.ERRORS] = _decode_errors(values, decoded, self._seed)
        elif field == COUNTS:
            _clear(decoded, _given(values))  # A map.
        elif field != "usage" or kind.startswith("map"):
            mask = _non_empty(values)
            if 1 in mask:
                _limit(values, mask, _METADATA_LIMITS if field == "metadata" else _NO_LIMITS, decoded)

    def _decode_json(self, field: str, column: StringColumn, columns: dict[int, Any], decoded: bytearray) -> None:
        count = len(column.offsets) - 1
        own, sound = array("q", [layout.NULL]) * (layout.WIDTH * count), bytearray(b"\1") * count
        own[layout.FLAGS :: layout.WIDTH] = array("q", bytes(8 * count))
        self._reader.read_fields(FIELD_CODES[field], column.text, column.offsets, own, sound)
        if 0 in sound:
            _clear(decoded, bytearray(value == 0 for value in column.spread(array("q", [*sound]), null=1)))
        for index in _JSON_COLUMNS[field]:
            columns[index] = column.spread(own[index :: layout.WIDTH])
        _add_flags(columns, column.spread(own[layout.FLAGS :: layout.WIDTH], null=0))


def _observation_times(batch: NormalizedBatch, decoded: bytearray) -> Any:
    """Return when each row was observed, by the first of the fields for it that is set; `array('d')`."""
    found = array("d", [nan]) * batch.count
    for values in (batch.arrays[field] for field in reversed(OBSERVED_AT_FIELDS) if field in batch.arrays):
        mask = _given(values)
        if str(values.type) == "double":
            times = array("d")
            times.frombytes(memoryview(values.buffers()[1]).cast("B")[8 * values.offset :][: 8 * batch.count])
            arrow_values.check_times(times, mask, decoded)
        else:
            column = _to_string_column(values.dictionary_decode() if hasattr(values, "dictionary") else values)
            times = arrow_values.time_column(column.text, column.offsets, mask, decoded)
        if 0 in mask:
            times = array("d", [new if is_set else old for new, old, is_set in zip(times, found, mask, strict=True)])
        found = times
    return found


def _given(values: Any) -> bytearray:
    """Return 1 for each value of an Arrow array that is not null."""
    if str(values.type) == "null":
        return bytearray(len(values))
    return _bits(values.buffers()[0], values)


def _bits(buffer: Any, values: Any) -> bytearray:
    """Return a bitmap of an Arrow array as bytes; all 1 if there is none."""
    bits = None if buffer is None else memoryview(buffer).cast("B")
    found: bytearray = arrow_values.given(bits, values.offset, len(values))
    return found


def _to_int_column(values: Any) -> Any:
    """Return an Arrow array of numbers as a column; what is no number is NOT_AN_INT."""
    kind, mask = str(values.type), _given(values)
    if kind in ("int64", "double") and len(values):
        numbers = memoryview(values.buffers()[1]).cast("q" if kind == "int64" else "d")
        numbers = numbers[values.offset : values.offset + len(values)]
        return (arrow_values.int_column if kind == "int64" else arrow_values.float_column)(numbers, mask)
    exact = values.to_pylist() if kind == "uint64" else []
    found = [arrow_values.NOT_AN_INT if each else layout.NULL for each in mask]
    for row, value in enumerate(exact):
        if value is not None and value < 2**53:
            found[row] = value
    return array("q", found)


def _to_string_column(values: Any) -> StringColumn:
    """Return an Arrow array of text, plain or by dictionary."""
    if hasattr(values, "dictionary") and len(values.dictionary) > len(values):
        values = values.dictionary_decode()  # The dictionary is that of many more rows.
    mask, indices = _given(values), None
    if hasattr(values, "dictionary"):
        kind = {"int8": "b", "int16": "h", "int32": "i", "int64": "q"}[str(values.indices.type)]
        numbers = _cast(values.indices.buffers()[1], kind)
        numbers = numbers[values.indices.offset : values.indices.offset + len(values)]
        indices = array("i", numbers.tobytes() if kind == "i" else numbers)
        values = values.dictionary
    if not len(values) or str(values.type) == "null":
        return StringColumn(bytearray(PAD * b"\n"), array("q", [0] * (len(values) + 1)), mask, indices)
    _, ends, letters = values.buffers()
    width = "i" if str(values.type) == "string" else "q"
    offsets = arrow_values.widen(_cast(ends, width)[values.offset : values.offset + len(values) + 1])
    first, end = offsets[0], offsets[-1]
    text = bytearray(memoryview(letters)[first:end] if end > first else b"") + PAD * b"\n"
    if first:
        offsets = row_arrays.add_to_each(offsets, -first)
    return StringColumn(text, offsets, mask, indices)


def _cast(buffer: Any, kind: str) -> Any:
    """Return a buffer of Arrow's as numbers; `kind`: a type code of `array`."""
    view: Any = memoryview(buffer)
    return view.cast(kind)


def _require_text(column: StringColumn, decoded: bytearray) -> None:
    """Clear the rows without text."""
    sizes = column.sizes
    if 0 in sizes or 0 in column.given:
        _clear(decoded, bytearray(size == 0 for size in column.spread(sizes, null=0)))


def _decode_id(column: StringColumn, decoded: bytearray, seed: int) -> dict[int, Any]:
    _require_text(column, decoded)
    return {
        layout.ID_LOW: column.spread(arrow_values.hash_column(column.text, column.offsets, layout.PUBLIC_SEED)),
        layout.ID_HIGH: column.spread(arrow_values.hash_column(column.text, column.offsets, seed)),
        layout.ID_TIME: column.spread(arrow_values.id_time_column(column.text, column.offsets)),
    }


def _decode_object(column: StringColumn, decoded: bytearray) -> Any:
    """Return the flag of a text other than `batch`; an empty text may be null, so its row is not decoded."""
    words = arrow_values.word_column(column.text, column.offsets, WordTable({"batch": 0}, 0))
    flags = array("q", [0 if word == 0 else layout.NOT_A_BATCH for word in words])
    if 0 in column.sizes:
        _clear(decoded, bytearray(size == 0 for size in column.spread(column.sizes, null=1)))
    return column.spread(flags, null=0)


def _decode_errors(values: Any, decoded: bytearray, seed: int) -> Any:
    """Return the hash of each list of errors, or of each struct that holds one."""
    entries, found = values, arrow_values.null_column(len(values))
    if not hasattr(values, "offsets"):
        names = [member.name for member in values.type]
        entries = values.flatten()[names.index("data")] if "data" in names else None
    if entries is None or not hasattr(entries, "offsets"):
        _clear(decoded, _given(values))
        return found
    rows = array("q", [row for row, is_set in enumerate(_non_empty(entries)) if is_set])
    kind = entries.type.value_type
    parts = {member.name: str(member.type) for member in kind} if str(kind).startswith("struct") else {"": ""}
    is_known = all(each in _ERROR_TYPES.get(name, ()) for name, each in parts.items())
    listed = entries.take(index_array(rows)).to_pylist() if is_known and rows else [[None]] * len(rows)
    for row, errors in zip(rows, listed, strict=True):
        if None in errors:
            decoded[row] = 0
        else:
            found[row] = hash_bytes(repr(errors).encode(), seed)
    return found


def _non_empty(values: Any) -> bytearray:
    """Return 1 for each value that is not null, and no empty list or map."""
    mask = _given(values)
    if hasattr(values, "offsets"):
        offsets = _offsets(values)
        for row, (start, end) in enumerate(pairwise(offsets)):
            if start == end:
                mask[row] = 0
    return mask


def _offsets(values: Any) -> Any:
    """Return where the entries of each row begin and end in `values.values`; `array('q')`."""
    width = "q" if str(values.type).startswith("large") else "i"
    return arrow_values.widen(_cast(values.buffers()[1], width)[values.offset : values.offset + len(values) + 1])


def _limit(values: Any, mask: bytearray, limits: Any, decoded: bytearray) -> None:
    """Clear the rows whose metadata may be beyond the limits."""
    if hasattr(values, "keys"):
        _limit_map(values, mask, limits, decoded)
        return
    if hasattr(values, "offsets"):
        _clear(decoded, mask)  # A list that is not empty.
        return
    counts = array("q", bytes(8 * len(values)))
    for member, inner in zip(values.type, values.flatten(), strict=True):
        is_text = str(inner.type) in _TEXT_TYPES and len(member.name.encode()) <= limits[1]
        sizes = arrow_values.differences(_to_string_column(inner).offsets) if is_text else None
        for row, is_set in enumerate(_given(inner)):
            if is_set:
                counts[row] += 1
                if mask[row] and (sizes is None or sizes[row] > limits[2]):
                    decoded[row] = 0
    for row, count in enumerate(counts):
        if mask[row] and count > limits[0]:
            decoded[row] = 0


def _limit_map(values: Any, mask: bytearray, limits: Any, decoded: bytearray) -> None:
    keys, items = values.keys, values.items
    if str(keys.type) not in _TEXT_TYPES:
        _clear(decoded, mask)
        return
    is_limited = limits is _METADATA_LIMITS
    sizes = array("q", [-1 if is_limited else 0]) * len(items)
    if str(items.type) in _TEXT_TYPES:
        sizes = arrow_values.differences(_to_string_column(items).offsets)
        if is_limited and items.null_count:
            sizes = array("q", [size if each else -1 for size, each in zip(sizes, _given(items), strict=True)])
    names = _to_string_column(keys)
    arrow_values.limit_pairs(_offsets(values), names.text, names.offsets, sizes, mask, limits, decoded)


def _clear(decoded: bytearray, mask: bytearray) -> None:
    """Set to 0 where a mask is 1."""
    for row, is_set in enumerate(mask):
        if is_set:
            decoded[row] = 0


def _add_flags(columns: dict[int, Any], flags: Any) -> None:
    before = columns[layout.FLAGS]
    columns[layout.FLAGS] = arrow_values.combine(before, flags)


def _to_rows(columns: dict[int, Any], count: int) -> Any:
    """Return columns as rows; those that are absent are NULL."""
    rows, absent = layout.new_rows(count), arrow_values.null_column(count)
    for first in range(0, count, _BLOCK_ROWS):
        for column in range(layout.WIDTH):
            arrow_values.fill_column(rows, column, columns.get(column, absent), first, min(first + _BLOCK_ROWS, count))
    return rows
