"""The rules as one query, for a log that lives in a warehouse."""

from batchfsm.auditing.sql.statement import HIDDEN, query
from batchfsm.auditing.sql.table import COLUMNS, SQL_DIALECTS, Table

__all__ = ["COLUMNS", "HIDDEN", "SQL_DIALECTS", "Table", "query"]
