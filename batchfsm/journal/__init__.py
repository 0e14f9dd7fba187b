"""Durable storage of batch records, transitions and pending deliveries to hooks."""

from batchfsm.journal.factory import is_server, open_journal
from batchfsm.journal.fork import ForkHandler, call_around_fork
from batchfsm.journal.postgres import PostgresJournal
from batchfsm.journal.procrastinate import ProcrastinateJournal
from batchfsm.journal.protocol import (
    BatchUpdate,
    CommitResult,
    DeliveryOutcome,
    FailureCounts,
    Journal,
    OutboxEntry,
    PendingDelivery,
    PruneResult,
    StoredBatch,
)
from batchfsm.journal.retry import BACKOFF_S, BACKOFF_S_MAX, NEVER_TRIED, TRIES_MAX, RetryState, backoff_s, error_text
from batchfsm.journal.sqlite import SQLiteJournal

__all__ = [
    "BACKOFF_S",
    "BACKOFF_S_MAX",
    "NEVER_TRIED",
    "TRIES_MAX",
    "BatchUpdate",
    "CommitResult",
    "DeliveryOutcome",
    "FailureCounts",
    "ForkHandler",
    "Journal",
    "OutboxEntry",
    "PendingDelivery",
    "PostgresJournal",
    "ProcrastinateJournal",
    "PruneResult",
    "RetryState",
    "SQLiteJournal",
    "StoredBatch",
    "backoff_s",
    "call_around_fork",
    "error_text",
    "is_server",
    "open_journal",
]
