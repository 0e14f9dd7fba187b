"""Scorecards of servers that claim to be compatible: each endpoint and each rule, as a client observes it."""

from batchfsm.conform.http import Caller, UnreachableError, http_caller
from batchfsm.conform.runner import POLL_S, TIMEOUT_S, conform
from batchfsm.conform.scorecard import Check, Result, Scorecard
from batchfsm.conform.session import WaitProgress

__all__ = [
    "POLL_S",
    "TIMEOUT_S",
    "Caller",
    "Check",
    "Result",
    "Scorecard",
    "UnreachableError",
    "WaitProgress",
    "conform",
    "http_caller",
]
