"""
What is known of a batch before a row, as window functions, and the kinds of rules that ask for it.

SQL cannot fold. But up to the first illegal move a fold is no more than this: the known status is the furthest one
seen, and a stale row sets nothing new, so first values and highest counts may be taken over all rows. Only *last*
values need to know which rows were stale, which a first pass has told by then.
"""

from __future__ import annotations

from typing import Any, Final

from batchfsm.rules import RULES, kinds
from batchfsm.sql.context import BAD_BIT, QueryContext, RuleCompiler, SqlBreach, all_of, any_of, quoted
from batchfsm.sql.schema import COUNT_COLUMNS, column

_DONE: Final = COUNT_COLUMNS[1:]
_TOTAL: Final = COUNT_COLUMNS[0]
_KEPT: Final = tuple(rule.kind for rule in RULES.values() if isinstance(rule.kind, kinds.Immutable))
_LOST: Final = tuple(name for kind in _KEPT if kind.null_counts for name in kind.fields)
"""The fields of which a null says that something was lost: stamps and files."""
_IDENTITY: Final = tuple(name for kind in _KEPT if not kind.null_counts for name in kind.fields)

_WAYS: Final = ("stale", "exit_from_final", "legal", "tolerated", "illegal")


def first_pass(scene: QueryContext) -> list[str]:
    """Return what all rows before one tell: the furthest status, first values, highest counts."""
    firsts = [
        f"FIRST_VALUE({column(name)} IGNORE NULLS) OVER before AS first_{column(name)}"
        for name in scene.among((*_LOST, *_IDENTITY))
    ]
    if _TOTAL in scene.given:
        firsts.append("FIRST_VALUE(CASE WHEN total > 0 THEN total END IGNORE NULLS) OVER before AS first_total")
    return [
        "MAX(far) OVER before AS known_far",
        *firsts,
        *(f"MAX({column(name)}) OVER before AS most_{column(name)}" for name in scene.among(_DONE)),
    ]


def move(scene: QueryContext) -> str:
    """Return what a row's status says after the known one, out of the table of moves."""
    graph, code = scene.world.topology, scene.code
    pairs: dict[str, list[int]] = {way: [] for way in _WAYS}
    for (known, status, below), way in graph.moves.items():
        # What is stale is so only for rows below; all other pairs mean what they mean for rows that are not.
        if way in pairs and (way == "stale") == below:
            pairs[way].append(code[known] * len(code) + code[status])
    pair = f"(known_far % {len(code)}) * {len(code)} + st"
    answers = [
        (all_of([f"{pair} IN ({', '.join(map(str, found))})", *([_below(scene)] if way == "stale" else [])]), way)
        for way, found in pairs.items()
        if found
    ]
    listed = " ".join(f"WHEN {condition} THEN {quoted(way)}" for condition, way in answers)
    return f"CASE WHEN id IS NULL THEN NULL WHEN st = known_far % {len(code)} THEN 'same' {listed} END"


def second_pass(scene: QueryContext) -> list[str]:
    """Return what the live rows before one said last; 0 and the empty text stand for a null that was said."""
    said = {column(name): f"COALESCE({column(name)}, {_nothing(name)})" for name in scene.among(_LOST)}
    for name in scene.among(_LOST):
        if name in BAD_BIT:
            said[column(name)] = f"CASE WHEN {_is_said(name)} THEN {said[column(name)]} END"
    if "errors" in scene.given:
        said["errors"] = "COALESCE(errors, '')"
    said |= {column(name): column(name) for name in scene.among((*_IDENTITY, *COUNT_COLUMNS))}
    return [
        f"LAST_VALUE(CASE WHEN move IS DISTINCT FROM 'stale' THEN {value} END IGNORE NULLS) OVER before AS last_{name}"
        for name, value in said.items()
    ]


