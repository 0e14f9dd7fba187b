"""The scalar reading of the kinds that ask what is there: fields, words, and the stamps of a walk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, Final

from batchfsm.rules import kinds
from batchfsm.rules.catalog import RULES
from batchfsm.rules.checks import BreachDetails, RuleContext, SetFields, SnapshotCheck, listed, many, value_of
from batchfsm.snapshot import REQUIRED_FIELDS, Snapshot, Unreadable, similar_key
from batchfsm.wire import expected_message, short_repr

METADATA: Final[Any] = RULES["S006"].kind


def refused(
    kind: kinds.InvalidField, _world: RuleContext, _status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Ask which fields could not be taken as they are."""
    elsewhere = {
        name for rule in RULES.values() if isinstance(rule.kind, kinds.InvalidField) for name in rule.kind.fields
    }

    def look(snapshot: Snapshot) -> BreachDetails | None:
        bad = {
            name: value
            for name, value in snapshot.bad.items()
            if not isinstance(value, Unreadable) and (name in kind.fields if kind.fields else name not in elsewhere)
        }
        what = "; ".join(f"{name}: {expected_message(name, value)}" for name, value in bad.items())
        return (bad, f"has a bad field, {what}", None) if bad else None

    return look if "bad" in fields else None


def _found_instead(null: Iterable[str], snapshot: Snapshot) -> str:
    """Return which unknown keys stand for required fields, as the end of a sentence."""
    pairs = ((name, similar_key(name, snapshot.extra)) for name in null if name in REQUIRED_FIELDS)
    found = [f"the key {short_repr(key)}, not {name!r}" for name, key in pairs if key is not None]
    return f"; it has {listed(found)}" if found else ""


def null(kind: kinds.MustBeSet, world: RuleContext, status: str | None, fields: SetFields) -> SnapshotCheck | None:
    """Ask which fields are null that should be set."""
    if status not in world.scope(kind) or fields.issuperset(kind.fields):
        return None

    def look(snapshot: Snapshot) -> BreachDetails | None:
        null = [name for name in kind.fields if getattr(snapshot, name) is None and name not in snapshot.bad]
        return (dict.fromkeys(null), f"has no {listed(null)}{_found_instead(null, snapshot)}", None) if null else None

    return look


def given(kind: kinds.MustBeNull, world: RuleContext, status: str | None, fields: SetFields) -> SnapshotCheck | None:
    """Ask which fields are set that should not be."""
    names = [name for name in kind.fields if name.partition(".")[0] in fields]
    if status not in world.scope(kind) or not names:
        return None
    values_of = attrgetter(*names)

    def look(snapshot: Snapshot) -> BreachDetails | None:
        if not values_of(snapshot):
            return None  # One number, and it is zero: the common case.
        given = {name: value_of(snapshot, name) for name in names}
        # A negative total is C301's.
        given = {name: value for name, value in given.items() if value and not (isinstance(value, int) and value < 0)}
        values = {
            name: [each.code or each.message for each in value] if isinstance(value, tuple) else value
            for name, value in given.items()
        }
        return (values, f"is {status} and has {listed(given)}", None) if given else None

    return look


