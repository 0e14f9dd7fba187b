"""Rules and histories in plain text, for people at a terminal; and what pictures of histories are drawn from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from textwrap import fill
from typing import Final

import attrs

from batchfsm.diagram import StepCount
from batchfsm.dialects import DIALECTS, Dialect
from batchfsm.history import BatchRecord, BatchTimeline, Fold
from batchfsm.logs import Record, UnreadableEntry
from batchfsm.route import Transition
from batchfsm.rules import HEALTHY, RULES, Rule
from batchfsm.snapshot import Snapshot
from batchfsm.wire import reader

WIDTH: Final = 80
"""How many columns a text takes, by default."""

_BAR: Final = 31
_SPAN: Final = 12
_DAYS_LONG: Final = 1000
_UNSAID: Final = re.compile(r"[^\w .-]", re.ASCII)
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    r"""
    Return a text that no terminal acts on: controls, escapes and reading directions spelled out.

    >>> printable("batch_\x1b[2J")
    'batch_\\x1b[2J'
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def rule_page(rule: Rule, *, width: int = WIDTH) -> str:
    """Return what a rule means, why, an example, and what to do; as text."""

    def part(timeline_title: str, text: str) -> str:
        # Of an id such as file-abc123, both halves stay together.
        first = f"  {timeline_title:<12}"
        return fill(text, width, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False)

    return "\n".join(
        [
            f"{rule.code} {rule.name} ({rule.severity})",
            "",
            part("breach", rule.means),
            part("evidence", rule.evidence),
            part("example", example(rule)),
            part("what to do", rule.remedy),
            "",
        ]
    )


def example(rule: Rule) -> str:
    """Return the message of a rule's own example, judged here and now."""
    fold, track = Fold(DIALECTS["openai"]), BatchRecord()
    findings = []
    for changes in rule.example:
        wire = {**HEALTHY, **changes}
        snapshot = reader(DIALECTS["openai"]).read_bare(wire, wire.pop("observed_at", None))
        findings = fold.fold(track, snapshot).findings
    return next(finding.message for finding in findings if finding.rule == rule.code)


def rule_list() -> str:
    """Return all rules, one line each."""
    return "".join(f"{rule.code}  {rule.severity:<7}  {rule.name}\n" for rule in RULES.values())


def timelines_by_batch(
    log: Iterable[Record | UnreadableEntry], dialect: Dialect, batch_id: str | None = None
) -> Iterator[BatchTimeline]:
    """
    Gather a log by batch.

    Args:
        log: Its rows; what could not be read is passed over, for an audit names it.
        dialect: Whose lifecycle it is.
        batch_id: The one batch that is meant; None for all.

    Yields:
        A life for each batch, in order of first sight.
    """
    fold = Fold(dialect)
    found: dict[str, tuple[BatchRecord, list[Transition], set[str], list[Snapshot]]] = {}
    for row in log:
        if isinstance(row, UnreadableEntry) or not row.snapshot.is_named or batch_id not in (None, row.snapshot.id):
            continue
        track, transitions, seen, last = found.setdefault(row.snapshot.id, (BatchRecord(), [], set(), []))
        folded = fold.fold(track, row.snapshot)
        transitions += [attrs.evolve(transition, snapshot=None) for transition in folded.transitions]
        seen.add(row.snapshot.status)
        if folded.move != "stale":
            last[:] = [row.snapshot]
    for each, (_, transitions, seen, last) in found.items():
        yield BatchTimeline(each, tuple(transitions), frozenset(seen), last[0])


@attrs.frozen
class Bar:
    """The stay of a batch in one status."""

    status: str
    at: int | None
    """When it entered, by its stamp; Unix seconds. None if the server gave none."""
    end: int | None
    """When it left, or was last seen there; Unix seconds. Before `at` where stamps contradict each other; None
    without a stamp."""
    terminal: bool
    """True if nothing follows; then it has no duration."""
    seen: bool
    """False if no snapshot had the status: its stamp, or the way, proves it."""


def bars(life: BatchTimeline) -> list[Bar]:
    """
    Return what a batch entered, in order.

    A status without a stamp has no time, and the one before it none of its own end.
    """
    stamped = [transition for transition in life.transitions if transition.at is not None]
    ends = [transition.at for transition in stamped[1:]]
    if stamped:
        last_at = stamped[-1].at or 0
        ends.append(last_at if stamped[-1].terminal else max(last_at, int(life.last.observed_at or 0)))
    end_of = {id(transition): end for transition, end in zip(stamped, ends, strict=True)}
    return [
        Bar(each.target, each.at, end_of.get(id(each)), each.terminal, each.target in life.seen)
        for each in life.transitions
    ]


