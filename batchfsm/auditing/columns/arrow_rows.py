"""Rows out of a table's columns: each field decoded into its columns, whole columns at a time."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from itertools import pairwise
from math import nan
from operator import and_, sub
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

_COUNTS: Final = tuple(f"{COUNTS}.{name}" for name in COUNT_FIELDS)
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
_HASHED_FIELDS: Final = ("endpoint", "input_file_id", "completion_window", "output_file_id", "error_file_id")
_READ_TEXTS: Final = ("id", "status", "object", *_HASHED_FIELDS, *_JSON_COLUMNS)
"""The fields whose texts are read."""
_NEEDED_TEXTS: Final = ("id", "status")
"""The fields of which each row must have a text."""
_OWN_TEXTS: Final = array("i")
"""The indices of the texts of a column in which each row has its own."""
_LIMIT: Any = RULES["S006"].kind
_METADATA_LIMITS: Final = array("q", [_LIMIT.pairs_max, _LIMIT.key_chars_max, _LIMIT.value_chars_max])
_NO_LIMITS: Final = array("q", [KEYS_MAX, 2**62, 2**62])


@attrs.frozen(eq=False)
class TextColumns:
    """Some texts of a field, as values of columns."""

    columns: Mapping[int, Any]
    """By column, the value of each text; `array('q')`."""
    sound: bytearray
    """0 for each text that the row engine must read."""


class TableDecoder:
    """Decodes batches of a table's rows as one dialect writes them; used by one thread at a time."""

    def __init__(self, dialect: Dialect, seed: int = layout.HASH_SEED) -> None:
        self._seed = seed
        self._reader = RowReader(dialect, seed)
        self._statuses = WordTable(status_codes(dialect), seed)
        self._object = WordTable({"batch": 0}, seed)
        self._any_spelling = dialect.any_spelling
        self._null_times = null_times(dialect)
        self._milliseconds = "milliseconds" in dialect.time_formats
        self._null_text, self._null_counts = dialect.null_text, dialect.null_counts
        self._dictionaries: dict[str, tuple[Any, TextColumns]] = {}

    def read_dictionaries(self, batch: NormalizedBatch) -> dict[str, TextColumns]:
        """Read the texts that the dictionaries of a batch hold, by field; nothing is read if a dictionary recurs."""
        found = {}
        for field in batch.arrays.keys() & _READ_TEXTS:
            dictionary = getattr(batch.arrays[field], "dictionary", None)
            if dictionary is not None:
                known, texts = self._dictionaries.get(field, (None, None))
                if texts is None or not dictionary.equals(known):
                    texts = self._read_texts(field, dictionary)
                self._dictionaries[field] = dictionary, texts
                found[field] = texts
        return found

    def decode(
        self, batch: NormalizedBatch, dictionaries: Mapping[str, TextColumns], rows: Any
    ) -> tuple[Any, Any, Any]:
        """
        Return the values of the rows, their times of observation, and which are decoded; as in a `RowBatch`.

        `dictionaries` is what `read_dictionaries` returned for the batch, or for one of which it is a part. `rows` were
        decoded from the same table and are overwritten, if as many: to clear memory takes longer than to decode rows.
        """
        decoded = bytearray(b"\1") * batch.count
        if JSON_TEXT in batch.arrays:
            return self._decode_documents(batch, decoded)
        if len(rows) != layout.WIDTH * batch.count:
            rows = layout.null_rows(batch.count)
        arrow_values.clear_flags(rows)  # Each other column of the table is filled.
        has_counts = bytearray()
        if _COUNTS[0] in batch.arrays:
            has_counts = _bits(batch.arrays[COUNTS].buffers()[1], batch.arrays[COUNTS])
            flag = array("q", [layout.COUNTS_SET])
            arrow_values.fill_values(rows, layout.FLAGS, flag, array("i", bytes(4 * batch.count)), has_counts)
        for field, values in batch.arrays.items():
            mask = _given(values)
            if field in TIME_FIELDS:
                where = rows, layout.COLUMNS.index(field), _integers(values, mask), mask
                arrow_values.fill_times(*where, self._null_times, self._milliseconds, decoded)
            elif field in _COUNTS:
                where = rows, layout.COLUMNS.index(field), _integers(values, mask), mask
                arrow_values.fill_counts(*where, has_counts, self._null_counts, decoded)
            elif field in _READ_TEXTS and _is_text(values):
                texts = dictionaries.get(field) or self._read_texts(field, values)
                _fill_texts(field, values, texts, rows, decoded)
            elif field in _JSON_COLUMNS:
                self._decode_nested(field, values, mask, rows, decoded)
        return rows, _observation_times(batch, decoded), decoded

    def _decode_documents(self, batch: NormalizedBatch, decoded: bytearray) -> tuple[Any, Any, Any]:
        """Decode a column of JSON text, a batch or an envelope each."""
        (text, offsets), mask = _texts(batch.arrays[JSON_TEXT]), _given(batch.arrays[JSON_TEXT])
        rows, inner = layout.new_rows(batch.count), array("d", [nan]) * batch.count
        # Between two values a line end is a space; inside a text both are invalid.
        text = text[:-PAD].replace(b"\n", b"\r") + PAD * b"\n"
        self._reader.read_documents(text, offsets, rows, inner, decoded)
        for row, (start, end) in enumerate(pairwise(offsets)):
            if end - start > OBJECT_CHARS_MAX or not mask[row]:
                decoded[row] = 0
        beside = _observation_times(batch, decoded)
        times = array("d", [mine if mine == mine else other for mine, other in zip(inner, beside, strict=True)])  # noqa: PLR0124
        return rows, times, decoded

    def _read_texts(self, field: str, values: Any) -> TextColumns:
        """Read each value of an Arrow array of text as the text of a field."""
        texts = _texts(values)
        if field in _JSON_COLUMNS:
            return self._read_json(field, *texts)
        if field in _HASHED_FIELDS:
            return self._read_hashed(field, *texts)
        sound = arrow_values.non_empty(texts[1])
        if field == "id":
            low, high = (arrow_values.hash_column(*texts, seed) for seed in (layout.PUBLIC_SEED, self._seed))
            times = arrow_values.seconds_column(*texts, is_id=True)
            return TextColumns({layout.ID_LOW: low, layout.ID_HIGH: high, layout.ID_TIME: times}, sound)
        if field == "object":  # An empty text may be null.
            words = arrow_values.word_column(*texts, self._object)
            return TextColumns({layout.FLAGS: array("q", [word and layout.NOT_A_BATCH for word in words])}, sound)
        codes = arrow_values.word_column(*texts, self._statuses)
        if self._any_spelling:
            # A word that is not in the table may be another spelling of one that is: the row engine reads it.
            sound = bytearray(map(and_, sound, (code >= 0 for code in codes)))
        return TextColumns({layout.STATUS: codes}, sound)

    def _read_hashed(self, field: str, text: bytearray, offsets: Any) -> TextColumns:
        hashes, full = arrow_values.hash_column(text, offsets, self._seed), arrow_values.non_empty(offsets)
        if 0 in full and (field in FILE_FIELDS or self._null_text):
            hashes = array("q", [each if is_full else layout.NULL for each, is_full in zip(hashes, full, strict=True)])
        columns = {layout.COLUMNS.index(field): hashes}
        if field == "completion_window":
            columns[layout.WINDOW_S] = arrow_values.seconds_column(text, offsets, is_id=False)
        return TextColumns(columns, bytearray(b"\1") * len(hashes))

    def _read_json(self, field: str, text: bytearray, offsets: Any) -> TextColumns:
        count = len(offsets) - 1
        rows, sound = layout.null_rows(count), bytearray(b"\1") * count
        self._reader.read_fields(FIELD_CODES[field], text, offsets, rows, sound)
        columns = {column: rows[column :: layout.WIDTH] for column in (*_JSON_COLUMNS[field], layout.FLAGS)}
        return TextColumns(columns, sound)

    def _decode_nested(self, field: str, values: Any, mask: bytearray, rows: Any, decoded: bytearray) -> None:
        """Decode counts, errors, metadata or usage; a row whose value may not be as the wire has it is not decoded."""
        kind = str(values.type)
        if field == "errors":
            rows[layout.ERRORS :: layout.WIDTH] = _decode_errors(values, decoded, self._seed)
        elif field == COUNTS:
            if kind != "bool":
                _clear(decoded, mask)  # A map.
        elif field != "usage" or kind.startswith("map"):
            mask = _non_empty(values)
            if 1 in mask:
                _limit(values, mask, _METADATA_LIMITS if field == "metadata" else _NO_LIMITS, decoded)


