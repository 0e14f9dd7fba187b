"""The live view of a watch: a line a batch, as many as the terminal has room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import attrs
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from batchfsm.explain import printable, span
from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.monitor import Monitor
from batchfsm.snapshot import Snapshot

WIDE: Final = 120
"""From so many columns on, ids are shown whole and bars are long."""

GONE: Final = "gone"
REFUSED: Final = "refused"
"""What stands in the place of a status where a batch could not be watched."""

_DAY_S: Final = 86_400
_HEAD: Final = 4  # The summary, the names of the columns, what is not shown, what went wrong.
_STYLES: Final = {
    "completed": "green",
    "failed": "red",
    "expired": "red",
    "cancelled": "yellow",
    "cancelling": "yellow",
}
_GLYPHS: Final = {False: "█▒·", True: "#x."}
"""Completed, failed and left; colour alone would not be seen by all."""


@attrs.define(eq=False)
class Tally:
    """What a watch has come to so far."""

    statuses: dict[str, str | None]
    """The status of each batch, the one that changed last at the end; None before it was seen."""
    troubles: dict[str, str] = attrs.field(factory=dict)
    """What went wrong last with a batch, until it was well again."""
    dropped: set[str | None] = attrs.field(factory=set)
    """Batches that were gone or refused; None: the list."""

    def enter(self, batch_id: str, status: str) -> None:
        """Note that a batch has entered a status."""
        self.statuses.pop(batch_id, None)
        self.statuses[batch_id] = status

    def words(self) -> str:
        """Return how many batches there are, by status."""
        counts = Counter(status or "not seen yet" for status in [*self.statuses.values()])
        parts = ", ".join(f"{count:,} {printable(status)}" for status, count in counts.most_common())
        number = len(self.statuses)
        return f"{number:,} batch{'' if number == 1 else 'es'}" + (f": {parts}" if parts else "")


class Board:
    """Renders a tally at whatever size the terminal has at the moment."""

    def __init__(self, monitor: Monitor, tally: Tally, final: frozenset[str]) -> None:
        """Hold what is shown; `now` is set before each rendering."""
        self._monitor, self._tally, self._final = monitor, tally, final | {GONE, REFUSED}
        self.now = 0.0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines; never more than fit."""
        statuses = [*self._tally.statuses.items()]
        # Those that move come first, those that have ended last.
        order = sorted(statuses[::-1], key=lambda each: each[1] in self._final)
        room = max((options.height or console.height) - _HEAD - 1, 1)
        shown, rest = order[:room], order[room:]
        is_wide = options.max_width >= WIDE
        yield Text(self._tally.words(), overflow="ellipsis", no_wrap=True)
        if shown:
            table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
            for name in ("batch", "status", "", "done", "elapsed", "rate", "by (UTC)", "seen"):
                table.add_column(name, justify="left" if name in ("batch", "status", "") else "right", no_wrap=True)
            glyphs = _GLYPHS[options.ascii_only]
            for batch_id, status in shown:
                table.add_row(*self._row(batch_id, status, glyphs, is_wide=is_wide))
            yield table
        if rest:
            left = Counter(status or "not seen yet" for _, status in rest)
            words = ", ".join(f"{count:,} {printable(status)}" for status, count in left.most_common())
            yield Text(f"and {len(rest):,} more: {words}", style="dim", overflow="ellipsis", no_wrap=True)
        if troubles := [*self._tally.troubles.items()]:
            who, what = troubles[-1]
            more = f" (and {len(troubles) - 1:,} more in trouble)" if len(troubles) > 1 else ""
            yield Text(f"{printable(who)}: {printable(what)}{more}", style="yellow", overflow="ellipsis", no_wrap=True)

    def _row(self, batch_id: str, status: str | None, glyphs: str, *, is_wide: bool) -> list[Text | str]:
        name = printable(batch_id)
        if not is_wide:
            name = name if len(name) <= 15 else f"{name[:10]}…{name[-4:]}"  # noqa: PLR2004  # What 80 columns leave.
        snapshot = self._monitor[batch_id].snapshot if batch_id in self._monitor else None
        if snapshot is None:
            return [name, Text(printable(status or "-"), style="dim"), "", "", "", "", "", ""]
        is_over = status in self._final
        until = _ended_at(snapshot) or self.now if is_over else self.now
        elapsed = "" if snapshot.created_at is None else span(int(until - snapshot.created_at))
        seen_at = snapshot.observed_at
        return [
            name,
            Text(printable(status or "-")[:14], style=_STYLES.get(status or "", "")),
            _bar(snapshot, glyphs, 40 if is_wide else 10),
            _done(snapshot),
            elapsed,
            _rate(snapshot, until),
            "" if is_over else _by(snapshot.expires_at, self.now),
            "" if is_over or seen_at is None else span(int(self.now - seen_at)),
        ]


def _counts(snapshot: Snapshot) -> tuple[int, int, int]:
    counts = snapshot.request_counts
    if counts is None:
        return 0, 0, 0
    return max(counts.completed or 0, 0), max(counts.failed or 0, 0), max(counts.total or 0, 0)


def _bar(snapshot: Snapshot, glyphs: str, columns: int) -> Text:
    """Return how far it is: completed, failed (in red, and in another glyph), left."""
    completed, failed, total = _counts(snapshot)
    if not total:
        return Text(glyphs[2] * columns, style="dim")
    done = min(columns, (completed + failed) * columns // total)
    bad = min(done, max(1, round(failed * columns / total)) if failed and done else 0)
    return Text.assemble(
        (glyphs[0] * (done - bad), "green"), (glyphs[1] * bad, "red"), (glyphs[2] * (columns - done), "dim")
    )


def _done(snapshot: Snapshot) -> Text:
    completed, failed, total = _counts(snapshot)
    parts: Mapping[str, str] = {
        f"{completed + failed}/{total}" if total else "": "",
        f" {failed}✗" if failed else "": "red",
    }
    return Text.assemble(*parts.items())


def _rate(snapshot: Snapshot, until: float) -> str:
    """Return requests a second, minute or hour since it began to run; the largest number below a thousand."""
    completed, failed, _ = _counts(snapshot)
    begun_at = snapshot.in_progress_at
    if not completed + failed or begun_at is None or until <= begun_at:
        return ""
    a_second = (completed + failed) / (until - begun_at)
    for unit, seconds in (("s", 1), ("min", 60)):
        if a_second * seconds >= 1:
            return f"{a_second * seconds:.0f}/{unit}"
    return f"{a_second * 3600:.0f}/h"


def _by(deadline: int | None, now: float) -> str:
    """Return when it ends at the latest: the time if that is within a day, else the date."""
    if deadline is None:
        return ""
    if deadline < now:
        return "overdue"
    try:
        then = datetime.fromtimestamp(deadline, UTC)
    except (ValueError, OverflowError):
        return ""
    return f"{then:%H:%M}" if deadline - now < _DAY_S else f"{then:%d %b}"


def _ended_at(snapshot: Snapshot) -> float | None:
    return max((at for name in STAMP_FIELDS if (at := getattr(snapshot, name)) is not None), default=None)
