"""How far a run is, told to whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Final, Literal, TypeVar

import attrs

INTERVAL_S: Final = 0.1
"""How long nothing is told after something was; seconds."""

Stage = Literal["unpacking", "reading", "judging"]
"""`unpacking`: a packed file, for columns; `reading`: the log, judged as it comes; `judging`: what had to be sorted."""

EachT = TypeVar("EachT")


@attrs.frozen(kw_only=True)
class Progress:
    """How far a run is."""

    stage: Stage
    """What it is at. Each stage begins at nothing, and a log that turns out to be out of order is read again."""

    passed: int
    """How much of `size` is done: bytes, of packed files as they are packed; parts of the log where it is `judging`."""

    size: int | None
    """How much there is to do; None if nobody knows, as with standard input and with objects."""

    rows: int
    """How many rows of the log this stage has passed."""


class ProgressMeter:
    """Counts what a run does, and tells of it now and then."""

    def __init__(self, tell: Callable[[Progress], object] | None, clock: Callable[[], float] = monotonic) -> None:
        """
        Tell nothing yet.

        Args:
            tell: Who is told; None: nobody, and then nothing is counted.
            clock: Returns seconds; only differences count.
        """
        self._tell, self._clock = tell, clock
        self._told_at = clock()
        self.begin("reading", None)

    def begin(self, stage: Stage, size: int | None) -> None:
        """Begin a stage."""
        self.stage: Stage = stage
        self.size = size
        self.passed = self.rows = 0

    def read(self, count: int) -> None:
        """Count bytes; tell nothing, for whoever reads a file takes an error for the file's."""
        self.passed += count

    def tick(self, rows: int = 0) -> None:
        """Count rows, and tell how far it is, if that was last told long enough ago."""
        self.rows += rows
        if self._tell is not None and self._clock() - self._told_at >= INTERVAL_S:
            self.tell()

    def tell(self) -> None:
        """Tell how far it is."""
        if self._tell is not None:
            self._told_at = self._clock()
            self._tell(Progress(stage=self.stage, passed=self.passed, size=self.size, rows=self.rows))

    def watched(self, log: Iterable[EachT]) -> Iterator[EachT]:
        """Return a log whose rows are counted as they pass; as it is, if nobody is told."""
        return iter(log) if self._tell is None else self._counted(log)

    def _counted(self, log: Iterable[EachT]) -> Iterator[EachT]:
        for row in log:
            self.tick(1)
            yield row
