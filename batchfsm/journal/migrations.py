"""Migrations of a journal's tables, in SQL that SQLite 3.35 and PostgreSQL both understand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from batchfsm.lifecycle import OPENAI

_LEG_FIELDS: Final = 6
"""Source, target, event, evidence, whether the target is final, and the time: one transition in a stored state."""

Migration = tuple[str | Callable[[Callable[..., Any]], None], ...]
"""Statements, and functions that are given the function that runs a statement."""


def _fill_order_and_end(execute: Callable[..., Any]) -> None:
    """
    Set `number` and `ended_at` of batches that an older version stored.

    The older version stored neither, so both come from the stored transitions: batches are numbered by the time of
    their first transition, and the final statuses are OpenAI's and those that a transition in the journal marks so.
    """
    rows = execute("SELECT id, state FROM batchfsm_batches").fetchall()
    states = {batch_id: _status_and_legs(state) for batch_id, state in rows}
    final = {target for _, legs in states.values() for _, target, _, _, is_final, _ in legs if is_final}
    final |= OPENAI.terminal
    times = {batch_id: [at for *_, at in legs if at is not None] for batch_id, (_, legs) in states.items()}
    for number, batch_id in enumerate(sorted(states, key=lambda each: (min(times[each], default=0), each)), 1):
        status, _ = states[batch_id]
        ended_at = max(times[batch_id], default=0) if status in final else None
        execute("UPDATE batchfsm_batches SET number = ?, ended_at = ? WHERE id = ?", number, ended_at, batch_id)


def _status_and_legs(state: str) -> tuple[str | None, list[list[Any]]]:
    """Return two parts of a stored state; of a damaged one, which raises an error when it is loaded, nothing."""
    try:
        form = json.loads(state)
        return form["status"], [leg for leg in form["legs"] if len(leg) == _LEG_FIELDS]
    except (KeyError, TypeError, ValueError):
        return None, []


MIGRATIONS: Final[tuple[Migration, ...]] = (
    (
        """
CREATE TABLE batchfsm_batches (
    id TEXT PRIMARY KEY,
    revision BIGINT NOT NULL,
    writer TEXT NOT NULL,
    state TEXT NOT NULL
)""",
        """
CREATE TABLE batchfsm_transitions (
    batch_id TEXT NOT NULL,
    key TEXT NOT NULL,
    revision BIGINT NOT NULL,
    number INTEGER NOT NULL,
    transition TEXT NOT NULL,
    snapshot TEXT,
    PRIMARY KEY (batch_id, key)
)""",
        """
CREATE TABLE batchfsm_deliveries (
    batch_id TEXT NOT NULL,
    key TEXT NOT NULL,
    hook TEXT NOT NULL,
    number INTEGER NOT NULL,
    owner TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    failed_at DOUBLE PRECISION NOT NULL DEFAULT 0,
    due_at DOUBLE PRECISION NOT NULL DEFAULT 0,
    error TEXT,
    dead INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (batch_id, key, hook)
)""",
    ),
    (
        "ALTER TABLE batchfsm_batches ADD COLUMN number BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE batchfsm_batches ADD COLUMN ended_at DOUBLE PRECISION",
        _fill_order_and_end,
        "CREATE INDEX batchfsm_batches_number ON batchfsm_batches (number)",
    ),
)
"""One migration for each version of the schema; their number is the current version."""
