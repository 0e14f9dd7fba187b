"""Checks of the kinds that depend on which fields are set: required fields, words, and the stamps of a walk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from shlex import quote
from typing import Any, Final

from batchfsm.dialects import nearest_status
from batchfsm.rules import kinds
from batchfsm.rules.catalog import RULES
from batchfsm.rules.checks import (
    BreachDetails,
    RuleContext,
    SetFields,
    SnapshotCheck,
    format_count,
    join_names,
    value_of,
)
from batchfsm.snapshot import REQUIRED_FIELDS, Snapshot, Unreadable, similar_key
from batchfsm.wire import expected_message, short_repr, snapshot_mark_hint

METADATA: Final[Any] = RULES["S006"].kind


def invalid_field(
    kind: kinds.InvalidField, _context: RuleContext, _status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for values of a wrong type or range."""
    elsewhere = {
        name for rule in RULES.values() if isinstance(rule.kind, kinds.InvalidField) for name in rule.kind.fields
    }

    def check(snapshot: Snapshot) -> BreachDetails | None:
        bad = {
            name: value
            for name, value in snapshot.bad.items()
            if not isinstance(value, Unreadable) and (name in kind.fields if kind.fields else name not in elsewhere)
        }
        what = "; ".join(f"{name}: {expected_message(name, value)}" for name, value in bad.items())
        return (bad, f"has a bad field, {what}", None) if bad else None

    return check if "bad" in fields else None


def _found_instead(null: Iterable[str], snapshot: Snapshot) -> str:
    """Return the unknown keys that stand for required fields, as the end of a sentence."""
    pairs = ((name, similar_key(name, snapshot.extra)) for name in null if name in REQUIRED_FIELDS)
    found = [f"the key {short_repr(key)}, not {name!r}" for name, key in pairs if key is not None]
    return f"; it has {join_names(found)}" if found else ""


