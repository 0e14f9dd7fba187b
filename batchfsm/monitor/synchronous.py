"""The monitor that calls plain hooks, safe to share between threads."""

from __future__ import annotations

from batchfsm.dialects import Dialect
from batchfsm.lifecycle import Lifecycle
from batchfsm.monitor.core import Core, OnIllegal, Outbox, Turn, hook_error
from batchfsm.monitor.observation import Observation


class Monitor(Core):
    """
    Observes snapshots of any number of batches and calls hooks on each transition.

    It does no I/O and reads no clock: embed it in whatever loop you have.

    Args:
        dialect: Whose lifecycle and habits of writing are taken for granted.
        on_illegal: What a status does that no walk leads to: the known status
            follows it (`adopt`), stays (`hold`), or stays and `observe` raises
            (`raise`). It is a finding in any case.

    Source: `docs/explanation/promises.md` lists what is promised, with the test of each.
    """

    def __init__(self, dialect: str | Dialect | Lifecycle = "openai", *, on_illegal: OnIllegal = "adopt") -> None:
        """Track no batch yet."""
        super().__init__(dialect, on_illegal, coroutines=False)

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
        """
        plain = self._glance(batch, observed_at)
        if isinstance(plain, Observation):
            return plain
        turn = Turn()
        try:
            self._take(turn, batch, plain, observed_at)
            if turn.outbox is not None:
                self._deliver(turn, turn.outbox)
        except BaseException:
            turn.release()
            raise
        return turn.result()

    def redeliver(self) -> None:
        """
        Call again what raised, and what an interrupt kept from running.

        Raises:
            HookError: If hooks raised again, after all have run.
        """
        failures: list[Exception] = []
        for turn in map(Turn, self._waiting()):
            try:
                if self._resume(turn) and turn.outbox is not None:
                    self._deliver(turn, turn.outbox)
            except BaseException:
                turn.release()
                raise
            failures += turn.failures
        if (failed := hook_error(failures, None)) is not None:
            raise failed

    def _deliver(self, turn: Turn, outbox: Outbox) -> None:
        while outbox.queue or self._goes_on(turn):
            # Taken off only when it has returned: what an interrupt kept from running stays queued.
            hook, subject = outbox.queue[0]
            try:
                hook.function(subject)
            except Exception as error:  # noqa: BLE001  # Kept, and raised together once all have run.
                turn.keep(error)
            else:
                del outbox.queue[0]