def _fill_texts(field: str, values: Any, texts: TextColumns, rows: Any, decoded: bytearray) -> None:
    """Write the values of a column of text into rows; `texts`: its texts, or those of its dictionary."""
    mask, indices = _given(values), _indices(values) if hasattr(values, "dictionary") else _OWN_TEXTS
    for column, read in texts.columns.items():
        arrow_values.fill_values(rows, column, read, indices, mask)
    is_needed = field in _NEEDED_TEXTS
    if 0 in texts.sound or (is_needed and 0 in mask):
        arrow_values.require_sound(texts.sound, indices, mask, is_needed, decoded)


def _observation_times(batch: NormalizedBatch, decoded: bytearray) -> Any:
    """Return when each row was observed, by the first of the fields for it that is set; `array('d')`."""
    found = array("d", [nan]) * batch.count
    for values in (batch.arrays[field] for field in reversed(OBSERVED_AT_FIELDS) if field in batch.arrays):
        mask = _given(values)
        kind = str(values.type)
        if kind in ("int64", "double"):
            numbers = _cast(values, "q" if kind == "int64" else "d")
            times = arrow_values.to_floats(numbers) if kind == "int64" else array("d", numbers.tobytes())
            arrow_values.check_times(times, mask, decoded)
        else:
            times = arrow_values.time_column(*_texts(values), mask, decoded)
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


