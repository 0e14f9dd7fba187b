"""The dialects with OpenAI's field names; those of other providers have tests of their own."""

from types import MappingProxyType

import attrs

from batchfsm import RULES
from batchfsm.dialects import DIALECTS as ALL_DIALECTS

DIALECTS = MappingProxyType({name: dialect for name, dialect in ALL_DIALECTS.items() if dialect.wire is None})
"""By name, as in `batchfsm.DIALECTS`."""

OFF = tuple(code for code, rule in RULES.items() if rule.severity == "off")
"""The rules that OpenAI's dialect does not check."""

CHECKING = MappingProxyType({
    code: attrs.evolve(DIALECTS["openai"], severities={code: "warning"}) if code in OFF else DIALECTS["openai"]
    for code in RULES
})  # fmt: skip
"""By code of a rule: OpenAI's dialect, with the rule as a warning if it is off there."""
