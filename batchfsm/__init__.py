"""The formal state machine behind the OpenAI Batch API: observe snapshots, fire hooks, audit logs."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchfsm import diagram as diagram
    from batchfsm import machine as machine
    from batchfsm import metrics as metrics
    from batchfsm import tracing as tracing
    from batchfsm import webhook as webhook
    from batchfsm.auditing import Flow as Flow
    from batchfsm.auditing import Progress as Progress
    from batchfsm.auditing import Report as Report
    from batchfsm.auditing import StateFile as StateFile
    from batchfsm.auditing import audit as audit
    from batchfsm.dialects import DIALECTS as DIALECTS
    from batchfsm.dialects import Dialect as Dialect
    from batchfsm.errors import BatchfsmError as BatchfsmError
    from batchfsm.errors import DefinitionError as DefinitionError
    from batchfsm.errors import JournalError as JournalError
    from batchfsm.errors import MissingExtraError as MissingExtraError
    from batchfsm.errors import SnapshotError as SnapshotError
    from batchfsm.errors import SourceError as SourceError
    from batchfsm.errors import StateError as StateError
    from batchfsm.errors import UnknownNameError as UnknownNameError
    from batchfsm.finding import Finding as Finding
    from batchfsm.finding import Place as Place
    from batchfsm.finding import Verdict as Verdict
    from batchfsm.journal import Journal as Journal
    from batchfsm.journal import PostgresJournal as PostgresJournal
    from batchfsm.journal import ProcrastinateJournal as ProcrastinateJournal
    from batchfsm.journal import SQLiteJournal as SQLiteJournal
    from batchfsm.lifecycle import OPENAI as OPENAI
    from batchfsm.lifecycle import Lifecycle as Lifecycle
    from batchfsm.lifecycle import State as State
    from batchfsm.lifecycle import Status as Status
    from batchfsm.lifecycle import Step as Step
    from batchfsm.logs import Unreadable as Unreadable
    from batchfsm.monitor import AsyncMonitor as AsyncMonitor
    from batchfsm.monitor import BatchState as BatchState
    from batchfsm.monitor import HookError as HookError
    from batchfsm.monitor import IllegalTransitionError as IllegalTransitionError
    from batchfsm.monitor import Monitor as Monitor
    from batchfsm.monitor import Observation as Observation
    from batchfsm.reporting import report as report
    from batchfsm.route import Transition as Transition
    from batchfsm.rules import RULES as RULES
    from batchfsm.rules import Rule as Rule
    from batchfsm.snapshot import BatchError as BatchError
    from batchfsm.snapshot import RequestCounts as RequestCounts
    from batchfsm.snapshot import Snapshot as Snapshot
    from batchfsm.watching import AsyncSource as AsyncSource
    from batchfsm.watching import Dropped as Dropped
    from batchfsm.watching import Event as Event
    from batchfsm.watching import Fatal as Fatal
    from batchfsm.watching import Gone as Gone
    from batchfsm.watching import HooksFailed as HooksFailed
    from batchfsm.watching import Looked as Looked
    from batchfsm.watching import Missed as Missed
    from batchfsm.watching import Schedule as Schedule
    from batchfsm.watching import Source as Source
    from batchfsm.watching import Stalled as Stalled
    from batchfsm.watching import Transient as Transient
    from batchfsm.watching import WatchError as WatchError
    from batchfsm.watching import WatchTimeoutError as WatchTimeoutError
    from batchfsm.watching import awatch as awatch
    from batchfsm.watching import watch as watch
    from batchfsm.wire import parse as parse

_HOMES = {
    "AsyncMonitor": "monitor",
    "AsyncSource": "watching",
    "BatchError": "snapshot",
    "BatchState": "monitor",
    "BatchfsmError": "errors",
    "DIALECTS": "dialects",
    "DefinitionError": "errors",
    "Dialect": "dialects",
    "Dropped": "watching",
    "Event": "watching",
    "Fatal": "watching",
    "Finding": "finding",
    "Flow": "auditing",
    "Gone": "watching",
    "HookError": "monitor",
    "HooksFailed": "watching",
    "IllegalTransitionError": "monitor",
    "Journal": "journal",
    "JournalError": "errors",
    "Lifecycle": "lifecycle",
    "Looked": "watching",
    "Missed": "watching",
    "MissingExtraError": "errors",
    "Monitor": "monitor",
    "OPENAI": "lifecycle",
    "Observation": "monitor",
    "Place": "finding",
    "PostgresJournal": "journal",
    "ProcrastinateJournal": "journal",
    "Progress": "auditing",
    "RULES": "rules",
    "Report": "auditing",
    "RequestCounts": "snapshot",
    "Rule": "rules",
    "SQLiteJournal": "journal",
    "Schedule": "watching",
    "Snapshot": "snapshot",
    "SnapshotError": "errors",
    "Source": "watching",
    "SourceError": "errors",
    "Stalled": "watching",
    "State": "lifecycle",
    "StateError": "errors",
    "StateFile": "auditing",
    "Status": "lifecycle",
    "Step": "lifecycle",
    "Transient": "watching",
    "Transition": "route",
    "UnknownNameError": "errors",
    "Unreadable": "logs",
    "Verdict": "finding",
    "WatchError": "watching",
    "WatchTimeoutError": "watching",
    "audit": "auditing",
    "awatch": "watching",
    "diagram": "",
    "machine": "",
    "metrics": "",
    "parse": "wire",
    "report": "reporting",
    "tracing": "",
    "watch": "watching",
    "webhook": "",
}

__all__ = [
    "DIALECTS",
    "OPENAI",
    "RULES",
    "AsyncMonitor",
    "AsyncSource",
    "BatchError",
    "BatchState",
    "BatchfsmError",
    "DefinitionError",
    "Dialect",
    "Dropped",
    "Event",
    "Fatal",
    "Finding",
    "Flow",
    "Gone",
    "HookError",
    "HooksFailed",
    "IllegalTransitionError",
    "Journal",
    "JournalError",
    "Lifecycle",
    "Looked",
    "Missed",
    "MissingExtraError",
    "Monitor",
    "Observation",
    "Place",
    "PostgresJournal",
    "ProcrastinateJournal",
    "Progress",
    "Report",
    "RequestCounts",
    "Rule",
    "SQLiteJournal",
    "Schedule",
    "Snapshot",
    "SnapshotError",
    "Source",
    "SourceError",
    "Stalled",
    "State",
    "StateError",
    "StateFile",
    "Status",
    "Step",
    "Transient",
    "Transition",
    "UnknownNameError",
    "Unreadable",
    "Verdict",
    "WatchError",
    "WatchTimeoutError",
    "audit",
    "awatch",
    "diagram",
    "machine",
    "metrics",
    "parse",
    "report",
    "tracing",
    "watch",
    "webhook",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that `import batchfsm` stays light."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    home = _HOMES[name]
    value = getattr(import_module(f"batchfsm.{home}"), name) if home else import_module(f"batchfsm.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
