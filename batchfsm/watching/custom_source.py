"""Snapshots from a user's own source: one method, and no SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from batchfsm.snapshot import Snapshot
from batchfsm.watching.bounded_http import no_complete_response
from batchfsm.watching.responses import Failure, Fatal, Gone, Transient, classify_error


class SnapshotSource(Protocol):
    """
    A source of snapshots, in place of an openai client.

    It may have more methods: `list()` returns an iterable of the snapshots of all batches, so that a watch needs no
    ids; `classify_error(error)` returns a `Transient`, `Gone` or `Fatal` for an exception of `list`. An attribute
    `dialect` names the dialect of a monitor that `watch` makes.
    """

    def fetch(self, ids: tuple[str, ...], /) -> Mapping[str, Snapshot | Gone | Transient | Fatal]:
        """
        Read some batches.

        Returns:
            For each id a snapshot, or the reason why there is none. An exception
            counts as a failed request for all of them.
        """


class AsyncSnapshotSource(Protocol):
    """A `SnapshotSource` for `awatch`; its `list`, if there is one, is an async generator function."""

    async def fetch(self, ids: tuple[str, ...], /) -> Mapping[str, Snapshot | Gone | Transient | Fatal]:
        """Read some batches; otherwise as `SnapshotSource.fetch`."""


ListedSnapshots = tuple[Snapshot, ...] | Failure
"""The result of one call of `list`."""


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

    def list(self, timeout_s: float) -> ListedSnapshots:  # noqa: ARG002  # As above.
        """Read all batches."""
        try:
            return _checked_list(tuple(self._source.list()))  # type: ignore[attr-defined]  # `watch` has checked it.
        except Exception as error:  # noqa: BLE001  # As above.
            return _failed_list(self._source, error, now=self._clock())


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

    async def list(self, timeout_s: float) -> ListedSnapshots:
        """Read all batches."""
        scope = asyncio.timeout(timeout_s)
        try:
            async with scope:
                listed = self._source.list()  # type: ignore[attr-defined]  # `awatch` has checked it.
                return _checked_list(tuple([each async for each in listed]))
        except Exception as error:  # noqa: BLE001  # As above.
            if scope.expired():
                return Transient(no_complete_response(timeout_s))
            return _failed_list(self._source, error, now=self._clock())


def _checked_list(listed: tuple[Any, ...]) -> ListedSnapshots:
    odd = next((each for each in listed if not isinstance(each, Snapshot)), None)
    return listed if odd is None else Transient(f"list yielded {type(odd).__name__}, not a Snapshot")


def _failed_list(source: object, error: Exception, *, now: float) -> Failure:
    classify = getattr(source, "classify_error", None)
    failure: Failure = classify_error(error, now=now) if classify is None else classify(error)
    return failure


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
