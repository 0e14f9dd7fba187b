"""The kinds of rules that one row alone can breach, in SQL."""

from __future__ import annotations

from itertools import permutations
from typing import Any, Final

from batchfsm.rules import kinds
from batchfsm.sql.context import BAD_BIT, QueryContext, RuleCompiler, SqlBreach, all_of, any_of, by_case
from batchfsm.sql.schema import COUNT_COLUMNS, column
from batchfsm.topology import Mask

_WINDOW: Final = "^[0-9]{1,9}[smhd]$"
_UNIT_S: Final = {"'s'": "1", "'m'": "60", "'h'": "3600", "'d'": "86400"}
_ID: Final = "^batch_[0-9a-f]{32}$"
_ID_CHARS: Final = 38
_HEX: Final = "'0123456789abcdef'"
_HEX_FROM: Final = 7  # The first digit behind "batch_"; SQL counts from 1.
_HEX_DIGITS: Final = 8


def refused(kind: kinds.InvalidField, scene: QueryContext) -> SqlBreach | None:
    """A time out of range or not whole, or another kind of object; a column has one type, so nothing else shows."""
    if kind.fields == ("object",):
        return ("kind <> 'batch'", None) if "object" in scene.given else None
    return ("bad <> 0", None) if scene.among(kind.fields) else None


def null(kind: kinds.MustBeSet, scene: QueryContext) -> SqlBreach | None:
    """A field is null, and not bad."""
    # Counts are one field of the wire, whatever columns they take.
    names = ["counts" for name in kind.fields if name == "request_counts" and set(COUNT_COLUMNS) & scene.given]
    absent = ["NOT counted" for _ in names] + [_is_null(name) for name in scene.among(kind.fields)]
    if not absent:
        return None
    return all_of([scene.within(scene.world.scope(kind)), any_of(absent)]), None


def given(kind: kinds.MustBeNull, scene: QueryContext) -> SqlBreach | None:
    """A field is set, or a number above zero."""
    names = scene.among(kind.fields)
    found = [f"{column(name)} > 0" if name in COUNT_COLUMNS else f"{column(name)} IS NOT NULL" for name in names]
    return (all_of([scene.within(scene.world.scope(kind)), any_of(found)]), None) if found else None


def unknown_status(_: kinds.UnknownStatus, _scene: QueryContext) -> SqlBreach | None:
    """A word that the lifecycle does not have."""
    return "st IS NULL AND status IS NOT NULL", None


def own_stamp(_: kinds.OwnStampMissing, scene: QueryContext) -> SqlBreach | None:
    """The stamp of the present status is null, and not bad."""
    graph, optional = scene.world.topology, scene.world.dialect.optional
    answers = [
        (scene.code[name], _is_null(stamp))
        for name, stamp in graph.stamp.items()
        if stamp in scene.given and stamp != "created_at" and name not in optional
    ]
    return (by_case("st", answers), None) if answers else None


def passed(_: kinds.ImpossibleStamps, _scene: QueryContext) -> SqlBreach:
    """No strict walk passes all that is stamped; a warning if some walk does."""
    return "NOT passes_strict", "passes"


def missed(_: kinds.SkippedStamp, _scene: QueryContext) -> SqlBreach:
    """Every walk through the stamps passes a status whose stamp is null; a warning if a tolerated one does not."""
    return "NOT (meets_strict OR (meets AND NOT comes_strict))", "meets"


def walks(scene: QueryContext) -> dict[str, str]:
    """
    Return what P102 and P103 ask of the walks to a status, by column; each is a table by status.

    `passes`: a walk passes all that is stamped. `comes`: one passes all that is stamped and can
    come before the status. `meets`: and no status on it has a null stamp that should be set.
    """
    asked = {"passes": _passes, "comes": _comes, "meets": _meets}
    found: dict[str, str] = {}
    for column_name, ask in asked.items():
        for strict in (True, False):
            answers = []
            for name, code in scene.code.items():
                ways = {ask(scene, name, walk) for walk in scene.world.topology.visited_sets(name, strict=strict)}
                # Where one walk asks less than another, the other need not be asked.
                least = [way for way in ways if not any(_asks_less(other, way) for other in ways)]
                answers.append((code, any_of(all_of(map(_in_sql, enumerate(way))) for way in sorted(least))))
            found[f"{column_name}_strict" if strict else column_name] = by_case("st", answers)
    del found["comes"]  # Nobody asks: whether a tolerated walk comes by is only of interest if it meets, too.
    return found


def _passes(scene: QueryContext, _name: str, walk: Mask) -> tuple[Mask, Mask]:
    """Return what must not be stamped, and what must not be null."""
    graph = scene.world.topology
    return graph.mask(graph.statuses) & ~walk & _stampable(scene), 0


def _comes(scene: QueryContext, name: str, walk: Mask) -> tuple[Mask, Mask]:
    graph = scene.world.topology
    before = graph.mask(each for each in graph.statuses if name in graph.reach[each])
    return before & ~walk & _stampable(scene), 0


def _meets(scene: QueryContext, name: str, walk: Mask) -> tuple[Mask, Mask]:
    graph = scene.world.topology
    excused = graph.mask((name, graph.lifecycle.initial, *scene.world.dialect.optional))
    return _comes(scene, name, walk)[0], walk & ~excused & _stampable(scene)


def _stampable(scene: QueryContext) -> Mask:
    """Return the statuses whose stamp some column holds; the others say nothing."""
    graph = scene.world.topology
    return graph.mask(name for name, stamp in graph.stamp.items() if stamp in scene.given)


