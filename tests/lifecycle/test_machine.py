"""The machine is one of `transitions`, and it allows the steps of the table and nothing else."""

from itertools import product

import attrs
import pytest
import transitions

from batchfsm import machine
from batchfsm.dialects import DIALECTS
from batchfsm.lifecycle import OPENAI
from batchfsm.machine import MachineError, build, engine
from support.notation import WORDS

TARGETS = {
    "validating": {"start": "p", "fail": "f", "cancel": "g", "expire": "e"},
    "in_progress": {"finalize": "z", "cancel": "g", "fail": "f", "expire": "e"},
    "finalizing": {"complete": "c", "expire": "e", "fail": "f", "cancel": "g"},
    "completed": {},
    "failed": {},
    "expired": {},
    "cancelling": {"stop": "x", "complete": "c", "fail": "f", "expire": "e"},
    "cancelled": {},
}
EVENTS = ["start", "fail", "cancel", "finalize", "complete", "expire", "stop"]


@attrs.define(eq=False)
class Slotted:
    """A model with nothing but slots, as the engine moves them."""

    status: str


@attrs.define(eq=False)
class SlottedState:
    """The same for a machine that calls it `state`."""

    state: str


class Job:
    """A model of a user's own."""

    def __init__(self):
        self.log = []

    def on_enter_completed(self):
        """Be called by the machine, by name."""
        self.log.append("collected")


def targets(lifecycle):
    """Return where each event leads from each status, out of the steps."""
    return {(step.source, step.event): step.target for step in lifecycle.steps}


# ---------------------------------------------------------------- what is allowed


@pytest.mark.parametrize("status, event", list(product(TARGETS, EVENTS)))
def test_a_built_machine_allows_the_steps_of_the_table(status, event):
    """Each event of OpenAI's leads from each status where the table says, or nowhere."""
    made, model = build(OPENAI), SlottedState(status)

    if event in TARGETS[status]:
        assert made.events[event].trigger(model)
        assert WORDS[TARGETS[status][event]] == model.state
    else:
        with pytest.raises(MachineError):
            made.events[event].trigger(model)
        assert status == model.state


@pytest.mark.parametrize("name", DIALECTS)
def test_machine_and_engine_are_the_table_of_every_dialect(name):
    """In each dialect both refuse what is no step, and leave the model where it was."""
    lifecycle = DIALECTS[name].lifecycle
    legal = targets(lifecycle)
    stock, lean = build(lifecycle), engine(lifecycle)

    assert {event for _, event in legal} == set(stock.events) == set(lean.events)
    for status, event in product(lifecycle.statuses, stock.events):
        state, moved = SlottedState(status), Slotted(status)
        if (status, event) in legal:
            assert stock.events[event].trigger(state)
            assert lean.events[event].trigger(moved)
        else:
            with pytest.raises(MachineError):
                stock.events[event].trigger(state)
            with pytest.raises(MachineError):
                lean.events[event].trigger(moved)
        assert legal.get((status, event), status) == state.state == moved.status


def test_there_is_no_door_from_everywhere():
    """Automatic `to_completed` events would make every step legal."""
    model = Job()
    made = build(OPENAI, model=model)

    assert set(EVENTS) == set(made.events)
    assert not hasattr(model, "to_completed")


def test_a_refusal_says_what_and_from_where():
    """Both machines name the event and the status."""
    message = r"^\"?Can't trigger event stop from state completed!\"?$"

    with pytest.raises(MachineError, match=message):
        build().events["stop"].trigger(SlottedState("completed"))
    with pytest.raises(MachineError, match=message):
        engine(OPENAI).events["stop"].trigger(Slotted("completed"))


def test_an_unknown_status_has_no_steps():
    """A model in a word that is no status cannot be moved, and asking leaves no trace in the machine."""
    lean = engine(OPENAI)
    before = {name: set(event.transitions) for name, event in lean.events.items()}

    with pytest.raises(MachineError, match="Can't trigger event start from state paused!"):
        lean.events["start"].trigger(Slotted("paused"))

    assert before == {name: set(event.transitions) for name, event in lean.events.items()}


# ---------------------------------------------------------------- a real machine, for users


def test_it_is_a_real_machine():
    """Whatever draws or drives a `transitions.Machine` takes ours."""
    assert isinstance(build(), transitions.Machine)
    assert isinstance(engine(OPENAI), transitions.Machine)
    assert (transitions.Machine, transitions.MachineError) == (machine.Machine, machine.MachineError)


def test_its_states_are_the_statuses_in_table_order():
    """Final statuses are marked, and the initial one is where models are born."""
    made = build()

    assert list(OPENAI.statuses) == list(made.states)
    assert OPENAI.terminal == {name for name, state in made.states.items() if state.final}
    assert "validating" == made.initial


def test_its_transitions_are_the_steps():
    """Asked by `get_transitions`, it gives the rows of the table."""
    made = build()

    assert {(step.source, step.target) for step in OPENAI.steps} == {
        (each.source, each.dest) for each in made.get_transitions()
    }


def test_ones_own_model_gets_events_as_methods():
    """A registered model is born in the initial status and moved by methods; its callbacks are called."""
    model = Job()
    build(OPENAI, model=model)

    assert "validating" == model.state
    assert model.start()
    assert model.finalize()
    assert model.complete()
    assert ("completed", ["collected"]) == (model.state, model.log)
    with pytest.raises(MachineError):
        model.cancel()


def test_many_models_share_a_machine():
    """Each has a status of its own."""
    one, two = Job(), Job()
    build(OPENAI, model=[one, two])

    one.start()

    assert ("in_progress", "validating") == (one.state, two.state)


def test_options_are_those_of_the_machine():
    """Callbacks and the name of the attribute, for instance, are handed on."""
    log = []
    made = build(
        OPENAI,
        model_attribute="phase",
        send_event=True,
        after_state_change=lambda event: log.append((event.event.name, event.kwargs["at"])),
    )
    model = attrs.make_class("Phase", ["phase"])("validating")

    made.events["start"].trigger(model, at=17)

    assert ("in_progress", [("start", 17)]) == (model.phase, log)


def test_without_a_model_it_moves_any_object():
    """An object that nobody registered, with slots alone, is moved and not kept."""
    made, model = build(), SlottedState("cancelling")

    made.events["stop"].trigger(model)

    assert ("cancelled", []) == (model.state, made.models)


# ---------------------------------------------------------------- the engine


def test_there_is_one_engine_a_lifecycle():
    """All batches share it, and it keeps none of them."""
    assert engine(OPENAI) is engine(DIALECTS["openai"].lifecycle)
    assert engine(OPENAI) is not engine(DIALECTS["ogx"].lifecycle)
    assert [] == engine(OPENAI).models


def test_the_engine_takes_what_the_stock_machine_takes():
    """Arguments of a trigger are allowed, and of no meaning."""
    model = Slotted("validating")

    assert engine(OPENAI).events["start"].trigger(model, "now", at=17)
    assert "in_progress" == model.status
