"""The layout of a decoded row: a snapshot as 64-bit integers, whichever reader decoded it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from os import urandom
from typing import Any, Final, Protocol

import attrs

from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.logs import Record, UnreadableEntry
from batchfsm.snapshot import COUNT_FIELDS

PUBLIC_SEED: Final = 0x9E3779B97F4A7C15
"""The seed of `id_low`."""

HASH_SEED: Final = int.from_bytes(urandom(8))
"""The secret that texts are hashed with in this process; rows of several processes need a seed in common."""

NULL: Final = -(2**63)
"""Null in every column but `flags`. No time, count or hash is that low."""

UNKNOWN: Final = -1
"""The value of the column `status` for a word that the lifecycle does not have."""

TRACKED_FIELDS: Final = (
    *STAMP_FIELDS,
    "expires_at",
    "endpoint",
    "input_file_id",
    "completion_window",
    "output_file_id",
    "error_file_id",
    *(f"request_counts.{name}" for name in COUNT_FIELDS),
)
"""The fields whose values are kept for each batch, in the order of their columns."""

COLUMNS: Final = ("id_low", "id_high", "status", *TRACKED_FIELDS, "errors", "window_s", "id_time", "flags")
"""
The columns of a row; 8 bytes each.

`id_high` and the fields that hold text are hashes of the text, made with a secret seed: nobody can choose two texts of
one hash. `id_low` is a hash with a public seed, the same in every process: it groups the rows of a batch. `status` is
the index of the status in the lifecycle's `statuses`. Times are Unix seconds. `errors` is a hash of the raw value:
equal hashes mean equal errors, different ones may still mean equal errors. `window_s` is the completion window in
seconds, `id_time` the Unix time inside the id; both NULL if there is none.
"""

WIDTH: Final = len(COLUMNS)
ID_LOW: Final = 0
ID_HIGH: Final = 1
STATUS: Final = 2
TRACKED: Final = 3
"""The first column of `TRACKED_FIELDS`."""
CREATED: Final = TRACKED
EXPIRES: Final = TRACKED + len(STAMP_FIELDS)
ENDPOINT: Final = COLUMNS.index("endpoint")
WINDOW: Final = COLUMNS.index("completion_window")
OUTPUT_FILE: Final = COLUMNS.index("output_file_id")
ERROR_FILE: Final = COLUMNS.index("error_file_id")
TOTAL: Final = COLUMNS.index("request_counts.total")
COMPLETED: Final = TOTAL + 1
FAILED: Final = TOTAL + 2
ERRORS: Final = TOTAL + 3
WINDOW_S: Final = ERRORS + 1
ID_TIME: Final = ERRORS + 2
FLAGS: Final = ERRORS + 3

COUNTS_SET: Final = 1
"""In `flags`: `request_counts` is not null."""
METADATA_LIMIT: Final = 2
"""In `flags`: the metadata breach S006."""
NOT_A_BATCH: Final = 4
"""In `flags`: `object` is a text other than `batch` (S003)."""

FIELD_BITS: Final = {
    **{field: 1 << index for index, field in enumerate((*STAMP_FIELDS, "expires_at"))},
    "status": 1 << 9,
    "id": 1 << 10,
    "request_counts": 1 << 11,
    "errors": 1 << 12,
    "output_file_id": 1 << 13,
    "error_file_id": 1 << 14,
    "request_counts.total": 1 << 15,
    "request_counts.completed": 1 << 16,
    "request_counts.failed": 1 << 17,
}
"""The bit of each field in the set of the fields that are not null; of a number of requests, if it is above zero."""

WARNING_BITS: Final = {"P102": 1 << 48, "P103": 1 << 49, "H501": 1 << 50}
"""In a mask: the violation is a warning, because a walk with tolerated steps explains the row."""

UNDECIDABLE: Final = 1 << 51
"""In a mask: the columns cannot decide; the row engine checks the whole batch."""

UNCHANGED: Final = 1 << 52
"""In a mask: compared with the row before, nothing changed but that counts of finished requests rose."""
COMPLETED_ROSE: Final = 1 << 53
FAILED_ROSE: Final = 1 << 54
REDUNDANCY_BITS: Final = UNCHANGED | COMPLETED_ROSE | FAILED_ROSE
"""Mask bits that are not violations: they mark rows that can be skipped when a batch is explained."""

ROWS_PER_LINE_MAX: Final = 2**24
"""Rows of one line are numbered `n`, `n + 1 / ROWS_PER_LINE_MAX`, ..."""


@attrs.frozen(eq=False, kw_only=True)
class RowBatch:
    """Consecutive rows of a source."""

    count: int
    values: Any
    """The rows; `count * WIDTH` 64-bit integers, an `array('q')`. Meaningless for a row that is not decoded."""
    observed_at: Any
    """When each row was observed; `count` floats, Unix seconds, NaN if the log does not say."""
    decoded: Any
    """1 if the columns hold everything that rules read of the row, 0 if the row engine must read it; `count` bytes."""
    first: int
    """The number of the first row in its source, from 0."""

    @property
    def undecoded(self) -> list[int]:
        """The numbers of the rows that are not decoded, in order."""
        found, at = list[int](), self.decoded.find(0)
        while at >= 0:
            found.append(self.first + at)
            at = self.decoded.find(0, at + 1)
        return found


class RowSource(Protocol):
    """A log that can be read in columns."""

    size: int
    """Size in bytes, before decompression."""

    @property
    def bytes_read(self) -> int:
        """How many of those bytes have been read."""

    @property
    def rows_count(self) -> int:
        """How many rows have been read."""

    def batches(self) -> Iterator[RowBatch]:
        """Yield all rows in order; the values of a batch hold until the next batch is asked for."""

    def reread(self, numbers: list[int], base: int = 0) -> Iterator[Record | UnreadableEntry]:
        """
        Read some rows as the row engine does; `base` is added to the numbers of the rows that come back.

        `numbers`: row numbers in this source; sorted, without duplicates.
        """


def number_rows(rows: Iterator[Record | UnreadableEntry], number: int) -> Iterator[Record | UnreadableEntry]:
    """Number the rows of one line: the first one `number`, each further one a fraction more."""
    for row in rows:
        yield (
            Record(number + row.number / ROWS_PER_LINE_MAX, row.place, row.snapshot) if isinstance(row, Record) else row
        )


def zeros(count: int) -> array[int]:
    """Return `count` zeros."""
    return array("q", [0]) * count


def new_rows(count: int) -> array[int]:
    """Return `count` rows of zeros."""
    return zeros(WIDTH * count)


def as_bits(times: Any) -> Any:
    """Return floats as 64-bit integers of the same bits; a view."""
    return memoryview(times).cast("B").cast("q")


def null_rows(count: int) -> array[int]:
    """Return `count` rows of NULL, without flags."""
    return array("q", [0 if column == FLAGS else NULL for column in range(WIDTH)]) * count
