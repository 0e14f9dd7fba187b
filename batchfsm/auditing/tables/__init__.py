"""Logs that are tables: Parquet files and dataframes, read through Arrow; as columns or as objects."""

from batchfsm.auditing.tables.arrow import index_array, load_arrow, load_compute
from batchfsm.auditing.tables.inputs import MixedInput, is_frame, open_input, restrict_to_columns
from batchfsm.auditing.tables.normalized_batch import NormalizedBatch, normalize
from batchfsm.auditing.tables.schema import COUNTS, JSON_TEXT, OBSERVED_AT_FIELDS, TableSchema, find_fields
from batchfsm.auditing.tables.tables import FRAME, Frame, Parquet, TableRows

__all__ = [
    "COUNTS",
    "FRAME",
    "JSON_TEXT",
    "OBSERVED_AT_FIELDS",
    "Frame",
    "MixedInput",
    "NormalizedBatch",
    "Parquet",
    "TableRows",
    "TableSchema",
    "find_fields",
    "index_array",
    "is_frame",
    "load_arrow",
    "load_compute",
    "normalize",
    "open_input",
    "restrict_to_columns",
]
