"""What order, ties, gaps and duplicates cannot change: promise 4, over every legal timeline there is."""

from collections.abc import Iterator
from copy import copy
from itertools import combinations, islice, pairwise, product
from typing import Any

import attrs
import pytest
from transitions import Machine, MachineError

import oracle
from batchfsm import DIALECTS, OPENAI, Snapshot, Transition
from batchfsm import machine as machines
from batchfsm.history import Fold, Track
from batchfsm.snapshot import COUNT_FIELDS, FLAT_FIELDS
from batchfsm.wire import reader
from notation import CREATED, WORDS, snap

LETTERS = {word: letter for letter, word in WORDS.items()}
HISTORY_ERRORS = {"H501", "H502", "H503", "H504", "H505", "H506"}
STATUSES = tuple(WORDS.values())

Walk = tuple[str, ...]


@attrs.frozen
class Timeline:
    """One legal life of a batch: where it went, when, and what the server stamped of it."""

    dialect: str
    walk: Walk
    at: tuple[int, ...]
    """When each status was entered, in seconds since creation."""
    silent: frozenset[str] = frozenset()
    """The statuses with an optional stamp that the server left null."""

    @property
    def is_stamped(self) -> bool:
        """Tell whether every status gives its stamp."""
        stamps = oracle.DIALECTS[self.dialect].stamps
        return not self.silent and all(stamps[status] for status in self.walk)

    def wire(self, length: int, **changes: Any) -> dict[str, Any]:
        """Return the object as it is after so many statuses of the walk."""
        # Scheduling, which has no letter, is the first status where there is one, and stamped by `created_at`.
        lettered = [(LETTERS[word], at) for word, at in zip(self.walk[:length], self.at, strict=False) if word in LETTERS]
        path, at = zip(*lettered, strict=True) if lettered else ("v", (0,))
        nulls = {f"{status}_at": None for status in self.silent}
        return snap("".join(path), at=at, **{"status": self.walk[length - 1], **nulls, **changes})

    def snapshots(self) -> list[Snapshot]:
        """Return one snapshot for each status."""
        read = reader(DIALECTS[self.dialect]).read
        return [read(self.wire(length)) for length in range(1, len(self.walk) + 1)]


def walks(dialect: str, *, strict: bool = False) -> list[Walk]:
    """Return every walk from birth to an end, in the order of the oracle's table."""
    table = oracle.DIALECTS[dialect]
    ends = [status for status in table.stamps if status in oracle.TERMINAL]
    return [walk for end in ends for walk in oracle.walks(table, table.initial, end, strict=strict)]


def timelines(dialect: str, *, all_ties: bool = True) -> Iterator[Timeline]:
    """Yield every walk with every pattern of equal seconds, and every choice of the optional stamps."""
    table = oracle.DIALECTS[dialect]
    for walk in walks(dialect):
        patterns = product((0, 60), repeat=len(walk) - 1) if all_ties else [(60,) * (len(walk) - 1), (0,) * (len(walk) - 1)]
        optional = [status for status in walk if status in table.optional and table.stamps[status] not in (None, "created_at")]
        silences = [frozenset(some) for size in range(len(optional) + 1) for some in combinations(optional, size)]
        for gaps, silent in product(list(patterns), silences):
            at = [0]
            for gap in gaps:
                at.append(at[-1] + gap)
            yield Timeline(dialect, walk, tuple(at), silent)


@attrs.frozen
class Seen:
    """What is known after snapshots came in one order."""

    order: tuple[int, ...] = ()
    track: Track = attrs.field(factory=Track)
    keys: frozenset[str] = frozenset()
    findings: tuple[str, ...] = ()
    """The rules of severity error that the last snapshot broke."""

    def then(self, fold: Fold, place: int, snapshot: Snapshot) -> "Seen":
        """Return what is known after one more snapshot; a key that comes twice is an error."""
        track = copy(self.track)
        folded = fold.fold(track, snapshot)
        keys = [transition.key for transition in folded.transitions]
        assert len(self.keys) + len(keys) == len(self.keys.union(keys)), (self.order, place, keys)
        errors = tuple(found.rule for found in folded.findings if found.severity == "error")
        return Seen((*self.order, place), track, self.keys.union(keys), errors)

    def knowledge(self) -> dict[str, Any]:
        """Return the first values and the highest counts."""
        assert self.track.row is not None
        return dict(zip((*FLAT_FIELDS[1:], *COUNT_FIELDS), self.track.row[1:], strict=True)) | (self.track.first or {})


def orders(fold: Fold, snapshots: list[Snapshot], *, times: int = 1, length_max: int = 99) -> Iterator[Seen]:
    """Fold every order of every sub-sampling, each snapshot up to so many times."""
    pending = [Seen()]
    while pending:
        seen = pending.pop()
        for place, snapshot in enumerate(snapshots):
            if seen.order.count(place) < times:
                after = seen.then(fold, place, snapshot)
                yield after
                if len(after.order) < length_max:
                    pending.append(after)


def in_order(fold: Fold, snapshots: list[Snapshot]) -> list[Seen]:
    """Return what is known after each snapshot of a timeline seen whole."""
    seen = [Seen()]
    for place, snapshot in enumerate(snapshots):
        seen.append(seen[-1].then(fold, place, snapshot))
    return seen[1:]


def hold_the_theorem(timeline: Timeline, *, times: int = 1, length_max: int = 99) -> int:
    """Compare every order of a timeline with the timeline in order; return how many there were."""
    fold, snapshots = Fold(DIALECTS[timeline.dialect]), timeline.snapshots()
    whole = in_order(fold, snapshots)
    routes = [Seen().then(fold, 0, snapshot).keys for snapshot in snapshots]
    facts: dict[frozenset[int], object] = {}
    count = 0
    for seen in orders(fold, snapshots, times=times, length_max=length_max):
        furthest = max(seen.order)
        assert routes[furthest] <= seen.keys <= whole[furthest].keys, (timeline, seen.order)
        if timeline.is_stamped:
            fact = (seen.keys, seen.track.status, seen.knowledge())
            assert facts.setdefault(frozenset(seen.order), fact) == fact, (timeline, seen.order)
            assert timeline.walk[furthest] == seen.track.status
        count += 1
    return count


def test_openai_has_nineteen_walks_and_five_of_them_are_strict():
    """The world is small enough to be walked whole: nineteen ways to an end, five of them documented."""
    assert 19 == len(walks("openai"))
    assert ["vpzc", "vf", "vpzfe"[:3] + "e", "vgx", "vpgx"] == [
        "".join(LETTERS[status] for status in walk) for walk in walks("openai", strict=True)
    ]


def test_no_order_matters_on_openai():
    """Every order of every sub-sampling of every timeline, with every tie, proves the same as the timeline in order."""
    count = sum(hold_the_theorem(timeline) for timeline in timelines("openai"))

    assert 24_908 - 2 ** 4 < count  # All of them, but the empty sub-samplings.


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_order_matters_in_any_dialect(dialect: str):
    """A fixed eighth of all timelines, in every order: own route of the furthest, in between, the whole timeline."""
    assert 0 < sum(hold_the_theorem(timeline) for timeline in islice(timelines(dialect), 0, None, 8))
