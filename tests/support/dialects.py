"""The dialects with OpenAI's field names; those of other providers have tests of their own."""

from types import MappingProxyType

from batchfsm.dialects import DIALECTS as ALL_DIALECTS

DIALECTS = MappingProxyType({name: dialect for name, dialect in ALL_DIALECTS.items() if dialect.wire is None})
"""By name, as in `batchfsm.DIALECTS`."""
