"""Injected faults, and the answers that duplicate and reordered faults repeat."""

from __future__ import annotations

import json
from math import inf
from threading import Lock
from typing import get_args

import attrs

from batchfsm.errors import UnknownNameError
from batchfsm.testing.faults import FAULTS, Fault
from batchfsm.testing.http import Answer, Operation, Request


@attrs.frozen(kw_only=True)
class InjectionOptions:
    """Scope and numbers of an injected fault; see `FakeBatchAPI.inject`."""

    on: str | None
    batch_id: str | None
    lag_s: float | None
    retry_after_s: float
    byte_interval_s: float


@attrs.define(eq=False)
class Injection:
    """An injected fault, with the number of requests that it still applies to."""

    fault: Fault
    requests_left: float
    """Number of requests that it still applies to; infinite if only time or `clear` ends it."""
    until: float
    """Time of its end; Unix seconds."""
    options: InjectionOptions

    @property
    def lag_s(self) -> float:
        """The lag that was injected, or the fault's default; seconds. 0 for a fault without one."""
        return (self.fault.lag_s or 0) if self.options.lag_s is None else self.options.lag_s

    def matches(self, operation: Operation | None, request: Request, now: float) -> bool:
        """Return True if the fault applies to a request."""
        on, batch_id = self.options.on, self.options.batch_id
        return (
            self.requests_left > 0
            and now < self.until
            and (request.method == "GET" or not self.fault.reads_only)
            and self.fault.operation in (None, operation)
            and (on is None or (operation or "").startswith(on))
            and (batch_id is None or batch_id in request.path.split("/"))
        )


def _check_scope(times: object, batch_id: object) -> None:
    """Refuse a number of requests and an id that would apply to no request."""
    if times is not None and (not isinstance(times, int) or isinstance(times, bool)):
        raise TypeError(f"times is a number of requests, not {times!r}")
    if times is not None and times < 1:
        raise ValueError(f"a fault meets at least one request: {times}")
    if not isinstance(batch_id, str | None):
        raise TypeError(f"batch_id is the id of a batch, text, not {batch_id!r}")


class FaultQueue:
    """The injected faults, in order of injection; thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._injections: list[Injection] = []
        self._answers: dict[tuple[str, ...], tuple[Answer, ...]] = {}

    def add(
        self, name: str, options: InjectionOptions, *, times: int | None, lasts_s: float | None, now: float
    ) -> None:
        """Add a fault; see `FakeBatchAPI.inject`."""
        if name not in FAULTS:
            raise UnknownNameError("fault", name, FAULTS)
        fault = FAULTS[name]
        if options.on is not None and not any(each.startswith(options.on) for each in get_args(Operation)):
            raise UnknownNameError("request", options.on, get_args(Operation))
        if options.lag_s is not None and fault.lag_s is None:
            takers = ", ".join(each.name for each in FAULTS.values() if each.lag_s is not None)
            raise ValueError(f"{name} takes no lag; those that do: {takers}")
        _check_scope(times, options.batch_id)
        requests_left = times or (1 if lasts_s is None and not fault.lasts else inf)
        until = inf if lasts_s is None else now + lasts_s
        with self._lock:
            self._injections.append(Injection(fault, requests_left, until, options))

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._injections.clear()

    def pop_matching(self, operation: Operation | None, request: Request, now: float) -> Injection | None:
        """
        Return the first fault that applies to a request, and count the request; None if no fault applies.

        Faults that end after a number of requests come before those that last: else nothing
        could be injected beside a list that is never refreshed.
        """
        with self._lock:
            found = [each for each in self._injections if each.matches(operation, request, now)]
            if not found:
                return None
            first = min(found, key=lambda injection: injection.requests_left == inf)
            first.requests_left -= 1
            return first

    def previous_answers(self, request: Request) -> tuple[Answer, ...]:
        """Return the last two answers to the same request, the latest last."""
        with self._lock:
            return self._answers.get(_key(request), ())

    def record_answer(self, request: Request, answer: Answer) -> None:
        """Store the answer to a GET request for duplicate and reordered faults."""
        if answer.breaks is None and request.method == "GET":
            with self._lock:
                previous = self._answers.get(_key(request), ())
                self._answers[_key(request)] = (*previous[-1:], answer)


def _key(request: Request) -> tuple[str, ...]:
    return (request.path, json.dumps(sorted(request.query.items())))
