"""Server families that deviate from the OpenAI lifecycle, as data layered on it."""

from batchfsm.dialects.builtin import DIALECTS, find
from batchfsm.dialects.dialect import Dialect, TimeForm

__all__ = ["DIALECTS", "Dialect", "TimeForm", "find"]
