"""The types of the public names, as assertions for type checkers; this module is never run."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, Literal, assert_type

from hypothesis.strategies import SearchStrategy
from openai import AsyncOpenAI, OpenAI
from transitions import Machine

import batchfsm
from batchfsm import (
    DIALECTS,
    OPENAI,
    RULES,
    AsyncMonitor,
    Dialect,
    Finding,
    HookError,
    IllegalTransitionError,
    Lifecycle,
    Monitor,
    Observation,
    Report,
    Snapshot,
    SnapshotError,
    State,
    Step,
    TrackedBatch,
    Transition,
    audit,
    awatch,
    parse,
    testing,
    watch,
)
from batchfsm.auditing import LogStatistics, Progress, StateFile
from batchfsm.finding import LogPosition, Verdict
from batchfsm.lifecycle import Status
from batchfsm.rules import Rule
from batchfsm.snapshot import BatchErrorEntry, RequestCounts
from batchfsm.watching import (
    BatchDropped,
    Event,
    Fatal,
    Gone,
    HooksDead,
    HooksFailed,
    ListProblem,
    PollFailed,
    PollSucceeded,
    ResultsPending,
    Stalled,
    Transient,
)
from batchfsm.webhook import Hint, HintQueue, verify

# ---------------------------------------------------------------- reading

snapshot = parse({"id": "batch_1", "status": "validating", "created_at": 1})
assert_type(snapshot, Snapshot)
assert_type(parse('{"id": "batch_1"}', dialect="azure", observed_at="2024-03-26T16:45:33Z"), Snapshot)
assert_type(parse(b"{}", dialect=OPENAI, observed_at=1.5), Snapshot)
assert_type(parse(object(), dialect=Dialect(name="mine")), Snapshot)

assert_type(snapshot.id, str)
assert_type(snapshot.status, str)
assert_type(snapshot.known_status, Status | None)
assert_type(snapshot.created_at, int | None)
assert_type(snapshot.expires_at, int | None)
assert_type(snapshot.output_file_id, str | None)
assert_type(snapshot.request_counts, RequestCounts | None)
assert_type(snapshot.errors, tuple[BatchErrorEntry, ...] | None)
assert_type(snapshot.usage, Mapping[str, object] | None)
assert_type(snapshot.metadata, Mapping[str, object] | None)
assert_type(snapshot.observed_at, float | None)
assert_type(snapshot.bad, Mapping[str, object])
assert_type(snapshot.extra, Mapping[str, object])
assert_type(snapshot.to_dict(style="pascal"), dict[str, object])
assert_type(RequestCounts().total, int | None)
assert_type(BatchErrorEntry(code="c").line, int | None)

snapshot.status = "failed"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
snapshot.to_dict(style="kebab")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def every_status(known: Status) -> str:
    """Take the eight words apart: a checker knows when one is missing."""
    match known:
        case "validating" | "in_progress" | "finalizing" | "cancelling":
            return "open"
        case "completed" | "failed" | "expired" | "cancelled":
            return "final"


def damaged(error: SnapshotError) -> None:
    """Take the problems of an object apart."""
    assert_type(error.problems, tuple[tuple[str, str], ...])


# ---------------------------------------------------------------- observing

monitor = Monitor()
Monitor("groq", on_illegal="hold")
Monitor(dialect=OPENAI, on_illegal="raise")
Monitor(on_illegal="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@monitor.on("completed", "expired", name="collect")
@monitor.on(source="in_progress", target="finalizing")
@monitor.on()
def collect(transition: Transition) -> int:
    """Be decorated, and stay what it is."""
    assert_type(transition.batch_id, str)
    assert_type(transition.source, str | None)
    assert_type(transition.target, str)
    assert_type(transition.event, str | None)
    assert_type(transition.at, int | None)
    assert_type(transition.evidence, Literal["observed", "stamped", "implied", "gap"])
    assert_type(transition.observed_at, float | None)
    assert_type(transition.snapshot, Snapshot)
    assert_type(transition.key, str)
    assert_type(transition.terminal, bool)
    return 1


@monitor.on_finding
def shout(finding: Finding) -> str:
    """Be decorated without parentheses, and stay what it is."""
    assert_type(finding.rule, str)
    assert_type(finding.severity, Literal["error", "warning", "note"])
    assert_type(finding.batch_id, str | None)
    assert_type(finding.fields, Mapping[str, object])
    assert_type(finding.where, tuple[LogPosition, ...])
    assert_type(finding.to_dict(), dict[str, object])
    return finding.message


@monitor.on_finding("H5", "T201", name="alarm")
def alarm(finding: Finding) -> bytes:
    """Be decorated with rule codes, and stay what it is."""
    return finding.message.encode()


def keeps_types(transition: Transition, finding: Finding) -> None:
    """Call the hooks by the names of their parameters: decorators return them unchanged."""
    assert_type(collect(transition=transition), int)
    assert_type(shout(finding=finding), str)
    assert_type(alarm(finding=finding), bytes)
    collect(finding)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


monitor.on(collect)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def no_argument() -> None:
    """Take no transition."""


monitor.on("failed")(no_argument)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]

observation = monitor.observe(snapshot, observed_at=1)
assert_type(observation, Observation)
assert_type(observation.transitions, tuple[Transition, ...])
assert_type(observation.findings, tuple[Finding, ...])
assert_type(observation.verdict, Verdict)
assert_type(observation.verdict, Literal["consistent", "inconsistent", "undetermined"])
assert_type(observation.delivered, bool)

state = monitor["batch_1"]
assert_type(state, TrackedBatch)
assert_type(state.status, str | None)
assert_type(state.snapshot, Snapshot | None)
assert_type(state.verdict, Verdict)
assert_type(state.transitions, tuple[Transition[None], ...])
assert_type(state.transitions[0].snapshot, None)
assert_type(len(monitor), int)
assert_type("batch_1" in monitor, bool)


def failed(error: HookError, illegal: IllegalTransitionError) -> None:
    """Take errors apart."""
    assert_type(error.exceptions, tuple[Exception | ExceptionGroup[Exception], ...])
    assert_type(error.observation, Observation | None)
    assert_type(illegal.observation, Observation)
    assert_type(illegal.reachable, tuple[str, ...])


async_monitor = AsyncMonitor("openai", on_illegal="adopt")


@async_monitor.on("completed")
async def fetch(transition: Transition) -> float:
    """Be a coroutine function, and stay one."""
    return float(transition.at or 0)


async def loop(transition: Transition) -> None:
    """Await what is a coroutine."""
    assert_type(await fetch(transition=transition), float)
    assert_type(await async_monitor.observe({}, observed_at="2024-03-26T16:45:33Z"), Observation)


# ---------------------------------------------------------------- watching


class Gateway:
    """A source."""

    def fetch(self, ids: tuple[str, ...], /) -> dict[str, Snapshot | Gone | Transient | Fatal]:
        """Answer for nobody."""
        return dict.fromkeys(ids, Transient("closed"))


class AsyncGateway:
    """An async one."""

    async def fetch(self, ids: tuple[str, ...], /) -> dict[str, Snapshot | Gone | Transient | Fatal]:
        """Answer for nobody."""
        return dict.fromkeys(ids, Gone())


def tell(event: Event) -> str | None:
    """Tell the kinds of events apart."""
    match event:
        case PollSucceeded():
            return event.snapshot.status
        case PollFailed() | Stalled():
            return event.batch_id
        case BatchDropped():
            return str(event.error)
        case HooksFailed() | HooksDead():
            return str(event.count if isinstance(event, HooksDead) else event.error.observation)
        case ListProblem():
            return event.reason
        case ResultsPending():
            return event.snapshot.output_file_id


for seen in watch("batch_1", source=Gateway(), monitor=monitor, timeout_s=5, log="log", on_event=tell):
    assert_type(seen, Transition)


async def follow() -> None:
    """Watch, closing it in the end."""
    async with aclosing(awatch("batch_1", source=AsyncGateway(), monitor=async_monitor, hints=HintQueue())) as watching:
        async for each in watching:
            assert_type(each, Transition)


assert_type(verify(b"", {}, "secret", now=1.5), Hint)

# ---------------------------------------------------------------- auditing

report = audit("mon.jsonl", dialect="compatible", select=["T", "H501"], ignore=("P104",), max_findings=7)
assert_type(report, Report)
assert_type(report.statistics, LogStatistics | None)
assert_type(batchfsm.write_report(report, "report.html", title="mine"), None)
assert_type(report.verdict, Verdict)
assert_type(report.ok, bool)
assert_type(report.snapshots, int)
assert_type(report.batches, int)
assert_type(report.unreadable_count, int)
assert_type(report.counts, Mapping[str, int])
assert_type(report.findings, tuple[Finding, ...])
assert_type(report.by_batch(), dict[str | None, tuple[Finding, ...]])
assert_type(report.to_dict(), dict[str, Any])
assert_type(report.to_json(), str)
assert_type(report.findings[0].observed_at, float | None)


def show(progress: Progress) -> None:
    """Show how far an audit is."""
    assert_type((progress.passed, progress.size, progress.rows), tuple[int, int | None, int])


with StateFile("state.db") as state_file:
    assert_type(state_file, StateFile)
    assert_type(audit("mon.jsonl", state=state_file, progress=show), Report)
assert_type(audit("mon.jsonl", state="state.db"), Report)

# ---------------------------------------------------------------- the table

assert_type(OPENAI, Lifecycle)
assert_type(OPENAI.states, tuple[State, ...])
assert_type(OPENAI.steps, tuple[Step, ...])
assert_type(OPENAI.statuses, tuple[str, ...])
assert_type(OPENAI.terminal, frozenset[str])
assert_type(OPENAI.steps[0].evidence, Literal["documented", "tolerated"])
assert_type(DIALECTS["groq"], Dialect)
assert_type(DIALECTS["groq"].lifecycle, Lifecycle)
assert_type(RULES["H501"], Rule)
assert_type(batchfsm.machine.build(OPENAI), Machine)
assert_type(batchfsm.diagram.mermaid(OPENAI), str)
assert_type(batchfsm.diagram.svg(OPENAI, taken=report.statistics.step_counts if report.statistics else ()), str)
assert_type(batchfsm.diagram.png(), bytes)

Dialect(
    name="mine",
    states=(State("new"),),
    steps=(Step("new", "validate", "validating"),),
    initial="new",
    aliases={"done": "completed"},
    optional_stamps={"finalizing"},
    time_formats={"iso"},
    null_time_values=(0, "0"),
    severities={"P101": "off"},
)

# ---------------------------------------------------------------- the test kit

api = testing.FakeBatchAPI("cancel at 1h", clock=testing.VirtualClock(5), respond=lambda body: {"echo": body})
testing.FakeBatchAPI(testing.Scenario("expire", dialect="openai"), respond=lambda _: testing.RequestError(500))
testing.FakeBatchAPI(testing.recordings("log.jsonl")["batch_1"])
testing.FakeBatchAPI(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(api.start("expire", metadata={"team": "search"}), str)
assert_type(api.batch("batch_1"), dict[str, Any])
assert_type(api.client(timeout=5), OpenAI)
assert_type(api.async_client(), AsyncOpenAI)
assert_type(api.handle(testing.Request(method="GET", path="/v1/batches")), testing.Answer)
assert_type(api.calls, tuple[testing.Call, ...])
assert_type(api.webhooks("whsec_x")[0].body, bytes)
api.inject("stale", lag="1h", times=3, lasts=60, on="batches", batch_id="batch_1", retry_after_s=0.5)
api.inject("stale", 3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
assert_type(testing.FAULTS, Mapping[str, testing.Fault])
assert_type(testing.timelines(dialect="groq"), SearchStrategy[testing.Timeline])
assert_type(testing.histories(tolerated=True), SearchStrategy[list[dict[str, Any]]])
assert_type(testing.polls([snapshot]), SearchStrategy[list[Snapshot]])
assert_type(testing.broken("H502"), SearchStrategy[Any])
testing.assert_consistent([snapshot], dialect="groq")
testing.assert_lifecycle(iter([snapshot]), "validating > completed")
testing.assert_fired_once(state.transitions, "completed")
with api.serve(port=0) as server:
    assert_type(server, testing.Server)
    assert_type(server.base_url, str)


def other_providers(client: object) -> None:
    """Watch over a source of another provider, sync or async."""
    watch("msgbatch_1", source=batchfsm.sources.anthropic(client))
    awatch("msgbatch_1", source=batchfsm.sources.anthropic(client))
    watch("job_1", source=batchfsm.sources.mistral(client))
    awatch("job_1", source=batchfsm.sources.mistral(client, is_async=True))


batchfsm.Montor()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
