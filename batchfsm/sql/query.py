"""The query: all rules over a table of snapshots."""

from __future__ import annotations

import math
from textwrap import wrap
from typing import Any, Final

from batchfsm.dialects import Dialect, get_dialect, require_openai_fields
from batchfsm.lifecycle import Severity
from batchfsm.rules import ONCE_PER_STATUS, RULES, SKEW_S, kinds, severity_in
from batchfsm.rules.checks import RuleContext
from batchfsm.sql import history_rules, snapshot_rules
from batchfsm.sql.context import QueryContext, SqlBreach, and_, case, quoted
from batchfsm.sql.normalization import fields, stamped, stamped_or_invalid
from batchfsm.sql.rendering import render
from batchfsm.sql.schema import COLUMNS, Table
from batchfsm.topology import topology

HIDDEN: Final = tuple(
    code for code, rule in RULES.items() if rule.kind == kinds.InvalidField(()) or isinstance(rule.kind, kinds.Limit)
)
"""The rules that no query checks: a typed column has no wrong types, and each warehouse stores metadata differently."""

_LEVELS: Final[dict[Severity, int]] = {"error": 3, "warning": 2, "note": 1}
_COMMENT_CHARS: Final = 110
_UNPLACED: Final = "No column holds the place in the log: rows of a batch with the same time may come in any order."
_NESTED: Final = (
    "Counts: the fields total, completed and failed of the column request_counts; for columns request_counts_total and "
    "so on: --request-counts flat."
)
_PROMISE: Final = (
    "Each batch is checked as by `batchfsm audit`, up to and including its first H501 or H502 of severity error; "
    "after that the furthest status seen is taken for the known one."
)


def query(table: Table, *, server: str | Dialect = "openai", skew_s: float = SKEW_S, is_counted: bool = False) -> str:
    """
    Return the rules as one query over a table of snapshots.

    The query yields a row for each snapshot that violates a rule: its batch, the time of observation, its place, the
    highest severity, and the codes with a space between. They are the findings of `audit` up to and including the
    first H501 or H502 of severity error of a batch; after that the furthest status seen is the known one, because SQL
    cannot set it back.

    Args:
        table: The table that holds the log.
        server: The dialect of the server.
        skew_s: How far a stamp may lie after its observation; seconds.
        is_counted: True for one row for each rule and severity, with the number of findings.

    Raises:
        UnknownNameError: If no dialect has that name.
        DefinitionError: If the source or a column of the table is not SQL.
        MissingExtraError: If sqlglot is not installed.
        ValueError: If the skew is negative, or no number.
    """
    if not 0 <= skew_s < math.inf:
        raise ValueError("skew_s is finite and not negative")
    dialect = get_dialect(server)
    require_openai_fields(dialect, "query in SQL")
    rule_context = RuleContext(dialect=dialect, topology=topology(dialect.lifecycle), skew_s=skew_s)
    context = QueryContext(rule_context=rule_context, given=frozenset(table.columns))
    breaches = _breaches(context)
    levels = _levels(context, breaches)
    steps = {"wire": "SELECT 1"} | _steps(context, breaches, levels)
    listed = ", ".join(f"{name} AS ({text})" for name, text in steps.items())
    if is_counted:
        listed += f", violations AS ({_violations(levels)})"
    last_select = _counts() if is_counted else _findings(context, levels)
    return _preface(context, table, levels) + render(f"WITH {listed} {last_select}", table)


def _breaches(context: QueryContext) -> dict[str, SqlBreach]:
    """Return the conditions of each rule that can be checked."""
    found: dict[str, SqlBreach] = {}
    for code, rule in RULES.items():
        is_off = severity_in(context.rule_context.dialect, rule) == "off"
        compiler = history_rules.compiler_for(code, rule.kind) or snapshot_rules.COMPILERS.get(type(rule.kind))
        if is_off or code in HIDDEN or compiler is None:
            continue
        if (breach := compiler(rule.kind, context)) is not None:
            found[code] = breach
    return found


def _levels(context: QueryContext, breaches: dict[str, SqlBreach]) -> dict[str, str]:
    """Return the severity of each rule as an expression: 3 to 1; 0 where the rule holds, or was reported before."""
    found: dict[str, str] = {}
    for code, (when, lowered) in breaches.items():
        severity: Any = severity_in(context.rule_context.dialect, RULES[code])
        if code in ONCE_PER_STATUS:
            was_reported = f"MAX(CASE WHEN late_{code} THEN 1 ELSE 0 END) OVER before_in_status"
            found[code] = _level((f"late_{code} AND (id IS NULL OR COALESCE({was_reported}, 0) = 0)", None), severity)
        else:
            found[code] = _level((when, lowered), severity)
    return found


def _level(breach: SqlBreach, severity: Severity) -> str:
    when, lowered = breach
    level = str(_LEVELS[severity])
    if lowered is not None and severity == "error":
        level = f"CASE WHEN {lowered} THEN {_LEVELS['warning']} ELSE {level} END"
    return f"CASE WHEN {when} THEN {level} ELSE 0 END"


