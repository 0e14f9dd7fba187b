"""Validation of a batch's input file, with the errors that OpenAI reports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from batchfsm.testing.scenario_parser import failure

LINES_MAX: Final = 50_000
"""The most requests of one batch. Source: openai-openapi, path /batches."""

ERRORS_MAX: Final = 100
"""The most errors that a failed batch lists."""

METHOD: Final = "POST"
"""The only method of a request. Source: openai-openapi, BatchRequestInput."""


@attrs.frozen
class Line:
    """One request of a batch."""

    custom_id: str
    body: Mapping[str, Any]


ParsedInput = tuple[tuple[Line, ...], tuple[Mapping[str, Any], ...]]
"""The requests of an input file, and the errors that fail the batch."""


def synthetic_requests(total: int) -> ParsedInput:
    """Return requests for a batch without an input file."""
    return tuple(Line(f"request-{number}", {}) for number in range(1, total + 1)), ()


def parse_input(content: bytes | None, purpose: str, endpoint: str) -> ParsedInput:
    """
    Validate an input file.

    Args:
        content: JSON lines; None if there is no such file: OpenAI reports that in validation.
        purpose: Purpose of the file.
        endpoint: Endpoint of the batch; each request must name it as its `url`.

    Returns:
        The requests, and the errors that fail the batch, lines counted from 1.
    """
    if content is None or purpose != "batch":
        return (), (failure("invalid_request", param="input_file_id"),)
    texts = [(number, text) for number, text in enumerate(content.split(b"\n"), 1) if text.strip()]
    if not texts:
        return (), (failure("empty_file"),)
    if len(texts) > LINES_MAX:
        return (), (failure("too_many_tasks"),)
    validator = _LineValidator(endpoint)
    lines: list[Line] = []
    errors: list[Mapping[str, Any]] = []
    for number, text in texts:
        request = _decode(text)
        found = list(validator.errors_of(request, number))
        errors += found
        if not found:
            lines.append(Line(request["custom_id"], request["body"]))
    return tuple(lines), tuple(errors[:ERRORS_MAX])


def _decode(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


@attrs.define
class _LineValidator:
    """Validates the lines of one file, in order."""

    endpoint: str
    custom_ids: set[str] = attrs.field(factory=set)
    models: set[str] = attrs.field(factory=set)

    def errors_of(self, request: Any, number: int) -> Iterator[Mapping[str, Any]]:
        """Yield the errors of one line, given its number."""
        if not isinstance(request, dict):
            yield failure("invalid_json_line", number)
            return
        custom_id, body = request.get("custom_id"), request.get("body")
        for param, value, kind in (
            ("custom_id", custom_id, str), ("method", request.get("method"), str), ("body", body, dict),
        ):  # fmt: skip
            if not isinstance(value, kind):
                yield failure("missing_required_parameter", number, param)
            elif param == "method" and value != METHOD:
                yield failure("invalid_method", number, param)
        if isinstance(custom_id, str):
            if custom_id in self.custom_ids:
                yield failure("duplicate_custom_id", number, "custom_id")
            self.custom_ids.add(custom_id)
        if request.get("url") != self.endpoint:
            yield failure("url_mismatch", number, "url")
        if isinstance(body, dict):
            self.models.add(json.dumps(body.get("model")))
            if len(self.models) > 1:
                yield failure("model_mismatch", number, "body.model")
