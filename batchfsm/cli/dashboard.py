"""The live view of a watch: one line per batch, as many as the terminal has room for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal

import attrs
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from batchfsm.cli.watch_summary import GONE, REFUSED, WatchSummary, by_status
from batchfsm.escapes import printable
from batchfsm.explain import span
from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.monitor import Monitor
from batchfsm.snapshot import Snapshot

WIDE: Final = 120
"""Minimum width, in columns, for whole ids and long bars."""

NARROW: Final = 78
"""Minimum width, in columns, for all columns of the table."""

_LEFT: Final = ("batch", "status", "bar")
_COLUMNS: Final = (*_LEFT, "done", "failed", "elapsed", "rate", "expires", "polled")
_FEW: Final = ("batch", "status", "done", "failed", "polled")
_NAME: Final = 13
_STATUS: Final = 14

_DAY_S: Final = 86_400
_AROUND: Final = 6  # Lines beside the batches: summary, header, hidden batches, findings, problem, cursor.
_STYLES: Final = {
    "completed": "green",
    "failed": "red",
    "expired": "red",
    "cancelled": "yellow",
    "cancelling": "yellow",
    GONE: "red",
    REFUSED: "red",
}


@attrs.frozen
class _Glyphs:
    """Signs for completed, failed and open requests; they differ in shape, for readers who see no colours."""

    completed: str
    failed: str
    open: str
    cut: str


_UNICODE, _ASCII = _Glyphs("█", "▒", "·", "…"), _Glyphs("#", "x", ".", "~")


class Dashboard:
    """Renders the state of a watch at the present size of the terminal."""

    def __init__(self, monitor: Monitor, summary: WatchSummary, clock: Callable[[], float]) -> None:
        self._monitor, self._summary, self._clock = monitor, summary, clock
        self._final = monitor.dialect.lifecycle.terminal | {GONE, REFUSED}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines, no more than fit."""
        now = self._clock()
        room = max((options.height or console.height) - _AROUND, 1)
        order = self._order(room)
        shown, rest = order[:room], order[room:]
        yield _line(self._summary.words(with_findings=False))
        if shown:
            columns = _COLUMNS if options.max_width >= NARROW else _FEW
            table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
            for name in columns:
                justify: Literal["left", "right"] = "left" if name in _LEFT else "right"
                head, width = ("", None) if name == "bar" else (name, _STATUS if name == "status" else None)
                table.add_column(head, justify=justify, no_wrap=True, max_width=width)
            for batch_id in shown:
                cells = self._cells(batch_id, now, options)
                table.add_row(*(cells.get(name, "") for name in columns))
            yield table
        if rest:
            yield _line(f"and {len(rest):,} more: {by_status(map(self._summary.statuses.get, rest))}", "dim")
        if findings := self._summary.finding_words():
            yield _line(findings, "dim")
        if problems := [*self._summary.problems.items()]:
            subject, problem = problems[-1]
            more = f" (and {len(problems) - 1:,} more with problems)" if len(problems) > 1 else ""
            yield _line(f"{printable(subject)}: {printable(str(problem))}{more}", "yellow")

    def _order(self, room: int) -> list[str]:
        """Return the ids: in place if all fit, else the last moved first and the ended ones last."""
        statuses = dict(self._summary.statuses)  # A copy: the view is drawn in another thread.
        if len(statuses) <= room:
            return [*statuses]
        order = dict.fromkeys([*reversed(self._summary.changed), *statuses])
        return sorted(order, key=lambda batch_id: statuses.get(batch_id) in self._final)

    def _cells(self, batch_id: str, now: float, options: ConsoleOptions) -> dict[str, Text | str]:
        glyphs, is_wide = _ASCII if options.ascii_only else _UNICODE, options.max_width >= WIDE
        name, status = printable(batch_id), self._summary.statuses[batch_id]
        if not is_wide and len(name) > _NAME:
            half = _NAME // 2
            name = name[: _NAME - 1 - half] + glyphs.cut + name[-half:]
        shown = Text(printable(status or "-"), style=_STYLES.get(status or "", ""))
        snapshot = self._monitor[batch_id].snapshot if batch_id in self._monitor else None
        if snapshot is None:
            return {"batch": name, "status": shown}
        seen_at = snapshot.observed_at
        now = now if seen_at is None else max(now, seen_at)  # A server's clock that is ahead dates the observations.
        is_over = status in self._final
        until = _ended_at(snapshot) or now if is_over else now
        completed, failed, total = _counts(snapshot)
        return {
            "batch": name,
            "status": shown,
            "bar": _bar(snapshot, glyphs, 40 if is_wide else 6),
            "done": f"{completed + failed}/{total}" if total else "",
            "failed": Text(str(failed) if failed else "", style="red"),
            "elapsed": "" if snapshot.created_at is None else span(int(until - snapshot.created_at)),
            "rate": "" if is_over else _rate(snapshot, until),
            "expires": "" if is_over else _expires(snapshot, now),
            "polled": "" if is_over or seen_at is None else " ".join(span(int(now - seen_at)).split()[:2]),
        }


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, overflow="ellipsis", no_wrap=True)


def _counts(snapshot: Snapshot) -> tuple[int, int, int]:
    counts = snapshot.request_counts
    if counts is None:
        return 0, 0, 0
    return max(counts.completed or 0, 0), max(counts.failed or 0, 0), max(counts.total or 0, 0)


def _bar(snapshot: Snapshot, glyphs: _Glyphs, columns: int) -> Text:
    """Return a bar of the completed, failed (at least one column, if any) and open requests."""
    completed, failed, total = _counts(snapshot)
    done = min(columns, (completed + failed) * columns // total) if total else 0
    bad = min(done, max(1, round(failed * columns / total))) if failed and total else 0
    return Text.assemble(
        (glyphs.completed * (done - bad), "green"),
        (glyphs.failed * bad, "red"),
        (glyphs.open * (columns - done), "dim"),
    )


def _requests_per_second(snapshot: Snapshot, until: float) -> float:
    """Return the requests per second since the batch began to run; 0 if unknown."""
    completed, failed, _ = _counts(snapshot)
    begun_at = snapshot.in_progress_at
    return 0.0 if begun_at is None or until <= begun_at else (completed + failed) / (until - begun_at)


def _rate(snapshot: Snapshot, until: float) -> str:
    """Return the requests per second, minute or hour: the first of these rates that is at least 1."""
    per_second = _requests_per_second(snapshot, until)
    if not per_second:
        return ""
    for unit, seconds in (("s", 1), ("min", 60)):
        if per_second * seconds >= 1:
            return f"{per_second * seconds:.0f}/{unit}"
    return f"{per_second * 3600:.0f}/h"


def _expires(snapshot: Snapshot, now: float) -> Text:
    """Return the deadline, UTC: the time if it is within a day, else the date; `!` if the batch is too slow for it."""
    deadline = snapshot.expires_at
    if deadline is None:
        return Text()
    if deadline < now:
        return Text("overdue", style="red")
    then = datetime.fromtimestamp(deadline, UTC)
    completed, failed, total = _counts(snapshot)
    per_second = _requests_per_second(snapshot, now)
    is_slow = per_second > 0 and now + (total - completed - failed) / per_second > deadline
    when = f"{then:%H:%M}" if deadline - now < _DAY_S else f"{then:%d %b}"
    return Text(f"{when}!", style="yellow") if is_slow else Text(when)


def _ended_at(snapshot: Snapshot) -> float | None:
    return max((at for name in STAMP_FIELDS if (at := getattr(snapshot, name)) is not None), default=None)
