"""The batches of a monitor: what is known of each, what is still to be called for it, and the ways between the two."""

from __future__ import annotations

from math import isfinite
from threading import Lock
from typing import Any

from batchfsm.errors import JournalError
from batchfsm.finding import verdict_of
from batchfsm.history import BatchRecord, Fold, FoldResult
from batchfsm.journal import Journal
from batchfsm.monitor.delivery import DeliveryRun, Outbox, of_batch
from batchfsm.monitor.hooks import Delivery, Hooks
from batchfsm.monitor.journal_client import RACES_MAX, JournalClient
from batchfsm.monitor.observation import IllegalTransitionError, make_observation
from batchfsm.topology import Topology
from batchfsm.wire import ParsedRow


class Batches:
    """
    Tracks and outboxes, behind one lock that no hook is ever called under, and no journal ever waited for.

    With a journal there is a second lock, the ledger's, which is taken first.
    """

    def __init__(self, fold: Fold, graph: Topology, hooks: Hooks, journal: Journal | None, *, raises: bool) -> None:
        """Know of no batch yet, but through the journal."""
        self._fold = fold
        self._graph = graph
        self._hooks = hooks
        self._raises = raises
        self._tracks: dict[str, BatchRecord] = {}
        self._outboxes: dict[str, Outbox] = {}
        self._lock = Lock()
        self._ledger = None if journal is None else JournalClient(journal, hooks, graph)

    def _take(self, turn: DeliveryRun, parsed: ParsedRow) -> None:
        """Fold a row, queue its hooks, and take them over if nobody else calls hooks of its batch."""
        turn.batch_id = batch_id = parsed.id
        turn.now = parsed.observed_at
        if self._ledger is not None:
            self._take_in(self._ledger, turn, parsed)
            return
        with self._lock:
            track = self._tracks.get(batch_id) or BatchRecord()
            after, folded = self._fold.follow(track, parsed)
            self._install(turn, parsed, after, folded, self._hooks.wanting(folded.transitions, folded.findings))

    def _take_in(self, ledger: JournalClient, turn: DeliveryRun, parsed: ParsedRow) -> None:
        """Do it with a journal: what an observation changes is written before anybody here knows of it."""
        with ledger.lock:
            ledger.settle()
            for _ in range(RACES_MAX):
                track = self._recall(ledger, turn.batch_id)
                moved = self._fold.follow(track, parsed)
                try:
                    if self._write(ledger, turn, parsed, track, moved):
                        return
                except BaseException:
                    # Written or not, who knows: the journal does, and is asked the next time.
                    self._tracks.pop(turn.batch_id, None)
                    raise
                self._tracks.pop(turn.batch_id, None)
            raise ledger.error(f"other processes were faster to observe {turn.batch_id}, {RACES_MAX} times")

    def _write(
        self,
        ledger: JournalClient,
        turn: DeliveryRun,
        parsed: ParsedRow,
        before: BatchRecord,
        moved: tuple[BatchRecord, FoldResult],
    ) -> bool:
        """Write what a snapshot brought, then let everybody here know of it; False if another process was faster."""
        after, folded = moved
        wanting = self._hooks.wanting(folded.transitions, folded.findings)
        written = ledger.commit(turn.batch_id, before, after, folded.transitions, wanting)
        if written is None:
            return False
        is_left = written == "left" or ledger.is_remote
        here = self._behind(ledger, turn.batch_id, wanting) if is_left else wanting
        with self._lock:
            self._install(turn, parsed, after, folded, here, is_elsewhere=len(here) < len(wanting))
        return True

    def _behind(self, ledger: JournalClient, batch_id: str, wanting: list[Delivery]) -> list[Delivery]:
        """Return what is to be called here of what was not held when it was written, with what goes before it."""
        outbox = self._outboxes.get(batch_id) or Outbox([])
        claimed = _new(ledger.claim(batch_id, retry=False), outbox)
        return claimed + [delivery for delivery in wanting if of_batch(delivery) is None]

    def _recall(self, ledger: JournalClient, batch_id: str) -> BatchRecord:
        """Return what is known of a batch; if the journal knows it alone, what it has never been called for is next."""
        known = self._tracks.get(batch_id)
        outbox = self._outboxes.get(batch_id) or Outbox([])
        if known is not None and not outbox.is_left:
            return known
        track = known or ledger.load(batch_id)
        if track is None:
            return BatchRecord()
        if outbox.turn is None:
            left = ledger.claim(batch_id, retry=False)
            with self._lock:
                outbox.queue[:0] = _new(left, outbox)
                outbox.is_left = False
                self._keep(batch_id, outbox)
        self._tracks[batch_id] = track
        return track

    def _install(
        self,
        turn: DeliveryRun,
        parsed: ParsedRow,
        after: BatchRecord,
        folded: FoldResult,
        wanting: list[Delivery],
        *,
        is_elsewhere: bool = False,
    ) -> None:
        """Let everybody here know what a snapshot brought, and whether others call its hooks."""
        batch_id, findings, transitions = turn.batch_id, folded.findings, folded.transitions
        outbox = self._outboxes.get(batch_id)
        if outbox is None and wanting:
            outbox = Outbox([])
        waits = outbox is not None and bool(outbox.queue or wanting)
        idle = outbox is None or outbox.turn is None
        judged = self._fold.knows(parsed)
        verdict = verdict_of(findings, judged=judged) if findings or not judged else "consistent"
        delivered = (idle or not waits) and not is_elsewhere
        turn.observation = make_observation(tuple(transitions), tuple(findings), verdict, delivered)
        if self._raises and folded.illegal:
            known = str(after.status)  # It was held.
            reachable = [name for name in self._graph.statuses if name in self._graph.reach[known]]
            turn.error = IllegalTransitionError(batch_id, known, parsed.snapshot.status, reachable, turn.observation)
        # Queued before it is known: an interrupt may make a hook run twice, and never not at all.
        if outbox is not None:
            self._outboxes[batch_id] = outbox
            outbox.queue += wanting
        self._tracks[batch_id] = after
        if outbox is not None and waits and idle:
            turn.outbox, outbox.turn = outbox, turn

    def _goes_on(self, turn: DeliveryRun) -> bool:
        """Tell whether more was queued for a batch; if not, it is idle from now on."""
        outbox: Any = turn.outbox
        ledger = self._ledger
        if ledger is None or ledger.is_remote:
            return self._more(turn, outbox, [])
        with ledger.lock:
            # Others have left theirs behind what was held here.
            return self._more(turn, outbox, ledger.claim(turn.batch_id, retry=False))

    def _more(self, turn: DeliveryRun, outbox: Outbox, claimed: list[Delivery]) -> bool:
        with self._lock:
            if claimed:
                outbox.queue += _new(claimed, outbox)
            if outbox.queue:
                return True
            if not outbox.failed and self._outboxes.get(turn.batch_id) is outbox:
                del self._outboxes[turn.batch_id]
            outbox.turn = None
            return False

    def _waiting(self, now: float | None) -> list[str]:
        """Return the batches with hooks that raised, or that an interrupt or a crash kept from running."""
        if now is not None and not isfinite(now):
            msg = f"now= is a time in Unix seconds, not {now}"
            raise ValueError(msg)
        with self._lock:
            here = list(self._outboxes)
        return here if self._ledger is None else list(dict.fromkeys(here + self._ledger.waiting(now)))

    def _resume(self, turn: DeliveryRun) -> bool:
        """Take over a batch's hooks, those that raised first; False if someone else calls them, or none is due."""
        ledger = self._ledger
        if ledger is None:
            with self._lock:
                return self._take_over(turn, [])
        with ledger.lock:
            ledger.settle()
            outbox = self._outboxes.get(turn.batch_id)
            if outbox is not None and outbox.turn is not None:
                return False
            claimed = ledger.claim(turn.batch_id, retry=True, now=turn.now)
            with self._lock:
                return self._take_over(turn, claimed)

    def _take_over(self, turn: DeliveryRun, claimed: list[Delivery]) -> bool:
        outbox = self._outboxes.get(turn.batch_id) or Outbox([])
        due = [each.delivery for each in outbox.failed if each.is_due(turn.now)]
        if outbox.turn is not None:
            return False
        outbox.queue = [*due, *_new(claimed, outbox), *outbox.queue]
        outbox.failed = tuple(each for each in outbox.failed if not each.is_due(turn.now))
        outbox.is_left = False
        self._keep(turn.batch_id, outbox)
        if not outbox.queue:
            return False
        turn.outbox, outbox.turn = outbox, turn
        return True

    def _keep(self, batch_id: str, outbox: Outbox) -> None:
        """Keep an outbox for as long as there is something in it, or in the journal for it."""
        if outbox.queue or outbox.failed or outbox.is_left:
            self._outboxes[batch_id] = outbox
        else:
            self._outboxes.pop(batch_id, None)

    def _release(self, turn: DeliveryRun) -> None:
        """Leave a batch idle after an interrupt; in a journal what was not called is free for whoever asks first."""
        outbox, ledger = turn.outbox, self._ledger
        if outbox is None or ledger is None:
            turn.release()
            return
        with ledger.lock:
            if outbox.turn is not turn:
                return  # It had ended, and somebody else may be at it already.
            try:
                ledger.release(turn.batch_id)
            except JournalError:
                return  # Then it stays here, and comes first the next time.
            else:
                with self._lock:
                    kept = [delivery for delivery in outbox.queue if of_batch(delivery) is None]
                    outbox.is_left, outbox.queue = len(kept) < len(outbox.queue), kept
                    self._keep(turn.batch_id, outbox)
            finally:
                turn.release()


def _new(claimed: list[Delivery], outbox: Outbox) -> list[Delivery]:
    """Return what an outbox does not have already."""
    queued = {of_batch(delivery) for delivery in outbox.queue}
    return [delivery for delivery in claimed if of_batch(delivery) not in queued]
