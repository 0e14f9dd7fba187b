"""Requests through an openai client: openai-python 1.x to 3.x, Azure's too, plain and async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from json import JSONDecodeError
from typing import Any, Final

from batchfsm.errors import MissingExtraError, SnapshotError
from batchfsm.watching.bounded_http import REFUSAL, bounded_batches, no_complete_response
from batchfsm.watching.effects import ListPage
from batchfsm.watching.pagination import PAGE_SIZE
from batchfsm.watching.responses import Failure, Fatal, JSONReply, Transient, classify_error, http_date
from batchfsm.wire import decode

CONCURRENCY_MAX: Final = 10
"""The number of requests that an async client has under way at a time."""


def connect(*, api_key: str, base_url: str | None) -> Any:
    """
    Return an openai client.

    Raises:
        MissingExtraError: If the package is not installed.
    """
    try:
        from openai import OpenAI  # noqa: PLC0415  # The one place where the extra may be missing.
    except ImportError:
        raise MissingExtraError("watching by the command line", "watch") from None
    # The schedule retries, and takes the other batches into account; the client's own retries do not.
    return OpenAI(api_key=api_key, base_url=base_url, max_retries=0)


_PROVIDER_OF_LIBRARY: Final = {
    "anthropic": "anthropic",
    "google": "gemini",
    "botocore": "bedrock",
    "mistralai": "mistral",
}
"""By the top package of an SDK: the function of `batchfsm.sources` that takes its client."""


def is_async(client: Any) -> bool:
    """
    Tell whether a client's calls are awaited.

    Raises:
        TypeError: If it has no `batches.retrieve`.
    """
    retrieve = getattr(getattr(client, "batches", None), "retrieve", None)
    if not callable(retrieve):
        raise TypeError(f"{type(client).__name__} has no batches.retrieve: {_what_to_pass(client)}")
    return iscoroutinefunction(retrieve)


def _what_to_pass(client: Any) -> str:
    """Return the argument of `watch` for an object that is no openai client, as the end of a sentence."""
    if callable(getattr(client, "fetch", None)):
        return "it is a source, so pass it as source="
    provider = _PROVIDER_OF_LIBRARY.get(type(client).__module__.partition(".")[0])
    return "pass an openai client, or source=" + ("" if provider is None else f"batchfsm.sources.{provider}(client)")


def dialect_of(client: Any) -> str:
    """Return the name of the dialect that a client's server is known to use: `azure`, or `openai` for any other."""
    is_azure = any(each.__name__.endswith("AzureOpenAI") for each in type(client).__mro__)
    return "azure" if is_azure or ".azure.com" in str(getattr(client, "base_url", "")) else "openai"


class ClientFetcher:
    """Retrieves and lists batches through a plain client; may be called from several threads."""

    def __init__(self, client: Any, clock: Callable[[], float]) -> None:
        self._client, self._clock = client, clock
        self._calls, self._is_raw = _calls(bounded_batches(client, is_async=False))

    def retrieve(self, batch_id: str, timeout_s: float) -> Any:
        """Return the reply for one batch."""
        return self._request(self._calls.retrieve, batch_id, timeout_s=timeout_s)

    def list_page(self, page: ListPage) -> Any:
        """Return the reply for a page of the list."""
        return self._request(self._calls.list, timeout_s=page.timeout_s, **_page_arguments(page))

    def _request(self, call: Callable[..., Any], *args: str, timeout_s: float, **options: Any) -> Any:
        try:
            response = call(*args, **options, **_timeouts(self._client, timeout_s, is_raw=self._is_raw))
        except Exception as error:  # noqa: BLE001  # Classified: none of them is an observation.
            return classify_client_error(error, now=self._clock())
        return json_reply(response) if self._is_raw else response


class AsyncClientFetcher:
    """Retrieves and lists batches through an async client."""

    def __init__(self, client: Any, clock: Callable[[], float]) -> None:
        self._client, self._clock = client, clock
        self._calls, self._is_raw = _calls(bounded_batches(client, is_async=True))

    async def retrieve(self, batch_id: str, timeout_s: float) -> Any:
        """Return the reply for one batch."""
        return await self._request(self._calls.retrieve, batch_id, timeout_s=timeout_s)

    async def list_page(self, page: ListPage) -> Any:
        """Return the reply for a page of the list."""
        return await self._request(self._calls.list, timeout_s=page.timeout_s, **_page_arguments(page))

    async def _request(self, call: Callable[..., Any], *args: str, timeout_s: float, **options: Any) -> Any:
        scope = asyncio.timeout(timeout_s)
        try:
            async with scope:
                response = await call(*args, **options, **_timeouts(self._client, timeout_s, is_raw=self._is_raw))
        except Exception as error:  # noqa: BLE001  # Classified: none of them is an observation.
            if scope.expired():
                return Transient(no_complete_response(timeout_s))
            return classify_client_error(error, now=self._clock())
        return json_reply(response) if self._is_raw else response


def json_reply(response: Any) -> JSONReply | Transient:
    """Return the JSON object of a response that succeeded; a transient failure if there is none."""
    http = response.http_response
    if refusal := http.extensions.get(REFUSAL):
        return Transient(refusal)
    try:
        content = decode(http.content)
    except SnapshotError:
        return Transient(f"HTTP {http.status_code} without readable JSON")
    if not isinstance(content, Mapping):
        return Transient(f"HTTP {http.status_code} without a JSON object")
    return JSONReply(content, http_date(http.headers.get("date", "")))


def classify_client_error(error: Exception, *, now: float) -> Failure:
    """Classify an exception of a client. An id that the client refuses to send is malformed: a retry cannot succeed."""
    if isinstance(error, ValueError | TypeError) and not isinstance(error, JSONDecodeError | UnicodeError):
        return Fatal(f"the client refused the id ({type(error).__name__})")
    return classify_error(error, now=now)


def _calls(batches: Any) -> tuple[Any, bool]:
    # The parsed object would hide HTML at 200, and drop fields that the SDK does not have.
    raw = getattr(batches, "with_raw_response", None)
    return (batches, False) if raw is None else (raw, True)


def _page_arguments(page: ListPage) -> dict[str, Any]:
    return {"limit": PAGE_SIZE} if page.after is None else {"limit": PAGE_SIZE, "after": page.after}


def _timeouts(client: Any, seconds: float, *, is_raw: bool) -> dict[str, Any]:
    """Return the client's own time-outs as an argument, none above the deadline of the request."""
    if not is_raw:
        return {}
    own: Any = getattr(client, "timeout", None)
    if isinstance(own, int | float):
        return {"timeout": min(own, seconds)}
    if not hasattr(own, "as_dict"):
        return {"timeout": seconds}
    # `Timeout` of httpx or httpx2, depending on the client's version.
    parts = {name: seconds if s is None else min(s, seconds) for name, s in own.as_dict().items()}
    return {"timeout": type(own)(**parts)}
