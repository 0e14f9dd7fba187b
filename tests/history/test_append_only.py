"""Append-only sequences that share storage between copies, and records of batches that are completed repeatedly."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchfsm.dialects import DIALECTS, get_dialect
from batchfsm.history import BatchRecord, Fold, dump, restore
from batchfsm.history.append_only import AppendOnlySequence, append
from batchfsm.history.batch_record import SHARED_STEPS_MAX
from batchfsm.lifecycle import Lifecycle, State, Step
from batchfsm.wire import ParsedRow, reader
from support.notation import snap

READER = reader(DIALECTS["openai"])


@given(steps=st.lists(st.tuples(st.integers(0, 5), st.lists(st.integers(0, 3), max_size=3)), max_size=12))
def test_each_copy_is_what_a_tuple_would_be(steps):
    """Extending copies in any order changes none of the others."""
    copies, expected = [AppendOnlySequence(())], [()]
    for chosen, items in steps:
        place = chosen % len(copies)
        copies.append(append(copies[place], items))
        expected.append((*expected[place], *items))

    for copy, items in zip(copies, expected, strict=True):
        assert (tuple(copy), len(copy)) == (items, len(items))
        assert [each in items for each in range(-1, 5)] == [each in copy for each in range(-1, 5)]
        assert (items[-2:], items[:3:2]) == (copy[-2:], copy[:3:2])
        assert list(items) == [copy[place] for place in range(len(items))]
        with pytest.raises(IndexError):
            copy[len(items)]


def test_a_copy_shares_the_items_of_its_original():
    """Only the second copy of one original has items of its own."""
    first = AppendOnlySequence([1])
    second, third = first.extended([2]), first.extended([3])

    assert first._buffer is second._buffer
    assert third._buffer is not first._buffer


def returns(count: int) -> list[ParsedRow]:
    """Return the rows of a batch that was completed, put back and completed again, the given number of times."""
    done = snap("vpzc")
    rows = [done]
    for number in range(count):
        at = done["completed_at"] + 10 * number
        rows += [
            done | {"status": "in_progress", "in_progress_at": at, "finalizing_at": None, "completed_at": None},
            done | {"in_progress_at": at, "finalizing_at": at + 1, "completed_at": at + 2},
        ]
    return [READER.read_row(row, None) for row in rows]


def test_a_batch_that_never_settles_has_all_its_transitions():
    """It has more transitions than records share: each entry of a status is emitted once, repeated rows emit none."""
    fold, record, emitted = Fold(DIALECTS["openai"]), BatchRecord(), []
    rows = returns(SHARED_STEPS_MAX)
    for row in rows:
        record, result = fold.apply_immutable(record, row)
        emitted += result.transitions

    assert len({transition.key for transition in emitted}) == len(emitted) > 2 * SHARED_STEPS_MAX
    assert [(each.target, each.at) for each in emitted] == [
        (each.target, each.at) for each in record.transitions("batch_1")
    ]
    assert [(each.target, each.at) for each in emitted] == list(record.emitted)
    for row in rows:
        record, result = fold.apply_immutable(record, row)
        assert [] == result.transitions


def test_a_record_of_many_transitions_is_restored_whole():
    """Folding continues as from the original, and does not change the record from which it started."""
    fold, record = Fold(DIALECTS["openai"]), BatchRecord()
    *rows, last = returns(SHARED_STEPS_MAX)
    for row in rows:
        record, _ = fold.apply_immutable(record, row)
    written = dump(record, observed_at=None)
    restored = restore(written)

    expected, found = fold.apply_immutable(record, last), fold.apply_immutable(restored, last)

    assert expected[1] == found[1] or expected[1].transitions == found[1].transitions
    assert dump(expected[0], observed_at=None) == dump(found[0], observed_at=None)
    assert written == dump(record, observed_at=None) == dump(restored, observed_at=None)


def test_a_legal_route_longer_than_batches_share_is_emitted_step_by_step():
    """In a lifecycle of a hundred statuses in a row, the steps are the same seen one by one or at once."""
    names = ["validating", *(f"stage_{number}" for number in range(98)), "completed"]
    states = [State(name) for name in names[:-1]]
    lifecycle = Lifecycle(
        name="long",
        initial="validating",
        states=(*states, State("completed", terminal=True)),
        steps=tuple(Step(before, f"go_{after}", after) for before, after in itertools.pairwise(names)),
    )
    fold = Fold(get_dialect(lifecycle))
    for chosen in (names, names[-1:]):
        for _ in range(2):
            record, targets = BatchRecord(), []
            for name in chosen:
                row = reader(get_dialect(lifecycle)).read_row(snap("v") | {"status": name}, None)
                record, result = fold.apply_immutable(record, row)
                targets += [each.target for each in result.transitions]

            assert names == targets
