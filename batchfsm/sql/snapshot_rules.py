"""The rules about a row alone, in SQL."""

from __future__ import annotations

from itertools import permutations
from typing import Any, Final

from batchfsm.rules import kinds
from batchfsm.sql.context import BAD_BIT, QueryContext, RuleCompiler, SqlBreach, and_, case, or_
from batchfsm.sql.schema import COUNT_COLUMNS, column
from batchfsm.topology import Mask

_WINDOW: Final = "^[0-9]{1,9}[smhd]$"
_UNIT_S: Final = {"'s'": "1", "'m'": "60", "'h'": "3600", "'d'": "86400"}
_ID: Final = "^batch_[0-9a-f]{32}$"
_ID_CHARS: Final = 38
_HEX: Final = "'0123456789abcdef'"
_HEX_FROM: Final = 7  # The first digit behind "batch_"; SQL counts from 1.
_HEX_DIGITS: Final = 8


def invalid_field(kind: kinds.InvalidField, context: QueryContext) -> SqlBreach | None:
    """A time is out of range or not whole, or the object is no batch; a typed column shows nothing else."""
    if kind.fields == ("object",):
        return ("kind <> 'batch'", None) if "object" in context.given else None
    return ("bad <> 0", None) if context.available(kind.fields) else None


def must_be_set(kind: kinds.MustBeSet, context: QueryContext) -> SqlBreach | None:
    """A field is null, and not invalid."""
    # Counts are one field of the wire, whatever columns they take.
    names = ["counts" for name in kind.fields if name == "request_counts" and set(COUNT_COLUMNS) & context.given]
    absent = ["NOT counted" for _ in names] + [_is_null(name) for name in context.available(kind.fields)]
    if not absent:
        return None
    return and_([context.status_in(context.rule_context.scope(kind)), or_(absent)]), None


def must_be_null(kind: kinds.MustBeNull, context: QueryContext) -> SqlBreach | None:
    """A field is set, or a number above zero."""
    names = context.available(kind.fields)
    found = [f"{column(name)} > 0" if name in COUNT_COLUMNS else f"{column(name)} IS NOT NULL" for name in names]
    return (and_([context.status_in(context.rule_context.scope(kind)), or_(found)]), None) if found else None


def unknown_status(_: kinds.UnknownStatus, _context: QueryContext) -> SqlBreach | None:
    """The lifecycle does not have the status."""
    return "st IS NULL AND status IS NOT NULL", None


def own_stamp_missing(_: kinds.OwnStampMissing, context: QueryContext) -> SqlBreach | None:
    """The stamp of the present status is null, and not invalid."""
    graph, optional = context.rule_context.topology, context.rule_context.dialect.optional_stamps
    answers = [
        (context.code[name], _is_null(stamp))
        for name, stamp in graph.stamp.items()
        if stamp in context.given and stamp != "created_at" and name not in optional
    ]
    return (case("st", answers), None) if answers else None


def impossible_stamps(_: kinds.ImpossibleStamps, _context: QueryContext) -> SqlBreach:
    """No strict walk passes all statuses with a stamp; a warning if a walk with tolerated steps does."""
    return "NOT possible_strict", "possible"


def skipped_stamp(_: kinds.SkippedStamp, _context: QueryContext) -> SqlBreach:
    """Every strict walk through the stamps passes a status without stamp; a warning if a tolerated one does not."""
    return "NOT (complete_strict OR (complete AND NOT precedes_strict))", "complete"


def stamp_conditions(context: QueryContext) -> dict[str, str]:
    """
    Return the conditions of P102 and P103 on the walks to a status, by name; each is a CASE by status.

    `possible`: a walk passes all statuses with a stamp. `precedes`: a walk passes all of them that can precede the
    status. `complete`: and no status on it lacks a stamp that should be set.
    """
    conditions = {"possible": _possible, "precedes": _precedes, "complete": _complete}
    found: dict[str, str] = {}
    for column_name, condition in conditions.items():
        for strict in (True, False):
            answers = []
            for name, code in context.code.items():
                ways = {
                    condition(context, name, walk)
                    for walk in context.rule_context.topology.visited_sets(name, strict=strict)
                }
                # A walk that requires more than another one adds nothing.
                least = [way for way in ways if not any(_requires_less(other, way) for other in ways)]
                answers.append((code, or_(and_(map(_in_sql, enumerate(way))) for way in sorted(least))))
            found[f"{column_name}_strict" if strict else column_name] = case("st", answers)
    del found["precedes"]  # Not used: of tolerated walks only complete ones count.
    return found


