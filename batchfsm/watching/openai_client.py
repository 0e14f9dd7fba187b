"""Looks through an openai client: openai-python 2.x and 3.x, Azure's too, plain and async."""

from __future__ import annotations

from asyncio import Semaphore, TaskGroup
from collections.abc import Callable, Iterable, Mapping
from inspect import iscoroutinefunction
from json import JSONDecodeError
from typing import Any, Final

from batchfsm.errors import SnapshotError, needs_extra
from batchfsm.watching.pagination import PAGE, Ask, FetchResult, Page, Pager
from batchfsm.watching.responses import Fatal, Transient, of_error
from batchfsm.wire import decode

REQUEST_S_MAX: Final = 60.0
"""How long one request may take. An openai client's own ten minutes would make one batch keep the others waiting."""

TASKS_MAX: Final = 10
"""How many batches an async client is asked for at a time."""


def connect(*, api_key: str, base_url: str | None) -> Any:
    """
    Return an openai client.

    Raises:
        MissingExtraError: If the package is not installed.
    """
    with needs_extra("watching by the command line", "watch"):
        from openai import OpenAI  # noqa: PLC0415  # The one place where the extra may be missing.
    # The schedule looks again by itself, and knows what else is waiting; the client's own retries do not.
    return OpenAI(api_key=api_key, base_url=base_url, max_retries=0)


def is_async(client: Any) -> bool:
    """
    Tell whether a client's calls are awaited.

    Raises:
        TypeError: If it has no `batches.retrieve`.
    """
    retrieve = getattr(getattr(client, "batches", None), "retrieve", None)
    if not callable(retrieve):
        raise TypeError(f"{type(client).__name__} has no batches.retrieve: an openai client is due, or source=")
    return iscoroutinefunction(retrieve)


def dialect_of(client: Any) -> str:
    """Return whose habits a client's server is known to have."""
    is_azure = any(each.__name__.endswith("AzureOpenAI") for each in type(client).__mro__)
    return "azure" if is_azure or ".azure.com" in str(getattr(client, "base_url", "")) else "openai"


class ClientFetcher:
    """Asks through a plain client."""

    is_wire = True

    def __init__(self, client: Any, pager: Pager, clock: Callable[[], float]) -> None:
        """Take the calls that hand over what came, unparsed, where there are such."""
        self._calls, self._is_raw = _calls(client)
        self._options = _options(client, is_raw=self._is_raw)
        self._pager, self._clock = pager, clock

    def look(self, ids: Iterable[str], *, is_sweep: bool) -> FetchResult:
        """Ask for batches."""
        asking, reply = self._pager.look(ids, is_sweep=is_sweep), None
        while True:
            try:
                ask: Ask = asking.send(reply)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            reply = self._page(ask) if isinstance(ask, Page) else self._singles(ask.ids)

    def _page(self, page: Page) -> Any:
        return self._ask(self._calls.list, **_listing(page))

    def _singles(self, ids: Iterable[str]) -> dict[str, Any]:
        replies: dict[str, Any] = {}
        refusal: Transient | None = None
        for batch_id in ids:
            replies[batch_id] = refusal or self._ask(self._calls.retrieve, batch_id)
            refusal = refusal or throttling(replies[batch_id])
        return replies

    def _ask(self, call: Callable[..., Any], *args: str, **options: Any) -> Any:
        try:
            response = call(*args, **options, **self._options)
        except Exception as error:  # noqa: BLE001  # Classed: none of them is an observation.
            return refusal_of(error, now=self._clock())
        return body(response) if self._is_raw else response


class AsyncClientFetcher:
    """Asks through an async client, some batches at a time."""

    is_wire = True

    def __init__(self, client: Any, pager: Pager, clock: Callable[[], float]) -> None:
        """Take the calls that hand over what came, unparsed, where there are such."""
        self._calls, self._is_raw = _calls(client)
        self._options = _options(client, is_raw=self._is_raw)
        self._pager, self._clock = pager, clock

    async def look(self, ids: Iterable[str], *, is_sweep: bool) -> FetchResult:
        """Ask for batches."""
        asking, reply = self._pager.look(ids, is_sweep=is_sweep), None
        while True:
            try:
                ask: Ask = asking.send(reply)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if isinstance(ask, Page):
                reply = await self._ask(self._calls.list, **_listing(ask))
            else:
                reply = await self._singles(ask.ids)

    async def _singles(self, ids: Iterable[str]) -> dict[str, Any]:
        replies: dict[str, Any] = dict.fromkeys(ids)
        refusals: list[Transient] = []
        free = Semaphore(TASKS_MAX)

        async def one(batch_id: str) -> None:
            async with free:
                reply = refusals[0] if refusals else await self._ask(self._calls.retrieve, batch_id)
                refusals.extend([refusal] if (refusal := throttling(reply)) else [])
                replies[batch_id] = reply

        async with TaskGroup() as tasks:
            for batch_id in replies:
                tasks.create_task(one(batch_id))
        return replies

    async def _ask(self, call: Callable[..., Any], *args: str, **options: Any) -> Any:
        try:
            response = await call(*args, **options, **self._options)
        except Exception as error:  # noqa: BLE001  # Classed: none of them is an observation.
            return refusal_of(error, now=self._clock())
        return body(response) if self._is_raw else response


def body(response: Any) -> Any:
    """Return the JSON object of a response that succeeded; a failure of the moment if there is none."""
    status = response.http_response.status_code
    try:
        found = decode(response.http_response.content)
    except SnapshotError:
        return Transient(f"HTTP {status} without readable JSON")
    return found if isinstance(found, Mapping) else Transient(f"HTTP {status} without a JSON object")


def refusal_of(error: Exception, *, now: float) -> Any:
    """Class what a client raised: what it refuses to send at all is a bad id, which no later look mends."""
    if isinstance(error, ValueError | TypeError) and not isinstance(error, JSONDecodeError | UnicodeError):
        return Fatal(f"the client refused the id ({type(error).__name__})")
    return of_error(error, now=now)


def throttling(reply: Any) -> Transient | None:
    """Return a reply if the server asks to be left alone by everybody."""
    return reply if isinstance(reply, Transient) and reply.is_throttled else None


def _calls(client: Any) -> tuple[Any, bool]:
    # The parsed object would hide HTML at 200, and drop what the SDK does not know.
    raw = getattr(client.batches, "with_raw_response", None)
    return (client.batches, False) if raw is None else (raw, True)


def _listing(page: Page) -> dict[str, Any]:
    return {"limit": PAGE} if page.after is None else {"limit": PAGE, "after": page.after}


def _options(client: Any, *, is_raw: bool) -> dict[str, Any]:
    """Return the client's own time-outs, each cut down to what one request may take."""
    if not is_raw:
        return {}
    own: Any = getattr(client, "timeout", None)
    if isinstance(own, int | float):
        return {"timeout": min(own, REQUEST_S_MAX)}
    if not hasattr(own, "as_dict"):
        return {"timeout": REQUEST_S_MAX}
    # `Timeout` of httpx or httpx2, whichever the client sends with.
    parts = {name: REQUEST_S_MAX if s is None else min(s, REQUEST_S_MAX) for name, s in own.as_dict().items()}
    return {"timeout": type(own)(**parts)}
