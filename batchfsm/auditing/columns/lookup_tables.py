"""The lifecycle and the rules of a dialect as flat arrays, for the compiled rules to look up."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import attrs

from batchfsm.auditing.columns.layout import COLUMNS, FIELD_BITS, TRACKED_FIELDS, WARNING_BITS
from batchfsm.dialects import Dialect
from batchfsm.lifecycle import STAMP_FIELDS
from batchfsm.rules import RULES, RuleContext, kinds
from batchfsm.topology import Topology, topology

BIT: Final[Mapping[str, int]] = {code: 1 << index for index, code in enumerate(RULES)}
"""The bit of each rule in the mask of a row."""
KIND: Final[Mapping[str, Any]] = {code: rule.kind for code, rule in RULES.items()}
"""The kind of each rule."""
ONCE_BITS: Final = array("q", [BIT[code] for code, rule in RULES.items() if rule.kind.is_once_per_status])
"""The bit of each rule that is reported once for each status of a batch."""

SAME, STALE, LEGAL, TOLERATED, ILLEGAL, EXIT_FROM_FINAL, CYCLE = range(7)
"""Moves from the known status to the one of a row; CYCLE if the visited statuses decide."""
_MOVES: Final = ("same", "stale", "legal", "tolerated", "illegal", "exit_from_final")

IDENTITY, STAMP, FILE, SUM, DONE = range(5)
"""Kinds of tracked fields. IDENTITY: never changes, null says nothing. STAMP, FILE: never changes, null is a change.
SUM: never changes once it is above zero. DONE: never falls."""

_TIMES: Final = (*STAMP_FIELDS, "expires_at", "observed_at")


@attrs.frozen(kw_only=True, eq=False)
class LookupTables:
    """One dialect under one skew. A status is its index in the lifecycle's `statuses`."""

    unknown: int
    """The index of a status that the lifecycle does not have: the number of statuses."""
    completed: int
    """The index of `completed`; -9 if the lifecycle does not have it."""
    final: Any
    """1 for each final status, and 0 for the unknown one; bytes."""
    end_columns: Any
    """The column of the stamp of each final status, -1 for the other statuses and for the unknown one."""
    stamp_sets: Any
    """The bits of P101, P102 and P103 by status and set stamps: `[256 * status + stamps]`."""
    must_be_set: Any
    """Triples: the fields that must not be null, in which statuses, the bit of the rule; sets as bits."""
    must_be_null: Any
    """Triples: the fields that must be null, in which statuses, the bit of the rule."""
    stamp_pairs: Any
    """Pairs: the column of the stamp that comes first, the column of the one that comes later."""
    limits: Any
    """Fours: the column of a time, the column of its limit, in which statuses, the bit of the rule.
    The column behind the last is the time of observation."""
    slacks_s: Any
    """By how many seconds each time may be later than its limit."""
    window_slack_s: int
    moves: Any
    """Moves: `[2 * (known * n + seen) + is_below]` of the known status, the row's, and whether the row is below."""
    field_kinds: Any
    """The kind of each tracked field; bytes."""
    field_bits: Any
    """The bit of the rule that a change of each tracked field violates."""


@cache
def lookup_tables(dialect: Dialect, skew_s: float) -> LookupTables:
    """Return the tables of a dialect; nothing writes to them."""
    graph = topology(dialect.lifecycle)
    context = RuleContext(dialect=dialect, topology=graph, skew_s=skew_s)
    limits = list(_limits(context))
    fields = {name: field for rule in RULES.values() for name, field in _fields(rule.code, rule.kind)}
    return LookupTables(
        unknown=len(graph.statuses),
        completed=graph.statuses.index("completed") if "completed" in graph.statuses else -9,
        final=bytearray([*(name in graph.terminal for name in graph.statuses), 0]),
        end_columns=array("q", [*(_end_column(graph, name) for name in graph.statuses), -1]),
        stamp_sets=_stamp_sets(context),
        must_be_set=_flat(_scoped(context, kinds.MustBeSet)),
        must_be_null=_flat(_scoped(context, kinds.MustBeNull)),
        stamp_pairs=_flat(_stamp_pairs(graph)),
        limits=_flat(row for row, _ in limits),
        slacks_s=array("d", [slack_s for _, slack_s in limits]),
        window_slack_s=dialect.deadline_tolerance_s,
        moves=_moves(graph),
        field_kinds=bytearray(fields[name][0] for name in TRACKED_FIELDS),
        field_bits=array("q", [fields[name][1] for name in TRACKED_FIELDS]),
    )


def status_codes(dialect: Dialect) -> dict[str, int]:
    """Return the index of each status, by its own word, its aliases, and the usual spellings where all are read."""
    statuses = dialect.lifecycle.statuses
    words = [*statuses, *dialect.aliases]
    if dialect.any_spelling:
        words += [spelling for word in words for spelling in _usual_spellings(word)]
    return {word: statuses.index(dialect.canonical_status(word)) for word in words}


def _usual_spellings(word: str) -> list[str]:
    """Return a word as programs write it: `IN_PROGRESS`, `In-Progress`, `inProgress`."""
    parts = word.split("_")
    titles = [part.capitalize() for part in parts]
    joined = [separator.join(each) for each in (parts, titles) for separator in ("_", "-", " ", "")]
    return [*joined, *map(str.upper, joined), word.capitalize(), "".join([parts[0], *titles[1:]])]


