"""The lifecycle as a `transitions.Machine`: one for users' own models, and a lean one that serves every batch."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from inspect import Parameter, signature
from typing import Any, Protocol, TypeVar, overload

from transitions import Event, Machine, MachineError

from batchfsm.lifecycle import OPENAI, Lifecycle

MachineT = TypeVar("MachineT", bound=Machine)


class Model(Protocol):
    """An object that the shared machine moves: anything with a writable `status`, slots included."""

    status: str | None


@overload
def build(
    lifecycle: Lifecycle = OPENAI, *, model: object = None, machine_class: type[MachineT], **options: Any
) -> MachineT: ...


@overload
def build(lifecycle: Lifecycle = OPENAI, *, model: object = None, **options: Any) -> Machine: ...


def build(
    lifecycle: Lifecycle = OPENAI, *, model: object = None, machine_class: type[Machine] = Machine, **options: Any
) -> Machine:
    """
    Build a machine whose states are the statuses and whose triggers are the events.

    Args:
        lifecycle: The table of steps.
        model: The object, or list of objects, that gets `state` and a method
            for each event. None: a machine without a model, whose
            `events[name].trigger(obj)` moves any object with a `state`.
        machine_class: A class of `transitions`: `LockedMachine` for threads,
            `AsyncMachine` for coroutine callbacks, `GraphMachine` for pictures, or
            a subclass of your own.
        options: Other arguments of the machine class; callbacks, for instance.

    Returns:
        A machine that refuses every step that is not a row of the table, with
        `transitions.MachineError`.

    Raises:
        TypeError: If `lifecycle` is none, or a model takes no attributes, or if
            the machine class has no such option, is no machine, or is a
            hierarchical one whose separator is part of a status.
        ValueError: If a model has an attribute with the name of an event, which the
            machine would not replace without `model_override=True`, or if two
            models are equal, of which the machine would register only one.
    """
    if not isinstance(lifecycle, Lifecycle):
        raise TypeError(f"lifecycle is a Lifecycle, such as batchfsm.OPENAI, not {lifecycle!r}; a model is model=")
    _check_machine_class(machine_class, lifecycle)
    _check_options(machine_class, options)
    models: list[Any] = [] if model is None else list(model) if isinstance(model, list | tuple) else [model]
    if not options.get("model_override"):
        for each in models:
            _check_model(machine_class if _is_self(each) else each, lifecycle)
    machine = machine_class(**(_machine_arguments(lifecycle) | options), model=models)
    _check_registered(machine, models)
    return machine


@cache
def shared_machine(lifecycle: Lifecycle) -> Machine:
    """Return the one machine of a lifecycle, which moves the `status` of every batch and has no model of its own."""
    return _LeanMachine(**_machine_arguments(lifecycle), model=None, model_attribute="status")


def _machine_arguments(lifecycle: Lifecycle) -> dict[str, Any]:
    return {
        "states": [{"name": state.name, "final": state.terminal} for state in lifecycle.states],
        "transitions": [[step.event, step.source, step.target] for step in lifecycle.steps],
        "initial": lifecycle.initial,
        # With them each status could be entered from every other by `to_completed` and the like: no step is illegal.
        "auto_transitions": False,
    }


def _check_machine_class(machine_class: Any, lifecycle: Lifecycle) -> None:
    if not (isinstance(machine_class, type) and issubclass(machine_class, Machine)):
        msg = f"machine_class= takes a class of transitions, such as LockedMachine, not {machine_class!r}"
        raise TypeError(msg)
    # Only states of a hierarchical machine have one. Its module takes longer to load than all others of `transitions`.
    separator = getattr(machine_class.state_cls, "separator", None)
    if separator and (nested := [name for name in lifecycle.statuses if separator in name]):
        msg = (
            f"{machine_class.__name__} reads {separator!r} in a name as nesting, and {nested[0]} is one status; "
            "take Machine, LockedMachine, AsyncMachine or GraphMachine"
        )
        raise TypeError(msg)


def _check_options(machine_class: type[Machine], options: Iterable[str]) -> None:
    """Reject an option that no class of the machine takes: `transitions` itself would not name it."""
    parameters = [
        (each.__module__, parameter)
        for each in machine_class.__mro__
        if "__init__" in vars(each) and each is not object
        for parameter in signature(vars(each)["__init__"]).parameters.values()
    ]
    # A subclass of the user's may read its own options from `**kwargs`.
    if any(parameter.kind is Parameter.VAR_KEYWORD and not _is_stock(module) for module, parameter in parameters):
        return
    known = {parameter.name for _, parameter in parameters if parameter.kind is not Parameter.VAR_KEYWORD} - {"self"}
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(sorted(known))}"
            msg = f"{machine_class.__name__} has no option {name!r}{hint}"
            raise TypeError(msg)


def _is_stock(module: str) -> bool:
    return module.partition(".")[0] == "transitions"


def _check_model(model: Any, lifecycle: Lifecycle) -> None:
    """Reject a model that takes no attributes, or whose own attribute hides an event: a call would not move it."""
    if not hasattr(model, "__dict__") and not hasattr(type(model), "trigger"):
        raise TypeError(f"model is an object that takes attributes, or a list of such objects, not {model!r}")
    kind = model.__name__ if isinstance(model, type) else type(model).__name__
    for name in (*dict.fromkeys(step.event for step in lifecycle.steps), "trigger"):
        if getattr(model, name, None) is not None:
            what = f"an event of the {lifecycle.name} lifecycle" if name != "trigger" else "a method of every machine"
            msg = (
                f"{kind} has an attribute {name!r} already, which is {what}: it would not move the model. "
                "Rename it, or pass model_override=True, which replaces the methods that the model has, and only those"
            )
            raise ValueError(msg)


def _is_self(model: Any) -> bool:
    """Return whether a model is the word by which `transitions` names the machine itself."""
    return isinstance(model, str) and model == Machine.self_literal


def _check_registered(machine: Machine, models: list[Any]) -> None:
    """Reject models that the machine left out because they equal another one."""
    registered = {id(each) for each in machine.models}
    for each in models:
        if id(each) not in registered and not _is_self(each):
            msg = f"two models of {type(each).__name__} are equal, so that only one would be moved; compare by identity"
            raise ValueError(msg)


class _LeanEvent(Event):
    """
    An event without conditions, queue and callbacks.

    The stock one looks for them on each trigger, which takes seven times as long. A monitor needs
    only the step of the table, or `MachineError`.
    """

    def trigger(self, model: Model, *_args: object, **_kwargs: object) -> bool:  # type: ignore[override]
        """Move a model along one step; `MachineError` if its status has no such step."""
        # `get`, and not `[]`: the mapping would grow with each status that is looked up.
        found = self.transitions.get(str(model.status))
        if not found:
            raise MachineError(f"Can't trigger event {self.name} from state {model.status}!")
        model.status = found[0].dest
        return True


class _LeanMachine(Machine):
    event_cls = _LeanEvent


__all__ = ["Machine", "MachineError", "Model", "build", "shared_machine"]
