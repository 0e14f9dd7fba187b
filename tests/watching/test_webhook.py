"""Webhooks: signatures, the content of events, and hints that make a watch poll at once."""

import asyncio
import json
import pickle
import re
import sys
import time
from datetime import UTC, datetime
from itertools import count

import openai
import pytest
from standardwebhooks import Webhook

from batchfsm import MissingExtraError, Schedule, awatch, watch
from batchfsm.webhook import Hint, HintQueue, WebhookError, verify
from support.notation import CREATED, snap, words
from support.server import Clock, Life, Server

# The test vector of both of OpenAI's SDKs.
SECRET = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="
VECTOR = {
    "webhook-id": "wh_685c059ae39c8190af8c71ed1022a24d",
    "webhook-timestamp": "1750861210",
    "webhook-signature": "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY=",
}
BODY = (
    '{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, '
    '"type": "response.completed", "data": {"id": "resp_123"}}'
)
NOW = 1_750_861_210


def signed(body, *, at=NOW, webhook_id="wh_1", secret=SECRET):
    """Return the headers of a body, signed by the library of the standard."""
    key = secret if secret.startswith("whsec_") else secret.encode()
    signature = Webhook(key).sign(webhook_id, datetime.fromtimestamp(at, UTC), body)
    return {"webhook-id": webhook_id, "webhook-timestamp": str(at), "webhook-signature": signature}


def news(batch_id="batch_1", event="batch.completed"):
    """Return the body of an event as OpenAI sends it."""
    return json.dumps({"id": "evt_1", "object": "event", "created_at": NOW, "type": event, "data": {"id": batch_id}})


# ---------------------------------------------------------------- signatures


def test_the_vector_of_openais_sdks_is_believed():
    """The event is about a response, so there is no batch to poll."""
    expected = Hint(
        webhook_id="wh_685c059ae39c8190af8c71ed1022a24d", event="response.completed", batch_id=None, sent_at=NOW
    )

    assert expected == verify(BODY.encode(), VECTOR, SECRET, now=NOW)


@pytest.mark.parametrize("event", ["batch.completed", "batch.failed", "batch.expired", "batch.cancelled"])
def test_the_end_of_a_batch_is_a_hint(event):
    """`verify` returns the id of the batch and the event."""
    body = news(event=event)

    assert ("batch_1", event) == ((hint := verify(body, signed(body), SECRET, now=NOW)).batch_id, hint.event)


def test_openais_own_client_believes_the_same():
    """OpenAI's client verifies the same signature."""
    body, now = news(), int(time.time())
    client = openai.OpenAI(api_key="none", webhook_secret=SECRET)

    event = client.webhooks.unwrap(body, signed(body, at=now))

    assert event.data.id == verify(body, signed(body, at=now), SECRET, now=now).batch_id


def test_headers_are_found_in_any_case():
    """Frameworks differ in the case of header names."""
    loud = {name.title(): value for name, value in VECTOR.items()}

    assert NOW == verify(BODY, loud, SECRET, now=NOW).sent_at


def test_one_good_signature_among_several_will_do():
    """During a change of the secret, the old and the new one both sign."""
    both = VECTOR | {"webhook-signature": f"v1,AAAA v2,x {VECTOR['webhook-signature']}"}

    assert NOW == verify(BODY, both, SECRET, now=NOW).sent_at


def test_a_secret_without_its_prefix_is_taken_as_it_is():
    """OpenAI's SDKs accept it in the same way."""
    body = news()

    assert "batch_1" == verify(body, signed(body, secret="a plain secret"), "a plain secret", now=NOW).batch_id


@pytest.mark.parametrize("shift", [-300, 300])
def test_five_minutes_either_way_are_tolerated(shift):
    """The clocks of sender and receiver may differ."""
    assert NOW == verify(BODY, VECTOR, SECRET, now=NOW + shift).sent_at


@pytest.mark.parametrize("missing", VECTOR)
def test_each_header_is_needed(missing):
    """The message names the missing header."""
    with pytest.raises(WebhookError, match=f"the header {missing} is missing"):
        verify(BODY, {name: value for name, value in VECTOR.items() if name != missing}, SECRET, now=NOW)