def _possible(context: QueryContext, _name: str, walk: Mask) -> tuple[Mask, Mask]:
    """Return the statuses that must have no stamp, and those that must have one."""
    graph = context.rule_context.topology
    return graph.mask(graph.statuses) & ~walk & _stampable(context), 0


def _precedes(context: QueryContext, name: str, walk: Mask) -> tuple[Mask, Mask]:
    graph = context.rule_context.topology
    before = graph.mask(each for each in graph.statuses if name in graph.reach[each])
    return before & ~walk & _stampable(context), 0


def _complete(context: QueryContext, name: str, walk: Mask) -> tuple[Mask, Mask]:
    graph = context.rule_context.topology
    excused = graph.mask((name, graph.lifecycle.initial, *context.rule_context.dialect.optional_stamps))
    return _precedes(context, name, walk)[0], walk & ~excused & _stampable(context)


def _stampable(context: QueryContext) -> Mask:
    """Return the statuses whose stamp has a column; the others are not checked."""
    graph = context.rule_context.topology
    return graph.mask(name for name, stamp in graph.stamp.items() if stamp in context.given)


def _requires_less(other: tuple[Mask, Mask], way: tuple[Mask, Mask]) -> bool:
    return other != way and not other[0] & ~way[0] and not other[1] & ~way[1]


def _in_sql(mask: tuple[int, Mask]) -> str:
    which, bits = mask
    if not bits:
        return "TRUE"
    return f"(stamped_or_invalid & {bits}) = {bits}" if which else f"(stamped & {bits}) = 0"


def stamp_order(_: kinds.StampOrder, context: QueryContext) -> SqlBreach | None:
    """Of two stamps, the one that comes first on every walk is later."""
    graph = context.rule_context.topology
    stamps = [(name, stamp) for name, stamp in graph.stamp.items() if stamp is not None and stamp in context.given]
    pairs = permutations(stamps, 2)
    late = [f"{one} > {two}" for (first, one), (second, two) in pairs if graph.precedes(first, second)]
    return (or_(late), None) if late else None


def time_limit(kind: kinds.TimeLimit, context: QueryContext) -> SqlBreach | None:
    """A time is later than another one and its slack allow."""
    times = context.available(kind.times)
    if not times or kind.limit not in context.given:
        return None
    slack_s = context.rule_context.skew_s if kind.slack_s is None else kind.slack_s
    limit = f"{kind.limit} + {_number(slack_s)}" if slack_s else kind.limit
    return or_(f"{name} > {limit}" for name in times), None


def observation_limit(kind: kinds.RuleKind, context: QueryContext) -> SqlBreach | None:
    """An open status is observed later than its limit."""
    if "observed_at" not in context.given:
        return None
    statuses: dict[tuple[str, float], list[str]] = {}
    for name, limit in context.rule_context.observation_limits(kind).items():
        statuses.setdefault(limit, []).append(name)
    late = [
        and_([context.status_in(names), f"observed_at > {field} + {_number(slack_s)}"])
        for (field, slack_s), names in statuses.items()
        if field in context.given
    ]
    return (or_(late), None) if late else None


def deadline_window(_: kinds.DeadlineWindow, context: QueryContext) -> SqlBreach | None:
    """The deadline is not the time of creation plus the completion window."""
    if not context.given.issuperset({"expires_at", "completion_window"}):
        return None
    # Java's `$` matches before a line feed, too, so the last character is compared separately.
    unit_s = case("SUBSTRING(completion_window, LENGTH(completion_window), 1)", _UNIT_S.items())
    number = "CAST(SUBSTRING(completion_window, 1, LENGTH(completion_window) - 1) AS BIGINT)"
    window_s = f"CASE WHEN {unit_s} > 0 AND REGEXP_MATCHES(completion_window, '{_WINDOW}') THEN {number} * {unit_s} END"
    return f"ABS(expires_at - created_at - {window_s}) > {context.rule_context.dialect.deadline_tolerance_s}", None


