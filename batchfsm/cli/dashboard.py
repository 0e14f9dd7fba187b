"""The live view of a watch: a line a batch, as many as the terminal has room for."""

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
"""From so many columns on, ids are shown whole and bars are long."""

NARROW: Final = 78
"""Below so many columns, only the most needed are shown."""

_LEFT: Final = ("batch", "status", "bar")
_COLUMNS: Final = (*_LEFT, "done", "failed", "elapsed", "rate", "by UTC", "seen")
_FEW: Final = ("batch", "status", "done", "failed", "seen")
_NAME: Final = 9
_STATUS: Final = 14

_DAY_S: Final = 86_400
_AROUND: Final = 5  # The summary, the names of the columns, what is not shown, what went wrong, the cursor.
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
    """Completed, failed and left differ in shape, too: colour alone would not be seen by all."""

    completed: str
    failed: str
    left: str
    cut: str


_UNICODE, _ASCII = _Glyphs("█", "▒", "·", "…"), _Glyphs("#", "x", ".", "~")


class Dashboard:
    """Renders a tally at whatever size the terminal has at the moment."""

    def __init__(self, monitor: Monitor, tally: WatchSummary, clock: Callable[[], float]) -> None:
        """
        Hold what is shown.

        Args:
            monitor: What knows the batches.
            tally: What the watch has come to.
            clock: Returns Unix seconds.
        """
        self._monitor, self._tally, self._clock = monitor, tally, clock
        self._final = monitor.dialect.lifecycle.terminal | {GONE, REFUSED}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines; never more than fit."""
        now = self._clock()
        room = max((options.height or console.height) - _AROUND, 1)
        order = self._order(room)
        shown, rest = order[:room], order[room:]
        yield _line(self._tally.words())
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
            yield _line(f"and {len(rest):,} more: {by_status(map(self._tally.statuses.get, rest))}", "dim")
        if troubles := [*self._tally.troubles.items()]:
            who, what = troubles[-1]
            more = f" (and {len(troubles) - 1:,} more in trouble)" if len(troubles) > 1 else ""
            yield _line(f"{printable(who)}: {printable(what)}{more}", "yellow")

    def _order(self, room: int) -> list[str]:
        """Return ids: in place if all fit, else what moved last first, what has ended last."""
        statuses = dict(self._tally.statuses)  # A copy: it is drawn in a thread of its own.
        if len(statuses) <= room:
            return [*statuses]
        order = dict.fromkeys([*reversed(self._tally.changed), *statuses])
        return sorted(order, key=lambda batch_id: statuses.get(batch_id) in self._final)

    def _cells(self, batch_id: str, now: float, options: ConsoleOptions) -> dict[str, Text | str]:
        glyphs, is_wide = _ASCII if options.ascii_only else _UNICODE, options.max_width >= WIDE
        name, status = printable(batch_id), self._tally.statuses[batch_id]
        if not is_wide and len(name) > _NAME:
            name = glyphs.cut + name[1 - _NAME :]  # Ids differ at their ends.
        shown = Text(printable(status or "-"), style=_STYLES.get(status or "", ""))
        snapshot = self._monitor[batch_id].snapshot if batch_id in self._monitor else None
        if snapshot is None:
            return {"batch": name, "status": shown}
        is_over = status in self._final
        until = _ended_at(snapshot) or now if is_over else now
        completed, failed, total = _counts(snapshot)
        seen_at = snapshot.observed_at
        return {
            "batch": name,
            "status": shown,
            "bar": _bar(snapshot, glyphs, 40 if is_wide else 6),
            "done": f"{completed + failed}/{total}" if total else "",
            "failed": Text(str(failed) if failed else "", style="red"),
            "elapsed": "" if snapshot.created_at is None else span(int(until - snapshot.created_at)),
            "rate": _rate(snapshot, until),
            "by UTC": "" if is_over else _by(snapshot, now),
            "seen": "" if is_over or seen_at is None else " ".join(span(int(now - seen_at)).split()[:2]),
        }


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, overflow="ellipsis", no_wrap=True)


def _counts(snapshot: Snapshot) -> tuple[int, int, int]:
    counts = snapshot.request_counts
    if counts is None:
        return 0, 0, 0
    return max(counts.completed or 0, 0), max(counts.failed or 0, 0), max(counts.total or 0, 0)


def _bar(snapshot: Snapshot, glyphs: _Glyphs, columns: int) -> Text:
    """Return how far it is: completed, failed (at least one column, if any), left."""
    completed, failed, total = _counts(snapshot)
    done = min(columns, (completed + failed) * columns // total) if total else 0
    bad = min(done, max(1, round(failed * columns / total))) if failed and total else 0
    return Text.assemble(
        (glyphs.completed * (done - bad), "green"),
        (glyphs.failed * bad, "red"),
        (glyphs.left * (columns - done), "dim"),
    )


def _a_second(snapshot: Snapshot, until: float) -> float:
    """Return how many requests a second were done since it began to run; 0 if nothing can be said."""
    completed, failed, _ = _counts(snapshot)
    begun_at = snapshot.in_progress_at
    return 0.0 if begun_at is None or until <= begun_at else (completed + failed) / (until - begun_at)


def _rate(snapshot: Snapshot, until: float) -> str:
    """Return requests a second, minute or hour: the first of them that is 1 at least."""
    a_second = _a_second(snapshot, until)
    if not a_second:
        return ""
    for unit, seconds in (("s", 1), ("min", 60)):
        if a_second * seconds >= 1:
            return f"{a_second * seconds:.0f}/{unit}"
    return f"{a_second * 3600:.0f}/h"


def _by(snapshot: Snapshot, now: float) -> Text:
    """Return when it ends at the latest: the time if that is within a day, else the date; `!` if it is too slow."""
    deadline = snapshot.expires_at
    if deadline is None:
        return Text()
    if deadline < now:
        return Text("overdue", style="red")
    then = datetime.fromtimestamp(deadline, UTC)
    completed, failed, total = _counts(snapshot)
    a_second = _a_second(snapshot, now)
    is_slow = a_second > 0 and now + (total - completed - failed) / a_second > deadline
    when = f"{then:%H:%M}" if deadline - now < _DAY_S else f"{then:%d %b}"
    return Text(f"{when}!", style="yellow") if is_slow else Text(when)


def _ended_at(snapshot: Snapshot) -> float | None:
    return max((at for name in STAMP_FIELDS if (at := getattr(snapshot, name)) is not None), default=None)