def _steps(context: QueryContext, breaches: dict[str, SqlBreach], levels: dict[str, str]) -> dict[str, str]:
    """Return the selects of the WITH clause by name; each reads the one before it."""
    steps = {"fields": fields(context), "stamps": f"SELECT *, {stamped(context)} AS stamped FROM fields"}
    source, order = "stamps", "observed_at NULLS FIRST"
    if "place" in context.given and "observed_at" in context.given:
        # A row without a time of observation has the time of the row before it in the log.
        rows_up_to_this = "PARTITION BY id ORDER BY place NULLS FIRST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
        seen_at = f"LAST_VALUE(observed_at IGNORE NULLS) OVER ({rows_up_to_this})"
        steps["placed"] = f"SELECT *, {seen_at} AS seen_at FROM stamps"
        source, order = "placed", "seen_at NULLS FIRST, place NULLS FIRST"
    elif "place" in context.given:
        order = "place NULLS FIRST"
    earlier = f"ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    window = f"WINDOW before AS (PARTITION BY id {earlier})"
    steps["known"] = f"SELECT *, {', '.join(history_rules.first_pass(context))} FROM {source} {window}"
    moves = f"{history_rules.move_column(context)} AS move, {stamped_or_invalid(context)} AS stamped_or_invalid"
    steps["moved"] = f"SELECT *, {moves} FROM known"
    steps["previous"] = f"SELECT *, {', '.join(history_rules.second_pass(context))} FROM moved {window}"
    flags = snapshot_rules.stamp_conditions(context) | {
        f"lost_{code}": text for code, text in history_rules.lost_values(context).items()
    }
    late = {
        # The batch has left the status of a stale row, so it is neither overdue nor stuck in it.
        f"late_{code}": f"COALESCE({and_(['move IS DISTINCT FROM ' + quoted('stale'), when])}, FALSE)"
        for code, (when, _) in breaches.items()
        if code in ONCE_PER_STATUS
    }
    flags |= late
    steps["compared"] = f"SELECT *, {', '.join(f'{text} AS {name}' for name, text in flags.items())} FROM previous"
    columns = ["id", *_places(context), *(f"{text} AS {code}" for code, text in levels.items())]
    in_status = f" WINDOW before_in_status AS (PARTITION BY id, st {earlier})" if late else ""
    steps["judged"] = f"SELECT {', '.join(columns)} FROM compared{in_status}"
    return steps


def _places(context: QueryContext) -> list[str]:
    return [*context.available(("observed_at", "place"))]


def _findings(context: QueryContext, levels: dict[str, str]) -> str:
    """Return the select of the snapshots that violate a rule."""
    worst = " ".join(
        f"WHEN {' OR '.join(f'{code} = {level}' for code in levels)} THEN {quoted(word)}"
        for word, level in _LEVELS.items()
    )
    codes = " || ".join(f"CASE WHEN {code} > 0 THEN {quoted(' ' + code)} ELSE '' END" for code in levels)
    return (
        f"SELECT {', '.join(['id AS batch_id', *_places(context)])}, CASE {worst} END AS severity, "
        f"TRIM({codes}) AS rules FROM judged WHERE {_has_violation(levels)} "
        f"ORDER BY {_places(context)[-1]} NULLS FIRST, id NULLS FIRST"
    )


def _violations(levels: dict[str, str]) -> str:
    """Return the select of one row for each rule and each snapshot that violates any rule; level 0: this one holds."""
    rows = ", ".join(f"({nr}, {quoted(code)}, {quoted(RULES[code].name)})" for nr, code in enumerate(levels, 1))
    level = case("each.rule", [(quoted(code), code) for code in levels])
    return (
        f"SELECT each.nr, each.rule, each.name, {level} AS level "
        f"FROM judged CROSS JOIN (VALUES {rows}) AS each(nr, rule, name) WHERE {_has_violation(levels)}"
    )


def _counts() -> str:
    """Return the select of the number of findings by rule and severity, in the order of the rules."""
    severity = case("level", [(str(level), quoted(word)) for word, level in _LEVELS.items()])
    return (
        f"SELECT rule, name, {severity} AS severity, COUNT(*) AS findings FROM violations WHERE level > 0 "
        "GROUP BY nr, rule, name, level ORDER BY nr NULLS FIRST, level DESC NULLS LAST"
    )


def _has_violation(levels: dict[str, str]) -> str:
    return " + ".join(levels) + " > 0"


def _preface(context: QueryContext, table: Table, levels: dict[str, str]) -> str:
    """Return the comment before the query: which rules it checks, and which it cannot."""
    name = context.rule_context.dialect.name
    off = [code for code, rule in RULES.items() if severity_in(context.rule_context.dialect, rule) == "off"]
    silent = [code for code in RULES if code not in (*levels, *HIDDEN, *off)]
    absent = [name for name in COLUMNS if name not in (*table.columns, "place")]
    sentences = [
        f"The rules of batchfsm over a log of snapshots of {name}, in the SQL of {table.sql_dialect}.",
        f"Checked: {', '.join(levels)}.",
        f"Off for {name}: {', '.join(off)}." if off else "",
        f"Not checked, because typed columns cannot show a violation: {', '.join(HIDDEN)}.",
        f"Fields without a column: {', '.join(absent)}." if absent else "",
        f"Not checked for lack of columns: {', '.join(silent)}." if silent else "",
        "" if "place" in table.columns else _UNPLACED,
        _NESTED if table.is_nested else "",
        _PROMISE,
    ]
    lines = [line for text in sentences for line in wrap(text, _COMMENT_CHARS)]
    return "".join(f"-- {line}\n" for line in lines)
