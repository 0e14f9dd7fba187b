"""One run of an incremental audit: it continues the batches of a state file, and drops rows that come too late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf

import attrs

from batchfsm.auditing.state_file import StateFile
from batchfsm.history import BatchRecord
from batchfsm.logs import Record, UnreadableEntry


@attrs.define(eq=False)
class _BatchClock:
    """The times of observation of a batch; Unix seconds. A row without time has that of the row before it."""

    since: float
    """The latest time in the state file; -inf if there is none."""
    latest: float
    """The latest time so far."""
    last: float
    """The time of the last row so far, in the order of the log."""


class IncrementalState:
    """Reads and stores the batches of a state file, on behalf of one run."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._clocks: dict[str, _BatchClock] = {}
        self._late: set[str] = set()

    def drop_late_rows(self, log: Iterable[Record | UnreadableEntry]) -> Iterator[Record | UnreadableEntry]:
        """Yield a log; a row that was observed before the latest time in the state becomes an unreadable entry."""
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
                observed_at, since = (f"{each:.15g}" for each in (clock.last, clock.since))
                yield UnreadableEntry(
                    row.place,
                    f"observed at {observed_at}, before {since}, the latest time of its batch in the state file",
                )
                continue
            clock.latest = max(clock.latest, clock.last)
            yield row

    def since(self, batch_id: str) -> float:
        """Return the latest time in the state file of a batch that this run has met; -inf if there is none."""
        return self._clocks[batch_id].since

    def record(self, batch_id: str) -> BatchRecord | None:
        """Return the record of a batch; None if the state file does not have it."""
        return self._file.record(batch_id)

    def store(self, batch_id: str, record: BatchRecord) -> None:
        """Store the record of a batch after its last row."""
        clock = self._clocks[batch_id]
        self._file.put(batch_id, record, _time(clock.latest), _time(clock.last))

    def close(self) -> None:
        """Store the times of late rows: rows without time that follow them in the next log are late too."""
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
