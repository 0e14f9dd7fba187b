"""Metrics of a watch for Prometheus, and traces of batches."""

import asyncio
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry, generate_latest

from batchfsm import AsyncMonitor, MissingExtraError, Monitor, Schedule, WatchError, metrics, parse, tracing, watch
from batchfsm.watching import BatchDropped, HooksDead, ListProblem, PollFailed, PollSucceeded, ResultsPending
from support.notation import CREATED, snap
from support.server import FAULTS, Clock, Life, Server

NS = 1_000_000_000


def counted(server, *ids, schedule=Schedule(jitter=0), **options):  # noqa: B008
    """Watch to the end with metrics; return the samples of the registry, by name and labels."""
    registry = CollectorRegistry()
    clock = server.clock
    told = metrics.Metrics(registry)
    list(
        watch(
            server.client(), *ids, on_event=told, on_error=lambda error: None, clock=clock, sleep=clock.sleep,
            schedule=schedule, **options,
        )
    )  # fmt: skip
    return scraped(registry)


def scraped(registry):
    """Return the samples of a registry that are not zero."""
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    pairs = (line.rsplit(" ", 1) for line in lines if "_created" not in line)
    return {name.removeprefix("batchfsm_"): float(value) for name, value in pairs if float(value)}


# ---------------------------------------------------------------- Prometheus


def test_a_life_is_counted():
    """Metrics count each transition with its evidence, the time in each status, and the delay of each observation."""
    seen = counted(Server(Life("vpzc", at=[0, 7, 300, 304]), clock=Clock()), "batch_1")

    assert 1 == seen['transitions_total{evidence="observed",source="",target="validating"}']
    assert 1 == seen['transitions_total{evidence="observed",source="validating",target="in_progress"}']
    assert 1 == seen['transitions_total{evidence="stamped",source="in_progress",target="finalizing"}']
    assert 1 == seen['transitions_total{evidence="observed",source="finalizing",target="completed"}']
    assert {"validating": 7, "in_progress": 293, "finalizing": 4} == {
        status: seen[f'state_duration_seconds_sum{{status="{status}"}}']
        for status in ("validating", "in_progress", "finalizing")
    }
    assert 4 == seen["detection_lag_seconds_count"]
    assert seen["last_success_timestamp_seconds"] >= CREATED + 304


def test_open_batches_are_gauged_and_ended_ones_are_not():
    """The gauge has one value for each status."""
    clock = Clock()
    server = Server(Life("vp"), Life("vpzc", batch_id="batch_2"), Life("v", batch_id="batch_3"), clock=clock)
    registry = CollectorRegistry()
    watching = watch(server.client(), *server.lives, on_event=metrics.Metrics(registry), clock=clock, sleep=clock.sleep)

    for transition in watching:
        if transition.target == "completed":
            break
    watching.close()

    gauges = {name: value for name, value in scraped(registry).items() if name.startswith("batches{")}
    assert {'batches{status="in_progress"}': 1, 'batches{status="validating"}': 1} == gauges


def test_what_goes_wrong_is_counted():
    """Metrics count failed polls by kind, findings, hooks that raised, stalls and dropped batches."""
    monitor = Monitor()

    @monitor.on("in_progress")
    def broken(transition):
        raise ConnectionError

    faults = [FAULTS["500"], FAULTS["404"], (401, {}, ""), None]
    lives = [Life("vpzc", batch_id=name, at=[0, 3, 300, 301], expires_at=None) for name in ("batch_1", "batch_2")]
    server = Server(*lives, clock=Clock(), faults=faults)

    seen = counted(server, "batch_1", "batch_2", monitor=monitor, schedule=Schedule(jitter=0, stalled_after_s=50))

    assert {"transient": 1, "gone": 1, "fatal": 1} == {
        kind: seen[f'poll_errors_total{{kind="{kind}"}}'] for kind in ("transient", "gone", "fatal")
    }
    assert 1 == seen['findings_total{rule="P104",severity="note"}']
    assert 1 == seen['stalls_total{overdue="no"}']
    assert 1 == seen["batches_dropped_total"]
    assert seen["hook_failures_total"] > 1


