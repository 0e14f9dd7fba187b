"""The machine is a `transitions.Machine` that allows exactly the steps of the lifecycle."""

import asyncio
import inspect
from itertools import product

import attrs
import pytest
import transitions
from transitions.extensions import (
    AsyncGraphMachine,
    AsyncMachine,
    GraphMachine,
    HierarchicalGraphMachine,
    HierarchicalMachine,
    LockedGraphMachine,
    LockedHierarchicalMachine,
    LockedMachine,
)
from transitions.extensions.nesting import NestedState

from batchfsm import machine
from batchfsm.dialects import DIALECTS
from batchfsm.lifecycle import OPENAI
from batchfsm.machine import MachineError, build, shared_machine
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
class SlottedModel:
    """A model with slots and the attribute `status`, as the shared machine moves it."""

    status: str


@attrs.define(eq=False)
class SlottedState:
    """A model with slots and the attribute `state`."""

    state: str


class Job:
    """A user's model with a callback."""

    def __init__(self):
        self.log = []

    def on_enter_completed(self):
        """Record the call by the machine, which finds this method by its name."""
        self.log.append("collected")


def targets(lifecycle):
    """Return the target of each pair of status and event of a lifecycle."""
    return {(step.source, step.event): step.target for step in lifecycle.steps}


# ---------------------------------------------------------------- allowed steps


@pytest.mark.parametrize("status, event", list(product(TARGETS, EVENTS)))
def test_a_built_machine_allows_the_steps_of_the_table(status, event):
    """Each event of OpenAI's lifecycle moves each status to the target of the table, or is refused."""
    made, model = build(OPENAI), SlottedState(status)

    if event in TARGETS[status]:
        assert made.events[event].trigger(model)
        assert WORDS[TARGETS[status][event]] == model.state
    else:
        with pytest.raises(MachineError):
            made.events[event].trigger(model)
        assert status == model.state


@pytest.mark.parametrize("name", DIALECTS)
def test_both_machines_are_the_table_of_every_dialect(name):
    """In each dialect, both machines refuse an event that is not a step, and leave the model unchanged."""
    lifecycle = DIALECTS[name].lifecycle
    legal = targets(lifecycle)
    stock, lean = build(lifecycle), shared_machine(lifecycle)

    assert {event for _, event in legal} == set(stock.events) == set(lean.events)
    for status, event in product(lifecycle.statuses, stock.events):
        state, moved = SlottedState(status), SlottedModel(status)
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
    """The automatic `to_completed` events of `transitions` are off, because they would make every step legal."""
    model = Job()
    made = build(OPENAI, model=model)

    assert set(EVENTS) == set(made.events)
    assert not hasattr(model, "to_completed")


def test_a_refusal_says_what_and_from_where():
    """Both machines name the event and the status in the error."""
    message = r"^\"?Can't trigger event stop from state completed!\"?$"

    with pytest.raises(MachineError, match=message):
        build().events["stop"].trigger(SlottedState("completed"))
    with pytest.raises(MachineError, match=message):
        shared_machine(OPENAI).events["stop"].trigger(SlottedModel("completed"))


def test_an_unknown_status_has_no_steps():
    """A model in an unknown status cannot be moved, and the attempt does not change the machine."""
    lean = shared_machine(OPENAI)
    before = {name: set(event.transitions) for name, event in lean.events.items()}

    with pytest.raises(MachineError, match="Can't trigger event start from state paused!"):
        lean.events["start"].trigger(SlottedModel("paused"))

    assert before == {name: set(event.transitions) for name, event in lean.events.items()}


# ---------------------------------------------------------------- the machine for users


def test_it_is_a_real_machine():
    """The machine can be used wherever a `transitions.Machine` is accepted."""
    assert isinstance(build(), transitions.Machine)
    assert isinstance(shared_machine(OPENAI), transitions.Machine)
    assert (transitions.Machine, transitions.MachineError) == (machine.Machine, machine.MachineError)


