"""The rules read in columns: millions of rows a second, and the scalar core for what columns cannot tell."""

from batchfsm.auditing.columnar.bucket import Bucket
from batchfsm.auditing.columnar.chunk import keys
from batchfsm.auditing.columnar.cutting import cut
from batchfsm.auditing.columnar.desks import Desks
from batchfsm.auditing.columnar.digest import key_of
from batchfsm.auditing.columnar.grid import Grid
from batchfsm.auditing.columnar.judging import Columnar, DisagreementError, NotColumnarError
from batchfsm.auditing.columnar.lines import Lines, NotLinesError

__all__ = [
    "Bucket",
    "Columnar",
    "Desks",
    "DisagreementError",
    "Grid",
    "Lines",
    "NotColumnarError",
    "NotLinesError",
    "cut",
    "key_of",
    "keys",
]
