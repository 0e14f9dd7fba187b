"""Hypothesis strategies: lives of batches, polls of them, and histories that break one rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

from batchfsm.dialects import Dialect, get_dialect, require_openai_fields
from batchfsm.errors import UnknownNameError
from batchfsm.rules import RULES
from batchfsm.testing.broken_results import BREAKERS, broken_results
from batchfsm.testing.clock import BEGINS_AT
from batchfsm.testing.timeline import DEADLINE_S, ProgressPoint, Timeline, WireObject
from batchfsm.testing.violations import (
    SNAPSHOT_VIOLATIONS,
    broken_history,
    broken_snapshot,
    history_places,
    snapshot_places,
)
from batchfsm.topology import Walk, topology

SnapshotT = TypeVar("SnapshotT")

TOTAL_MAX: Final = 1_000
"""The most requests of a generated batch."""

_DWELL_S: Final = st.integers(0, 3) | st.integers(0, 7_000)
_CUT_OFF: Final = frozenset({"expired", "cancelled"})


def timelines(*, dialect: str | Dialect = "openai", tolerated: bool = False) -> st.SearchStrategy[Timeline]:
    """
    Return lives of batches from creation to a final status, along the steps of a lifecycle.

    Equal seconds are as common as they are on real servers.

    Args:
        dialect: The dialect of the batches.
        tolerated: True to include tolerated steps.
    """
    named = get_dialect(dialect)
    require_openai_fields(named, "timeline of the test kit")
    return st.sampled_from(_walks(named, tolerated=tolerated)).flatmap(lambda walk: _lives(walk, named))


def histories(*, dialect: str | Dialect = "openai", tolerated: bool = False) -> st.SearchStrategy[list[WireObject]]:
    """Return histories with one object for each status, as a poller sees that misses none; see `timelines`."""
    return timelines(dialect=dialect, tolerated=tolerated).map(Timeline.history)


def polls(history: Sequence[SnapshotT]) -> st.SearchStrategy[list[SnapshotT]]:
    """Return polls of a history: at least one of its snapshots, in order, some of them repeated."""
    places = st.lists(st.integers(0, len(history) - 1), min_size=1, max_size=2 * len(history))
    return places.map(lambda found: [history[place] for place in sorted(found)])


def broken(rule: str) -> st.SearchStrategy[Any]:
    """
    Return histories on OpenAI that break one rule and no other.

    The last item is the one that breaks it. Items are batch objects; for T205, T207 and
    T208, which need the time of observation, the last one is an envelope. For a rule of result files, R601 to R607,
    return `ResultFiles` instead. A rule that is off on OpenAI, C305, is broken in a dialect that has it.

    Args:
        rule: The code of the rule.

    Raises:
        UnknownNameError: If there is no such rule.
    """
    if rule in BREAKERS:
        return broken_results(rule)
    if rule not in RULES:
        raise UnknownNameError("rule", rule, (*RULES, *BREAKERS))
    return _changed(rule) if rule in SNAPSHOT_VIOLATIONS else _paired(rule)


def _walks(dialect: Dialect, *, tolerated: bool = False) -> list[Walk]:
    """Return every simple walk from creation to a final status."""
    graph = topology(dialect.lifecycle)
    statuses = frozenset(graph.statuses)
    return [
        walk
        for end in graph.statuses
        if end in graph.terminal
        for walk in graph.walks(dialect.lifecycle.initial, end, statuses, strict=not tolerated)
    ]


@st.composite
def _lives(draw: st.DrawFn, walk: Walk, dialect: Dialect, least: int = 0) -> Timeline:
    """Draw a life along a walk, with at least `least` requests done, and as many left if it is cut off."""
    begun = BEGINS_AT + draw(st.integers(0, 10**6))
    entries, second = [], begun
    for status in walk:
        if status == "expired":
            second = max(second, begun + 86_400 + draw(st.sampled_from([0, DEADLINE_S])))
        entries.append((status, second))
        second += draw(_DWELL_S)
    total = draw(st.integers(2 * least, TOTAL_MAX))
    progress: tuple[ProgressPoint, ...] = ()
    if "in_progress" in walk:
        place = walk.index("in_progress")
        over = entries[min(place + 1, len(entries) - 1)][1]
        most = total - least if walk[-1] in _CUT_OFF else total
        completed = draw(st.integers(least, most))
        failed = draw(st.integers(0, most - completed))
        if walk[-1] == "completed":
            failed = total - completed
        progress = (
            ProgressPoint(at=entries[place][1], completed=0, failed=0),
            ProgressPoint(at=over, completed=completed, failed=failed),
        )
    optional = [status for status in walk if status in dialect.optional_stamps]
    silent = frozenset(draw(st.lists(st.sampled_from(optional), unique=True))) if optional else frozenset()
    return Timeline(
        entries=tuple(entries),
        dialect=dialect,
        total=total,
        progress=progress,
        silent=silent,
        number=draw(st.integers(0, 99)),
    )


@st.composite
def _changed(draw: st.DrawFn, rule: str) -> list[Any]:
    """Draw a healthy snapshot with one violation."""
    openai = get_dialect("openai")
    walk, end = draw(st.sampled_from(list(snapshot_places(rule, _walks(openai)))))
    return broken_snapshot(rule, draw(_lives(walk, openai, least=1)), end)


@st.composite
def _paired(draw: st.DrawFn, rule: str) -> list[Any]:
    """Draw two healthy snapshots that contradict each other."""
    openai = get_dialect("openai")
    walk, end, then = draw(st.sampled_from(list(history_places(rule, _walks(openai)))))
    return broken_history(rule, draw(_lives(walk, openai, least=1)), end, then)
