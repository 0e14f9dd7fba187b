"""
A Batch API for unit tests: virtual time, scenarios, faults, strategies, assertions.

The strategies need Hypothesis, the extra `testing`; everything else has no dependencies.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from batchfsm.errors import needs_extra
from batchfsm.testing.api import FakeBatchAPI
from batchfsm.testing.assertions import assert_consistent, assert_fired_once, assert_lifecycle
from batchfsm.testing.clock import Clock, SpeedClock, VirtualClock
from batchfsm.testing.faults import FAULTS, Fault
from batchfsm.testing.http import Answer, Call, Request
from batchfsm.testing.recordings import Recording, recordings
from batchfsm.testing.result_files import RequestError
from batchfsm.testing.scenario import BatchPlan, Scenario
from batchfsm.testing.scenario_parser import ScenarioError
from batchfsm.testing.server import Server
from batchfsm.testing.timeline import BatchLife, ProgressPoint, Timeline
from batchfsm.testing.webhooks import Webhook, webhook

if TYPE_CHECKING:
    from batchfsm.testing.strategies import broken, histories, polls, timelines

__all__ = [
    "FAULTS",
    "Answer",
    "BatchLife",
    "BatchPlan",
    "Call",
    "Clock",
    "FakeBatchAPI",
    "Fault",
    "ProgressPoint",
    "Recording",
    "Request",
    "RequestError",
    "Scenario",
    "ScenarioError",
    "Server",
    "SpeedClock",
    "Timeline",
    "VirtualClock",
    "Webhook",
    "assert_consistent",
    "assert_fired_once",
    "assert_lifecycle",
    "broken",
    "histories",
    "polls",
    "recordings",
    "timelines",
    "webhook",
]

_STRATEGIES = ("broken", "histories", "polls", "timelines")


def __getattr__(name: str) -> object:
    """Import the strategies on first use: nothing else needs Hypothesis."""
    if name not in _STRATEGIES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    with needs_extra(f"the strategy {name}", "testing"):
        import hypothesis  # noqa: F401, PLC0415  # An extra.
    value = getattr(import_module("batchfsm.testing.strategies"), name)
    globals()[name] = value
    return value
