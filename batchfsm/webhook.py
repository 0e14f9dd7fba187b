"""
Webhooks: their signatures are verified, and each is a hint to retrieve a batch now.

A webhook may come late, twice, out of order or never. So it is no observation: it makes a
watch retrieve the batch, and the response makes the transition.
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
from typing import Any, Final, cast

import attrs

from batchfsm.arguments import check_time
from batchfsm.errors import BatchfsmError, needs_extra

TOLERANCE_S: Final = 300
"""Greatest difference between a webhook's time and ours, either way; an older one may be a replay."""

REMEMBERED_MAX: Final = 10_000
"""Number of webhook ids that are kept to recognize a repeated one; beyond it the oldest is dropped."""

_DIGITS_MAX: Final = 11  # Up to the year 5138; what is longer may lie beyond the calendar.
_PREFIX: Final = "whsec_"
_EVENT: Final = "batch."


class WebhookError(BatchfsmError, ValueError):
    """A webhook is not authentic or not readable: answer 400, and ignore it."""

    reason: str
    """The cause; safe to log, as it quotes nothing."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"invalid webhook: {reason}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments."""
        return type(self), (self.reason,)


@attrs.frozen(kw_only=True)
class Hint:
    """The content of a webhook whose signature is valid."""

    webhook_id: str
    """The delivery's id; the same when it is sent again."""

    event: str
    """The type of the event, such as `batch.completed`."""

    batch_id: str | None
    """The batch to retrieve; None if the event is not about a batch."""

    sent_at: int
    """When it was sent; Unix seconds."""


def verify(payload: bytes | str, headers: Mapping[str, str], secret: str, *, now: float) -> Hint:
    """
    Verify a webhook by the Standard Webhooks scheme, as OpenAI signs.

    Args:
        payload: The body as received, not decoded and encoded again.
        headers: The headers of the request; upper and lower case are the same.
        secret: The secret of the endpoint, with or without its prefix `whsec_`.
        now: Unix seconds; the webhook's time may differ by 300 s.

    Raises:
        WebhookError: If the signature, the time or the body is not valid.
        TypeError: If the payload is not bytes or text (as after `request.json()`), the headers are no mapping of
            text to text, the secret is no text, or `now` is no number.
        ValueError: If the secret is empty, or not base64 behind its prefix.
        MissingExtraError: If `standardwebhooks` is not installed.
    """
    if not isinstance(payload, bytes | str):
        raise TypeError(f"the payload is the body as received, bytes or text, not {type(payload).__name__}")
    if not isinstance(secret, str):
        raise TypeError(f"the secret is text, not {type(secret).__name__}")
    check_time("now", now)
    signer = _signer(secret)
    webhook_id, sent, signatures = _read_headers(headers)
    if not (sent.isascii() and sent.isdigit() and len(sent) <= _DIGITS_MAX):
        raise WebhookError("its timestamp is no number of seconds")
    try:
        text = payload.decode() if isinstance(payload, bytes) else payload
        # `Webhook.verify` reads the clock itself.
        expected = signer.sign(webhook_id, datetime.fromtimestamp(int(sent), UTC), text).encode()
        is_ours = any(compare_digest(expected, each.encode()) for each in signatures.split(" "))
    except UnicodeError:
        raise WebhookError("it is not UTF-8") from None
    if not is_ours:
        raise WebhookError("no signature matches")
    # Checked after the signature, so that a stranger learns nothing about our clock.
    if abs(now - int(sent)) > TOLERANCE_S:
        raise WebhookError(f"it was sent more than {TOLERANCE_S} s from now")
    return _hint(text, webhook_id, int(sent))


def _read_headers(headers: object) -> tuple[str, str, str]:
    """Return the id, the time and the signatures of a delivery."""
    if not callable(getattr(headers, "items", None)):
        raise TypeError(f"the headers are a mapping of names to values, as request.headers, not {headers!r:.80}")
    pairs = list(cast("Mapping[Any, Any]", headers).items())
    if not all(isinstance(name, str) for name, _ in pairs):
        raise TypeError("the names of the headers are text, such as 'webhook-id'")
    named = {name.lower(): value for name, value in pairs}
    found = []
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if name not in named:
            raise WebhookError(f"the header {name} is missing")
        if not isinstance(named[name], str):
            raise TypeError(f"the header {name} is text, not {type(named[name]).__name__}")
        found.append(named[name])
    webhook_id, sent, signatures = found
    return webhook_id, sent, signatures


class HintQueue:
    """
    A queue of hints from a webhook receiver to the watches; safe to share between threads.

    A webhook that is sent again is recognized by its id, and ignored.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._subscriptions: list[Subscription] = []

    def add(self, hint: Hint) -> bool:
        """
        Wake up the watches, so that they retrieve the batch now.

        Returns:
            False if the hint is ignored because the webhook came before or is not about a batch.

        Raises:
            TypeError: If it is no `Hint`, such as the id of a batch.
        """
        if not isinstance(hint, Hint):
            raise TypeError(f"a hint is a Hint, as verify returns it, not {type(hint).__name__}")
        if hint.batch_id is None:
            return False
        with self._lock:
            if hint.webhook_id in self._known:
                return False
            self._known[hint.webhook_id] = None
            if len(self._known) > REMEMBERED_MAX:
                self._known.popitem(last=False)
            subscriptions = tuple(self._subscriptions)
            for subscription in subscriptions:
                subscription.ids[hint.batch_id] = None
        for subscription in subscriptions:
            subscription.wake()
        return True

    def subscribe(self, wake: Callable[[], object]) -> Subscription:
        """
        Start a subscription, which collects hints until `unsubscribe`.

        Args:
            wake: Called after each hint, perhaps from another thread.
        """
        subscription = Subscription(wake)
        with self._lock:
            self._subscriptions.append(subscription)
        return subscription

    def drain(self, subscription: Subscription) -> tuple[str, ...]:
        """Return the ids of batches in a subscription's hints, each once, and clear them."""
        with self._lock:
            ids = tuple(subscription.ids)
            subscription.ids.clear()
            return ids

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        with self._lock:
            self._subscriptions.remove(subscription)


@attrs.frozen(eq=False)
class Subscription:
    """The hints that one watch has not handled yet."""

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
