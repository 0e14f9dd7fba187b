"""State machine for batch jobs of the OpenAI Batch API: hooks on transitions, audits of snapshots, a fake API."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchfsm import diagram as diagram
    from batchfsm import journal as journal
    from batchfsm import machine as machine
    from batchfsm import metrics as metrics
    from batchfsm import results as results
    from batchfsm import sources as sources
    from batchfsm import testing as testing
    from batchfsm import tracing as tracing
    from batchfsm import watching as watching
    from batchfsm import webhook as webhook
    from batchfsm.auditing import Report as Report
    from batchfsm.auditing import audit as audit
    from batchfsm.dialects import DIALECTS as DIALECTS
    from batchfsm.dialects import Dialect as Dialect
    from batchfsm.errors import BatchfsmError as BatchfsmError
    from batchfsm.errors import JournalError as JournalError
    from batchfsm.errors import MissingExtraError as MissingExtraError
    from batchfsm.errors import SnapshotError as SnapshotError
    from batchfsm.errors import SourceError as SourceError
    from batchfsm.finding import Finding as Finding
    from batchfsm.journal import PostgresJournal as PostgresJournal
    from batchfsm.journal import SQLiteJournal as SQLiteJournal
    from batchfsm.lifecycle import OPENAI as OPENAI
    from batchfsm.lifecycle import Lifecycle as Lifecycle
    from batchfsm.lifecycle import State as State
    from batchfsm.lifecycle import Step as Step
    from batchfsm.monitor import AsyncMonitor as AsyncMonitor
    from batchfsm.monitor import HookError as HookError
    from batchfsm.monitor import IllegalTransitionError as IllegalTransitionError
    from batchfsm.monitor import Monitor as Monitor
    from batchfsm.monitor import Observation as Observation
    from batchfsm.monitor import TrackedBatch as TrackedBatch
    from batchfsm.reporting import write_report as write_report
    from batchfsm.route import Transition as Transition
    from batchfsm.rules import RULES as RULES
    from batchfsm.snapshot import Snapshot as Snapshot
    from batchfsm.watching import Schedule as Schedule
    from batchfsm.watching import WatchError as WatchError
    from batchfsm.watching import WatchTimeoutError as WatchTimeoutError
    from batchfsm.watching import awatch as awatch
    from batchfsm.watching import watch as watch
    from batchfsm.wire import parse as parse

_NAMES_BY_MODULE = {
    "auditing": ("Report", "audit"),
    "dialects": ("DIALECTS", "Dialect"),
    "errors": ("BatchfsmError", "JournalError", "MissingExtraError", "SnapshotError", "SourceError"),
    "finding": ("Finding",),
    "journal": ("PostgresJournal", "SQLiteJournal"),
    "lifecycle": ("OPENAI", "Lifecycle", "State", "Step"),
    "monitor": ("AsyncMonitor", "HookError", "IllegalTransitionError", "Monitor", "Observation", "TrackedBatch"),
    "reporting": ("write_report",),
    "route": ("Transition",),
    "rules": ("RULES",),
    "snapshot": ("Snapshot",),
    "watching": ("Schedule", "WatchError", "WatchTimeoutError", "awatch", "watch"),
    "wire": ("parse",),
}
_SUBMODULES = ("diagram", "machine", "metrics", "tracing", "webhook")
_PACKAGES = ("journal", "results", "sources", "testing", "watching")  # Public, and imported on first use.
_MODULE_OF_NAME = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names}

__all__ = [*_MODULE_OF_NAME, *_SUBMODULES]  # noqa: PLE0604 - strings, although ruff cannot see it


def _import_name(name: str) -> object:
    """Import a public name on first use, so that `import batchfsm` stays light."""
    if name in _SUBMODULES or name in _PACKAGES:
        return import_module(f"batchfsm.{name}")
    if name not in _MODULE_OF_NAME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"batchfsm.{_MODULE_OF_NAME[name]}"), name)
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # To a type checker every name would be an `object`, misspelled ones too.
    __getattr__ = _import_name


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
