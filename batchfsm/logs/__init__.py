"""Logs of batch objects: JSON lines, arrays, pages, gzip, zstd, text forms, or objects at hand."""

from batchfsm.logs.compression import CountingReader, TruncatedStreamError, decompressing_reader, is_compressed
from batchfsm.logs.foreign_formats import HEAD_BYTES, reject_foreign_format
from batchfsm.logs.json_reader import OBJECT_CHARS_MAX, RawRecord, RecordReader, UnreadableEntry
from batchfsm.logs.records import (
    ProviderRecord,
    Record,
    dialect_hint,
    parse_records,
    recognise_records,
    request_lines_hint,
)
from batchfsm.logs.sources import INPUT_FORMATS, InputFormat, LogSource, is_parquet, resolve_source

__all__ = [
    "HEAD_BYTES",
    "INPUT_FORMATS",
    "OBJECT_CHARS_MAX",
    "CountingReader",
    "InputFormat",
    "LogSource",
    "ProviderRecord",
    "RawRecord",
    "Record",
    "RecordReader",
    "TruncatedStreamError",
    "UnreadableEntry",
    "decompressing_reader",
    "dialect_hint",
    "is_compressed",
    "is_parquet",
    "parse_records",
    "recognise_records",
    "reject_foreign_format",
    "request_lines_hint",
    "resolve_source",
]
