"""Server families that deviate from the OpenAI lifecycle, as data layered on it."""

from batchfsm.dialects.builtin import AUTO, DIALECTS, get_dialect
from batchfsm.dialects.dialect import SEPARATORS, Dialect, TimeFormat, normalized_word, require_openai_fields
from batchfsm.dialects.nearest import nearest_status
from batchfsm.dialects.wire_map import Paths, Wire

__all__ = [
    "AUTO",
    "DIALECTS",
    "SEPARATORS",
    "Dialect",
    "Paths",
    "TimeFormat",
    "Wire",
    "get_dialect",
    "nearest_status",
    "normalized_word",
    "require_openai_fields",
]
