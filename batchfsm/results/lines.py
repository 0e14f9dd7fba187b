"""Parses one line of an input, output or error file."""

from __future__ import annotations

import json
from typing import Any, Final, Literal

import attrs

from batchfsm.results.sources import LINE_BYTES_MAX

Outcome = Literal["answered", "failed", "unanswered"]
"""`answered`: a response with a status below 400; `unanswered`: the request was never run; `failed`: any other."""

_NEVER_RUN: Final = frozenset({"batch_expired", "batch_cancelled"})
"""Error codes of requests that were never run. Source: OpenAI batch guide, "Batch expiration"."""

_STATUS_OF_FAILURE: Final = 400


class MalformedLineError(Exception):
    """A line breaks R604; its text is the reason, without a subject."""


@attrs.frozen
class ResultLine:
    """One line of an output or error file."""

    custom_id: str
    outcome: Outcome


def parse_request(line: bytes | None) -> str:
    """
    Return the custom_id of a line of an input file.

    Raises:
        MalformedLineError: If it has none.
    """
    return _custom_id(_object(line))


def parse_answer(line: bytes | None) -> ResultLine:
    """
    Parse a line of an output or error file.

    Raises:
        MalformedLineError: If it breaks R604.
    """
    found = _object(line)
    custom_id = _custom_id(found)
    response, error = found.get("response"), found.get("error")
    if (response is None) == (error is None):
        raise MalformedLineError(f"has {'neither response nor' if error is None else 'both response and'} error")
    if error is not None:
        is_never_run = isinstance(error, dict) and error.get("code") in _NEVER_RUN
        return ResultLine(custom_id, "unanswered" if is_never_run else "failed")
    status = response.get("status_code") if isinstance(response, dict) else None
    if type(status) is not int:
        raise MalformedLineError("has a response without a status_code")
    return ResultLine(custom_id, "answered" if status < _STATUS_OF_FAILURE else "failed")


def _object(line: bytes | None) -> dict[str, Any]:
    if line is None:
        raise MalformedLineError(f"is longer than {LINE_BYTES_MAX:,} bytes")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise MalformedLineError("is not JSON") from None
    if not isinstance(found, dict):
        raise MalformedLineError("is not a JSON object")
    return found


def _custom_id(found: dict[str, Any]) -> str:
    custom_id = found.get("custom_id")
    if not isinstance(custom_id, str) or not custom_id:
        batch = found.get("batch", found)  # A log of `watch` has each object beside its time.
        is_batch = isinstance(batch, dict) and batch.get("object") == "batch"
        raise MalformedLineError("has no custom_id, but is a batch object" if is_batch else "has no custom_id")
    return custom_id
