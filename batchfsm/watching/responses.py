"""What a look at a batch can answer, when it is no snapshot: transient, gone, fatal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import isfinite
from typing import Any, Final

import attrs

from batchfsm.snapshot import Snapshot

RETRY_AFTER_S_MAX: Final = 3600.0
"""However long a server asks to be left alone: it is looked at again after an hour."""

_GONE: Final = frozenset({404, 410})
_AGAIN: Final = frozenset({408, 409, 425, 429})
"""Refusals of the moment: a time-out, a conflict, too early, too many."""
_THROTTLED: Final = 429


@attrs.frozen
class Transient:
    """No observation: the look failed, and says nothing of the batch. It is looked at again."""

    reason: str = "no answer"
    """What happened, in a few words; never a body or a header, for they may hold a key."""

    retry_after_s: float | None = None
    """How long the server asked to be left alone; seconds. None if it did not say."""

    is_throttled: bool = False
    """True if that is about every batch, as with 429: nothing is asked for until then."""


@attrs.frozen
class Gone:
    """The server knows no such batch; after three of these in a row it is not watched any more."""

    reason: str = "HTTP 404 Not Found"
    """What happened, in a few words."""


@attrs.frozen
class Fatal:
    """The server will never answer for this batch: a refused key, a bad id. It is not watched any more."""

    reason: str
    """What happened, in a few words."""


Answer = Snapshot | Gone | Transient | Fatal
"""What a look at one batch answers."""


def of_status(status: int, headers: Mapping[str, str], *, now: float) -> Transient | Gone | Fatal:
    """
    Class the refusal of an HTTP server.

    Args:
        status: The HTTP status, none of the 2xx.
        headers: Of the response; only `retry-after-ms` and `retry-after` are looked at.
        now: Unix seconds, for a `retry-after` that is a date.
    """
    known = status in HTTPStatus._value2member_map_
    reason = f"HTTP {status} {HTTPStatus(status).phrase}" if known else f"HTTP {status}"
    if status in _GONE:
        return Gone(reason)
    # What is no refusal by its number (a redirect to a login page, a 2xx without a batch) may pass.
    if status in _AGAIN or not 400 <= status < 500:  # noqa: PLR2004
        return Transient(reason, retry_after_s(headers, now=now), is_throttled=status == _THROTTLED)
    return Fatal(reason)


def of_error(error: Exception, *, now: float) -> Transient | Gone | Fatal:
    """
    Class what a client raised, by its `status_code` where it has one.

    Only names of classes are taken from it: its text may hold the key.
    """
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return of_status(status, getattr(getattr(error, "response", None), "headers", {}), now=now)
    cause = error.__cause__
    behind = "" if cause is None else f" ({type(cause).__name__})"
    return Transient(f"{type(error).__name__}{behind}")


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """Return how long a server asks to be left alone, at most an hour; None if it does not say, or says nonsense."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value: Any = headers.get(name)
        if value is None:
            continue
        try:
            wait_s = float(value) * unit_s
        except ValueError:
            wait_s = _until(str(value), now)
        if isfinite(wait_s) and wait_s >= 0:
            return min(wait_s, RETRY_AFTER_S_MAX)
    return None


def _until(date: str, now: float) -> float:
    """Return the seconds until an HTTP date; -1 if it is none."""
    try:
        then = parsedate_to_datetime(date)
    except ValueError:
        return -1.0
    return max(then.replace(tzinfo=then.tzinfo or UTC).timestamp() - now, 0.0)
