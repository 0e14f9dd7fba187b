"""What a journal still has to call, as text for people and JSON lines for machines. No hook is called here."""

from __future__ import annotations

import json

from batchfsm.explain import printable
from batchfsm.journal import PendingDelivery, open_journal


def listed(place: str, *, dead: bool, as_json: bool) -> str:
    """
    List the deliveries of a journal, one a line.

    Args:
        place: A path, or `postgresql://...`.
        dead: Those that were given up, instead of those that are pending.
        as_json: One JSON object a line, and nothing else.

    Raises:
        JournalError: If there is no journal, or it cannot be read.
    """
    with open_journal(place, create=False) as journal:
        rows = journal.pending(dead=dead)
    if as_json:
        return "".join(json.dumps(_form(row)) + "\n" for row in rows)
    kind = "dead" if dead else "pending"
    return "".join(f"{_line(row)}\n" for row in rows) + (f"{len(rows):,} {kind}\n" if rows else f"none is {kind}\n")


def revived(place: str) -> str:
    """
    Make the dead deliveries of a journal pending, and say how many there were.

    Raises:
        JournalError: If there is no journal, or it cannot be written.
    """
    with open_journal(place, create=False) as journal:
        return f"{journal.revive():,} pending again\n"


def _form(row: PendingDelivery) -> dict[str, object]:
    transition = row.transition
    return {
        "batch_id": transition.batch_id,
        "key": transition.key,
        "target": transition.target,
        "at": transition.at,
        "hook": row.hook,
        "tries": row.tries,
        "error": row.error,
    }


def _line(row: PendingDelivery) -> str:
    tried = "never tried"
    if row.error is not None:
        tries = f"{row.tries} {'try' if row.tries == 1 else 'tries'}" if row.tries else "to be tried again"
        tried = f"{tries}: {row.error}"
    return printable(f"{row.transition.key}  {row.hook}  {tried}")