def test_a_list_that_was_refused_is_no_batch():
    """It is counted as a failed poll."""
    seen = counted(Server(clock=Clock(), faults=[(401, {}, "")]))

    assert {'poll_errors_total{kind="fatal"}': 1} == seen


def test_a_batch_that_was_dropped_is_open_no_more():
    """The gauge of open batches does not include it."""
    registry = CollectorRegistry()
    told = metrics.Metrics(registry)
    faults = [None, *[FAULTS["404"]] * 3]
    clock = Clock()
    server = Server(Life("v"), clock=clock, faults=faults)

    list(watch(server.client(), "batch_1", on_event=told, on_error=lambda _: None, clock=clock, sleep=clock.sleep))
    told(BatchDropped(batch_id="batch_2", error=WatchError("batch_2", "gone", "HTTP 404")))

    seen = scraped(registry)
    assert 2 == seen["batches_dropped_total"]
    assert not [name for name in seen if name.startswith("batches{")]


def test_problems_of_lists_and_uncounted_failures_are_counted():
    """The next event adds the failed requests that had no event of their own; pending results are not counted."""
    registry = CollectorRegistry()
    told = metrics.Metrics(registry)

    told(ListProblem(kind="stale", reason="it is a cache"))
    told(PollFailed(batch_id="batch_1", kind="transient", reason="down"))
    told(PollFailed(batch_id="batch_1", kind="transient", reason="down", count=10, new=9))
    told(ResultsPending(batch_id="batch_1", snapshot=parse(snap("vpzc")), until=CREATED + 120.0))

    assert {'list_problems_total{kind="stale"}': 1, 'poll_errors_total{kind="transient"}': 10} == scraped(registry)


def test_null_stamps_make_no_durations():
    """Null timestamps make no lags either."""
    batch = snap("vpzc", in_progress_at=None)

    class SnapshotSource:
        def fetch(self, ids):
            return {"batch_1": batch}

    registry = CollectorRegistry()
    list(watch("batch_1", source=SnapshotSource(), on_event=metrics.Metrics(registry), clock=lambda: CREATED + 500.0))

    seen = scraped(registry)
    assert 3 == seen["detection_lag_seconds_count"]
    assert ['state_duration_seconds_count{status="finalizing"}'] == [
        name for name in seen if name.startswith("state_duration_seconds_count")
    ]


def test_a_look_without_a_time_is_no_last_success():
    """No metric changes."""
    registry = CollectorRegistry()
    metrics.Metrics(registry)(PollSucceeded(batch_id="batch_1", snapshot=parse(snap("v")), transitions=(), findings=()))

    assert {} == scraped(registry)


def test_the_default_registry_is_the_one_that_is_served():
    """A second `Metrics` on the default registry is a duplicate."""
    metrics.Metrics()

    with pytest.raises(ValueError, match="Duplicated timeseries"):
        metrics.Metrics()


# ---------------------------------------------------------------- OpenTelemetry


