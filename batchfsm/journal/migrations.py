"""The tables of a journal, version by version, in SQL that SQLite 3.35 and PostgreSQL both understand."""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
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
)
"""What makes each version of the schema out of the one before; their number is the version."""
