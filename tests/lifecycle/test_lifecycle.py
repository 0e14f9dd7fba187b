"""OpenAI's lifecycle equals the contract's table, and a lifecycle that contradicts itself is refused."""

from typing import get_args

import attrs
import pytest

from batchfsm.dialects import DIALECTS
from batchfsm.errors import DefinitionError
from batchfsm.lifecycle import ALL_STAMP_FIELDS, OPENAI, STAMP_FIELDS, Evidence, Lifecycle, State, Status, Step

TABLE = """
documented  validating   start     in_progress
documented  validating   fail      failed
documented  validating   cancel    cancelling
documented  in_progress  finalize  finalizing
documented  in_progress  cancel    cancelling
documented  finalizing   complete  completed
documented  finalizing   expire    expired
documented  cancelling   stop      cancelled
tolerated   validating   expire    expired
tolerated   in_progress  fail      failed
tolerated   in_progress  expire    expired
tolerated   finalizing   fail      failed
tolerated   finalizing   cancel    cancelling
tolerated   cancelling   complete  completed
tolerated   cancelling   fail      failed
tolerated   cancelling   expire    expired
"""

OPEN, DONE, BROKEN = State("open"), State("done", terminal=True), State("broken", terminal=True)
CLOSE = Step("open", "close", "done")


def build(states=(OPEN, DONE), steps=(CLOSE,), initial="open"):
    """Return a small lifecycle, by default with the statuses open and done."""
    return Lifecycle(name="door", states=tuple(states), steps=tuple(steps), initial=initial)


def problems(**changes):
    """Return the problems of the small lifecycle with these changes."""
    with pytest.raises(DefinitionError) as caught:
        build(**changes)
    return caught.value.problems


# ---------------------------------------------------------------- the table of OpenAI


def test_openai_has_the_steps_of_the_contract():
    """Eight documented and eight tolerated steps, in this order, each with its event."""
    rows = [(step.evidence, step.source, step.event, step.target) for step in OPENAI.steps]

    assert [tuple(line.split()) for line in TABLE.strip().splitlines()] == rows


def test_openai_has_the_statuses_of_the_contract():
    """Eight statuses in this order, each with its stamp; the stamp of validating is created_at."""
    stamps = {
        "validating": "created_at",
        "in_progress": "in_progress_at",
        "finalizing": "finalizing_at",
        "completed": "completed_at",
        "failed": "failed_at",
        "expired": "expired_at",
        "cancelling": "cancelling_at",
        "cancelled": "cancelled_at",
    }

    assert list(stamps.items()) == [(state.name, state.stamp) for state in OPENAI.states]
    assert ("openai", "validating") == (OPENAI.name, OPENAI.initial)


def test_four_statuses_are_final():
    """Completed, failed, expired and cancelled are final."""
    assert {"completed", "failed", "expired", "cancelled"} == OPENAI.terminal


def test_the_words_are_the_table():
    """The type `Status`, the stamp fields and the table have the same entries in the same order."""
    assert get_args(Status) == OPENAI.statuses
    assert tuple(state.stamp for state in OPENAI.states) == STAMP_FIELDS
    assert {step.evidence for step in OPENAI.steps} == set(get_args(Evidence))


def test_every_step_says_who_says_so():
    """Each step has a source."""
    assert [] == [step for step in OPENAI.steps if not step.sources]


