"""Auditing in columns: rows decoded into integers, and the rules compiled; for logs of thousands of rows and more."""

from batchfsm.auditing.columns.engine import ColumnEngine, NotColumnarError
from batchfsm.auditing.columns.json_lines import JsonLinesSource, NotLinesError, ParserPool
from batchfsm.auditing.columns.layout import COLUMNS, HASH_SEED
from batchfsm.auditing.columns.parsed_lines import ParsedLinesSource
from batchfsm.auditing.columns.table_source import TableSource
from batchfsm.auditing.columns.text_values import id_hashes
from batchfsm.auditing.columns.tokenizer import PAD

__all__ = [
    "COLUMNS",
    "HASH_SEED",
    "PAD",
    "ColumnEngine",
    "JsonLinesSource",
    "NotColumnarError",
    "NotLinesError",
    "ParsedLinesSource",
    "ParserPool",
    "TableSource",
    "id_hashes",
]
