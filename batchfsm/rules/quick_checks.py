"""
The quick reading of the kinds that compare values: is a row surely no breach, by its plain values alone?

It spares a healthy row its snapshot. Whenever it is not sure, the scalar reading of the kind
decides; tests compare the two. It reads rows whose counts are three numbers, or none.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from operator import attrgetter, itemgetter
from typing import Any, Final

from batchfsm.rules import kinds
from batchfsm.rules.checks import RuleContext, SetFields
from batchfsm.rules.presence_checks import METADATA, is_small
from batchfsm.rules.value_checks import ID_CHARS, ID_TIME, seconds_of
from batchfsm.snapshot import ROW_FIELDS
from batchfsm.wire import ParsedRow

QuickCheck = Callable[[ParsedRow], bool]
"""Returns True if a row surely does not breach a rule; False says nothing."""

_INDEX: Final = {name: index for index, name in enumerate(ROW_FIELDS)}


def _picks(names: list[str]) -> Callable[[Any], Any]:
    """Return what picks the values of at least one field as a tuple."""
    indices = [_INDEX[name] for name in names]
    return itemgetter(*indices) if len(indices) > 1 else itemgetter(slice(indices[0], indices[0] + 1))


_seen_at: Final[Callable[[ParsedRow], Any]] = attrgetter("observed_at")


def _ordered(_: kinds.StampOrder, world: RuleContext, fields: SetFields) -> QuickCheck | None:
    graph = world.topology
    stamps = sorted(
        ((name, stamp) for name, stamp in graph.stamp.items() if stamp is not None and stamp in fields),
        key=lambda pair: graph.rank[pair[0]],
    )
    # Where each stamp precedes the next, as on every lawful walk, one comparison of neighbours is enough.
    if not stamps or not all(graph.precedes(first, second) for (first, _), (second, _) in pairwise(stamps)):
        return None
    times_of = _picks([stamp for _, stamp in stamps])

    def is_silent(parsed: ParsedRow) -> bool:
        times = times_of(parsed.row)
        return sorted(times) == [*times]

    return is_silent


def _bound(kind: kinds.TimeLimit, world: RuleContext, fields: SetFields) -> QuickCheck | None:
    slack_s = world.skew_s if kind.slack_s is None else kind.slack_s
    if kind.times == ("observed_at",):
        limit = _INDEX[kind.limit]
        return lambda parsed: bool(_seen_at(parsed) <= parsed.row[limit] + slack_s)
    times_of = _picks([name for name in kind.times if name in fields])
    if kind.limit == "observed_at":
        return lambda parsed: bool(max(times_of(parsed.row)) <= _seen_at(parsed) + slack_s)
    limit = _INDEX[kind.limit]
    return lambda parsed: bool(max(times_of(parsed.row)) <= parsed.row[limit] + slack_s)


def _window(_: kinds.DeadlineWindow, _world: RuleContext, _fields: SetFields) -> QuickCheck:
    created, expires, window = (_INDEX[name] for name in ("created_at", "expires_at", "completion_window"))

    def is_silent(parsed: ParsedRow) -> bool:
        row = parsed.row
        return bool(row[expires] - row[created] == seconds_of(row[window]))

    return is_silent


def _id_time(kind: kinds.IdTime, _world: RuleContext, _fields: SetFields) -> QuickCheck:
    created, tolerance_s = _INDEX["created_at"], kind.tolerance_s

    def is_silent(parsed: ParsedRow) -> bool:
        if len(parsed.id) != ID_CHARS:
            return True
        try:
            off_s = int(parsed.id[ID_TIME], 16) - parsed.row[created]
        except ValueError:
            return False
        return bool(-tolerance_s <= off_s <= tolerance_s)

    return is_silent


def _overflow(_: kinds.CountsOverflow, _world: RuleContext, _fields: SetFields) -> QuickCheck:
    def is_silent(parsed: ParsedRow) -> bool:
        total, completed, failed = parsed.row[-3:]
        return bool(total >= completed + failed and completed >= 0 <= failed)

    return is_silent


def _unsettled(_: kinds.CountsUnfinished, _world: RuleContext, _fields: SetFields) -> QuickCheck:
    def is_silent(parsed: ParsedRow) -> bool:
        total, completed, failed = parsed.row[-3:]
        return bool(completed + failed >= total and completed >= 0 <= failed)

    return is_silent


def _given(kind: kinds.MustBeNull, _world: RuleContext, _fields: SetFields) -> QuickCheck | None:
    return (lambda parsed: not parsed.row[-3]) if kind.fields == ("request_counts.total",) else None


def _limit(kind: kinds.Limit, _world: RuleContext | None, _fields: SetFields | None) -> QuickCheck:
    pairs_max, chars_max = kind.pairs_max, min(kind.key_chars_max, kind.value_chars_max)

    def is_silent(parsed: ParsedRow) -> bool:
        metadata = parsed.metadata
        if metadata is None or (parsed.chars <= chars_max and len(metadata) <= pairs_max):
            return True
        return is_small(metadata, kind)

    return is_silent


has_small_metadata: Final[QuickCheck] = _limit(METADATA, None, None)
"""True if the metadata of a row is surely within the limits of S006."""

_READINGS: Final[dict[type, Callable[[Any, RuleContext, SetFields], QuickCheck | None]]] = {
    kinds.StampOrder: _ordered,
    kinds.TimeLimit: _bound,
    kinds.DeadlineWindow: _window,
    kinds.IdTime: _id_time,
    kinds.CountsOverflow: _overflow,
    kinds.CountsUnfinished: _unsettled,
    kinds.MustBeNull: _given,
    kinds.Limit: _limit,
}


def quick_check(kind: kinds.Kind, world: RuleContext, fields: SetFields) -> QuickCheck:
    """
    Return the quick check of a rule that a pattern leaves open.

    Args:
        kind: The rule's kind, with its parameters.
        world: What it is asked under.
        fields: The fields that are set.
    """
    reading = _READINGS.get(type(kind))
    found = None if reading is None else reading(kind, world, fields)
    return _never if found is None else found


def _never(_: ParsedRow) -> bool:
    return False
