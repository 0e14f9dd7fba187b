"""Which rules are asked for, and what a log must have for them to look."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from batchfsm.errors import UnknownNameError
from batchfsm.rules import kinds
from batchfsm.rules.catalog import RULES

HISTORY: Final = "history"
"""What rules across snapshots need: a second snapshot of some batch."""

_CONTEXT: Final = frozenset({"expires_at", "observed_at"})


def chosen(tokens: Iterable[str]) -> frozenset[str]:
    """
    Return the codes that tokens name: whole codes, how they begin (`T`, `H5`), or names of rules (`stale-read`).

    Raises:
        UnknownNameError: If a token names no rule.
    """
    codes: set[str] = set()
    for token in tokens:
        begins = token.strip().upper()
        name = token.strip().lower()
        named = {code for code, rule in RULES.items() if begins and (code.startswith(begins) or rule.name == name)}
        if not named:
            raise UnknownNameError("rule", token, RULES)
        codes |= named
    return frozenset(codes)


def needs(code: str) -> frozenset[str]:
    """
    Return what some snapshot must have set for a rule to look at all.

    A rule about a status nobody was in has looked; a rule about `observed_at` in a log
    without has not.
    """
    kind = RULES[code].kind
    if isinstance(kind, kinds.IllegalMove | kinds.Immutable | kinds.Monotonic | kinds.ChangedAfterEnd):
        return frozenset({HISTORY})
    if isinstance(kind, kinds.TimeLimit):
        return _CONTEXT & {*kind.times, kind.limit}
    if isinstance(kind, kinds.DeadlineWindow):
        return frozenset({"created_at", "expires_at", "completion_window"})
    if isinstance(kind, kinds.IdTime):
        return frozenset({"id", "created_at"})
    if isinstance(kind, kinds.CountsOverflow | kinds.CountsUnfinished | kinds.OutputMissing) or (
        isinstance(kind, kinds.MustBeNull) and kind.fields == ("request_counts.total",)
    ):
        return frozenset({"request_counts"})
    return frozenset()
