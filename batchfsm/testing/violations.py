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
    """A healthy snapshot, and the walk to its status."""

    way: Walk
    """The statuses entered."""
    wire: WireObject

    @property
    def own(self) -> str:
        """The stamp of its status."""
        return str(_GRAPH.stamp[self.way[-1]])

    @property
    def last(self) -> int:
        """Its own stamp; Unix seconds."""
        return int(self.wire[self.own])

    @property
    def before(self) -> str:
        """The stamp of the status before."""
        return str(_GRAPH.stamp[self.way[-2]])

    def counts(self, total: int = 0, completed: int = 0, failed: int = 0) -> WireObject:
        """Return the change of `request_counts` by these numbers."""
        known = self.wire["request_counts"]
        return {
            "request_counts": {
                "total": known["total"] + total,
                "completed": known["completed"] + completed,
                "failed": known["failed"] + failed,
            }
        }


def _at(*statuses: str) -> Callable[[Walk], bool]:
    return lambda way: way[-1] in statuses


def _anywhere(_: Walk) -> bool:
    return True


def _moved(way: Walk) -> bool:
    return len(way) > 1


def _ran(way: Walk) -> bool:
    return "in_progress" in way


def _missed(way: Walk) -> bool:
    # Cancelling is reached from validating too, so in_progress is not proven there.
    return len(way) > 2 and way[-1] != "cancelling"  # noqa: PLR2004  # Some status lies between.


@attrs.frozen
class SnapshotMutation:
    """A change of one snapshot that breaks a rule."""

    where: Callable[[Walk], bool]
    """Returns True for a walk whose last status allows it."""
    change: Callable[[HealthySnapshot], WireObject]
    """Returns the changed fields; `observed_at` is that of the envelope."""
    alone: bool = False
    """True if an earlier snapshot would break another rule as well."""


