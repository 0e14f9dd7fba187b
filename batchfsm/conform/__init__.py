"""What a client can find out of a server that says it is compatible: a scorecard of endpoints and rules."""

from batchfsm.conform.http import Caller, UnreachableError, caller
from batchfsm.conform.runner import POLL_S, TIMEOUT_S, conform
from batchfsm.conform.scorecard import Check, Result, Scorecard

__all__ = ["POLL_S", "TIMEOUT_S", "Caller", "Check", "Result", "Scorecard", "UnreachableError", "caller", "conform"]
