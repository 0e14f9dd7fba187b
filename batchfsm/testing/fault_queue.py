"""Faults that wait for requests, and what was answered before."""

from __future__ import annotations

import json
from math import inf
from threading import Lock
from typing import Any

import attrs

from batchfsm.errors import UnknownNameError
from batchfsm.testing.faults import FAULTS, Fault
from batchfsm.testing.http import Answer, Operation, Request


@attrs.define(eq=False)
class Injection:
    """A fault that waits for requests."""

    fault: Fault
    left: float
    """How many requests it still meets."""
    until: float
    """When it is over; Unix seconds."""
    on: str | None
    batch_id: str | None
    lag_s: float
    retry_after_s: float

    def meets(self, operation: Operation | None, request: Request, now: float) -> bool:
        """Tell whether it meets a request."""
        return (
            self.left > 0
            and (request.method == "GET" or not self.fault.reads_only)
            and now < self.until
            and (self.on is None or (operation or "").startswith(self.on))
            and (self.batch_id is None or self.batch_id in request.path.split("/"))
        )


class FaultQueue:
    """The faults that wait, in the order in which they were injected; thread-safe."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = Lock()
        self._waiting: list[Injection] = []
        self._answers: dict[tuple[str, ...], tuple[Answer, ...]] = {}

    def add(self, name: str, *, times: int | None, lasts_s: float | None, now: float, **others: Any) -> None:
        """Let a fault wait; see `FakeBatchAPI.inject`."""
        if name not in FAULTS:
            raise UnknownNameError("fault", name, FAULTS)
        if times is None:
            times_left = 1 if lasts_s is None else inf
        elif times > 0:
            times_left = times
        else:
            raise ValueError(f"a fault meets at least one request: {times}")
        until = inf if lasts_s is None else now + lasts_s
        with self._lock:
            self._waiting.append(Injection(FAULTS[name], times_left, until, **others))

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._waiting.clear()

    def draw(self, operation: Operation | None, request: Request, now: float) -> Injection | None:
        """Return the first fault that meets a request, and count that; None if none does."""
        with self._lock:
            found = next((each for each in self._waiting if each.meets(operation, request, now)), None)
            if found is not None:
                found.left -= 1
            return found

    def before(self, request: Request) -> tuple[Answer, ...]:
        """Return what was answered to such a request before, the latest last; two at most."""
        with self._lock:
            return self._answers.get(_same(request), ())

    def note(self, request: Request, answer: Answer) -> None:
        """Remember an answer, for those that come too late or twice."""
        if answer.breaks is None and request.method == "GET":
            with self._lock:
                before = self._answers.get(_same(request), ())
                self._answers[_same(request)] = (*before[-1:], answer)


def _same(request: Request) -> tuple[str, ...]:
    return (request.path, json.dumps(sorted(request.query.items())))
