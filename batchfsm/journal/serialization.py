"""Transitions and their snapshots as JSON, and back: what a hook gets after a restart is what it would have got."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import attrs

from batchfsm.finding import to_json_value
from batchfsm.route import Transition
from batchfsm.snapshot import UNREADABLE, BatchErrorEntry, RequestCounts, Snapshot, Unreadable
from batchfsm.wire.values import to_read_only


def transition_text(transition: Transition) -> str:
    """Write a transition without its snapshot."""
    form = attrs.asdict(transition, recurse=False)
    del form["snapshot"]
    return json.dumps(form, separators=(",", ":"))


def snapshot_text(snapshot: Snapshot) -> str:
    """Write a snapshot by its attributes; what is null or empty is left out."""
    form = {name: value for name, value in attrs.asdict(snapshot, recurse=False).items() if value is not None}
    bad = dict(form.pop("bad"))
    form["unread"] = [name for name, value in bad.items() if isinstance(value, Unreadable)]
    form["bad"] = {name: value for name, value in bad.items() if not isinstance(value, Unreadable)}
    if snapshot.request_counts is not None:
        form["request_counts"] = attrs.asdict(snapshot.request_counts)
    if snapshot.errors is not None:
        form["errors"] = [attrs.asdict(error) for error in snapshot.errors]
    kept = {name: to_json_value(value) for name, value in form.items() if name in _NEVER_EMPTY or value}
    return json.dumps(kept, separators=(",", ":"))


_NEVER_EMPTY = frozenset(attrs.fields_dict(Snapshot)) - {"extra", "bad"}


def transition_of(text: str, snapshot: str) -> Transition:
    """Read a transition with its snapshot, which a journal keeps until every hook has returned."""
    return Transition(**json.loads(text), snapshot=snapshot_of(snapshot))


def snapshot_of(text: str) -> Snapshot:
    """Read a snapshot."""
    form: dict[str, Any] = json.loads(text)
    counts, errors = form.get("request_counts"), form.get("errors")
    bad = form.pop("bad", {}) | dict.fromkeys(form.pop("unread", []), UNREADABLE)
    form |= {name: to_read_only(form[name]) for name in ("usage", "metadata", "extra") if name in form}
    form["bad"] = MappingProxyType({name: to_read_only(bad[name]) for name in sorted(bad)})
    form["request_counts"] = counts and RequestCounts(**counts)
    form["errors"] = errors and tuple(BatchErrorEntry(**error) for error in errors)
    return Snapshot(**{"id": None, "status": None} | form)  # Of damaged rows, either may be null.
