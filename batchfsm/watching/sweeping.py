"""Which of the batches that a list shows are to be watched, where no ids were given."""

from __future__ import annotations

from typing import Any, Final

from batchfsm.watching.effects import Commands
from batchfsm.watching.response_handler import ResponseHandler
from batchfsm.watching.responses import Transient
from batchfsm.watching.scheduler import Scheduler

OVERLAP_S: Final = 3600
"""A list may show a batch late: one made within this time before the newest is still taken for new."""


class BatchDiscovery:
    """Remembers which batches sweeps have shown, so that a new one is told from one that ended long ago."""

    def __init__(self, agenda: Scheduler, taker: ResponseHandler) -> None:
        """Have seen nothing yet."""
        self._agenda, self._taker = agenda, taker
        self.has_swept = False
        """True once a sweep has shown all there is."""
        self._newest = 0.0

    def find(self, batch: dict[str, Any], now: float) -> Commands:
        """Take in a batch that a sweep showed: an open one, or a new one that has ended already."""
        batch_id, created_at = batch["id"], batch.get("created_at")
        made_at = created_at if isinstance(created_at, int) else 0
        if batch_id in self._agenda.open:
            yield from self._taker.take(batch_id, batch)
            return
        if batch_id in self._agenda.ended or batch_id in self._agenda.dropped:
            return
        row = self._taker.read(batch_id, batch)
        if isinstance(row, Transient):
            return
        is_new = self.has_swept and made_at >= self._newest - OVERLAP_S
        if is_new or not self._taker.is_over(row.snapshot) or self._taker.is_open(batch_id):
            self._agenda.add(batch_id, now)
            yield from self._taker.take(batch_id, batch, row)
        else:
            self._agenda.ended[batch_id] = made_at

    def swept(self) -> None:
        """Note that a sweep has shown all there is; what is too old to be taken for new need not be remembered."""
        self.has_swept = True
        ended = self._agenda.ended
        self._newest = max([self._newest, *ended.values()])
        for batch_id in [each for each, made_at in ended.items() if made_at < self._newest - OVERLAP_S]:
            del ended[batch_id]