def id_time(kind: kinds.IdTime, _context: QueryContext) -> SqlBreach | None:
    """The time inside the id is not the time of creation."""
    # Each digit is cast by itself: as an INTEGER, the first one times 16^7 would overflow.
    digits = (
        f"CAST(STRPOS({_HEX}, SUBSTRING(id, {_HEX_FROM + place}, 1)) - 1 AS BIGINT) * {16 ** (_HEX_DIGITS - 1 - place)}"
        for place in range(_HEX_DIGITS)
    )
    seconds = f"({' + '.join(digits)})"
    off = f"CASE WHEN LENGTH(id) = {_ID_CHARS} AND REGEXP_MATCHES(id, '{_ID}') THEN ABS({seconds} - created_at) END"
    return f"{off} > {kind.tolerance_s}", None


def counts_overflow(_: kinds.CountsOverflow, context: QueryContext) -> SqlBreach | None:
    """A count is negative, or more requests are done than there are."""
    numbers = context.available(COUNT_COLUMNS)
    negative = or_(f"{column(name)} < 0" for name in numbers)
    if len(numbers) < len(COUNT_COLUMNS):
        return (negative, None) if numbers else None
    # Without a sum: that of two large counts would overflow.
    return f"CASE WHEN {negative} THEN TRUE ELSE completed > total - failed END", None


def counts_unfinished(_: kinds.CountsUnfinished, context: QueryContext) -> SqlBreach | None:
    """A completed batch has requests that are not done."""
    if not context.given.issuperset(COUNT_COLUMNS):
        return None
    rest = "CASE WHEN completed >= 0 AND failed >= 0 AND total >= 0 THEN completed < total - failed END"
    return and_([context.status_in(["completed"]), rest]), None


def output_missing(kind: kinds.OutputMissing, context: QueryContext) -> SqlBreach | None:
    """A completed batch has requests that succeeded, and no output file, which cannot have expired yet."""
    if not context.given.issuperset({"request_counts.completed", "output_file_id"}):
        return None
    is_kept = f"NOT {context.observed_after_end(kind.kept_s)}"
    return and_([context.status_in(["completed"]), "completed > 0", "output_file_id IS NULL", is_kept]), None


def unexpected_error_file(_: kinds.UnexpectedErrorFile, context: QueryContext) -> SqlBreach | None:
    """A completed batch has no request that failed, and an error file."""
    if not context.given.issuperset({"request_counts.failed", "error_file_id"}):
        return None
    return and_([context.status_in(["completed"]), "failed = 0", "error_file_id IS NOT NULL"]), None


COMPILERS: Final[dict[type[Any], RuleCompiler]] = {
    kinds.InvalidField: invalid_field,
    kinds.MustBeSet: must_be_set,
    kinds.MustBeNull: must_be_null,
    kinds.UnknownStatus: unknown_status,
    kinds.OwnStampMissing: own_stamp_missing,
    kinds.ImpossibleStamps: impossible_stamps,
    kinds.SkippedStamp: skipped_stamp,
    kinds.StampOrder: stamp_order,
    kinds.TimeLimit: time_limit,
    kinds.OpenAfterDeadline: observation_limit,
    kinds.StuckInStatus: observation_limit,
    kinds.DeadlineWindow: deadline_window,
    kinds.IdTime: id_time,
    kinds.CountsOverflow: counts_overflow,
    kinds.CountsUnfinished: counts_unfinished,
    kinds.OutputMissing: output_missing,
    kinds.UnexpectedErrorFile: unexpected_error_file,
}
"""The compiler of each kind; not of `Limit`, because each warehouse stores metadata in its own way."""


def _is_null(name: str) -> str:
    valid = f" AND (bad & {BAD_BIT[name]}) = 0" if name in BAD_BIT else ""
    return f"{column(name)} IS NULL{valid}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
