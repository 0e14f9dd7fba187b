"""
The state of a batch before each row, as window functions, and the history rules that use it.

SQL cannot fold. But up to the first illegal move the state is simple: the known status is the one of highest rank so
far, and a stale row sets nothing new, so first values and highest counts may be taken over all rows. Only the last
values depend on which rows are stale; a first pass has found those.
"""

from __future__ import annotations

from typing import Any, Final

from batchfsm.rules import RULES, kinds
from batchfsm.sql.context import BAD_BIT, QueryContext, RuleCompiler, SqlBreach, and_, or_, quoted
from batchfsm.sql.schema import COUNT_COLUMNS, column

_DONE: Final = COUNT_COLUMNS[1:]
_TOTAL: Final = COUNT_COLUMNS[0]
_IMMUTABLE: Final = tuple(rule.kind for rule in RULES.values() if isinstance(rule.kind, kinds.Immutable))
_LOST: Final = tuple(name for kind in _IMMUTABLE if kind.null_counts for name in kind.fields)
"""The fields whose change to null violates a rule: stamps and files."""
_IDENTITY: Final = tuple(name for kind in _IMMUTABLE if not kind.null_counts for name in kind.fields)

_MOVES: Final = ("stale", "exit_from_final", "legal", "tolerated", "illegal")


def first_pass(context: QueryContext) -> list[str]:
    """Return the columns of the first pass, over all earlier rows: highest rank, first values, highest counts."""
    firsts = [
        f"FIRST_VALUE({column(name)} IGNORE NULLS) OVER before AS first_{column(name)}"
        for name in context.available((*_LOST, *_IDENTITY))
    ]
    if _TOTAL in context.given:
        firsts.append("FIRST_VALUE(CASE WHEN total > 0 THEN total END IGNORE NULLS) OVER before AS first_total")
    return [
        "MAX(status_rank) OVER before AS known_rank",
        *firsts,
        *(f"MAX({column(name)}) OVER before AS most_{column(name)}" for name in context.available(_DONE)),
    ]


def move_column(context: QueryContext) -> str:
    """Return the expression of the move from the known status to the row's, taken from the table of moves."""
    graph, code = context.rule_context.topology, context.code
    pairs: dict[str, list[int]] = {kind: [] for kind in _MOVES}
    for (known, status, is_stale_row), kind in graph.moves.items():
        # A move is stale only on rows that set nothing new; the table has the other moves for rows that do.
        if kind in pairs and (kind == "stale") == is_stale_row:
            pairs[kind].append(code[known] * len(code) + code[status])
    pair = f"(known_rank % {len(code)}) * {len(code)} + st"
    stale_only = [_sets_nothing_new(context)]
    answers = [
        (and_([f"{pair} IN ({', '.join(map(str, found))})", *(stale_only if kind == "stale" else [])]), kind)
        for kind, found in pairs.items()
        if found
    ]
    listed = " ".join(f"WHEN {condition} THEN {quoted(kind)}" for condition, kind in answers)
    return f"CASE WHEN id IS NULL THEN NULL WHEN st = known_rank % {len(code)} THEN 'same' {listed} END"


def second_pass(context: QueryContext) -> list[str]:
    """Return the columns of the second pass: last values of earlier rows that are not stale; 0 or '' for null."""
    values = {column(name): f"COALESCE({column(name)}, {_null_value(name)})" for name in context.available(_LOST)}
    for name in context.available(_LOST):
        if name in BAD_BIT:
            values[column(name)] = f"CASE WHEN {_is_valid(name)} THEN {values[column(name)]} END"
    if "errors" in context.given:
        values["errors"] = "COALESCE(errors, '')"
    values |= {column(name): column(name) for name in context.available((*_IDENTITY, *COUNT_COLUMNS))}
    return [
        f"LAST_VALUE(CASE WHEN move IS DISTINCT FROM 'stale' THEN {value} END IGNORE NULLS) OVER before AS last_{name}"
        for name, value in values.items()
    ]


