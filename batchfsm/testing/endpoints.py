"""What the fake API answers, by method and path: `/v1/files` and `/v1/batches`, as OpenAI does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, Final, cast

import attrs

from batchfsm.testing.http import Answer, Operation, RefusedError, Request, error_answer, json_answer
from batchfsm.testing.input_file import made_up, read
from batchfsm.testing.multipart import parts
from batchfsm.testing.result_files import Respond, ended_in
from batchfsm.testing.scenario import BatchPlan, failed, planned
from batchfsm.testing.scenario_parser import ScenarioError
from batchfsm.testing.store import Entry, File, Store
from batchfsm.testing.timeline import BatchLife, Wire

ENDPOINTS: Final = tuple(
    f"/v1/{name}"
    for name in (
        "responses", "chat/completions", "embeddings", "completions", "moderations", "images/generations",
        "images/edits", "videos",
    )
)  # fmt: skip
"""Where a batch can send its requests. Source: openai-openapi, path /batches."""

SCENARIO_KEY: Final = "scenario"
"""The key of `metadata` by which a client of any language says what shall become of its batch."""

_LIMIT_MAX: Final = 100
_LIMIT: Final = 20
_WINDOW: Final = re.compile(r"\d{1,4}[mhd]", re.ASCII)
_PATHS: Final[tuple[tuple[str, re.Pattern[str], Operation], ...]] = tuple(
    (method, re.compile(f"/v1/{path}"), cast("Operation", operation))
    for method, path, operation in (
        ("POST", "files", "files.create"),
        ("GET", "files", "files.list"),
        ("GET", "files/([^/]+)", "files.retrieve"),
        ("GET", "files/([^/]+)/content", "files.content"),
        ("DELETE", "files/([^/]+)", "files.delete"),
        ("POST", "batches", "batches.create"),
        ("GET", "batches", "batches.list"),
        ("GET", "batches/([^/]+)", "batches.retrieve"),
        ("POST", "batches/([^/]+)/cancel", "batches.cancel"),
    )
)


def operation_of(request: Request) -> tuple[Operation | None, str]:
    """Return what a request asks for, and the id in its path; None where there is no such endpoint."""
    for method, path, operation in _PATHS:
        found = path.fullmatch(request.path.rstrip("/"))
        if found is not None and method == request.method:
            return operation, "".join(found.groups())
    return None, ""


@attrs.frozen
class Endpoints:
    """The API without its faults: a request and a time in, an answer out."""

    store: Store
    plan: BatchPlan
    """What becomes of a batch of which nobody says anything."""
    respond: Respond | None
    """What answers the requests of a batch; None: the scenario says how many end well."""

    def answer(self, request: Request, now: float) -> Answer:
        """Answer a request; what it asks for is there as of that time, in Unix seconds."""
        operation, name = operation_of(request)
        if operation is None:
            return error_answer(404, f"Invalid URL ({request.method} {request.path})")
        if not request.headers.get("authorization", "").removeprefix("Bearer").strip():
            return error_answer(401, "You didn't provide an API key.", code="invalid_api_key")
        try:
            return self._find(operation)(request, name, now)
        except RefusedError as error:
            return error.answer

    def batch_at(self, batch_id: str, second: float) -> Wire:
        """Return an existing batch at a time in Unix seconds, or as it was created if that is later."""
        life = self._life(batch_id, inf)
        return life.at(max(second, life.begins_at))

    def all_batches(self, now: float) -> list[Wire]:
        """Return all batches as they are at a time, newest first."""
        return [life.at(now) for life in self.store.lives(now)]

    def _find(self, operation: Operation) -> Callable[[Request, str, float], Answer]:
        found: Mapping[Operation, Callable[[Request, str, float], Answer]] = {
            "files.create": self._upload,
            "files.list": lambda request, _, now: _page(request, self.store.files(now), File.to_dict, lambda x: x.id),
            "files.retrieve": lambda _, name, now: json_answer(self._file(name, now).to_dict()),
            "files.content": self._content,
            "files.delete": self._delete,
            "batches.create": self._create,
            "batches.list": lambda request, _, now: _page(
                request, self.store.lives(now), lambda life: life.at(now), lambda life: life.batch_id
            ),
            "batches.retrieve": lambda _, name, now: json_answer(self._life(name, now).at(now)),
            "batches.cancel": self._cancel,
        }
        return found[operation]

    def _upload(self, request: Request, _: str, now: float) -> Answer:
        found = parts(request.headers.get("content-type", ""), request.body)
        if "file" not in found:
            raise RefusedError(400, "'file' is a required property", param="file")
        purpose = found.get("purpose", ("", b""))[1].decode("utf-8", "replace")
        if not purpose:
            raise RefusedError(400, "'purpose' is a required property", param="purpose")
        filename, content = found["file"]
        return json_answer(self.store.upload(filename, purpose, content, now).to_dict())

    def _file(self, name: str, now: float) -> File:
        found = self.store.file(name, now)
        if found is None:
            raise RefusedError(404, f"No such File object: {name}", param="id")
        return found

    def _content(self, _: Request, name: str, now: float) -> Answer:
        return Answer(body=self._file(name, now).content, headers={"content-type": "application/octet-stream"})

    def _delete(self, _: Request, name: str, now: float) -> Answer:
        self.store.remove(self._file(name, now).id)
        return json_answer({"id": name, "object": "file", "deleted": True})

    def _life(self, batch_id: str, now: float) -> BatchLife:
        found = self.store.life(batch_id, now)
        if found is None:
            raise RefusedError(404, f"No batch found with id '{batch_id}'.")
        return found

    def _create(self, request: Request, _: str, now: float) -> Answer:
        asked = _asked(request)
        plan = _plan(asked.get("metadata"), self.plan)
        try:
            return json_answer(self.create(plan, asked, now).at(now))
        except ScenarioError as error:
            raise RefusedError(400, str(error), param="completion_window") from None

    def create(self, plan: BatchPlan, asked: Mapping[str, Any], now: float) -> BatchLife:
        """
        Make a batch.

        Args:
            plan: What becomes of it, if its file can be read.
            asked: The fields of the request; without `input_file_id`, requests are made up.
            now: When; Unix seconds.
        """
        identity = {"metadata": None, "endpoint": ENDPOINTS[1], "completion_window": "24h", **asked}
        number = self.store.number()
        respond = self.respond
        if "input_file_id" in asked:
            upload = self.store.file(asked["input_file_id"], now)
            lines, errors = read(None if upload is None else upload.content, identity["endpoint"])
        else:
            (lines, errors), respond = made_up(plan.total), None  # Nobody wrote answers for what is made up.
        if errors:
            life: BatchLife = failed(plan, errors, int(now), number=number, identity=identity)
            self.store.put(Entry(life))
            return life
        # A test's own code answers the requests: no lock is held here.
        requests = ended_in(lines, plan.outcomes(len(lines)), respond, identity["endpoint"])
        life = plan.life(int(now), number=number, identity=identity, outcomes=requests.outcomes)
        self.store.put(Entry(life, requests))
        return life

    def _cancel(self, _: Request, batch_id: str, now: float) -> Answer:
        status = self._life(batch_id, now).at(now)["status"]
        cancelled = self.store.change(batch_id, lambda life: life.cancelled(now))
        if cancelled is None:
            raise RefusedError(409, f"Cannot cancel a batch with status '{status}'.")
        return json_answer(cancelled.at(now))


def _asked(request: Request) -> dict[str, Any]:
    """Return the fields of a create, checked as far as OpenAI checks them before it validates the file."""
    try:
        asked = json.loads(request.body)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise RefusedError(400, "We could not parse the JSON body of your request.")
    for param in ("input_file_id", "endpoint", "completion_window"):
        if not isinstance(asked.get(param), str):
            raise RefusedError(400, f"Missing required parameter: '{param}'.", param=param)
    if asked["endpoint"] not in ENDPOINTS:
        raise RefusedError(400, f"Invalid value for endpoint: {', '.join(ENDPOINTS)}.", param="endpoint")
    if not _WINDOW.fullmatch(asked["completion_window"]):
        raise RefusedError(400, "Invalid value for completion_window: '24h'.", param="completion_window")
    metadata = asked.get("metadata")
    if metadata is not None and not (
        isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    ):
        raise RefusedError(400, "Invalid type for 'metadata': texts by key.", param="metadata")
    fields = ("input_file_id", "endpoint", "completion_window")
    return {name: asked[name] for name in fields} | {"metadata": metadata}


def _plan(metadata: Mapping[str, str] | None, default: BatchPlan) -> BatchPlan:
    if not metadata or SCENARIO_KEY not in metadata:
        return default
    try:
        return planned(metadata[SCENARIO_KEY], default.dialect)
    except ValueError as error:
        raise RefusedError(400, str(error), param=f"metadata.{SCENARIO_KEY}") from None


def _page(
    request: Request,
    found: Sequence[Any],
    written: Callable[[Any], Mapping[str, Any]],
    named: Callable[[Any], str],
) -> Answer:
    """Return a page of a list; `after` is the last id of the page before."""
    text = request.query.get("limit", str(_LIMIT))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0  # noqa: PLR2004
    if not 1 <= limit <= _LIMIT_MAX:
        raise RefusedError(400, f"Invalid 'limit': between 1 and {_LIMIT_MAX}, not {text[:20]!r}.", param="limit")
    after = request.query.get("after")
    names = [named(each) for each in found]
    if after is not None and after not in names:
        raise RefusedError(400, f"Invalid 'after': nothing has the id '{after}'.", param="after")
    begin = 0 if after is None else names.index(after) + 1
    shown = [written(each) for each in found[begin : begin + limit]]
    return json_answer(
        {
            "object": "list",
            "data": shown,
            "first_id": shown[0]["id"] if shown else None,
            "last_id": shown[-1]["id"] if shown else None,
            "has_more": begin + limit < len(found),
        }
    )
