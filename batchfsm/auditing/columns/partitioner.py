"""Rows written to buckets on disk by their batch, and read back bucket by bucket."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from batchfsm.auditing.columns import row_arrays
from batchfsm.auditing.columns.layout import RowBatch, as_bits
from batchfsm.errors import SourceError

_LINE_BYTES_MIN: Final = 100  # Shorter lines are rare; so many bytes of log make one row at most.
_SHARE: Final = 8  # A bucket may take this share of the memory: to sort it takes several times its size.
_BUCKETS_MIN, _BUCKETS_MAX = 16, 256


class Bucket(NamedTuple):
    """The rows of some batches, in the order of the log."""

    excluded: list[tuple[int, int]]
    """The ids, as hashes, that the row engine checks and that belong to this bucket."""
    rows: Any
    observed_at: Any
    numbers: Any


class HashPartitioner:
    """Buckets in temporary files, which are deleted when the context ends."""

    def __init__(self, log_bytes: int, memory: int) -> None:
        wanted = log_bytes // _LINE_BYTES_MIN * row_arrays.RECORD_BYTES * _SHARE // max(memory, 1)
        self.count = min(max(wanted, _BUCKETS_MIN), _BUCKETS_MAX)
        """How many buckets there are: so many that one fits into its share of the memory."""
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
        """Delete the files."""
        self._stack.close()

    def add(self, batch: RowBatch, base: int) -> None:
        """Write the decoded rows, numbered from `base + batch.first`; SourceError if the disk is full."""
        times = as_bits(batch.observed_at)
        records, begins = row_arrays.group_by_bucket(batch.values, times, batch.decoded, base + batch.first, self.count)
        view = memoryview(records).cast("B")
        size = row_arrays.RECORD_BYTES
        try:
            for file, begin, end in zip(self._files, begins, begins[1:], strict=False):
                file.write(view[size * begin : size * end])
        except OSError as error:
            raise SourceError(f"no room to sort the log: {error}") from error

    def buckets(self, excluded: Iterable[tuple[int, int]]) -> Iterator[Bucket]:
        """Yield bucket by bucket; `excluded`: the ids, as hashes, that the row engine checks."""
        keys: list[list[tuple[int, int]]] = [[] for _ in self._files]
        for key in excluded:
            keys[key[0] % self.count].append(key)
        for file, mine in zip(self._files, keys, strict=True):
            file.seek(0)
            records = array("q")
            records.frombytes(file.read())
            rows, time_bits, numbers = row_arrays.split_records(records)
            yield Bucket(mine, rows, memoryview(time_bits).cast("B").cast("d"), numbers)
