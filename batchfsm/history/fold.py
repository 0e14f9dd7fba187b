"""The fold of snapshots into the records of their batches, with the transitions and findings of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final, Literal

import attrs

from batchfsm.dialects import Dialect
from batchfsm.finding import Finding, LogPosition, Verdict, verdict_of
from batchfsm.history.batch_record import (
    DONE_COUNTS,
    NO_ERRORS_REPORTED,
    RULE_OF_IMMUTABLE_FIELD,
    SHARED_STEPS_MAX,
    TOTAL_COUNT,
    BatchRecord,
    FieldChange,
    digest,
)
from batchfsm.history.transition_cache import TransitionCache
from batchfsm.route import Router, RouteStep, Transition, router
from batchfsm.rules import (
    ONCE_PER_STATUS,
    RULES,
    SKEW_S,
    RuleEngine,
    engine_for,
    has_small_metadata,
    join_names,
    metadata_violations,
)
from batchfsm.rules.kinds import Immutable, is_observed_after_end
from batchfsm.snapshot import BatchErrorEntry, Snapshot, SnapshotRow, to_row
from batchfsm.topology import Move, topology
from batchfsm.wire import ParsedRow, short_repr

OnIllegalMove = Literal["adopt", "hold"]
"""The effect of an illegal move on the known status: it follows the server, or it stays."""

_REGULAR_MOVES: Final = frozenset({"same", "legal", None})
_KEPT_S: Final = {
    name: rule.kind.kept_s for rule in RULES.values() if isinstance(rule.kind, Immutable) for name in rule.kind.fields
}
"""How long after the end each immutable field is kept; seconds. None: for ever."""
_ILLEGAL_MOVES: Final = frozenset({"illegal", "exit_from_final"})


@attrs.define(eq=False)
class FoldResult:
    """The findings and transitions of one snapshot."""

    findings: list[Finding]
    transitions: list[Transition]
    move: Move | None
    """The move to its status; None for the first snapshot, and for a status that the lifecycle does not have."""

    @property
    def is_illegal(self) -> bool:
        """True if no walk leads from the known status to the new one."""
        return self.move in _ILLEGAL_MOVES


class Fold:
    """Folds the snapshots of one dialect into records."""

    def __init__(self, dialect: Dialect, *, skew_s: float = SKEW_S, on_illegal: OnIllegalMove = "adopt") -> None:
        self._rule_engine: RuleEngine = engine_for(dialect, skew_s)
        self._router: Router = router(dialect)
        self._graph = topology(dialect.lifecycle)
        self._on_illegal = on_illegal
        self._cache = TransitionCache(self._graph, are_timeless=not self._router.is_cyclic)

    @cached_property
    def _events(self) -> Mapping[str, Any]:
        """The events of the shared machine."""
        from batchfsm.machine import shared_machine  # noqa: PLC0415  # An audit in columns may need no machine.

        events: Mapping[str, Any] = shared_machine(self._graph.lifecycle).events
        return events

    def apply(
        self,
        record: BatchRecord,
        snapshot: Snapshot,
        *,
        row: SnapshotRow | None = None,
        place: LogPosition | None = None,
    ) -> FoldResult:
        """
        Check a snapshot, and update the record of its batch.

        Args:
            record: The record; it is changed.
            snapshot: The next snapshot, in order of observation as far as the caller knows.
            row: Its values, if the caller has them already.
            place: Its position in a log; then findings name positions.
        """
        row = to_row(snapshot) if row is None else row
        status = snapshot.status if snapshot.status in self._graph.bit_of else None
        move = self._move(record, snapshot, status, row)
        is_monotonic_successor = record.is_monotonic_successor(row, snapshot.bad)
        ended = record.status in self._graph.terminal
        # A row that only adds to the last one violates no history rule. After the end no row should add anything.
        is_regular = is_monotonic_successor and move in _REGULAR_MOVES and not ended
        changes = [] if is_regular and place is None else record.changes(row, snapshot.bad)
        errors = record.errors if "errors" in snapshot.bad else _digest(snapshot.errors)
        findings = _without_repeats(record, snapshot, self._rule_engine.check(snapshot), is_stale=move == "stale")
        if place is not None:
            findings = [_with_places(found, (place,)) for found in findings]
        if not is_regular:
            findings += self._history_findings(record, snapshot, move, changes, place=place, errors=errors)
        record.pattern = None
        if findings or record.verdict == "undetermined":
            record.verdict = _combined_verdict(record.verdict, findings, judged=status is not None)
        if move == "stale":
            record.update_identity(changes)
            return FoldResult(findings, [], move)
        if move in _ILLEGAL_MOVES and self._on_illegal == "hold":
            # Its values are not stored either: else the same row would be a stale read when it comes again.
            return FoldResult(findings, [], move)
        transitions = [] if status is None or move == "same" else self._emit_transitions(record, snapshot, status, move)
        if place is not None:
            record.update_places(changes, place)
        record.update(row, snapshot.bad, is_monotonic_successor=is_monotonic_successor)
        record.observed_at, record.errors = snapshot.observed_at, errors
        return FoldResult(findings, transitions, move)

    def apply_immutable(self, record: BatchRecord, parsed: ParsedRow) -> tuple[BatchRecord, FoldResult]:
        """Apply a row to a copy of the record as `apply` does, or by a cached transition; return the copy."""
        after = record.copy()
        cached = self._cache.find(record, parsed)
        if cached is None or not cached.apply(after, parsed, None):
            return after, self._fold_anew(record, after, parsed, None)
        if not cached.steps:
            return after, FoldResult([], [], None)
        snapshot, times = parsed.snapshot, after.times[len(record.times) :]
        transitions = [step.of(parsed.id, at, snapshot) for step, at in zip(cached.steps, times, strict=True)]
        return after, FoldResult([], transitions, None)

    def advance(self, record: BatchRecord, parsed: ParsedRow, place: LogPosition) -> list[Finding]:
        """Apply a row to the record as `apply` does, or by a cached transition; return the findings."""
        cached = self._cache.find(record, parsed)
        if cached is not None and cached.apply(record, parsed, place):
            return []
        return self._fold_anew(record.copy(), record, parsed, place).findings

    def _fold_anew(
        self, before: BatchRecord, after: BatchRecord, parsed: ParsedRow, place: LogPosition | None
    ) -> FoldResult:
        """Fold a row, and cache the transition if it brought no finding."""
        folded = self.apply(after, parsed.snapshot, row=parsed.row, place=place)
        # No finding may just mean that the rule is off; such transitions are not cached.
        if not folded.findings and folded.move in _REGULAR_MOVES and self.can_judge(parsed):
            after.pattern = parsed.pattern
            self._cache.add(before, after, parsed, self._rule_engine.checks_for(parsed.snapshot))
        return folded

    def is_repeat(self, record: BatchRecord, parsed: ParsedRow) -> bool:
        """
        Return True if a row with the values of the last one changes nothing but the time of observation.

        The caller compares the values. This method checks metadata, errors, and rules about the time of observation.
        """
        if parsed.pattern is None or record.pattern is not parsed.pattern:
            return False
        if not has_small_metadata(parsed) and any(metadata_violations(parsed.metadata or {})):
            return False  # Metadata is not stored, so it is judged again (S006).
        if record.errors != _digest(parsed.errors):
            return False
        seen, seen_before = parsed.observed_at, record.observed_at
        if seen is None:
            return seen_before is None
        return seen_before is not None and seen >= seen_before and not self._rule_engine.is_past_limit(parsed.row, seen)

    def judge(self, snapshot: Snapshot, place: LogPosition | None = None) -> list[Finding]:
        """Return the findings of a snapshot without its history, as for one that has no readable id."""
        findings = self._rule_engine.check(snapshot)
        return findings if place is None else [_with_places(found, (place,)) for found in findings]

    def can_judge(self, parsed: ParsedRow) -> bool:
        """Return whether a row has a readable id and a status of the lifecycle."""
        return parsed.id is not None and parsed.row[0] in self._graph.bit_of

    def _move(self, record: BatchRecord, snapshot: Snapshot, status: str | None, row: SnapshotRow) -> Move | None:
        known = record.status
        if status is None or known is None:
            return None
        seen_at, last_at = snapshot.observed_at, record.observed_at
        late = seen_at is not None and last_at is not None and seen_at < last_at
        if status == known:
            return "stale" if late and record.is_at_or_after(row) else "same"
        if known not in self._graph.reach[status]:
            return self._graph.moves[known, status, False]
        # On a cycle, where each status leads to the other, one that was never entered is new, unless the row is
        # older by the clock: without its stamp, which may be optional, nothing else on the row shows it.
        is_new = not late and status in self._graph.reach[known] and status not in record.entered
        return self._graph.moves[known, status, not is_new and record.is_at_or_after(row)]

    def _emit_transitions(
        self, record: BatchRecord, snapshot: Snapshot, status: str, move: Move | None
    ) -> list[Transition]:
        """Set the known status, and return the transitions that were not emitted before."""
        if move in _ILLEGAL_MOVES:
            # An illegal move is a finding and no transition. The batch was born, though.
            record.status, record.adopted = status, True
            record.entered = frozenset({status, self._graph.lifecycle.initial})
            return []
        route = self._router.route(snapshot, record.status, record.entered)
        timed = []
        for step in route:
            self._step_machine(record, step)
            at = self._router.at(snapshot, step.target)
            # After a glitch (completed, in_progress, completed) the same entry is seen again.
            if not ((record.adopted or step.target in record.entered) and record.has_emitted(step.target, at)):
                timed.append((step, at))
        new = route if len(timed) == len(route) else tuple(step for step, _ in timed)
        times = tuple([at for _, at in timed])
        taken, past = record.steps_taken, record.times
        if isinstance(taken, tuple) and isinstance(past, tuple) and len(taken) + len(new) <= SHARED_STEPS_MAX:
            record.steps_taken, record.entered = self._cache.extended(taken, record.entered, route, new)
            record.times = past + times
        else:
            record.entered = record.entered.union(step.target for step in route)
            record.append_steps(new, times)
        return [step.of(snapshot.id, at, snapshot) for step, at in timed]

    def _step_machine(self, record: BatchRecord, step: RouteStep) -> None:
        """Trigger the machine; births and gaps, which are no rows of the table, set the status themselves."""
        if step.source == record.status:
            if step.event is None or step.source is None:
                record.status = step.target
            else:
                self._events[step.event].trigger(record)

    def _history_findings(
        self,
        record: BatchRecord,
        snapshot: Snapshot,
        move: Move | None,
        changes: list[FieldChange],
        *,
        place: LogPosition | None,
        errors: bytes | None,
    ) -> Iterator[Finding]:
        """Yield the findings of the history rules, in their order."""
        breaches: list[tuple[str, dict[str, object], str]] = []
        severity: Any = "warning" if move == "tolerated" else None
        if move in ("illegal", "tolerated"):
            breaches.append(("H501", self._status_pair(record, snapshot), self._no_walk_text(record, snapshot, move)))
        if move == "exit_from_final":
            breaches.append(
                (
                    "H502",
                    self._status_pair(record, snapshot),
                    f"{_move_text(record, snapshot)}; {record.status} is final",
                )
            )
        changed = _breaches_by_rule(self._without_expired_files(snapshot, changes))
        breaches += [changed["H503"]] if "H503" in changed else []
        if move != "stale" and move not in _ILLEGAL_MOVES:
            # After an illegal move, H504-H506 are not reported: they would repeat the same fault.
            lost = [changed[code] for code in ("H504", "H505", "H506") if code in changed]
            breaches += lost
            if not lost and move == "same" and record.status in self._graph.terminal:
                breaches += _changes_after_end(record, snapshot, changes, errors)
        if move == "stale":
            breaches.append(_stale_read(record, snapshot, self._status_pair(record, snapshot), changes))
        for code, fields, sentence in breaches:
            severity_max = severity if code == "H501" else None
            if (found := self._rule_engine.finding(code, snapshot, fields, sentence, severity_max)) is not None:
                yield found if place is None else _with_places(found, (*_known_place(record, found), place))

    def _without_expired_files(self, snapshot: Snapshot, changes: list[FieldChange]) -> list[FieldChange]:
        """Return the changes without values that became null after they were kept long enough, as files are."""
        return [
            change
            for change in changes
            if change.value is not None
            or (kept_s := _KEPT_S.get(change.name)) is None
            or not is_observed_after_end(snapshot, self._graph.lifecycle, kept_s)
        ]

    def _status_pair(self, record: BatchRecord, snapshot: Snapshot) -> dict[str, object]:
        return {"known_status": record.status, "status": snapshot.status}

    def _no_walk_text(self, record: BatchRecord, snapshot: Snapshot, move: Move) -> str:
        onward = [name for name in self._graph.statuses if name in self._graph.reach_strict[str(record.status)]]
        why = "only tolerated steps lead there" if move == "tolerated" else "no walk leads there"
        exits = (
            f"{record.status} leads to {join_names(onward)}" if onward else f"no documented step leaves {record.status}"
        )
        return f"{_move_text(record, snapshot)}; {why}, {exits}"


def _without_repeats(
    record: BatchRecord, snapshot: Snapshot, findings: list[Finding], *, is_stale: bool
) -> list[Finding]:
    """
    Return the findings without those that the batch had in this status before, if they are told once for each.

    On a stale row none of those is told: the batch has left the status, so it is neither overdue nor stuck in it.
    """
    once = {(found.rule, snapshot.status) for found in findings if found.rule in ONCE_PER_STATUS}
    if not once:
        return findings
    if is_stale:
        return [found for found in findings if found.rule not in ONCE_PER_STATUS]
    repeated = record.reported & once
    record.reported |= once
    return [found for found in findings if (found.rule, snapshot.status) not in repeated]


def _combined_verdict(verdict: Verdict, findings: list[Finding], *, judged: bool) -> Verdict:
    """Return the verdict of a batch after one more snapshot."""
    if verdict == "inconsistent" or not (findings or judged):
        return verdict
    after = verdict_of(findings, judged=judged)
    return verdict if after == "undetermined" else after


def _stale_read(
    record: BatchRecord, snapshot: Snapshot, fields: dict[str, object], changes: list[FieldChange]
) -> tuple[str, dict[str, object], str]:
    """Return the breach of H507, with the reasons that the row leaves open."""
    seen = f"was seen {snapshot.status} after {record.status}"
    born = next((change for change in changes if change.name == "created_at" and change.first is not None), None)
    if born is not None and born.value != born.first:
        given = f"with created_at {short_repr(born.value)} instead of {short_repr(born.first)}"
        reason = "no earlier view of it, but a server that was reset, or used the id again"
        return "H507", {**fields, born.name: born.value}, f"{seen}, {given}: {reason}"
    seen_at, last_at = snapshot.observed_at, record.observed_at
    is_late = seen_at is not None and last_at is not None and seen_at < last_at
    reset = "" if is_late else ", or a server that was reset to an earlier state"
    return "H507", fields, f"{seen}: an earlier view that came late{reset}"


def _move_text(record: BatchRecord, snapshot: Snapshot) -> str:
    return f"went from {record.status} to {snapshot.status}"


def _breaches_by_rule(changes: list[FieldChange]) -> dict[str, tuple[str, dict[str, object], str]]:
    """Return the breaches of H503 to H506 among the changes of a row."""
    breaches: dict[str, list[FieldChange]] = {}
    for change in changes:
        if change.name in DONE_COUNTS:
            if change.last is not None and change.value < change.last:
                breaches.setdefault("H505", []).append(change)
        elif change.first is not None and change.value != change.first:
            breaches.setdefault(
                "H505" if change.name == TOTAL_COUNT else RULE_OF_IMMUTABLE_FIELD[change.name], []
            ).append(change)
    return {
        code: (
            code,
            {change.name: change.value for change in found},
            "; ".join(
                f"changed {change.name} from {short_repr(_previous_value(change))} to {short_repr(change.value)}"
                for change in found
            ),
        )
        for code, found in breaches.items()
    }


def _previous_value(change: FieldChange) -> object:
    return change.last if change.name in DONE_COUNTS else change.first


def _changes_after_end(
    record: BatchRecord, snapshot: Snapshot, changes: list[FieldChange], errors: bytes | None
) -> Iterator[tuple[str, dict[str, object], str]]:
    """Yield H508 for fields that changed after the end, except those that other rules report."""
    fields: dict[str, object] = {
        change.name: change.value
        for change in changes
        if (
            isinstance(change.last, int) and change.value > change.last
            if change.name in DONE_COUNTS or change.name == TOTAL_COUNT
            else RULE_OF_IMMUTABLE_FIELD[change.name] == "H504" and change.first is None and change.last is None
        )
    }
    if record.errors not in (errors, NO_ERRORS_REPORTED):
        fields["errors"] = [error.code or error.message for error in snapshot.errors or ()]
    if fields:
        yield "H508", fields, f"was {record.status}, and then {join_names(fields)} changed"


def _digest(errors: tuple[BatchErrorEntry, ...] | None) -> bytes | None:
    return None if errors is None else digest(errors)


def _known_place(record: BatchRecord, found: Finding) -> Iterable[LogPosition]:
    """Return the position of the row that a finding's row contradicts."""
    places = record.places or {}
    return [place for place in (places.get(next(iter(found.fields)), places.get("")),) if place is not None]


def _with_places(found: Finding, where: tuple[LogPosition, ...]) -> Finding:
    first, *then = map(str, where)
    if len(where) > 1 and where[0].source == where[1].source:
        then = [f":{where[1].line}"]
    seen = f"{first}, then {then[0]}" if then else first
    return attrs.evolve(found, where=where, message=f"{found.message} (seen at {seen})")
