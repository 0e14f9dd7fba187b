"""Named invariants as rows of few kinds, and the check of each kind on one snapshot."""

from batchfsm.rules.catalog import RULES
from batchfsm.rules.checks import RuleContext, join_names
from batchfsm.rules.engine import SKEW_S, RuleEngine, batch_label, engine_for
from batchfsm.rules.examples import HEALTHY
from batchfsm.rules.presence_checks import metadata_violations
from batchfsm.rules.quick_checks import has_small_metadata
from batchfsm.rules.rule import Rule
from batchfsm.rules.selection import (
    HISTORY,
    ONCE_PER_STATUS,
    NamedRule,
    match_rules,
    required_fields,
    select_rules,
    severity_in,
)

__all__ = [
    "HEALTHY",
    "HISTORY",
    "ONCE_PER_STATUS",
    "RULES",
    "SKEW_S",
    "NamedRule",
    "Rule",
    "RuleContext",
    "RuleEngine",
    "batch_label",
    "engine_for",
    "has_small_metadata",
    "join_names",
    "match_rules",
    "metadata_violations",
    "required_fields",
    "select_rules",
    "severity_in",
]
