"""The first steps of the query: each field as its server writes it, and its stamps as bits."""

from __future__ import annotations

from typing import Final

from batchfsm.dialects import SEPARATORS, Dialect, normalized_word
from batchfsm.snapshot import FILE_FIELDS, TEXT_FIELDS, TIME_FIELDS
from batchfsm.sql.context import BAD_BIT, QueryContext, by_case, quoted
from batchfsm.sql.schema import COUNT_COLUMNS, column
from batchfsm.wire import TIME_MAX

_NO_ERRORS: Final = ("''", "'null'", "'[]'", "'{}'")


def fields(scene: QueryContext) -> str:
    """Return the select that reads each field as the dialect writes it: aliases, sentinels, milliseconds, blanks."""
    dialect = scene.world.dialect
    columns = {name: _text(name, dialect) for name in scene.among(TEXT_FIELDS)}
    columns |= _status(scene)
    times = {name: _time(name, dialect) for name in scene.among(TIME_FIELDS)}
    columns |= {name: f"CASE WHEN {sound} THEN {value} END" for name, (value, sound) in times.items()}
    bad = (f"CASE WHEN NOT ({sound}) THEN {BAD_BIT[name]} ELSE 0 END" for name, (_, sound) in times.items())
    columns["bad"] = " + ".join(bad)
    if "object" in scene.given:
        columns["kind"] = _text("kind", dialect)
    plain = [column(name) for name in scene.among((*COUNT_COLUMNS, "place"))]
    plain += ["counted"] if scene.among(COUNT_COLUMNS) else []
    columns |= {name: f"wire.{name}" for name in plain}
    if "errors" in scene.given:
        text = "CAST(wire.errors AS TEXT)"
        columns["errors"] = f"CASE WHEN {text} NOT IN ({', '.join(_NO_ERRORS)}) THEN {text} END"
    if "observed_at" in scene.given:
        is_sound = f"wire.observed_at > 0 AND wire.observed_at <= {TIME_MAX}"
        columns["observed_at"] = f"CASE WHEN {is_sound} THEN wire.observed_at END"
    listed = ", ".join(f"{text} AS {name}" for name, text in columns.items())
    # An object that has none of the three is no batch: `audit` calls it unreadable.
    return f"SELECT {listed} FROM wire WHERE NOT (wire.id IS NULL AND wire.status IS NULL AND wire.created_at IS NULL)"


def stamped(scene: QueryContext) -> str:
    """Return which statuses have a stamp, as bits."""
    return " + ".join(f"CASE WHEN {stamp} IS NOT NULL THEN {bit} ELSE 0 END" for bit, stamp in _bits(scene))


def told(scene: QueryContext) -> str:
    """Return which statuses have a stamp or a bad one, as bits: a bad one is not null."""
    bad = (f"CASE WHEN (bad & {BAD_BIT[stamp]}) > 0 THEN {bit} ELSE 0 END" for bit, stamp in _bits(scene))
    return " + ".join(("stamped", *bad))


def _bits(scene: QueryContext) -> list[tuple[int, str]]:
    graph = scene.world.topology
    return [(graph.bit_of[status], str(stamp)) for status, stamp in graph.stamp.items() if stamp in scene.given]


def _status(scene: QueryContext) -> dict[str, str]:
    """Return the number of the status, and how far it is: what comes before another on every walk is less far."""
    dialect, graph, code = scene.world.dialect, scene.world.topology, scene.code
    words = {word: dialect.word(word) for word in (*graph.statuses, *dialect.aliases)}
    written = "wire.status"
    if dialect.any_spelling:
        words = {normalized_word(word): name for word, name in words.items()}
        for separator in SEPARATORS:
            written = f"REPLACE({written}, {quoted(separator)}, '')"
        written = f"LOWER({written})"
    far = {name: graph.rank[name] * len(code) + number for name, number in code.items()}
    return {
        "st": by_case(written, [(quoted(word), str(code[name])) for word, name in words.items()]),
        "far": by_case(written, [(quoted(word), str(far[name])) for word, name in words.items()]),
    }


def _text(name: str, dialect: Dialect) -> str:
    return f"NULLIF(wire.{name}, '')" if dialect.null_text or name in FILE_FIELDS else f"wire.{name}"


def _time(name: str, dialect: Dialect) -> tuple[str, str]:
    """Return a time as it is read, and when it is sound."""
    raw = value = f"wire.{name}"
    if "milliseconds" in dialect.times:
        value = f"CASE WHEN {raw} > {TIME_MAX} THEN CAST(FLOOR({raw} / 1000) AS BIGINT) ELSE {raw} END"
    nothing = [str(each) for each in dialect.null_times if isinstance(each, int)]
    if nothing:
        value = f"CASE WHEN {raw} IN ({', '.join(nothing)}) THEN NULL ELSE {value} END"
    value = value if value == raw else f"({value})"
    return value, f"{raw} = FLOOR({raw}) AND {value} > 0 AND {value} <= {TIME_MAX}"
