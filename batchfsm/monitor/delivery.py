"""Undelivered hooks of each batch, and the runs that call them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from threading import Lock
from typing import Any, Final, cast

import attrs

from batchfsm.errors import JournalError
from batchfsm.journal import DeliveryOutcome, FailureCounts, error_text
from batchfsm.monitor.hooks import Delivery
from batchfsm.monitor.observation import HookError, IllegalTransitionError, Observation


@attrs.define(eq=False)
class Outbox:
    """The undelivered hooks of one batch; a batch without any has no outbox."""

    queue: deque[Delivery] = attrs.field(factory=deque)
    failed: list[Delivery] = attrs.field(factory=list)
    """Hooks that raised; `redeliver` calls them again. With a journal only hooks on findings are here."""
    current_run: DeliveryRun | None = None
    """The run that is calling the hooks of this batch; None if the batch is idle."""
    has_rows_in_journal: bool = False
    """True after an interrupt: the journal has undelivered hooks of this batch, which come before any other."""


@attrs.define(eq=False)
class DeliveryRun:
    """The delivery of one batch's hooks, on behalf of one `observe` or of `redeliver`."""

    batch_id: str
    now: float | None
    """The time that the caller gave; Unix seconds."""
    observation: Observation | None = None
    error: IllegalTransitionError | None = None
    outbox: Outbox | None = None
    """The outbox that this run empties; None if another run does, or if it was empty."""

    def add_failure(self, delivery: Delivery, error: Exception, how_to_retry: str) -> Delivery:
        """Note on an error which hook raised it, and how to retry a dead one; return it with one more failed call."""
        failed = attrs.evolve(delivery, retry=delivery.retry.after_failure(self.now))
        error.add_note(f"batchfsm: raised by the hook {delivery.hook.name} on {delivery.subject_name}")
        if failed.retry.is_dead and not delivery.retry.is_dead:
            error.add_note(f"batchfsm: given up after {failed.retry.tries} tries; {how_to_retry}")
        return failed

    def hand_over(self, outer: RunQueue) -> bool:
        """Append the run to the queue of the hook that observes; return False if the queue is closed."""
        if not outer.append(self):
            return False
        # Its hooks run after it has been returned.
        self.observation = attrs.evolve(cast("Observation", self.observation), delivered=False)
        if self.error is not None:
            self.error.observation = self.observation
        return True

    def release(self) -> None:
        """Make the batch idle, unless another run has begun since."""
        if self.outbox is not None and self.outbox.current_run is self:
            self.outbox.current_run = None

    def result(self, failures: Sequence[Exception]) -> Observation:
        """
        Return the observation.

        Raises:
            IllegalTransitionError: Under `on_illegal="raise"`; then `HookError` is its cause.
            HookError: If hooks raised.
        """
        failed = hook_error(failures, self.observation)
        if self.error is not None:
            raise self.error from failed
        if failed is not None:
            raise failed
        return cast("Observation", self.observation)


class RunQueue:
    """
    The runs of one outermost `observe` or `redeliver`.

    A hook that observes another batch appends a run here. It starts after the present one, and not inside the hook:
    otherwise a chain of batches would end in `RecursionError`.
    """

    __slots__ = ("_lock", "_outer", "_runs", "failures", "is_open", "store")

    def __init__(self, store: object, run: DeliveryRun) -> None:
        self.store = store
        self.failures: list[Exception] = []
        """The errors that hooks have raised in all runs so far."""
        self.is_open = True
        """False once all runs have ended, or one was interrupted."""
        self._lock = Lock()
        self._runs = [run]
        self._outer: tuple[RunQueue, ...] = ()

    def next_run(self) -> DeliveryRun | None:
        """Remove the current run, which has ended, and return the next one; after the last, close the queue."""
        with self._lock:
            del self._runs[0]
            self.is_open = bool(self._runs)
            return self._runs[0] if self._runs else None

    def append(self, run: DeliveryRun) -> bool:
        """Append a run; return False, and append nothing, if the queue is closed."""
        with self._lock:
            if self.is_open:
                self._runs.append(run)
            return self.is_open

    def remove(self, run: DeliveryRun) -> None:
        """Remove a run if it is in the queue."""
        with self._lock, suppress(ValueError):
            self._runs.remove(run)

    def close(self, error: BaseException) -> list[DeliveryRun]:
        """Close the queue after an error and return its unfinished runs; note on a JournalError which hooks raised."""
        if isinstance(error, JournalError):
            for failure in self.failures:
                error.add_note(f"batchfsm: before that, a hook raised {failure!r}; it stays pending")
        with self._lock:
            self.is_open = False
            return list(self._runs)

    def __enter__(self) -> None:
        """Make this the queue that `enclosing_queue` returns in hooks, and in tasks that they start."""
        self._outer = _ENTERED.get() and tuple([queue for queue in _ENTERED.get() if queue.is_open])
        _ENTERED.set((*self._outer, self))

    def __exit__(self, *_: object) -> None:
        """Restore the queues of before."""
        # A token could not be used where a coroutine is closed in another context than it ran in.
        _ENTERED.set(self._outer)


_ENTERED: Final[ContextVar[tuple[RunQueue, ...]]] = ContextVar("batchfsm_run_queues", default=())
"""The queues whose hooks are running in this context: one, or more if a hook uses a second monitor."""


def enclosing_queue(store: object) -> RunQueue | None:
    """Return the open queue of a store if a hook of that queue is running in this context."""
    for queue in _ENTERED.get():
        if queue.store is store and queue.is_open:
            return queue
    return None


def hook_error(
    failures: Sequence[Exception], observation: Observation | None, counts: FailureCounts | None = None
) -> HookError | None:
    """Return the errors of hooks as one `HookError`; None if there are none."""
    return HookError("hooks raised; they stay pending", failures, observation, counts) if failures else None


def success_of(delivery: Delivery) -> DeliveryOutcome:
    """Return the outcome that removes a delivery from the journal."""
    transition: Any = delivery.subject
    return DeliveryOutcome(batch_id=transition.batch_id, key=transition.key, hook=delivery.hook.name)


def failure_of(delivery: Delivery, error: Exception) -> DeliveryOutcome:
    """Return the outcome that sets the back-off of a delivery in the journal, or makes it a dead letter."""
    return attrs.evolve(success_of(delivery), error=error_text(error), retry=delivery.retry)
