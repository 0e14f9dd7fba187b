"""The commands `journal ...`: list the open batches and pending hooks of a journal, and edit it. They run no hook."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from batchfsm.explain import printable
from batchfsm.journal import TRIES_MAX, PendingDelivery, open_journal
from batchfsm.spans import parse_span

_Place = Annotated[str, typer.Argument(metavar="JOURNAL", help="The path of a SQLite journal, or postgresql://...")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def _span(span: str) -> str:
    try:
        parse_span(span)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return span


_Span = Annotated[
    str,
    typer.Option(
        metavar="SPAN",
        callback=_span,
        help="Prune batches that ended longer ago than this: 30d, 12h.",
    ),
]


def add_journal(
    app: typer.Typer,
    handle_errors: Callable[[], AbstractContextManager[None]],
    write: Callable[[str, Path | None], None],
) -> None:
    """
    Add the commands to an application.

    Args:
        app: The application.
        handle_errors: Turns an error that stops a command into one line and an exit status.
        write: Writes a text to a file, or without one to standard output.
    """
    commands = typer.Typer(no_args_is_help=True, help="List a journal's batches and hooks, and retry dead hooks.")
    app.add_typer(commands, name="journal")

    @commands.command("open", help="List the ids of the batches that have not ended, in the order first seen.")
    def open_command(journal: _Place, *, as_json: _Json = False) -> None:
        with handle_errors():
            write(_open_batches(journal, as_json=as_json), None)

    @commands.command("pending", help="List the hooks that have yet to return, with their last errors and next tries.")
    def pending_command(journal: _Place, *, as_json: _Json = False) -> None:
        with handle_errors():
            write(_deliveries(journal, dead=False, as_json=as_json), None)

    @commands.command("dead", help=f"List the hooks that were given up after {TRIES_MAX} tries, and their errors.")
    def dead_command(journal: _Place, *, as_json: _Json = False) -> None:
        with handle_errors():
            write(_deliveries(journal, dead=True, as_json=as_json), None)

    @commands.command("retry", help="Make dead hooks pending again; the next `watch` runs them.")
    def retry_command(journal: _Place) -> None:
        with handle_errors(), open_journal(journal, create=False) as opened:
            write(f"{opened.revive():,} pending again\n", None)

    @commands.command("drop", help="Delete dead hooks for good: they will not run for these transitions.")
    def drop_command(journal: _Place) -> None:
        with handle_errors(), open_journal(journal, create=False) as opened:
            write(f"{opened.drop_dead():,} dropped\n", None)

    @commands.command("prune", help="Shrink batches that ended long ago; their hooks will not fire again.")
    def prune_command(journal: _Place, *, ended_before: _Span) -> None:
        with handle_errors():
            write(_prune(journal, time.time() - parse_span(ended_before)), None)


def _open_batches(place: str, *, as_json: bool) -> str:
    """Return the ids of open batches, one a line and nothing else, so that a shell can pass them on."""
    with open_journal(place, create=False) as journal:
        batch_ids = journal.batch_ids(only_open=True)
    if as_json:
        return _lines(json.dumps({"batch_id": batch_id}) for batch_id in batch_ids)
    return _lines(map(printable, batch_ids))


def _deliveries(place: str, *, dead: bool, as_json: bool) -> str:
    """Return the pending or dead deliveries of a journal, one a line, and their number."""
    with open_journal(place, create=False) as journal:
        rows = journal.pending(dead=dead)
    if as_json:
        return _lines(json.dumps(_to_json(row)) for row in rows)
    kind = "dead" if dead else "pending"
    return _lines(map(_to_line, rows)) + (f"{len(rows):,} {kind}\n" if rows else f"none is {kind}\n")


def _prune(place: str, ended_before: float) -> str:
    with open_journal(place, create=False) as journal:
        result = journal.prune(ended_before=ended_before)
    kept = f"; {_count(result.kept, 'batch', 'batches')} not: hooks have yet to return" if result.kept else ""
    return f"pruned {_count(result.pruned, 'batch', 'batches')} that ended before {_to_utc(ended_before)}{kept}\n"


def _to_json(row: PendingDelivery) -> dict[str, object]:
    transition = row.transition
    return {
        "batch_id": transition.batch_id,
        "key": transition.key,
        "target": transition.target,
        "at": transition.at,
        "hook": row.hook,
        "tries": row.tries,
        "error": row.error,
        "next_try_at": None if row.dead else row.due_at,
    }


def _to_line(row: PendingDelivery) -> str:
    state = "never tried"
    if row.error is not None:
        tries = _count(row.tries, "try", "tries") if row.tries else "to be tried again"
        when = f", next at {_to_utc(row.due_at)}" if row.due_at and not row.dead else ""
        state = f"{tries}{when}: {row.error}"
    return printable(f"{row.transition.key}  {row.hook}  {state}")


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _to_utc(seconds: float) -> str:
    """Return a time as RFC 3339 text; one that no calendar has as a number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g}"
