"""Ended batches that a monitor keeps in little memory."""

from __future__ import annotations

import marshal
from collections.abc import Sequence

import attrs

from batchfsm.finding import Verdict
from batchfsm.history import BatchRecord
from batchfsm.route import RouteStep


@attrs.frozen(eq=False, weakref_slot=False)
class EndedBatch:
    """
    The final status of a batch and the keys of its transitions.

    All but the times is shared with other batches, so that one takes about a third of the memory of a record. A
    record made from it emits no key again. The values of the last snapshot are lost: later snapshots of
    the batch are not compared with them (H503 to H506, H508).
    """

    status: str | None
    entered: frozenset[str]
    steps: Sequence[RouteStep]
    times: bytes
    """The times of the steps, packed."""
    adopted: bool
    verdict: Verdict

    @classmethod
    def of(cls, record: BatchRecord) -> EndedBatch:
        """Return a record in reduced form."""
        times = marshal.dumps(tuple(record.times))
        return cls(record.status, record.entered, record.steps_taken, times, record.adopted, record.verdict)

    def to_record(self) -> BatchRecord:
        """Return a record without a last row."""
        return BatchRecord(
            status=self.status,
            entered=self.entered,
            steps_taken=self.steps,
            times=marshal.loads(self.times),  # noqa: S302  # Written by this process.
            adopted=self.adopted,
            verdict=self.verdict,
        )
