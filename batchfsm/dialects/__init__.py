"""Server families that deviate from the OpenAI lifecycle, as data layered on it."""

from batchfsm.dialects.builtin import DIALECTS, find
from batchfsm.dialects.dialect import SEPARATORS, Dialect, TimeForm, normalized_word, require_openai_fields
from batchfsm.dialects.nearest import nearest_status
from batchfsm.dialects.wire_map import Paths, Wire

__all__ = [
    "DIALECTS",
    "SEPARATORS",
    "Dialect",
    "Paths",
    "TimeForm",
    "Wire",
    "find",
    "nearest_status",
    "normalized_word",
    "require_openai_fields",
]
