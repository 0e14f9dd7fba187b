"""The scalar reading of the kinds that compare what is there: times and counts."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final

from batchfsm.rules import kinds
from batchfsm.rules.checks import BreachDetails, RuleContext, SetFields, SnapshotCheck, listed, many
from batchfsm.snapshot import Snapshot

_WINDOW: Final = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_ID_TIME: Final = re.compile(r"batch_([0-9a-f]{8})[0-9a-f]{24}")
ID_CHARS: Final = 38
ID_TIME: Final = slice(6, 14)
"""Where the time stands in an id of so many characters; hexadecimal."""


def ordered(_: kinds.StampOrder, world: RuleContext, _status: str | None, fields: SetFields) -> SnapshotCheck | None:
    """Ask whether the stamps are in the order of their statuses."""
    graph = world.topology
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
    # Where each stamp precedes the next, as on every lawful walk, one comparison of neighbours is enough.
    chain = all(graph.precedes(first, second) for (first, _), (second, _) in pairwise(stamps))
    seconds = attrgetter(*(stamp for _, stamp in stamps))

    def look(snapshot: Snapshot) -> BreachDetails | None:
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

    return look


def bound(kind: kinds.TimeLimit, world: RuleContext, status: str | None, fields: SetFields) -> SnapshotCheck | None:
    """Ask whether a time is later than it may be."""
    times = [name for name in kind.times if name in fields]
    if (
        not times
        or kind.limit not in fields
        or (kind.open_only and (status is None or status in world.topology.terminal))
    ):
        return None
    slack_s = world.skew_s if kind.slack_s is None else kind.slack_s
    allowed = f" ({slack_s:g} s allowed)" if slack_s else ""
    limit_of, alone = attrgetter(kind.limit), attrgetter(*times) if len(times) == 1 else None

    def look(snapshot: Snapshot) -> BreachDetails | None:
        limit = limit_of(snapshot) + slack_s
        if alone is not None and alone(snapshot) <= limit:
            return None
        late = {name: time for name in times if (time := getattr(snapshot, name)) > limit}
        if not late:
            return None
        late_s = max(late.values()) - limit + slack_s
        named = late | {kind.limit: getattr(snapshot, kind.limit)}
        return named, f"has {listed(late)} {late_s:,.0f} s after {kind.limit}{allowed}", None

    return look


def window(_: kinds.DeadlineWindow, world: RuleContext, _status: str | None, fields: SetFields) -> SnapshotCheck | None:
    """Ask whether the deadline is the completion window's."""
    tolerance_s = world.dialect.deadline_tolerance_s

    def look(snapshot: Snapshot) -> BreachDetails | None:
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

    return look if fields.issuperset({"completion_window", "created_at", "expires_at"}) else None


@lru_cache(maxsize=256)
def seconds_of(window: str) -> int | None:
    """Return `24h`, `7d`, `90m` or `30s` in seconds; None for what is none of them."""
    found = _WINDOW.fullmatch(window)
    return int(found[1]) * _UNIT_S[found[2]] if found else None


def id_time(kind: kinds.IdTime, _world: RuleContext, _status: str | None, fields: SetFields) -> SnapshotCheck | None:
    """Ask whether the id was made when the batch was."""

    def look(snapshot: Snapshot) -> BreachDetails | None:
        if len(snapshot.id) != ID_CHARS or (found := _ID_TIME.match(snapshot.id)) is None:
            return None
        off_s = int(found[1], 16) - snapshot.created_at  # type: ignore[operator]
        if -kind.tolerance_s <= off_s <= kind.tolerance_s:
            return None
        named = {"id": snapshot.id, "created_at": snapshot.created_at}
        return named, f"has an id made {abs(off_s):,} s {'after' if off_s > 0 else 'before'} created_at", None

    return look if fields.issuperset({"id", "created_at"}) else None


def overflow(
    _: kinds.CountsOverflow, _world: RuleContext, _status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Ask whether counts are negative, or more are done than there are."""

    def look(snapshot: Snapshot) -> BreachDetails | None:
        counts: Any = snapshot.request_counts
        total, completed, failed = counts.total, counts.completed, counts.failed
        if None not in (total, completed, failed) and total >= completed + failed and completed >= 0 <= failed:
            return None  # The common case first; total cannot be negative then.
        numbers = {"total": total, "completed": completed, "failed": failed}
        fields = {f"request_counts.{name}": number for name, number in numbers.items()}
        if negative := {name: number for name, number in fields.items() if number is not None and number < 0}:
            return negative, f"has a negative {listed(negative)}", None
        if None in numbers.values():
            return None
        return fields, f"has {many(completed)} completed and {many(failed)} failed of {many(total)} requests", None

    return look if "request_counts" in fields else None


def unsettled(
    _: kinds.CountsUnfinished, _world: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Ask whether a completed batch has requests left."""

    def look(snapshot: Snapshot) -> BreachDetails | None:
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
            f"is completed with {many(completed)} completed and {many(failed)} failed of {many(total)} requests",
            None,
        )

    return look if status == "completed" and "request_counts" in fields else None
