"""Counts, errors, metadata and usage of a table's rows, as JSON text or nested, read into their cells."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from batchfsm.auditing.columnar import texts
from batchfsm.auditing.columnar.arrays import Text, given_of, text_of
from batchfsm.auditing.columnar.columns import COLUMNS, COMPLETED, ERRORS, FAILED, FLAGS, NULL, TOTAL
from batchfsm.auditing.columnar.digest import digest
from batchfsm.auditing.columnar.fields import Habits
from batchfsm.auditing.columnar.tokens import NAMES_MAX, scratch
from batchfsm.auditing.tabular import COUNTS, Piece, places
from batchfsm.rules import RULES

_JSON: Final = {
    COUNTS: (texts.COUNTS_TEXT, (TOTAL, COMPLETED, FAILED)),
    "errors": (texts.ERRORS_TEXT, (ERRORS,)),
    "metadata": (texts.METADATA_TEXT, ()),
    "usage": (texts.USAGE_TEXT, ()),
}
"""How the JSON text of each field is read, and which columns it goes to beside the flags."""
_LIMIT: Any = RULES["S006"].kind
_LIMITS: Final = np.array([_LIMIT.pairs_max, _LIMIT.key_chars_max, _LIMIT.value_chars_max])
_ANY: Final = np.array([NAMES_MAX, 2**62, 2**62])
_TEXT: Final = ("string", "large_string", "null")
_PARTS: Final = {"code": _TEXT, "message": _TEXT, "param": _TEXT, "line": ("int64", "int32", "null")}


def nests(piece: Piece, habits: Habits, columns: dict[int, Any], plain: Any) -> None:
    """Read the nested fields into their columns; a row in which it is not sure what one says is not plain."""
    for field in _JSON:
        array = piece.arrays.get(field)
        if array is None or str(array.type) == "bool":  # Counts in columns of their own.
            continue
        if hasattr(array, "dictionary") or str(array.type) in _TEXT:
            _texts(text_of(array), field, habits, columns, plain)
        elif field == "errors":
            columns[ERRORS] = _errors(array, plain)
        elif field == COUNTS:
            plain &= ~given_of(array)  # A map.
        elif field != "usage" or _is_map(array):
            plain &= ~_given(array) | _short(array, _LIMITS if field == "metadata" else _ANY)


def _texts(text: Text, field: str, habits: Habits, columns: dict[int, Any], plain: Any) -> None:
    kind, of_its_own = _JSON[field]
    own, sound = np.full((text.count, len(COLUMNS)), NULL, np.int64), np.ones(text.count, np.bool_)
    texts.nested(text.letters, text.offsets, kind, habits, scratch(), own, sound)
    if not sound.all():
        plain &= text.spread(sound, null=True)
    for column in (*of_its_own, FLAGS):
        found = text.spread(np.ascontiguousarray(own[:, column]), null=0 if column == FLAGS else NULL)
        columns[column] = found | columns[FLAGS] if column == FLAGS else found


def _is_map(array: Any) -> bool:
    return str(array.type).startswith("map")


def _given(array: Any) -> Any:
    """Return where something is set, an empty list left out."""
    given = given_of(array)
    return given & (np.diff(_offsets(array)) > 0) if hasattr(array, "offsets") else given


def _offsets(array: Any) -> Any:
    """Return where the entries of each row begin and end in `array.values`, of which a slice has more than its own."""
    width = np.int64 if str(array.type).startswith("large") else np.int32
    return np.frombuffer(array.buffers()[1] or bytes(8), width)[array.offset :][: len(array) + 1].astype(np.int64)


def _short(array: Any, limits: Any) -> Any:
    """Tell where metadata are surely within the limits."""
    if hasattr(array, "keys"):
        return _short_map(array, limits)
    if hasattr(array, "offsets"):
        return np.zeros(len(array), np.bool_)  # A list that is not empty.
    sure, keys = np.ones(len(array), np.bool_), np.zeros(len(array), np.int64)
    for member, values in zip(array.type, array.flatten(), strict=True):
        given = given_of(values)
        keys += given
        is_short = np.zeros(len(array), np.bool_)
        if str(values.type) in _TEXT[:2] and len(member.name.encode()) <= limits[1]:
            is_short = np.diff(text_of(values).offsets) <= limits[2]
        sure &= ~given | is_short
    return sure & (keys <= limits[0])


def _short_map(array: Any, limits: Any) -> Any:
    sure = np.ones(len(array), np.bool_)
    keys, items = array.keys, array.items
    sizes = np.full(len(items), 0 if limits is _ANY else -1, np.int64)
    if str(items.type) in _TEXT[:2]:
        values = text_of(items)
        sizes = np.where(values.given | (limits is _ANY), np.diff(values.offsets), -1)
    if str(keys.type) not in _TEXT[:2]:
        return ~sure
    names = text_of(keys)
    texts.pairs(_offsets(array), names.letters, names.offsets, sizes, given_of(array), limits, sure)
    return sure


def _errors(array: Any, plain: Any) -> Any:
    """Digest lists of errors, or structs that hold one; of those that are set, of which there are few."""
    entries, found = array, np.full(len(array), NULL, np.int64)
    if not hasattr(array, "offsets"):
        names = [member.name for member in array.type]
        entries = array.flatten()[names.index("data")] if "data" in names else None
    if entries is None or not hasattr(entries, "offsets"):
        plain &= ~given_of(array)
        return found
    rows = np.flatnonzero(_given(entries))
    kind = entries.type.value_type
    parts = {member.name: str(member.type) for member in kind} if str(kind).startswith("struct") else {"": ""}
    if not all(each in _PARTS.get(name, ()) for name, each in parts.items()):
        plain[rows] = False
        return found
    for row, listed in zip(rows.tolist(), entries.take(places(rows)).to_pylist(), strict=True):
        plain[row] = plain[row] and None not in listed
        spelled = np.frombuffer(repr(listed).encode(), np.uint8)
        found[row], _ = digest(spelled, 0, len(spelled))
    return found
