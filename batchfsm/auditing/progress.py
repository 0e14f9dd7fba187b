"""The progress of an audit, reported to a callback at most ten times a second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Final, Literal, TypeVar

import attrs

INTERVAL_S: Final = 0.1
"""The shortest time between two reports; seconds."""

Stage = Literal["unpacking", "reading", "judging"]
"""`unpacking`: a compressed file is decompressed for columns; `reading`: the log is read, and checked as it comes;
`judging`: rows that had to be sorted are checked."""

EachT = TypeVar("EachT")


@attrs.frozen(kw_only=True)
class Progress:
    """The progress of an audit."""

    stage: Stage
    """The present stage; each counts from 0. A log that is not in order is read a second time."""

    passed: int
    """The part of `size` that is done: bytes, compressed if the file is; in the stage `judging`, parts of the log."""

    size: int | None
    """The whole of the work; None if unknown, as with standard input and with objects."""

    rows: int
    """Number of rows that this stage has passed."""


class ProgressMeter:
    """Counts bytes and rows, and reports them to a callback now and then."""

    def __init__(self, callback: Callable[[Progress], object] | None, clock: Callable[[], float] = monotonic) -> None:
        """
        Start the stage `reading`.

        Args:
            callback: Receives each report; None for no reports, and then rows are not counted.
            clock: Returns seconds; only differences matter.

        Raises:
            TypeError: If the callback cannot be called.
        """
        if callback is not None and not callable(callback):
            raise TypeError(f"progress is a function of one argument, not {callback!r}")
        self._callback, self._clock = callback, clock
        self._reported_at = clock()
        self.begin("reading", None)

    def begin(self, stage: Stage, size: int | None) -> None:
        """Start a stage."""
        self.stage: Stage = stage
        self.size = size
        self.passed = self.rows = 0

    def add_size(self, count: int) -> None:
        """Count bytes without a report: an error of the callback would be taken for one of the file."""
        self.passed += count

    def add_rows(self, rows: int = 0) -> None:
        """Count rows, and report if the last report is long enough ago."""
        self.rows += rows
        if self._callback is not None and self._clock() - self._reported_at >= INTERVAL_S:
            self.report()

    def report(self) -> None:
        """Report now."""
        if self._callback is not None:
            self._reported_at = self._clock()
            self._callback(Progress(stage=self.stage, passed=self.passed, size=self.size, rows=self.rows))

    def count_rows(self, log: Iterable[EachT]) -> Iterator[EachT]:
        """Return a log whose rows are counted as they pass; the log itself if there is no callback."""
        return iter(log) if self._callback is None else self._counted(log)

    def _counted(self, log: Iterable[EachT]) -> Iterator[EachT]:
        for row in log:
            self.add_rows(1)
            yield row
