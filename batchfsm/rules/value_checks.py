"""Checks of the kinds that compare values: times and counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final

from batchfsm.rules import kinds
from batchfsm.rules.checks import (
    BreachDetails,
    RuleContext,
    SetFields,
    SnapshotCheck,
    format_count,
    format_span,
    format_time,
    join_names,
)
from batchfsm.snapshot import Snapshot

_WINDOW: Final = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_ID_TIME: Final = re.compile(r"batch_([0-9a-f]{8})[0-9a-f]{24}")
ID_CHARS: Final = 38
ID_TIME: Final = slice(6, 14)
"""The place of the time, in hexadecimal, in an id of `ID_CHARS` characters."""


def stamp_order(
    _: kinds.StampOrder, context: RuleContext, _status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for stamps that are not in the order of their statuses."""
    graph = context.topology
    stamps = sorted(
        ((name, stamp) for name, stamp in graph.stamp.items() if stamp is not None and stamp in fields),
        key=lambda pair: graph.rank[pair[0]],
    )
    # Final statuses may share a stamp: each pair of stamps once.
    pairs = list(
        dict.fromkeys(
            (earlier, later)
            for first, earlier in stamps
            for second, later in stamps
            if graph.precedes(first, second) and earlier != later
        )
    )
    if not pairs:
        return None
    # Where each stamp precedes the next, as on every legal walk, comparing neighbours is enough.
    chain = all(graph.precedes(first, second) for (first, _), (second, _) in pairwise(stamps))
    seconds = attrgetter(*(stamp for _, stamp in stamps))

    def check(snapshot: Snapshot) -> BreachDetails | None:
        times = seconds(snapshot)
        if chain and sorted(times) == [*times]:
            return None
        given = {stamp: time for (_, stamp), time in zip(stamps, times, strict=True)}
        late = [(earlier, later) for earlier, later in pairs if given[earlier] > given[later]]
        if not late:
            return None
        named = dict.fromkeys(stamp for pair in late for stamp in pair)
        what = "; ".join(f"{earlier} after {later}" for earlier, later in late)
        return {stamp: given[stamp] for stamp in named}, f"has {what}", None

    return check