def _asks_less(other: tuple[Mask, Mask], way: tuple[Mask, Mask]) -> bool:
    return other != way and not other[0] & ~way[0] and not other[1] & ~way[1]


def _in_sql(mask: tuple[int, Mask]) -> str:
    which, bits = mask
    if not bits:
        return "TRUE"
    return f"(told & {bits}) = {bits}" if which else f"(stamped & {bits}) = 0"


def ordered(_: kinds.StampOrder, scene: QueryContext) -> SqlBreach | None:
    """Of two stamps the one that comes first on every walk is later."""
    graph = scene.world.topology
    stamps = [(name, stamp) for name, stamp in graph.stamp.items() if stamp is not None and stamp in scene.given]
    pairs = permutations(stamps, 2)
    late = [f"{one} > {two}" for (first, one), (second, two) in pairs if graph.precedes(first, second)]
    return (any_of(late), None) if late else None


def bound(kind: kinds.TimeLimit, scene: QueryContext) -> SqlBreach | None:
    """A time is later than another and its slack allow."""
    times = scene.among(kind.times)
    if not times or kind.limit not in scene.given:
        return None
    slack_s = scene.world.skew_s if kind.slack_s is None else kind.slack_s
    limit = f"{kind.limit} + {_number(slack_s)}" if slack_s else kind.limit
    graph = scene.world.topology
    still_open = [scene.within(name for name in graph.statuses if name not in graph.terminal)] if kind.open_only else []
    return all_of([*still_open, any_of(f"{name} > {limit}" for name in times)]), None


def window(_: kinds.DeadlineWindow, scene: QueryContext) -> SqlBreach | None:
    """The deadline is not the completion window's."""
    if not scene.given.issuperset({"expires_at", "completion_window"}):
        return None
    # Java's `$` lets a line feed follow: the last character is asked for by itself.
    unit_s = by_case("SUBSTRING(completion_window, LENGTH(completion_window), 1)", _UNIT_S.items())
    number = "CAST(SUBSTRING(completion_window, 1, LENGTH(completion_window) - 1) AS BIGINT)"
    window_s = f"CASE WHEN {unit_s} > 0 AND REGEXP_MATCHES(completion_window, '{_WINDOW}') THEN {number} * {unit_s} END"
    return f"ABS(expires_at - created_at - {window_s}) > {scene.world.dialect.deadline_tolerance_s}", None


def id_time(kind: kinds.IdTime, _scene: QueryContext) -> SqlBreach | None:
    """The time inside the id is not the time of creation."""
    # Each digit is made wide by itself: where a place is an INTEGER, the first one times 16^7 is too large for it.
    digits = (
        f"CAST(STRPOS({_HEX}, SUBSTRING(id, {_HEX_FROM + place}, 1)) - 1 AS BIGINT) * {16 ** (_HEX_DIGITS - 1 - place)}"
        for place in range(_HEX_DIGITS)
    )
    seconds = f"({' + '.join(digits)})"
    off = f"CASE WHEN LENGTH(id) = {_ID_CHARS} AND REGEXP_MATCHES(id, '{_ID}') THEN ABS({seconds} - created_at) END"
    return f"{off} > {kind.tolerance_s}", None


def overflow(_: kinds.CountsOverflow, scene: QueryContext) -> SqlBreach | None:
    """A count is negative, or more requests are done than there are."""
    numbers = scene.among(COUNT_COLUMNS)
    negative = any_of(f"{column(name)} < 0" for name in numbers)
    if len(numbers) < len(COUNT_COLUMNS):
        return (negative, None) if numbers else None
    # Written without a sum, for two large counts have none.
    return f"CASE WHEN {negative} THEN TRUE ELSE completed > total - failed END", None


def unsettled(_: kinds.CountsUnfinished, scene: QueryContext) -> SqlBreach | None:
    """Completed, and some requests are not."""
    if not scene.given.issuperset(COUNT_COLUMNS):
        return None
    rest = "CASE WHEN completed >= 0 AND failed >= 0 AND total >= 0 THEN completed < total - failed END"
    return all_of([scene.within(["completed"]), rest]), None


def output_missing(_: kinds.OutputMissing, scene: QueryContext) -> SqlBreach | None:
    """Completed, some requests ended well, and no file holds them."""
    if not scene.given.issuperset({"request_counts.completed", "output_file_id"}):
        return None
    return all_of([scene.within(["completed"]), "completed > 0", "output_file_id IS NULL"]), None


READINGS: Final[dict[type[Any], RuleCompiler]] = {
    kinds.InvalidField: refused,
    kinds.MustBeSet: null,
    kinds.MustBeNull: given,
    kinds.UnknownStatus: unknown_status,
    kinds.OwnStampMissing: own_stamp,
    kinds.ImpossibleStamps: passed,
    kinds.SkippedStamp: missed,
    kinds.StampOrder: ordered,
    kinds.TimeLimit: bound,
    kinds.DeadlineWindow: window,
    kinds.IdTime: id_time,
    kinds.CountsOverflow: overflow,
    kinds.CountsUnfinished: unsettled,
    kinds.OutputMissing: output_missing,
}
"""The kinds, each with its reading; `Limit` is not among them, for no two warehouses keep metadata alike."""


def _is_null(name: str) -> str:
    said = f" AND (bad & {BAD_BIT[name]}) = 0" if name in BAD_BIT else ""
    return f"{column(name)} IS NULL{said}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
