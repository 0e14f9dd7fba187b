"""The monitor that calls plain hooks, safe to share between threads."""

from __future__ import annotations

from batchfsm.dialects import Dialect
from batchfsm.lifecycle import Lifecycle
from batchfsm.monitor.core import Core, OnIllegal, Outbox, closing, hook_error
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

    def __init__(
        self, dialect: str | Dialect | Lifecycle = "openai", *, on_illegal: OnIllegal = "adopt"
    ) -> None:
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
        taken = self._take(batch, observed_at)
        if isinstance(taken, Observation):
            return taken
        return closing(self._deliver(taken.batch_id, taken.outbox) if taken.outbox else [], taken)

    def redeliver(self) -> None:
        """
        Call again what raised, and what an interrupt kept from running.

        Raises:
            HookError: If hooks raised again, after all have run.
        """
        failures = [failure for pending in self._pending().items() for failure in self._deliver(*pending)]
        if (failed := hook_error(failures, None)) is not None:
            raise failed

    def _deliver(self, batch_id: str, outbox: Outbox) -> list[Exception]:
        failures: list[Exception] = []
        while (delivery := self._next(batch_id, outbox)) is not None:
            hook, subject = delivery
            try:
                hook.function(subject)
            except Exception as error:  # noqa: BLE001  # Kept, and raised together once all have run.
                failures.append(outbox.keep(delivery, error))
            except BaseException:
                self._interrupted(outbox, delivery)
                raise
        return failures