def must_be_set(
    kind: kinds.MustBeSet, context: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for null fields that should be set."""
    if status not in context.scope(kind) or fields.issuperset(kind.fields):
        return None

    def check(snapshot: Snapshot) -> BreachDetails | None:
        null = [name for name in kind.fields if getattr(snapshot, name) is None and name not in snapshot.bad]
        if not null:
            return None
        # Most objects that lack a required field are another provider's, whose name helps more than each key's.
        hint = snapshot_mark_hint(snapshot, context.dialect) if {*null} & {*REQUIRED_FIELDS} else ""
        return dict.fromkeys(null), f"has no {join_names(null)}{_found_instead(null, snapshot)}{hint}", None

    return check


def must_be_null(
    kind: kinds.MustBeNull, context: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for set fields that should be null."""
    names = [name for name in kind.fields if name.partition(".")[0] in fields]
    if status not in context.scope(kind) or not names:
        return None
    values_of = attrgetter(*names)

    def check(snapshot: Snapshot) -> BreachDetails | None:
        if not values_of(snapshot):
            return None  # One number, and it is zero: the common case.
        given = {name: value_of(snapshot, name) for name in names}
        # A negative total is C301's.
        given = {name: value for name, value in given.items() if value and not (isinstance(value, int) and value < 0)}
        values = {
            name: [each.code or each.message for each in value] if isinstance(value, tuple) else value
            for name, value in given.items()
        }
        return (values, f"is {status} and has {join_names(given)}", None) if given else None

    return check


def unknown_status(
    _: kinds.UnknownStatus, context: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for a status that the lifecycle does not have."""
    if status is not None or "status" not in fields:
        return None
    known = ", ".join(context.topology.statuses)

    def check(snapshot: Snapshot) -> BreachDetails | None:
        word = snapshot.status
        nearest = nearest_status(word, context.dialect)
        hint = "" if nearest is None else f"; it is most like {nearest}: --alias {quote(word)}={nearest} reads it so"
        hint += snapshot_mark_hint(snapshot, context.dialect)
        return {"status": word}, f"has status {short_repr(word)}{hint}; known are {known}", None

    return check


def metadata_violations(metadata: Mapping[str, object]) -> Iterator[str]:
    """Return the limits of S006 that metadata exceeds, one phrase each."""
    return iter(()) if is_small_metadata(metadata, METADATA) else _exceeded_limits(metadata, METADATA)


def is_small_metadata(metadata: Mapping[str, Any], kind: kinds.Limit) -> bool:
    """Return True if all keys together, and all values together, fit the limit of one: nearly always."""
    try:
        keys, values = "".join(metadata), "".join(metadata.values())
    except TypeError:
        return False
    return len(metadata) <= kind.pairs_max and len(keys) <= kind.key_chars_max and len(values) <= kind.value_chars_max


def _exceeded_limits(metadata: Mapping[str, object], kind: kinds.Limit) -> Iterator[str]:
    if len(metadata) > kind.pairs_max:
        yield f"{len(metadata)} pairs, {kind.pairs_max} allowed"
    for key, value in metadata.items():
        if len(str(key)) > kind.key_chars_max:
            yield f"a key of {len(str(key))} characters, {kind.key_chars_max} allowed"
        if not isinstance(value, str):
            yield f"a value that is no text, under {short_repr(key)}"
        elif len(value) > kind.value_chars_max:
            yield f"a value of {len(value)} characters, {kind.value_chars_max} allowed, under {short_repr(key)}"


def limit(kind: kinds.Limit, _context: RuleContext, _status: str | None, fields: SetFields) -> SnapshotCheck | None:
    """Return the check for metadata beyond its limits."""

    def check(snapshot: Snapshot) -> BreachDetails | None:
        metadata = snapshot.metadata
        if not metadata or is_small_metadata(metadata, kind):
            return None
        # The values are not repeated: metadata is private, and reports are passed on.
        exceeded = next(_exceeded_limits(metadata, kind), None)
        return ({"metadata": exceeded}, f"has metadata with {exceeded}", None) if exceeded else None

    return check if "metadata" in fields else None


def own_stamp_missing(
    _: kinds.OwnStampMissing, context: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for a null stamp of the present status."""
    stamp = None if status is None else context.topology.stamp[status]
    # The initial status is stamped by created_at, whose absence is S001's.
    if stamp is None or stamp in ("created_at", *fields) or status in context.dialect.optional_stamps:
        return None

    def check(snapshot: Snapshot) -> BreachDetails | None:
        return None if stamp in snapshot.bad else ({stamp: None}, f"is {status} and has no {stamp}", None)

    return check


def impossible_stamps(
    _: kinds.ImpossibleStamps, context: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for set stamps that no walk to the status passes together."""
    if status is None:
        return None
    graph, stamped = context.topology, context.stamped(status, fields)
    severity = graph.check_stamp_set(status, stamped)
    if severity is None:
        return None
    always = graph.bit_of[graph.lifecycle.initial] | graph.bit_of[status]
    others = graph.names(stamped & ~always)
    # If no strict walk passes a stamp even alone, it is named; else all of them are, for together they are impossible.
    guilty = [name for name in others if graph.check_stamp_set(status, always | graph.bit_of[name])] or others
    stamps = [str(graph.stamp[name]) for name in guilty]
    why = "only tolerated steps lead" if severity == "warning" else "no walk leads"
    sentence = f"is {status} and has {join_names(stamps)}; {why} there that way"

    def check(snapshot: Snapshot) -> BreachDetails | None:
        return {stamp: getattr(snapshot, stamp) for stamp in stamps}, sentence, severity

    return check


def skipped_stamp(
    _: kinds.SkippedStamp, context: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for null stamps of statuses that every walk passes."""
    # An invalid stamp, which a pattern does not show, may be null, too.
    if status is None or context.skipped(status, fields) is None:
        return None
    graph = context.topology

    def check(snapshot: Snapshot) -> BreachDetails | None:
        skipped = context.skipped(status, fields, snapshot.bad)
        if skipped is None:
            return None
        severity, missing = skipped
        stamps = [str(graph.stamp[name]) for name in graph.names(missing)]
        if not stamps:
            # The lifecycle of a user may fork: then no walk passes all set stamps.
            return {}, f"is {status}, and no walk there passes all its stamps", severity
        them = "it" if len(stamps) == 1 else "them"
        why = (
            f"; only tolerated steps lead there without {them}"
            if severity == "warning"
            else ", which it must have passed"
        )
        return dict.fromkeys(stamps), f"is {status} and has no {join_names(stamps)}{why}", severity

    return check


def output_missing(
    kind: kinds.OutputMissing, context: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for a null output file of a completed batch with requests that succeeded."""
    lifecycle = context.topology.lifecycle

    def check(snapshot: Snapshot) -> BreachDetails | None:
        done = value_of(snapshot, "request_counts.completed")
        if done is None or done <= 0 or "output_file_id" in snapshot.bad:
            return None
        if kinds.is_observed_after_end(snapshot, lifecycle, kind.kept_s):
            return None  # The file may have expired.
        fields = {"output_file_id": None, "request_counts.completed": done}
        return fields, f"is completed with {format_count(done)} requests done and has no output_file_id", None

    return check if status == "completed" and "request_counts" in fields and "output_file_id" not in fields else None


def unexpected_error_file(
    _: kinds.UnexpectedErrorFile, _context: RuleContext, status: str | None, fields: SetFields
) -> SnapshotCheck | None:
    """Return the check for an error file of a completed batch without failed requests."""

    def check(snapshot: Snapshot) -> BreachDetails | None:
        if value_of(snapshot, "request_counts.failed") != 0 or not snapshot.error_file_id:
            return None
        named = {"error_file_id": snapshot.error_file_id, "request_counts.failed": 0}
        return named, "is completed with no request failed and has an error_file_id: look into that file", None

    return check if status == "completed" and fields.issuperset({"request_counts", "error_file_id"}) else None
