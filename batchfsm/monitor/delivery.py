"""What is still to be called for one batch, and whose turn it is to call it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import attrs

from batchfsm.journal import TRIES_MAX, DeliveryOutcome, backoff_s, error_text
from batchfsm.monitor.hooks import Delivery
from batchfsm.monitor.observation import HookError, IllegalTransitionError, Observation
from batchfsm.route import Transition


@attrs.define(eq=False)
class FailedDelivery:
    """A hook that raised, kept in memory: all of them without a journal, and those on findings always."""

    delivery: Delivery
    """What is to be called, and how often it has raised now."""

    at: float | None
    """When, as far as the caller said; Unix seconds."""

    def is_due(self, now: float | None) -> bool:
        """Tell whether it is to be tried again; without a time, always."""
        *_, tries = self.delivery
        if now is None:
            return True
        # A clock that was set back puts `now` before the failure: then the wait would have an end nobody meant.
        return tries < TRIES_MAX and not (self.at is not None and self.at <= now < self.at + backoff_s(tries))


@attrs.define(eq=False)
class Outbox:
    """What is still to be called for one batch; there is none for a batch without."""

    queue: list[Delivery]
    failed: tuple[FailedDelivery, ...] = ()
    """What raised, and waits for `redeliver`."""
    turn: DeliveryRun | None = None
    """Whoever calls the hooks of this batch now."""
    is_left: bool = False
    """True if an interrupt has left the rest to the journal, which is asked for it before anything else."""


@attrs.define(eq=False)
class DeliveryRun:
    """One call of `observe`, or of one batch's hooks by `redeliver`; what is left to do in it."""

    batch_id: str = ""
    now: float | None = None
    """What time it is, as far as the caller said; Unix seconds."""
    observation: Observation | None = None
    error: IllegalTransitionError | None = None
    outbox: Outbox | None = None
    """What it is to deliver; None if someone else does, or nothing is left."""
    failures: tuple[Exception, ...] = ()
    """What hooks have raised."""

    def returned(self) -> DeliveryOutcome | None:
        """Take off what was called; return what a journal has to know of it, if it has."""
        outbox: Any = self.outbox
        hook, subject, _ = outbox.queue.pop(0)
        return _outcome(hook.name, subject) if isinstance(subject, Transition) else None

    def raised(self, error: Exception, *, is_journaled: bool) -> DeliveryOutcome | None:
        """Take off what was called and raised, and say on the error what that was; return as `returned` does."""
        outbox: Any = self.outbox
        hook, subject, tries = outbox.queue[0]
        what = subject.key if isinstance(subject, Transition) else f"{subject.rule} of {subject.batch_id}"
        error.add_note(f"batchfsm: raised by the hook {hook.name} on {what}")
        self.failures += (error,)
        tries += 1
        if tries == TRIES_MAX:
            error.add_note(f"batchfsm: given up after {tries} tries")
        if is_journaled and isinstance(subject, Transition):
            del outbox.queue[0]
            return _outcome(hook.name, subject, error=error, tries=tries, now=self.now)
        outbox.failed += (FailedDelivery((hook, subject, tries), self.now),)
        del outbox.queue[0]
        return None

    def mention(self, error: Exception) -> None:
        """Say on the error that ends the turn which hooks had raised before."""
        for failure in self.failures:
            error.add_note(f"batchfsm: before that, a hook raised {failure!r}; it stays pending")

    def release(self) -> None:
        """Leave the batch idle, with what is still queued."""
        if self.outbox is not None and self.outbox.turn is self:
            self.outbox.turn = None

    def result(self) -> Observation:
        """Return the observation, or raise what it ends with: the illegal move goes before what hooks raised."""
        if self.observation is not None and not self.failures and self.error is None:
            return self.observation
        failed = hook_error(self.failures, self.observation)
        if self.error is not None:
            raise self.error from failed
        raise cast("HookError", failed)


def hook_error(failures: Sequence[Exception], observation: Observation | None) -> HookError | None:
    """Return what hooks raised as one error; None if none did."""
    return HookError("hooks raised; they stay pending", failures, observation) if failures else None


def of_batch(delivery: Delivery) -> tuple[str, str] | None:
    """Return what tells a delivery of a transition from the others of its batch; None for a finding's."""
    hook, subject, _ = delivery
    return (subject.key, hook.name) if isinstance(subject, Transition) else None


def _outcome(
    hook: str, subject: Transition, *, error: Exception | None = None, tries: int = 0, now: float | None = None
) -> DeliveryOutcome:
    if error is None:
        return DeliveryOutcome(batch_id=subject.batch_id, key=subject.key, hook=hook)
    at = now or 0.0
    return DeliveryOutcome(
        batch_id=subject.batch_id,
        key=subject.key,
        hook=hook,
        error=error_text(error),
        tries=tries,
        failed_at=at,
        due_at=at and at + backoff_s(tries),
        dead=tries >= TRIES_MAX,
    )
