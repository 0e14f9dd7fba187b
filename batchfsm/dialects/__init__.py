"""Server families that deviate from the OpenAI lifecycle, as data layered on it."""

from batchfsm.dialects.builtin import DIALECTS, find
from batchfsm.dialects.dialect import SEPARATORS, Dialect, TimeForm, normalized_word
from batchfsm.dialects.nearest import nearest_status

__all__ = ["DIALECTS", "SEPARATORS", "Dialect", "TimeForm", "find", "nearest_status", "normalized_word"]
