"""The command `sql`: the rules as one query, for a log that lives in a warehouse."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Literal

import typer

from batchfsm.dialects import DIALECTS
from batchfsm.errors import DefinitionError
from batchfsm.rules import SKEW_S
from batchfsm.sql import COLUMNS, Table, query

_HELP = """
Print the rules as one SQL query, for a log that lives in a warehouse.

The query yields a row for each snapshot that breaches a rule: batch, time, place, highest severity, codes. It finds
what `audit` finds, up to and including the first H501 or H502 of severity error of each batch. Behind that it takes
the furthest status seen for the known one, for SQL cannot follow a server back. Under a dialect with a circle
(compatible: finalizing and cancelling) it agrees up to the first snapshot that goes along the circle.

Not judged: S002 and S006, which typed columns do not show. Of S005 a number column shows times out of range or with a
fraction. H508 compares `errors` as text. A field without a column says nothing, and the query names the rules that
fall silent.
"""


def add_sql(
    app: typer.Typer,
    told: Callable[[], AbstractContextManager[None]],
    write: Callable[[str, Path | None], None],
) -> None:
    """
    Add the command to an application.

    Args:
        app: The application.
        told: Turns what stops a command into one line and an exit status.
        write: Writes a text to a file, or without one to standard output.
    """

    @app.command("sql", help=_HELP)
    def sql_command(
        *,
        dialect: Annotated[
            Literal["duckdb", "spark", "bigquery", "snowflake", "trino"], typer.Option(help="In which SQL.")
        ],
        server: Annotated[str, typer.Option(help=f"Whose lifecycle: {', '.join(DIALECTS)}.")] = "openai",
        table: Annotated[str, typer.Option(help="What stands behind FROM.")] = "batch_log",
        column: Annotated[
            list[str] | None,
            typer.Option(
                metavar="FIELD=SQL",
                help=f"What holds a field, where it is not the column of that name; nothing behind =: no column. "
                f"Fields: {', '.join(COLUMNS)}.",
            ),
        ] = None,
        request_counts: Annotated[
            Literal["nested", "flat"],
            typer.Option(help="One column request_counts with fields, or request_counts_total and so on."),
        ] = "nested",
        skew: Annotated[float, typer.Option(min=0, help="Seconds a stamp may lie after its observation.")] = SKEW_S,
        counts: Annotated[bool, typer.Option("--counts", help="Count the findings by rule instead.")] = False,
        output: Annotated[Path | None, typer.Option(help="Write to a file instead of the terminal.")] = None,
    ) -> None:
        with told():
            changes = dict(map(_change, column or ()))
            where = Table.of(table, dialect, is_nested=request_counts == "nested", changes=changes)
            write(query(where, server=server, skew_s=skew, is_counted=counts), output)


def _change(option: str) -> tuple[str, str]:
    field, equals, expression = option.partition("=")
    if not equals:
        raise DefinitionError("query", [f"--column takes FIELD=SQL, got {option!r}"])
    return field.strip(), expression