def test_its_states_are_the_statuses_in_table_order():
    """Final statuses are marked as final, and the initial status is the machine's initial state."""
    made = build()

    assert list(OPENAI.statuses) == list(made.states)
    assert OPENAI.terminal == {name for name, state in made.states.items() if state.final}
    assert "validating" == made.initial


def test_its_transitions_are_the_steps():
    """`get_transitions` returns the rows of the table."""
    made = build()

    assert {(step.source, step.target) for step in OPENAI.steps} == {
        (each.source, each.dest) for each in made.get_transitions()
    }


def test_ones_own_model_gets_events_as_methods():
    """A registered model starts in the initial status, is moved by methods, and has its callbacks called."""
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
    """Each model has its own status."""
    one, two = Job(), Job()
    build(OPENAI, model=[one, two])

    one.start()

    assert ("in_progress", "validating") == (one.state, two.state)


def test_options_are_those_of_the_machine():
    """Options such as callbacks and the attribute's name are passed to the machine."""
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
    """The machine moves an unregistered object, even one with slots, and does not keep it."""
    made, model = build(), SlottedState("cancelling")

    made.events["stop"].trigger(model)

    assert ("cancelled", []) == (model.state, made.models)


# ---------------------------------------------------------------- the shared machine


def test_there_is_one_engine_a_lifecycle():
    """All batches share one machine for each lifecycle, and it keeps no model."""
    assert shared_machine(OPENAI) is shared_machine(DIALECTS["openai"].lifecycle)
    assert shared_machine(OPENAI) is not shared_machine(DIALECTS["ogx"].lifecycle)
    assert [] == shared_machine(OPENAI).models


def test_the_engine_takes_what_the_stock_machine_takes():
    """The shared machine accepts and ignores the arguments of a trigger."""
    model = SlottedModel("validating")

    assert shared_machine(OPENAI).events["start"].trigger(model, "now", at=17)
    assert "in_progress" == model.status


# ---------------------------------------------------------------- other machine classes


class Plain:
    """A model without methods of its own."""


@pytest.mark.parametrize(
    "machine_class", [LockedMachine, GraphMachine, AsyncMachine, LockedGraphMachine, AsyncGraphMachine]
)
def test_a_machine_of_another_class_is_the_table_too(machine_class):
    """The machine moves the model along each walk, and refuses other events."""
    for walk in (("start", "finalize", "complete"), ("start", "cancel", "stop"), ("fail",)):
        model = Plain()
        made = build(model=model, machine_class=machine_class)
        assert type(made) is machine_class

        for event in walk:
            assert moved(model, event)
        with pytest.raises(MachineError):
            moved(model, "start")
        assert model.state in OPENAI.terminal


def moved(model, event):
    """Return the result of an event of a model; for an awaitable, the awaited result."""
    answer = getattr(model, event)()
    if not inspect.isawaitable(answer):
        return answer

    async def wait():
        return await answer

    return asyncio.run(wait())


def test_a_graph_machine_draws_the_table():
    """The picture contains each status."""
    model = Plain()
    build(model=model, machine_class=GraphMachine, graph_engine="mermaid")

    assert all(status in model.get_graph().source for status in OPENAI.statuses)


@pytest.mark.parametrize("machine_class", [HierarchicalMachine, LockedHierarchicalMachine, HierarchicalGraphMachine])
def test_a_hierarchical_machine_is_refused(machine_class):
    """These classes use `_` as separator, which is part of the name in_progress."""
    message = (
        rf"^{machine_class.__name__} reads '_' in a name as nesting, and in_progress is one status; "
        "take Machine, LockedMachine, AsyncMachine or GraphMachine$"
    )
    with pytest.raises(TypeError, match=message):
        build(machine_class=machine_class)


def test_a_hierarchical_machine_with_another_separator_is_the_table():
    """With another separator, no status is nested."""

    class Slash(NestedState):
        separator = "/"

    class SlashMachine(HierarchicalMachine):
        state_cls = Slash

    model = Plain()
    build(model=model, machine_class=SlashMachine)

    assert model.start()
    assert "in_progress" == model.state


