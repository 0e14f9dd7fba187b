"""Rules and timelines in plain text, and the bars that pictures of timelines are drawn from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from textwrap import fill
from typing import Any, Final, Literal, Protocol, cast

import attrs

from batchfsm.diagram import StepCount
from batchfsm.dialects import DIALECTS, Dialect
from batchfsm.escapes import printable
from batchfsm.history import BatchRecord, BatchTimeline, Fold
from batchfsm.lifecycle import Severity
from batchfsm.logs import Record, UnreadableEntry
from batchfsm.route import Transition
from batchfsm.rules import HEALTHY, NamedRule, Rule
from batchfsm.snapshot import Snapshot
from batchfsm.topology import topology
from batchfsm.wire import reader

WIDTH: Final = 80
"""How many columns a text takes, by default."""

_BAR: Final = 31
_SPAN: Final = 12
_DAYS_LONG: Final = 1000
_UNSAID: Final = re.compile(r"[^\w .-]", re.ASCII)


class ExplainedRule(NamedRule, Protocol):
    """A rule of any catalog, with the texts of its page."""

    @property
    def severity(self) -> Severity | Literal["off"]:
        """The severity of a violation; `off` if only some dialects have the rule."""

    @property
    def description(self) -> str:
        """When the rule is violated, in one sentence."""

    @property
    def evidence(self) -> str:
        """Why the rule holds."""

    @property
    def remedy(self) -> str:
        """The action to take after a violation."""


def rule_page(rule: ExplainedRule, message: str, *, width: int = WIDTH) -> str:
    """
    Return the page of a rule as text: its meaning, evidence, an example and the remedy.

    Args:
        rule: The rule.
        message: The message of its example: for a rule about snapshots as `example` returns it.
        width: How many columns the text may take.
    """

    def part(label: str, text: str) -> str:
        # An id such as file-abc123 is not broken at its hyphen.
        first = f"  {label:<12}"
        return fill(text, width, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False)

    return "\n".join(
        [
            f"{rule.code} {rule.name} ({rule.severity})",
            "",
            part("breach", rule.description),
            part("evidence", rule.evidence),
            part("example", message),
            part("what to do", rule.remedy),
            "",
        ]
    )


def example(rule: Rule) -> str:
    """Return the message that a rule gives for its own example."""
    fold, record = Fold(_dialect_with(rule)), BatchRecord()
    findings = []
    for changes in rule.example:
        wire = {**HEALTHY, **changes}
        snapshot = reader(DIALECTS["openai"]).read_bare(wire, wire.pop("observed_at", None))
        findings = fold.apply(record, snapshot).findings
    return next(finding.message for finding in findings if finding.rule == rule.code)


def _dialect_with(rule: Rule) -> Dialect:
    """Return OpenAI's dialect, with a rule switched on that is off in it."""
    openai = DIALECTS["openai"]
    return openai if rule.severity != "off" else attrs.evolve(openai, severities={rule.code: "warning"})


def rule_list(rules: Iterable[ExplainedRule]) -> str:
    """Return rules, one line each."""
    return "".join(f"{rule.code}  {rule.severity:<7}  {rule.name}\n" for rule in rules)


def timelines_by_batch(
    log: Iterable[Record | UnreadableEntry], dialect: Dialect, batch_id: str | None = None
) -> Iterator[BatchTimeline]:
    """
    Yield the timeline of each batch of a log.

    Args:
        log: Its rows; entries that could not be read are skipped, for an audit names them.
        dialect: The dialect of the server that wrote the log.
        batch_id: The one batch to yield; None for all.

    Yields:
        One timeline for each batch, in order of first sight.
    """
    fold, stamp = Fold(dialect), topology(dialect.lifecycle).stamp
    found: dict[str, _TimelineBuilder] = {}
    for row in log:
        if isinstance(row, UnreadableEntry) or not row.snapshot.is_named or batch_id not in (None, row.snapshot.id):
            continue
        snapshot = row.snapshot
        gathered = found.setdefault(snapshot.id, _TimelineBuilder())
        folded = fold.apply(gathered.record, snapshot)
        folded_transitions = cast("list[Transition[Any]]", folded.transitions)
        gathered.transitions += [attrs.evolve(transition, snapshot=None) for transition in folded_transitions]
        gathered.seen.add(snapshot.status)
        if folded.move != "stale":
            gathered.last = snapshot
        if folded.is_illegal:
            entered_at = getattr(snapshot, stamp[snapshot.status] or "", None)
            gathered.add_return(entered_at, snapshot.observed_at)
    for each, gathered in found.items():
        yield gathered.timeline(each)


