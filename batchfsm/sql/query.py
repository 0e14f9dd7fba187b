"""One query, put together from the rows of the rules."""

from __future__ import annotations

import math
from textwrap import wrap
from typing import Final

from batchfsm.dialects import Dialect, find, require_openai_fields
from batchfsm.lifecycle import Severity
from batchfsm.rules import RULES, SKEW_S, kinds
from batchfsm.rules.checks import RuleContext
from batchfsm.sql import history_rules, snapshot_rules
from batchfsm.sql.context import QueryContext, SqlBreach, by_case, quoted
from batchfsm.sql.normalization import fields, stamped, told
from batchfsm.sql.rendering import written
from batchfsm.sql.schema import COLUMNS, Table
from batchfsm.topology import topology

HIDDEN: Final = tuple(
    code for code, rule in RULES.items() if rule.kind == kinds.InvalidField(()) or isinstance(rule.kind, kinds.Limit)
)
"""The rules that no query shows: a typed column has no wrong types, and no two warehouses keep metadata alike."""

_LEVELS: Final[dict[Severity, int]] = {"error": 3, "warning": 2, "note": 1}
_COMMENT_CHARS: Final = 110
_UNPLACED: Final = "No column holds the place: of rows of a batch seen at the same time any may come first."
_PROMISE: Final = (
    "Each batch is judged as `batchfsm audit` does, up to and including its first H501 or H502 of severity error; "
    "behind that the furthest status seen is taken for the known one."
)


def query(table: Table, *, server: str | Dialect = "openai", skew_s: float = SKEW_S, is_counted: bool = False) -> str:
    """
    Return the rules as one query over a table of snapshots.

    It yields a row for each snapshot that breaches a rule: its batch, when it was seen, its
    place, the highest severity, and the codes with a space between. Each is what `audit` finds,
    up to and including the first H501 or H502 of severity error of its batch; behind that the
    furthest status seen is taken for the known one, for SQL cannot follow a server back.

    Args:
        table: Where the log is.
        server: Whose lifecycle and habits of writing are taken for granted.
        skew_s: How far a stamp may lie after its observation; seconds.
        is_counted: True for one row a rule and severity, with the number of findings.

    Raises:
        UnknownNameError: If no dialect is called `server`.
        DefinitionError: If what stands in the table cannot be read as SQL.
        MissingExtraError: If sqlglot is not installed.
        ValueError: If the skew is negative, or no number.
    """
    if not 0 <= skew_s < math.inf:
        raise ValueError("skew_s is finite and not negative")
    dialect = find(server)
    require_openai_fields(dialect, "query in SQL")
    world = RuleContext(dialect=dialect, topology=topology(dialect.lifecycle), skew_s=skew_s)
    scene = QueryContext(world=world, given=frozenset(table.columns))
    levels = _levels(scene)
    steps = {"wire": "SELECT 1"} | _steps(scene, levels)
    listed = ", ".join(f"{name} AS ({text})" for name, text in steps.items())
    if is_counted:
        listed += f", broken AS ({_broken(levels)})"
    face = _counts() if is_counted else _findings(scene, levels)
    return _preface(scene, table, levels) + written(f"WITH {listed} {face}", table)


def _levels(scene: QueryContext) -> dict[str, str]:
    """Return, for each rule that can show, its severity in SQL, as a number; 0 where it is not breached."""
    found: dict[str, str] = {}
    for code, rule in RULES.items():
        weight = scene.world.dialect.severities.get(code, rule.severity)
        reading = history_rules.reading(code, rule.kind) or snapshot_rules.READINGS.get(type(rule.kind))
        if weight == "off" or code in HIDDEN or reading is None:
            continue
        if (breach := reading(rule.kind, scene)) is not None:
            found[code] = _level(breach, weight)
    return found


def _level(breach: SqlBreach, weight: Severity) -> str:
    when, lowered = breach
    level = str(_LEVELS[weight])
    if lowered is not None and weight == "error":
        level = f"CASE WHEN {lowered} THEN {_LEVELS['warning']} ELSE {level} END"
    return f"CASE WHEN {when} THEN {level} ELSE 0 END"


