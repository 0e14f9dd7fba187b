"""Arrow's arrays as numpy's: texts by their bytes, and numbers with a stand-in for what is none."""

from __future__ import annotations

from typing import Any, Final

import attrs
import numpy as np

from batchfsm.auditing.columnar.columns import NULL
from batchfsm.auditing.columnar.scanner import PAD
from batchfsm.auditing.columnar.tokens import LINE_END

BEYOND: Final = 2**62
"""Stands for what is no whole number, or a huge one: no time, and no number of requests. The row is not plain."""

_EXACT_MAX: Final = 2.0**53  # Beyond it not every whole number is a float.


@attrs.frozen(eq=False)
class Text:
    """A column of text: some texts, and which of them each row has."""

    letters: Any
    """The bytes of all of them, and `PAD` more."""
    offsets: Any
    """Where each begins, and the last one ends."""
    given: Any
    """False where a row has none."""
    index: Any
    """Which text each row has, anything where it has none; None if each row has its own."""

    @property
    def count(self) -> int:
        """How many texts there are."""
        return len(self.offsets) - 1

    def spread(self, values: Any, *, null: int) -> Any:
        """Return for each row what its text has; `null` where it has none."""
        if self.index is not None:
            values = values[self.index] if len(values) else np.full(len(self.index), null, values.dtype)
        return values if self.given.all() else np.where(self.given, values, null)


def given_of(array: Any) -> Any:
    """Return where an array is not null."""
    valid = array.buffers()[0]
    return np.ones(len(array), np.bool_) if valid is None else _bits(valid, array)


def flags_of(array: Any) -> Any:
    """Return an array of booleans, none of which is null."""
    return _bits(array.buffers()[1], array)


def text_of(array: Any) -> Text:
    """Return a column of text, plain or by dictionary."""
    if hasattr(array, "dictionary") and len(array.dictionary) > len(array):
        array = array.dictionary_decode()  # It is that of many more rows.
    given, index = given_of(array), None
    if hasattr(array, "dictionary"):
        index, array = np.where(given, _numbers(array.indices, str(array.type.index_type)), 0), array.dictionary
    _, places, letters = array.buffers()
    width = np.int32 if str(array.type) == "string" else np.int64
    offsets = np.zeros(1, np.int64)
    if len(array):
        offsets = np.frombuffer(places, width)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    first, end = int(offsets[0]), int(offsets[-1])
    padded = np.full(end - first + PAD, LINE_END, np.uint8)
    if end > first:
        padded[: end - first] = np.frombuffer(letters, np.uint8)[first:end]
    return Text(padded, offsets - first, given, index)


def whole_of(array: Any) -> Any:
    """Return a column of numbers as int64: NULL where it is null, BEYOND where it is no whole number of 53 bits."""
    given, kind = given_of(array), str(array.type)
    if kind not in ("int64", "uint64", "double") or not len(array):
        return np.where(given, BEYOND, NULL)  # Text, which some dialects read.
    values = _numbers(array, kind)
    if kind == "int64" and values.max() < _EXACT_MAX and values.min() > -_EXACT_MAX:
        return np.where(given, values, NULL)
    values = np.where(given, values, 0)
    if kind == "double":
        sound = (np.abs(values) < _EXACT_MAX) & (values == np.floor(values))
    else:
        sound = (values < _EXACT_MAX) & (values > -_EXACT_MAX)
    return np.where(given, np.where(sound, values, 0).astype(np.int64) + np.where(sound, 0, BEYOND), NULL)


def own_texts_of(array: Any) -> Text:
    """Return a column of text in which each row has its own."""
    return text_of(array.dictionary_decode() if hasattr(array, "dictionary") else array)


def floats_of(array: Any) -> Any:
    """Return a column of floats; anything where it is null."""
    return _numbers(array, "double")


def _bits(buffer: Any, array: Any) -> Any:
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), count=array.offset + len(array), bitorder="little")
    return bits[array.offset :].view(np.bool_)


def _numbers(array: Any, kind: str) -> Any:
    # `to_numpy`, and what takes a scalar, would load pandas if it is installed: a second and more.
    found = np.frombuffer(array.buffers()[1], kind)
    return found[array.offset : array.offset + len(array)]
