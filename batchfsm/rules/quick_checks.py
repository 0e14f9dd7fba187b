"""
Quick checks of the kinds that compare values: they prove from the plain values of a row that it violates nothing.

A healthy row then needs no snapshot. Where a quick check proves nothing, the check of the kind decides; tests compare
the two. Any of the three counts of a row may be null.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from operator import attrgetter, itemgetter
from typing import Any, Final

from batchfsm.rules import kinds
from batchfsm.rules.checks import RuleContext, SetFields
from batchfsm.rules.presence_checks import METADATA, is_small_metadata
from batchfsm.rules.value_checks import ID_CHARS, ID_TIME, seconds_of
from batchfsm.snapshot import COUNT_FIELDS, ROW_FIELDS
from batchfsm.wire import ParsedRow

QuickCheck = Callable[[ParsedRow], bool]
"""Returns True if a row does not violate a rule; False proves nothing."""

_INDEX: Final = {name: index for index, name in enumerate(ROW_FIELDS)}
_COUNT_INDEX: Final = {f"request_counts.{name}": len(ROW_FIELDS) + index for index, name in enumerate(COUNT_FIELDS)}


def _picks(names: list[str]) -> Callable[[Any], Any]:
    """Return a function that picks the values of at least one field as a tuple."""
    indices = [_INDEX[name] for name in names]
    return itemgetter(*indices) if len(indices) > 1 else itemgetter(slice(indices[0], indices[0] + 1))


_observed_at: Final[Callable[[ParsedRow], Any]] = attrgetter("observed_at")


def _stamp_order(
    _: kinds.StampOrder, context: RuleContext, _status: str | None, fields: SetFields
) -> QuickCheck | None:
    graph = context.topology
    stamps = sorted(
        ((name, stamp) for name, stamp in graph.stamp.items() if stamp is not None and stamp in fields),
        key=lambda pair: graph.rank[pair[0]],
    )
    # Where each stamp precedes the next, as on every legal walk, comparing neighbours is enough.
    if not stamps or not all(graph.precedes(first, second) for (first, _), (second, _) in pairwise(stamps)):
        return None
    times_of = _picks([stamp for _, stamp in stamps])

    def is_silent(parsed: ParsedRow) -> bool:
        times = times_of(parsed.row)
        return sorted(times) == [*times]

    return is_silent


def _time_limit(
    kind: kinds.TimeLimit, context: RuleContext, _status: str | None, fields: SetFields
) -> QuickCheck | None:
    slack_s = context.skew_s if kind.slack_s is None else kind.slack_s
    times_of = _picks([name for name in kind.times if name in fields])
    if kind.limit == "observed_at":
        return lambda parsed: bool(max(times_of(parsed.row)) <= _observed_at(parsed) + slack_s)
    limit = _INDEX[kind.limit]
    return lambda parsed: bool(max(times_of(parsed.row)) <= parsed.row[limit] + slack_s)


def _observation_limit(
    kind: kinds.RuleKind, context: RuleContext, status: str | None, _fields: SetFields
) -> QuickCheck:
    field, slack_s = context.observation_limits(kind)[status or ""]
    limit = _INDEX[field]
    return lambda parsed: bool(_observed_at(parsed) <= parsed.row[limit] + slack_s)


def _deadline_window(
    _: kinds.DeadlineWindow, _context: RuleContext, _status: str | None, _fields: SetFields
) -> QuickCheck:
    created, expires, window = (_INDEX[name] for name in ("created_at", "expires_at", "completion_window"))

    def is_silent(parsed: ParsedRow) -> bool:
        row = parsed.row
        return bool(row[expires] - row[created] == seconds_of(row[window]))

    return is_silent


def _id_time(kind: kinds.IdTime, _context: RuleContext, _status: str | None, _fields: SetFields) -> QuickCheck:
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


def _counts_overflow(
    _: kinds.CountsOverflow, _context: RuleContext, _status: str | None, _fields: SetFields
) -> QuickCheck:
    def is_silent(parsed: ParsedRow) -> bool:
        total, completed, failed = counts = parsed.row[-3:]
        if None in counts:
            return all(count is None or count >= 0 for count in counts)
        return bool(total >= completed + failed and completed >= 0 <= failed)

    return is_silent


def _counts_unfinished(
    _: kinds.CountsUnfinished, _context: RuleContext, _status: str | None, _fields: SetFields
) -> QuickCheck:
    def is_silent(parsed: ParsedRow) -> bool:
        total, completed, failed = counts = parsed.row[-3:]
        if None in counts:
            return True
        return bool(completed + failed >= total and completed >= 0 <= failed)

    return is_silent


def _unexpected_error_file(
    _: kinds.UnexpectedErrorFile, _context: RuleContext, _status: str | None, _fields: SetFields
) -> QuickCheck:
    return lambda parsed: bool(parsed.row[-1] != 0)


def _must_be_null(
    kind: kinds.MustBeNull, _context: RuleContext, _status: str | None, _fields: SetFields
) -> QuickCheck | None:
    places = [_COUNT_INDEX[name] for name in kind.fields if name in _COUNT_INDEX]
    if len(places) < len(kind.fields):
        return None
    if len(places) == 1:
        (place,) = places
        return lambda parsed: not parsed.row[place]
    numbers_of = itemgetter(*places)
    return lambda parsed: not any(numbers_of(parsed.row))


def _limit(
    kind: kinds.Limit, _context: RuleContext | None, _status: str | None, _fields: SetFields | None
) -> QuickCheck:
    pairs_max, chars_max = kind.pairs_max, min(kind.key_chars_max, kind.value_chars_max)

    def is_silent(parsed: ParsedRow) -> bool:
        metadata = parsed.metadata
        if metadata is None or (parsed.chars <= chars_max and len(metadata) <= pairs_max):
            return True
        return is_small_metadata(metadata, kind)

    return is_silent


has_small_metadata: Final[QuickCheck] = _limit(METADATA, None, None, None)
"""Returns True if the metadata of a row is within the limits of S006; False proves nothing."""

_QUICK_CHECK_FACTORIES: Final[dict[type, Callable[[Any, RuleContext, str | None, SetFields], QuickCheck | None]]] = {
    kinds.StampOrder: _stamp_order,
    kinds.TimeLimit: _time_limit,
    kinds.OpenAfterDeadline: _observation_limit,
    kinds.StuckInStatus: _observation_limit,
    kinds.DeadlineWindow: _deadline_window,
    kinds.IdTime: _id_time,
    kinds.CountsOverflow: _counts_overflow,
    kinds.CountsUnfinished: _counts_unfinished,
    kinds.UnexpectedErrorFile: _unexpected_error_file,
    kinds.MustBeNull: _must_be_null,
    kinds.Limit: _limit,
}


def quick_check(kind: kinds.RuleKind, context: RuleContext, status: str | None, fields: SetFields) -> QuickCheck:
    """
    Return the quick check of a rule for rows of one pattern, for which `make_check` returned a check.

    Args:
        kind: The rule's kind, with its parameters.
        context: The dialect.
        status: The status of the rows; None if the lifecycle does not have it.
        fields: The fields that are set in them.
    """
    factory = _QUICK_CHECK_FACTORIES.get(type(kind))
    found = None if factory is None else factory(kind, context, status, fields)
    return _never if found is None else found


def _never(_: ParsedRow) -> bool:
    return False