def null_times(dialect: Dialect) -> array[int]:
    """Return the integers that mean null where the wire has a time."""
    return array("q", [value for value in dialect.null_time_values if type(value) is int])  # False is not 0.


def _flat(rows: Iterable[tuple[int, ...]]) -> array[int]:
    return array("q", [number for row in rows for number in row])


def _end_column(graph: Topology, status: str) -> int:
    """Return the column of the stamp of a final status; -1 for any other status."""
    stamp = graph.stamp[status]
    return COLUMNS.index(stamp) if status in graph.terminal and stamp in COLUMNS else -1


def _stamp_sets(context: RuleContext) -> array[int]:
    """Return the violations of P101 to P103 for each status and set of stamps, from the scalar rules' tables."""
    graph, found = context.topology, array("q")
    for status in graph.statuses:
        own = graph.stamp[status]
        is_due = own not in (None, "created_at") and status not in context.dialect.optional_stamps
        own_bit = 1 << STAMP_FIELDS.index(own) if is_due else 0
        stamped_sets = [context.stamped(status, ())]  # By the set stamps, as bits.
        for name in STAMP_FIELDS:
            stamped = context.stamped(status, [name])
            stamped_sets += [each | stamped for each in stamped_sets]
        nullable = context.nullable(status)
        masks = {stamped: _stamp_violations(graph, status, stamped, nullable) for stamped in {*stamped_sets}}
        found.extend(
            masks[stamped] | (BIT["P101"] if own_bit & ~present else 0) for present, stamped in enumerate(stamped_sets)
        )
    found.extend(array("q", bytes(8 * 2 ** len(STAMP_FIELDS))))  # The unknown status.
    return found


def _stamp_violations(graph: Topology, status: str, stamped: int, nullable: int) -> int:
    """Return the bits of P102 and P103 for a status and the stamped statuses; sets of statuses as bits."""
    mask = 0
    if (severity := graph.check_stamp_set(status, stamped)) is not None:
        mask |= BIT["P102"] | (WARNING_BITS["P102"] if severity == "warning" else 0)
    if (skipped := graph.check_missing_stamps(status, stamped, nullable)) is not None:
        mask |= BIT["P103"] | (WARNING_BITS["P103"] if skipped[0] == "warning" else 0)
    return mask


def _scoped(context: RuleContext, kind: type) -> Iterable[tuple[int, int, int]]:
    statuses = (*context.topology.statuses, None)
    for code, rule in RULES.items():
        if isinstance(rule.kind, kind):
            row: Any = rule.kind
            fields = sum(FIELD_BITS[name] for name in row.fields)
            scope = context.scope(row)
            yield fields, sum(1 << index for index, name in enumerate(statuses) if name in scope), BIT[code]


def _stamp_pairs(graph: Topology) -> Iterable[tuple[int, int]]:
    stamped = [(name, stamp) for name, stamp in graph.stamp.items() if stamp is not None]
    return (
        (COLUMNS.index(earlier), COLUMNS.index(later))
        for first, earlier in stamped
        for second, later in stamped
        if graph.precedes(first, second)
    )


def _limits(context: RuleContext) -> Iterable[tuple[tuple[int, int, int, int], float]]:
    columns = {name: COLUMNS.index(name) for name in _TIMES[:-1]} | {"observed_at": len(COLUMNS)}
    statuses = context.topology.statuses
    for code, rule in RULES.items():
        if isinstance(row := rule.kind, kinds.TimeLimit):
            slack_s = context.skew_s if row.slack_s is None else row.slack_s
            # Columns have OpenAI's stamps only: a dialect with `ended_at` is checked row by row.
            for time in (name for name in row.times if name in columns):
                yield (columns[time], columns[row.limit], 2 ** (len(statuses) + 1) - 1, BIT[code]), slack_s
        for status, (field, slack_s) in context.observation_limits(rule.kind).items():
            yield (columns["observed_at"], columns[field], 1 << statuses.index(status), BIT[code]), slack_s


def _fields(code: str, kind: kinds.RuleKind) -> Iterable[tuple[str, tuple[int, int]]]:
    """Yield the kind and the bit of each field that a history rule reads."""
    if isinstance(kind, kinds.Immutable):
        field_kind = IDENTITY if not kind.null_counts else STAMP if code == "H504" else FILE
        yield from ((name, (field_kind, BIT[code])) for name in kind.fields)
    elif isinstance(kind, kinds.Monotonic):
        yield "request_counts.total", (SUM, BIT[code])
        yield from ((f"request_counts.{name}", (DONE, BIT[code])) for name in ("completed", "failed"))


def _moves(graph: Topology) -> array[int]:
    """Return the automaton of a history; CYCLE where it also takes the statuses entered before."""
    found = array("q")
    for before in graph.statuses:
        for status in graph.statuses:
            is_cycle = before != status and before in graph.reach[status] and status in graph.reach[before]
            found.extend(
                CYCLE if is_cycle else _MOVES.index(graph.moves[before, status, is_below]) for is_below in (False, True)
            )
    return found
