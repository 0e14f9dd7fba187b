"""Logs that are tables: Parquet and dataframes, through Arrow; rows for the scalar core, columns for the kernel."""

from batchfsm.auditing.tabular.arrow import WHAT, places
from batchfsm.auditing.tabular.blind import narrowed
from batchfsm.auditing.tabular.layout import CLOCKS, COUNTS, JSON_TEXT, Layout, layout
from batchfsm.auditing.tabular.mixed import Mixed, is_frame, opened
from batchfsm.auditing.tabular.piece import Piece
from batchfsm.auditing.tabular.table import FRAME, Frame, Parquet, Rows

__all__ = [
    "CLOCKS",
    "COUNTS",
    "FRAME",
    "JSON_TEXT",
    "WHAT",
    "Frame",
    "Layout",
    "Mixed",
    "Parquet",
    "Piece",
    "Rows",
    "is_frame",
    "layout",
    "narrowed",
    "opened",
    "places",
]
