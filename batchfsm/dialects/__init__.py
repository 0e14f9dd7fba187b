"""Server families that deviate from the OpenAI lifecycle, as data layered on it."""

from batchfsm.dialects.dialect import Dialect, TimeForm
from batchfsm.dialects.named import DIALECTS, find

__all__ = ["DIALECTS", "Dialect", "TimeForm", "find"]
