"""The monitor that calls plain hooks, safe to share between threads."""

from __future__ import annotations

from datetime import datetime

from batchfsm.dialects import Dialect
from batchfsm.journal import FailureCounts, Journal
from batchfsm.lifecycle import Lifecycle
from batchfsm.monitor.base import UNCHANGED, BaseMonitor, OnIllegal
from batchfsm.monitor.dispatchers import SyncDispatcher
from batchfsm.monitor.observation import Observation


class Monitor(BaseMonitor[SyncDispatcher]):
    """
    Observes snapshots of any number of batches and calls hooks on each transition.

    It does no I/O but its journal's, and reads no clock: embed it in any loop.

        >>> import batchfsm
        >>> monitor = batchfsm.Monitor()
        >>> @monitor.on("completed", "expired", "cancelled")
        ... def collect(transition):
        ...     print(transition.target, transition.snapshot.output_file_id)
        >>> observation = monitor.observe(
        ...     {
        ...         "id": "batch_1",
        ...         "status": "completed",
        ...         "created_at": 1711471533,
        ...         "in_progress_at": 1711471538,
        ...         "finalizing_at": 1711493133,
        ...         "completed_at": 1711493163,
        ...         "output_file_id": "file-out",
        ...     }
        ... )
        completed file-out
        >>> [transition.target for transition in observation.transitions]
        ['validating', 'in_progress', 'finalizing', 'completed']
        >>> monitor["batch_1"].terminal, monitor.open
        (True, ())

    Args:
        dialect: The dialect that snapshots are read and judged by, or its name, or a
            lifecycle.
        on_illegal: The effect of a status that no walk leads to: the known status
            follows it (`adopt`), stays (`hold`), or stays and `observe` raises
            (`raise`). It is a finding in any case.
        journal: Stores batches and undelivered hooks over crashes and restarts; None:
            they are in memory alone.
        keep_ended: The number of ended batches that stay in memory whole; those that
            ended first are reduced first. With a journal they are loaded from it
            when needed. Without, their final status, verdict and transitions
            stay, about 250 bytes each: no hook is called again, but
            `monitor[id].snapshot` is None, and later snapshots are not compared
            with earlier values. None: all stay whole, about 850 bytes each.

    The promises of a monitor, with the test of each: `docs/explanation/promises.md`.
    """

    def __init__(
        self,
        dialect: str | Dialect | Lifecycle = "openai",
        *,
        on_illegal: OnIllegal = "adopt",
        journal: Journal | None = None,
        keep_ended: int | None = None,
    ) -> None:
        super().__init__(dialect, on_illegal, journal, keep_ended, SyncDispatcher, coroutines=False)

    def observe(self, batch: object, *, observed_at: float | str | datetime | None = None) -> Observation:
        """
        Fold one snapshot into the record of its batch, and call the hooks of its transitions and findings.

        In a hook, it returns at once: the hooks of the second snapshot run after those of the first.

        Args:
            batch: As for `parse`, but read as the auditor reads: a bad field is a
                finding, not an error.
            observed_at: The time of the snapshot; Unix seconds, RFC 3339 text or an
                aware `datetime`.

        Raises:
            SnapshotError: If there is no object or no readable id, or a list of
                batches; then nothing has changed.
            TypeError: If `observed_at` is no time, or a `datetime` without a time zone.
            ValueError: If `observed_at` is no time in seconds, or text in another form.
            HookError: If hooks raised, after all have run.
            IllegalTransitionError: Under `on_illegal="raise"`.
            JournalError: If the journal cannot be read or written. If the snapshot
                was not written, no hook was called for it, and the same snapshot,
                observed again, brings the same transitions.
        """
        parsed = self._parse(batch, observed_at)
        return UNCHANGED if self._store.is_unchanged(parsed) else self._dispatcher.observe(parsed)

    def redeliver(self, *, now: float | None = None) -> FailureCounts:
        """
        Call the hooks that raised, and those that an interrupt or a crash kept from running.

        Args:
            now: Call only hooks whose back-off has passed: 10 s after the first
                failure, each further time twice as long, up to an hour, and not at
                all after ten tries, 85 minutes after the first. Unix seconds. None
                for all undelivered hooks, in a journal except dead letters; such a
                call before its time is not counted as a try.

        Returns:
            The numbers of hooks that have raised and have yet to return. Of those in
            a journal, dead ones count whichever process called them. `HookError.counts` holds it, too.

        Raises:
            HookError: If hooks raised again, after all have run.
            JournalError: If the journal cannot be read or written.
        """
        return self._dispatcher.redeliver(now)