@pytest.mark.parametrize("wrong", [Job, "LockedMachine", None, Job()])
def test_a_machine_class_is_one_of_transitions(wrong):
    """Any other value raises a TypeError."""
    with pytest.raises(TypeError, match="machine_class= takes a class of transitions, such as LockedMachine, not "):
        build(machine_class=wrong)


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    "machine_class, option, hint",
    [
        (transitions.Machine, "after_state_chang", "did you mean after_state_change?"),
        (LockedMachine, "machine_contxt", "did you mean machine_context?"),
        (GraphMachine, "graph_engin", "did you mean graph_engine?"),
        (transitions.Machine, "machine_context", "it has after_state_change, auto_transitions, "),
        (transitions.Machine, "nosuchoption", "it has after_state_change, auto_transitions, "),
    ],
)
def test_a_misspelt_option_is_named(machine_class, option, hint):
    """The error suggests the nearest option or lists all; options of another class are refused too."""
    with pytest.raises(TypeError) as raised:
        build(machine_class=machine_class, **{option: None})

    assert str(raised.value).startswith(f"{machine_class.__name__} has no option {option!r}; {hint}")


def test_every_option_of_a_machine_is_taken():
    """The options of the class and of its base classes are accepted."""
    for machine_class in (transitions.Machine, LockedMachine, GraphMachine, AsyncMachine):
        options = {
            name: parameter.default
            for each in machine_class.__mro__[:-1]
            if "__init__" in vars(each)
            for name, parameter in inspect.signature(each.__init__).parameters.items()
            if parameter.default is not parameter.empty and name not in ("model", "states", "transitions", "initial")
        }
        assert isinstance(build(machine_class=machine_class, **options), machine_class)


def test_a_machine_class_of_ones_own_may_have_options():
    """The options in a class's signature are checked; a class with keyword arguments checks the others itself."""

    class Named(transitions.Machine):
        def __init__(self, *, label, **options):
            self.label = label
            super().__init__(**options)

    class Strict(transitions.Machine):
        def __init__(self, *, model, states, transitions, initial, auto_transitions, label=""):
            self.label = label
            super().__init__(model, states, initial, transitions, auto_transitions=auto_transitions)

    assert "x" == build(machine_class=Named, label="x").label
    assert "x" == build(machine_class=Strict, label="x").label
    with pytest.raises(TypeError, match="Strict has no option 'labl'; did you mean label"):
        build(machine_class=Strict, labl="x")


# ---------------------------------------------------------------- models that are refused


@pytest.mark.parametrize("name", [*EVENTS, "trigger"])
@pytest.mark.parametrize("kind", ["method", "attribute", "second"])
def test_a_model_with_the_name_of_an_event_is_refused(name, kind):
    """A method or attribute with the name of an event, in any of the models, would prevent the move."""
    clashing = type("Task", (), {name: (lambda self: None) if kind == "method" else False})()
    model = [Plain(), clashing] if kind == "second" else clashing

    with pytest.raises(ValueError, match=rf"^Task has an attribute '{name}' already, which is .*model_override=True"):
        build(model=model)
    assert not hasattr(clashing, "state")


def test_model_override_replaces_the_methods_that_a_model_has():
    """Events without a method on the model are triggered by the machine, as `transitions` documents."""

    class Task:
        def start(self):
            raise AssertionError

        def cancel(self):
            raise AssertionError

    task = Task()
    made = build(model=task, model_override=True)

    assert task.start()
    assert task.cancel()
    assert made.events["stop"].trigger(task)
    assert "cancelled" == task.state


def test_equal_models_are_refused():
    """`transitions` would register only the first, and the second would have no events."""

    @attrs.define(slots=False)
    class Equal:
        number: int = 0

    with pytest.raises(ValueError, match="two models of Equal are equal, so that only one would be moved"):
        build(model=[Equal(), Equal()])
    assert 2 == len(build(model=(Equal(1), Equal(2))).models)


def test_the_machine_may_be_its_own_model():
    """The model `"self"` means the machine in `transitions`."""
    made = build(model="self")

    assert made.start()
    assert "in_progress" == made.state
