"""OGX, a real server with Anthropic's batches, driven by Anthropic's SDK, watched and audited."""

import time

import pytest

from batchfsm import Monitor, Schedule, audit, watch
from batchfsm.sources import anthropic
from support.servers.engine import MODEL, Engine
from support.servers.process import engine, installed, running

pytestmark = [pytest.mark.server, pytest.mark.slow]
sdk = pytest.importorskip("anthropic", reason="the SDK of Anthropic is not installed")

REQUESTS, TIMEOUT_S = 200, 120
QUICK = Schedule(delay_s_min=0.1, delay_s_max=0.5)


class SlowEngine(Engine):
    """A model server with Anthropic's messages; it takes a moment, so that a batch can be cancelled while it runs."""

    def do_POST(self):  # noqa: N802  # The name is that of the standard library.
        """Wait, then answer any POST request with a message."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        time.sleep(0.05)
        self.answer(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": MODEL,
                "content": [{"type": "text", "text": "hello"}],
                "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": {"input_tokens": 1, "output_tokens": 1},
            }
        )


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Return a client of the SDK for a running OGX."""
    desk = tmp_path_factory.mktemp("ogx")
    bin_directory = installed("ogx==1.5.0", desk)
    command = "ogx run {here}/ogx.yaml --port {port} --insecure"
    with engine(SlowEngine) as stub, running(command, bin_directory, desk, stub) as url:
        yield sdk.Anthropic(api_key="none", base_url=url.removesuffix("/v1"), max_retries=0)


def created(client, number):
    """Create a batch of some requests; return its id."""
    parameters = {"model": f"stub/{MODEL}", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}
    requests = [{"custom_id": f"r{each}", "params": parameters} for each in range(number)]
    return client.messages.batches.create(requests=requests).id


def route(transitions, batch_id):
    return [each.target for each in transitions if each.batch_id == batch_id]


def test_a_batch_is_watched_to_its_end(client, tmp_path):
    """The batch ends with each request answered, its results can be read, and an audit finds nothing."""
    batch_id, log = created(client, 3), tmp_path / "seen.jsonl"
    monitor = Monitor("anthropic")
    transitions = list(
        watch(batch_id, source=anthropic(client), monitor=monitor, schedule=QUICK, timeout_s=TIMEOUT_S, log=log)
    )

    assert ["in_progress", "ended"] == route(transitions, batch_id)
    counts = monitor[batch_id].snapshot.request_counts
    assert (3, 3, 0) == (counts.total, counts.completed, counts.failed)
    assert 3 == len(list(client.messages.batches.results(batch_id)))
    assert ("consistent", {}) == ((report := audit(str(log), dialect="anthropic")).verdict, report.counts)


def test_a_batch_is_cancelled_while_it_runs(client):
    """Cancelling is seen or proven by its stamp, some requests are left, and raw objects are recognised."""
    batch_id, source = created(client, REQUESTS), anthropic(client)
    monitor, bodies = Monitor("anthropic"), [raw(client, created(client, 1))]
    bodies.append(raw(client, batch_id))
    client.messages.batches.cancel(batch_id)
    bodies.append(raw(client, batch_id))
    transitions = list(watch(batch_id, source=source, monitor=monitor, schedule=QUICK, timeout_s=TIMEOUT_S))
    bodies.append(raw(client, batch_id))
    counts = monitor[batch_id].snapshot.request_counts

    assert ["in_progress", "cancelling", "ended"] == route(transitions, batch_id)
    assert REQUESTS == counts.total > counts.completed
    report = audit(bodies, dialect="auto")
    assert ("consistent", {}, ["anthropic"]) == (
        report.verdict,
        report.counts,
        [each.dialect for each in report.dialects],
    )


def test_a_late_cancel_changes_nothing(client):
    """The server refuses it, and the next snapshot is the same."""
    batch_id, source, monitor = created(client, 1), anthropic(client), Monitor("anthropic")
    list(watch(batch_id, source=source, monitor=monitor, schedule=QUICK, timeout_s=TIMEOUT_S))

    with pytest.raises(sdk.BadRequestError, match="already ended"):
        client.messages.batches.cancel(batch_id)

    again = monitor.observe(source.fetch((batch_id,))[batch_id])
    assert ((), (), "consistent") == (again.transitions, again.findings, again.verdict)


def test_every_open_batch_is_followed_without_ids(client):
    """The list of the server shows a batch that runs; the watch ends with it."""
    batch_id = created(client, 20)
    transitions = watch(source=anthropic(client), schedule=QUICK, timeout_s=TIMEOUT_S)

    assert ["in_progress", "ended"] == route(list(transitions), batch_id)


def raw(client, batch_id):
    """Return the body of a response of the server."""
    return client.messages.batches.with_raw_response.retrieve(batch_id).http_response.json()
