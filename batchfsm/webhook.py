"""
Webhooks, verified and taken for what they are: hints to look now.

A webhook may come late, twice, out of order or never. So it is no observation: it makes a
watch look, and what the look shows makes the transition.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hmac import compare_digest
from threading import Lock
from typing import Any, Final

import attrs

from batchfsm.errors import BatchfsmError, needs_extra

TOLERANCE_S: Final = 300
"""How far a webhook's time may be from ours, either way; older ones may be replayed by somebody else."""

REMEMBERED_MAX: Final = 10_000
"""So many ids of webhooks are remembered, to know a repeated one by; after that the oldest is forgotten."""

_DIGITS_MAX: Final = 11  # Up to the year 5138; what is longer may lie beyond the calendar.
_PREFIX: Final = "whsec_"
_EVENT: Final = "batch."


class WebhookError(BatchfsmError, ValueError):
    """A webhook that is not to be trusted: answer 400, and do nothing."""

    reason: str
    """Why; safe to log, for it quotes nothing."""

    def __init__(self, reason: str) -> None:
        """Hold the reason."""
        self.reason = reason
        super().__init__(f"not a webhook to trust: {reason}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made from."""
        return type(self), (self.reason,)


@attrs.frozen(kw_only=True)
class Hint:
    """What a webhook says, once its signature was found good."""

    webhook_id: str
    """The delivery's id; the same when it is sent again."""

    event: str
    """What happened, such as `batch.completed`."""

    batch_id: str | None
    """The batch to look at; None if the event is about something else."""

    sent_at: int
    """When it was sent; Unix seconds."""


def verify(payload: bytes | str, headers: Mapping[str, str], secret: str, *, now: float) -> Hint:
    """
    Verify a webhook by the Standard Webhooks scheme, as OpenAI signs.

    Args:
        payload: The body as it came, not parsed and written again.
        headers: Of the request, in any case.
        secret: The endpoint's, with or without its prefix `whsec_`.
        now: Unix seconds; the webhook's time may differ by 300 s.

    Raises:
        WebhookError: If anything is wrong with it.
        ValueError: If the secret is none: empty, or not base64 behind its prefix.
        MissingExtraError: If `standardwebhooks` is not installed.
    """
    named = {name.lower(): value for name, value in headers.items()}
    try:
        webhook_id, sent, signatures = (named[f"webhook-{part}"] for part in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise WebhookError(f"the header {error.args[0]} is missing") from None
    if not (sent.isascii() and sent.isdigit() and len(sent) <= _DIGITS_MAX):
        raise WebhookError("its time is no number of seconds")
    signer = _signer(secret)
    try:
        text = payload.decode() if isinstance(payload, bytes) else payload
        # Not its `verify`: that reads the clock itself.
        expected = signer.sign(webhook_id, datetime.fromtimestamp(int(sent), UTC), text).encode()
        is_ours = any(compare_digest(expected, each.encode()) for each in signatures.split(" "))
    except UnicodeError:
        raise WebhookError("it is not UTF-8") from None
    if not is_ours:
        raise WebhookError("no signature matches")
    # Only now: a stranger need not learn how our clock stands.
    if abs(now - int(sent)) > TOLERANCE_S:
        raise WebhookError(f"it was sent more than {TOLERANCE_S} s from now")
    return _hint(text, webhook_id, int(sent))


class HintQueue:
    """
    Hands hints over from a webhook receiver to whoever watches; safe to share between threads.

    A webhook that is sent again is known by its id and passed over.
    """

    def __init__(self) -> None:
        """Remember no webhook yet."""
        self._lock = Lock()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._listeners: list[Subscription] = []

    def add(self, hint: Hint) -> bool:
        """
        Have the batch looked at now.

        Returns:
            False if there is nothing to look at, for the webhook came before, or is
            not about a batch.
        """
        if hint.batch_id is None:
            return False
        with self._lock:
            if hint.webhook_id in self._known:
                return False
            self._known[hint.webhook_id] = None
            if len(self._known) > REMEMBERED_MAX:
                self._known.popitem(last=False)
            listeners = tuple(self._listeners)
            for listener in listeners:
                listener.ids[hint.batch_id] = None
        for listener in listeners:
            listener.wake()
        return True

    def listen(self, wake: Callable[[], object]) -> Subscription:
        """
        Begin to collect hints.

        Args:
            wake: Called after each, perhaps from another thread.
        """
        listener = Subscription(wake)
        with self._lock:
            self._listeners.append(listener)
        return listener

    def take(self, listener: Subscription) -> tuple[str, ...]:
        """Return the batches hinted at since the last time, each once."""
        with self._lock:
            ids = tuple(listener.ids)
            listener.ids.clear()
            return ids

    def leave(self, listener: Subscription) -> None:
        """Collect no more."""
        with self._lock:
            self._listeners.remove(listener)


@attrs.frozen(eq=False)
class Subscription:
    """One watch's share of the hints."""

    wake: Callable[[], object]
    ids: dict[str, None] = attrs.field(factory=dict)


def _signer(secret: str) -> Any:
    with needs_extra("verifying webhooks", "webhook"):
        from standardwebhooks import Webhook  # noqa: PLC0415  # The one place where the extra may be missing.
    # OpenAI's SDKs take a secret without the prefix as it is; with it the rest is base64.
    key, rest = secret.encode(), secret.removeprefix(_PREFIX)
    if rest != secret:
        try:
            key = b64decode(rest + "=" * (-len(rest) % 4), validate=True)
        except Base64Error:
            raise ValueError("the secret is not base64 behind whsec_") from None
    if not key:
        raise ValueError("the secret is empty")
    return Webhook(key)


def _hint(text: str, webhook_id: str, sent_at: int) -> Hint:
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise WebhookError("its body is not JSON") from None
    name = event.get("type") if isinstance(event, dict) else None
    if not isinstance(name, str):
        raise WebhookError("its body names no event")
    batch_id = None
    if name.startswith(_EVENT):
        about = event.get("data")
        batch_id = about.get("id") if isinstance(about, dict) else None
        if not (isinstance(batch_id, str) and batch_id):
            raise WebhookError("its body names no batch")
    return Hint(webhook_id=webhook_id, event=name, batch_id=batch_id, sent_at=sent_at)
