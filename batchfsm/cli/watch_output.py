"""The outputs of a watch: a live view, plain lines, JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from batchfsm.cli.dashboard import Dashboard
from batchfsm.cli.watch_summary import WatchSummary
from batchfsm.escapes import printable
from batchfsm.explain import clock as format_time
from batchfsm.monitor import Monitor


class TextOutput:
    """Plain lines, for logs and pipes: statuses to standard output, problems to standard error."""

    _indent = " " * 21  # The width of the time before a status.

    def __init__(self, summary: WatchSummary) -> None:
        self._summary = summary

    @property
    def command_output(self) -> IO[str] | Callable[[str], None] | None:
        """The destination of what a command prints; None: our own standard output and error."""
        return None

    def running(self) -> AbstractContextManager[Any]:
        """Return a block in which the output is shown."""
        return nullcontext()

    def show(self, event: str, batch_id: str | None, /, **fields: Any) -> None:
        """Print a line for an event."""
        subject = "" if batch_id is None else f"{printable(batch_id)} "
        if event == "transition":
            when = "no timestamp" if fields["at"] is None else format_time(fields["at"])
            # Counts belong to the status that the snapshot has, not to those that were passed before it.
            progress = _progress(fields["snapshot"]) if fields["evidence"] == "observed" else ""
            print(f"{when:<19}  {subject}{printable(fields['target'])}{progress}", flush=True)
        elif event == "status":
            hint = f"  ({printable(fields['hint'])})" if fields["hint"] else ""
            print(f"{format_time(fields['observed_at'])}  {subject}{printable(fields['status'])}{hint}", flush=True)
        elif event == "outcome":
            for line in fields["lines"]:
                print(f"{self._indent}{subject}{line}", flush=True)
        elif event == "end":
            print(self._summary.words() + (f" ({fields['reason']})" if fields["reason"] else ""), flush=True)
        elif event == "finding":
            self._warn(f"{fields['severity']} {fields['rule']} {printable(fields['message'])}")
        else:
            self._warn(f"{subject}{event}: {printable(str(fields['reason']))}")

    def _warn(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class JsonOutput(TextOutput):
    """One JSON object a line."""

    @property
    def command_output(self) -> IO[str]:
        """Standard error: standard output is for JSON alone."""
        return sys.stderr

    def show(self, event: str, batch_id: str | None, /, **fields: Any) -> None:
        """Print an object; the outcome of a batch is in the snapshot of its last transition."""
        if event != "outcome":
            print(json.dumps({"type": event, "batch_id": batch_id} | fields), flush=True)


class LiveOutput(TextOutput):
    """A view that is drawn twice a second; events without a place in it are lines above it."""

    _indent = ""
    _ABOVE = frozenset({"stalled", "waiting", "failed", "outcome", "finding", "list"})

    def __init__(self, summary: WatchSummary, console: Console, dashboard: Dashboard) -> None:
        super().__init__(summary)
        self._live = Live(console=console, get_renderable=lambda: dashboard, refresh_per_second=2)

    @property
    def command_output(self) -> Callable[[str], None]:
        """Prints a line of a command above the view, in its own colours."""
        return lambda line: self._live.console.print(Text.from_ansi(line), soft_wrap=True)

    def running(self) -> AbstractContextManager[Any]:
        """Return a block in which the view is drawn."""
        return self._live

    def show(self, event: str, batch_id: str | None, /, **fields: Any) -> None:
        """Print a line above the view if the view has no place for the event."""
        if event in self._ABOVE:
            super().show(event, batch_id, **fields)
        elif event == "end" and fields["reason"]:
            print(fields["reason"], flush=True)


def output_for(monitor: Monitor, summary: WatchSummary, clock: Callable[[], float], *, as_json: bool) -> TextOutput:
    """Return the live view for a terminal, plain lines elsewhere, JSON if it is asked for."""
    if as_json:
        return JsonOutput(summary)
    console = Console(highlight=False)
    if not sys.stdout.isatty() or console.is_dumb_terminal:
        return TextOutput(summary)
    return LiveOutput(summary, console, Dashboard(monitor, summary, clock))


def _progress(snapshot: Any) -> str:
    counts = (snapshot or {}).get("request_counts") or {}
    total, completed, failed = (counts.get(name) or 0 for name in ("total", "completed", "failed"))
    return f"  {completed:,} ok  {failed:,} failed  of {total:,}" if total else ""
