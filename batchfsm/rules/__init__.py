"""Named invariants as rows of few kinds, and their scalar reading."""

from batchfsm.rules.judging import SKEW_S, Judge, judge_of, who
from batchfsm.rules.scalar import faults, listed
from batchfsm.rules.table import HEALTHY, RULES, Rule, chosen

__all__ = ["HEALTHY", "RULES", "SKEW_S", "Judge", "Rule", "chosen", "faults", "judge_of", "listed", "who"]
