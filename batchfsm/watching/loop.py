"""The one loop of watching, as a generator of commands: who carries them out, plain or async, is another matter."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from batchfsm.monitor import HookError
from batchfsm.watching.effects import CallBack, Commands, FetchBatches, MonotonicClock, Redeliver, Sleep, WatchOptions
from batchfsm.watching.errors import WatchTimeoutError
from batchfsm.watching.events import HooksFailed, PollFailed
from batchfsm.watching.pagination import FetchResult
from batchfsm.watching.response_handler import ResponseHandler
from batchfsm.watching.responses import Fatal, Transient
from batchfsm.watching.scheduler import Scheduler
from batchfsm.watching.snapshot_log import SnapshotLog
from batchfsm.watching.sweeping import BatchDiscovery


def running(ids: Iterable[str], setting: WatchOptions, *, finds: bool) -> Commands:
    """
    Watch until all batches have ended.

    Args:
        ids: The batches to watch.
        setting: What was asked for.
        finds: True if every open batch that a sweep shows is watched too.

    Raises:
        WatchTimeoutError: If the time is up before that.
        ExceptionGroup: Of what went wrong on the way, once all the others are done.
    """
    log = SnapshotLog(setting.log)
    try:
        yield from WatchLoop(ids, setting, log, finds=finds).commands()
    finally:
        log.close()


class WatchLoop:
    """One watch, from the first look to the last."""

    def __init__(self, ids: Iterable[str], setting: WatchOptions, log: SnapshotLog, *, finds: bool) -> None:
        """Open the batches, but for those that a restored monitor knows to have ended."""
        self._set, self._finds = setting, finds
        self._now = MonotonicClock(setting.clock)
        monitor = setting.monitor
        still = [each for each in ids if each not in monitor or not monitor[each].terminal]
        self._agenda = Scheduler(still, setting.schedule, finds=finds, now=self._now())
        self._taker = ResponseHandler(setting, self._agenda, log, self._now)
        self._finder = BatchDiscovery(self._agenda, self._taker)

    def commands(self) -> Commands:
        """Look, take in, wait; again and again."""
        began_at = self._now()
        give_up_at = inf if self._set.timeout_s is None else began_at + self._set.timeout_s
        yield from self._redeliver()
        while not self._is_over():
            yield from self._look()
            yield from self._find_stalled()
            if self._is_over():
                break
            if self._now() >= give_up_at:
                raise self._timeout()
            if (wait_s := min(self._agenda.next_at(), give_up_at) - self._now()) > 0:
                hinted: tuple[str, ...] = yield Sleep(wait_s)
                for batch_id in hinted:
                    self._agenda.hint(batch_id, self._now())
            yield from self._redeliver()
        yield from self._close()

    def _is_over(self) -> bool:
        """Tell whether nothing is open; where more is found by sweeps, the last of them has to have said so."""
        return not self._agenda.open and not (self._finds and self._agenda.may_find)

    def _look(self) -> Commands:
        plan = self._agenda.plan(self._now())
        if not plan.ids and not plan.is_sweep:
            return
        looked: FetchResult = yield FetchBatches(plan.ids, plan.is_sweep)
        for batch_id in plan.ids:
            answer = looked.answers.get(batch_id)
            if answer is None and looked.refusal is None:
                answer = Transient("no answer for this batch")
            # A list that failed says nothing of any batch: the sweep waits, and none of them.
            answer = looked.refusal if answer is None and not plan.is_sweep else answer
            if answer is not None:
                yield from self._taker.take(batch_id, answer)
        for batch in looked.others:
            yield from self._finder.find(batch, self._now())
        if plan.is_sweep:
            yield from self._swept(looked)

    def _swept(self, looked: FetchResult) -> Commands:
        refusal = looked.refusal
        if isinstance(refusal, Fatal):
            self._finds = False
            yield from self._taker.tell(PollFailed(batch_id=None, kind="fatal", reason=refusal.reason))
            yield from self._taker.drop_all(refusal.reason)
            return
        if refusal is None:
            self._finder.swept()
        else:
            yield from self._taker.tell(PollFailed(batch_id=None, kind="transient", reason=refusal.reason))
        self._agenda.swept(self._now(), refusal, looked.requests)

    def _find_stalled(self) -> Commands:
        for each in self._agenda.stalled(self._now()):
            yield from self._taker.tell_stalled(each, is_overdue=False)

    def _timeout(self) -> WatchTimeoutError:
        still = {each.batch_id: each.status for each in self._agenda.open.values()}
        return WatchTimeoutError(self._set.timeout_s or 0.0, still, self._taker.errors)

    def _redeliver(self) -> Commands:
        try:
            yield Redeliver(self._now())
        except HookError as error:
            # They are tried again; the last time says what is left.
            yield from self._taker.tell(HooksFailed(error=error))

    def _close(self) -> Commands:
        """Try once more what hooks raised on, then raise what is left."""
        failed = [error for error in self._taker.errors if not isinstance(error, HookError)]
        try:
            yield Redeliver(None)
        except HookError as error:
            yield from self._taker.tell(HooksFailed(error=error))
            if self._set.on_error is None:
                failed.append(error)
            else:
                yield CallBack(self._set.on_error, error)
        if failed:
            raise ExceptionGroup("the watch is over, and not all went well", failed)
