"""The way that a snapshot proves: which statuses a batch has entered, in which order, and how we know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import groupby, islice, pairwise, permutations, product
from operator import attrgetter
from typing import Final, Literal

import attrs

from batchfsm.dialects import Dialect
from batchfsm.lifecycle import Step
from batchfsm.snapshot import Snapshot, fast_constructor
from batchfsm.topology import Topology, topology

TransitionEvidence = Literal["observed", "stamped", "implied", "gap"]
"""How a transition is known: from the snapshot's own status, from a stamp, because every walk passes there,
or not at all (`gap`: the way is unknown, while the target is as certain as its stamp or status)."""

_ORDERS_MAX: Final = 720
"""How many orders of equal seconds on one cycle are compared; six statuses have as many."""

_PATTERNS_MAX: Final = 4096  # Healthy logs show a few dozen; a hostile one shall not grow the memory.


@attrs.frozen
class Transition:
    """One entry of one batch into one status; what hooks receive."""

    batch_id: str
    """Whose it is."""

    source: str | None
    """The status before; None at birth."""

    target: str
    """The status entered."""

    event: str | None
    """What happened, a bare verb; None across a gap."""

    at: int | None
    """When it was entered, by its stamp; Unix seconds. None if the server gave none."""

    evidence: TransitionEvidence
    """How it is known."""

    terminal: bool
    """True if the batch never leaves the target."""

    observed_at: float | None = None
    """When the snapshot that proves it was seen; Unix seconds."""

    snapshot: Snapshot | None = None
    """The snapshot that proves it; None in `monitor[id].transitions`, which keep none."""

    __hash__ = None  # type: ignore[assignment]  # They hold a snapshot: use `key`, which is made for it.

    @property
    def key(self) -> str:
        """
        What was entered when: `{batch_id}/{target}/{at}`, `at` empty if unknown.

        Entering a status is one fact, however it was reached: two pollers, a
        webhook and a replay make the same key.
        """
        return f"{self.batch_id}/{self.target}/{'' if self.at is None else self.at}"


_make_transition: Final[Callable[..., Transition]] = fast_constructor(Transition)


@attrs.frozen(eq=False)
class RouteStep:
    """One part of a route: a transition without its batch and time, shared by all batches that took it."""

    source: str | None
    target: str
    event: str | None
    evidence: TransitionEvidence
    terminal: bool

    def of(self, batch_id: str, at: int | None, snapshot: Snapshot | None = None) -> Transition:
        """Return it as the transition of one batch."""
        seen = None if snapshot is None else snapshot.observed_at
        return _make_transition(
            batch_id, self.source, self.target, self.event, at, self.evidence, self.terminal, seen, snapshot
        )


@attrs.frozen
class _SearchSpace:
    """What walks between stops may use, for one snapshot."""

    through: frozenset[str]
    """Statuses without a stamp that were not entered yet."""
    optional: frozenset[str]
    """Those of them whose stamp may be null."""
    stops: frozenset[str]
    """The statuses that the snapshot proves."""
    status: str
    """The present one."""


class Router:
    """Finds routes in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        """Prepare the parts of the search that no snapshot changes."""
        self.topology: Topology = topology(dialect.lifecycle)
        stamps = self.topology.stamp
        self._stamps: dict[str, str] = {name: stamp for name, stamp in stamps.items() if stamp is not None}
        # `attrgetter` returns a tuple for two names or more: a lifecycle may have a single stamp, or none.
        self._values = attrgetter("id", "id", *self._stamps.values())
        self._optional = frozenset(dialect.optional) | (stamps.keys() - self._stamps.keys())
        # Times decide an order only between statuses of one cycle.
        self.is_cyclic = any(name in self.topology.reach[name] for name in self._stamps)
        self._found: dict[object, tuple[RouteStep, ...]] = {}

    def legs(self, snapshot: Snapshot, known: str | None, entered: frozenset[str]) -> tuple[RouteStep, ...]:
        """
        Return the way from what is known to a snapshot's status.

        Args:
            snapshot: One whose status the lifecycle has.
            known: The status known before; None at first sight.
            entered: The statuses entered before, the known one included.
        """
        stamps = self._values(snapshot)[2:]
        pattern = (snapshot.status, known, entered, stamps if self.is_cyclic else tuple(map(type, stamps)))
        legs = self._found.get(pattern) if not snapshot.bad else None
        if legs is None:
            times = dict(zip(self._stamps, stamps, strict=True))
            bad = frozenset(name for name, stamp in self._stamps.items() if stamp in snapshot.bad)
            legs = tuple(self._find(snapshot.status, known, entered, times, bad))
            if len(self._found) < _PATTERNS_MAX and not snapshot.bad:
                self._found[pattern] = legs
        return legs

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
        stops = [
            name
            for name in graph.statuses
            if name in stamped | {initial} and name not in entered | {status} and status in graph.reach[name]
        ]
        through = frozenset(graph.statuses) - stamped - entered - {status, initial}
        ways = _SearchSpace(through, through & (self._optional | bad), frozenset({*stops, status}), status)
        if known is None:
            born: TransitionEvidence = (
                "observed" if status == initial else "stamped" if initial in stamped else "implied"
            )
            yield RouteStep(None, initial, "create", born, initial in graph.terminal)
            yield from self._way(initial, [name for name in stops if name != initial], ways, times)
            return
        # Where a stamp is optional, it may show up after the batch has moved past it; and what an earlier
        # snapshot left in a gap, a later one may imply: finalizing, then cancelling, on `compatible`.
        sight = [leg.target for leg in self._find(status, None, frozenset(), times, bad)]
        implied = {name for name in sight if name in through} if entered.issubset(sight) else set()
        passed = {*stops, *implied} - graph.reach[known]
        late = sorted(passed, key=self._place)
        for number, stop in enumerate(late):
            before = [name for name in (*entered, *late[:number]) if graph.precedes(name, stop)]
            yield from self._between(max(before, key=self._place, default=initial), stop, ways)
        yield from self._way(known, [name for name in stops if name not in late], ways, times)

    def _way(
        self, source: str, stops: list[str], ways: _SearchSpace, times: Mapping[str, int | None]
    ) -> Iterator[RouteStep]:
        """Yield the legs from one status over stops to the present one."""
        if source == ways.status:
            return
        best = min(self._orders(stops, times), key=lambda order: self._unstamped(source, order, ways))
        for before, after in pairwise((source, *best, ways.status)):
            yield from self._between(before, after, ways)

    def _between(self, source: str, target: str, ways: _SearchSpace) -> Iterator[RouteStep]:
        graph = self.topology
        for inner, strict in (
            (ways.optional, True),
            (ways.optional, False),
            (ways.through, True),
            (ways.through, False),
        ):
            if walks := graph.walks(source, target, inner, strict=strict):
                for before, after, step in graph.certain(walks):
                    yield self._leg(before, after, step, ways)
                return
        yield self._leg(source, target, None, ways)

    def _leg(self, source: str, target: str, step: Step | None, ways: _SearchSpace) -> RouteStep:
        how: TransitionEvidence = (
            "observed" if target == ways.status else "stamped" if target in ways.stops else "implied"
        )
        terminal = target in self.topology.terminal
        return (
            RouteStep(source, target, None, "gap", terminal)
            if step is None
            else RouteStep(source, target, step.event, how, terminal)
        )

    def _orders(self, stops: list[str], times: Mapping[str, int | None]) -> Iterator[tuple[str, ...]]:
        """Yield the possible orders of stops: by rank, on a cycle by stamp, equal seconds in every order."""
        ranked = sorted(stops, key=lambda name: (self.topology.rank[name], times.get(name) or 0))
        ties = groupby(ranked, key=lambda name: (self.topology.rank[name], times.get(name), name in times or name))
        return (
            tuple(name for group in groups for name in group)
            for groups in islice(product(*(list(permutations(tie)) for _, tie in ties)), _ORDERS_MAX)
        )

    def _unstamped(self, source: str, order: tuple[str, ...], ways: _SearchSpace) -> int:
        """Return how many unstamped statuses an order needs; a pair without any walk counts as all of them."""
        graph = self.topology
        return sum(
            min(map(len, graph.walks(before, after, ways.through, strict=False)), default=len(graph.statuses)) - 2
            for before, after in pairwise((source, *order, ways.status))
        )

    def _place(self, status: str) -> tuple[int, int]:
        return self.topology.rank[status], self.topology.statuses.index(status)


@cache
def router(dialect: Dialect) -> Router:
    """Return the one router of a dialect."""
    return Router(dialect)
