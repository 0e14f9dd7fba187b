"""The main job on the shipped log: observe, fire hooks, audit."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files

from batchfsm.auditing import audit
from batchfsm.cli.formats import text
from batchfsm.dialects import DIALECTS
from batchfsm.explain import clock, timeline, timelines_by_batch
from batchfsm.finding import Finding
from batchfsm.logs import parse_records, resolve_source
from batchfsm.monitor import Monitor
from batchfsm.route import Transition
from batchfsm.wire import reader


def play(show: Callable[[str], None]) -> None:
    """
    Play the demonstration.

    Args:
        show: What prints a piece of text, and ends its line.
    """
    monitor = Monitor()

    @monitor.on()
    def each(transition: Transition) -> None:
        source, when = transition.source or "(birth)", clock(transition.at or 0)
        show(f"    {source:>11} -> {transition.target:<11}  {when}  {transition.evidence}")

    @monitor.on("completed", "expired", "cancelled", name="collect")
    def collect(transition: Transition) -> None:
        show(f"    hook: download {getattr(transition.snapshot, 'output_file_id', 'nothing')}")

    @monitor.on_finding
    def doubt(finding: Finding) -> None:
        show(f"    {finding.severity}: {finding.rule} {finding.name}")

    with as_file(files("batchfsm.cli") / "demo.jsonl") as log:
        show(f"A poller looked at three batches now and then ({log.name}).\nWhat it saw, and what fires:\n")
        for row in parse_records(resolve_source(log), reader(DIALECTS["openai"])):
            show(f"  {row.snapshot.id} is {row.snapshot.status}")  # type: ignore[union-attr]
            monitor.observe(row.snapshot)  # type: ignore[union-attr]
        show("\nThe same batches in time (* was never seen, its stamp proves it):\n")
        for life in timelines_by_batch(
            parse_records(resolve_source(log), reader(DIALECTS["openai"])), DIALECTS["openai"]
        ):
            show(timeline(life))
        show("And what an audit of the log says:\n")
        show(text(audit(log)).replace(str(log), log.name).removesuffix("\n"))