def unknown_status(
    _: kinds.UnknownStatus, world: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Say that the lifecycle does not have the status."""
    if status is not None or "status" not in fields:
        return None
    known = ", ".join(world.topology.statuses)

    def look(snapshot: Snapshot) -> BreachDetails | None:
        return {"status": snapshot.status}, f"has status {short_repr(snapshot.status)}; known are {known}", None

    return look


def faults(metadata: Mapping[str, object], kind: kinds.Limit = METADATA) -> Iterator[str]:
    """Return what is too much of metadata."""
    return iter(()) if is_small(metadata, kind) else _faults(metadata, kind)


def is_small(metadata: Mapping[str, Any], kind: kinds.Limit = METADATA) -> bool:
    """Tell whether all keys, and all values, are together no longer than one of them may be: nearly always so."""
    try:
        keys, values = "".join(metadata), "".join(metadata.values())
    except TypeError:
        return False
    return len(metadata) <= kind.pairs_max and len(keys) <= kind.key_chars_max and len(values) <= kind.value_chars_max


def _faults(metadata: Mapping[str, object], kind: kinds.Limit) -> Iterator[str]:
    if len(metadata) > kind.pairs_max:
        yield f"{len(metadata)} pairs, {kind.pairs_max} allowed"
    for key, value in metadata.items():
        if len(str(key)) > kind.key_chars_max:
            yield f"a key of {len(str(key))} characters, {kind.key_chars_max} allowed"
        if not isinstance(value, str):
            yield f"a value that is no text, under {short_repr(key)}"
        elif len(value) > kind.value_chars_max:
            yield f"a value of {len(value)} characters, {kind.value_chars_max} allowed, under {short_repr(key)}"


def limit(kind: kinds.Limit, _world: RuleContext, _status: str | None, fields: SetFields) -> SnapshotCheck | None:
    """Ask whether metadata is too much."""

    def look(snapshot: Snapshot) -> BreachDetails | None:
        metadata = snapshot.metadata
        if not metadata or is_small(metadata, kind):
            return None
        # Named, not repeated: metadata is private, and reports get around.
        fault = next(_faults(metadata, kind), None)
        return ({"metadata": fault}, f"has metadata with {fault}", None) if fault else None

    return look if "metadata" in fields else None


def own_stamp(
    _: kinds.OwnStampMissing, world: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Say that the present status has no stamp."""
    stamp = None if status is None else world.topology.stamp[status]
    # The initial status is stamped by created_at, whose absence is S001's.
    if stamp is None or stamp in ("created_at", *fields) or status in world.dialect.optional:
        return None

    def look(snapshot: Snapshot) -> BreachDetails | None:
        return None if stamp in snapshot.bad else ({stamp: None}, f"is {status} and has no {stamp}", None)

    return look


def passed(
    _: kinds.ImpossibleStamps, world: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Say which stamps no walk to the status passes together."""
    if status is None:
        return None
    graph, stamped = world.topology, world.stamped(status, fields)
    severity = graph.check_stamp_set(status, stamped)
    if severity is None:
        return None
    always = graph.bit_of[graph.lifecycle.initial] | graph.bit_of[status]
    others = graph.names(stamped & ~always)
    # Those that no strict walk passes even alone are to blame; else it is the company they keep.
    guilty = [name for name in others if graph.check_stamp_set(status, always | graph.bit_of[name])] or others
    stamps = [str(graph.stamp[name]) for name in guilty]
    why = "only tolerated steps lead" if severity == "warning" else "no walk leads"
    sentence = f"is {status} and has {listed(stamps)}; {why} there that way"

    def look(snapshot: Snapshot) -> BreachDetails | None:
        return {stamp: getattr(snapshot, stamp) for stamp in stamps}, sentence, severity

    return look


def missed(_: kinds.SkippedStamp, world: RuleContext, status: str | None, fields: SetFields) -> SnapshotCheck | None:
    """Ask which stamps every walk must have left."""
    # A bad stamp, which a pattern does not show, only excuses more.
    if status is None or world.skipped(status, fields) is None:
        return None
    graph = world.topology

    def look(snapshot: Snapshot) -> BreachDetails | None:
        judged = world.skipped(status, fields, snapshot.bad)
        if judged is None:
            return None
        severity, missing = judged
        # A lifecycle of a user's own may fork: then no walk passes the stamps at all, and none is missing.
        stamps = [str(graph.stamp[name]) for name in graph.names(missing)] or ["a walk through its stamps"]
        return (
            dict.fromkeys(stamps if missing else ()),
            f"is {status} and has no {listed(stamps)}, which it must have passed",
            severity,
        )

    return look


def output_missing(
    _: kinds.OutputMissing, _world: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Ask whether requests ended well and no file holds them."""

    def look(snapshot: Snapshot) -> BreachDetails | None:
        done = value_of(snapshot, "request_counts.completed")
        if done is None or done <= 0 or "output_file_id" in snapshot.bad:
            return None
        fields = {"output_file_id": None, "request_counts.completed": done}
        return fields, f"is completed with {many(done)} requests done and has no output_file_id", None

    return look if status == "completed" and "request_counts" in fields and "output_file_id" not in fields else None
