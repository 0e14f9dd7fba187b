"""The endpoints of a fake API, `/v1/files` and `/v1/batches`, with the answers of OpenAI's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, Final, TypeVar, cast

import attrs

from batchfsm.testing.http import Answer, Operation, RefusedError, Request, error_answer, json_answer
from batchfsm.testing.input_file import ParsedInput, parse_input, synthetic_requests
from batchfsm.testing.multipart import parse_parts
from batchfsm.testing.request_checks import (
    BATCH_LIMIT,
    ENDPOINTS,
    FILE_LIMIT,
    create_parameters,
    is_ascending,
    page_limit,
    purpose_of,
    upload_expires_s,
)
from batchfsm.testing.result_files import Respond, answer_requests
from batchfsm.testing.scenario import BatchPlan, fail_validation, to_plan
from batchfsm.testing.scenario_parser import ScenarioError
from batchfsm.testing.store import EXPIRY_S, Entry, File, Store, new_file
from batchfsm.testing.timeline import BatchLife, WireObject

_Row = TypeVar("_Row")

SCENARIO_KEY: Final = "scenario"
"""The key of `metadata` in which a client of any language gives a batch its scenario."""

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
    """Return the endpoint of a request, and the id in its path; None if there is no such endpoint."""
    for method, path, operation in _PATHS:
        found = path.fullmatch(request.path.rstrip("/"))
        if found is not None and method == request.method:
            return operation, "".join(found.groups())
    return None, ""


@attrs.frozen
class Endpoints:
    """The API without its faults: returns the answer to a request at a time."""

    store: Store
    plan: BatchPlan
    """The plan of a batch without a scenario of its own."""
    respond: Respond | None
    """Returns the answers to the requests of a batch; None: each endpoint's default answers."""

    def answer(self, request: Request, now: float) -> Answer:
        """Return the answer to a request at a time in Unix seconds."""
        operation, name = operation_of(request)
        if operation is None:
            return error_answer(404, f"Invalid URL ({request.method} {request.path})")
        if not request.headers.get("authorization", "").removeprefix("Bearer").strip():
            return error_answer(401, "You didn't provide an API key.", code="invalid_api_key")
        try:
            return self._endpoint(operation)(request, name, now)
        except RefusedError as error:
            return error.answer

    def batch_at(self, batch_id: str, second: float) -> WireObject:
        """Return an existing batch at a time in Unix seconds, or as it was created if that is later."""
        life = self._life(batch_id, inf)
        return life.at(max(second, life.begins_at))

    def all_batches(self, now: float) -> list[WireObject]:
        """Return all batches as they are at a time, newest first."""
        return [life.at(now) for life in self.store.lives(now)]

    def _endpoint(self, operation: Operation) -> Callable[[Request, str, float], Answer]:
        found: Mapping[Operation, Callable[[Request, str, float], Answer]] = {
            "files.create": self._create_file,
            "files.list": self._list_files,
            "files.retrieve": lambda _, name, now: json_answer(self._file(name, now).to_dict()),
            "files.content": self._file_content,
            "files.delete": self._delete_file,
            "batches.create": self._create_batch,
            "batches.list": self._list_batches,
            "batches.retrieve": lambda _, name, now: json_answer(self._life(name, now).at(now)),
            "batches.cancel": self._cancel_batch,
        }
        return found[operation]

    def _create_file(self, request: Request, _: str, now: float) -> Answer:
        parts = parse_parts(request.headers.get("content-type", ""), request.body)
        if "file" not in parts:
            raise RefusedError(400, "'file' is a required property", param="file")
        filename, content = parts["file"]
        purpose, expires_s = purpose_of(parts), upload_expires_s(parts)
        number = self.store.next_number()
        file = new_file(filename, purpose, content, now=now, number=number, expires_s=expires_s)
        self.store.put_file(file)
        return json_answer(file.to_dict())

    def _list_files(self, request: Request, _: str, now: float) -> Answer:
        purpose, files = request.query.get("purpose"), self.store.files(now)
        ordered = files[::-1] if is_ascending(request.query) else files
        rows = [file for file in _rows_after(request, ordered, lambda file: file.id) if purpose in (None, file.purpose)]
        return _page(rows, File.to_dict, page_limit(request.query, FILE_LIMIT))

    def _file(self, name: str, now: float) -> File:
        found = self.store.file(name, now)
        if found is None:
            raise RefusedError(404, f"No such File object: {name}", param="id")
        return found

    def _file_content(self, _: Request, name: str, now: float) -> Answer:
        return Answer(body=self._file(name, now).content, headers={"content-type": "application/octet-stream"})

    def _delete_file(self, _: Request, name: str, now: float) -> Answer:
        self.store.remove_file(self._file(name, now).id)
        return json_answer({"id": name, "object": "file", "deleted": True})

    def _list_batches(self, request: Request, _: str, now: float) -> Answer:
        rows = _rows_after(request, self.store.lives(now), lambda life: life.batch_id)
        return _page(rows, lambda life: life.at(now), page_limit(request.query, BATCH_LIMIT))

    def _life(self, batch_id: str, now: float) -> BatchLife:
        found = self.store.life(batch_id, now)
        if found is None:
            raise RefusedError(404, f"No batch found with id '{batch_id}'.")
        return found

    def _create_batch(self, request: Request, _: str, now: float) -> Answer:
        # OpenAI's only window; servers of other dialects take others.
        parameters = create_parameters(request, any_window=self.plan.dialect.name != "openai")
        plan = _plan(parameters.identity["metadata"], self.plan)
        try:
            life = self.create(plan, parameters.identity, now, output_expires_s=parameters.output_expires_s)
        except ScenarioError as error:
            raise RefusedError(400, str(error), param="completion_window") from None
        return json_answer(life.at(now))

    def create(
        self, plan: BatchPlan, identity: Mapping[str, Any], now: float, *, output_expires_s: int | None = None
    ) -> BatchLife:
        """
        Create a batch.

        Args:
            plan: Its plan, if its input file is valid.
            identity: Fields that never change; without `input_file_id`, requests are generated.
            now: Time of its creation; Unix seconds.
            output_expires_s: Seconds after their creation at which its result files expire;
                None: the default.
        """
        identity = {"metadata": None, "endpoint": ENDPOINTS[1], "completion_window": "24h", **identity}
        endpoint, created_at, number = identity["endpoint"], int(now), self.store.next_number()
        lines, errors = self._requests(plan, identity, now)
        # No lock is held here: the code of a test answers the requests.
        respond = self.respond if "input_file_id" in identity else None
        outcomes = plan.outcomes(len(lines))
        requests = answer_requests(lines, outcomes, respond, endpoint=endpoint, created_at=created_at)
        life = plan.life(created_at, number=number, identity=identity, outcomes=requests.outcomes)
        if errors:
            life = fail_validation(plan, life, errors, identity)
        self.store.add_batch(Entry(life, requests, EXPIRY_S if output_expires_s is None else output_expires_s))
        return life

    def _requests(self, plan: BatchPlan, identity: Mapping[str, Any], now: float) -> ParsedInput:
        """Return the requests of a batch's input file and the errors in it; generated requests if it has no file."""
        if "input_file_id" not in identity:
            return synthetic_requests(plan.total)
        upload = self.store.file(identity["input_file_id"], now)
        content, purpose = (None, "") if upload is None else (upload.content, upload.purpose)
        lines, errors = parse_input(content, purpose, identity["endpoint"])
        return (() if errors else lines), errors

    def _cancel_batch(self, _: Request, batch_id: str, now: float) -> Answer:
        status = self._life(batch_id, now).at(now)["status"]
        cancelled = self.store.change_life(batch_id, lambda life: life.cancelled(now))
        if cancelled is None:
            raise RefusedError(409, f"Cannot cancel a batch with status '{status}'.")
        return json_answer(cancelled.at(now))


def _plan(metadata: Mapping[str, str] | None, default: BatchPlan) -> BatchPlan:
    if not metadata or SCENARIO_KEY not in metadata:
        return default
    try:
        return to_plan(metadata[SCENARIO_KEY], default.dialect)
    except ValueError as error:
        raise RefusedError(400, str(error), param=f"metadata.{SCENARIO_KEY}") from None


def _rows_after(request: Request, rows: Sequence[_Row], id_of: Callable[[_Row], str]) -> Sequence[_Row]:
    """Return the rows after the one with the id `after`; all if the request has none."""
    after = request.query.get("after")
    if after is None:
        return rows
    for place, row in enumerate(rows, 1):
        if id_of(row) == after:
            return rows[place:]
    raise RefusedError(400, f"Invalid 'after': nothing has the id '{after}'.", param="after")


def _page(rows: Sequence[_Row], to_object: Callable[[_Row], Mapping[str, Any]], limit: int) -> Answer:
    """Return the first rows of a list as a page."""
    page = [to_object(row) for row in rows[:limit]]
    return json_answer(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": limit < len(rows),
        }
    )
