"""A log as a table of a warehouse, with the column of each field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from batchfsm.errors import DefinitionError, UnknownNameError
from batchfsm.snapshot import COUNT_FIELDS, REQUIRED_FIELDS, TIME_FIELDS

SQL_DIALECTS: Final = ("duckdb", "spark", "bigquery", "snowflake", "trino")
"""The dialects of SQL that a query can be rendered in."""

COUNT_COLUMNS: Final = tuple(f"request_counts.{name}" for name in COUNT_FIELDS)

COLUMNS: Final = (
    "id", "status", "object", *TIME_FIELDS, "endpoint", "input_file_id", "completion_window", "output_file_id",
    "error_file_id", "errors", *COUNT_COLUMNS, "observed_at", "place",
)  # fmt: skip
"""The columns that a query can use: the fields that rules read, the time of observation, the place in the log."""

_INNER: Final = {"snowflake": "request_counts:{}::BIGINT"}
"""The expression for a number inside `request_counts`, where it is not a dot."""


@attrs.frozen(kw_only=True)
class Table:
    """A table and its columns, in one dialect of SQL."""

    sql_dialect: str
    """One of `SQL_DIALECTS`."""

    source: str
    """The text after FROM: a name, or any expression that yields rows."""

    columns: Mapping[str, str]
    """The column of each field, or an expression over columns. A field that is left out is not checked."""

    counted: str | None
    """The condition that `request_counts` is set; None if no column holds counts."""

    is_nested: bool
    """True if counts are read from one column `request_counts` with fields."""

    @classmethod
    def of(
        cls, source: str, sql_dialect: str, *, is_nested: bool = True, changes: Mapping[str, str | None] | None = None
    ) -> Table:
        """
        Return a table whose columns have the names of the fields, with exceptions.

        Args:
            source: The text after FROM.
            sql_dialect: One of `SQL_DIALECTS`.
            is_nested: True if `request_counts` is one column with fields; False if
                there are columns `request_counts_total` and so on.
            changes: The columns that have another name, by field; None or an empty
                text where the table has no such column.

        Raises:
            UnknownNameError: If there is no such dialect of SQL, or no such field.
            DefinitionError: If a column that every query needs is left out.
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
        return cls(
            sql_dialect=sql_dialect, source=source, columns=given, counted=counted,
            is_nested=is_nested and counted is not None,
        )  # fmt: skip


def column(name: str) -> str:
    """Return the name of a field inside the query; none is a reserved word of SQL."""
    return {"object": "kind"}.get(name, name.rpartition(".")[2])


def _usual(name: str, sql_dialect: str, *, is_nested: bool) -> str:
    outer, _, inner = name.partition(".")
    if not inner:
        # A log has a column for its order only if its owner made one.
        return "" if name == "place" else name
    return _INNER.get(sql_dialect, "request_counts.{}").format(inner) if is_nested else f"{outer}_{inner}"


def _counted(given: Mapping[str, str], *, is_nested: bool) -> str | None:
    numbers = [given[name] for name in COUNT_COLUMNS if name in given]
    if not numbers:
        return None
    # A struct may be set and hold only nulls; three null columns mean that there are no counts.
    return "request_counts IS NOT NULL" if is_nested else " OR ".join(f"{number} IS NOT NULL" for number in numbers)