@pytest.fixture
def provider():
    """Return a tracer provider that keeps its spans."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.spans = exporter.get_finished_spans
    yield provider
    provider.shutdown()


def traced(provider, *batches, dialect="openai"):
    """Observe some snapshots with a traced monitor; return the spans by name."""
    monitor = Monitor(dialect)
    tracing.follow(monitor, provider)
    for batch in batches:
        monitor.observe(batch)
    return {span.name: span for span in provider.spans()}


def test_a_batch_that_has_ended_is_a_trace(provider):
    """The spans have the true times of all statuses, those between two polls included."""
    usage = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}

    spans = traced(provider, snap("v"), snap("vpzc", usage=usage))

    root = spans.pop("batch_job /v1/chat/completions")
    assert (CREATED * NS, (CREATED + 180) * NS) == (root.start_time, root.end_time)
    assert {
        "batchfsm.batch.id": "batch_1",
        "batchfsm.batch.status": "completed",
        "batchfsm.request_count.total": 8,
        "batchfsm.request_count.completed": 7,
        "batchfsm.request_count.failed": 1,
        "gen_ai.request.model": "gpt-5-2025-08-07",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 20,
    } == dict(root.attributes)
    assert [("validating", 0, 60), ("in_progress", 60, 120), ("finalizing", 120, 180)] == [
        (name, span.start_time // NS - CREATED, span.end_time // NS - CREATED) for name, span in spans.items()
    ]
    assert {root.context.span_id} == {span.parent.span_id for span in spans.values()}
    assert [("in_progress", "stamped"), ("finalizing", "stamped"), ("completed", "observed")] == [
        (event.name, event.attributes["batchfsm.evidence"]) for event in root.events
    ]
    assert StatusCode.UNSET == root.status.status_code


def test_it_is_a_trace_of_its_own(provider):
    """The span that is current in the poller does not become its parent."""
    with provider.get_tracer("mine").start_as_current_span("poll"):
        traced(provider, snap("vpzc"))

    (root,) = [span for span in provider.spans() if span.name.startswith("batch_job")]
    assert root.parent is None


@pytest.mark.parametrize(
    "path, code", [("vf", StatusCode.ERROR), ("vpze", StatusCode.ERROR), ("vpgx", StatusCode.UNSET)]
)
def test_what_failed_and_what_expired_is_an_error(provider, path, code):
    """A cancelled batch is not an error."""
    spans = traced(provider, snap(path))

    assert code == spans["batch_job /v1/chat/completions"].status.status_code


def test_a_batch_is_traced_once(provider):
    """A later poll makes no second trace; an open batch makes none."""
    traced(provider, snap("v"), snap("vpzc"), snap("vpzc"), snap("vp", id="batch_2"))

    assert 4 == len(provider.spans())


def test_what_is_null_is_no_attribute(provider):
    """Null fields have no attribute, and a status without a timestamp has no span."""
    batch = snap("vpzc", endpoint=None, model=None, request_counts=None, in_progress_at=None)

    spans = traced(provider, batch)

    assert {"batchfsm.batch.id": "batch_1", "batchfsm.batch.status": "completed"} == dict(spans["batch_job"].attributes)
    assert {"batch_job", "validating", "finalizing"} == set(spans)


def test_a_batch_without_any_stamp_leaves_no_trace(provider):
    """The spans would have no start time."""
    assert {} == traced(provider, snap("vf", created_at=None, failed_at=None))


def test_stamps_out_of_order_make_no_negative_time(provider):
    """A span ends no earlier than it begins."""
    spans = traced(provider, snap("vpzc", at=[0, 500, 100, 200]))

    assert all(span.start_time <= span.end_time for span in spans.values())
    assert CREATED + 500 == spans["batch_job /v1/chat/completions"].end_time // NS


def test_an_async_monitor_can_be_followed_too(provider):
    """The tracing hook is a plain function, which an AsyncMonitor calls, too."""
    monitor = AsyncMonitor()
    tracing.follow(monitor, provider)

    asyncio.run(monitor.observe(snap("vpzc")))

    assert 4 == len(provider.spans())


def test_without_a_provider_it_goes_to_the_global_one():
    """Without a global provider nothing is recorded and nothing fails."""
    monitor = Monitor()
    tracing.follow(monitor)

    assert "consistent" == monitor.observe(snap("vpzc")).verdict


@pytest.mark.parametrize(
    "module, call, extra",
    [
        ("prometheus_client", metrics.Metrics, "prometheus"),
        ("opentelemetry", lambda: tracing.follow(Monitor()), "otel"),
    ],
)
def test_without_its_library_it_says_what_to_install(monkeypatch, module, call, extra):
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(MissingExtraError, match=rf"'batchfsm\[{extra}\]'"):
        call()


def test_dead_hooks_are_a_gauge():
    """It follows the number of dead hooks, also down when they are retried or dropped."""
    registry = CollectorRegistry()
    told = metrics.Metrics(registry)
    values = []
    for number in (2, 0):
        told(HooksDead(count=number))
        values.append(registry.get_sample_value("batchfsm_hooks_dead"))

    assert [2, 0] == values
