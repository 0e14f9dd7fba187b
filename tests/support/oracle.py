"""A second, naive implementation of the contract that imports nothing of batchfsm, for comparison in tests."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import pairwise, permutations
from typing import Any

Wire = Mapping[str, Any]
Row = tuple[Wire, float | None]
Finding = tuple[str, str, frozenset[str]]
BatchUpdate = tuple[str | None, str, int | None, str]
Step = tuple[str | None, str, str | None, int | None, str]
Breach = tuple[str, str, object, Iterable[str]]

BAD: Any = type("Bad", (), {"__repr__": lambda _: "BAD"})()
"""The value of a field that is neither set nor null."""
MISSING: Any = object()
"""The first or last value of a field that nobody gave."""

# fmt: off
LEVELS = ("off", "note", "warning", "error")
DAY_S = 86_400
FILES_KEPT_S = 30 * DAY_S
STUCK_S = {"validating": 21_600, "finalizing": 3_600, "cancelling": 3_600}
LATER_STAMPS = ("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at",
                "cancelled_at")
STAMPS = ("created_at", *LATER_STAMPS)
TIMES = {*STAMPS, "expires_at"}
FILES = ("output_file_id", "error_file_id")
TEXTS = ("id", "endpoint", "model", "input_file_id", "completion_window", "status", *FILES)
IDENTITY = ("created_at", "input_file_id", "endpoint", "completion_window", "expires_at")
TOTAL, COMPLETED, FAILED = COUNTS = tuple(f"request_counts.{key}" for key in ("total", "completed", "failed"))

STATUSES = ("validating", "in_progress", "finalizing", "completed", "failed", "expired", "cancelling",
            "cancelled")
TERMINAL = {"completed", "failed", "expired", "cancelled"}
DOCUMENTED = """validating > in_progress failed cancelling; in_progress > finalizing cancelling;
                finalizing > completed expired; cancelling > cancelled"""
TOLERATED = """validating > expired; in_progress > failed expired; finalizing > failed cancelling;
               cancelling > completed failed expired"""
EVENTS = {"validating": "validate", "in_progress": "start", "finalizing": "finalize", "completed": "complete",
          "failed": "fail", "expired": "expire", "cancelling": "cancel", "cancelled": "stop"}
# fmt: on


def steps(text: str) -> set[tuple[str, str]]:
    """Return the steps of `a > b c; d > e`: a to b, a to c and d to e."""
    rows = [part.split(">") for part in text.split(";") if part]
    return {(source.strip(), target) for source, targets in rows for target in targets.split()}


@dataclass(frozen=True, kw_only=True, eq=False)
class Dialect:
    """One row of the dialect table; `adds` are documented steps, `lowers` are severities by code."""

    initial: str = "validating"
    adds: str = ""
    drops: str = ""
    dropped: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    any_spelling: bool = False
    optional: tuple[str, ...] = ()
    forms: str = ""
    sentinels: tuple[object, ...] = ()
    null_counts: bool = False
    blank_is_null: bool = False
    tolerance_s: int = 0
    lowers: Mapping[str, str] = field(default_factory=dict)

    @property
    def stamps(self) -> dict[str, str | None]:
        """Return the timestamp field of every status, in table order; None where the dialect has none."""
        named = {status: f"{status}_at" for status in STATUSES if status not in self.dropped}
        return {self.initial: "created_at"} | named | {"validating": None} | {self.initial: "created_at"}

    def steps(self, *, strict: bool) -> set[tuple[str, str]]:
        """Return the documented steps, and unless `strict` the tolerated ones, too."""
        kept = steps(DOCUMENTED) | steps(self.adds) | (set() if strict else steps(TOLERATED))
        return {step for step in kept - steps(self.drops) if not set(step) & set(self.dropped)}


# fmt: off
AZURE_ALIASES = {"Validating": "validating", "canceled": "cancelled"}
DIALECTS = {
    "openai": Dialect(),
    "azure": Dialect(
        aliases=AZURE_ALIASES, optional=("in_progress",), forms="iso", null_counts=True, blank_is_null=True,
        tolerance_s=5, lowers={"T204": "off", "T207": "off", "F402": "note"},
    ),
    "groq": Dialect(optional=("finalizing",)),
    "zhipu": Dialect(forms="ms", null_counts=True, lowers={"P104": "off", "C303": "off"}),
    "dashscope": Dialect(lowers={"P104": "off"}),
    "aibrix": Dialect(
        initial="scheduling", aliases={"created": "scheduling", "finalized": "finalizing"},
        adds="""scheduling > validating failed cancelling expired; validating > expired;
                in_progress > failed expired; finalizing > failed cancelled; cancelling > finalizing""",
        drops="finalizing > cancelling", optional=("validating",), forms="digits", sentinels=("0",),
        lowers={"C304": "off"},
    ),
    "ogx": Dialect(
        dropped=("finalizing", "expired"), adds="in_progress > completed failed", optional=("in_progress",),
        lowers={"P104": "off", "F401": "off", "C304": "off", "F405": "off"},
    ),
    "litellm": Dialect(
        aliases={"complete": "completed"}, adds="in_progress > completed failed",
        optional=("in_progress", "finalizing"),
        lowers={"P104": "off", "C304": "off", "F405": "off", "C303": "note", "F401": "note", "P101": "warning",
                "P102": "warning", "T201": "warning", "H504": "warning"},
    ),
    "compatible": Dialect(
        any_spelling=True,
        aliases=AZURE_ALIASES | {
            "finalized": "finalizing", "complete": "completed", "running": "in_progress",
            "processing": "in_progress", "created": "validating", "scheduling": "validating",
            "pending": "validating", "queued": "validating", "in_queue": "validating",
        },
        adds=TOLERATED + """; in_progress > completed cancelled; validating > cancelled;
                              finalizing > cancelled; cancelling > finalizing""",
        optional=("in_progress", "finalizing", "cancelling"), forms="ms iso digits", null_counts=True,
        blank_is_null=True,
        sentinels=(0, "0", "", 946684800, 946656000000),
        lowers={"T201": "warning", "T203": "warning", "P101": "warning", "P102": "warning", "H504": "warning",
                "S003": "note", "C303": "note", "F401": "note",
                "P104": "off", "C304": "off", "T202": "off", "T204": "off", "T207": "off", "F405": "off"},
    ),
}
# fmt: on


@cache
def walks(dialect: Dialect, source: str, target: str, *, strict: bool = False) -> tuple[tuple[str, ...], ...]:
    """Return every simple path of steps from source to target, both included."""
    allowed = dialect.steps(strict=strict)
    found: list[tuple[str, ...]] = []
    paths: list[tuple[str, ...]] = [(source,)]
    for path in paths:
        if path[-1] == target:
            found.append(path)
        else:
            paths += [(*path, new) for new in dialect.stamps if new not in path and (path[-1], new) in allowed]
    return tuple(found)


def reaches(dialect: Dialect, source: str, target: str) -> bool:
    """Return whether a walk of at least one step leads from source to target."""
    return source != target and bool(walks(dialect, source, target))


def precedes(dialect: Dialect, source: str, target: str) -> bool:
    """Return whether source reaches target, and target does not reach source."""
    return reaches(dialect, source, target) and not reaches(dialect, target, source)


@cache
def rank(dialect: Dialect, status: str) -> int:
    """Return the number of statuses that precede this one."""
    return sum(precedes(dialect, other, status) for other in dialect.stamps)


def is_set(value: object) -> bool:
    """Return whether a field holds a value, neither null nor bad."""
    return value is not None and value is not BAD


def read_time(value: object, dialect: Dialect) -> Any:
    """Return a time as Unix seconds, read in the forms of the dialect."""
    if value is None or any(type(value) is type(null) and value == null for null in dialect.sentinels):
        return None
    if isinstance(value, str):
        iso = re.fullmatch(r"(\d{4}-\d\d-\d\dT(?!24)\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", value, re.ASCII)
        if "iso" in dialect.forms and iso:
            try:
                value = int(datetime.fromisoformat(iso[1] + iso[3]).timestamp())
            except ValueError:
                return BAD
        elif "digits" in dialect.forms and re.fullmatch("[0-9]{1,4000}", value):
            value = int(value)
    if type(value) is not int and not (type(value) is float and value.is_integer()):
        return BAD
    seconds = int(value) // 1000 if "ms" in dialect.forms and value > 10**11 else int(value)
    return seconds if 0 < seconds <= 10**11 else BAD


def read_text(name: str, value: object, dialect: Dialect) -> Any:
    """Return a text field; a blank is null for file ids, and for all fields in some dialects."""
    if value == "" and (dialect.blank_is_null or name in ("input_file_id", *FILES)):
        return None
    well_formed = isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)
    return value if value is None or well_formed else BAD


def read_errors(value: object) -> Any:
    """Return any form of `errors` as a tuple of (line, code, message, param), empty if there are none."""
    entries = value.get("data") if isinstance(value, Mapping) else value
    if not isinstance(entries, list | None):
        return BAD
    read = []
    for entry in entries or ():
        named = {"message": entry} if isinstance(entry, str) else entry
        if not isinstance(named, Mapping):
            return BAD
        line, *texts = row = tuple(named.get(key) for key in ("line", "code", "message", "param"))
        if isinstance(line, bool) or not isinstance(line, int | None):
            return BAD
        if not all(isinstance(text, str | None) for text in texts):
            return BAD
        read.append(row)
    return tuple(read)


def read_status(word: Any, dialect: Dialect) -> Any:
    """Return the status that a word names: exactly, or in some dialects in any case and with any separators."""
    if not isinstance(word, str) or word in dialect.stamps:
        return word
    for known in (*dialect.aliases, *dialect.stamps):
        letters = [[letter.lower() for letter in each if letter not in "-_ ."] for each in (word, known)]
        if word == known or (dialect.any_spelling and letters[0] == letters[1]):
            return dialect.aliases.get(known, known)
    return word


def read(wire: Wire, dialect: Dialect) -> dict[str, Any]:
    """Return the 22 fields, and the three counts under their dotted names: a value, None or BAD."""
    fields = {name: read_time(wire.get(name), dialect) for name in TIMES}
    fields |= {name: read_text(name, wire.get(name), dialect) for name in TEXTS}
    fields["status"] = read_status(fields["status"], dialect)
    word = read_text("object", wire.get("object"), dialect)
    fields["object"] = word if word in (None, "batch") else BAD
    fields["errors"] = read_errors(wire.get("errors"))
    for name in ("usage", "metadata", "request_counts"):
        value = wire.get(name)
        fields[name] = value if isinstance(value, Mapping | None) else BAD
    if wire.get("metadata") == []:
        fields["metadata"] = None
    counts = fields["request_counts"]
    for name in COUNTS:
        value = counts.get(name.split(".")[1]) if isinstance(counts, Mapping) else None
        null = value is None and (dialect.null_counts or not isinstance(counts, Mapping))
        fields[name] = value if type(value) is int or null else BAD
    return fields


def known_status(fields: Wire, dialect: Dialect) -> str | None:
    """Return the status if it is in the lifecycle, else None."""
    return fields["status"] if fields["status"] in dialect.stamps else None


def stamped(fields: Wire, dialect: Dialect) -> dict[str, int]:
    """Return the second of every status whose timestamp is set."""
    return {status: fields[name] for status, name in dialect.stamps.items() if name and is_set(fields[name])}


def may_be_null(fields: Wire, dialect: Dialect) -> set[str]:
    """Return the statuses whose missing timestamp proves nothing: optional ones and bad ones."""
    bad = {status for status, name in dialect.stamps.items() if name and fields[name] is BAD}
    return bad | set(dialect.optional)


def lowered(breaches: Iterable[Breach], dialect: Dialect) -> list[Finding]:
    """Return the findings of the breaches (code, severity, whether breached, fields) that the dialect leaves on."""
    findings = []
    for code, level, breached, names in breaches:
        lower = min(level, dialect.lowers.get(code, "error"), key=LEVELS.index)
        if breached and lower != "off":
            findings.append((code, lower, frozenset(names)))
    return findings


def walk_levels(fields: Wire, dialect: Dialect) -> tuple[str, str]:
    """Return the severities of P102 and P103 for a row with a known status, from every walk to it."""
    status, passed = fields["status"], {dialect.initial, *stamped(fields, dialect)}
    strict = [set(walk) for walk in walks(dialect, dialect.initial, status, strict=True)]
    every = [set(walk) for walk in walks(dialect, dialect.initial, status)]
    p102 = "error"
    if any(passed <= walk for walk in strict):
        p102 = "off"
    elif any(passed <= walk for walk in every):
        p102 = "warning"

    passed = {stop for stop in passed if stop == status or reaches(dialect, stop, status)}
    met = passed | {status} | may_be_null(fields, dialect)
    strict = [walk for walk in strict if passed <= walk]
    explained = any(passed <= walk <= met for walk in every)
    if any(walk <= met for walk in strict) or (explained and not strict):
        return p102, "off"
    return p102, "warning" if explained else "error"


def judge_shape(fields: Wire, dialect: Dialect) -> list[Breach]:
    """Return the breaches of S001 to S006."""
    bad = {name for name, value in fields.items() if value is BAD}
    null = {name for name in ("id", "status", "created_at") if fields[name] is None}
    unknown = is_set(fields["status"]) and known_status(fields, dialect) is None
    pairs = list(fields["metadata"].items()) if is_set(fields["metadata"]) else []
    long = any(len(key) > 64 or not isinstance(value, str) or len(value) > 512 for key, value in pairs)
    return [
        ("S001", "error", null, null),
        ("S002", "error", bad - TIMES - {"object"}, bad - TIMES - {"object"}),
        ("S003", "error", "object" in bad, ["object"]),
        ("S004", "error", unknown, ["status"]),
        ("S005", "error", bad & TIMES, bad & TIMES),
        ("S006", "warning", long or len(pairs) > 16, ["metadata"]),
    ]


def judge_stamps(fields: Wire, dialect: Dialect) -> list[Breach]:
    """Return the breaches of P101 to P104."""
    status = known_status(fields, dialect)
    own = dialect.stamps[status] if status else None
    lacks = own and own != "created_at" and fields[own] is None and status not in dialect.optional
    p102, p103 = walk_levels(fields, dialect) if status else ("off", "off")
    return [
        ("P101", "error", lacks, [own or ""]),
        ("P102", p102, True, ()),
        ("P103", p103, True, ()),
        ("P104", "note", fields["expires_at"] is None, ["expires_at"]),
    ]


def judge_times(fields: Wire, seen_at: float | None, dialect: Dialect, skew_s: float) -> list[Breach]:
    """Return the breaches of T201 to T208, the last two as if the row were the first."""

    def exceeds(name: str, other: str) -> bool:
        return is_set(fields[name]) and is_set(fields[other]) and fields[name] > fields[other]

    at = stamped(fields, dialect)
    disorder = any(at[one] > at[two] and precedes(dialect, one, two) for one, two in permutations(at, 2))
    mismatch = id_off = overdue = stuck = False
    unit_s = {"s": 1, "m": 60, "h": 3600, "d": DAY_S}
    created, expires, status = fields["created_at"], fields["expires_at"], known_status(fields, dialect)
    if is_set(fields["completion_window"]) and is_set(created) and is_set(expires):
        window = re.fullmatch("([0-9]{1,4000})([smhd])", fields["completion_window"])
        window_s = int(window[1]) * unit_s[window[2]] if window else expires - created
        mismatch = abs(expires - created - window_s) > dialect.tolerance_s
    if is_set(fields["id"]) and is_set(created):
        hexed = re.fullmatch("batch_([0-9a-f]{8})[0-9a-f]{24}", fields["id"])
        id_off = hexed is not None and abs(int(hexed[1], 16) - created) > 60
    if seen_at is not None and status and status not in TERMINAL and is_set(expires):
        overdue = seen_at > expires + DAY_S
    entered = fields[dialect.stamps[status]] if status and dialect.stamps[status] else None
    if seen_at is not None and status in STUCK_S and is_set(entered):
        stuck = seen_at > entered + STUCK_S[status]
    latest = float("inf") if seen_at is None else seen_at + skew_s
    future = [name for name in STAMPS if is_set(fields[name]) and fields[name] > latest]
    return [
        ("T201", "error", disorder, ()),
        ("T202", "warning", mismatch, ["created_at", "expires_at", "completion_window"]),
        ("T203", "error", exceeds("expires_at", "expired_at"), ["expired_at", "expires_at"]),
        ("T204", "warning", exceeds("completed_at", "expires_at"), ["completed_at", "expires_at"]),
        ("T205", "error", future, future),
        ("T206", "note", id_off, ["id", "created_at"]),
        ("T207", "warning", overdue, ["expires_at"]),
        ("T208", "note", stuck, [dialect.stamps[status or ""] or ""] if stuck else ()),
    ]


def is_expired(fields: Wire, seen_at: float | None, dialect: Dialect) -> bool:
    """Return whether the batch had ended more than 30 days before: by then its files may be gone."""
    status = known_status(fields, dialect)
    ended_at = fields[dialect.stamps[status] or ""] if status in TERMINAL else None
    return seen_at is not None and is_set(ended_at) and seen_at > ended_at + FILES_KEPT_S


def judge_work(fields: Wire, seen_at: float | None, dialect: Dialect) -> list[Breach]:
    """Return the breaches of C301 to C304 and F401 to F405."""
    status, errors = known_status(fields, dialect), fields["errors"]
    total, completed, failed = (fields[name] for name in COUNTS)
    numbers = [fields[name] for name in COUNTS if is_set(fields[name])]
    negative = any(number < 0 for number in numbers)
    left = total - completed - failed if len(numbers) == 3 else 0
    uncounted = status not in (None, "validating", "failed") and fields["request_counts"] is None
    has_file = any(is_set(fields[name]) for name in FILES)
    paid = status == "completed" and is_set(completed) and completed > 0
    return [
        ("C301", "error", negative or left < 0, ()),
        ("C302", "error", status == "completed" and left > 0 and not negative, ()),
        ("C303", "warning", status == "validating" and is_set(total) and total > 0, ()),
        ("C304", "note", uncounted, ()),
        ("F401", "warning", status and status not in TERMINAL and has_file, ()),
        ("F402", "warning", paid and fields["output_file_id"] is None and not is_expired(fields, seen_at, dialect), ()),
        ("F403", "warning", status not in (None, "failed") and errors not in ((), BAD), ()),
        ("F404", "note", status == "failed" and errors == (), ()),
        ("F405", "note", status == "completed" and failed == 0 and is_set(fields["error_file_id"]), ()),
    ]


def judge_row(fields: Wire, seen_at: float | None, dialect: Dialect, skew_s: float) -> list[Finding]:
    """Return the findings of every rule that needs one row only, S001 to F405."""
    breaches = judge_shape(fields, dialect) + judge_stamps(fields, dialect)
    breaches += judge_times(fields, seen_at, dialect, skew_s) + judge_work(fields, seen_at, dialect)
    return lowered(breaches, dialect)


class Journey:
    """The steps that one snapshot of known status adds to the statuses that its batch has entered."""

    def __init__(self, fields: Wire, dialect: Dialect, entered: set[str]) -> None:
        self.dialect, self.entered, self.status = dialect, entered, fields["status"]
        self.at = stamped(fields, dialect)
        self.optional = may_be_null(fields, dialect)
        self.stops = {stop for stop in self.at if stop not in entered and reaches(dialect, stop, self.status)}
        self.implied: set[str] = set()
        if entered:
            # A later snapshot may imply statuses in an earlier gap, if its own route has all that were entered.
            first = {target for _, target, *_ in Journey(fields, dialect, set()).steps(None)}
            self.implied = first - entered - set(self.at) - {self.status} if entered <= first else set()

    def ways(self, source: str, target: str, *, strict: bool, optional: bool) -> list[tuple[str, ...]]:
        """Return the walks through statuses without timestamp (or also optional) that were not entered."""
        free = set(self.dialect.stamps) - set(self.at) - self.entered - {self.status}
        free = free & self.optional if optional else free
        every = walks(self.dialect, source, target, strict=strict)
        return [walk for walk in every if set(walk[1:-1]) <= free]

    def in_order(self, start: str) -> tuple[str, ...]:
        """Return the best order of the stops: by rank, timestamp, fewest unstamped statuses, then table."""

        def merit(order: tuple[str, ...]) -> tuple[list[int], list[int], float, list[int]]:
            legs = pairwise((start, *order, self.status))
            ways = [self.ways(*leg, strict=False, optional=False) for leg in legs]
            unstamped = sum(min((len(way) - 2 for way in some), default=float("inf")) for some in ways)
            ranks, seconds = [rank(self.dialect, stop) for stop in order], [self.at[stop] for stop in order]
            return ranks, seconds, unstamped, [list(self.dialect.stamps).index(stop) for stop in order]

        return min(permutations(self.stops), key=merit)

    def evidence(self, status: str) -> str:
        """Return the kind of evidence that a status was entered."""
        return "observed" if status == self.status else "stamped" if status in self.at else "implied"

    def leg(self, source: str, target: str) -> Iterator[Step]:
        """Yield the steps between two neighbouring stops, and enter them."""
        kinds = [(True, True), (False, True), (True, False), (False, False)]
        some = (self.ways(source, target, strict=strict, optional=optional) for strict, optional in kinds)
        ways = next(filter(None, some), [])
        shared = [status for status in (ways[0][1:-1] if ways else ()) if all(status in way for way in ways)]
        for one, two in pairwise((source, *shared, target)):
            self.entered.add(two)
            if ways and all((one, two) in pairwise(way) for way in ways):
                yield one, two, EVENTS[two], self.at.get(two), self.evidence(two)
            else:
                yield one, two, None, self.at.get(two), "gap"

    def birth(self) -> Step:
        """Enter the initial status and return its step."""
        initial = self.dialect.initial
        self.entered.add(initial)
        self.stops.discard(initial)
        return None, initial, "create", self.at.get(initial), self.evidence(initial)

    def late(self, known: str) -> Iterator[Step]:
        """Yield the steps to the stops that the known status does not reach."""
        ranks = {status: rank(self.dialect, status) for status in self.dialect.stamps}
        missed = [stop for stop in self.stops if not reaches(self.dialect, known, stop)]
        missed += [gap for gap in self.implied if not reaches(self.dialect, known, gap)]
        for stop in sorted(missed, key=ranks.__getitem__):
            self.stops.discard(stop)
            if stop in self.entered:
                continue
            below = [status for status in self.entered if ranks[status] < ranks[stop]]
            yield from self.leg(max(below, key=ranks.__getitem__), stop)

    def steps(self, known: str | None) -> Iterator[Step]:
        """Yield every step from the known status, or from creation, to the present one."""
        if known is None:
            known = self.dialect.initial
            yield self.birth()
        else:
            yield from self.late(known)
        if self.status != known:
            for source, target in pairwise((known, *self.in_order(known), self.status)):
                yield from self.leg(source, target)


@dataclass
class History:
    """The state of one batch: first and last values, highest counts, status, and emitted transitions."""

    dialect: Dialect
    known: str | None = None
    first: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    highest: dict[str, int] = field(default_factory=lambda: {COMPLETED: 0, FAILED: 0})
    last_seen_at: float | None = None
    entered: set[str] = field(default_factory=set)
    emitted: set[tuple[str, int | None]] = field(default_factory=set)
    told: set[tuple[str, str]] = field(default_factory=set)

    def news(self, alone: list[Finding], fields: Wire, seen_at: float | None) -> list[Finding]:
        """Return a row's own findings without T207 and T208 that are stale or that the batch had in this status."""
        kept, status = [], fields["status"]
        for finding in alone:
            if finding[0] not in ("T207", "T208"):
                kept.append(finding)
            elif (finding[0], status) not in self.told and self.way(fields, seen_at)[0] != "H507":
                self.told.add((finding[0], str(status)))
                kept.append(finding)
        return kept

    def is_below(self, fields: Wire) -> bool:
        """Return whether the row has no new value."""
        facts = [name for name in (*LATER_STAMPS, *FILES) if is_set(fields[name])]
        counts = [name for name in (COMPLETED, FAILED) if is_set(fields[name])]
        return (
            all(fields[name] == self.first.get(name, MISSING) for name in facts)
            and (not is_set(fields[TOTAL]) or fields[TOTAL] in (0, self.first.get(TOTAL, 0)))
            and all(fields[name] <= self.highest[name] for name in counts)
        )

    def way(self, fields: Wire, seen_at: float | None) -> tuple[str, str]:
        """Return code and severity of the step from the known status to that of the row."""
        known, status = self.known, known_status(fields, self.dialect)
        if status is None or known is None:
            return "H501", "off"
        # On a cycle a status that was never entered is new, even without a timestamp.
        late = seen_at is not None and self.last_seen_at is not None and seen_at < self.last_seen_at
        news = not late and reaches(self.dialect, known, status) and status not in self.entered
        before = reaches(self.dialect, status, known) and not news
        if status == known and seen_at is not None and self.last_seen_at is not None:
            before = seen_at < self.last_seen_at
        if before and self.is_below(fields):
            return "H507", "note"
        if status == known or walks(self.dialect, known, status, strict=True):
            return "H501", "off"
        if known in TERMINAL:
            return "H502", "error"
        return "H501", "warning" if walks(self.dialect, known, status) else "error"

    def changed(self, fields: Wire, names: Iterable[str]) -> set[str]:
        """Return the fields, null ones too, that differ both from their first and from their last value."""
        known = [name for name in names if name in self.first and fields[name] is not BAD]
        return {name for name in known if fields[name] not in (self.first[name], self.last.get(name, BAD))}

    def has_grown(self, fields: Wire) -> bool:
        """Return whether a count is higher, errors differ or timestamps are new since the last row."""
        counts = [name for name in COUNTS if is_set(fields[name]) and name in self.last]
        stamps = [name for name in LATER_STAMPS if is_set(fields[name]) and name not in self.first]
        return (
            any(fields[name] > self.last[name] for name in counts)
            or fields["errors"] not in (BAD, self.last.get("errors", fields["errors"]))
            or any(self.last.get(name, MISSING) is None for name in stamps)
        )

    def judge(self, fields: Wire, seen_at: float | None, way: tuple[str, str]) -> list[Finding]:
        """Return the findings of H501 to H508 against the state before the row."""
        identity = {name for name in self.changed(fields, IDENTITY) if fields[name] is not None}
        stamps, files = self.changed(fields, LATER_STAMPS), self.changed(fields, FILES)
        if is_expired(fields, seen_at, self.dialect):
            files = {name for name in files if fields[name] is not None}
        counts = {name for name in self.changed(fields, [TOTAL]) if fields[name] is not None}
        given = [name for name in (COMPLETED, FAILED) if is_set(fields[name]) and name in self.last]
        counts |= {name for name in given if fields[name] < self.last[name]}
        judged = way[0] != "H507" and way[1] != "error"
        ended = judged and self.known in TERMINAL and fields["status"] == self.known
        breaches: list[Breach] = [
            (*way, True, ()),
            ("H503", "error", identity, identity),
            ("H504", "error", judged and stamps, stamps),
            ("H505", "error", judged and counts, counts),
            ("H506", "error", judged and files, files),
            ("H508", "warning", ended and not stamps | counts | files and self.has_grown(fields), ()),
        ]
        return sorted(lowered(breaches, self.dialect), key=lambda finding: finding[0])

    def learn(self, fields: Wire, *, stale: bool) -> None:
        """Store first values, and unless the row is stale its last values and highest counts."""
        for name in IDENTITY if stale else (*IDENTITY, *LATER_STAMPS, *FILES, TOTAL):
            if is_set(fields[name]) and (name != TOTAL or fields[name] > 0):
                self.first.setdefault(name, fields[name])
        if stale:
            return
        for name in (*IDENTITY, *LATER_STAMPS, *FILES, *COUNTS, "errors"):
            if is_set(fields[name]) or (fields[name] is None and name in (*LATER_STAMPS, *FILES)):
                self.last[name] = fields[name]
            if name in self.highest and is_set(fields[name]):
                self.highest[name] = max(self.highest[name], fields[name])

    def observe(self, fields: Wire, seen_at: float | None) -> tuple[list[Finding], list[BatchUpdate]]:
        """Fold one row; return its findings and transitions."""
        status, way = known_status(fields, self.dialect), self.way(fields, seen_at)
        findings = self.judge(fields, seen_at, way)
        changes: list[BatchUpdate] = []
        self.learn(fields, stale=way[0] == "H507")
        if way[0] == "H507":
            return findings, changes
        self.last_seen_at = seen_at
        if status is None or status == self.known:
            return findings, changes
        if way[1] == "error":
            self.entered, self.known = {self.dialect.initial, status}, status
            return findings, changes
        for source, target, _, at, evidence in Journey(fields, self.dialect, self.entered).steps(self.known):
            if (target, at) not in self.emitted:
                self.emitted.add((target, at))
                changes.append((source, target, at, evidence))
        self.known = status
        return findings, changes


