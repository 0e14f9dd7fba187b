"""Decides for each rule whether the observed snapshots could have broken it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.snapshot import Snapshot

History = Sequence[Snapshot]
"""The snapshots of one batch, in order."""

_ID: Final = re.compile(r"batch_[0-9a-f]{32}")
_ENDS: Final = frozenset({"completed", "failed", "expired", "cancelled"})
_DAY_S: Final = 86_400


def _one(tells: Callable[[Snapshot], object]) -> Callable[[History], bool]:
    """Return a condition that one snapshot of a history fulfils."""
    return lambda history: any(map(tells, history))


def _two(tells: Callable[[Snapshot, Snapshot], object]) -> Callable[[History], bool]:
    """Return a condition that two successive snapshots of a history fulfil."""
    return lambda history: any(tells(before, after) for before, after in pairwise(history))


def _status(*statuses: str) -> Callable[[Snapshot], bool]:
    return lambda snapshot: snapshot.status in statuses


def _open(snapshot: Snapshot) -> bool:
    return snapshot.status not in _ENDS


def _stamps(snapshot: Snapshot) -> list[str]:
    return [name for name in STAMP_FIELDS[1:] if getattr(snapshot, name) is not None]


def _overdue(snapshot: Snapshot) -> bool:
    if snapshot.expires_at is None or snapshot.observed_at is None:
        return False
    return snapshot.observed_at > snapshot.expires_at + _DAY_S


def _any(_: Snapshot) -> bool:
    return True


def _ended_twice(before: Snapshot, after: Snapshot) -> bool:
    return before.status in _ENDS and after is not before


def _won(snapshot: Snapshot) -> bool:
    counts = snapshot.request_counts
    return snapshot.status == "completed" and counts is not None and bool(counts.completed)


# fmt: off
_OBSERVABLE_WHEN: Final[Mapping[str, Callable[[History], bool]]] = MappingProxyType({
    "S006": _one(lambda snapshot: snapshot.metadata),
    "P101": _one(lambda snapshot: snapshot.status != "validating"),
    "P103": _one(lambda snapshot: snapshot.status not in ("validating", "in_progress")),
    "T201": _one(_stamps),
    "T202": _one(lambda snapshot: snapshot.expires_at and snapshot.completion_window),
    "T203": _one(_status("expired")),
    "T204": _one(lambda snapshot: snapshot.completed_at and snapshot.expires_at),
    "T206": _one(lambda snapshot: _ID.fullmatch(snapshot.id)),
    "T207": _one(lambda snapshot: _open(snapshot) and _overdue(snapshot)),
    "C301": _one(lambda snapshot: snapshot.request_counts),
    "C302": _one(_status("completed")),
    "C303": _one(_status("validating")),
    "C304": _one(lambda snapshot: snapshot.status not in ("validating", "failed")),
    "F401": _one(_open),
    "F402": _one(_won),
    "F403": _one(lambda snapshot: snapshot.status != "failed"),
    "F404": _one(_status("failed")),
    "H501": _two(lambda before, after: before.status != after.status),
    "H502": _two(_ended_twice),
    "H503": _two(lambda _, __: True),
    "H504": _two(lambda before, _: _stamps(before)),
    "H505": _two(lambda before, _: before.request_counts),
    "H506": _two(lambda before, _: before.output_file_id or before.error_file_id),
    "H507": _two(lambda before, after: before.status != after.status),
    "H508": _two(_ended_twice),
})
"""The condition under which a rule could be broken; other rules check every snapshot."""
# fmt: on


def was_observable(rule: str, histories: Iterable[History]) -> bool:
    """Return True if a snapshot or a pair of them could have broken a rule."""
    return any(map(_OBSERVABLE_WHEN.get(rule, _one(_any)), histories))
