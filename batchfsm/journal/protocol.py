"""The protocol of journals, and the rows that a monitor and a journal exchange."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal, Protocol

import attrs

from batchfsm.journal.retry import NEVER_TRIED, RetryState
from batchfsm.route import Transition

HookCall = Callable[[str, Transition], Any]
"""Calls the hook of that name with a transition, and returns the hook's result."""

CommitResult = Literal["leased", "queued"]
"""
The state of an update's deliveries.

`leased`: the monitor that committed the update makes them. `queued`: another monitor still has earlier first tries of
the batch, and the monitor that claims those claims these too.
"""


@attrs.frozen(kw_only=True)
class StoredBatch:
    """One batch as a journal stores it."""

    revision: int
    """Number of the last update; the first is 1."""

    state: str
    """The batch record as the monitor wrote it; JSON, which journals do not read."""


@attrs.frozen
class OutboxEntry:
    """One transition and the hooks to call for it."""

    transition: Transition
    """The transition."""

    hooks: tuple[str, ...]
    """Names, in order of registration."""


@attrs.frozen(kw_only=True)
class BatchUpdate:
    """The changes that one observation makes to one batch; a journal writes all of them or none."""

    batch_id: str
    """The id of the batch."""

    owner: str
    """The monitor that writes, and leases the deliveries: a name from `register_owner`."""

    expected: int
    """The revision that the update was computed from; 0 for a batch that is not stored yet."""

    state: str
    """The batch record; JSON, which journals do not read."""

    entries: Sequence[OutboxEntry]
    """The new transitions and their hooks, in order."""

    ended_at: float | None = None
    """When the batch entered its final status, Unix seconds; None while it is open, 0 if no time is known."""


@attrs.frozen(kw_only=True)
class PendingDelivery:
    """One hook that has yet to return for one transition."""

    transition: Transition
    """The transition with its snapshot, as observed."""

    hook: str
    """The name of the hook."""

    retry: RetryState = NEVER_TRIED
    """The failed tries so far."""

    error: str | None = None
    """The last error; None before any."""


@attrs.frozen(kw_only=True)
class DeliveryOutcome:
    """The outcome of one call of one hook."""

    batch_id: str
    """The id of the batch."""

    key: str
    """Key of the transition."""

    hook: str
    """The name of the hook."""

    error: str | None = None
    """The error that the hook raised; None if the hook returned, which ends the delivery."""

    retry: RetryState = NEVER_TRIED
    """The failed tries, this one included."""


@attrs.frozen(kw_only=True)
class FailureCounts:
    """Number of deliveries whose hooks have raised and have yet to return."""

    failing: int = 0
    """Deliveries that will be tried again."""

    dead: int = 0
    """Dead letters: deliveries that were given up."""


@attrs.frozen(kw_only=True)
class PruneResult:
    """The numbers of batches that a call of `prune` shrank and left whole."""

    pruned: int
    """Batches that were shrunk."""

    kept: int
    """Batches old enough that stay whole, because a hook has yet to return, or is dead."""


class Journal(Protocol):
    """
    A store for the records of batches and for deliveries. All methods may be called from any thread.

    A method that fails raises `JournalError` and has changed nothing. After an interrupted connection the change may
    have been made all the same, so a monitor loads the batch again. The monitor that is about to call a hook *leases*
    the delivery: no other monitor gets it while the process of the first one is alive.
    """

    @property
    def is_remote(self) -> bool:
        """True if other processes call the hooks on transitions; then the monitor calls none."""

    def register_owner(self, call: HookCall) -> str:
        """Return a name for one monitor. The name counts as alive until the journal is closed or its process ends."""

    def load(self, batch_id: str) -> StoredBatch | None:
        """Return a stored batch; None if there is none of that id."""

    def commit(self, change: BatchUpdate) -> CommitResult | None:
        """
        Write a batch, its transitions and their deliveries in one transaction.

        The owner leases the deliveries, unless another monitor has earlier first tries of the batch. Then the monitor
        that claims those claims these too, and calls them afterwards.

        Returns:
            None if the stored revision is not the expected one. Then nothing was written.
        """

    def batches_with_pending(self, now: float | None) -> list[str]:
        """Return the ids of batches with deliveries that are due at `now` (None: at any time), leased ones included."""

    def claim(
        self, batch_id: str, owner: str, hooks: Collection[str], *, retry: bool, now: float | None
    ) -> list[PendingDelivery]:
        """
        Lease the deliveries of a batch that no living monitor leases.

        While another living monitor leases a first try of the batch, this method leases no further first try. So all
        first tries of a batch are made in order.

        Args:
            batch_id: The batch.
            owner: The monitor that calls the hooks.
            hooks: The names of the hooks that it has.
            retry: False for deliveries that were never tried.
            now: The time, to leave out deliveries that are not due; Unix seconds. None to leave out none.

        Returns:
            All deliveries that the owner now leases, in order of transitions, then of registration.
        """

    def record(self, outcome: DeliveryOutcome) -> None:
        """Delete a delivery whose hook returned; release one whose hook raised."""

    def release_leases(self, batch_id: str, owner: str) -> None:
        """Release all deliveries of a batch that the owner leases."""

    def forget(self, batch_id: str) -> None:
        """Delete a batch with its transitions and deliveries."""

    def count(self) -> int:
        """Return the number of stored batches."""

    def batch_ids(self, *, only_open: bool = False) -> tuple[str, ...]:
        """
        Return the ids of the stored batches, in the order in which the journal first saw them.

        Args:
            only_open: True to leave out the batches whose last update had an `ended_at`.
        """

    def pending(self, *, dead: bool = False) -> list[PendingDelivery]:
        """Return the deliveries that are not dead letters, or the dead letters; in order of batches."""

    def count_failures(self, hooks: Collection[str]) -> FailureCounts:
        """Return the number of failing deliveries to these hooks, and of dead letters to any hook."""

    def requeue_dead(self) -> int:
        """Make all dead letters pending, as if never tried; return their number."""

    def drop_dead(self) -> int:
        """Delete all dead letters; return their number."""

    def prune(self, *, ended_before: float) -> PruneResult:
        """
        Shrink the batches that ended before a time and have no delivery left.

        Their records stay, compressed, so that a batch that is observed again fires no hook twice. The rows of their
        transitions are deleted.

        Args:
            ended_before: Unix seconds. A batch that ended at an unknown time ended before any.
        """

    def close(self) -> None:
        """Close the database and release the leases of this journal's monitors."""
