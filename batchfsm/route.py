"""The route that a snapshot proves: the statuses that a batch has entered, in order, with the evidence of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import groupby, islice, pairwise, permutations, product
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, overload

import attrs

from batchfsm.dialects import Dialect
from batchfsm.lifecycle import Step
from batchfsm.snapshot import Snapshot, fast_constructor
from batchfsm.topology import Topology, topology

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # Of `typing`, it has no `default` before Python 3.13.

    SnapshotT_co = TypeVar("SnapshotT_co", bound=Snapshot | None, covariant=True, default=Snapshot)
else:
    from typing import TypeVar

    SnapshotT_co = TypeVar("SnapshotT_co", covariant=True)

TransitionEvidence = Literal["observed", "stamped", "implied", "gap"]
"""The evidence of a transition: the snapshot's own status, a stamp, or that every walk passes the status; or none
(`gap`: the walk is unknown, while the target is as certain as its stamp or status)."""

_ORDERS_MAX: Final = 720
"""The number of orders of equal seconds on one cycle that are compared; six statuses have as many."""

_PATTERNS_MAX: Final = 4096  # Healthy logs have a few dozen; a hostile log must not grow the memory.


@attrs.frozen
class Transition(Generic[SnapshotT_co]):
    """
    One entry of one batch into one status; hooks receive it.

    To type checkers, a `Transition` has a snapshot; those of `monitor[id].transitions` are of `Transition[None]`.
    """

    batch_id: str
    """The id of the batch."""

    source: str | None
    """The status before; None for the first status."""

    target: str
    """The status entered."""

    event: str | None = attrs.field(repr=False)
    """The event, a bare verb; None across a gap."""

    at: int | None
    """The time of the entry, by its stamp; Unix seconds. None if the server gave none."""

    evidence: TransitionEvidence
    """The proof of the transition: by the status, by a stamp, by the lifecycle, or across a gap."""

    terminal: bool = attrs.field(repr=False)
    """True if the batch never leaves the target."""

    observed_at: float | None = attrs.field(default=None, repr=False)
    """The time of the snapshot that proves it; Unix seconds."""

    snapshot: SnapshotT_co = attrs.field(default=None, repr=False)
    """The snapshot that proves it. Hooks always get it; None only in `monitor[id].transitions`, which keep none."""

    __hash__ = None  # type: ignore[assignment]  # They hold a snapshot: use `key`, which is made for it.

    @property
    def key(self) -> str:
        """
        The identity of the entry: `{batch_id}/{target}/{at}`, `at` empty if unknown.

        Entering a status is one fact, however it was reached: two pollers, a
        webhook and a replay make the same key.
        """
        return f"{self.batch_id}/{self.target}/{'' if self.at is None else self.at}"


_make_transition: Final[Callable[..., Transition[Any]]] = fast_constructor(Transition)


@attrs.frozen(eq=False)
class RouteStep:
    """One step of a route: a transition without its batch and time, shared by all batches that took it."""

    source: str | None
    target: str
    event: str | None
    evidence: TransitionEvidence
    terminal: bool

    @overload
    def of(self, batch_id: str, at: int | None) -> Transition[None]: ...

    @overload
    def of(self, batch_id: str, at: int | None, snapshot: Snapshot) -> Transition: ...

    def of(self, batch_id: str, at: int | None, snapshot: Snapshot | None = None) -> Transition[Any]:
        """Return the step as the transition of one batch."""
        seen = None if snapshot is None else snapshot.observed_at
        return _make_transition(
            batch_id, self.source, self.target, self.event, at, self.evidence, self.terminal, seen, snapshot
        )


@attrs.frozen
class _SearchSpace:
    """The statuses that walks between the waypoints of one snapshot may pass."""

    free_statuses: frozenset[str]
    """The statuses without a stamp that were not entered yet."""
    optional: frozenset[str]
    """The free statuses whose stamp may be null."""
    waypoints: frozenset[str]
    """The statuses that the snapshot proves."""
    status: str
    """The present status."""


class Router:
    """Finds routes in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.topology: Topology = topology(dialect.lifecycle)
        stamps = self.topology.stamp
        self._stamps: dict[str, str] = {name: stamp for name, stamp in stamps.items() if stamp is not None}
        # `attrgetter` returns a tuple for two names or more: a lifecycle may have a single stamp, or none.
        self._values = attrgetter("id", "id", *self._stamps.values())
        self._optional = frozenset(dialect.optional_stamps) | (stamps.keys() - self._stamps.keys())
        # Times decide an order only between statuses of one cycle.
        self.is_cyclic = any(name in self.topology.reach[name] for name in self._stamps)
        self._found: dict[object, tuple[RouteStep, ...]] = {}

    def route(self, snapshot: Snapshot, known: str | None, entered: frozenset[str]) -> tuple[RouteStep, ...]:
        """
        Return the route from the known status to a snapshot's status.

        Args:
            snapshot: A snapshot whose status the lifecycle has.
            known: The status known before; None at first sight.
            entered: The statuses entered before, the known one included.
        """
        stamps = self._values(snapshot)[2:]
        pattern = (snapshot.status, known, entered, stamps if self.is_cyclic else tuple(map(type, stamps)))
        steps = self._found.get(pattern) if not snapshot.bad else None
        if steps is None:
            times = dict(zip(self._stamps, stamps, strict=True))
            bad = frozenset(name for name, stamp in self._stamps.items() if stamp in snapshot.bad)
            steps = tuple(self._find(snapshot.status, known, entered, times, bad))
            if len(self._found) < _PATTERNS_MAX and not snapshot.bad:
                self._found[pattern] = steps
        return steps

    def at(self, snapshot: Snapshot, status: str) -> int | None:
        """Return a status's stamp on a snapshot; None if it has none there."""
        stamp = self._stamps.get(status)
        return None if stamp is None else getattr(snapshot, stamp)

    def _find(
        self,
        status: str,
        known: str | None,
        entered: frozenset[str],
        times: Mapping[str, int | None],
        bad: frozenset[str],
    ) -> Iterator[RouteStep]:
        graph, initial = self.topology, self.topology.lifecycle.initial
        stamped = frozenset(name for name, time in times.items() if time is not None)
        waypoints = [
            name
            for name in graph.statuses
            if name in stamped | {initial} and name not in entered | {status} and status in graph.reach[name]
        ]
        free_statuses = frozenset(graph.statuses) - stamped - entered - {status, initial}
        space = _SearchSpace(
            free_statuses, free_statuses & (self._optional | bad), frozenset({*waypoints, status}), status
        )
        if known is None:
            initial_evidence: TransitionEvidence = (
                "observed" if status == initial else "stamped" if initial in stamped else "implied"
            )
            yield RouteStep(None, initial, "create", initial_evidence, initial in graph.terminal)
            yield from self._path(initial, [name for name in waypoints if name != initial], space, times)
            return
        # Where a stamp is optional, it may show up after the batch has moved past it; and what an earlier
        # snapshot left in a gap, a later one may imply: finalizing, then cancelling, on `compatible`.
        sight = [step.target for step in self._find(status, None, frozenset(), times, bad)]
        implied = {name for name in sight if name in free_statuses} if entered.issubset(sight) else set()
        passed = {*waypoints, *implied} - graph.reach[known]
        late = sorted(passed, key=self._place)
        for number, waypoint in enumerate(late):
            before = [name for name in (*entered, *late[:number]) if graph.precedes(name, waypoint)]
            yield from self._between(max(before, key=self._place, default=initial), waypoint, space)
        yield from self._path(known, [name for name in waypoints if name not in late], space, times)

    def _path(
        self, source: str, waypoints: list[str], space: _SearchSpace, times: Mapping[str, int | None]
    ) -> Iterator[RouteStep]:
        """Yield the steps from one status over waypoints to the present one."""
        if source == space.status:
            return
        best = min(self._orders(waypoints, times), key=lambda order: self._unstamped(source, order, space))
        for before, after in pairwise((source, *best, space.status)):
            yield from self._between(before, after, space)

    def _between(self, source: str, target: str, space: _SearchSpace) -> Iterator[RouteStep]:
        graph = self.topology
        for inner, strict in (
            (space.optional, True),
            (space.optional, False),
            (space.free_statuses, True),
            (space.free_statuses, False),
        ):
            if walks := graph.walks(source, target, inner, strict=strict):
                for before, after, step in graph.common_steps(walks):
                    yield self._route_step(before, after, step, space)
                return
        yield self._route_step(source, target, None, space)

    def _route_step(self, source: str, target: str, step: Step | None, space: _SearchSpace) -> RouteStep:
        how: TransitionEvidence = (
            "observed" if target == space.status else "stamped" if target in space.waypoints else "implied"
        )
        terminal = target in self.topology.terminal
        return (
            RouteStep(source, target, None, "gap", terminal)
            if step is None
            else RouteStep(source, target, step.event, how, terminal)
        )

    def _orders(self, waypoints: list[str], times: Mapping[str, int | None]) -> Iterator[tuple[str, ...]]:
        """Yield the possible orders of waypoints: by rank, on a cycle by stamp, equal seconds in every order."""
        ranked = sorted(waypoints, key=lambda name: (self.topology.rank[name], times.get(name) or 0))
        ties = groupby(ranked, key=lambda name: (self.topology.rank[name], times.get(name), name in times or name))
        return (
            tuple(name for group in groups for name in group)
            for groups in islice(product(*(list(permutations(tie)) for _, tie in ties)), _ORDERS_MAX)
        )

    def _unstamped(self, source: str, order: tuple[str, ...], space: _SearchSpace) -> int:
        """Return how many unstamped statuses an order needs; a pair without any walk counts as all of them."""
        graph = self.topology
        return sum(
            min(map(len, graph.walks(before, after, space.free_statuses, strict=False)), default=len(graph.statuses))
            - 2
            for before, after in pairwise((source, *order, space.status))
        )

    def _place(self, status: str) -> tuple[int, int]:
        return self.topology.rank[status], self.topology.statuses.index(status)


@cache
def router(dialect: Dialect) -> Router:
    """Return the one router of a dialect."""
    return Router(dialect)
