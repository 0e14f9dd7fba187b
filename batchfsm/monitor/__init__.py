"""The live machine: it observes snapshots and calls hooks on each transition."""

from batchfsm.monitor.asynchronous import AsyncMonitor
from batchfsm.monitor.observation import BatchState, HookError, IllegalTransitionError, Observation
from batchfsm.monitor.synchronous import Monitor

__all__ = ["AsyncMonitor", "BatchState", "HookError", "IllegalTransitionError", "Monitor", "Observation"]
