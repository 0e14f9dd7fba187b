"""The ways to show a watch: a live view, plain lines, JSON lines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live

from batchfsm.cli.board import Board, Tally
from batchfsm.explain import clock, printable
from batchfsm.monitor import Monitor


class Screen:
    """Plain lines, for logs and pipes."""

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, *_: object) -> None:
        """Nothing to clear up."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def show(self, event: str, batch_id: str | None, **fields: Any) -> None:
        """Print a line; trouble goes to standard error."""
        who = "" if batch_id is None else f"{printable(batch_id)} "
        if event == "transition":
            when = "--:--:--" if fields["at"] is None else clock(fields["at"])
            print(f"{when}  {who}{printable(fields['target'])}{_progress(fields['snapshot'])}", flush=True)
        elif event == "end":
            print(self._tally.words(), flush=True)
        elif event == "finding":
            print(f"{who}{fields['severity']}: {fields['rule']} {fields['name']}", file=sys.stderr, flush=True)
        else:
            print(f"{who}{event}: {printable(str(fields['reason']))}", file=sys.stderr, flush=True)

    @contextmanager
    def paused(self) -> Iterator[Any]:
        """Let a command print beside us."""
        yield None


class _JsonLines(Screen):
    """One JSON object a line."""

    def show(self, event: str, batch_id: str | None, **fields: Any) -> None:
        """Print an object."""
        print(json.dumps({"type": event, "batch_id": batch_id} | fields), flush=True)

    @contextmanager
    def paused(self) -> Iterator[Any]:
        """Have a command print to standard error: ours is for JSON alone."""
        yield sys.stderr


class _Terminal(Screen):
    """A view that is drawn again twice a second."""

    def __init__(self, console: Console, board: Board, tally: Tally) -> None:
        super().__init__(tally)

        def drawn() -> Board:
            board.now = time.time()
            return board

        self._live = Live(console=console, get_renderable=drawn, refresh_per_second=2)

    def __enter__(self) -> None:
        """Begin to draw."""
        self._live.start()

    def __exit__(self, *_: object) -> None:
        """Draw for the last time."""
        self._live.stop()

    def show(self, event: str, batch_id: str | None, **fields: Any) -> None:
        """Print above the view what is not in it."""
        if event not in ("transition", "trouble", "stalled", "end"):
            super().show(event, batch_id, **fields)
        self._live.refresh()

    @contextmanager
    def paused(self) -> Iterator[Any]:
        """Stop drawing while a command has the terminal."""
        self._live.stop()
        try:
            yield None
        finally:
            self._live.start()


def screen_of(monitor: Monitor, tally: Tally, final: frozenset[str], *, as_json: bool) -> Screen:
    """Return the live view on a terminal, plain lines elsewhere, JSON where asked for."""
    if as_json:
        return _JsonLines(tally)
    console = Console(highlight=False)
    return _Terminal(console, Board(monitor, tally, final), tally) if console.is_terminal else Screen(tally)


def _progress(snapshot: Any) -> str:
    counts = (snapshot or {}).get("request_counts") or {}
    total, completed, failed = (counts.get(name) or 0 for name in ("total", "completed", "failed"))
    return f"  {completed:,} ok  {failed:,} failed  of {total:,}" if total else ""