def losses(scene: QueryContext) -> dict[str, str]:
    """Return, by code, whether a live row lost or changed what was known: H508 is silent beside any of them."""
    # On a row that no walk explains they are silent: it has said enough.
    is_judged = "id IS NOT NULL AND COALESCE(move, '') NOT IN ('stale', 'illegal', 'exit_from_final')"
    found: dict[str, str] = {}
    for code, rule in RULES.items():
        if isinstance(rule.kind, kinds.Immutable) and rule.kind.null_counts:
            changes = [_lost(name) for name in scene.among(rule.kind.fields)]
        elif isinstance(rule.kind, kinds.Monotonic):
            changes = [f"{column(name)} < last_{column(name)}" for name in scene.among(_DONE)]
            changes += ["total <> first_total AND total <> last_total" for _ in scene.among((_TOTAL,))]
        else:
            continue
        if changes:
            found[code] = f"COALESCE({is_judged} AND ({any_of(changes)}), FALSE)"
    return found


def _moved(code: str, _: kinds.IllegalMove, _scene: QueryContext) -> SqlBreach:
    breaches: dict[str, SqlBreach] = {
        "H501": ("move IN ('illegal', 'tolerated')", "move = 'tolerated'"),
        "H502": ("move = 'exit_from_final'", None),
        "H507": ("move = 'stale'", None),
    }
    return breaches[code]


def _kept(code: str, kind: kinds.Immutable, scene: QueryContext) -> SqlBreach | None:
    if kind.null_counts:
        return (f"lost_{code}", None) if scene.among(kind.fields) else None
    changes = [
        f"{column(name)} <> first_{column(name)} AND {column(name)} IS DISTINCT FROM last_{column(name)}"
        for name in scene.among(kind.fields)
    ]
    return f"id IS NOT NULL AND ({any_of(changes)})", None


def _grown(code: str, _: kinds.Monotonic, scene: QueryContext) -> SqlBreach | None:
    return (f"lost_{code}", None) if scene.among(COUNT_COLUMNS) else None


def _settled(_code: str, _: kinds.ChangedAfterEnd, scene: QueryContext) -> SqlBreach | None:
    graph = scene.world.topology
    stamps = [name for name in scene.among(_LOST) if name in BAD_BIT]
    news = [f"{column(name)} > last_{column(name)}" for name in scene.among(COUNT_COLUMNS)]
    news += [f"{name} IS NOT NULL AND first_{name} IS NULL AND last_{name} = 0" for name in stamps]
    news += ["COALESCE(errors, '') <> last_errors" for _ in scene.among(("errors",))]
    lost = [f"NOT lost_{code}" for code in losses(scene)]
    ended = ["move = 'same'", scene.within(graph.terminal), *lost]
    return (all_of([*ended, any_of(news)]), None) if news else None


def reading(code: str, kind: Any) -> RuleCompiler | None:
    """Return the reading of a rule about histories; None if it is none."""
    found: dict[type, Any] = {
        kinds.IllegalMove: _moved,
        kinds.Immutable: _kept,
        kinds.Monotonic: _grown,
        kinds.ChangedAfterEnd: _settled,
    }
    reader = found.get(type(kind))
    return None if reader is None else lambda kind, scene: reader(code, kind, scene)


def _below(scene: QueryContext) -> str:
    """Say in SQL that a row sets and counts nothing new."""
    old = [f"{name} IS NULL OR {name} IS NOT DISTINCT FROM first_{name}" for name in scene.among(_LOST)]
    old += ["total IS NULL OR total = 0 OR total IS NOT DISTINCT FROM first_total" for _ in scene.among((_TOTAL,))]
    old += [
        f"{column(name)} IS NULL OR {column(name)} <= COALESCE(most_{column(name)}, 0)" for name in scene.among(_DONE)
    ]
    return all_of(old)


def _lost(name: str) -> str:
    value = f"COALESCE({name}, {_nothing(name)})"
    return all_of([_is_said(name), f"{value} <> first_{name}", f"{value} <> last_{name}"])


def _is_said(name: str) -> str:
    return f"(bad & {BAD_BIT[name]}) = 0" if name in BAD_BIT else "TRUE"


def _nothing(name: str) -> str:
    return "0" if name in BAD_BIT else "''"