@pytest.mark.parametrize(
    "changes, now, said",
    [
        ({"webhook-timestamp": "soon"}, NOW, "its timestamp is no number of seconds"),
        ({"webhook-timestamp": "-1"}, NOW, "its timestamp is no number of seconds"),
        ({"webhook-timestamp": "1_000"}, NOW, "its timestamp is no number of seconds"),
        ({"webhook-timestamp": "²"}, NOW, "its timestamp is no number of seconds"),
        ({"webhook-timestamp": "9" * 12}, NOW, "its timestamp is no number of seconds"),
        ({"webhook-timestamp": "9" * 11}, NOW, "no signature matches"),
        ({"webhook-timestamp": str(NOW + 1)}, NOW, "no signature matches"),
        ({"webhook-id": "wh_2"}, NOW, "no signature matches"),
        ({"webhook-id": "\ud800"}, NOW, "it is not UTF-8"),
        ({"webhook-signature": ""}, NOW, "no signature matches"),
        ({"webhook-signature": "gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY="}, NOW, "no signature matches"),
        ({"webhook-signature": "v1,\ud800"}, NOW, "it is not UTF-8"),
        ({}, NOW + 301, "it was sent more than 300 s from now"),
        ({}, NOW - 301, "it was sent more than 300 s from now"),
    ],
)
def test_what_is_wrong_is_said(changes, now, said):
    """The message is short and quotes nothing of the request."""
    with pytest.raises(WebhookError) as caught:
        verify(BODY, VECTOR | changes, SECRET, now=now)
    assert (said, f"invalid webhook: {said}") == (caught.value.reason, str(caught.value))


@pytest.mark.parametrize("body", [BODY.replace("123", "124"), BODY + " ", b"\xff", "\ud800"])
def test_a_body_that_was_changed_is_not_believed(body):
    """A changed space is enough."""
    with pytest.raises(WebhookError, match=r"no signature matches|it is not UTF-8"):
        verify(body, VECTOR, SECRET, now=NOW)


@pytest.mark.parametrize(
    "body, said",
    [
        ("<html>", "its body is not JSON"),
        ("[" * 100_000, "its body is not JSON"),
        ("[]", "its body names no event"),
        ("{}", "its body names no event"),
        ('{"type": 7}', "its body names no event"),
        ('{"type": "batch.completed"}', "its body names no batch"),
        ('{"type": "batch.completed", "data": ["batch_1"]}', "its body names no batch"),
        ('{"type": "batch.completed", "data": {"id": 7}}', "its body names no batch"),
        ('{"type": "batch.completed", "data": {"id": ""}}', "its body names no batch"),
    ],
    ids=map(str, range(9)),
)
def test_a_body_that_says_nothing_is_refused(body, said):
    """The signature of the body is valid."""
    with pytest.raises(WebhookError, match=said):
        verify(body, signed(body), SECRET, now=NOW)


@pytest.mark.parametrize(
    "payload, secret, said",
    [
        ({"type": "batch.completed"}, SECRET, "the payload is the body as received, bytes or text, not dict"),
        (BODY, None, "the secret is text, not NoneType"),
    ],
)
def test_an_argument_of_a_wrong_type_is_no_fault_of_the_sender(payload, secret, said):
    """A decoded body and an unset secret are faults of the receiver's program: no `WebhookError` hides them."""
    with pytest.raises(TypeError, match=f"^{said}$"):
        verify(payload, VECTOR, secret, now=NOW)


def test_a_queue_refuses_an_id():
    """An id says nothing about the webhook, by which a repeated delivery is recognized."""
    with pytest.raises(TypeError, match=r"^a hint is a Hint, as verify returns it, not str$"):
        HintQueue().add("batch_1")


@pytest.mark.parametrize(
    "secret, said", [("", "is empty"), ("whsec_", "is empty"), ("whsec_*", "is not base64 behind whsec_")]
)
def test_a_secret_that_is_none_is_our_own_fault(secret, said):
    """It is a ValueError and no `WebhookError`, because the sender made no mistake."""
    with pytest.raises(ValueError, match=said) as caught:
        verify(BODY, VECTOR, secret, now=NOW)
    assert not isinstance(caught.value, WebhookError)


