"""The rules as one query, for a log that lives in a warehouse."""

from batchfsm.sql.query import HIDDEN, query
from batchfsm.sql.schema import COLUMNS, SQL_DIALECTS, Table

__all__ = ["COLUMNS", "HIDDEN", "SQL_DIALECTS", "Table", "query"]