def timeline(life: BatchTimeline) -> str:
    """
    Draw a life: a bar for each status, with its duration; `*` where only a stamp, or the way, proves it.

    Times are UTC. A status without a stamp has no bar, and the one before it none of its own end.
    """
    drawn = bars(life)
    times = [time for bar in drawn for time in (bar.at, bar.end) if time is not None]
    if not times:
        return "\n".join([*_head(life, ""), "  no status of the lifecycle has a stamp", ""])
    begun, whole = min(times), max(times)  # Where stamps are out of order, the first may be the last.
    lines = _head(life, span(whole - begun))
    for each in drawn:
        when, bar, lasted = "no stamp", "", ""
        if each.at is not None and each.end is not None:
            when, lasted = clock(each.at), "" if each.terminal else span(each.end - each.at)
            bar = _bar(each.at - begun, each.end - begun, whole - begun, terminal=each.terminal)
        mark = "" if each.seen else " *"
        lines.append(f"  {each.status:<12} {when:<19} {bar:<{_BAR}} {lasted:>10}{mark}".rstrip())
    return "\n".join(lines) + "\n"


def gantt(drawn: Iterable[BatchTimeline]) -> str:
    """Draw lives as a Mermaid Gantt chart: a section for each batch, a task for each status with a stamp."""
    lines = ["gantt", "    dateFormat X", "    axisFormat %Y-%m-%d %H:%M:%S"]
    for life in drawn:
        # What Mermaid would act on is an underscore here: an id is no place for colons and markup.
        lines.append(f"    section {_UNSAID.sub('_', _cut(life.batch_id, 40)) or '_'}")
        for bar in bars(life):
            if bar.at is not None and bar.end is not None:
                tag = ("milestone, " if bar.terminal else "") + ("" if bar.seen else "done, ")
                lines.append(f"    {bar.status} :{tag}{bar.at}, {max(bar.at, bar.end)}")
    return "\n".join(lines) + "\n"


def count_steps(drawn: Iterable[BatchTimeline]) -> list[StepCount]:
    """Return how many batches took each step, and each way that nothing proves, in order of first sight."""
    ways = ((each.source, each.target, each.event) for life in drawn for each in life.transitions)
    return [
        StepCount(source, target, times, "step" if event is not None else "gap")
        for (source, target, event), times in Counter(ways).items()
    ]


def clock(at: float) -> str:
    """Return Unix seconds as date and time of day, UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def span(seconds: int) -> str:
    """Return a duration in its two largest units."""
    minutes, second = divmod(max(seconds, 0), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour:02} h" if days < _DAYS_LONG else f"{days} d"
    if hours:
        return f"{hours} h {minute:02} m"
    return f"{minutes} m {second:02} s" if minutes else f"{second} s"


def timeline_title(life: BatchTimeline) -> str:
    """Return who a batch is, in which status, and how far; safe for a terminal."""
    counts = _counts(life.last).strip().replace("  ", ", ")
    parts = (_cut(printable(life.batch_id), 40), _cut(printable(str(life.last.status)), 20), counts)
    return " · ".join(filter(None, parts))


def _head(life: BatchTimeline, span: str) -> list[str]:
    """Return who, what, how far and how long, on two lines where one is too short."""
    who = f"{_cut(printable(life.batch_id), 40)}  {_cut(printable(str(life.last.status)), 20)}"
    counts, room = _counts(life.last), WIDTH - _SPAN - 1
    if len(who + counts) <= room:
        return [f"{who + counts:<{room}} {span:>{_SPAN}}".rstrip()]
    return [f"{who:<{room}} {span:>{_SPAN}}".rstrip(), _cut(counts, WIDTH)]


def _cut(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else f"{text[: chars_max - 3]}..."


def _bar(start_s: int, end_s: int, whole_s: int, *, terminal: bool) -> str:
    """Return a bar on a line of `_BAR` columns; an end is a point."""
    scale = (_BAR - 1) / max(whole_s, 1)
    start = round(start_s * scale)
    return " " * start + ("|" if terminal else "#" * max(1, round(end_s * scale) - start))


def _counts(snapshot: Snapshot) -> str:
    counts = snapshot.request_counts
    if counts is None or None in (counts.total, counts.completed, counts.failed):
        return ""
    return f"  {counts.completed:,} ok  {counts.failed:,} failed  of {counts.total:,}"
