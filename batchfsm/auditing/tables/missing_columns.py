"""The effect of columns that a table lacks: some rules cannot check it, and some null timestamps mean nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from batchfsm.auditing.accumulator import FindingsAccumulator
from batchfsm.dialects import Dialect
from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.rules import RULES, kinds


def unavailable_rules(given: frozenset[str]) -> tuple[str, ...]:
    """
    Return the codes of the rules that cannot check a table.

    A rule about several fields checks those that have a column. A rule that rejects nulls cannot check a field
    without column, because the server may have sent a value.

    Args:
        given: The fields that the table has columns for.
    """
    # The time of observation may be absent in any log.
    return tuple(code for code, rule in RULES.items() if not _can_check(rule.kind, given | {"observed_at"}))


def restrict_to_columns(
    dialect: Dialect, template: FindingsAccumulator, given: frozenset[str]
) -> tuple[Dialect, FindingsAccumulator]:
    """Return the dialect and the accumulator for a table that may lack columns; `given` as for `unavailable_rules`."""
    missing = [code for code in unavailable_rules(given) if dialect.severities.get(code) != "off"]
    return with_optional_stamps(dialect, given), attrs.evolve(template, disabled_for_columns=tuple(missing))


def with_optional_stamps(dialect: Dialect, given: frozenset[str]) -> Dialect:
    """Return a dialect in which a timestamp without column may be null in every status."""
    absent = {state.name for state in dialect.lifecycle.states if state.stamp is not None} - {
        state.name for state in dialect.lifecycle.states if state.stamp in given
    }
    return attrs.evolve(dialect, optional=dialect.optional | absent) if absent else dialect


def _can_check(kind: kinds.Kind, given: frozenset[str]) -> bool:
    fields: Iterable[str] = getattr(kind, "fields", ())
    names = {each.partition(".")[0] for each in fields}
    stamps = {*STAMP_FIELDS[1:]}
    found: Any
    match kind:
        case kinds.MustBeSet():
            found = names <= given
        case kinds.MustBeNull() | kinds.Immutable() | kinds.InvalidField():
            found = names & given or not names
        case kinds.Limit():
            found = "metadata" in given
        case kinds.OwnStampMissing() | kinds.ImpossibleStamps() | kinds.SkippedStamp() | kinds.StampOrder():
            found = stamps & given
        case kinds.TimeLimit():
            found = kind.limit in given and {*kind.times} & given
        case kinds.DeadlineWindow():
            found = {"expires_at", "completion_window"} <= given
        case kinds.CountsOverflow() | kinds.CountsUnfinished() | kinds.Monotonic():
            found = "request_counts" in given
        case kinds.OutputMissing():
            found = {"request_counts", "output_file_id"} <= given
        case kinds.ChangedAfterEnd():
            found = {*stamps, "request_counts", "errors"} & given
        case _:
            found = True
    return bool(found)
