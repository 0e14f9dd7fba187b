"""The scalar reading of each kind of rule that one snapshot alone can breach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from batchfsm.rules import kinds, presence, values
from batchfsm.rules.presence import faults
from batchfsm.rules.world import Fields, Look, World, listed

_READINGS: Final[dict[type, Callable[[Any, World, str | None, Fields], Look | None]]] = {
    kinds.Refused: presence.refused,
    kinds.Null: presence.null,
    kinds.Set: presence.given,
    kinds.UnknownStatus: presence.unknown_status,
    kinds.Limit: presence.limit,
    kinds.OwnStamp: presence.own_stamp,
    kinds.Passed: presence.passed,
    kinds.Missed: presence.missed,
    kinds.Ordered: values.ordered,
    kinds.Bound: values.bound,
    kinds.Window: values.window,
    kinds.IdTime: values.id_time,
    kinds.Overflow: values.overflow,
    kinds.Unsettled: values.unsettled,
    kinds.OutputMissing: presence.output_missing,
}


def questions(kind: kinds.Kind, world: World, status: str | None, fields: Fields) -> Look | None:
    """
    Return what a row has to ask snapshots of one pattern.

    Args:
        kind: The row's kind, with its parameters.
        world: What it is asked under.
        status: The status, if the lifecycle has it.
        fields: The fields that are set.

    Returns:
        The question; None if the pattern settles it in silence, or if the row
        speaks of histories.
    """
    reading = _READINGS.get(type(kind))
    return None if reading is None else reading(kind, world, status, fields)


__all__ = ["Fields", "Look", "World", "faults", "listed", "questions"]
