"""What the text of a query depends on, and the first words of SQL that all its parts share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from batchfsm.rules.checks import RuleContext
from batchfsm.snapshot import TIME_FIELDS

SqlBreach = tuple[str, str | None]
"""Two conditions in SQL: when a row breaches a rule, and when it is no more than a warning; None: never."""

RuleCompiler = Callable[[Any, "QueryContext"], SqlBreach | None]
"""A kind of rule in SQL; None if the table has not the columns that could show a breach."""

BAD_BIT: Final = {name: 1 << index for index, name in enumerate(TIME_FIELDS)}
"""A bit for each time field, in the column `bad`."""


@attrs.frozen(kw_only=True)
class QueryContext:
    """What the text of a query depends on."""

    world: RuleContext
    """Whose lifecycle, and how far clocks differ."""

    given: frozenset[str]
    """The fields that the table has a column for."""

    @property
    def code(self) -> dict[str, int]:
        """The number of each status, in table order; the column `st` holds it."""
        return {name: number for number, name in enumerate(self.world.topology.statuses)}

    def among(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of some fields that the table has a column for."""
        return tuple(name for name in names if name in self.given)

    def within(self, statuses: Iterable[str | None]) -> str:
        """Say in SQL that the status is one of some; None among them stands for an unknown one."""
        wanted = set(statuses)
        known = [code for name, code in self.code.items() if name in wanted]
        listed = f"st IN ({', '.join(map(str, known))})" if known else "FALSE"
        if None not in wanted:
            return "st IS NOT NULL" if len(known) == len(self.code) else listed
        return "TRUE" if len(known) == len(self.code) else f"(st IS NULL OR {listed})"


def any_of(conditions: Iterable[str]) -> str:
    """Join conditions by OR; without any it is never so."""
    found = list(dict.fromkeys(conditions))
    return "TRUE" if "TRUE" in found else " OR ".join(found) or "FALSE"


def all_of(conditions: Iterable[str]) -> str:
    """Join conditions by AND; without any it is always so."""
    found = [each for each in dict.fromkeys(conditions) if each != "TRUE"]
    return " AND ".join(f"({each})" if " OR " in each else each for each in found) or "TRUE"


def by_case(subject: str, answers: Iterable[tuple[object, str]]) -> str:
    """Write a table of answers as a CASE; NULL for what is not in it."""
    return f"CASE {subject} " + " ".join(f"WHEN {each} THEN {answer}" for each, answer in answers) + " END"


def quoted(text: str) -> str:
    """Write text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"
