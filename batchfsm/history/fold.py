"""One snapshot after another, judged against itself and against what is known of its batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import attrs

from batchfsm.dialects import Dialect
from batchfsm.finding import Finding, LogPosition, Verdict, verdict_of
from batchfsm.history.batch_record import DONE, KEPT, NEVER, TOTAL, BatchRecord, FieldChange, digest
from batchfsm.history.transition_cache import TransitionCache
from batchfsm.machine import engine
from batchfsm.route import Router, RouteStep, Transition, router
from batchfsm.rules import SKEW_S, RuleEngine, engine_for, faults, has_small_metadata, listed
from batchfsm.snapshot import ROW_FIELDS, BatchErrorEntry, Snapshot, SnapshotRow, to_row
from batchfsm.topology import Move, topology
from batchfsm.wire import ParsedRow, short_repr

OnIllegal = Literal["adopt", "hold"]
"""What an illegal move does to the known status: it follows the server, or it stays."""

_DEADLINE: Final = ROW_FIELDS.index("expires_at")
_WELL: Final = frozenset({"same", "step", None})
_ILLEGAL: Final = frozenset({"illegal", "left"})


@attrs.define(eq=False)
class FoldResult:
    """What one snapshot brought."""

    findings: list[Finding]
    transitions: list[Transition]
    move: Move | None
    """What its status said; None at first sight, and for a status the lifecycle does not have."""

    @property
    def illegal(self) -> bool:
        """True if no walk leads from the known status to the new one."""
        return self.move in _ILLEGAL


class Fold:
    """Folds the snapshots of one dialect."""

    def __init__(self, dialect: Dialect, *, skew_s: float = SKEW_S, on_illegal: OnIllegal = "adopt") -> None:
        """Take the readings of the dialect's lifecycle together."""
        self._judge: RuleEngine = engine_for(dialect, skew_s)
        self._router: Router = router(dialect)
        self._graph = topology(dialect.lifecycle)
        self._on_illegal = on_illegal
        self._events = engine(dialect.lifecycle).events
        self._cache = TransitionCache(self._graph, are_timeless=not self._router.is_cyclic)

    def fold(
        self,
        track: BatchRecord,
        snapshot: Snapshot,
        *,
        row: SnapshotRow | None = None,
        place: LogPosition | None = None,
    ) -> FoldResult:
        """
        Judge a snapshot and learn from it.

        Args:
            track: What is known of its batch; changed.
            snapshot: The next one, in order of observation as far as the caller knows.
            row: Its plain values, if the caller has them already.
            place: Where it stands; then findings name places.
        """
        row = to_row(snapshot) if row is None else row
        status = snapshot.status if snapshot.status in self._graph.bit else None
        move = self._move(track, snapshot, status, row)
        goes_on = track.goes_on(row, snapshot.bad)
        ended = track.status in self._graph.terminal
        # A batch that goes on as it should breaches nothing; after the end it should not go on.
        well = goes_on and move in _WELL and not ended
        changes = [] if well and place is None else track.changes(row, snapshot.bad)
        errors = track.errors if "errors" in snapshot.bad else _digest(snapshot.errors)
        findings = self._judge.judge(snapshot)
        if place is not None:
            findings = [_placed(found, (place,)) for found in findings]
        if not well:
            findings += self._told(track, snapshot, move, changes, place=place, errors=errors)
        track.pattern = None
        if findings or track.verdict == "undetermined":
            track.verdict = _worse(track.verdict, findings, judged=status is not None)
        if move == "stale":
            track.learn_identity(changes)
            return FoldResult(findings, [], move)
        if move in _ILLEGAL and self._on_illegal == "hold":
            # What is not followed is not believed either: learned, it would be an earlier view when it comes again.
            return FoldResult(findings, [], move)
        transitions = [] if status is None or move == "same" else self._enter(track, snapshot, status, move)
        if place is not None:
            track.learn_places(changes, place)
        track.learn(row, snapshot.bad, goes_on=goes_on)
        track.observed_at, track.errors = snapshot.observed_at, errors
        return FoldResult(findings, transitions, move)

    def follow(self, track: BatchRecord, parsed: ParsedRow) -> tuple[BatchRecord, FoldResult]:
        """As `fold`, but leave the track as it is and return the next one; by a cached transition, if there is one."""
        after = track.copy()
        cached = self._cache.find(track, parsed)
        if cached is None or not cached.apply(after, parsed, None):
            return after, self._fold_anew(track, after, parsed, None)
        if not cached.steps:
            return after, FoldResult([], [], None)
        snapshot, times = parsed.snapshot, after.ats[len(track.ats) :]
        transitions = [leg.of(parsed.id, at, snapshot) for leg, at in zip(cached.steps, times, strict=True)]
        return after, FoldResult([], transitions, None)

    def advance(self, track: BatchRecord, parsed: ParsedRow, place: LogPosition) -> list[Finding]:
        """As `fold`, by a cached transition, if there is one, and for its findings alone."""
        cached = self._cache.find(track, parsed)
        if cached is not None and cached.apply(track, parsed, place):
            return []
        return self._fold_anew(track.copy(), track, parsed, place).findings

    def _fold_anew(
        self, before: BatchRecord, after: BatchRecord, parsed: ParsedRow, place: LogPosition | None
    ) -> FoldResult:
        """Fold a row, and cache the transition if it brought no finding."""
        folded = self.fold(after, parsed.snapshot, row=parsed.row, place=place)
        # A rule that is off finds nothing either; what it would have found is not cached all the same.
        if not folded.findings and folded.move in _WELL and self.knows(parsed):
            after.pattern = parsed.pattern
            self._cache.add(before, after, parsed, self._judge.plan(parsed.snapshot))
        return folded

    def repeats(self, track: BatchRecord, parsed: ParsedRow) -> bool:
        """Tell whether a row with the values of the last one says no more, and that was nothing to find fault with."""
        if parsed.pattern is None or track.pattern is not parsed.pattern:
            return False
        if not has_small_metadata(parsed) and any(faults(parsed.metadata or {})):
            return False  # It is not kept, so it is judged again (S006).
        if track.errors != _digest(parsed.errors):
            return False
        seen, seen_before = parsed.observed_at, track.observed_at
        if seen is None:
            return seen_before is None
        return seen_before is not None and seen >= seen_before and not self.is_overdue(parsed.row, seen)

    def judge(self, snapshot: Snapshot, place: LogPosition | None = None) -> list[Finding]:
        """Judge a snapshot alone: one without a readable id has no history."""
        findings = self._judge.judge(snapshot)
        return findings if place is None else [_placed(found, (place,)) for found in findings]

    def knows(self, parsed: ParsedRow) -> bool:
        """Tell whether a row can be judged: it has a readable id and a status of the lifecycle."""
        return parsed.id is not None and parsed.row[0] in self._graph.bit

    def is_overdue(self, row: SnapshotRow, observed_at: float) -> bool:
        """Tell whether time alone makes a row breach T207, which a repeated row has to be asked again."""
        expires_at = row[_DEADLINE]
        return expires_at is not None and observed_at > expires_at and row[0] not in self._graph.terminal

    def _move(self, track: BatchRecord, snapshot: Snapshot, status: str | None, row: SnapshotRow) -> Move | None:
        known = track.status
        if status is None or known is None:
            return None
        seen_at, last_at = snapshot.observed_at, track.observed_at
        late = seen_at is not None and last_at is not None and seen_at < last_at
        if status == known:
            return "stale" if late and track.covers(row) else "same"
        if known not in self._graph.reach[status]:
            return self._graph.moves[known, status, False]
        # On a cycle, where each leads to the other, a status that was never entered is news, unless the
        # clock says otherwise: without its stamp, which may be optional, nothing else on the row says so.
        news = not late and status in self._graph.reach[known] and status not in track.entered
        return self._graph.moves[known, status, not news and track.covers(row)]

    def _enter(self, track: BatchRecord, snapshot: Snapshot, status: str, move: Move | None) -> list[Transition]:
        """Move the known status along, and return what was not emitted before."""
        if move in _ILLEGAL:
            # It did not come here by any way we know: that is a finding, no transition. It was born, though.
            track.status, track.adopted = status, True
            track.entered = frozenset({status, self._graph.lifecycle.initial})
            return []
        legs = self._router.legs(snapshot, track.status, track.entered)
        timed = []
        for leg in legs:
            self._drive(track, leg)
            at = self._router.at(snapshot, leg.target)
            # A glitch (completed, in_progress, completed) comes back to what it was: that is no new fact.
            if not ((track.adopted or leg.target in track.entered) and track.has_emitted(leg.target, at)):
                timed.append((leg, at))
        new = legs if len(timed) == len(legs) else tuple(leg for leg, _ in timed)
        track.legs, track.entered = self._cache.extended(track.legs, track.entered, legs, new)
        track.ats += tuple([at for _, at in timed])
        return [leg.of(snapshot.id, at, snapshot) for leg, at in timed]

    def _drive(self, track: BatchRecord, leg: RouteStep) -> None:
        """Let the machine take a leg; only births and gaps, which are no rows of the table, go past it."""
        if leg.source == track.status:
            if leg.event is None or leg.source is None:
                track.status = leg.target
            else:
                self._events[leg.event].trigger(track)

    def _told(
        self,
        track: BatchRecord,
        snapshot: Snapshot,
        move: Move | None,
        changes: list[FieldChange],
        *,
        place: LogPosition | None,
        errors: bytes | None,
    ) -> Iterator[Finding]:
        """Yield what only the history tells, in the order of the rules."""
        told: list[tuple[str, dict[str, object], str]] = []
        severity: Any = "warning" if move == "tolerated" else None
        if move in ("illegal", "tolerated"):
            told.append(("H501", self._pair(track, snapshot), self._no_way(track, snapshot, move)))
        if move == "left":
            told.append(("H502", self._pair(track, snapshot), f"{_went(track, snapshot)}; {track.status} is final"))
        kept = _kept(changes)
        told += [kept["H503"]] if "H503" in kept else []
        if move != "stale" and move not in _ILLEGAL:
            # A row that no walk explains is another story, not a damaged one: it has said enough.
            lost = [kept[code] for code in ("H504", "H505", "H506") if code in kept]
            told += lost
            if not lost and move == "same" and track.status in self._graph.terminal:
                told += _moved_on(track, snapshot, changes, errors)
        if move == "stale":
            sentence = f"was seen {snapshot.status} after {track.status}: an earlier view that came late"
            told.append(("H507", self._pair(track, snapshot), sentence))
        for code, fields, sentence in told:
            weight = severity if code == "H501" else None
            if (found := self._judge.finding(code, snapshot, fields, sentence, weight)) is not None:
                yield found if place is None else _placed(found, (*_known_place(track, found), place))

    def _pair(self, track: BatchRecord, snapshot: Snapshot) -> dict[str, object]:
        return {"known_status": track.status, "status": snapshot.status}

    def _no_way(self, track: BatchRecord, snapshot: Snapshot, move: Move) -> str:
        onward = [name for name in self._graph.statuses if name in self._graph.reach_strict[str(track.status)]]
        why = "only tolerated steps lead there" if move == "tolerated" else "no walk leads there"
        return f"{_went(track, snapshot)}; {why}, {track.status} leads to {listed(onward)}"