def _is_text(values: Any) -> bool:
    return hasattr(values, "dictionary") or str(values.type) in (*_TEXT_TYPES, "null")


def _integers(values: Any, mask: bytearray) -> Any:
    """Return an Arrow array of numbers as 64-bit integers, any where the mask is 0; what is none is NOT_AN_INT."""
    kind = str(values.type)
    if kind in ("int64", "double") and len(values):
        numbers = _cast(values, "q" if kind == "int64" else "d")
        return numbers if kind == "int64" else arrow_values.whole_numbers(numbers)
    exact = values.to_pylist() if kind == "uint64" else [None] * len(mask)
    is_exact = [value is not None and value < 2**53 for value in exact]
    return array("q", [each if fits else arrow_values.NOT_AN_INT for each, fits in zip(exact, is_exact, strict=True)])


def _indices(values: Any) -> Any:
    """Return the index of each value of an Arrow array in its dictionary, as 32-bit integers."""
    kind = {"int8": "b", "int16": "h", "int32": "i", "int64": "q"}[str(values.indices.type)]
    indices = _cast(values.indices, kind)
    return indices if kind == "i" else array("i", indices)


def _cast(values: Any, kind: str, more: int = 0) -> Any:
    """Return the numbers of an Arrow array, and some behind them; `kind`: a type code of `array`."""
    view: Any = memoryview(values.buffers()[1])
    return view.cast(kind)[values.offset : values.offset + len(values) + more]


def _texts(values: Any) -> tuple[bytearray, Any]:
    """Return `text`, with `PAD` line ends more, and `offsets` of an Arrow array, as `arrow_values` describes them."""
    values = values.dictionary_decode() if hasattr(values, "dictionary") else values
    if not len(values) or str(values.type) == "null":
        return bytearray(PAD * b"\n"), layout.zeros(len(values) + 1)
    offsets = _offsets(values)
    first, end = offsets[0], offsets[-1]
    text = bytearray(memoryview(values.buffers()[2])[first:end] if end > first else b"") + PAD * b"\n"
    return text, row_arrays.add_to_each(offsets, -first) if first else offsets


def _offsets(values: Any) -> Any:
    """Return where each text or list of an Arrow array begins, and the last one ends; `array('q')`."""
    return arrow_values.widen(_cast(values, "q" if str(values.type).startswith("large") else "i", more=1))


def _sizes(offsets: Any) -> Any:
    """Return the length of each text in bytes; `array('q')`."""
    return array("q", map(sub, offsets[1:], offsets))


def _decode_errors(values: Any, decoded: bytearray, seed: int) -> Any:
    """Return the hash of each list of errors, or of each struct that holds one."""
    entries, found = values, array("q", [layout.NULL]) * len(values)
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
        return bytearray(map(and_, mask, arrow_values.non_empty(_offsets(values))))
    return mask


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
        sizes = _sizes(_texts(inner)[1]) if is_text else None
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
        sizes = _sizes(_texts(items)[1])
        if is_limited and items.null_count:
            sizes = array("q", [size if each else -1 for size, each in zip(sizes, _given(items), strict=True)])
    arrow_values.limit_pairs(_offsets(values), *_texts(keys), sizes, mask, limits, decoded)


def _clear(decoded: bytearray, mask: bytearray) -> None:
    """Set to 0 where a mask is 1."""
    for row, is_set in enumerate(mask):
        if is_set:
            decoded[row] = 0