def lost_values(context: QueryContext) -> dict[str, str]:
    """Return the conditions of H504, H505 and H506 by code; H508 is not reported beside one of them."""
    # Not after an illegal move: they would report the same fault twice.
    is_judged = "id IS NOT NULL AND COALESCE(move, '') NOT IN ('stale', 'illegal', 'exit_from_final')"
    found: dict[str, str] = {}
    for code, rule in RULES.items():
        if isinstance(rule.kind, kinds.Immutable) and rule.kind.null_counts:
            changes = [_lost(name, rule.kind, context) for name in context.available(rule.kind.fields)]
        elif isinstance(rule.kind, kinds.Monotonic):
            changes = [f"{column(name)} < last_{column(name)}" for name in context.available(_DONE)]
            changes += ["total <> first_total AND total <> last_total" for _ in context.available((_TOTAL,))]
        else:
            continue
        if changes:
            found[code] = f"COALESCE({is_judged} AND ({or_(changes)}), FALSE)"
    return found


def _illegal_move(code: str, _: kinds.IllegalMove, _context: QueryContext) -> SqlBreach:
    breaches: dict[str, SqlBreach] = {
        "H501": ("move IN ('illegal', 'tolerated')", "move = 'tolerated'"),
        "H502": ("move = 'exit_from_final'", None),
        "H507": ("move = 'stale'", None),
    }
    return breaches[code]


def _immutable(code: str, kind: kinds.Immutable, context: QueryContext) -> SqlBreach | None:
    if kind.null_counts:
        return (f"lost_{code}", None) if context.available(kind.fields) else None
    changes = [
        f"{column(name)} <> first_{column(name)} AND {column(name)} IS DISTINCT FROM last_{column(name)}"
        for name in context.available(kind.fields)
    ]
    return f"id IS NOT NULL AND ({or_(changes)})", None


def _monotonic(code: str, _: kinds.Monotonic, context: QueryContext) -> SqlBreach | None:
    return (f"lost_{code}", None) if context.available(COUNT_COLUMNS) else None


def _changed_after_end(_code: str, _: kinds.ChangedAfterEnd, context: QueryContext) -> SqlBreach | None:
    graph = context.rule_context.topology
    stamps = [name for name in context.available(_LOST) if name in BAD_BIT]
    news = [f"{column(name)} > last_{column(name)}" for name in context.available(COUNT_COLUMNS)]
    news += [f"{name} IS NOT NULL AND first_{name} IS NULL AND last_{name} = 0" for name in stamps]
    news += ["COALESCE(errors, '') <> last_errors" for _ in context.available(("errors",))]
    lost = [f"NOT lost_{code}" for code in lost_values(context)]
    ended = ["move = 'same'", context.status_in(graph.terminal), *lost]
    return (and_([*ended, or_(news)]), None) if news else None


def compiler_for(code: str, kind: Any) -> RuleCompiler | None:
    """Return the compiler of a history rule; None for any other rule."""
    found: dict[type, Any] = {
        kinds.IllegalMove: _illegal_move,
        kinds.Immutable: _immutable,
        kinds.Monotonic: _monotonic,
        kinds.ChangedAfterEnd: _changed_after_end,
    }
    compiler = found.get(type(kind))
    return None if compiler is None else lambda kind, context: compiler(code, kind, context)


def _sets_nothing_new(context: QueryContext) -> str:
    """Return the condition that a row has no field and no count that earlier rows did not have."""
    old = [f"{name} IS NULL OR {name} IS NOT DISTINCT FROM first_{name}" for name in context.available(_LOST)]
    old += [
        "total IS NULL OR total = 0 OR total IS NOT DISTINCT FROM first_total" for _ in context.available((_TOTAL,))
    ]
    old += [
        f"{column(name)} IS NULL OR {column(name)} <= COALESCE(most_{column(name)}, 0)"
        for name in context.available(_DONE)
    ]
    return and_(old)


def _lost(name: str, kind: kinds.Immutable, context: QueryContext) -> str:
    value = f"COALESCE({name}, {_null_value(name)})"
    changed = [_is_valid(name), f"{value} <> first_{name}", f"{value} <> last_{name}"]
    if kind.kept_s is not None:
        changed.append(f"NOT ({name} IS NULL AND {context.observed_after_end(kind.kept_s)})")
    return and_(changed)


def _is_valid(name: str) -> str:
    return f"(bad & {BAD_BIT[name]}) = 0" if name in BAD_BIT else "TRUE"


def _null_value(name: str) -> str:
    return "0" if name in BAD_BIT else "''"