def _worse(verdict: Verdict, findings: list[Finding], *, judged: bool) -> Verdict:
    """Return the verdict of a batch after one more snapshot."""
    if verdict == "inconsistent" or not (findings or judged):
        return verdict
    after = verdict_of(findings, judged=judged)
    return verdict if after == "undetermined" else after


def _went(track: BatchRecord, snapshot: Snapshot) -> str:
    return f"went from {track.status} to {snapshot.status}"


def _kept(changes: list[FieldChange]) -> dict[str, tuple[str, dict[str, object], str]]:
    """Return the breaches of H503 to H506 among the changes of a row."""
    breaches: dict[str, list[FieldChange]] = {}
    for change in changes:
        if change.name in DONE:
            if change.last is not None and change.value < change.last:
                breaches.setdefault("H505", []).append(change)
        elif change.first is not None and change.value != change.first:
            breaches.setdefault("H505" if change.name == TOTAL else KEPT[change.name], []).append(change)
    return {
        code: (
            code,
            {change.name: change.value for change in found},
            "; ".join(
                f"changed {change.name} from {short_repr(_was(change))} to {short_repr(change.value)}"
                for change in found
            ),
        )
        for code, found in breaches.items()
    }


def _was(change: FieldChange) -> object:
    return change.last if change.name in DONE else change.first


