"""One run that goes on from a state: what is known of its batches, and which rows come too late for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf

import attrs

from batchfsm.auditing.state_file import StateFile
from batchfsm.history import BatchRecord
from batchfsm.logs import Record, UnreadableEntry


@attrs.define(eq=False)
class _BatchClock:
    """When a batch was observed; Unix seconds. A row that does not say when counts as seen with the one before it."""

    since: float
    """The latest time that the state knows; -inf if none."""
    latest: float
    """The latest time so far."""
    last: float
    """That of the last row so far, in the order of the log."""


class IncrementalState:
    """What a run knows from those before it."""

    def __init__(self, file: StateFile) -> None:
        """Look batches up in a file, and put them back there."""
        self._file = file
        self._clocks: dict[str, _BatchClock] = {}
        self._late: set[str] = set()

    def in_time(self, log: Iterable[Record | UnreadableEntry]) -> Iterator[Record | UnreadableEntry]:
        """Pass on a log; what was observed before all that is known of its batch comes too late, and is named."""
        self._clocks.clear()
        self._late.clear()
        for row in log:
            if isinstance(row, UnreadableEntry) or not row.snapshot.is_named:
                yield row
                continue
            clock = self._clock(row.snapshot.id)
            if row.snapshot.observed_at is not None:
                clock.last = row.snapshot.observed_at
            if clock.last < clock.since:
                self._late.add(row.snapshot.id)
                seen_at, since = (f"{each:.15g}" for each in (clock.last, clock.since))
                yield UnreadableEntry(row.place, f"observed at {seen_at}, and the state knows its batch up to {since}")
                continue
            clock.latest = max(clock.latest, clock.last)
            yield row

    def since(self, batch_id: str) -> float:
        """Return the latest time at which the state knows a batch that came by; -inf if none."""
        return self._clocks[batch_id].since

    def track(self, batch_id: str) -> BatchRecord | None:
        """Return what is known of a batch; None if nothing is."""
        return self._file.track(batch_id)

    def ended(self, batch_id: str, track: BatchRecord) -> None:
        """Put back what is known of a batch, once no more of its rows will come."""
        clock = self._clocks[batch_id]
        self._file.put(batch_id, track, _time(clock.latest), _time(clock.last))

    def close(self) -> None:
        """Put back of late rows that they came: those behind them that do not say when are as late."""
        for batch_id in self._late:
            self._file.put_last(batch_id, _time(self._clocks[batch_id].last))

    def _clock(self, batch_id: str) -> _BatchClock:
        clock = self._clocks.get(batch_id)
        if clock is None:
            latest, last = (-inf if each is None else each for each in self._file.clock(batch_id))
            clock = self._clocks[batch_id] = _BatchClock(latest, latest, last)
        return clock


def _time(seconds: float) -> float | None:
    return None if seconds == -inf else seconds
