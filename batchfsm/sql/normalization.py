"""The first steps of a query: fields normalized as the dialect writes them, and stamps as bits."""

from __future__ import annotations

from typing import Final

from batchfsm.dialects import SEPARATORS, Dialect, normalized_word
from batchfsm.snapshot import FILE_FIELDS, TEXT_FIELDS, TIME_FIELDS
from batchfsm.sql.context import BAD_BIT, QueryContext, case, quoted
from batchfsm.sql.schema import COUNT_COLUMNS, column
from batchfsm.wire import TIME_MAX

_NO_ERRORS: Final = ("''", "'null'", "'[]'", "'{}'")


def fields(context: QueryContext) -> str:
    """Return the select that normalizes each field: aliases, sentinels, milliseconds, blanks."""
    dialect = context.rule_context.dialect
    columns = {name: _text(name, dialect) for name in context.available(TEXT_FIELDS)}
    columns |= _status(context)
    times = {name: _time(name, dialect) for name in context.available(TIME_FIELDS)}
    columns |= {name: f"CASE WHEN {valid} THEN {value} END" for name, (value, valid) in times.items()}
    bad = (f"CASE WHEN NOT ({valid}) THEN {BAD_BIT[name]} ELSE 0 END" for name, (_, valid) in times.items())
    columns["bad"] = " + ".join(bad)
    if "object" in context.given:
        columns["kind"] = _text("kind", dialect)
    plain = [column(name) for name in context.available((*COUNT_COLUMNS, "place"))]
    plain += ["counted"] if context.available(COUNT_COLUMNS) else []
    columns |= {name: f"wire.{name}" for name in plain}
    if "errors" in context.given:
        text = "CAST(wire.errors AS TEXT)"
        columns["errors"] = f"CASE WHEN {text} NOT IN ({', '.join(_NO_ERRORS)}) THEN {text} END"
    if "observed_at" in context.given:
        is_valid = f"wire.observed_at > 0 AND wire.observed_at <= {TIME_MAX}"
        columns["observed_at"] = f"CASE WHEN {is_valid} THEN wire.observed_at END"
    listed = ", ".join(f"{text} AS {name}" for name, text in columns.items())
    # `audit` reports an object with none of the three as unreadable.
    return f"SELECT {listed} FROM wire WHERE NOT (wire.id IS NULL AND wire.status IS NULL AND wire.created_at IS NULL)"


def stamped(context: QueryContext) -> str:
    """Return the statuses that have a stamp, as bits."""
    return " + ".join(f"CASE WHEN {stamp} IS NOT NULL THEN {bit} ELSE 0 END" for bit, stamp in _bits(context))


def stamped_or_invalid(context: QueryContext) -> str:
    """Return the statuses whose stamp is set or invalid, as bits: an invalid one is not null."""
    bad = (f"CASE WHEN (bad & {BAD_BIT[stamp]}) > 0 THEN {bit} ELSE 0 END" for bit, stamp in _bits(context))
    return " + ".join(("stamped", *bad))


def _bits(context: QueryContext) -> list[tuple[int, str]]:
    graph = context.rule_context.topology
    return [(graph.bit_of[status], str(stamp)) for status, stamp in graph.stamp.items() if stamp in context.given]


def _status(context: QueryContext) -> dict[str, str]:
    """Return the number of the status, and its rank: a status that precedes another on every walk has the lower one."""
    dialect, graph, code = context.rule_context.dialect, context.rule_context.topology, context.code
    words = {word: dialect.canonical_status(word) for word in (*graph.statuses, *dialect.aliases)}
    word = "wire.status"
    if dialect.any_spelling:
        words = {normalized_word(each): name for each, name in words.items()}
        for separator in SEPARATORS:
            word = f"REPLACE({word}, {quoted(separator)}, '')"
        word = f"LOWER({word})"
    ranks = {name: graph.rank[name] * len(code) + number for name, number in code.items()}
    return {
        "st": case(word, [(quoted(each), str(code[name])) for each, name in words.items()]),
        "status_rank": case(word, [(quoted(each), str(ranks[name])) for each, name in words.items()]),
    }


def _text(name: str, dialect: Dialect) -> str:
    return f"NULLIF(wire.{name}, '')" if dialect.null_text or name in FILE_FIELDS else f"wire.{name}"


def _time(name: str, dialect: Dialect) -> tuple[str, str]:
    """Return the value of a time, and the condition that it is valid."""
    raw = value = f"wire.{name}"
    if "milliseconds" in dialect.time_formats:
        value = f"CASE WHEN {raw} > {TIME_MAX} THEN CAST(FLOOR({raw} / 1000) AS BIGINT) ELSE {raw} END"
    nothing = [str(each) for each in dialect.null_time_values if isinstance(each, int)]
    if nothing:
        value = f"CASE WHEN {raw} IN ({', '.join(nothing)}) THEN NULL ELSE {value} END"
    value = value if value == raw else f"({value})"
    return value, f"{raw} = FLOOR({raw}) AND {value} > 0 AND {value} <= {TIME_MAX}"
