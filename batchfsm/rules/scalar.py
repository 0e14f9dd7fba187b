"""The scalar reading of each kind of rule that one snapshot alone can breach."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final

import attrs

from batchfsm.dialects import Dialect
from batchfsm.lifecycle import Severity
from batchfsm.rules import kinds
from batchfsm.rules.table import RULES
from batchfsm.snapshot import UNREAD, Snapshot
from batchfsm.topology import Mask, Topology
from batchfsm.wire import refusal, shown

Breach = tuple[Mapping[str, object], str, Severity | None]
"""The fields that breach a rule, the rest of a sentence that begins with the batch, and what it weighs at most."""

Look = Callable[[Snapshot], Breach | None]
"""A question to a snapshot: does it breach the rule?"""

Fields = frozenset[str]
"""The fields that are set, neither null nor bad; and `bad`, if any is."""

_WINDOW: Final = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_METADATA: Final[Any] = RULES["S006"].kind
_ID_TIME: Final = re.compile(r"batch_([0-9a-f]{8})[0-9a-f]{24}")
_ID_CHARS: Final = 38


@attrs.frozen(kw_only=True, eq=False)
class World:
    """What a reading may depend on beside its row."""

    dialect: Dialect
    topology: Topology
    skew_s: float
    """How far a stamp may lie after its observation; seconds."""

    def scope(self, kind: kinds.Null | kinds.Set) -> frozenset[str | None]:
        """Return the statuses that a row speaks of; None among them stands for an unknown one."""
        known = frozenset(self.topology.statuses)
        if kind.statuses:
            return known & {*kind.statuses}
        if kind.unless:
            return known - {*kind.unless}
        return known - self.topology.terminal if isinstance(kind, kinds.Set) else known | {None}

    def stamped(self, fields: Iterable[str]) -> Mask:
        """Return the initial status and all whose stamp is among the fields."""
        set_stamps, stamps = set(fields), self.topology.stamp
        found = (name for name, stamp in stamps.items() if stamp in set_stamps)
        return self.topology.mask((self.topology.lifecycle.initial, *found))

    def skipped(
        self, status: str, fields: Iterable[str], bad: Iterable[str] = ()
    ) -> tuple[Severity, Mask] | None:
        """Judge P103; the stamp of this status, an optional, an unstamped and a bad one may be null."""
        excused = {None, *bad}
        nullable = (name for name, stamp in self.topology.stamp.items() if stamp in excused)
        mask = self.topology.mask((status, *self.dialect.optional, *nullable))
        return self.topology.skipped(status, self.stamped(fields), mask)


def listed(names: Iterable[object]) -> str:
    """Return names as people list them: `a`, `a and b`, `a, b and c`."""
    *most, last = map(str, names)
    return f"{', '.join(most)} and {last}" if most else last


def value_of(snapshot: Snapshot, name: str) -> Any:  # noqa: ANN401
    """Return a field, `request_counts.total` and its like included."""
    name, _, inner = name.partition(".")
    value = getattr(snapshot, name)
    return getattr(value, inner) if inner and value is not None else value


def questions(kind: kinds.Kind, world: World, status: str | None, fields: Fields) -> Look | None:
    """
    Return what a row has to ask snapshots of one pattern.

    Args:
        kind: The row's kind, with its parameters.
        world: What it is asked under.
        status: The status, if the lifecycle has it.
        fields: The fields that are set.

    Returns:
        The question; None if the pattern settles it in silence, or if the row
        speaks of histories.
    """
    reading = _READINGS.get(type(kind))
    return None if reading is None else reading(kind, world, status, fields)


def _refused(kind: kinds.Refused, _world: World, _status: str | None, fields: Fields) -> Look | None:
    elsewhere = {
        name for rule in RULES.values() if isinstance(rule.kind, kinds.Refused) for name in rule.kind.fields
    }

    def look(snapshot: Snapshot) -> Breach | None:
        bad = {
            name: value
            for name, value in snapshot.bad.items()
            if value is not UNREAD and (name in kind.fields if kind.fields else name not in elsewhere)
        }
        what = "; ".join(f"{name}: {refusal(name, value)}" for name, value in bad.items())
        return (bad, f"has a bad field, {what}", None) if bad else None

    return look if "bad" in fields else None


def _null(kind: kinds.Null, world: World, status: str | None, fields: Fields) -> Look | None:
    if status not in world.scope(kind) or fields.issuperset(kind.fields):
        return None

    def look(snapshot: Snapshot) -> Breach | None:
        null = [name for name in kind.fields if getattr(snapshot, name) is None and name not in snapshot.bad]
        return (dict.fromkeys(null), f"has no {listed(null)}", None) if null else None

    return look


def _set(kind: kinds.Set, world: World, status: str | None, fields: Fields) -> Look | None:
    names = [name for name in kind.fields if name.partition(".")[0] in fields]
    if status not in world.scope(kind) or not names:
        return None
    values_of = attrgetter(*names)

    def look(snapshot: Snapshot) -> Breach | None:
        if not values_of(snapshot):
            return None  # One number, and it is zero: the common case.
        given = {name: value_of(snapshot, name) for name in names}
        # A negative total is C301's.
        given = {
            name: value
            for name, value in given.items()
            if value and not (isinstance(value, int) and value < 0)
        }
        values = {
            name: [each.code or each.message for each in value] if isinstance(value, tuple) else value
            for name, value in given.items()
        }
        return (values, f"is {status} and has {listed(given)}", None) if given else None

    return look


def _unknown_status(_: kinds.UnknownStatus, world: World, status: str | None, fields: Fields) -> Look | None:
    if status is not None or "status" not in fields:
        return None
    known = ", ".join(world.topology.statuses)

    def look(snapshot: Snapshot) -> Breach | None:
        return {"status": snapshot.status}, f"has status {shown(snapshot.status)}; known are {known}", None

    return look


def faults(metadata: Mapping[str, object], kind: kinds.Limit = _METADATA) -> Iterator[str]:
    """Return what is too much of metadata."""
    return iter(()) if _is_small(metadata, kind) else _faults(metadata, kind)


def _is_small(metadata: Mapping[str, Any], kind: kinds.Limit) -> bool:
    """Tell whether all keys, and all values, are together no longer than one of them may be: nearly always so."""
    try:
        keys, values = "".join(metadata), "".join(metadata.values())
    except TypeError:
        return False
    return (
        len(metadata) <= kind.pairs_max
        and len(keys) <= kind.key_chars_max
        and len(values) <= kind.value_chars_max
    )


def _faults(metadata: Mapping[str, object], kind: kinds.Limit) -> Iterator[str]:
    if len(metadata) > kind.pairs_max:
        yield f"{len(metadata)} pairs, {kind.pairs_max} allowed"
    for key, value in metadata.items():
        if len(str(key)) > kind.key_chars_max:
            yield f"a key of {len(str(key))} characters, {kind.key_chars_max} allowed"
        if not isinstance(value, str):
            yield f"a value that is no text, under {shown(key)}"
        elif len(value) > kind.value_chars_max:
            yield f"a value of {len(value)} characters, {kind.value_chars_max} allowed, under {shown(key)}"


def _limit(kind: kinds.Limit, _world: World, _status: str | None, fields: Fields) -> Look | None:
    def look(snapshot: Snapshot) -> Breach | None:
        metadata = snapshot.metadata
        if not metadata or _is_small(metadata, kind):
            return None
        # Named, not repeated: metadata is private, and reports get around.
        fault = next(_faults(metadata, kind), None)
        return ({"metadata": fault}, f"has metadata with {fault}", None) if fault else None

    return look if "metadata" in fields else None


def _own_stamp(_: kinds.OwnStamp, world: World, status: str | None, fields: Fields) -> Look | None:
    stamp = None if status is None else world.topology.stamp[status]
    # The initial status is stamped by created_at, whose absence is S001's.
    if stamp in (None, "created_at", *fields) or status in world.dialect.optional:
        return None

    def look(snapshot: Snapshot) -> Breach | None:
        return None if stamp in snapshot.bad else ({stamp: None}, f"is {status} and has no {stamp}", None)

    return look


def _passed(_: kinds.Passed, world: World, status: str | None, fields: Fields) -> Look | None:
    if status is None:
        return None
    graph, stamped = world.topology, world.stamped(fields)
    severity = graph.forbidden(status, stamped)
    if severity is None:
        return None
    always = graph.bit[graph.lifecycle.initial] | graph.bit[status]
    others = graph.names(stamped & ~always)
    # Those that no strict walk passes even alone are to blame; else it is the company they keep.
    guilty = [name for name in others if graph.forbidden(status, always | graph.bit[name])] or others
    stamps = [str(graph.stamp[name]) for name in guilty]
    why = "only tolerated steps lead" if severity == "warning" else "no walk leads"
    sentence = f"is {status} and has {listed(stamps)}; {why} there that way"

    def look(snapshot: Snapshot) -> Breach | None:
        return {stamp: getattr(snapshot, stamp) for stamp in stamps}, sentence, severity

    return look


def _missed(_: kinds.Missed, world: World, status: str | None, fields: Fields) -> Look | None:
    # A bad stamp, which a pattern does not show, only excuses more.
    if status is None or world.skipped(status, fields) is None:
        return None
    graph = world.topology

    def look(snapshot: Snapshot) -> Breach | None:
        judged = world.skipped(status, fields, snapshot.bad)
        if judged is None:
            return None
        severity, missing = judged
        stamps = [str(graph.stamp[name]) for name in graph.names(missing)]
        return (
            dict.fromkeys(stamps),
            f"is {status} and has no {listed(stamps)}, which it must have passed",
            severity,
        )

    return look


def _ordered(_: kinds.Ordered, world: World, _status: str | None, fields: Fields) -> Look | None:
    graph = world.topology
    stamps = sorted(
        ((name, stamp) for name, stamp in graph.stamp.items() if stamp is not None and stamp in fields),
        key=lambda pair: graph.rank[pair[0]],
    )
    pairs = [
        (earlier, later)
        for first, earlier in stamps
        for second, later in stamps
        if graph.precedes(first, second)
    ]
    if not pairs:
        return None
    # Where each stamp precedes the next, as on every lawful walk, one comparison of neighbours is enough.
    chain = all(graph.precedes(first, second) for (first, _), (second, _) in pairwise(stamps))
    seconds = attrgetter(*(stamp for _, stamp in stamps))

    def look(snapshot: Snapshot) -> Breach | None:
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


def _bound(kind: kinds.Bound, world: World, status: str | None, fields: Fields) -> Look | None:
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

    def look(snapshot: Snapshot) -> Breach | None:
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


def _window(_: kinds.Window, world: World, _status: str | None, fields: Fields) -> Look | None:
    tolerance_s = world.dialect.deadline_tolerance_s

    def look(snapshot: Snapshot) -> Breach | None:
        window: Any = snapshot.completion_window
        given_s: Any = snapshot.expires_at - snapshot.created_at  # type: ignore[operator]
        window_s = _seconds(window)
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
def _seconds(window: str) -> int | None:
    """Return `24h`, `7d`, `90m` or `30s` in seconds; None for what is none of them."""
    found = _WINDOW.fullmatch(window)
    return int(found[1]) * _UNIT_S[found[2]] if found else None


def _id_time(kind: kinds.IdTime, _world: World, _status: str | None, fields: Fields) -> Look | None:
    def look(snapshot: Snapshot) -> Breach | None:
        if len(snapshot.id) != _ID_CHARS or (found := _ID_TIME.match(snapshot.id)) is None:
            return None
        off_s = int(found[1], 16) - snapshot.created_at  # type: ignore[operator]
        if -kind.tolerance_s <= off_s <= kind.tolerance_s:
            return None
        named = {"id": snapshot.id, "created_at": snapshot.created_at}
        return named, f"has an id made {abs(off_s):,} s {'after' if off_s > 0 else 'before'} created_at", None

    return look if fields.issuperset({"id", "created_at"}) else None


def _overflow(_: kinds.Overflow, _world: World, _status: str | None, fields: Fields) -> Look | None:
    def look(snapshot: Snapshot) -> Breach | None:
        counts = snapshot.request_counts
        total, completed, failed = counts.total, counts.completed, counts.failed  # type: ignore[union-attr]
        if (
            None not in (total, completed, failed)
            and total >= completed + failed
            and completed >= 0 <= failed
        ):
            return None  # The common case first; total cannot be negative then.
        numbers = {"total": total, "completed": completed, "failed": failed}
        fields = {f"request_counts.{name}": number for name, number in numbers.items()}
        if negative := {name: number for name, number in fields.items() if number is not None and number < 0}:
            return negative, f"has a negative {listed(negative)}", None
        if None in numbers.values():
            return None
        return fields, f"has {completed:,} completed and {failed:,} failed of {total:,} requests", None

    return look if "request_counts" in fields else None


def _unsettled(_: kinds.Unsettled, _world: World, status: str | None, fields: Fields) -> Look | None:
    def look(snapshot: Snapshot) -> Breach | None:
        counts = snapshot.request_counts
        total, completed, failed = counts.total, counts.completed, counts.failed  # type: ignore[union-attr]
        if None in (total, completed, failed) or completed < 0 or failed < 0 or completed + failed >= total:
            return None
        fields = {
            "request_counts.total": total,
            "request_counts.completed": completed,
            "request_counts.failed": failed,
        }
        return (
            fields,
            f"is completed with {completed:,} completed and {failed:,} failed of {total:,} requests",
            None,
        )

    return look if status == "completed" and "request_counts" in fields else None


def _output_missing(_: kinds.OutputMissing, _world: World, status: str | None, fields: Fields) -> Look | None:
    def look(snapshot: Snapshot) -> Breach | None:
        done = value_of(snapshot, "request_counts.completed")
        if done is None or done <= 0 or "output_file_id" in snapshot.bad:
            return None
        fields = {"output_file_id": None, "request_counts.completed": done}
        return fields, f"is completed with {done:,} requests done and has no output_file_id", None

    return (
        look
        if status == "completed" and "request_counts" in fields and "output_file_id" not in fields
        else None
    )


_READINGS: Final[dict[type, Callable[[Any, World, str | None, Fields], Look | None]]] = {
    kinds.Refused: _refused,
    kinds.Null: _null,
    kinds.Set: _set,
    kinds.UnknownStatus: _unknown_status,
    kinds.Limit: _limit,
    kinds.OwnStamp: _own_stamp,
    kinds.Passed: _passed,
    kinds.Missed: _missed,
    kinds.Ordered: _ordered,
    kinds.Bound: _bound,
    kinds.Window: _window,
    kinds.IdTime: _id_time,
    kinds.Overflow: _overflow,
    kinds.Unsettled: _unsettled,
    kinds.OutputMissing: _output_missing,
}
