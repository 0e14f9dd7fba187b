"""Counts, errors, metadata and usage of a table's rows, as JSON text or nested, read into their cells."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from batchfsm.auditing.columnar import texts
from batchfsm.auditing.columnar.arrays import given_of, text_of
from batchfsm.auditing.columnar.columns import ERRORS
from batchfsm.auditing.columnar.digest import digest
from batchfsm.auditing.columnar.fields import Habits
from batchfsm.auditing.columnar.tokens import NAMES_MAX, scratch
from batchfsm.auditing.tabular import COUNTS, Piece
from batchfsm.rules import RULES

_JSON: Final = {
    COUNTS: texts.COUNTS_TEXT,
    "errors": texts.ERRORS_TEXT,
    "metadata": texts.METADATA_TEXT,
    "usage": texts.USAGE_TEXT,
}
_LIMIT: Any = RULES["S006"].kind
_LIMITS: Final = np.array([_LIMIT.pairs_max, _LIMIT.key_chars_max, _LIMIT.value_chars_max])
_ANY: Final = np.array([NAMES_MAX, 2**62, 2**62])
_TEXT: Final = ("string", "large_string", "null")
_PARTS: Final = {"code": _TEXT, "message": _TEXT, "param": _TEXT, "line": ("int64", "int32", "null")}


def nests(piece: Piece, habits: Habits, cells: Any, plain: Any) -> None:
    """Read what stands in the nested fields; a row in which it is not sure what that says is not plain."""
    for field, kind in _JSON.items():
        array = piece.arrays.get(field)
        if array is None or str(array.type) == "bool":  # Counts in columns of their own.
            continue
        if hasattr(array, "dictionary"):
            array = array.dictionary_decode()
        if str(array.type) in _TEXT:
            text = text_of(array)
            texts.nested(text.letters, text.offsets, text.given, kind, habits, scratch(), cells, plain)
        elif field == "errors":
            _errors(array, cells, plain)
        elif field != "usage" or _is_map(array):
            plain &= ~_given(array) | _short(array, _LIMITS if field == "metadata" else _ANY)


def _is_map(array: Any) -> bool:
    return str(array.type).startswith("map")


def _given(array: Any) -> Any:
    """Return where something is set, an empty list left out."""
    given = given_of(array)
    return given & (np.diff(_offsets(array)) > 0) if hasattr(array, "offsets") else given


def _offsets(array: Any) -> Any:
    """Return where the entries of each row begin and end in `array.values`, of which a slice has more than its own."""
    return array.offsets.to_numpy().astype(np.int64)


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


def _errors(array: Any, cells: Any, plain: Any) -> None:
    """Digest lists of errors, or structs that hold one; of those that are set, of which there are few."""
    entries = array
    if not hasattr(array, "offsets"):
        names = [member.name for member in array.type]
        entries = array.flatten()[names.index("data")] if "data" in names else None
    if entries is None or not hasattr(entries, "offsets"):
        plain &= ~given_of(array)
        return
    rows = np.flatnonzero(_given(entries))
    if not len(rows):
        return
    kind = entries.type.value_type
    parts = {member.name: str(member.type) for member in kind} if str(kind).startswith("struct") else {"": ""}
    is_known = all(each in _PARTS.get(name, ()) for name, each in parts.items())
    for row, found in zip(rows.tolist(), entries.take(rows).to_pylist(), strict=True):
        if not is_known or None in found:
            plain[row] = False
            continue
        spelled = np.frombuffer(repr(found).encode("utf-8"), np.uint8)
        cells[row, ERRORS], _ = digest(spelled, 0, len(spelled))