def test_without_its_library_it_says_what_to_install(monkeypatch):
    """The message names the extra."""
    monkeypatch.setitem(sys.modules, "standardwebhooks", None)

    with pytest.raises(MissingExtraError, match=r"verifying webhooks .*'batchfsm\[webhook\]'"):
        verify(BODY, VECTOR, SECRET, now=NOW)


def test_the_error_can_be_pickled():
    """A worker process may raise it."""
    again = pickle.loads(pickle.dumps(WebhookError("no signature matches")))  # noqa: S301  # Our own.

    assert "no signature matches" == again.reason


# ---------------------------------------------------------------- hints


def hint(number=1, batch_id="batch_1"):
    """Return the hint of a webhook."""
    return Hint(webhook_id=f"wh_{number}", event="batch.completed", batch_id=batch_id, sent_at=NOW)


def test_a_webhook_sent_again_is_passed_over():
    """The second delivery has the same id."""
    hints, woken = HintQueue(), []
    listener = hints.subscribe(lambda: woken.append(True))

    assert [True, False, True] == [hints.add(hint(1)), hints.add(hint(1)), hints.add(hint(2))]
    assert ([True, True], ("batch_1",)) == (woken, hints.drain(listener))
    assert () == hints.drain(listener)


def test_what_is_not_about_a_batch_is_passed_over():
    assert not HintQueue().add(hint(batch_id=None))


def test_each_who_listens_has_every_hint():
    """A listener receives hints until it is closed."""
    hints = HintQueue()
    first, second = (hints.subscribe(lambda: None) for _ in range(2))

    hints.add(hint(1, "batch_1"))
    hints.unsubscribe(second)
    hints.add(hint(2, "batch_2"))

    assert ("batch_1", "batch_2") == hints.drain(first)
    assert ("batch_1",) == hints.drain(second)


def test_the_oldest_id_is_forgotten(monkeypatch):
    """The number of remembered ids is bounded."""
    monkeypatch.setattr("batchfsm.webhook.REMEMBERED_MAX", 2)
    hints = HintQueue()

    assert [True, True, True, False, True] == [hints.add(hint(number)) for number in (1, 2, 3, 3, 1)]


# ---------------------------------------------------------------- a watch with hints

SLOW = Schedule(delay_s_min=900, delay_s_max=900, jitter=0)


def test_a_hint_makes_a_watch_look_now():
    """The watch polls before its delay is over; a hint about a batch that is not watched changes nothing."""
    clock, hints = Clock(), HintQueue()
    server = Server(Life("vpzc", at=[0, 0, 0, 5]), clock=clock)

    def come(event):
        clock.now += 5
        hints.add(hint(1, "another"))
        hints.add(hint(2))

    # Without a `sleep` the waiting is real: a quarter of an hour if the hint did not end it.
    transitions = list(watch(server.client(), "batch_1", schedule=SLOW, hints=hints, clock=clock, on_event=come))

    assert words("vpzc") == tuple(each.target for each in transitions)
    assert CREATED + 10 == clock()


def test_a_hint_makes_an_async_watch_look_now():
    """The hint may come from any thread."""
    clock, hints = Clock(), HintQueue()
    server = Server(Life("vpzc", at=[0, 0, 0, 5]), clock=clock)

    async def come(event):
        clock.now += 5
        await asyncio.to_thread(hints.add, hint())

    async def main():
        client = server.async_client()
        watching = awatch(client, "batch_1", schedule=SLOW, hints=hints, clock=clock, on_event=come)
        return [each.target async for each in watching]

    assert list(words("vpzc")) == asyncio.run(main())


