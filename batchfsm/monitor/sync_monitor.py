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

    It does no I/O except through its journal, and reads no clock, so it fits into any loop.

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
        dialect: The dialect of the snapshots, or its name, or a lifecycle.
        on_illegal: The effect of a status that no walk leads to: the monitor takes it as
            the known status (`adopt`), keeps the known status (`hold`), or keeps it and
            raises (`raise`). In each case there is a finding.
        journal: Stores batches and undelivered hooks over crashes and restarts; None:
            they are only in memory.
        keep_ended: The number of ended batches whose complete records stay in memory;
            None: all. The records of batches that ended earlier are reduced. With a
            journal, the monitor loads a complete record when it needs it. Without one,
            the final status, the verdict and the transitions stay: no hook is called
            again, but `monitor[id].snapshot` is None, and later snapshots are not
            compared with earlier values.

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

        Called by a hook, it returns at once; the hooks of that snapshot run after the present ones.

        Args:
            batch: As for `parse`, but an invalid field causes a finding, not an error.
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
        Call the hooks that raised, and those that did not run because of an interrupt or a crash.

        Args:
            now: Unix seconds. Call only hooks whose delay is over: 10 s after the first
                failure, then twice as long each time, up to an hour. After ten tries,
                at least 85 minutes after the first, a hook is dead and is not called. None: call
                all undelivered hooks, but no dead hooks of a journal; a call
                before the end of the delay does not count as a try.

        Returns:
            The numbers of failing and dead hooks. In a journal, dead hooks of all
            processes count. `HookError.counts` holds the same numbers.

        Raises:
            HookError: If hooks raised again, after all have run.
            JournalError: If the journal cannot be read or written.
        """
        return self._dispatcher.redeliver(now)
