"""The table as a real `transitions.Machine`: one for users' own models, and a lean one that serves every batch."""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

from transitions import Event, Machine, MachineError

from batchfsm.lifecycle import OPENAI, Lifecycle


class Model(Protocol):
    """What the engine drives: anything with a `status` that can be set, slots included."""

    status: str | None


def build(lifecycle: Lifecycle = OPENAI, *, model: object = None, **options: Any) -> Machine:
    """
    Build a machine whose states are the statuses and whose triggers are the events.

    Args:
        lifecycle: The table to read.
        model: The object, or list of objects, that gets `state` and a method
            for each event. None: a machine without a model, whose
            `events[name].trigger(obj)` drives any object with a `state`.
        options: Whatever `transitions.Machine` takes besides; callbacks, for
            instance.

    Returns:
        A machine that refuses every step that is not a row of the table, with
        `transitions.MachineError`.
    """
    return Machine(**(_described(lifecycle) | options), model=model)


@cache
def engine(lifecycle: Lifecycle) -> Machine:
    """Return the one machine of a lifecycle, which moves the `status` of every batch and has no model of its own."""
    return _LeanMachine(**_described(lifecycle), model=None, model_attribute="status")


def _described(lifecycle: Lifecycle) -> dict[str, Any]:
    return {
        "states": [{"name": state.name, "final": state.terminal} for state in lifecycle.states],
        "transitions": [[step.event, step.source, step.target] for step in lifecycle.steps],
        "initial": lifecycle.initial,
        # Else every status gets a `to_completed` door from everywhere, and no step is illegal any more.
        "auto_transitions": False,
    }


class _LeanEvent(Event):
    """
    An event without conditions, queue and callbacks.

    The stock one looks for them on each trigger, at seven times the price. What a monitor
    needs is what is left: the step of the table, or `MachineError`.
    """

    def trigger(self, model: Model, *_args: object, **_kwargs: object) -> bool:  # type: ignore[override]
        """Move a model along one step; `MachineError` if its status has no such step."""
        # `get`, and not `[]`: the mapping would grow by what is only asked for.
        found = self.transitions.get(str(model.status))
        if not found:
            raise MachineError(f"Can't trigger event {self.name} from state {model.status}!")
        model.status = found[0].dest
        return True


class _LeanMachine(Machine):
    event_cls = _LeanEvent


__all__ = ["Machine", "MachineError", "Model", "build", "engine"]
