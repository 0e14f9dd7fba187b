"""Promise 4: order, ties, gaps and duplicates of snapshots change no key. Checked for every legal timeline."""

from collections.abc import Iterator
from itertools import combinations, permutations, product
from typing import Any

import attrs
import pytest
from transitions import Machine, MachineError

from batchfsm import OPENAI, Dialect, Lifecycle, Snapshot, Transition
from batchfsm import machine as machines
from batchfsm.history import BatchRecord, Fold
from batchfsm.snapshot import COUNT_FIELDS, ROW_FIELDS
from batchfsm.wire import reader
from support import oracle
from support.dialects import DIALECTS
from support.notation import CREATED, WORDS, snap, words

LETTERS = {word: letter for letter, word in WORDS.items()}
STATUSES = tuple(WORDS.values())


def shape(dialect: Dialect) -> object:
    """Return the parts of a dialect that decide which transitions a snapshot proves."""
    states = tuple((state.name, state.stamp, state.terminal) for state in dialect.lifecycle.states)
    steps = frozenset((step.source, step.target, step.evidence) for step in dialect.lifecycle.steps)
    return states, steps, dialect.optional_stamps


SHAPES = {shape(dialect): name for name, dialect in reversed(DIALECTS.items())}
DISTINCT = sorted(SHAPES.values())
"""One dialect of each shape; two of one shape differ in severities, which change no transition."""

Walk = tuple[str, ...]


@attrs.frozen
class Timeline:
    """A legal timeline of a batch: its walk, the times, and the statuses without a stamp."""

    dialect: str
    walk: Walk
    at: tuple[int, ...]
    """When each status was entered, in seconds since creation."""
    silent: frozenset[str] = frozenset()
    """The statuses with an optional stamp that the server left null."""

    @property
    def is_stamped(self) -> bool:
        """Return whether every status has its stamp."""
        stamps = oracle.DIALECTS[self.dialect].stamps
        return not self.silent and all(stamps[status] for status in self.walk)

    def wire(self, length: int, **changes: Any) -> dict[str, Any]:
        """Return the object after the first `length` statuses of the walk."""
        # Scheduling has no letter. Where it exists, it is the first status, and its stamp is `created_at`.
        lettered = [
            (LETTERS[word], at) for word, at in zip(self.walk[:length], self.at, strict=False) if word in LETTERS
        ]
        path, at = zip(*lettered, strict=True) if lettered else ("v", (0,))
        nulls = {f"{status}_at": None for status in self.silent}
        return snap("".join(path), at=at, **{"status": self.walk[length - 1], **nulls, **changes})

    def snapshots(self) -> list[Snapshot]:
        """Return one snapshot for each status."""
        read = reader(DIALECTS[self.dialect]).read
        return [read(self.wire(length)) for length in range(1, len(self.walk) + 1)]


def walks(dialect: str, *, strict: bool = False) -> list[Walk]:
    """Return every walk from the birth to a final status, in the order of the oracle's table."""
    table = oracle.DIALECTS[dialect]
    ends = [status for status in table.stamps if status in oracle.TERMINAL]
    return [walk for end in ends for walk in oracle.walks(table, table.initial, end, strict=strict)]


def timelines(dialect: str, *, all_ties: bool = True) -> Iterator[Timeline]:
    """Yield every walk with every pattern of equal seconds, and every choice of the optional stamps."""
    table = oracle.DIALECTS[dialect]
    for walk in walks(dialect):
        patterns = (
            product((0, 60), repeat=len(walk) - 1) if all_ties else [(60,) * (len(walk) - 1), (0,) * (len(walk) - 1)]
        )
        optional = [
            status for status in walk if status in table.optional and table.stamps[status] not in (None, "created_at")
        ]
        silences = [frozenset(some) for size in range(len(optional) + 1) for some in combinations(optional, size)]
        for gaps, silent in product(list(patterns), silences):
            at = [0]
            for gap in gaps:
                at.append(at[-1] + gap)
            yield Timeline(dialect, walk, tuple(at), silent)


