"""The file of requests that a batch begins with: read, and validated as OpenAI does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from batchfsm.testing.scenario_parser import failure

LINES_MAX: Final = 50_000
"""The most requests of one batch. Source: openai-openapi, path /batches."""

ERRORS_MAX: Final = 100
"""How many errors of an input file are listed."""


@attrs.frozen
class Line:
    """One request of a batch."""

    custom_id: str
    """What its owner calls it."""
    body: Mapping[str, Any]
    """What is asked for."""


Read = tuple[tuple[Line, ...], tuple[Mapping[str, Any], ...]]
"""What an input file holds: its requests, and the errors that fail the batch."""


def made_up(total: int) -> Read:
    """Return requests for a batch that was given none."""
    return tuple(Line(f"request-{number}", {}) for number in range(1, total + 1)), ()


def read(content: bytes | None, endpoint: str) -> Read:
    """
    Read an input file.

    Args:
        content: JSON lines; None if there is no such file: OpenAI says so only when it validates.
        endpoint: Where the batch sends its requests; each must name it as its `url`.

    Returns:
        The requests, and the errors that fail the batch, lines counted from 1.
    """
    if content is None:
        return (), (failure("invalid_request", param="input_file_id"),)
    texts = [(number, text) for number, text in enumerate(content.split(b"\n"), 1) if text.strip()]
    if not texts:
        return (), (failure("empty_file"),)
    if len(texts) > LINES_MAX:
        return (), (failure("too_many_tasks"),)
    lines: list[Line] = []
    errors: list[Mapping[str, Any]] = []
    seen: set[str] = set()
    models: set[str] = set()
    for number, text in texts:
        request = _decoded(text)
        wrong = list(_faults(request, number, endpoint, seen, models))
        errors += wrong
        if not wrong:
            lines.append(Line(request["custom_id"], request["body"]))
    return tuple(lines), tuple(errors[:ERRORS_MAX])


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _faults(request: Any, number: int, endpoint: str, seen: set[str], models: set[str]) -> Iterator[Mapping[str, Any]]:
    """Yield what is wrong with one line; what it names is seen from now on."""
    if not isinstance(request, dict):
        yield failure("invalid_json_line", number)
        return
    custom_id, body = request.get("custom_id"), request.get("body")
    for param, value, kind in (("custom_id", custom_id, str), ("body", body, dict)):
        if not isinstance(value, kind):
            yield failure("missing_required_parameter", number, param)
    if isinstance(custom_id, str):
        if custom_id in seen:
            yield failure("duplicate_custom_id", number, "custom_id")
        seen.add(custom_id)
    if request.get("url") != endpoint:
        yield failure("url_mismatch", number, "url")
    if isinstance(body, dict):
        models.add(json.dumps(body.get("model")))
        if len(models) > 1:
            yield failure("model_mismatch", number, "body.model")
