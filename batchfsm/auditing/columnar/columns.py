"""A snapshot as a row of whole numbers: what the kernel judges, whoever decoded it."""

from __future__ import annotations

from typing import Final

from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.snapshot import COUNT_FIELDS

NULL: Final = -(2**63)
"""Stands for null in every column but `flags`; no time, count or digest is that low."""

UNKNOWN: Final = -1
"""In the column `status`: a word that the lifecycle does not have."""

KEPT_FIELDS: Final = (
    *STAMP_FIELDS,
    "expires_at",
    "endpoint",
    "input_file_id",
    "completion_window",
    "output_file_id",
    "error_file_id",
    *(f"request_counts.{name}" for name in COUNT_FIELDS),
)
"""The fields that a batch is remembered by, in the order of their columns."""

COLUMNS: Final = ("id_low", "id_high", "status", *KEPT_FIELDS, "errors", "window_s", "id_time", "flags")
"""
The columns of `cells`; shape `(rows, len(COLUMNS))`, int64.

`id_low`, `id_high` and the fields that hold text are digests; equal text has equal digests. `status` is a
place in the lifecycle's `statuses`. Times are Unix seconds. `errors` is a digest of the raw value: equal ones
are equal, others may be, too. `window_s` is the completion window in seconds, `id_time` the time inside the
id; both NULL where there is none.
"""

ID_LOW: Final = 0
ID_HIGH: Final = 1
STATUS: Final = 2
KEPT: Final = 3
CREATED: Final = KEPT
EXPIRES: Final = KEPT + len(STAMP_FIELDS)
OUTPUT_FILE: Final = COLUMNS.index("output_file_id")
ERROR_FILE: Final = COLUMNS.index("error_file_id")
TOTAL: Final = COLUMNS.index("request_counts.total")
COMPLETED: Final = TOTAL + 1
FAILED: Final = TOTAL + 2
ERRORS: Final = TOTAL + 3
WINDOW_S: Final = ERRORS + 1
ID_TIME: Final = ERRORS + 2
FLAGS: Final = ERRORS + 3

COUNTED: Final = 1
"""In `flags`: `request_counts` is set, whatever is inside."""

LIMIT: Final = 2
"""In `flags`: the metadata breach S006."""

SENT: Final = {
    **{field: 1 << place for place, field in enumerate((*STAMP_FIELDS, "expires_at"))},
    "status": 1 << 9,
    "id": 1 << 10,
    "request_counts": 1 << 11,
    "errors": 1 << 12,
    "output_file_id": 1 << 13,
    "error_file_id": 1 << 14,
    "request_counts.total": 1 << 15,
}
"""The bit of each field in the set of those that a row has set; of the total, in that of those above zero."""

FOREIGN: Final = 4
"""In `flags`: `object` is a text, and not `batch` (S003)."""

LENIENT: Final = {"P102": 1 << 48, "P103": 1 << 49, "H501": 1 << 50}
"""In a mask: the finding is a warning, for a way with tolerated steps explains the row."""

ODD: Final = 1 << 51
"""In a mask: the columns do not tell; the scalar core has to be asked for the whole batch."""

STEADY: Final = 1 << 52
"""In a mask: after the row before it, this one breaches nothing and says nothing new, but that more is done."""

ROSE: Final = 1 << 53
"""In a mask with `STEADY`: more requests are completed; the next bit: more have failed."""

LORE: Final = STEADY | ROSE | ROSE << 1
"""In a mask: what is no breach, but tells which rows a history can be told without."""