@attrs.define
class _TimelineBuilder:
    """The rows of one batch, folded."""

    record: BatchRecord = attrs.field(factory=BatchRecord)
    transitions: list[Transition[None]] = attrs.field(factory=list)
    seen: set[str] = attrs.field(factory=set)
    last: Snapshot | None = None
    returned_at: dict[int, int | None] = attrs.field(factory=dict)

    def add_return(self, stamp: int | None, observed_at: float | None) -> None:
        """Date a return: by its stamp, if that is a new one, else by the observation."""
        before = max((each.at for each in self.transitions if each.at is not None), default=0)
        is_new = stamp is not None and stamp >= before
        at = stamp if is_new else None if observed_at is None else max(before, int(observed_at))
        self.returned_at[len(self.transitions)] = at

    def timeline(self, batch_id: str) -> BatchTimeline:
        last = self.last
        assert last is not None  # noqa: S101  # The first row of a batch is never stale.
        status = self.record.status
        return BatchTimeline(batch_id, tuple(self.transitions), frozenset(self.seen), last, status, self.returned_at)


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
    Return the statuses that a batch was in, in order, with those that it came back to.

    A status without a stamp has no time, and the one before it none of its own end.
    """
    stays = _stays(life)
    stamped = [stay for stay in stays if stay.at is not None]
    ends = [stay.at for stay in stamped[1:]]
    if stamped:
        last_at = stamped[-1].at or 0
        ends.append(last_at if stamped[-1].terminal else max(last_at, int(life.last.observed_at or 0)))
    end_of = {id(stay): end for stay, end in zip(stamped, ends, strict=True)}
    # A final status that the batch left again is a stay like others, with a duration.
    return [
        attrs.evolve(stay, end=end_of.get(id(stay)), terminal=stay.terminal and stay is stays[-1]) for stay in stays
    ]


def _stays(life: BatchTimeline) -> list[Bar]:
    """Return a bar without an end for each transition, and for each return to an earlier status, which is none."""
    stays: list[Bar] = []
    statuses = [(each.source, each) for each in life.transitions]
    for number, (source, transition) in enumerate([*statuses, (life.status, None)]):
        if stays and source not in (None, stays[-1].status):
            stays.append(_returned(life, str(source), number, stays[-1].at, transition))
        if transition is not None:
            is_seen = transition.target in life.seen
            stays.append(Bar(transition.target, transition.at, None, transition.terminal, is_seen))
    return stays


def _returned(
    life: BatchTimeline, status: str, number: int, after: int | None, following: Transition[None] | None
) -> Bar:
    """Return the bar of a status that a batch came back to, between a time and a transition."""
    before = None if following is None else following.at
    stamp: int | None = getattr(life.last, f"{status}_at", None)
    if stamp is not None and not (after or 0) <= stamp <= (before or stamp):
        stamp = None  # That of an earlier or later stay.
    return Bar(status, life.returned_at.get(number, stamp), None, terminal=False, seen=status in life.seen)


def timeline(life: BatchTimeline) -> str:
    """
    Return a timeline as text: a bar for each status, with its duration; `*` where only a stamp, or the walk, proves it.

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
    """Return timelines as a Mermaid Gantt chart: a section for each batch, a task for each status with a stamp."""
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
    """Return how many batches took each step, and each gap, in order of first sight."""
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
    """Return the id, the status and the counts of a batch on one line; safe for a terminal."""
    counts = _counts(life.last).strip().replace("  ", ", ")
    parts = (_cut(printable(life.batch_id), 40), _status(life), counts)
    return " · ".join(filter(None, parts))


def _head(life: BatchTimeline, span: str) -> list[str]:
    """Return the id, status, counts and duration of a batch; on two lines if one is too short."""
    who = f"{_cut(printable(life.batch_id), 40)}  {_status(life)}"
    counts, room = _counts(life.last), WIDTH - _SPAN - 1
    if len(who + counts) <= room:
        return [f"{who + counts:<{room}} {span:>{_SPAN}}".rstrip()]
    return [f"{who:<{room}} {span:>{_SPAN}}".rstrip(), _cut(counts, WIDTH)]


def _status(life: BatchTimeline) -> str:
    return _cut(printable(life.last.status or "without a status"), 20)


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
