"""Promise 4 for the dialects of other providers: the order of snapshots changes no key."""

from itertools import combinations, permutations

import pytest

from batchfsm import DIALECTS, Snapshot
from batchfsm.history import BatchRecord, Fold
from batchfsm.topology import topology
from support.dialects import DIALECTS as OPENAI_SHAPED
from support.notation import CREATED

PROVIDERS = [name for name in DIALECTS if name not in OPENAI_SHAPED]


def walks(name):
    """Return every walk of a dialect from its first status to a final one, inferred steps included."""
    graph = topology(DIALECTS[name].lifecycle)
    initial, statuses = graph.lifecycle.initial, frozenset(graph.statuses)
    return [walk for end in sorted(graph.terminal) for walk in graph.walks(initial, end, statuses, strict=False)]


def snapshots(name, walk):
    """Return a snapshot for each status of a walk, a minute apart, with each stamp that the dialect has."""
    stamp = topology(DIALECTS[name].lifecycle).stamp
    seen, stamps = [], {}
    for place, status in enumerate(walk):
        if stamp[status] is not None:
            stamps = stamps | {stamp[status]: CREATED + 60 * place}
        seen.append(Snapshot(id="batch_1", status=status, **stamps))
    return seen


def keys(name, history):
    """Return the set of keys that a history emits."""
    fold, record, emitted = Fold(DIALECTS[name]), BatchRecord(), []
    for snapshot in history:
        emitted += [transition.key for transition in fold.apply(record, snapshot).transitions]
    assert len(set(emitted)) == len(emitted)
    return set(emitted)


def check_orders(name, walk):
    """Fold each subset in any order: it emits keys of the whole life only, and all those of its furthest snapshot."""
    life = snapshots(name, walk)
    whole = keys(name, life)
    for size in range(1, len(life) + 1):
        for chosen in combinations(range(len(life)), size):
            furthest = keys(name, [life[chosen[-1]]])
            for order in permutations(chosen):
                emitted = keys(name, [life[place] for place in order])
                assert furthest <= emitted <= whole, (walk, order)


@pytest.mark.logic
@pytest.mark.parametrize("name", PROVIDERS)
def test_no_order_changes_the_keys_of_short_lives(name):
    for walk in walks(name):
        if len(walk) <= 4:
            check_orders(name, walk)


@pytest.mark.slow
@pytest.mark.logic
@pytest.mark.parametrize("name", PROVIDERS)
def test_no_order_changes_the_keys(name):
    for walk in walks(name):
        if len(walk) > 4:
            check_orders(name, walk)
