"""What a client can find out of a server that says it is compatible: a scorecard of endpoints and rules."""

from batchfsm.conform.calling import Caller, UnreachableError, caller
from batchfsm.conform.running import POLL_S, TIMEOUT_S, conform
from batchfsm.conform.scorecard import Result, Score, Scorecard

__all__ = ["POLL_S", "TIMEOUT_S", "Caller", "Result", "Score", "Scorecard", "UnreachableError", "caller", "conform"]