def test_a_watch_without_ids_sweeps_when_told_of_a_stranger():
    """The batch may be new."""
    clock, hints = Clock(), HintQueue()
    server = Server(Life("vp"), Life("vf", batch_id="new", born_at=CREATED + 10), clock=clock)

    def come(seconds):
        clock.sleep(seconds if len(server.requests) > 1 else 20)
        hints.add(hint(batch_id="new"))

    watching = watch(server.client(), schedule=SLOW, hints=hints, clock=clock, sleep=come)
    seen = [next(watching).batch_id for _ in range(2)]
    watching.close()

    assert ["batch_1", "new"] == seen
    assert [] == clock.naps[1:]


def test_while_the_server_lags_behind_a_hint_it_is_looked_at_often():
    """After the hint the delay starts from its shortest value."""
    clock, hints = Clock(), HintQueue()
    server = Server(Life("vpzc", at=[0, 0, 1000, 1003]), clock=clock)

    def nap(seconds):
        clock.sleep(seconds)
        if clock() >= CREATED + 900:
            hints.add(hint())

    list(watch(server.client(), "batch_1", schedule=Schedule(jitter=0), hints=hints, clock=clock, sleep=nap))

    told = next(index for index, _ in enumerate(clock.naps) if sum(clock.naps[:index]) >= 900)
    assert 60 == clock.naps[told - 1]
    assert [1] * 10 == clock.naps[told : told + 10]


def test_hints_that_never_come_hold_nothing_up():
    """The watch polls by its schedule, because a webhook may be lost."""
    # The clock advances at each reading: on the real clock a slow machine might have no time left.
    clock = (CREATED + 1000 + step / 2000 for step in count()).__next__
    brief = Schedule(delay_s_min=0.01, delay_s_max=0.01)

    class SnapshotSource:
        def __init__(self):
            self.answers = [snap("vp"), snap("vpzc")]

        def fetch(self, ids):
            return {"batch_1": self.answers.pop(0)}

    class AsyncSnapshotSource(SnapshotSource):
        async def fetch(self, ids):
            return super().fetch(ids)

    transitions = list(watch("batch_1", source=SnapshotSource(), schedule=brief, hints=HintQueue(), clock=clock))
    assert words("vpzc") == tuple(each.target for each in transitions)

    async def main():
        watching = awatch("batch_1", source=AsyncSnapshotSource(), schedule=brief, hints=HintQueue(), clock=clock)
        return [each.target async for each in watching]

    assert list(words("vpzc")) == asyncio.run(main())


def test_a_hint_while_throttled_waits():
    """A hint does not end the pause that a server asked for."""
    clock, hints = Clock(), HintQueue()
    server = Server(Life("vf", at=[0, 0]), clock=clock, faults=[(429, {"retry-after": "50"}, "")])

    def nap(seconds):
        clock.sleep(min(seconds, 20))
        hints.add(hint(number=clock()))

    assert 2 == len(list(watch(server.client(), "batch_1", hints=hints, clock=clock, sleep=nap)))
    assert ([20, 20, 10], 2) == (clock.naps, len(server.requests))


@pytest.mark.parametrize(
    "headers, said",
    [
        (None, "the headers are a mapping of names to values, as request.headers, not None"),
        ([("webhook-id", "1")], "the headers are a mapping of names to values, as request.headers, not ["),
        ({b"webhook-id": b"1"}, "the names of the headers are text, such as 'webhook-id'"),
        ({"webhook-id": ["1"]}, "the header webhook-id is text, not list"),
    ],
    ids=["none", "pairs", "bytes", "lists"],
)
def test_headers_of_another_form_are_the_receivers_error(headers, said):
    """A `WebhookError` would answer 400 to a valid webhook."""
    with pytest.raises(TypeError, match=f"^{re.escape(said)}"):
        verify(b"{}", headers, SECRET, now=1.0)


@pytest.mark.parametrize(
    "secret, now, kind", [("", 1.0, ValueError), (SECRET, None, TypeError), (None, 1.0, TypeError)]
)
def test_a_wrong_setting_is_found_by_the_first_delivery(secret, now, kind):
    """Also by one that is not signed: the error is not a `WebhookError`, which would blame the sender."""
    with pytest.raises(kind) as caught:
        verify(b"{}", {}, secret, now=now)

    assert not isinstance(caught.value, WebhookError)
