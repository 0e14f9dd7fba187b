"""Checks of the parameters of requests to a fake API, as OpenAI makes them before it validates the input file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from batchfsm.testing.http import RefusedError, Request

ENDPOINTS: Final = tuple(
    f"/v1/{name}"
    for name in (
        "responses", "chat/completions", "embeddings", "completions", "moderations", "images/generations",
        "images/edits", "videos",
    )
)  # fmt: skip
"""The endpoints that a batch can send its requests to. Source: openai-openapi, path /batches."""

PURPOSES: Final = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
"""The purposes of an upload. Source: openai-openapi, path /files."""

EXPIRY_S_RANGE: Final = (3600, 30 * 86_400)
"""The least and the most seconds of `expires_after`. Source: openai-openapi, FileExpirationAfter."""

METADATA_PAIRS_MAX: Final = 16
METADATA_KEY_CHARS_MAX: Final = 64
METADATA_VALUE_CHARS_MAX: Final = 512
"""Limits of `metadata`. Source: openai-openapi, Metadata."""

BATCH_LIMIT: Final = (20, 100)
FILE_LIMIT: Final = (10_000, 10_000)
"""Rows of a page by default, and at most. Source: openai-openapi, paths /batches and /files."""

_WINDOW: Final = re.compile(r"\d{1,4}[mhd]", re.ASCII)


@attrs.frozen(kw_only=True)
class CreateParameters:
    """The checked parameters of `batches.create`."""

    identity: Mapping[str, Any]
    """`input_file_id`, `endpoint`, `completion_window` and `metadata`."""
    output_expires_s: int | None
    """Seconds after their creation at which result files expire; None: the default."""


def create_parameters(request: Request, *, any_window: bool) -> CreateParameters:
    """
    Return the checked parameters of `batches.create`.

    Args:
        request: The request.
        any_window: True if `completion_window` may be other than `24h`, as on compatible servers.

    Raises:
        RefusedError: If one is missing or invalid.
    """
    found = _json_object(request)
    for param in ("input_file_id", "endpoint", "completion_window"):
        if not isinstance(found.get(param), str):
            raise RefusedError(400, f"Missing required parameter: '{param}'.", param=param)
    if found["endpoint"] not in ENDPOINTS:
        raise RefusedError(400, f"Invalid value for endpoint: {', '.join(ENDPOINTS)}.", param="endpoint")
    window = found["completion_window"]
    if window != "24h" and not (any_window and _WINDOW.fullmatch(window)):
        raise RefusedError(400, "Invalid value for completion_window: '24h'.", param="completion_window")
    metadata = found.get("metadata")
    _check_metadata(metadata)
    fields = ("input_file_id", "endpoint", "completion_window")
    return CreateParameters(
        identity={name: found[name] for name in fields} | {"metadata": metadata},
        output_expires_s=_expires_after(found.get("output_expires_after"), "output_expires_after"),
    )


def upload_expires_s(parts: Mapping[str, tuple[str, bytes]]) -> int | None:
    """Return the seconds of an upload's `expires_after`; None if it has none. RefusedError if it is invalid."""
    names = ("anchor", "seconds")
    given = {name: parts.get(f"expires_after[{name}]") for name in names}
    if given == dict.fromkeys(names):
        return None
    texts = {name: part[1].decode("utf-8", "replace") for name, part in given.items() if part is not None}
    seconds = texts.get("seconds", "")
    is_number = seconds.isascii() and seconds.isdigit()
    return _expires_after(texts | {"seconds": int(seconds[:9]) if is_number else seconds}, "expires_after")


def purpose_of(parts: Mapping[str, tuple[str, bytes]]) -> str:
    """Return the purpose of an upload; RefusedError if it is missing or invalid."""
    purpose = parts.get("purpose", ("", b""))[1].decode("utf-8", "replace")
    if not purpose:
        raise RefusedError(400, "'purpose' is a required property", param="purpose")
    if purpose not in PURPOSES:
        raise RefusedError(400, f"{purpose[:64]!r} is not one of {list(PURPOSES)} - 'purpose'", param="purpose")
    return purpose


def page_limit(query: Mapping[str, str], bounds: tuple[int, int]) -> int:
    """Return the `limit` of a list request; RefusedError if it is out of range."""
    default, most = bounds
    text = query.get("limit", str(default))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(most)) else 0
    if not 1 <= limit <= most:
        raise RefusedError(400, f"Invalid 'limit': between 1 and {most}, not {text[:20]!r}.", param="limit")
    return limit


def is_ascending(query: Mapping[str, str]) -> bool:
    """Return True if a request wants a list with the oldest first; RefusedError if `order` is invalid."""
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise RefusedError(400, f"Invalid 'order': 'asc' or 'desc', not {order[:20]!r}.", param="order")
    return order == "asc"


def _json_object(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(request.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RefusedError(400, "We could not parse the JSON body of your request.")
    return found


def _check_metadata(metadata: object) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise RefusedError(400, "Invalid type for 'metadata': expected strings by key.", param="metadata")
    if len(metadata) > METADATA_PAIRS_MAX:
        raise RefusedError(
            400, f"Invalid 'metadata': expected at most {METADATA_PAIRS_MAX} properties, but got {len(metadata)}.",
            code="object_above_max_properties", param="metadata",
        )  # fmt: skip
    for key, value in metadata.items():
        for kind, text, most in (("key", key, METADATA_KEY_CHARS_MAX), ("value", value, METADATA_VALUE_CHARS_MAX)):
            if len(text) > most:
                raise RefusedError(
                    400, f"Invalid 'metadata': expected a {kind} of at most {most} characters, but got {len(text)}.",
                    code="string_above_max_length", param="metadata",
                )  # fmt: skip


def _expires_after(value: object, param: str) -> int | None:
    """Return the seconds of an `expires_after`; None if there is none."""
    if value is None:
        return None
    least, most = EXPIRY_S_RANGE
    seconds = value.get("seconds") if isinstance(value, dict) else None
    if not isinstance(value, dict) or value.get("anchor") != "created_at":
        raise RefusedError(400, f"Invalid '{param}': its anchor is 'created_at'.", param=f"{param}.anchor")
    if type(seconds) is not int or not least <= seconds <= most:
        raise RefusedError(400, f"Invalid '{param}': between {least} and {most} seconds.", param=f"{param}.seconds")
    return seconds
