"""A whole Batch API for unit tests: virtual time, scenarios, faults, strategies, asserts."""

from batchfsm.testing.api import FakeBatchAPI
from batchfsm.testing.clock import Clock, SpeedClock, VirtualClock
from batchfsm.testing.faults import FAULTS, Fault
from batchfsm.testing.life import Knot, Life, Timeline
from batchfsm.testing.messages import Answer, Call, Request
from batchfsm.testing.outcomes import RequestError
from batchfsm.testing.scenario import Scenario, ScenarioError

__all__ = [
    "FAULTS",
    "Answer",
    "Call",
    "Clock",
    "FakeBatchAPI",
    "Fault",
    "Knot",
    "Life",
    "Request",
    "RequestError",
    "Scenario",
    "ScenarioError",
    "SpeedClock",
    "Timeline",
    "VirtualClock",
]
