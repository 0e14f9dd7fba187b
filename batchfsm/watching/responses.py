"""Responses to a request for one batch that are no snapshot: transient, gone, fatal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import isfinite
from typing import Any, Final

import attrs

from batchfsm.snapshot import Snapshot

RETRY_AFTER_S_MAX: Final = 3600.0
"""Bound of `Retry-After`: a server that asks for more is polled after an hour all the same."""

_NOT_FOUND: Final = frozenset({404, 410})
_RETRIED: Final = frozenset({408, 409, 425, 429})
"""Client errors that a retry may mend: a time-out, a conflict, too early, too many."""
_RATE_LIMITED: Final = 429
# Words such as `invalid_request_error`. Keys hold hyphens, or digits inside a word, and must not be quoted.
_ERROR_WORD: Final = re.compile(r"[A-Za-z]{1,32}(?:[_.](?:[A-Za-z]{1,32}|\d{1,4})){0,7}", re.ASCII)
_ERROR_NUMBER_MAX: Final = 99_999


@attrs.frozen
class Transient:
    """The request failed, and may succeed when it is repeated. The status of the batch is as unknown as before."""

    reason: str = "no answer"
    """The cause in a few words; never a body or a header, which may hold a key."""

    retry_after_s: float | None = None
    """Seconds until the next request, as the server asked; None if it did not ask."""

    is_throttled: bool = False
    """True if `retry_after_s` is about every batch, as with 429: no request is sent until then."""


@attrs.frozen
class Gone:
    """The server has no such batch; after three of these in a row the batch is dropped."""

    reason: str = "HTTP 404 Not Found"
    """The cause in a few words."""


@attrs.frozen
class Fatal:
    """The server refuses the request for good, as with a wrong key or a malformed id; the batch is dropped."""

    reason: str
    """The cause in a few words."""


Failure = Transient | Gone | Fatal
Response = Snapshot | Failure
"""The value that a source returns for one batch."""


@attrs.frozen
class JSONReply:
    """The JSON object of a successful HTTP response."""

    content: Mapping[str, Any]
    """The decoded body."""

    server_time: float | None = None
    """The `Date` header; Unix seconds. None if there is none."""


def classify_status(status: int, headers: Mapping[str, str], *, now: float) -> Failure:
    """
    Classify the refusal of an HTTP server.

    Args:
        status: The HTTP status, none of the 2xx.
        headers: Of the response; only `retry-after-ms` and `retry-after` are read.
        now: Unix seconds, for a `retry-after` that is a date.
    """
    known = status in HTTPStatus._value2member_map_
    reason = f"HTTP {status} {HTTPStatus(status).phrase}" if known else f"HTTP {status}"
    if status in _NOT_FOUND:
        return Gone(reason)
    if 300 <= status < 400:  # noqa: PLR2004
        return Transient(f"{reason}: redirects are not followed", retry_after_s(headers, now=now))
    # A status that is no client error, such as a 2xx without a batch, may pass.
    if status in _RETRIED or not 400 <= status < 500:  # noqa: PLR2004
        return Transient(reason, retry_after_s(headers, now=now), is_throttled=status == _RATE_LIMITED)
    return Fatal(reason)


def classify_error(error: Exception, *, now: float) -> Failure:
    """
    Classify an exception of a client, by its `status_code` where it has one.

    Only names of classes are taken from it: its text may hold the key.
    """
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return classify_status(status, getattr(getattr(error, "response", None), "headers", {}), now=now)
    cause = error.__cause__
    detail = "" if cause is None else f" ({type(cause).__name__})"
    return Transient(f"{type(error).__name__}{detail}")


def error_body(content: Any) -> Transient | None:
    """Return the failure that the `{"error": ...}` body of a successful HTTP response means; None for other bodies."""
    if not isinstance(content, Mapping) or content.get("error") is None or "status" in content or "data" in content:
        return None
    error = content["error"]
    fields = error if isinstance(error, Mapping) else {}
    named = [f"{name} {word}" for name in ("type", "code") if (word := _error_word(fields.get(name)))]
    return Transient(f"an error in place of a batch{': ' if named else ''}{', '.join(named)}")


def _error_word(value: object) -> str | None:
    """Return the type or code of an error as text, if it is a plain word or a short number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _ERROR_NUMBER_MAX:
        return str(value)
    return value if isinstance(value, str) and _ERROR_WORD.fullmatch(value) else None


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """Return the seconds that a server asks a client to wait, at most an hour; None without a readable number."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value: Any = headers.get(name)
        if value is None:
            continue
        try:
            wait_s = float(value) * unit_s
        except ValueError:
            date = http_date(str(value))
            wait_s = -1.0 if date is None else max(date - now, 0.0)
        if isfinite(wait_s) and wait_s >= 0:
            return min(wait_s, RETRY_AFTER_S_MAX)
    return None


def http_date(text: str) -> float | None:
    """Return the Unix seconds of an HTTP date; None if the text is none."""
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None
