"""A progress bar on standard error, for audits that last longer than a moment."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from batchfsm.auditing import Progress

BAR_AFTER_S: Final = 1.0
"""How long a run lasts before its bar is shown; seconds."""

_STAGES: Final = {"unpacking": "unpacking", "reading": "reading", "judging": "sorting"}


class ProgressBar:
    """A bar that is shown while a block runs, and then removed."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._begun_at = self._stage_at = clock()
        self._stage = ""
        self._task: TaskID | None = None
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            expand=True,
            get_time=clock,
        )

    def __enter__(self) -> Self | None:
        """Return the callback for progress; None if standard error is no terminal."""
        return self if sys.stderr.isatty() else None

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        if self._task is not None:
            self._bars.stop()

    def __call__(self, progress: Progress) -> None:
        """Show the progress, once the run has lasted long enough."""
        now = self._clock()
        if progress.stage != self._stage:
            self._stage, self._stage_at = progress.stage, now
            if self._task is not None:
                self._bars.reset(self._task, description=_STAGES[progress.stage])
        spent_s = now - self._stage_at
        rate = f"{progress.rows / spent_s:,.0f} rows/s" if progress.rows and spent_s else ""
        is_over = progress.passed == progress.size  # The run ends within a moment.
        if self._task is None and not is_over and now - self._begun_at >= BAR_AFTER_S:
            self._task = self._bars.add_task(_STAGES[progress.stage], rate=rate)
            self._bars.start()
        if self._task is not None:
            self._bars.update(self._task, total=progress.size, completed=progress.passed, rate=rate)
