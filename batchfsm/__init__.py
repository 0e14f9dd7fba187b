"""The formal state machine behind the OpenAI Batch API: observe snapshots, fire hooks, audit logs."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchfsm import diagram as diagram
    from batchfsm import machine as machine
    from batchfsm.auditing import Flow as Flow
    from batchfsm.auditing import Report as Report
    from batchfsm.auditing import audit as audit
    from batchfsm.dialects import DIALECTS as DIALECTS
    from batchfsm.dialects import Dialect as Dialect
    from batchfsm.errors import BatchfsmError as BatchfsmError
    from batchfsm.errors import DefinitionError as DefinitionError
    from batchfsm.errors import MissingExtraError as MissingExtraError
    from batchfsm.errors import SnapshotError as SnapshotError
    from batchfsm.errors import SourceError as SourceError
    from batchfsm.errors import UnknownNameError as UnknownNameError
    from batchfsm.finding import Finding as Finding
    from batchfsm.finding import Place as Place
    from batchfsm.finding import Verdict as Verdict
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
    from batchfsm.wire import parse as parse

_HOMES = {
    "AsyncMonitor": "monitor",
    "BatchError": "snapshot",
    "BatchState": "monitor",
    "BatchfsmError": "errors",
    "DIALECTS": "dialects",
    "DefinitionError": "errors",
    "Dialect": "dialects",
    "Finding": "finding",
    "Flow": "auditing",
    "HookError": "monitor",
    "IllegalTransitionError": "monitor",
    "Lifecycle": "lifecycle",
    "MissingExtraError": "errors",
    "Monitor": "monitor",
    "OPENAI": "lifecycle",
    "Observation": "monitor",
    "Place": "finding",
    "RULES": "rules",
    "Report": "auditing",
    "RequestCounts": "snapshot",
    "Rule": "rules",
    "Snapshot": "snapshot",
    "SnapshotError": "errors",
    "SourceError": "errors",
    "State": "lifecycle",
    "Status": "lifecycle",
    "Step": "lifecycle",
    "Transition": "route",
    "UnknownNameError": "errors",
    "Unreadable": "logs",
    "Verdict": "finding",
    "audit": "auditing",
    "diagram": "",
    "machine": "",
    "parse": "wire",
    "report": "reporting",
}

__all__ = [
    "DIALECTS",
    "OPENAI",
    "RULES",
    "AsyncMonitor",
    "BatchError",
    "BatchState",
    "BatchfsmError",
    "DefinitionError",
    "Dialect",
    "Finding",
    "Flow",
    "HookError",
    "IllegalTransitionError",
    "Lifecycle",
    "MissingExtraError",
    "Monitor",
    "Observation",
    "Place",
    "Report",
    "RequestCounts",
    "Rule",
    "Snapshot",
    "SnapshotError",
    "SourceError",
    "State",
    "Status",
    "Step",
    "Transition",
    "UnknownNameError",
    "Unreadable",
    "Verdict",
    "audit",
    "diagram",
    "machine",
    "parse",
    "report",
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
