"""Auditing in columns: rows decoded into integers, and the rules compiled; for logs of thousands of rows and more."""

from batchfsm.auditing.columns.engine import ColumnEngine, DisagreementError, NotColumnarError
from batchfsm.auditing.columns.json_lines import JsonLinesSource, NotLinesError, ParserPool
from batchfsm.auditing.columns.layout import partition_keys
from batchfsm.auditing.columns.line_splits import read_split
from batchfsm.auditing.columns.table_source import TableSource
from batchfsm.auditing.columns.text_values import id_hashes

__all__ = [
    "ColumnEngine",
    "DisagreementError",
    "JsonLinesSource",
    "NotColumnarError",
    "NotLinesError",
    "ParserPool",
    "TableSource",
    "id_hashes",
    "partition_keys",
    "read_split",
]