def _steps(scene: QueryContext, levels: dict[str, str]) -> dict[str, str]:
    """Return the parts of the query by name; each reads the one before it."""
    steps = {"fields": fields(scene), "stamps": f"SELECT *, {stamped(scene)} AS stamped FROM fields"}
    source, order = "stamps", "observed_at NULLS FIRST"
    if "place" in scene.given and "observed_at" in scene.given:
        # Who does not say when it was seen, was seen when the one before it in the log was.
        spell = "PARTITION BY id ORDER BY place NULLS FIRST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
        seen_at = f"LAST_VALUE(observed_at IGNORE NULLS) OVER ({spell})"
        steps["placed"] = f"SELECT *, {seen_at} AS seen_at FROM stamps"
        source, order = "placed", "seen_at NULLS FIRST, place NULLS FIRST"
    elif "place" in scene.given:
        order = "place NULLS FIRST"
    spell = f"PARTITION BY id ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    window = f"WINDOW before AS ({spell})"
    steps["known"] = f"SELECT *, {', '.join(history_rules.first_pass(scene))} FROM {source} {window}"
    steps["moved"] = f"SELECT *, {history_rules.move(scene)} AS move, {told(scene)} AS told FROM known"
    steps["told_last"] = f"SELECT *, {', '.join(history_rules.second_pass(scene))} FROM moved {window}"
    flags = snapshot_rules.walks(scene) | {f"lost_{code}": text for code, text in history_rules.losses(scene).items()}
    steps["compared"] = f"SELECT *, {', '.join(f'{text} AS {name}' for name, text in flags.items())} FROM told_last"
    columns = ["id", *_places(scene), *(f"{text} AS {code}" for code, text in levels.items())]
    steps["judged"] = f"SELECT {', '.join(columns)} FROM compared"
    return steps


def _places(scene: QueryContext) -> list[str]:
    return [*scene.among(("observed_at", "place"))]


def _findings(scene: QueryContext, levels: dict[str, str]) -> str:
    """Return the select of the snapshots that breach something."""
    worst = " ".join(
        f"WHEN {' OR '.join(f'{code} = {level}' for code in levels)} THEN {quoted(word)}"
        for word, level in _LEVELS.items()
    )
    codes = " || ".join(f"CASE WHEN {code} > 0 THEN {quoted(' ' + code)} ELSE '' END" for code in levels)
    return (
        f"SELECT {', '.join(['id AS batch_id', *_places(scene)])}, CASE {worst} END AS severity, "
        f"TRIM({codes}) AS rules FROM judged WHERE {_any(levels)} "
        f"ORDER BY {_places(scene)[-1]} NULLS FIRST, id NULLS FIRST"
    )


def _broken(levels: dict[str, str]) -> str:
    """Return the select of one row for each snapshot that breaches something and each rule."""
    rows = ", ".join(f"({nr}, {quoted(code)}, {quoted(RULES[code].name)})" for nr, code in enumerate(levels, 1))
    level = by_case("each.rule", [(quoted(code), code) for code in levels])
    return (
        f"SELECT each.nr, each.rule, each.name, {level} AS level "
        f"FROM judged CROSS JOIN (VALUES {rows}) AS each(nr, rule, name) WHERE {_any(levels)}"
    )


def _counts() -> str:
    """Return the select of the number of findings by rule and severity, in the order of the rules."""
    severity = by_case("level", [(str(level), quoted(word)) for word, level in _LEVELS.items()])
    return (
        f"SELECT rule, name, {severity} AS severity, COUNT(*) AS findings FROM broken WHERE level > 0 "
        "GROUP BY nr, rule, name, level ORDER BY nr NULLS FIRST, level DESC NULLS LAST"
    )


def _any(levels: dict[str, str]) -> str:
    return " + ".join(levels) + " > 0"


def _preface(scene: QueryContext, table: Table, levels: dict[str, str]) -> str:
    """Return the comment before the query: what it looks at, and what it cannot see."""
    name = scene.world.dialect.name
    off = [code for code, weight in scene.world.dialect.severities.items() if weight == "off"]
    silent = [code for code in RULES if code not in (*levels, *HIDDEN, *off)]
    absent = [name for name in COLUMNS if name not in (*table.columns, "place")]
    said = [
        f"The rules of batchfsm over a log of snapshots, for servers like {name}, in the SQL of {table.sql_dialect}.",
        f"Judged: {', '.join(levels)}.",
        f"Off for {name}: {', '.join(off)}." if off else "",
        f"Not judged, for typed columns do not show it: {', '.join(HIDDEN)}.",
        f"No column holds, so nothing is said by: {', '.join(absent)}." if absent else "",
        f"Not judged for want of columns: {', '.join(silent)}." if silent else "",
        "" if "place" in table.columns else _UNPLACED,
        _PROMISE,
    ]
    lines = [line for text in said for line in wrap(text, _COMMENT_CHARS)]
    return "".join(f"-- {line}\n" for line in lines)
