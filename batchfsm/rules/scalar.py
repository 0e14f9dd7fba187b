"""The scalar reading of each kind of rule that one snapshot alone can breach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from batchfsm.rules import kinds, presence_checks, value_checks
from batchfsm.rules.checks import RuleContext, SetFields, SnapshotCheck, listed
from batchfsm.rules.presence_checks import faults

_READINGS: Final[dict[type, Callable[[Any, RuleContext, str | None, SetFields], SnapshotCheck | None]]] = {
    kinds.InvalidField: presence_checks.refused,
    kinds.MustBeSet: presence_checks.null,
    kinds.MustBeNull: presence_checks.given,
    kinds.UnknownStatus: presence_checks.unknown_status,
    kinds.Limit: presence_checks.limit,
    kinds.OwnStampMissing: presence_checks.own_stamp,
    kinds.ImpossibleStamps: presence_checks.passed,
    kinds.SkippedStamp: presence_checks.missed,
    kinds.StampOrder: value_checks.ordered,
    kinds.TimeLimit: value_checks.bound,
    kinds.DeadlineWindow: value_checks.window,
    kinds.IdTime: value_checks.id_time,
    kinds.CountsOverflow: value_checks.overflow,
    kinds.CountsUnfinished: value_checks.unsettled,
    kinds.OutputMissing: presence_checks.output_missing,
}


def make_check(kind: kinds.Kind, world: RuleContext, status: str | None, fields: SetFields) -> SnapshotCheck | None:
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


__all__ = ["RuleContext", "SetFields", "SnapshotCheck", "faults", "listed", "make_check"]
