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

    def spread(self, values: Any, null: int) -> Any:
        """Return for each row what its text has; `null` where it has none."""
        if self.index is not None:
            values = values[self.index] if len(values) else np.full(len(self.index), null, np.int64)
        return values if self.given.all() else np.where(self.given, values, null)


def given_of(array: Any) -> Any:
    """Return where an array is not null."""
    return np.asarray(array.is_valid()) if array.null_count else np.ones(len(array), np.bool_)


def text_of(array: Any) -> Text:
    """Return a column of text, plain or by dictionary."""
    given, index = given_of(array), None
    if hasattr(array, "dictionary"):
        index, array = array.indices.fill_null(0).to_numpy(), array.dictionary
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
    given = given_of(array)
    kind = str(array.type)
    if kind not in ("int64", "uint64", "double"):
        return np.where(given, BEYOND, NULL)  # Text, which some dialects read.
    values = array.fill_null(0).to_numpy() if array.null_count else array.to_numpy()
    if not len(values):
        return np.zeros(0, np.int64)
    if kind == "double":
        sound = (np.abs(values) < _EXACT_MAX) & (values == np.floor(values))
        values = np.where(sound, values, 0).astype(np.int64)
    elif values.max() > _EXACT_MAX or values.min() < -_EXACT_MAX:
        sound = (values < _EXACT_MAX) & (values > -_EXACT_MAX)
        values = np.where(sound, values, 0).astype(np.int64)
    else:
        sound, values = None, values.astype(np.int64, copy=False)
    if sound is not None:
        values[~sound] = BEYOND
    return values if given.all() else np.where(given, values, NULL)
