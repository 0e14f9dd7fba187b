"""Snapshots from a user's own source: one method, and no SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from batchfsm.snapshot import Snapshot
from batchfsm.watching.bounded_http import no_complete_response
from batchfsm.watching.responses import Fatal, Gone, Transient, classify_error


class SnapshotSource(Protocol):
    """A source of snapshots, in place of an openai client."""

    def fetch(self, ids: tuple[str, ...], /) -> Mapping[str, Snapshot | Gone | Transient | Fatal]:
        """
        Read some batches.

        Returns:
            For each id a snapshot, or the reason why there is none. An exception
            counts as a failed request for all of them.
        """


class AsyncSnapshotSource(Protocol):
    """A `SnapshotSource` for `awatch`."""

    async def fetch(self, ids: tuple[str, ...], /) -> Mapping[str, Snapshot | Gone | Transient | Fatal]:
        """Read some batches; otherwise as `SnapshotSource.fetch`."""


@attrs.frozen
class FetchResult:
    """The result of one call of `fetch`."""

    responses: Mapping[str, Any] = attrs.field(factory=dict)
    """The response of each batch."""

    failure: Transient | None = None
    """The failure of the whole call, if it failed."""

    def response_for(self, batch_id: str) -> Any:
        """Return the response of a batch; a failure if there is none."""
        response = self.responses.get(batch_id)
        return response if response is not None else self.failure or Transient("no answer for this batch")


class SourceFetcher:
    """Calls a plain source."""

    def __init__(self, source: SnapshotSource, clock: Callable[[], float]) -> None:
        self._source, self._clock = source, clock

    def fetch(self, ids: tuple[str, ...], timeout_s: float) -> FetchResult:  # noqa: ARG002  # A plain call cannot be cut off.
        """Read some batches."""
        try:
            return _fetch_result(self._source.fetch(ids))
        except Exception as error:  # noqa: BLE001  # Classified and reported: a source that raises is no observation.
            return _failed_fetch(ids, error, now=self._clock())


class AsyncSourceFetcher:
    """Calls an async source."""

    def __init__(self, source: AsyncSnapshotSource, clock: Callable[[], float]) -> None:
        self._source, self._clock = source, clock

    async def fetch(self, ids: tuple[str, ...], timeout_s: float) -> FetchResult:
        """Read some batches."""
        scope = asyncio.timeout(timeout_s)
        try:
            async with scope:
                return _fetch_result(await self._source.fetch(ids))
        except Exception as error:  # noqa: BLE001  # Classified and reported: a source that raises is no observation.
            if scope.expired():
                return FetchResult(failure=Transient(no_complete_response(timeout_s)))
            return _failed_fetch(ids, error, now=self._clock())


def _fetch_result(responses: Any) -> FetchResult:
    if not isinstance(responses, Mapping):
        return FetchResult(failure=Transient(f"fetch returned {type(responses).__name__}, not a mapping of ids"))
    return FetchResult(responses)


def _failed_fetch(ids: tuple[str, ...], error: Exception, *, now: float) -> FetchResult:
    """
    Classify an exception of `fetch`.

    It applies to every id, except a 404 for several ids, which is treated as transient:
    it does not say which of them is gone.
    """
    failure = classify_error(error, now=now)
    if isinstance(failure, Transient):
        return FetchResult(failure=failure)
    if isinstance(failure, Gone) and len(ids) > 1:
        return FetchResult(failure=Transient(failure.reason))
    return FetchResult(dict.fromkeys(ids, failure))