def read_row(row: Row, table: Dialect, skew_s: float) -> tuple[dict[str, Any], list[Finding] | None]:
    """Return the fields of a row and its own findings; only null fields and None if it is unreadable."""
    if all(row[0].get(name) is None for name in ("id", "status", "created_at")):
        return read({}, table), None
    fields = read(row[0], table)
    return fields, judge_row(fields, row[1], table, skew_s)


def judge(rows: Sequence[Row], dialect: str = "openai", *, skew_s: float = 60) -> list[list[Finding] | None]:
    """
    Return the findings of every row in an audit, in rule order; None for an unreadable row.

    Args:
        rows: Wire objects and their times of observation, in place order; batches may be mixed.
    """
    table = DIALECTS[dialect]
    judged = [read_row(row, table, skew_s) for row in rows]
    batches: dict[str, list[tuple[float, int]]] = {}
    for place, (fields, _) in enumerate(judged):
        if is_set(fields["id"]):
            batch = batches.setdefault(fields["id"], [(float("-inf"), -1)])
            seen_at = rows[place][1]
            batch.append((batch[-1][0] if seen_at is None else seen_at, place))
    for batch in batches.values():
        history = History(table)
        for _, place in sorted(batch[1:]):
            fields, alone = judged[place]
            alone = history.news(alone or [], fields, rows[place][1])
            judged[place] = fields, alone + history.observe(fields, rows[place][1])[0]
    return [findings for _, findings in judged]


def fold(
    rows: Sequence[Row], dialect: str = "openai"
) -> tuple[list[list[Finding] | None], list[list[BatchUpdate]], str | None]:
    """
    Return findings and transitions of every row in a monitor of one batch, and the last known status.

    Args:
        rows: Wire objects and their times of observation, in order; one without readable id is judged alone.
    """
    history = History(DIALECTS[dialect])
    judged: list[list[Finding] | None] = []
    emitted: list[list[BatchUpdate]] = []
    for row in rows:
        fields, alone = read_row(row, history.dialect, 60)
        if alone is not None and is_set(fields["id"]):
            alone = history.news(alone, fields, row[1])
        findings, changes = history.observe(fields, row[1]) if is_set(fields["id"]) else ([], [])
        judged.append(None if alone is None else alone + findings)
        emitted.append(changes)
    return judged, emitted, history.known


def route(mapping: Wire, dialect: str = "openai") -> list[Step]:
    """Return the first-sight route of one snapshot, empty if its status is unknown."""
    table = DIALECTS[dialect]
    fields = read(mapping, table)
    return list(Journey(fields, table, set()).steps(None)) if known_status(fields, table) else []
