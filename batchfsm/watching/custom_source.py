"""Looks through a user's own source: one method, and no SDK."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from batchfsm.snapshot import Snapshot
from batchfsm.watching.pagination import FetchResult
from batchfsm.watching.responses import Fatal, Gone, Transient, of_error


class SnapshotSource(Protocol):
    """Where snapshots come from, if not from an openai client."""

    def fetch(self, ids: tuple[str, ...], /) -> Mapping[str, Snapshot | Gone | Transient | Fatal]:
        """
        Look at some batches.

        Returns:
            For each id a snapshot, or why there is none. What it raises is a failed
            look at all of them.
        """


class AsyncSnapshotSource(Protocol):
    """The same for `awatch`."""

    async def fetch(self, ids: tuple[str, ...], /) -> Mapping[str, Snapshot | Gone | Transient | Fatal]:
        """Look at some batches; otherwise as `SnapshotSource.fetch`."""


class SourceFetcher:
    """Asks a plain source."""

    is_wire = False

    def __init__(self, source: SnapshotSource, clock: Callable[[], float]) -> None:
        """Hold the source."""
        self._source, self._clock = source, clock

    def look(self, ids: tuple[str, ...], *, is_sweep: bool) -> FetchResult:  # noqa: ARG002  # A source has no list.
        """Ask for batches."""
        try:
            return looked(self._source.fetch(ids))
        except Exception as error:  # noqa: BLE001  # Classed, and said: a source that raises is no observation.
            return failed(ids, error, now=self._clock())


class AsyncSourceFetcher:
    """Asks an async source."""

    is_wire = False

    def __init__(self, source: AsyncSnapshotSource, clock: Callable[[], float]) -> None:
        """Hold the source."""
        self._source, self._clock = source, clock

    async def look(self, ids: tuple[str, ...], *, is_sweep: bool) -> FetchResult:  # noqa: ARG002  # A source has no list.
        """Ask for batches."""
        try:
            return looked(await self._source.fetch(ids))
        except Exception as error:  # noqa: BLE001  # Classed, and said: a source that raises is no observation.
            return failed(ids, error, now=self._clock())


def looked(answers: Any) -> FetchResult:
    """Return what a source answered; what is no mapping answers for nothing."""
    if not isinstance(answers, Mapping):
        return FetchResult(refusal=Transient(f"fetch returned {type(answers).__name__}, not a mapping of ids"))
    return FetchResult(dict(answers))


def failed(ids: tuple[str, ...], error: Exception, *, now: float) -> FetchResult:
    """Class what a source raised: it is about each batch, but for a 404 that is about nobody knows which."""
    refusal = of_error(error, now=now)
    if isinstance(refusal, Transient):
        return FetchResult(refusal=refusal)
    if isinstance(refusal, Gone) and len(ids) > 1:
        return FetchResult(refusal=Transient(refusal.reason))
    return FetchResult(dict.fromkeys(ids, refusal))
