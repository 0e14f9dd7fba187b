"""What a table without some column costs: rules that cannot look, and stamps that say nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from batchfsm.auditing.tally import Tally
from batchfsm.dialects import Dialect
from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.rules import RULES, kinds


def blind(given: frozenset[str]) -> tuple[str, ...]:
    """
    Return the codes of the rules that cannot look at a table.

    A rule about several fields looks at those that are there. One that finds fault with a null cannot look
    where the field has no column: nobody knows what the server sent.

    Args:
        given: The fields that the table has columns for.
    """
    # When a row was seen may be left out of any log.
    return tuple(code for code, rule in RULES.items() if not _looks(rule.kind, given | {"observed_at"}))


def narrowed(dialect: Dialect, blank: Tally, given: frozenset[str]) -> tuple[Dialect, Tally]:
    """Return the dialect and the tally of a run over columns, of which some may be missing; `given` as for `blind`."""
    missing = [code for code in blind(given) if dialect.severities.get(code) != "off"]
    return excused(dialect, given), attrs.evolve(blank, missing=tuple(missing))


def excused(dialect: Dialect, given: frozenset[str]) -> Dialect:
    """Return a dialect in which the null of a stamp that has no column says nothing."""
    absent = {state.name for state in dialect.lifecycle.states if state.stamp is not None} - {
        state.name for state in dialect.lifecycle.states if state.stamp in given
    }
    return attrs.evolve(dialect, optional=dialect.optional | absent) if absent else dialect


def _looks(kind: kinds.Kind, given: frozenset[str]) -> bool:
    fields: Iterable[str] = getattr(kind, "fields", ())
    names = {each.partition(".")[0] for each in fields}
    stamps = {*STAMP_FIELDS[1:]}
    found: Any
    match kind:
        case kinds.Null():
            found = names <= given
        case kinds.Set() | kinds.Kept() | kinds.Refused():
            found = names & given or not names
        case kinds.Limit():
            found = "metadata" in given
        case kinds.OwnStamp() | kinds.Passed() | kinds.Missed() | kinds.Ordered():
            found = stamps & given
        case kinds.Bound():
            found = kind.limit in given and {*kind.times} & given
        case kinds.Window():
            found = {"expires_at", "completion_window"} <= given
        case kinds.Overflow() | kinds.Unsettled() | kinds.Grown():
            found = "request_counts" in given
        case kinds.OutputMissing():
            found = {"request_counts", "output_file_id"} <= given
        case kinds.Settled():
            found = {*stamps, "request_counts", "errors"} & given
        case _:
            found = True
    return bool(found)
