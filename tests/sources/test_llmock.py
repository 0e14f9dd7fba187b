"""llmock, a mock server that deviates from Anthropic's batches: it shows results before the end, and the audit finds it."""

import pytest

from batchfsm import Monitor, Schedule, audit, watch
from batchfsm.sources import anthropic
from support.servers.process import installed, running

pytestmark = [pytest.mark.server, pytest.mark.slow]
sdk = pytest.importorskip("anthropic", reason="the SDK of Anthropic is not installed")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """Return a client of the SDK for a running llmock."""
    desk = tmp_path_factory.mktemp("llmock")
    bin_directory = installed("llmock==0.2.2", desk)
    with running("llmock serve --host 127.0.0.1 --port {port}", bin_directory, desk, "") as url:
        yield sdk.Anthropic(api_key="none", base_url=f"{url.removesuffix('/v1')}/anthropic", max_retries=0)


def test_results_before_the_end_are_found(client, tmp_path):
    """The early `results_url` is F401 in the watch and in the audit; it is a warning, and the batch ends."""
    parameters = {"model": "any", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]}
    batch_id = client.messages.batches.create(requests=[{"custom_id": "r1", "params": parameters}]).id
    monitor, log = Monitor("anthropic"), tmp_path / "seen.jsonl"
    schedule = Schedule(delay_s_min=0.2, delay_s_max=1.0)
    transitions = list(
        watch(batch_id, source=anthropic(client), monitor=monitor, schedule=schedule, timeout_s=120, log=log)
    )
    report = audit(str(log), dialect="anthropic")

    assert ["in_progress", "ended"] == [each.target for each in transitions]
    assert ("consistent", {"F401"}) == (report.verdict, set(report.counts))
    assert "has output_file_id" in report.findings[0].message