def test_a_lifecycle_is_frozen_and_compares_by_value():
    """A lifecycle cannot be changed, and two lifecycles with equal fields are equal."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        OPENAI.initial = "failed"

    assert 1 == len({build(), build()})


# ---------------------------------------------------------------- invalid definitions


def test_a_lifecycle_in_three_lines():
    """A lifecycle needs only states without stamps and one step."""
    door = build()

    assert (("open", "done"), {"done"}) == (door.statuses, door.terminal)


def test_a_status_stands_once():
    """Two states with the same name are refused."""
    assert ("status 'open' stands twice",) == problems(states=(OPEN, OPEN, DONE))


def test_a_stamp_has_one_status():
    """Two states with the same stamp are refused."""
    states = State("open", "failed_at"), State("done", "failed_at", terminal=True)

    assert ("stamp 'failed_at' belongs to two statuses",) == problems(states=states)


def test_a_stamp_is_a_time_of_the_wire():
    """A stamp that is not one of the eight stamp fields is refused, expires_at too; the message lists the eight."""
    wire = "created_at, in_progress_at, finalizing_at, completed_at, failed_at, expired_at, cancelling_at, cancelled_at, ended_at"

    assert (f"stamp 'expires_at' is not a time of the wire ({wire})",) == problems(
        states=(OPEN, State("done", "expires_at", terminal=True))
    )


def test_a_batch_is_born_in_a_status():
    """An initial status that is not a state is refused."""
    assert ("the initial status 'ajar' is not a status",) == problems(initial="ajar")


def test_something_is_final():
    """A lifecycle without a final status is refused."""
    states, steps = (OPEN, State("ajar")), (Step("open", "push", "ajar"),)

    assert ("no status is final",) == problems(states=states, steps=steps)


def test_created_at_is_the_stamp_of_birth():
    """Only the initial status may have the stamp created_at."""
    assert ("'done' is stamped by created_at, which is the stamp of 'open'",) == problems(
        states=(OPEN, State("done", "created_at", terminal=True))
    )


def test_a_step_stands_once():
    """Two steps with the same source and target are refused, even with different events."""
    assert ("the step open to done stands twice",) == problems(steps=(CLOSE, Step("open", "slam", "done")))


def test_an_event_leads_to_one_status():
    """An event with two targets is refused."""
    steps = CLOSE, Step("open", "close", "broken")

    assert ("event 'close' leads from open to two statuses",) == problems(states=(OPEN, DONE, BROKEN), steps=steps)


def test_a_step_joins_statuses():
    """A step from or to an unknown status is refused, with one problem for each end."""
    assert (
        "the step ajar to shut: 'ajar' is not a status",
        "the step ajar to shut: 'shut' is not a status",
    ) == problems(steps=(CLOSE, Step("ajar", "push", "shut")))


def test_a_final_status_has_no_exit():
    """A step out of a final status is refused."""
    steps = CLOSE, Step("done", "reopen", "open")

    assert ("the step done to open: done is final",) == problems(steps=steps)


def test_the_same_status_again_is_no_step():
    """A step from a status to itself is refused, because polling the same status is not a transition."""
    assert ("the step open to open goes nowhere; the same status again is no step",) == problems(
        steps=(CLOSE, Step("open", "stay", "open"))
    )


@pytest.mark.parametrize("event", ["create", "shut it", "", "1st"])
def test_an_event_is_a_free_verb(event):
    """An event becomes a method of a model, so it must be an identifier; `create` is reserved for the birth."""
    problem = f"the step open to done: event {event!r} is not a free name ('create' is the birth)"

    assert (problem,) == problems(steps=(Step("open", event, "done"),))


def test_evidence_is_documented_or_tolerated():
    """Evidence other than documented and tolerated is refused."""
    assert ("the step open to done: evidence 'likely' is neither 'documented' nor 'tolerated'",) == problems(
        steps=(Step("open", "close", "done", "likely"),)
    )


def test_every_status_can_be_reached():
    """A status that cannot be reached from the initial one is refused."""
    assert ("status 'broken' cannot be reached",) == problems(states=(OPEN, DONE, BROKEN))


def test_no_status_is_a_trap():
    """A status from which no final status can be reached is refused, also in a cycle."""
    states = OPEN, State("ajar"), State("stuck"), DONE
    steps = CLOSE, Step("open", "push", "ajar"), Step("ajar", "jam", "stuck"), Step("stuck", "free", "ajar")

    assert (
        "status 'ajar' is a trap: nothing final follows",
        "status 'stuck' is a trap: nothing final follows",
    ) == problems(states=states, steps=steps)


def test_all_problems_are_named_at_once():
    """One error lists all problems; reachability is checked only if all names are valid."""
    with pytest.raises(DefinitionError) as caught:
        Lifecycle(
            name="door",
            initial="ajar",
            states=(State("open", "opened_at"), State("open"), State("done", "created_at")),
            steps=(
                Step("done", "create", "open", "likely"),
                Step("done", "push", "open"),
                Step("shut", "push", "open"),
                Step("open", "stay", "open"),
            ),
        )

    assert (
        "status 'open' stands twice",
        "stamp 'opened_at' is not a time of the wire (" + ", ".join(ALL_STAMP_FIELDS) + ")",
        "the initial status 'ajar' is not a status",
        "no status is final",
        "'done' is stamped by created_at, which is the stamp of 'ajar'",
        "the step done to open stands twice",
        "the step done to open: event 'create' is not a free name ('create' is the birth)",
        "the step done to open: evidence 'likely' is neither 'documented' nor 'tolerated'",
        "the step shut to open: 'shut' is not a status",
        "the step open to open goes nowhere; the same status again is no step",
    ) == caught.value.problems
    assert "lifecycle 'door'" == caught.value.name
    assert str(caught.value).startswith("invalid lifecycle 'door': status 'open' stands twice; ")


def test_a_lifecycle_and_a_dialect_have_a_short_repr():
    """A report, an error or a debugger shows the names, not all rows of the table."""
    expected = (
        "<Lifecycle openai: validating, in_progress, finalizing, completed, failed, expired, cancelling, cancelled>"
    )
    assert expected == repr(OPENAI)
    assert "<Dialect azure>" == repr(DIALECTS["azure"])