# fmt: off
SNAPSHOT_VIOLATIONS: Final[Mapping[str, SnapshotMutation]] = MappingProxyType({
    "S001": SnapshotMutation(_anywhere, lambda _: {"created_at": None}),
    "S002": SnapshotMutation(_anywhere, lambda _: {"endpoint": 5}),
    "S003": SnapshotMutation(_anywhere, lambda _: {"object": "file"}),
    "S004": SnapshotMutation(_anywhere, lambda _: {"status": "paused", "errors": None}),
    "S005": SnapshotMutation(_anywhere, lambda seen: {seen.own: "soon"}),
    "S006": SnapshotMutation(_anywhere, lambda _: {"metadata": {"note": 5}}),
    "P101": SnapshotMutation(_moved, lambda seen: {seen.own: None}),
    "P102": SnapshotMutation(_anywhere, lambda seen: {
        "completed_at" if seen.way[-1] == "failed" else "failed_at": seen.last}),
    "P103": SnapshotMutation(_missed, lambda seen: {seen.before: None}),
    "P104": SnapshotMutation(_anywhere, lambda _: {"expires_at": None}),
    "T201": SnapshotMutation(_moved, lambda seen: {
        **({seen.own: seen.wire["created_at"] - 1} if len(seen.way) == 2 else {seen.before: seen.last + 1})}),  # noqa: PLR2004
    "T202": SnapshotMutation(_anywhere, lambda seen: {"expires_at": seen.wire["expires_at"] - 1}, alone=True),
    "T203": SnapshotMutation(_at("expired"), lambda seen: {
        "finalizing_at": min(seen.wire["finalizing_at"], seen.wire["expires_at"] - 1),
        "expired_at": seen.wire["expires_at"] - 1}),
    "T204": SnapshotMutation(_at("completed"), lambda seen: {"completed_at": seen.wire["expires_at"] + 1}),
    "T205": SnapshotMutation(_anywhere, lambda seen: {"observed_at": seen.last - 61}),
    "T206": SnapshotMutation(_anywhere, lambda _: {"id": "batch_" + "0" * 32}, alone=True),
    # In another status it would also be stuck there (T208).
    "T207": SnapshotMutation(_at("in_progress"), lambda seen: {"observed_at": seen.wire["expires_at"] + DAY_S + 1}),
    "T208": SnapshotMutation(_at(*_STUCK_AFTER_S), lambda seen: {
        "observed_at": seen.last + _STUCK_AFTER_S[seen.way[-1]] + 1}),
    "C301": SnapshotMutation(_anywhere, lambda seen: seen.counts(
        failed=1 + seen.wire["request_counts"]["total"] - seen.wire["request_counts"]["completed"]
                 - seen.wire["request_counts"]["failed"])),
    "C302": SnapshotMutation(_at("completed"), lambda seen: seen.counts(completed=-1)),
    "C303": SnapshotMutation(_at("validating"), lambda seen: seen.counts(total=8)),
    "C304": SnapshotMutation(_at("in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"),
                   lambda _: {"request_counts": None}),
    # Healthy on OpenAI, where the rule is off.
    "C305": SnapshotMutation(lambda way: way[-1] in _OPEN and _ran(way), lambda _: {}),
    "F401": SnapshotMutation(_at(*_OPEN), lambda _: {"output_file_id": "file-early"}),
    "F402": SnapshotMutation(_at("completed"), lambda _: {"output_file_id": None}),
    "F403": SnapshotMutation(lambda way: way[-1] != "failed", lambda _: {"errors": [{"code": "invalid_json_line"}]}),
    "F404": SnapshotMutation(_at("failed"), lambda _: {"errors": None}),
    "F405": SnapshotMutation(_at("completed"), lambda seen: {
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


def _again(change: Callable[[HealthySnapshot], WireObject]) -> Callable[[HealthySnapshot, Timeline, Walk], WireObject]:
    return lambda seen, _, __: seen.wire | change(seen)


def _later(_: HealthySnapshot, life: Timeline, way: Walk) -> WireObject:
    """Return a healthy snapshot of the same batch on another walk, with new stamps."""
    begun, step_s = life.begins_at, 10_000
    entries = [(status, begun + place * step_s) for place, status in enumerate(way)]
    if way[-1] == "expired":
        entries[-1] = (way[-1], life.expires_at + step_s)
    # The counts are new too; they are not checked on a row with an illegal move.
    completed = life.total if way[-1] == "completed" else 1
    progress = (
        (ProgressPoint(at=entries[way.index("in_progress")][1], completed=completed, failed=0),) if _ran(way) else ()
    )
    return attrs.evolve(life, entries=tuple(entries), progress=progress).history()[-1]


def _reaches(known: Walk, way: Walk) -> bool:
    return way[-1] == known[-1] or way[-1] in _GRAPH.reach[known[-1]]


def _recounted(seen: HealthySnapshot) -> WireObject:
    """Decrease `completed` by one; if the batch is completed, count that request as failed."""
    return seen.counts(completed=-1, failed=int(seen.way[-1] == "completed"))


def _same(where: Callable[[Walk], bool]) -> Callable[[Walk, Walk], bool]:
    return lambda way, then: way == then and where(way)


def _settled(way: Walk) -> bool:
    return way[-1] == "failed" or (way[-1] in ("expired", "cancelled") and _ran(way))


def _unsettled(seen: HealthySnapshot) -> WireObject:
    return {"errors": [{"code": "other"}]} if seen.way[-1] == "failed" else seen.counts(completed=1)


HISTORY_VIOLATIONS: Final[Mapping[str, HistoryMutation]] = MappingProxyType(
    {
        "H501": HistoryMutation(
            lambda way, then: way[-1] in _OPEN and _moved(then) and not _reaches(way, then),
            _later,
        ),
        "H502": HistoryMutation(
            lambda way, then: way[-1] not in _OPEN and _moved(then) and way[-1] != then[-1],
            _later,
        ),
        "H503": HistoryMutation(_same(_anywhere), _again(lambda _: {"input_file_id": "file-other"})),
        "H504": HistoryMutation(_same(_moved), _again(lambda seen: {seen.own: seen.last + 1})),
        "H505": HistoryMutation(_same(_ran), _again(_recounted)),
        "H506": HistoryMutation(
            _same(lambda way: way[-1] not in _OPEN and _ran(way)), _again(lambda _: {"output_file_id": "file-other"})
        ),
        "H507": HistoryMutation(
            lambda way, then: len(then) < len(way) and way[: len(then)] == then,
            lambda _, life, way: life.history()[len(way) - 1],
        ),
        "H508": HistoryMutation(_same(_settled), _again(_unsettled)),
    }
)
"""The violations that take a history."""


def snapshot_places(rule: str, walks: Iterable[Walk]) -> Iterator[tuple[Walk, int]]:
    """Yield each walk with a length at which one snapshot can break a rule."""
    for walk in walks:
        yield from ((walk, end) for end in range(1, len(walk) + 1) if SNAPSHOT_VIOLATIONS[rule].where(walk[:end]))


def broken_snapshot(rule: str, life: Timeline, end: int) -> list[Any]:
    """Return the snapshot at a length of a life's walk with the violation, after the snapshot of its creation."""
    breach, history = SNAPSHOT_VIOLATIONS[rule], life.history()
    wire = history[end - 1] | breach.change(HealthySnapshot(life.walk[:end], history[end - 1]))
    first = history[: 1 if end > 1 and not breach.alone else 0]
    if "observed_at" not in wire:
        return [*first, wire]
    return [*first, {"observed_at": wire.pop("observed_at"), "snapshot": wire}]


def history_places(rule: str, walks: Sequence[Walk]) -> Iterator[tuple[Walk, int, Walk]]:
    """Yield each walk with a length, and a second walk, whose snapshots together break a rule."""
    cut = {walk[:end]: walk for walk in walks for end in range(1, len(walk) + 1)}
    yield from (
        (walk, len(way), then) for way, walk in cut.items() for then in cut if HISTORY_VIOLATIONS[rule].where(way, then)
    )


def broken_history(rule: str, life: Timeline, end: int, then: Walk) -> list[WireObject]:
    """Return the snapshot at a length of a life's walk, and one on another walk that contradicts it."""
    wire = life.history()[end - 1]
    return [wire, HISTORY_VIOLATIONS[rule].second(HealthySnapshot(life.walk[:end], wire), life, then)]
