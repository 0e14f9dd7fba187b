"""Named invariants as rows of few kinds, and their scalar reading."""

from batchfsm.rules.asking import HISTORY, chosen, needs
from batchfsm.rules.examples import HEALTHY
from batchfsm.rules.judging import SKEW_S, Judge, judge_of, who
from batchfsm.rules.quick_checks import has_small_metadata
from batchfsm.rules.rule import Rule
from batchfsm.rules.scalar import faults, listed
from batchfsm.rules.table import RULES
from batchfsm.rules.world import World

__all__ = [
    "HEALTHY",
    "HISTORY",
    "RULES",
    "SKEW_S",
    "Judge",
    "Rule",
    "World",
    "chosen",
    "faults",
    "has_small_metadata",
    "judge_of",
    "listed",
    "needs",
    "who",
]
