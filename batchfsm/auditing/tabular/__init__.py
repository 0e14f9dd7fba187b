"""Logs that are tables: Parquet and dataframes, through Arrow; rows for the scalar core, columns for the kernel."""

from batchfsm.auditing.tabular.arrow import WHAT, places
from batchfsm.auditing.tabular.layout import CLOCKS, COUNTS, JSON_TEXT
from batchfsm.auditing.tabular.mixed import Mixed, is_frame, opened
from batchfsm.auditing.tabular.piece import Piece
from batchfsm.auditing.tabular.table import FRAME, Rows

__all__ = ["CLOCKS", "COUNTS", "FRAME", "JSON_TEXT", "WHAT", "Mixed", "Piece", "Rows", "is_frame", "opened", "places"]
