"""Pollers that lose nothing: when to look at which batch, what an answer means, who is told."""

from batchfsm.watching.answers import Fatal, Gone, Transient
from batchfsm.watching.clients import connect, dialect_of
from batchfsm.watching.driving import awatch, watch
from batchfsm.watching.events import Dropped, Event, HooksFailed, Looked, Missed, Stalled
from batchfsm.watching.failing import WatchError, WatchTimeoutError
from batchfsm.watching.schedule import Schedule
from batchfsm.watching.sources import AsyncSource, Source

__all__ = [
    "AsyncSource",
    "Dropped",
    "Event",
    "Fatal",
    "Gone",
    "HooksFailed",
    "Looked",
    "Missed",
    "Schedule",
    "Source",
    "Stalled",
    "Transient",
    "WatchError",
    "WatchTimeoutError",
    "awatch",
    "connect",
    "dialect_of",
    "watch",
]