def time_limit(
    kind: kinds.TimeLimit, context: RuleContext, _status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for times that are later than their limit."""
    times = [name for name in kind.times if name in fields]
    if not times or kind.limit not in fields:
        return None
    slack_s = context.skew_s if kind.slack_s is None else kind.slack_s
    allowed = f" ({slack_s:g} s allowed)" if slack_s else ""
    limit_of, alone = attrgetter(kind.limit), attrgetter(*times) if len(times) == 1 else None

    def check(snapshot: Snapshot) -> BreachDetails | None:
        limit = limit_of(snapshot) + slack_s
        if alone is not None and alone(snapshot) <= limit:
            return None
        late = {name: time for name in times if (time := getattr(snapshot, name)) > limit}
        if not late:
            return None
        late_s = max(late.values()) - limit + slack_s
        named = late | {kind.limit: getattr(snapshot, kind.limit)}
        return named, f"has {join_names(late)} {late_s:,.0f} s after {kind.limit}{allowed}", None

    return check


def open_after_deadline(
    kind: kinds.OpenAfterDeadline, context: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for a status that is not final, observed long after the deadline."""
    is_late = _late_observation(kind, context, status, fields)
    if is_late is None or status is None:
        return None
    stamp = context.topology.stamp[status]

    def check(snapshot: Snapshot) -> BreachDetails | None:
        if not is_late(snapshot):
            return None
        expires_at, observed_at, since = snapshot.expires_at, snapshot.observed_at, stamp and getattr(snapshot, stamp)
        span = format_span(observed_at - expires_at)  # type: ignore[operator]
        entered = f"{status} since {format_time(since)}" if since else f"it has no {stamp or 'timestamp of the status'}"
        named = {"observed_at": observed_at, "expires_at": expires_at}
        return named, f"is still {status} {span} after its deadline; {entered}", None

    return check


def stuck_in_status(
    kind: kinds.StuckInStatus, context: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for a status that has lasted longer than its bound."""
    is_late = _late_observation(kind, context, status, fields)
    if is_late is None or status is None:
        return None
    stamp, bound_s = context.observation_limits(kind)[status]

    def check(snapshot: Snapshot) -> BreachDetails | None:
        if not is_late(snapshot):
            return None
        since, observed_at = getattr(snapshot, stamp), snapshot.observed_at
        span, bound = format_span(observed_at - since), format_span(bound_s)
        named = {"observed_at": observed_at, stamp: since}
        return named, f"has been {status} for {span}, since {format_time(since)}; more than {bound} is unusual", None

    return check


def _late_observation(
    kind: kinds.RuleKind, context: RuleContext, status: str | None, fields: SetFields
) -> Callable[[Snapshot], bool] | None:
    """Return a test for observations after the limit of a kind; None if there is no limit, or no time."""
    field, slack_s = context.observation_limits(kind).get(status or "", ("", 0.0))
    if not fields.issuperset({field, "observed_at"}):
        return None
    limit_of, observed_at_of = attrgetter(field), attrgetter("observed_at")
    return lambda snapshot: bool(observed_at_of(snapshot) > limit_of(snapshot) + slack_s)


def deadline_window(
    _: kinds.DeadlineWindow, context: RuleContext, _status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for a deadline that is not the time of creation plus the completion window."""
    tolerance_s = context.dialect.deadline_tolerance_s

    def check(snapshot: Snapshot) -> BreachDetails | None:
        window: Any = snapshot.completion_window
        given_s: Any = snapshot.expires_at - snapshot.created_at  # type: ignore[operator]
        window_s = seconds_of(window)
        if window_s == given_s or window_s is None or abs(given_s - window_s) <= tolerance_s:
            return None
        named = {name: getattr(snapshot, name) for name in ("created_at", "expires_at", "completion_window")}
        return (
            named,
            f"has {given_s:,} s between created_at and expires_at; {window} are {window_s:,} s",
            None,
        )

    return check if fields.issuperset({"completion_window", "created_at", "expires_at"}) else None


@lru_cache(maxsize=256)
def seconds_of(window: str) -> int | None:
    """Return `24h`, `7d`, `90m` or `30s` in seconds; None for any other text."""
    found = _WINDOW.fullmatch(window)
    return int(found[1]) * _UNIT_S[found[2]] if found else None


def id_time(kind: kinds.IdTime, _context: RuleContext, _status: str | None, fields: SetFields) -> SnapshotCheck | None:
    """Return the check for a time in the id that is not the time of creation."""

    def check(snapshot: Snapshot) -> BreachDetails | None:
        if len(snapshot.id) != ID_CHARS or (found := _ID_TIME.match(snapshot.id)) is None:
            return None
        off_s = int(found[1], 16) - snapshot.created_at  # type: ignore[operator]
        if -kind.tolerance_s <= off_s <= kind.tolerance_s:
            return None
        named = {"id": snapshot.id, "created_at": snapshot.created_at}
        return named, f"has an id made {abs(off_s):,} s {'after' if off_s > 0 else 'before'} created_at", None

    return check if fields.issuperset({"id", "created_at"}) else None


def counts_overflow(
    _: kinds.CountsOverflow, _context: RuleContext, _status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for negative counts, and for more requests done than there are."""

    def check(snapshot: Snapshot) -> BreachDetails | None:
        counts: Any = snapshot.request_counts
        total, completed, failed = counts.total, counts.completed, counts.failed
        if None not in (total, completed, failed) and total >= completed + failed and completed >= 0 <= failed:
            return None  # The common case first; total cannot be negative then.
        numbers = {"total": total, "completed": completed, "failed": failed}
        fields = {f"request_counts.{name}": number for name, number in numbers.items()}
        if negative := {name: number for name, number in fields.items() if number is not None and number < 0}:
            return negative, f"has a negative {join_names(negative)}", None
        if None in numbers.values():
            return None
        return (
            fields,
            f"has {_counts_text(total, completed, failed)}",
            None,
        )

    return check if "request_counts" in fields else None


def counts_unfinished(
    _: kinds.CountsUnfinished, _context: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for requests of a completed batch that are not done."""

    def check(snapshot: Snapshot) -> BreachDetails | None:
        counts: Any = snapshot.request_counts
        total, completed, failed = counts.total, counts.completed, counts.failed
        if None in (total, completed, failed) or completed < 0 or failed < 0 or completed + failed >= total:
            return None
        fields = {
            "request_counts.total": total,
            "request_counts.completed": completed,
            "request_counts.failed": failed,
        }
        return (
            fields,
            f"is completed with {_counts_text(total, completed, failed)}",
            None,
        )

    return check if status == "completed" and "request_counts" in fields else None


def _counts_text(total: int, completed: int, failed: int) -> str:
    return f"{format_count(completed)} completed and {format_count(failed)} failed of {format_count(total)} requests"
