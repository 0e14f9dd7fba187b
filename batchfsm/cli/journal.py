"""The commands `journal ...`: list the open batches and pending hooks of a journal, and edit it. They run no hook."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click

from batchfsm.cli.options import SPAN, complete_file
from batchfsm.cli.output import write
from batchfsm.cli.usage import NamedGroup
from batchfsm.escapes import printable
from batchfsm.journal import PendingDelivery, open_journal

_FunctionT = TypeVar("_FunctionT", bound=Callable[..., Any])

_JSON: Final = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.group("journal", cls=NamedGroup, no_args_is_help=True, subcommand_metavar="COMMAND JOURNAL")
def command() -> None:
    """
    List a journal's batches and hooks, and retry dead hooks.

    JOURNAL is the path of a SQLite journal, or postgresql://...
    """


def _subcommand(name: str) -> Callable[[_FunctionT], click.Command]:
    """Return a decorator that adds a command with the argument JOURNAL."""

    def decorated(function: _FunctionT) -> click.Command:
        return command.command(name)(click.argument("journal", shell_complete=complete_file)(function))

    return decorated


@_subcommand("open")
@_JSON
def open_command(*, journal: str, as_json: bool) -> None:
    """List the ids of the batches that have not ended."""
    write(_open_batches(journal, as_json=as_json), None)


@_subcommand("pending")
@_JSON
def pending_command(*, journal: str, as_json: bool) -> None:
    """List unfinished hooks, with their last errors and next tries."""
    write(_deliveries(journal, dead=False, as_json=as_json), None)


@_subcommand("dead")
@_JSON
def dead_command(*, journal: str, as_json: bool) -> None:
    """List hooks that were given up after too many tries."""
    write(_deliveries(journal, dead=True, as_json=as_json), None)


@_subcommand("retry")
def retry_command(*, journal: str) -> None:
    """Make dead hooks pending again; the next `watch` runs them."""
    with open_journal(journal, create=False) as opened:
        write(f"{opened.requeue_dead():,} pending again\n", None)


@_subcommand("drop")
def drop_command(*, journal: str) -> None:
    """Delete dead hooks: they will not run for these transitions."""
    with open_journal(journal, create=False) as opened:
        write(f"{opened.drop_dead():,} dropped\n", None)


@_subcommand("prune")
@click.option(
    "--ended-before", type=SPAN, metavar="SPAN", required=True,
    help="Prune batches that ended longer ago than this: 30d, 12h.",
)  # fmt: skip
def prune_command(*, journal: str, ended_before: float) -> None:
    """Shrink old ended batches; their hooks will not fire again."""
    write(_prune(journal, time.time() - ended_before), None)


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
        "tries": row.retry.tries,
        "error": row.error,
        "next_try_at": None if row.retry.is_dead else row.retry.due_at,
    }


def _to_line(row: PendingDelivery) -> str:
    state = "never tried"
    if row.error is not None:
        retry = row.retry
        tries = _count(retry.tries, "try", "tries") if retry.tries else "to be tried again"
        when = f", next at {_to_utc(retry.due_at)}" if retry.due_at and not retry.is_dead else ""
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
