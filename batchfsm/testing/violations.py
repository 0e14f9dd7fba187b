"""Violations of one rule each: a change of a healthy snapshot, or two snapshots that contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs

from batchfsm.dialects import DIALECTS
from batchfsm.lifecycle import OPENAI
from batchfsm.testing.timeline import ProgressPoint, Timeline, WireObject
from batchfsm.topology import Walk, topology

DAY_S: Final = 86_400
_GRAPH: Final = topology(OPENAI)
_STUCK_AFTER_S: Final = DIALECTS["openai"].stuck_after_s
_OPEN: Final = frozenset(OPENAI.statuses) - OPENAI.terminal


@attrs.frozen
class HealthySnapshot:
    """A snapshot that breaks no rule, and the walk to its status."""

    walk: Walk
    """The statuses entered."""
    wire: WireObject

    @property
    def own_stamp(self) -> str:
        """The name of the stamp of its status."""
        return str(_GRAPH.stamp[self.walk[-1]])

    @property
    def own_time(self) -> int:
        """The value of that stamp; Unix seconds."""
        return int(self.wire[self.own_stamp])

    @property
    def previous_stamp(self) -> str:
        """The name of the stamp of the status before."""
        return str(_GRAPH.stamp[self.walk[-2]])

    def counts(self, total: int = 0, completed: int = 0, failed: int = 0) -> WireObject:
        """Return the field `request_counts` with these numbers added."""
        known = self.wire["request_counts"]
        return {
            "request_counts": {
                "total": known["total"] + total,
                "completed": known["completed"] + completed,
                "failed": known["failed"] + failed,
            }
        }


def _in_status(*statuses: str) -> Callable[[Walk], bool]:
    return lambda walk: walk[-1] in statuses


def _anywhere(_: Walk) -> bool:
    return True


def _has_moved(walk: Walk) -> bool:
    return len(walk) > 1


def _has_run(walk: Walk) -> bool:
    return "in_progress" in walk


def _has_status_between(walk: Walk) -> bool:
    # Cancelling is reached from validating too, so in_progress is not proven there.
    return len(walk) > 2 and walk[-1] != "cancelling"  # noqa: PLR2004  # Some status lies between.


@attrs.frozen
class SnapshotMutation:
    """A change of one snapshot that breaks a rule."""

    where: Callable[[Walk], bool]
    """Returns True for a walk whose last status allows it."""
    change: Callable[[HealthySnapshot], WireObject]
    """Returns the changed fields; `observed_at` is that of the envelope."""
    without_earlier: bool = False
    """True if `broken_snapshot` returns no earlier snapshot, because it would break another rule as well."""


# fmt: off
SNAPSHOT_VIOLATIONS: Final[Mapping[str, SnapshotMutation]] = MappingProxyType({
    "S001": SnapshotMutation(_anywhere, lambda _: {"created_at": None}),
    "S002": SnapshotMutation(_anywhere, lambda _: {"endpoint": 5}),
    "S003": SnapshotMutation(_anywhere, lambda _: {"object": "file"}),
    "S004": SnapshotMutation(_anywhere, lambda _: {"status": "paused", "errors": None}),
    "S005": SnapshotMutation(_anywhere, lambda seen: {seen.own_stamp: "soon"}),
    "S006": SnapshotMutation(_anywhere, lambda _: {"metadata": {"note": 5}}),
    "P101": SnapshotMutation(_has_moved, lambda seen: {seen.own_stamp: None}),
    "P102": SnapshotMutation(_anywhere, lambda seen: {
        "completed_at" if seen.walk[-1] == "failed" else "failed_at": seen.own_time}),
    "P103": SnapshotMutation(_has_status_between, lambda seen: {seen.previous_stamp: None}),
    "P104": SnapshotMutation(_anywhere, lambda _: {"expires_at": None}),
    "T201": SnapshotMutation(_has_moved, lambda seen: {
        seen.own_stamp: seen.wire["created_at"] - 1}
        if len(seen.walk) == 2 else {seen.previous_stamp: seen.own_time + 1}),  # noqa: PLR2004
    "T202": SnapshotMutation(
        _anywhere, lambda seen: {"expires_at": seen.wire["expires_at"] - 1}, without_earlier=True),
    "T203": SnapshotMutation(_in_status("expired"), lambda seen: {
        "finalizing_at": min(seen.wire["finalizing_at"], seen.wire["expires_at"] - 1),
        "expired_at": seen.wire["expires_at"] - 1}),
    "T204": SnapshotMutation(_in_status("completed"), lambda seen: {"completed_at": seen.wire["expires_at"] + 1}),
    "T205": SnapshotMutation(_anywhere, lambda seen: {"observed_at": seen.own_time - 61}),
    "T206": SnapshotMutation(_anywhere, lambda _: {"id": "batch_" + "0" * 32}, without_earlier=True),
    # In another status it would also be stuck there (T208).
    "T207": SnapshotMutation(_in_status("in_progress"), lambda seen: {
        "observed_at": seen.wire["expires_at"] + DAY_S + 1}),
    "T208": SnapshotMutation(_in_status(*_STUCK_AFTER_S), lambda seen: {
        "observed_at": seen.own_time + _STUCK_AFTER_S[seen.walk[-1]] + 1}),
    "C301": SnapshotMutation(_anywhere, lambda seen: seen.counts(
        failed=1 + seen.wire["request_counts"]["total"] - seen.wire["request_counts"]["completed"]
                 - seen.wire["request_counts"]["failed"])),
    "C302": SnapshotMutation(_in_status("completed"), lambda seen: seen.counts(completed=-1)),
    "C303": SnapshotMutation(_in_status("validating"), lambda seen: seen.counts(total=8)),
    "C304": SnapshotMutation(
        _in_status("in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"),
        lambda _: {"request_counts": None}),
    # Healthy on OpenAI, where the rule is off.
    "C305": SnapshotMutation(lambda walk: walk[-1] in _OPEN and _has_run(walk), lambda _: {}),
    "F401": SnapshotMutation(_in_status(*_OPEN), lambda _: {"output_file_id": "file-early"}),
    "F402": SnapshotMutation(_in_status("completed"), lambda _: {"output_file_id": None}),
    "F403": SnapshotMutation(lambda walk: walk[-1] != "failed", lambda _: {"errors": [{"code": "invalid_json_line"}]}),
    "F404": SnapshotMutation(_in_status("failed"), lambda _: {"errors": None}),
    "F405": SnapshotMutation(_in_status("completed"), lambda seen: {
        "error_file_id": "file-errors",
        **seen.counts(completed=seen.wire["request_counts"]["failed"], failed=-seen.wire["request_counts"]["failed"])}),
})
"""The violations in one snapshot. The healthy one has at least one request done, and if cut off, one left."""
# fmt: on


@attrs.frozen
class HistoryMutation:
    """Two healthy snapshots that together break a rule."""

    where: Callable[[Walk, Walk], bool]
    """Returns True for the walks of the first and of the second snapshot that allow it."""
    second: Callable[[HealthySnapshot, Timeline, Walk], WireObject]
    """Returns the second snapshot, given the first one, its life, and the second walk."""


def _repeated(
    change: Callable[[HealthySnapshot], WireObject],
) -> Callable[[HealthySnapshot, Timeline, Walk], WireObject]:
    return lambda seen, _, __: seen.wire | change(seen)


def _on_other_walk(_: HealthySnapshot, life: Timeline, walk: Walk) -> WireObject:
    """Return a healthy snapshot of the same batch after another walk, with other stamps and counts."""
    begun, step_s = life.begins_at, 10_000
    entries = [(status, begun + place * step_s) for place, status in enumerate(walk)]
    if walk[-1] == "expired":
        entries[-1] = (walk[-1], life.expires_at + step_s)
    # The counts are new too; they are not checked on a row with an illegal move.
    completed = life.total if walk[-1] == "completed" else 1
    progress = (
        (ProgressPoint(at=entries[walk.index("in_progress")][1], completed=completed, failed=0),)
        if _has_run(walk)
        else ()
    )
    return attrs.evolve(life, entries=tuple(entries), progress=progress).history()[-1]


def _reaches(known: Walk, walk: Walk) -> bool:
    return walk[-1] == known[-1] or walk[-1] in _GRAPH.reach[known[-1]]


def _fewer_completed(seen: HealthySnapshot) -> WireObject:
    """Return counts with one completed request less; if the batch is completed, with one failed request more."""
    return seen.counts(completed=-1, failed=int(seen.walk[-1] == "completed"))


def _same_walk(where: Callable[[Walk], bool]) -> Callable[[Walk, Walk], bool]:
    return lambda walk, then: walk == then and where(walk)


def _may_not_change(walk: Walk) -> bool:
    return walk[-1] == "failed" or (walk[-1] in ("expired", "cancelled") and _has_run(walk))


def _changed_after_end(seen: HealthySnapshot) -> WireObject:
    return {"errors": [{"code": "other"}]} if seen.walk[-1] == "failed" else seen.counts(completed=1)


HISTORY_VIOLATIONS: Final[Mapping[str, HistoryMutation]] = MappingProxyType(
    {
        "H501": HistoryMutation(
            lambda walk, then: walk[-1] in _OPEN and _has_moved(then) and not _reaches(walk, then),
            _on_other_walk,
        ),
        "H502": HistoryMutation(
            lambda walk, then: walk[-1] not in _OPEN and _has_moved(then) and walk[-1] != then[-1],
            _on_other_walk,
        ),
        "H503": HistoryMutation(_same_walk(_anywhere), _repeated(lambda _: {"input_file_id": "file-other"})),
        "H504": HistoryMutation(_same_walk(_has_moved), _repeated(lambda seen: {seen.own_stamp: seen.own_time + 1})),
        "H505": HistoryMutation(_same_walk(_has_run), _repeated(_fewer_completed)),
        "H506": HistoryMutation(
            _same_walk(lambda walk: walk[-1] not in _OPEN and _has_run(walk)),
            _repeated(lambda _: {"output_file_id": "file-other"}),
        ),
        "H507": HistoryMutation(
            lambda walk, then: len(then) < len(walk) and walk[: len(then)] == then,
            lambda _, life, walk: life.history()[len(walk) - 1],
        ),
        "H508": HistoryMutation(_same_walk(_may_not_change), _repeated(_changed_after_end)),
    }
)
"""The violations that take a history."""


def snapshot_places(rule: str, walks: Iterable[Walk]) -> Iterator[tuple[Walk, int]]:
    """Yield `(walk, length)` wherever a snapshot after so many statuses of the walk can break a rule."""
    for walk in walks:
        yield from ((walk, end) for end in range(1, len(walk) + 1) if SNAPSHOT_VIOLATIONS[rule].where(walk[:end]))


def broken_snapshot(rule: str, life: Timeline, end: int) -> list[Any]:
    """Return the first snapshot of a timeline, and the one after `end` statuses, changed so that it breaks a rule."""
    breach, history = SNAPSHOT_VIOLATIONS[rule], life.history()
    wire = history[end - 1] | breach.change(HealthySnapshot(life.walk[:end], history[end - 1]))
    first = history[: 1 if end > 1 and not breach.without_earlier else 0]
    if "observed_at" not in wire:
        return [*first, wire]
    return [*first, {"observed_at": wire.pop("observed_at"), "snapshot": wire}]


def history_places(rule: str, walks: Sequence[Walk]) -> Iterator[tuple[Walk, int, Walk]]:
    """Yield `(walk, length, second walk)` wherever a snapshot on each walk can break a rule together."""
    whole = {walk[:end]: walk for walk in walks for end in range(1, len(walk) + 1)}
    where = HISTORY_VIOLATIONS[rule].where
    yield from ((walk, len(begun), then) for begun, walk in whole.items() for then in whole if where(begun, then))


def broken_history(rule: str, life: Timeline, end: int, then: Walk) -> list[WireObject]:
    """Return the snapshot of a timeline after `end` statuses, and one after another walk that contradicts it."""
    wire = life.history()[end - 1]
    return [wire, HISTORY_VIOLATIONS[rule].second(HealthySnapshot(life.walk[:end], wire), life, then)]
