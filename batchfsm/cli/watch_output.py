"""The ways to show a watch: a live view, plain lines, JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import IO, Any

from rich.console import Console
from rich.live import Live

from batchfsm.cli.dashboard import Dashboard
from batchfsm.cli.watch_summary import WatchSummary
from batchfsm.escapes import printable
from batchfsm.explain import clock as dated
from batchfsm.monitor import Monitor


class TextOutput:
    """Plain lines, for logs and pipes: what happens to standard output, trouble to standard error."""

    def __init__(self, tally: WatchSummary) -> None:
        """Hold what is shown."""
        self._tally = tally

    def shown(self) -> AbstractContextManager[Any]:
        """Show until this is left."""
        return nullcontext()

    def paused(self) -> AbstractContextManager[IO[str] | None]:
        """Let a command print beside us; to what is returned, if anything is."""
        return nullcontext()

    def show(self, event: str, batch_id: str | None, /, **fields: Any) -> None:
        """Print a line."""
        who = "" if batch_id is None else f"{printable(batch_id)} "
        if event == "transition":
            when = "no stamp" if fields["at"] is None else dated(fields["at"])
            print(f"{when:<19}  {who}{printable(fields['target'])}{_progress(fields['snapshot'])}", flush=True)
        elif event == "end":
            print(self._tally.words(), flush=True)
        elif event == "finding":
            self._warn(f"{who}{fields['severity']}: {fields['rule']} {fields['name']}")
        else:
            self._warn(f"{who}{event}: {printable(str(fields['reason']))}")

    def _warn(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class JsonOutput(TextOutput):
    """One JSON object a line."""

    def show(self, event: str, batch_id: str | None, /, **fields: Any) -> None:
        """Print an object."""
        print(json.dumps({"type": event, "batch_id": batch_id} | fields), flush=True)

    def paused(self) -> AbstractContextManager[IO[str] | None]:
        """Have a command print to standard error: ours is for JSON alone."""
        return nullcontext(sys.stderr)


class LiveOutput(TextOutput):
    """A view that is drawn again twice a second; above it, lines for what it has no place for."""

    _ABOVE = frozenset({"stalled", "failed"})

    def __init__(self, tally: WatchSummary, console: Console, board: Dashboard) -> None:
        """Draw nothing yet."""
        super().__init__(tally)
        self._live = Live(console=console, get_renderable=lambda: board, refresh_per_second=2)

    def shown(self) -> AbstractContextManager[Any]:
        """Draw until this is left."""
        return self._live

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop drawing while a command has the terminal."""
        self._live.stop()
        try:
            yield None
        finally:
            self._live.start()

    def show(self, event: str, batch_id: str | None, /, **fields: Any) -> None:
        """Print a line above the view, if the view does not show it."""
        if event in self._ABOVE:
            super().show(event, batch_id, **fields)


def screen_of(monitor: Monitor, tally: WatchSummary, clock: Callable[[], float], *, as_json: bool) -> TextOutput:
    """Return the live view on a terminal, plain lines elsewhere, JSON where asked for."""
    if as_json:
        return JsonOutput(tally)
    console = Console(highlight=False)
    if not sys.stdout.isatty() or console.is_dumb_terminal:
        return TextOutput(tally)
    return LiveOutput(tally, console, Dashboard(monitor, tally, clock))


def _progress(snapshot: Any) -> str:
    counts = (snapshot or {}).get("request_counts") or {}
    total, completed, failed = (counts.get(name) or 0 for name in ("total", "completed", "failed"))
    return f"  {completed:,} ok  {failed:,} failed  of {total:,}" if total else ""
