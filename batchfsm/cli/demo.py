"""`batchfsm demo`: observe a shipped log, call hooks, draw timelines, audit."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import click

from batchfsm.auditing import audit
from batchfsm.cli.formats import text
from batchfsm.cli.output import check_outputs, write, write_coloured
from batchfsm.dialects import DIALECTS
from batchfsm.explain import clock, timeline, timelines_by_batch
from batchfsm.finding import Finding
from batchfsm.logs import parse_records, resolve_source
from batchfsm.monitor import Monitor
from batchfsm.route import Transition
from batchfsm.wire import reader


@click.command("demo")
@click.option(
    "--log", type=click.Path(path_type=Path), metavar="F", help="Write the log to a file, for batchfsm audit."
)
def command(*, log: Path | None) -> None:
    """Observe a shipped log with hooks, then audit it."""
    check_outputs((), {"--log": log})
    if log is not None:
        write((files("batchfsm.cli") / "demo.jsonl").read_bytes(), log)
    show_demo(lambda piece: write_coloured(f"{piece}\n"))


def show_demo(show: Callable[[str], None]) -> None:
    """
    Show the demonstration.

    Args:
        show: Prints a piece of text and ends its line.
    """
    monitor, dialect = Monitor(), DIALECTS["openai"]

    @monitor.on()
    def each(transition: Transition) -> None:
        source, when = transition.source or "(birth)", clock(transition.at or 0)
        show(f"    {source:>11} -> {transition.target:<11}  {when}  {transition.evidence}")

    @monitor.on("completed", "expired", "cancelled", name="collect")
    def collect(transition: Transition) -> None:
        show(f"    hook: download {getattr(transition.snapshot, 'output_file_id', 'nothing')}")

    @monitor.on_finding
    def report_finding(finding: Finding) -> None:
        show(f"    {finding.severity}: {finding.rule} {finding.name}")

    with as_file(files("batchfsm.cli") / "demo.jsonl") as log:
        show(f"A poller looked at three batches ({log.name}; --log F writes it to a file).")
        show("The snapshots, and the hooks that fire:\n")
        for row in parse_records(resolve_source(log), reader(dialect)):
            show(f"  {row.snapshot.id} is {row.snapshot.status}")  # type: ignore[union-attr]
            monitor.observe(row.snapshot)  # type: ignore[union-attr]
        show("\nThe same batches in time (* not observed, but proven by a timestamp):\n")
        for each_timeline in timelines_by_batch(parse_records(resolve_source(log), reader(dialect)), dialect):
            show(timeline(each_timeline))
        show("And the audit of the log:\n")
        show(text(audit(log)).replace(str(log), log.name).removesuffix("\n"))
