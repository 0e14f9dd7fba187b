"""Logs of batch objects: JSON lines, arrays, pages, gzip, zstd, text forms, or objects at hand."""

from batchfsm.logs.packed import BrokenError, Counted, is_packed, unpacked
from batchfsm.logs.rows import Row, rows
from batchfsm.logs.sources import INPUT_FORMATS, InputFormat, Source, is_parquet, opened
from batchfsm.logs.stream import OBJECT_CHARS_MAX, Sighting, Stream, Unreadable

__all__ = [
    "INPUT_FORMATS",
    "OBJECT_CHARS_MAX",
    "BrokenError",
    "Counted",
    "InputFormat",
    "Row",
    "Sighting",
    "Source",
    "Stream",
    "Unreadable",
    "is_packed",
    "is_parquet",
    "opened",
    "rows",
    "unpacked",
]
