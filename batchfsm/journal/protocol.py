"""What a monitor asks of a journal, and the few kinds of rows that pass between them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal, Protocol

import attrs

from batchfsm.route import Transition

Call = Callable[[str, Transition], Any]
"""Calls the hook of a name with a transition, and returns what it returns."""


Written = Literal["held", "left"]
"""`held`: the writer holds what it wrote. `left`: others have earlier first tries of the batch, which go first."""


@attrs.frozen(kw_only=True)
class StoredBatch:
    """What a journal knows of one batch."""

    revision: int
    """How often it was written; from 1."""

    state: str
    """What the monitor wrote; JSON, opaque to journals."""


@attrs.frozen
class OutboxEntry:
    """One transition, and who is to hear of it."""

    transition: Transition

    hooks: tuple[str, ...]
    """Names, in order of registration."""


@attrs.frozen(kw_only=True)
class BatchUpdate:
    """What one observation did to one batch: all of it is written, or nothing."""

    batch_id: str

    owner: str
    """Who writes, and holds the deliveries: what `enlist` returned."""

    expected: int
    """The revision that it was folded from; 0 if the batch was not known."""

    state: str

    entries: Sequence[OutboxEntry]

    ended_at: float | None = None
    """When the batch entered its final status, Unix seconds; None while it is open, 0 if no time is known."""


@attrs.frozen(kw_only=True)
class PendingDelivery:
    """One hook that has yet to return for one transition."""

    transition: Transition
    """With its snapshot, as it was observed."""

    hook: str

    tries: int
    """How often it has raised."""

    error: str | None = None
    """What it raised the last time."""


@attrs.frozen(kw_only=True)
class DeliveryOutcome:
    """What became of one call of one hook."""

    batch_id: str

    key: str
    """The transition's."""

    hook: str

    error: str | None = None
    """What it raised; None if it returned, and has not to be called again."""

    tries: int = 0
    """How often it has raised now."""

    failed_at: float = 0
    """When, as far as the caller said; Unix seconds, 0 if it said nothing."""

    due_at: float = 0
    """From when on it may be tried again."""

    dead: bool = False
    """True if it is not to be tried again until somebody asks for it."""


class Journal(Protocol):
    """
    Where a monitor keeps what must outlive it; every method is safe to call from any thread.

    Each raises `JournalError` if it cannot be done, and then has done nothing;
    only of an interrupted connection nobody knows, so a monitor loads the batch
    again. A delivery is *held* by the monitor that is about to call its hook:
    no other one gets it, unless the holder's process is gone.
    """

    @property
    def is_remote(self) -> bool:
        """True if hooks on transitions are called elsewhere: then the monitor itself calls none."""

    def enlist(self, call: Call) -> str:
        """Return a name for one monitor, which counts as alive for as long as its process and the journal live."""

    def load(self, batch_id: str) -> StoredBatch | None:
        """Return what is known of a batch; None if nothing is."""

    def commit(self, change: BatchUpdate) -> Written | None:
        """
        Write a batch, its transitions and their deliveries in one transaction.

        The owner holds the deliveries, unless others have yet to be called for earlier transitions of the
        batch: then whoever claims those claims these behind them.

        Returns:
            None if the batch has another revision than expected, and nothing was written.
        """

    def waiting(self, now: float | None) -> list[str]:
        """Return the batches with deliveries that are due at `now` (None: at any time), held ones included."""

    def claim(
        self, batch_id: str, owner: str, hooks: Collection[str], *, retry: bool, now: float | None
    ) -> list[PendingDelivery]:
        """
        Hold the deliveries of a batch that no living monitor holds, and those that the owner holds already.

        While another living monitor holds a first try of the batch, no first try is given away: they are made in order.

        Args:
            batch_id: Whose they are.
            owner: Who wants them.
            hooks: The names that the owner can call.
            retry: False for those alone that were never tried.
            now: Only what is due then; None if time is no matter. Unix seconds.

        Returns:
            Them, in order of transitions, then of registration.
        """

    def record(self, outcome: DeliveryOutcome) -> None:
        """Forget a delivery whose hook returned; let go of one whose hook raised."""

    def release(self, batch_id: str, owner: str) -> None:
        """Let go of all deliveries of a batch that the owner holds."""

    def forget(self, batch_id: str) -> None:
        """Drop a batch with all that is kept of it."""

    def count(self) -> int:
        """Return how many batches are kept."""

    def batch_ids(self, *, only_open: bool = False) -> tuple[str, ...]:
        """
        Return the ids of the stored batches, in the order in which the journal first saw them.

        Args:
            only_open: True to leave out the batches whose last update had an `ended_at`.
        """

    def pending(self, *, dead: bool = False) -> list[PendingDelivery]:
        """Return the deliveries that are not dead, or those that are; in order of batches."""

    def revive(self) -> int:
        """Make all dead deliveries pending, as if never tried, and return how many there were."""

    def close(self) -> None:
        """Let go of the database; what is held by this journal's monitors is free from now on."""
