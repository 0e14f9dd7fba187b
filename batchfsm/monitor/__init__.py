"""The live machine: it observes snapshots and calls hooks on each transition."""

from batchfsm.monitor.async_monitor import AsyncMonitor
from batchfsm.monitor.observation import HookError, IllegalTransitionError, Observation, TrackedBatch
from batchfsm.monitor.sync_monitor import Monitor

__all__ = ["AsyncMonitor", "HookError", "IllegalTransitionError", "Monitor", "Observation", "TrackedBatch"]
