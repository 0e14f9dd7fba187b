"""Named invariants as rows of few kinds, and their scalar reading."""

from batchfsm.rules.catalog import RULES
from batchfsm.rules.checks import RuleContext
from batchfsm.rules.engine import SKEW_S, RuleEngine, engine_for, who
from batchfsm.rules.examples import HEALTHY
from batchfsm.rules.quick_checks import has_small_metadata
from batchfsm.rules.rule import Rule
from batchfsm.rules.scalar import faults, listed
from batchfsm.rules.selection import HISTORY, chosen, needs

__all__ = [
    "HEALTHY",
    "HISTORY",
    "RULES",
    "SKEW_S",
    "Rule",
    "RuleContext",
    "RuleEngine",
    "chosen",
    "engine_for",
    "faults",
    "has_small_metadata",
    "listed",
    "needs",
    "who",
]
