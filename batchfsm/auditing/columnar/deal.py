"""Rows of columns dealt out to buckets on disk by their batch, and taken up bucket by bucket in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from batchfsm.auditing.columnar.columns import COLUMNS, ID_LOW
from batchfsm.errors import SourceError

_WIDTH: Final = len(COLUMNS) + 2  # Beside its cells a row has its time and its number.
_ROW_BYTES: Final = 8 * _WIDTH
_LINE_BYTES_MIN: Final = 100  # How short the lines of a log are, taken that they are short.
_SHARE: Final = 8  # A bucket may take so much of the memory: sorting it takes several times as much.
_BUCKETS_MIN, _BUCKETS_MAX = 16, 256


class Deal:
    """Buckets on disk; gone with the process."""

    def __init__(self, log_bytes: int, memory: int) -> None:
        """Choose how many, so that one of them fits into its share of the memory."""
        wanted = log_bytes // _LINE_BYTES_MIN * _ROW_BYTES * _SHARE // max(memory, 1)
        self.count = min(max(wanted, _BUCKETS_MIN), _BUCKETS_MAX)
        """How many there are."""
        self._stack = ExitStack()
        self._files: list[Any] = []

    def __enter__(self) -> Self:
        """Open the files; SourceError if there is no room for them."""
        try:
            self._files = [self._stack.enter_context(TemporaryFile()) for _ in range(self.count)]  # noqa: SIM115  # The stack closes them.
        except OSError as error:
            self._stack.close()
            raise SourceError(f"no room to sort the log: {error}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give the disk back."""
        self._stack.close()

    def add(self, cells: Any, seen: Any, numbers: Any) -> None:
        """Deal rows out; SourceError if the disk is full."""
        rows = np.empty((len(cells), _WIDTH), np.int64)
        rows[:, :-2], rows[:, -2], rows[:, -1] = cells, seen.view(np.int64), numbers
        buckets = cells[:, ID_LOW] % self.count
        order = np.argsort(buckets, kind="stable")
        cuts = np.searchsorted(buckets[order], np.arange(1, self.count))
        try:
            for file, mine in zip(self._files, np.split(rows[order], cuts), strict=True):
                file.write(mine.tobytes())
        except OSError as error:
            raise SourceError(f"no room to sort the log: {error}") from error

    def buckets(self, keys: Iterable[tuple[int, int]]) -> Iterator[tuple[list[tuple[int, int]], tuple[Any, Any, Any]]]:
        """
        Yield bucket by bucket: those of some keys that belong there, and the rows, each batch's in order.

        The rows are cells, times and numbers, by batch; a batch's by time, and by number where that is equal. One
        that does not say when it was seen, was seen when the one before it in the log was.
        """
        dealt: list[list[tuple[int, int]]] = [[] for _ in self._files]
        for key in keys:
            dealt[key[0] % self.count].append(key)
        for file, mine in zip(self._files, dealt, strict=True):
            file.seek(0)
            rows = np.frombuffer(file.read(), np.int64).reshape(-1, _WIDTH)
            yield mine, _sorted(rows)


def _sorted(rows: Any) -> tuple[Any, Any, Any]:
    seen = rows[:, -2].copy().view(np.float64)
    rows = rows[order] if (order := np.lexsort((rows[:, -1], rows[:, 1], rows[:, ID_LOW]))).size else rows
    seen = seen[order]
    fresh = np.flatnonzero(np.append(True, (rows[1:, :2] != rows[:-1, :2]).any(axis=1))) if len(rows) else order
    # Behind a row that says when it was seen, or at the beginning of its batch: the last such place counts.
    said = np.where(np.isnan(seen), 0, np.arange(len(rows)))
    said[fresh] = fresh
    when = seen[np.maximum.accumulate(said)] if len(rows) else seen
    batch = np.zeros(len(rows), np.int64)
    batch[fresh] = 1
    order = np.lexsort((rows[:, -1], np.nan_to_num(when, nan=-np.inf), np.cumsum(batch)))
    rows = rows[order]
    return np.ascontiguousarray(rows[:, :-2]), seen[order], rows[:, -1].copy()
