"""Watching: polls batches until they have ended, and has a monitor observe each snapshot."""

from batchfsm.watching.api import RESULTS_WAIT_S, awatch, watch
from batchfsm.watching.custom_source import AsyncSnapshotSource, SnapshotSource
from batchfsm.watching.errors import WatchError, WatchTimeoutError
from batchfsm.watching.events import (
    BatchDropped,
    Event,
    HooksDead,
    HooksFailed,
    ListProblem,
    PollFailed,
    PollSucceeded,
    ResultsPending,
    Stalled,
)
from batchfsm.watching.openai_client import connect, dialect_of
from batchfsm.watching.responses import Fatal, Gone, Transient
from batchfsm.watching.schedule import Schedule

__all__ = [
    "RESULTS_WAIT_S",
    "AsyncSnapshotSource",
    "BatchDropped",
    "Event",
    "Fatal",
    "Gone",
    "HooksDead",
    "HooksFailed",
    "ListProblem",
    "PollFailed",
    "PollSucceeded",
    "ResultsPending",
    "Schedule",
    "SnapshotSource",
    "Stalled",
    "Transient",
    "WatchError",
    "WatchTimeoutError",
    "awatch",
    "connect",
    "dialect_of",
    "watch",
]
