"""The context that the text of a query depends on, and the phrases of SQL that all its parts share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from batchfsm.rules.checks import RuleContext
from batchfsm.snapshot import TIME_FIELDS

SqlBreach = tuple[str, str | None]
"""Two conditions in SQL: when a row violates a rule, and when the violation is only a warning; None: never."""

RuleCompiler = Callable[[Any, "QueryContext"], SqlBreach | None]
"""Returns a rule in SQL; None if the table lacks the columns that could show a violation."""

BAD_BIT: Final = {name: 1 << index for index, name in enumerate(TIME_FIELDS)}
"""A bit for each time field, in the column `bad`."""


@attrs.frozen(kw_only=True)
class QueryContext:
    """The rules' context and the columns of the table."""

    rule_context: RuleContext
    """The dialect of the server and the allowance for clocks."""

    given: frozenset[str]
    """The fields that the table has a column for."""

    @property
    def code(self) -> dict[str, int]:
        """The number of each status in the order of the lifecycle, as in the column `st`."""
        return {name: number for number, name in enumerate(self.rule_context.topology.statuses)}

    def available(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the fields that the table has a column for."""
        return tuple(name for name in names if name in self.given)

    def status_in(self, statuses: Iterable[str | None]) -> str:
        """Return the condition that the status is one of some; None among them stands for an unknown status."""
        wanted = set(statuses)
        known = [code for name, code in self.code.items() if name in wanted]
        listed = f"st IN ({', '.join(map(str, known))})" if known else "FALSE"
        if None not in wanted:
            return "st IS NOT NULL" if len(known) == len(self.code) else listed
        return "TRUE" if len(known) == len(self.code) else f"(st IS NULL OR {listed})"

    def observed_after_end(self, slack_s: int) -> str:
        """Return the condition that an ended batch was observed later than its end and some seconds; never NULL."""
        graph = self.rule_context.topology
        answers = [
            (self.code[name], f"observed_at > {stamp} + {slack_s}")
            for name, stamp in graph.stamp.items()
            if name in graph.terminal and {stamp, "observed_at"} <= self.given
        ]
        return f"COALESCE({case('st', answers)}, FALSE)" if answers else "FALSE"


def or_(conditions: Iterable[str]) -> str:
    """Return conditions joined by OR; FALSE if there are none."""
    found = list(dict.fromkeys(conditions))
    return "TRUE" if "TRUE" in found else " OR ".join(found) or "FALSE"


def and_(conditions: Iterable[str]) -> str:
    """Return conditions joined by AND; TRUE if there are none."""
    found = [each for each in dict.fromkeys(conditions) if each != "TRUE"]
    return " AND ".join(f"({each})" if " OR " in each else each for each in found) or "TRUE"


def case(subject: str, answers: Iterable[tuple[object, str]]) -> str:
    """Return a CASE over pairs of value and result; NULL for every other value."""
    return f"CASE {subject} " + " ".join(f"WHEN {each} THEN {answer}" for each, answer in answers) + " END"


def quoted(text: str) -> str:
    """Return text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
