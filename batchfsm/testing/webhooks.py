"""Webhooks as OpenAI sends them: one for each batch that has ended, signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Final

import attrs

from batchfsm.testing.timeline import made_id

SECRET: Final = "whsec_" + base64.b64encode(b"a secret that is none").decode()
"""The default secret of a fake API's webhooks."""

_PREFIX: Final = "whsec_"


@attrs.frozen
class Webhook:
    """One delivery to an endpoint for webhooks."""

    headers: Mapping[str, str]
    """`webhook-id`, `webhook-timestamp`, `webhook-signature`."""

    body: bytes
    """The event as JSON: the id of the batch and its final status, nothing more."""


def webhook(batch_id: str, status: str, at: int, *, secret: str = SECRET, signed_at: int | None = None) -> Webhook:
    """
    Return the delivery about the end of a batch.

    Args:
        batch_id: Id of the batch.
        status: Its final status: `completed`, `failed`, `expired` or `cancelled`.
        at: Time of its end; Unix seconds.
        secret: The secret that it is signed with; receivers refuse a wrong one.
        signed_at: Time of the signature in Unix seconds; None: the end of the batch. Receivers
            refuse an old one.

    Source: Standard Webhooks; openai-openapi, schemas WebhookBatch*.
    """
    event = {
        "id": made_id("evt_", at, batch_id, status),
        "object": "event",
        "created_at": at,
        "type": f"batch.{status}",
        "data": {"id": batch_id},
    }
    body = json.dumps(event).encode()
    # The same for each delivery of one event, so that receivers drop the second.
    webhook_id = made_id("wh_", at, batch_id, status)
    timestamp = str(at if signed_at is None else signed_at)
    key = base64.b64decode(secret.removeprefix(_PREFIX)) if secret.startswith(_PREFIX) else secret.encode()
    digest = hmac.new(key, b".".join((webhook_id.encode(), timestamp.encode(), body)), hashlib.sha256).digest()
    headers = {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    return Webhook(headers, body)
