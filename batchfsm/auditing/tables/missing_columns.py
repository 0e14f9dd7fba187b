"""The effect of columns that a table lacks: some rules cannot check it, and some null timestamps mean nothing."""

from __future__ import annotations

import attrs

from batchfsm.auditing.accumulator import FindingsAccumulator
from batchfsm.dialects import Dialect
from batchfsm.rules import RULES, severity_in


def unavailable_rules(given: frozenset[str]) -> tuple[str, ...]:
    """
    Return the codes of the rules that cannot check a table.

    A rule about several fields checks those that have a column. A rule that rejects nulls cannot check a field
    without column, because the server may have sent a value.

    Args:
        given: The fields that the table has columns for.
    """
    # The time of observation may be absent in any log.
    return tuple(code for code, rule in RULES.items() if not rule.kind.can_check(given | {"observed_at"}))


def restrict_to_columns(
    dialect: Dialect, template: FindingsAccumulator, given: frozenset[str]
) -> tuple[Dialect, FindingsAccumulator]:
    """Return the dialect and the accumulator for a table that may lack columns; `given` as for `unavailable_rules`."""
    missing = [code for code in unavailable_rules(given) if severity_in(dialect, RULES[code]) != "off"]
    return with_optional_stamps(dialect, given), attrs.evolve(template, disabled_for_columns=tuple(missing))


def with_optional_stamps(dialect: Dialect, given: frozenset[str]) -> Dialect:
    """Return a dialect in which a timestamp without column may be null in every status."""
    absent = {state.name for state in dialect.lifecycle.states if state.stamp is not None} - {
        state.name for state in dialect.lifecycle.states if state.stamp in given
    }
    return attrs.evolve(dialect, optional_stamps=dialect.optional_stamps | absent) if absent else dialect
