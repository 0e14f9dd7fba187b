"""The monitor that calls plain hooks, safe to share between threads."""

from __future__ import annotations

from batchfsm.dialects import Dialect
from batchfsm.errors import JournalError
from batchfsm.journal import DeliveryOutcome, Journal
from batchfsm.lifecycle import Lifecycle
from batchfsm.monitor.base import UNCHANGED, Core, OnIllegal
from batchfsm.monitor.delivery import DeliveryRun, Outbox, hook_error
from batchfsm.monitor.observation import Observation


class Monitor(Core):
    """
    Observes snapshots of any number of batches and calls hooks on each transition.

    It does no I/O but its journal's, and reads no clock: embed it in whatever loop you have.

    Args:
        dialect: Whose lifecycle and habits of writing are taken for granted.
        on_illegal: What a status does that no walk leads to: the known status
            follows it (`adopt`), stays (`hold`), or stays and `observe` raises
            (`raise`). It is a finding in any case.
        journal: Where to keep, over crashes and restarts, what is known of each
            batch and which hooks have yet to return; None for memory alone.

    Source: `docs/explanation/promises.md` lists what is promised, with the test of each.
    """

    def __init__(
        self,
        dialect: str | Dialect | Lifecycle = "openai",
        *,
        on_illegal: OnIllegal = "adopt",
        journal: Journal | None = None,
    ) -> None:
        """Track no batch yet, but those of the journal."""
        super().__init__(dialect, on_illegal, journal, coroutines=False)

    def observe(self, batch: object, *, observed_at: float | str | None = None) -> Observation:
        """
        Take in one snapshot and call the hooks of what it brings.

        Args:
            batch: As for `parse`, but read as the auditor reads: a bad field is a
                finding, not an error.
            observed_at: When it was seen; Unix seconds or RFC 3339 text.

        Raises:
            SnapshotError: If there is no object or no readable id; then nothing
                has changed.
            HookError: If hooks raised, after all have run.
            IllegalTransitionError: Under `on_illegal="raise"`.
            JournalError: If the journal cannot be read or written. What was not
                written has not happened: no hook was called for it, and the
                same snapshot, observed again, brings it again.
        """
        parsed = self._read(batch, observed_at)
        if self._is_unchanged(parsed):
            return UNCHANGED
        turn = DeliveryRun()
        try:
            self._take(turn, parsed)
            if turn.outbox is not None:
                self._deliver(turn, turn.outbox)
        except BaseException as error:
            self._release(turn)
            if isinstance(error, JournalError):
                turn.mention(error)
            raise
        return turn.result()

    def redeliver(self, *, now: float | None = None) -> None:
        """
        Call again what raised, and what an interrupt or a crash kept from running.

        Args:
            now: Only what has been left alone for long enough by now: 10 s after
                the first failure, each further time twice as long, up to an hour,
                and not at all after ten. Unix seconds; None for all that is
                pending, in a journal but for what is dead.

        Raises:
            HookError: If hooks raised again, after all have run.
            JournalError: If the journal cannot be read or written.
        """
        failures: list[Exception] = []
        for batch_id in self._waiting(now):
            turn = DeliveryRun(batch_id, now)
            try:
                if self._resume(turn) and turn.outbox is not None:
                    self._deliver(turn, turn.outbox)
            except BaseException:
                self._release(turn)
                raise
            failures += turn.failures
        if (failed := hook_error(failures, None)) is not None:
            raise failed

    def _deliver(self, turn: DeliveryRun, outbox: Outbox) -> None:
        ledger = self._ledger
        while outbox.queue or self._goes_on(turn):
            # Taken off only when it has returned: what an interrupt kept from running stays queued.
            hook, subject, _ = outbox.queue[0]
            outcome: DeliveryOutcome | None = None
            try:
                hook.function(subject)
            except Exception as error:  # noqa: BLE001  # Kept, and raised together once all have run.
                outcome = turn.raised(error, is_journaled=ledger is not None)
            else:
                if ledger is None:
                    del outbox.queue[0]
                else:
                    outcome = turn.returned()
            if outcome is not None and ledger is not None:
                ledger.record(outcome)