def spread(dialect: str, number: int) -> list[Timeline]:
    """Return at least that many timelines of a dialect, at equal distances in the list of all."""
    every = list(timelines(dialect))
    return every[:: len(every) // number]


@attrs.frozen
class OrderResult:
    """The results of folding snapshots in one order."""

    order: tuple[int, ...] = ()
    track: BatchRecord = attrs.field(factory=BatchRecord)
    keys: frozenset[str] = frozenset()
    errors: tuple[str, ...] = ()
    """The rules of severity error that the last snapshot broke."""

    def then(self, fold: Fold, place: int, snapshot: Snapshot) -> "OrderResult":
        """Return the results after one more snapshot; a repeated key is an error."""
        track = self.track.copy()
        folded = fold.apply(track, snapshot)
        keys = [transition.key for transition in folded.transitions]
        assert len(self.keys) + len(keys) == len(self.keys.union(keys)), (self.order, place, keys)
        errors = tuple(found.rule for found in folded.findings if found.severity == "error")
        return OrderResult((*self.order, place), track, self.keys.union(keys), errors)

    def knowledge(self) -> dict[str, Any]:
        """Return the first values and the highest counts."""
        assert self.track.row is not None
        names = (*ROW_FIELDS[1:], *(f"request_counts.{name}" for name in COUNT_FIELDS))
        return dict(zip(names, self.track.row[1:], strict=True)) | (self.track.first_values or {})


def orders(fold: Fold, snapshots: list[Snapshot], *, times: int = 1, length_max: int = 99) -> Iterator[OrderResult]:
    """Fold every order of every subset of the snapshots; each may occur up to that many times."""
    pending = [OrderResult()]
    while pending:
        seen = pending.pop()
        for place, snapshot in enumerate(snapshots):
            if seen.order.count(place) < times:
                after = seen.then(fold, place, snapshot)
                yield after
                if len(after.order) < length_max:
                    pending.append(after)


def in_order(fold: Fold, snapshots: list[Snapshot]) -> list[OrderResult]:
    """Return the results after each snapshot of a timeline in order."""
    seen = [OrderResult()]
    for place, snapshot in enumerate(snapshots):
        seen.append(seen[-1].then(fold, place, snapshot))
    return seen[1:]


def hold_the_theorem(
    timeline: Timeline, snapshots: list[Snapshot] | None = None, *, times: int = 1, length_max: int = 99
) -> int:
    """
    Compare every order of snapshots of a timeline with the timeline in order.

    Args:
        timeline: The timeline.
        snapshots: Its snapshots, in order; by default one for each status.
        times: The maximum number of occurrences of each snapshot in an order.
        length_max: The maximum length of an order.

    Returns:
        The number of orders.
    """
    fold, snapshots = Fold(DIALECTS[timeline.dialect]), snapshots or timeline.snapshots()
    whole = in_order(fold, snapshots)
    routes = [sighted(fold, snapshot) for snapshot in snapshots]
    facts: dict[frozenset[int], object] = {}
    count = 0
    for seen in orders(fold, snapshots, times=times, length_max=length_max):
        furthest = max(seen.order)
        assert routes[furthest] <= seen.keys <= whole[furthest].keys, (timeline, seen.order)
        if timeline.is_stamped:
            fact = (seen.keys, seen.track.status, seen.knowledge())
            assert facts.setdefault(frozenset(seen.order), fact) == fact, (timeline, seen.order)
            assert snapshots[furthest].status == seen.track.status, (timeline, seen.order)
        count += 1
    return count


def sighted(fold: Fold, snapshot: Snapshot) -> frozenset[str]:
    """Return the keys of a snapshot observed first."""
    return frozenset(transition.key for transition in fold.apply(BatchRecord(), snapshot).transitions)


def twice(timeline: Timeline, *, clock: bool) -> list[Snapshot]:
    """Return two snapshots for each status; counts always rise, and files appear after the end."""
    read = reader(DIALECTS[timeline.dialect]).read
    snapshots = []
    for place in range(2 * len(timeline.walk)):
        wire = timeline.wire(place // 2 + 1)
        wire["request_counts"] |= {"total": 100, "completed": place}
        if place % 2 == 0:
            wire |= {"output_file_id": None, "error_file_id": None}
        snapshots.append(read(wire, CREATED + 1000.5 + place if clock else None))
    return snapshots


# ---------------------------------------------------------------- the theorem


@pytest.mark.logic
def test_openai_has_nineteen_walks_and_five_of_them_are_strict():
    """There are nineteen walks to a final status; five of them have documented steps only."""
    assert 19 == len(walks("openai"))
    assert ["vpzc", "vf", "vpze", "vgx", "vpgx"] == [
        "".join(LETTERS[status] for status in walk) for walk in walks("openai", strict=True)
    ]


@pytest.mark.logic
def test_a_legal_timeline_in_order_has_no_finding_of_severity_error():
    """It holds for all tested timelines, with any ties and any missing stamps."""
    for dialect in DIALECTS:
        fold = Fold(DIALECTS[dialect])
        for timeline in timelines(dialect):
            late = {"T203"}  # A batch that expires within minutes is too early for its deadline; otherwise it is legal.
            found = {rule for seen in in_order(fold, timeline.snapshots()) for rule in seen.errors}
            assert found <= late, (timeline, found)


@pytest.mark.logic
def test_no_order_matters_on_openai():
    """Every order of every subset of every timeline with any ties gives the results of the timeline in order."""
    # The empty subset has no order; there are 148 timelines.
    assert 24_908 - 148 == sum(hold_the_theorem(timeline) for timeline in timelines("openai"))


@pytest.mark.logic
@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_order_matters_in_any_dialect(dialect: str):
    """Twenty timelines of each dialect, seen in any order, emit the keys of the timeline in order."""
    assert 400 < sum(hold_the_theorem(timeline) for timeline in spread(dialect, 20))


@pytest.mark.logic
@pytest.mark.parametrize("dialect", DIALECTS)
def test_duplicates_change_nothing(dialect: str):
    """Repeated snapshots, apart or in a row, add and remove no key, in eight timelines of each dialect."""
    assert 400 < sum(hold_the_theorem(timeline, times=2, length_max=4) for timeline in spread(dialect, 8))


def two_snapshots_of_each_status(found: list[Timeline], *, clock: bool) -> None:
    """Compare every order of up to three of the two snapshots of each status with the timeline in order."""
    for timeline in found:
        assert 0 < hold_the_theorem(timeline, twice(timeline, clock=clock), length_max=3)


@pytest.mark.logic
@pytest.mark.parametrize("clock", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_two_snapshots_of_one_status_change_nothing(dialect: str, clock: bool):  # noqa: FBT001
    """Keys, status, first values and highest counts do not depend on which of two snapshots of a status came first."""
    two_snapshots_of_each_status(spread(dialect, 4), clock=clock)


@pytest.mark.logic
@pytest.mark.slow
@pytest.mark.parametrize("clock", [False, True])
@pytest.mark.parametrize("dialect", DISTINCT)
def test_two_snapshots_of_one_status_change_nothing_in_many_timelines(dialect: str, clock: bool):  # noqa: FBT001
    """It holds for every 21st timeline of each dialect."""
    two_snapshots_of_each_status(list(timelines(dialect))[::21], clock=clock)


@pytest.mark.logic
def test_the_route_of_the_furthest_snapshot_is_emitted_though_an_earlier_one_left_a_gap():
    """Finalizing and then cancelling, in_progress without a stamp: only the second implies in_progress."""
    walk = ("validating", "in_progress", "finalizing", "cancelling", "cancelled")
    timeline = Timeline("compatible", walk, (0, 60, 120, 180, 240), frozenset({"in_progress"}))
    fold, (_, _, finalizing, cancelling, _) = Fold(DIALECTS["compatible"]), timeline.snapshots()

    both = OrderResult().then(fold, 0, finalizing).then(fold, 1, cancelling)

    assert sighted(fold, cancelling) <= both.keys


@pytest.mark.logic
@pytest.mark.slow
@pytest.mark.parametrize("dialect", DISTINCT)
def test_no_order_matters_in_the_whole_world_of_a_dialect(dialect: str):
    """All timelines with all ties and all choices of optional stamps, in all orders of all subsets."""
    assert 3000 < sum(hold_the_theorem(timeline) for timeline in timelines(dialect))


@pytest.mark.logic
@pytest.mark.slow
@pytest.mark.parametrize("dialect", DISTINCT)
def test_duplicates_change_nothing_in_many_timelines(dialect: str):
    """Every fifth timeline of each dialect, four snapshots at a time, each up to twice."""
    found = list(timelines(dialect))[::5]

    assert 3000 < sum(hold_the_theorem(timeline, times=2, length_max=4) for timeline in found)


# ---------------------------------------------------------------- with times of observation


def accused(timeline: Timeline, *, length_max: int) -> set[str]:
    """Return the history rules of severity error that any order of two snapshots for each status breaks."""
    fold, snapshots = Fold(DIALECTS[timeline.dialect]), twice(timeline, clock=True)
    return {rule for seen in orders(fold, snapshots, length_max=length_max) for rule in seen.errors if rule[0] == "H"}


@pytest.mark.logic
@pytest.mark.parametrize("dialect", DIALECTS)
def test_with_observed_at_no_order_accuses_a_legal_timeline(dialect: str):
    """With `observed_at`, two snapshots of one status out of order are a stale read and no decrease."""
    for timeline in timelines(dialect, all_ties=False):
        assert set() == accused(timeline, length_max=2), timeline


@pytest.mark.logic
@pytest.mark.parametrize(
    "path, length_max",
    [("vpzc", 4), ("vf", 4), ("vgx", 6), pytest.param("vpzc", 8, marks=pytest.mark.slow)],
)
def test_with_observed_at_no_order_of_a_whole_life_accuses_it(path: str, length_max: int):
    """Any order of up to `length_max` of two snapshots for each status breaks no history rule."""
    timeline = Timeline("openai", words(path), tuple(range(0, 60 * len(path), 60)))

    assert set() == accused(timeline, length_max=length_max)


@pytest.mark.logic
@pytest.mark.slow
@pytest.mark.parametrize("dialect", DISTINCT)
def test_with_observed_at_no_order_accuses_any_legal_timeline(dialect: str):
    """It holds for every third timeline, four snapshots at a time."""
    for timeline in list(timelines(dialect, all_ties=False))[::3]:
        assert set() == accused(timeline, length_max=4), timeline


@pytest.mark.logic
def test_without_observed_at_two_snapshots_of_one_status_can_accuse():
    """The order of observation is unknown then: a lower count is an error."""
    fold, snapshots = (
        Fold(DIALECTS["openai"]),
        twice(Timeline("openai", ("validating", "in_progress"), (0, 60)), clock=False),
    )

    later_first = OrderResult().then(fold, 3, snapshots[3]).then(fold, 2, snapshots[2])

    assert ("H505",) == later_first.errors


# ---------------------------------------------------------------- the automaton and the machine


class Model:
    """The smallest model that a machine can drive."""

    def __init__(self, state: str) -> None:
        """Take the first status."""
        self.state = state


def driven(lifecycle: Lifecycle) -> dict[str, set[str]]:
    """Return the statuses that a machine reaches from each status in up to eight steps."""
    machine = machines.build(lifecycle)
    reached: dict[str, set[str]] = {}
    for status in lifecycle.statuses:
        reached[status], here = set(), {status}
        for _ in range(8):
            here = {after for before in here for after in triggered(machine, before)}
            reached[status] |= here
    return reached


def triggered(machine: Machine, status: str) -> set[str]:
    """Return the target of each event of a machine from a status."""
    after = set()
    for event in machine.events.values():
        model = Model(status)
        try:
            event.trigger(model)
        except MachineError:
            assert status == model.state
        else:
            after.add(model.state)
    return after


def documented(lifecycle: Lifecycle) -> Lifecycle:
    """Return a lifecycle without its tolerated steps."""
    return attrs.evolve(lifecycle, steps=tuple(step for step in lifecycle.steps if step.evidence == "documented"))


def moved(dialect: str, known: str, status: str, *, below: bool) -> list[tuple[str, str]]:
    """Return the findings on moves for one status after another; unless `below`, the second row has a new count."""
    read, fold, track = reader(DIALECTS[dialect]).read, Fold(DIALECTS[dialect]), BatchRecord()
    fold.apply(track, read(snap("v", status=known)))
    counts = None if below else {"total": 8, "completed": 1, "failed": 0}
    found = fold.apply(track, read(snap("v", status=status, request_counts=counts))).findings
    return [(each.rule, each.severity) for each in found if each.rule in {"H501", "H502", "H507"}]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_pair_of_statuses_is_judged_as_the_machine_walks(dialect: str):
    """Each ordered pair (64 on OpenAI) is legal, a warning, an error or stale, as the triggers of the machine imply."""
    lifecycle = DIALECTS[dialect].lifecycle
    reach, reach_strict = driven(lifecycle), driven(documented(lifecycle))
    for known, status, below in product(lifecycle.statuses, lifecycle.statuses, (False, True)):
        expected = [("H501", "error")]
        if known == status or status in reach_strict[known]:
            expected = []
        elif status in reach[known]:
            expected = [("H501", "warning")]
        elif not reach[known]:
            expected = [("H502", "error")]
        if below and known != status and known in reach[status] and status not in reach[known]:
            expected = [("H507", "note")]  # On a cycle a row in a status that was never entered is no earlier view.
        assert expected == moved(dialect, known, status, below=below), (known, status, below)


def test_the_machine_has_no_doors_beside_the_table():
    """The machine has no automatic transitions: its single steps are the sixteen rows of the table."""
    machine = machines.build(OPENAI)

    assert oracle.DIALECTS["openai"].steps(strict=False) == {
        (status, after) for status in STATUSES for after in triggered(machine, status)
    }


def stock(dialect: str) -> Machine:
    """Build a machine of the unmodified library from the oracle's table."""
    table = oracle.DIALECTS[dialect]
    rows = [[oracle.EVENTS[target], source, target] for source, target in sorted(table.steps(strict=False))]
    return Machine(None, states=list(table.stamps), transitions=rows, initial=table.initial, auto_transitions=False)


def replay(machine: Machine, model: Model, transitions: list[Transition]) -> None:
    """Drive a model through emitted transitions; births and gaps are no triggers."""
    for transition in transitions:
        if model.state != transition.source and transition.source is not None:
            # A transition found late does not move the batch; it is still a step of the table.
            past = Model(transition.source)
            assert transition.event is None or machine.events[transition.event].trigger(past)
            continue
        if transition.event in ("create", None):
            assert ("gap" if transition.source else "create") in (transition.evidence, transition.event)
            model.state = transition.target
        else:
            assert model.state == transition.source
            machine.events[transition.event].trigger(model)
        assert model.state == transition.target
        assert transition.terminal == (not machine.get_triggers(transition.target))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_emitted_drives_a_stock_machine_to_the_same_status(dialect: str):
    """Any order of two snapshots emits transitions that are valid triggers of the machine."""
    machine, fold = stock(dialect), Fold(DIALECTS[dialect])
    for timeline in timelines(dialect, all_ties=False):
        for pair in permutations(timeline.snapshots(), 2):
            track, model = BatchRecord(), Model("unborn")
            for snapshot in pair:
                replay(machine, model, fold.apply(track, snapshot).transitions)
            assert track.status == model.state, timeline
