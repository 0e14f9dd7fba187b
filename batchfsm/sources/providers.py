"""One function for each SDK: it takes the SDK's client and returns a source."""

from __future__ import annotations

import json
from inspect import iscoroutinefunction
from operator import attrgetter
from typing import Any, Literal, overload
from urllib.parse import quote, urlencode

from batchfsm.sources.provider_source import AsyncProviderSource, Page, ProviderSource


def anthropic(client: Any) -> Any:
    """
    Return a source over an `anthropic.Anthropic` or `anthropic.AsyncAnthropic` client.

    Objects are taken from the raw responses: the SDK's objects leave out fields that it does not know.

    Returns:
        An `AsyncProviderSource` for an async client, else a `ProviderSource`.

    Raises:
        TypeError: If it is no client of anthropic.
    """
    batches = _part(client, "anthropic", "messages.batches")

    def page_of(found: Any) -> Page:
        return found["data"], found.get("last_id") if found.get("has_more") else None

    def options(cursor: Any) -> dict[str, Any]:
        return {"limit": 1000} | ({} if cursor is None else {"after_id": cursor})

    if iscoroutinefunction(batches.retrieve):

        async def _retrieve_async(batch_id: str) -> Any:
            return _json_of(await batches.with_raw_response.retrieve(batch_id))

        async def _list_async(cursor: Any) -> Page:
            return page_of(_json_of(await batches.with_raw_response.list(**options(cursor))))

        return AsyncProviderSource(dialect="anthropic", retrieve=_retrieve_async, list_page=_list_async)
    return ProviderSource(
        dialect="anthropic",
        retrieve=lambda batch_id: _json_of(batches.with_raw_response.retrieve(batch_id)),
        list_page=lambda cursor: page_of(_json_of(batches.with_raw_response.list(**options(cursor)))),
    )


def gemini(client: Any) -> Any:
    """
    Return a source over a `google.genai.Client`, or over its async side, `client.aio`.

    Objects are taken from the responses of the client's own transport: google-genai's objects leave out the counts.

    Returns:
        An `AsyncProviderSource` for the async side, else a `ProviderSource`.

    Raises:
        TypeError: If it is no client of google-genai.
    """
    transport = _part(client, "google-genai", "_api_client")  # No public method of it returns a whole response.

    def path(cursor: Any) -> str:
        query = {"pageSize": 100} | ({} if cursor is None else {"pageToken": cursor})
        return f"batches?{urlencode(query)}"

    def page_of(found: Any) -> Page:
        return found.get("operations", []), found.get("nextPageToken")

    if hasattr(client, "aio"):
        return ProviderSource(
            dialect="gemini",
            retrieve=lambda name: _body_of(transport.request("get", _resource(name), {})),
            list_page=lambda cursor: page_of(_body_of(transport.request("get", path(cursor), {}))),
        )

    async def _retrieve_async(name: str) -> Any:
        return _body_of(await transport.async_request("get", _resource(name), {}))

    async def _list_async(cursor: Any) -> Page:
        return page_of(_body_of(await transport.async_request("get", path(cursor), {})))

    return AsyncProviderSource(dialect="gemini", retrieve=_retrieve_async, list_page=_list_async)


def bedrock(client: Any) -> ProviderSource:
    """
    Return a source over `boto3.client("bedrock")`; ids are ARNs of jobs, or the last part of one.

    Raises:
        TypeError: If it is another client.
    """
    get_job = _part(client, "bedrock", "get_model_invocation_job")

    def list_page(cursor: Any) -> Page:
        options = {"maxResults": 1000} | ({} if cursor is None else {"nextToken": cursor})
        found = client.list_model_invocation_jobs(**options)
        return found.get("invocationJobSummaries", []), found.get("nextToken")

    return ProviderSource(
        dialect="bedrock",
        retrieve=lambda job: get_job(jobIdentifier=job),
        list_page=list_page,
    )


@overload
def mistral(client: Any, *, is_async: Literal[False] = False) -> ProviderSource: ...


@overload
def mistral(client: Any, *, is_async: Literal[True]) -> AsyncProviderSource: ...


def mistral(client: Any, *, is_async: bool = False) -> ProviderSource | AsyncProviderSource:
    """
    Return a source over a `mistralai.Mistral` client.

    Args:
        client: The client, which is both sync and async.
        is_async: True for a source of `awatch`.

    Raises:
        TypeError: If it is no client of mistralai.
    """
    jobs = _part(client, "mistralai", "batch.jobs")

    def page_of(found: Any, page: int) -> Page:
        listed = found.data or []
        is_last = not listed or (page + 1) * 100 >= found.total
        return [_dumped(each) for each in listed], None if is_last else page + 1

    if is_async:

        async def _retrieve_async(job: str) -> Any:
            return _dumped(await jobs.get_async(job_id=job))

        async def _list_async(cursor: Any) -> Page:
            page = cursor or 0
            return page_of(await jobs.list_async(page=page, page_size=100), page)

        return AsyncProviderSource(dialect="mistral", retrieve=_retrieve_async, list_page=_list_async)

    def list_page(cursor: Any) -> Page:
        page = cursor or 0
        return page_of(jobs.list(page=page, page_size=100), page)

    return ProviderSource(dialect="mistral", retrieve=lambda job: _dumped(jobs.get(job_id=job)), list_page=list_page)


def _part(client: Any, library: str, path: str) -> Any:
    """Return an attribute of a client of an SDK."""
    try:
        return attrgetter(path)(client)
    except AttributeError:
        raise TypeError(f"{type(client).__name__} is no client of {library}: it has no {path}") from None


def _json_of(response: Any) -> Any:
    """Return the JSON of a raw response of anthropic."""
    return json.loads(response.http_response.content)


def _body_of(response: Any) -> Any:
    """Return the JSON of a response of google-genai's transport; an empty page has no body."""
    return json.loads(response.body) if response.body else {}


def _resource(name: str) -> str:
    return quote(name if name.startswith("batches/") else f"batches/{name}", safe="/")


def _dumped(job: Any) -> Any:
    return job.model_dump(mode="json")
