"""`batchfsm sql`: the rules as one query, for a log in a warehouse."""

from __future__ import annotations

from pathlib import Path

import click

from batchfsm.cli.options import SPAN, DialectChoice, dialect_options
from batchfsm.cli.output import check_outputs, write
from batchfsm.errors import DefinitionError
from batchfsm.rules import SKEW_S
from batchfsm.sql import COLUMNS, SQL_DIALECTS, Table, query


@click.command("sql")
@click.argument("engine", type=click.Choice(SQL_DIALECTS))
@dialect_options()
@click.option(
    "--table", metavar="T", default="batch_log", help="Table of the log, or any text after FROM; batch_log by default."
)
@click.option(
    "--column", metavar="FIELD=SQL", multiple=True,
    help="Column or expression for a field that has no column of its name; nothing after =: no column. May be "
    f"repeated. Fields: {', '.join(COLUMNS)}.",
)  # fmt: skip
@click.option(
    "--request-counts", type=click.Choice(["nested", "flat"]), default="nested",
    help="nested (default): one column request_counts with fields; flat: request_counts_total and so on.",
)  # fmt: skip
@click.option(
    "--skew", type=SPAN, metavar="SPAN", default=SKEW_S,
    help="How far a timestamp may be after its observation; 60 s by default.",
)  # fmt: skip
@click.option("--counts", is_flag=True, help="Count the findings by rule instead of listing them.")
@click.option("--output", type=click.Path(path_type=Path), metavar="F", help="Write to a file.")
def command(
    *,
    engine: str,
    dialect: DialectChoice,
    table: str,
    column: tuple[str, ...],
    request_counts: str,
    skew: float,
    counts: bool,
    output: Path | None,
) -> None:
    """
    Print the rules as one SQL query, for a log in a warehouse.

    The query returns a row for each snapshot that breaches a rule: batch, time, place, highest severity, codes. Run it
    in the warehouse; this command connects to nothing.

    The findings are those of `batchfsm audit` up to and including the first H501 or H502 of severity error of a batch.
    After it, the query compares with the furthest status seen so far, so H findings of that batch may differ. With
    --dialect compatible they may differ after the first step from cancelling to finalizing, or back.

    Not checked: S002 and S006, because typed columns cannot show a violation; of S005 only times that are out of range
    or have a fraction. H508 compares `errors` as text. A rule is not checked if its column is missing; a comment at the
    top of the query names such rules.
    """
    check_outputs((), {"--output": output})
    changes: dict[str, str] = {}
    for option in column:
        field, expression = _change(option)
        if field in changes:
            raise DefinitionError("query", [f"--column names {field} twice"])
        changes[field] = expression
    where = Table.of(table, engine, is_nested=request_counts == "nested", changes=changes)
    write(query(where, server=dialect.load(), skew_s=skew, is_counted=counts), output)


def _change(option: str) -> tuple[str, str]:
    field, equals, expression = option.partition("=")
    if not equals:
        raise DefinitionError("query", [f"--column takes FIELD=SQL, got {option!r}"])
    return field.strip(), expression
