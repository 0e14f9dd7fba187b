"""Renders a query in the SQL of a warehouse, one column a line; the only module that imports sqlglot."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent
from types import ModuleType
from typing import Any, Final

from batchfsm.errors import DefinitionError, needs_extra
from batchfsm.sql.schema import Table, column

_WIDE: Final = 110
_OPENERS: Final = frozenset(
    ("AND", "CASE", "FROM", "OR", "ORDER BY", "OVER", "ROWS", "STRUCT", "THEN", "WHEN", "WHERE", "WINDOW", "||", "+")
)
"""Words that may begin a line. If a line is too long, so may the word after a comma."""


def render(query: str, table: Table) -> str:
    """
    Return a query in the SQL of a table.

    Args:
        query: In the SQL of DuckDB, over a table called `wire`.
        table: The table to read in place of `wire`.

    Raises:
        DefinitionError: If the source or a column of the table is not SQL.
    """
    sql_dialect = table.sql_dialect
    tree = _sqlglot().parse_one(query, read="duckdb")
    if sql_dialect != "duckdb":
        # Render and parse the query once more: sqlglot then writes out named windows where a dialect has none.
        tree = _sqlglot().parse_one(tree.sql(dialect=sql_dialect, copy=False), read=sql_dialect)
    steps = [("wire", _wire(table)), *((step.alias, step.this) for step in tree.ctes if step.alias != "wire")]
    parts = (f"{name} AS (\n{indent(_format(select, sql_dialect), '  ')}\n)" for name, select in steps)
    tree.set("with_", None)
    return f"WITH {', '.join(parts)}\n{_format(tree, sql_dialect)}\n"


def _format(select: Any, sql_dialect: str) -> str:
    """Return the text of a select, one column a line, long lines broken; it changes the select."""
    columns = [_wrap(each.sql(dialect=sql_dialect, copy=False), sql_dialect) for each in select.expressions]
    select.set("expressions", [_sqlglot().exp.Star()])
    behind = select.sql(dialect=sql_dialect, copy=False).removeprefix("SELECT * ")
    return "\n".join(["SELECT", ",\n".join(indent(each, "  ") for each in columns), _wrap(behind, sql_dialect)])


def _wrap(text: str, sql_dialect: str) -> str:
    lines = [""]
    for piece in _pieces(text, sql_dialect):
        if len(lines[-1]) + len(piece) > _WIDE and lines[-1]:
            lines.append("  " + piece)
        else:
            lines[-1] += f" {piece}" if lines[-1] else piece
    return "\n".join(lines)


def _pieces(text: str, sql_dialect: str) -> Iterator[str]:
    """Yield the pieces of a text between the blanks where a line may end; never inside quotes."""
    begin, comma, before = 0, 0, ""
    for token in _sqlglot().tokenize(text, read=sql_dialect):
        is_apart = text[token.start - 1] == " "
        if is_apart and ((token.text in _OPENERS and before != "CASE") or (before, token.text) == (",", "(")):
            yield text[begin : token.start - 1]
            begin = token.start
        elif is_apart and before == ",":
            if comma > begin and token.start - begin > _WIDE:
                yield text[begin : comma - 1]
                begin = comma
            comma = token.start
        before = token.text
    yield text[begin:]


def _wire(table: Table) -> Any:
    """Return the select that reads the table: the only part that its owner wrote."""
    exp = _sqlglot().exp
    found = {column(name): text for name, text in table.columns.items()}
    found |= {} if table.counted is None else {"counted": table.counted}
    columns = [exp.alias_(_read(text, table.sql_dialect), name) for name, text in found.items()]
    source = _read(f"SELECT 1 FROM {table.source}", table.sql_dialect, table.source)
    if not isinstance(source, exp.Select):  # A UNION reads two.
        raise DefinitionError("query", [f"{table.source!r} is no text after FROM: put a query into parentheses"])
    return source.select(*columns, append=False)


def _read(text: str, sql_dialect: str, shown: str | None = None) -> Any:
    sqlglot = _sqlglot()
    shown = text if shown is None else shown
    try:
        parsed = sqlglot.parse(text, read=sql_dialect)
    except sqlglot.errors.SqlglotError as error:
        raise DefinitionError("query", [f"{sql_dialect} does not read {shown!r}"]) from error
    if len(parsed) != 1 or parsed[0] is None:
        raise DefinitionError("query", [f"{shown!r} is not one expression"])
    return parsed[0]


def _sqlglot() -> ModuleType:
    """Return sqlglot, which renders a query in many dialects of SQL; MissingExtraError if it is not installed."""
    with needs_extra("batchfsm sql", "sql"):
        import sqlglot  # noqa: PLC0415  # An extra, loaded when it is needed.
    return sqlglot