def _moved_on(
    track: BatchRecord, snapshot: Snapshot, changes: list[FieldChange], errors: bytes | None
) -> Iterator[tuple[str, dict[str, object], str]]:
    """Yield H508: what changed after the end, beyond what other rules name."""
    fields: dict[str, object] = {
        change.name: change.value
        for change in changes
        if (
            isinstance(change.last, int) and change.value > change.last
            if change.name in DONE or change.name == TOTAL
            else KEPT[change.name] == "H504" and change.first is None and change.last is None
        )
    }
    if track.errors not in (errors, NEVER):
        fields["errors"] = [error.code or error.message for error in snapshot.errors or ()]
    if fields:
        yield "H508", fields, f"was {track.status}, and then {listed(fields)} changed"


def _digest(errors: tuple[BatchErrorEntry, ...] | None) -> bytes | None:
    return None if errors is None else digest(errors)


def _known_place(track: BatchRecord, found: Finding) -> Iterable[LogPosition]:
    """Return where that stands which a finding's row contradicts."""
    places = track.places or {}
    return [place for place in (places.get(next(iter(found.fields)), places.get("")),) if place is not None]


def _placed(found: Finding, where: tuple[LogPosition, ...]) -> Finding:
    first, *then = map(str, where)
    if len(where) > 1 and where[0].source == where[1].source:
        then = [f":{where[1].line}"]
    seen = f"{first}, then {then[0]}" if then else first
    return attrs.evolve(found, where=where, message=f"{found.message} (seen at {seen})")
