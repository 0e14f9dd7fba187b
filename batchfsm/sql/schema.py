"""A log as a table of a warehouse: which of its columns holds which field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from batchfsm.errors import DefinitionError, UnknownNameError
from batchfsm.snapshot import COUNT_FIELDS, REQUIRED_FIELDS, TIME_FIELDS

SQL_DIALECTS: Final = ("duckdb", "spark", "bigquery", "snowflake", "trino")
"""The SQL that a query can be written in."""

COUNT_COLUMNS: Final = tuple(f"request_counts.{name}" for name in COUNT_FIELDS)

COLUMNS: Final = (
    "id", "status", "object", *TIME_FIELDS, "endpoint", "input_file_id", "completion_window", "output_file_id",
    "error_file_id", "errors", *COUNT_COLUMNS, "observed_at", "place",
)  # fmt: skip
"""What a query asks a table for: the fields that some rule reads, when a row was seen, and its place in the log."""

_INNER: Final = {"snowflake": "request_counts:{}::BIGINT"}
"""How a number inside `request_counts` is reached, where not by a dot."""


@attrs.frozen(kw_only=True)
class Table:
    """A table and its columns, in the words of one SQL dialect."""

    sql_dialect: str
    """One of `SQL_DIALECTS`."""

    source: str
    """What stands behind FROM: a name, or anything that yields rows."""

    columns: Mapping[str, str]
    """What yields each field: a column, or an expression over columns. A field that is left out says nothing."""

    counted: str | None
    """What tells whether `request_counts` is set; None if no column does."""

    @classmethod
    def of(
        cls, source: str, sql_dialect: str, *, is_nested: bool = True, changes: Mapping[str, str | None] | None = None
    ) -> Table:
        """
        Return a table whose columns are called as the fields are, but for some.

        Args:
            source: What stands behind FROM.
            sql_dialect: One of `SQL_DIALECTS`.
            is_nested: True if `request_counts` is one column with fields; False if
                there are columns `request_counts_total` and so on.
            changes: Fields with what yields them instead; None or nothing where
                the table has no such column.

        Raises:
            UnknownNameError: If a dialect or a field has no such name.
            DefinitionError: If what no query can do without is left out.
        """
        if sql_dialect not in SQL_DIALECTS:
            raise UnknownNameError("SQL dialect", sql_dialect, SQL_DIALECTS)
        named = {name: _usual(name, sql_dialect, is_nested=is_nested) for name in COLUMNS}
        for name, expression in (changes or {}).items():
            if name not in named:
                raise UnknownNameError("field", name, COLUMNS)
            named[name] = (expression or "").strip()
        given = {name: expression for name, expression in named.items() if expression}
        problems = [f"no column holds {name}" for name in REQUIRED_FIELDS if name not in given]
        if not {"observed_at", "place"} & set(given):
            problems.append("neither observed_at nor place tells the order")
        if problems:
            raise DefinitionError("query", problems)
        counted = _counted(given, is_nested=is_nested)
        return cls(sql_dialect=sql_dialect, source=source, columns=given, counted=counted)


def column(name: str) -> str:
    """Return what a field is called inside the query: no word that some SQL keeps for itself."""
    return {"object": "kind"}.get(name, name.rpartition(".")[2])


def _usual(name: str, sql_dialect: str, *, is_nested: bool) -> str:
    outer, _, inner = name.partition(".")
    if not inner:
        # A log has no column that tells its order unless somebody kept one.
        return "" if name == "place" else name
    return _INNER.get(sql_dialect, "request_counts.{}").format(inner) if is_nested else f"{outer}_{inner}"


def _counted(given: Mapping[str, str], *, is_nested: bool) -> str | None:
    numbers = [given[name] for name in COUNT_COLUMNS if name in given]
    if not numbers:
        return None
    # A struct may be there and hold nothing but nulls; three columns of nulls are no counts.
    return "request_counts IS NOT NULL" if is_nested else " OR ".join(f"{number} IS NOT NULL" for number in numbers)
