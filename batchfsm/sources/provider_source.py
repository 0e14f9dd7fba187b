"""`ProviderSource`: fetches the batches of one provider and classifies the errors of its SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from time import time
from typing import Any, Final

import attrs

from batchfsm.dialects import get_dialect
from batchfsm.errors import SnapshotError
from batchfsm.snapshot import Snapshot
from batchfsm.watching import Fatal, Gone, Transient
from batchfsm.watching.responses import classify_error as classify_openai_error
from batchfsm.watching.responses import classify_status
from batchfsm.wire import reader

Page = tuple[list[Any], Any]
"""The objects of one page of a list, and the cursor of the next one; None after the last page."""

PAGES_MAX: Final = 10_000
"""The most pages of one list that are read: a list whose cursor never ends does not hold a watch."""

_GONE_CODES: Final = frozenset({"ResourceNotFoundException"})
_THROTTLED_CODES: Final = frozenset(
    {"ThrottlingException", "TooManyRequestsException", "ServiceQuotaExceededException"}
)
_FATAL_CODES: Final = frozenset(
    {"AccessDeniedException", "ExpiredTokenException", "UnrecognizedClientException", "ValidationException"}
)
_NO_CREDENTIALS: Final = frozenset({"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"})


def classify(error: Exception, *, now: float) -> Transient | Gone | Fatal:
    """
    Classify an error of an SDK: by botocore's code, google-genai's `code`, or the HTTP status of the others.

    The reason has only names and numbers of the error: its text may hold a key.
    """
    found = getattr(error, "response", None)
    if isinstance(found, Mapping) and isinstance(found.get("Error"), Mapping):
        return _of_botocore(str(found["Error"].get("Code")))
    if type(error).__name__ in _NO_CREDENTIALS:
        return Fatal(type(error).__name__)
    status = getattr(error, "code", None)
    if isinstance(status, int) and not hasattr(error, "status_code"):
        headers = getattr(found, "headers", None)
        return classify_status(status, headers if isinstance(headers, Mapping) else {}, now=now)
    return classify_openai_error(error, now=now)


def _of_botocore(code: str) -> Transient | Gone | Fatal:
    if code in _GONE_CODES:
        return Gone(code)
    return Fatal(code) if code in _FATAL_CODES else Transient(code, is_throttled=code in _THROTTLED_CODES)


@attrs.frozen(kw_only=True)
class _AnswerReader:
    """Parses the answers of a provider and classifies the errors of its SDK; the base of both kinds of sources."""

    dialect: str
    """The dialect of its objects."""

    clock: Callable[[], float] = time

    def read(self, found: Any) -> Snapshot | Transient:
        """Return the snapshot of an answer; Transient if the answer is no batch of the provider."""
        try:
            return reader(get_dialect(self.dialect)).read(found, self.clock())
        except SnapshotError as error:
            return Transient(error.problems[0][1])

    def classify_error(self, error: Exception) -> Transient | Gone | Fatal:
        """Return a failure for an error of the SDK, as `classify` does."""
        return classify(error, now=self.clock())


@attrs.frozen(kw_only=True)
class ProviderSource(_AnswerReader):
    """A source for `watch`."""

    retrieve: Callable[[str], Any]
    """Returns the object of a batch, given its id; raises the SDK's errors."""

    list_page: Callable[[Any], Page]
    """Returns a page of all batches, given its cursor; None for the first page."""

    def fetch(self, ids: tuple[str, ...]) -> Mapping[str, Snapshot | Gone | Transient | Fatal]:
        """Return a snapshot of each batch, or the class of the error in its place."""
        answers: dict[str, Snapshot | Gone | Transient | Fatal] = {}
        for batch_id in ids:
            try:
                answers[batch_id] = self.read(self.retrieve(batch_id))
            except Exception as error:  # noqa: BLE001  # Classified, and reported by the watch.
                answers[batch_id] = self.classify_error(error)
        return answers

    def list(self) -> Iterator[Snapshot]:
        """Yield a snapshot of each batch of the account, newest first; raises the SDK's errors."""
        cursor = None
        for _ in range(PAGES_MAX):
            found, cursor = self.list_page(cursor)
            yield from (each for each in map(self.read, found) if isinstance(each, Snapshot))
            if cursor is None:
                return


@attrs.frozen(kw_only=True)
class AsyncProviderSource(_AnswerReader):
    """A source for `awatch`."""

    retrieve: Callable[[str], Awaitable[Any]]
    """As of `ProviderSource`."""

    list_page: Callable[[Any], Awaitable[Page]]
    """As of `ProviderSource`."""

    async def fetch(self, ids: tuple[str, ...]) -> Mapping[str, Snapshot | Gone | Transient | Fatal]:
        """Return a snapshot of each batch, or the class of the error in its place."""
        answers: dict[str, Snapshot | Gone | Transient | Fatal] = {}
        for batch_id in ids:
            try:
                answers[batch_id] = self.read(await self.retrieve(batch_id))
            except Exception as error:  # noqa: BLE001  # Classified, and reported by the watch.
                answers[batch_id] = self.classify_error(error)
        return answers

    async def list(self) -> AsyncIterator[Snapshot]:
        """Yield a snapshot of each batch of the account, newest first; raises the SDK's errors."""
        cursor = None
        for _ in range(PAGES_MAX):
            found, cursor = await self.list_page(cursor)
            for each in map(self.read, found):
                if isinstance(each, Snapshot):
                    yield each
            if cursor is None:
                return
