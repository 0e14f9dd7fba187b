"""The seven promises of `Monitor.observe`: which transitions are emitted, to which hooks, how often, in which order."""

import functools
from collections.abc import Callable
from itertools import permutations, product, zip_longest
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchfsm import (
    DIALECTS,
    RULES,
    Dialect,
    Finding,
    HookError,
    IllegalTransitionError,
    Lifecycle,
    Monitor,
    Observation,
    SnapshotError,
    State,
    Step,
    TrackedBatch,
    Transition,
    audit,
    parse,
)
from batchfsm.errors import UnknownNameError
from batchfsm.finding import verdict_of
from batchfsm.history import BatchRecord, Fold
from batchfsm.monitor.delivery import RunQueue
from batchfsm.wire import ParsedRow, reader
from support import oracle
from support.histories import FIELDS, logs, written
from support.notation import CREATED, DAY_S, WORDS, seen, snap

Row = dict[str, Any]

PATHS = ("v", "vp", "vpz", "vpzc", "vpze", "vf", "vg", "vgx", "vpg", "vpgx")
"""Every prefix of every documented way to an end."""


BLIND = Dialect(name="blind", severities=dict.fromkeys(RULES, "off"))
"""OpenAI's lifecycle with every rule off: nothing is reported, and nothing else may change."""


class Subscription:
    """A hook that records the calls from which it returned, and raises as configured."""

    def __init__(self, *raises: BaseException | None) -> None:
        """Take the exceptions for the first calls; None means to return."""
        self.raises = list(raises)
        self.heard: list[str] = []
        """The targets of what it returned from; of findings the rule."""
        self.calls = 0

    def __call__(self, subject: Transition | Finding) -> None:
        """Record a transition or a finding."""
        self.calls += 1
        if (error := self.raises.pop(0) if self.raises else None) is not None:
            raise error
        self.heard.append(subject.target if isinstance(subject, Transition) else subject.rule)


def listening(monitor: Monitor, *raises: BaseException | None, name: str = "listener") -> Subscription:
    """Register a hook that records every transition."""
    return monitor.on(name=name)(Subscription(*raises))


def rules(observation: Observation) -> list[str]:
    """Return the rules of an observation's findings."""
    return [finding.rule for finding in observation.findings]


def targets(observation: Observation) -> list[str]:
    """Return the statuses that an observation reported as entered."""
    return [transition.target for transition in observation.transitions]


# ---------------------------------------------------------------- 1: first sight


@pytest.mark.parametrize("path", PATHS)
def test_first_sight_emits_the_whole_route(path: str):
    """One snapshot of a legal timeline emits every step since the birth, each with its time."""
    transitions = Monitor().observe(snap(path)).transitions

    stamps = [snap(path)["created_at" if letter == "v" else f"{WORDS[letter]}_at"] for letter in path]
    assert [(WORDS[letter], at) for letter, at in zip(path, stamps, strict=True)] == [
        (transition.target, transition.at) for transition in transitions
    ]
    assert [None, *(WORDS[letter] for letter in path[:-1])] == [transition.source for transition in transitions]
    assert (None, "create", CREATED) == (transitions[0].source, transitions[0].event, transitions[0].at)
    assert ["stamped"] * (len(path) - 1) + ["observed"] == [transition.evidence for transition in transitions]


@pytest.mark.parametrize("path", PATHS)
def test_a_transition_holds_all_that_a_hook_needs(path: str):
    """It has the id of the batch, the key, the snapshot, the time of observation, and whether the status is final."""
    batch = snap(path, extra_key="kept")
    monitor, heard = Monitor(), []
    monitor.on(name="all")(heard.append)

    monitor.observe(batch, observed_at=CREATED + 5.0 * DAY_S)

    whole = parse(batch, observed_at=CREATED + 5.0 * DAY_S)
    assert [(whole, whole.observed_at, "batch_1")] * len(path) == [
        (transition.snapshot, transition.observed_at, transition.batch_id) for transition in heard
    ]
    assert [f"batch_1/{transition.target}/{transition.at}" for transition in heard] == [each.key for each in heard]
    assert [letter in "cfex" for letter in path] == [transition.terminal for transition in heard]


@pytest.mark.parametrize("status", oracle.STATUSES)
def test_first_sight_is_the_oracles_route_for_every_set_of_stamps(status: str):
    """All 128 sets of stamps with each status, legal or not, give the oracle's statuses, times, events and evidence."""
    for given_stamps in product((False, True), repeat=7):
        seconds = {name: CREATED + 60 * number for number, name in enumerate(oracle.LATER_STAMPS, 1)}
        stamps = {name: seconds[name] if is_set else None for name, is_set in zip(seconds, given_stamps, strict=True)}
        batch = snap("v", status=status, **stamps)

        assert oracle.route(batch) == [
            (each.source, each.target, each.event, each.at, each.evidence)
            for each in Monitor().observe(batch).transitions
        ]


def test_a_status_inside_a_gap_is_not_guessed():
    """A cancelled batch without other stamps was validating and cancelling; other statuses are not emitted."""
    monitor = Monitor()
    listener = listening(monitor)

    observation = monitor.observe(snap("vx"))

    assert [("validating", "create", "stamped"), ("cancelling", None, "gap"), ("cancelled", "stop", "observed")] == [
        (each.target, each.event, each.evidence) for each in observation.transitions
    ]
    assert ["validating", "cancelling", "cancelled"] == listener.heard


def test_without_a_time_of_creation_the_birth_is_implied():
    """The birth is emitted, and its key has no time."""
    (birth,) = Monitor().observe(snap("v", created_at=None)).transitions

    assert (None, "observed", "batch_1/validating/") == (birth.at, birth.evidence, birth.key)


# ---------------------------------------------------------------- 2: the same status


@pytest.mark.parametrize("path", PATHS)
def test_the_same_status_emits_nothing(path: str):
    """No repetition emits a transition, whether of the same object or of an equal one."""
    monitor = Monitor()
    listener = listening(monitor)
    monitor.observe(snap(path))

    again = [monitor.observe(snap(path, usage={"total_tokens": number})) for number in range(3)]

    assert [Observation((), (), "consistent", delivered=True)] * 3 == again
    assert [WORDS[letter] for letter in path] == listener.heard


def test_in_the_same_status_knowledge_grows():
    """The state of the batch has the counts, files and stamps of the last snapshot."""
    monitor = Monitor()
    monitor.observe(snap("vp"))

    monitor.observe(snap("vp", request_counts={"total": 8, "completed": 5, "failed": 0}, model="gpt-6"))

    known = monitor["batch_1"].snapshot
    assert (5, "gpt-6") == (known.request_counts.completed, known.model)


def test_in_the_same_status_history_is_judged():
    """A count that decreases is a finding although the status is the same."""
    monitor = Monitor()
    monitor.observe(snap("vp"))

    fewer = monitor.observe(snap("vp", request_counts={"total": 8, "completed": 2, "failed": 0}))

    assert (["H505"], [], "inconsistent") == (rules(fewer), targets(fewer), fewer.verdict)


# ---------------------------------------------------------------- 3: a reachable status


@pytest.mark.parametrize("known, then", [
    (path[:length], path) for path in PATHS for length in range(1, len(path))
])  # fmt: skip
def test_every_step_between_is_emitted_in_order_and_once(known: str, then: str):
    """Statuses missed between two polls are emitted from their stamps, in order."""
    monitor = Monitor()
    listener = listening(monitor)
    monitor.observe(snap(known))

    observation = monitor.observe(snap(then))

    missed = [WORDS[letter] for letter in then[len(known) :]]
    assert missed == targets(observation)
    assert [WORDS[letter] for letter in then] == listener.heard
    assert ["stamped"] * (len(missed) - 1) + ["observed"] == [each.evidence for each in observation.transitions]
    assert [] == rules(observation)


def test_a_poller_who_missed_three_states_fires_three_transitions():
    """Validating and then completed emit in_progress, finalizing and completed, with their times and events."""
    monitor = Monitor()
    monitor.observe(snap("v"))

    assert [
        ("validating", "in_progress", "start", CREATED + 60, "stamped", False),
        ("in_progress", "finalizing", "finalize", CREATED + 120, "stamped", False),
        ("finalizing", "completed", "complete", CREATED + 180, "observed", True),
    ] == [
        (each.source, each.target, each.event, each.at, each.evidence, each.terminal)
        for each in monitor.observe(snap("vpzc")).transitions
    ]


def test_a_tolerated_way_is_emitted_and_warned_of():
    """From in_progress to failed is legal with warnings, under each policy for illegal moves."""
    for policy in ("adopt", "hold", "raise"):
        monitor = Monitor(on_illegal=policy)
        monitor.observe(snap("vp"))

        observation = monitor.observe(snap("vpf"))

        assert (["failed"], ["P102", "H501"], "consistent") == (
            targets(observation), rules(observation), observation.verdict,
        )  # fmt: skip


# ---------------------------------------------------------------- 4: stale reads


@pytest.mark.parametrize("known, stale", [
    (path, path[:length]) for path in PATHS for length in range(1, len(path))
])  # fmt: skip
def test_an_earlier_view_emits_nothing_and_loses_nothing(known: str, stale: str):
    """The finding is H507, and the monitor keeps its record of the batch."""
    monitor = Monitor()
    monitor.observe(snap(known))
    before = monitor["batch_1"]

    observation = monitor.observe(snap(stale))

    assert (["H507"], (), "consistent") == (rules(observation), observation.transitions, observation.verdict)
    assert before == monitor["batch_1"]


@pytest.mark.parametrize("path", [path for path in PATHS if path[-1] in "cfex"])
def test_hooks_hear_the_same_in_whatever_order_snapshots_come(path: str):
    """Any order of any subset of the snapshots emits each status up to the furthest one once, in order."""
    lives = seen(path)
    for size in range(1, len(lives) + 1):
        for order in permutations(range(len(lives)), size):
            monitor = Monitor()
            listener = listening(monitor)
            found = [rules(monitor.observe(lives[place])) for place in order]

            furthest = max(order) + 1
            assert [WORDS[letter] for letter in path[:furthest]] == listener.heard, order
            assert WORDS[path[furthest - 1]] == monitor["batch_1"].status, order
            assert {"H507"} >= {rule for each in found for rule in each}, order


@pytest.mark.logic
@given(log=logs, dialect=st.sampled_from(list(DIALECTS)))
def test_no_key_of_a_batch_is_ever_emitted_twice(log: list[Any], dialect: str):
    """It holds for any rows in any order, including adopted moves and garbage."""
    monitor = Monitor(dialect)
    keys: list[str] = []
    for wire, clock in written(log):
        for batch in (wire, dict(wire)):
            try:
                observation = monitor.observe(batch | {"id": "batch_1"}, observed_at=clock)
            except SnapshotError:
                continue
            keys += [transition.key for transition in observation.transitions]

    assert len(set(keys)) == len(keys)


# ---------------------------------------------------------------- 5: anything else


def test_adopt_follows_the_server():
    """The move is a finding and no transition; first values stay, and later steps are emitted again."""
    monitor = Monitor()
    observations = [monitor.observe(batch) for batch in seen("vpzcpzc")]

    assert [["H502"], ["H504"], ["H504"]] == [rules(each) for each in observations[4:]]
    assert [[], ["finalizing"], ["completed"]] == [targets(each) for each in observations[4:]]
    assert ("completed", "inconsistent") == (monitor["batch_1"].status, monitor["batch_1"].verdict)


def test_hold_keeps_the_status():
    """The move is the same finding, and the status of the batch does not change."""
    monitor = Monitor(on_illegal="hold")
    observations = [monitor.observe(batch) for batch in seen("vpzcp")]

    assert (["H502"], []) == (rules(observations[-1]), targets(observations[-1]))
    assert "completed" == monitor["batch_1"].status


@pytest.mark.parametrize("path, message, reachable", [
    ("vpzcp", "batch_1 cannot go from completed to in_progress; completed is final", ()),
    (
        "vpzp",
        "batch_1 cannot go from finalizing to in_progress; it leads to completed, failed, expired, cancelling, cancelled",
        ("completed", "failed", "expired", "cancelling", "cancelled"),
    ),
])  # fmt: skip
def test_raise_holds_and_then_raises(path: str, message: str, reachable: tuple[str, ...]):
    """The error lists the legal steps and has the observation; the status of the batch does not change."""
    monitor = Monitor(on_illegal="raise")
    for batch in seen(path[:-1]):
        monitor.observe(batch)

    with pytest.raises(IllegalTransitionError) as raised:
        monitor.observe(snap(path))

    error = raised.value
    assert message == str(error)
    assert ("batch_1", WORDS[path[-2]], WORDS[path[-1]], reachable) == (
        error.batch_id, error.source, error.target, error.reachable,
    )  # fmt: skip
    assert ([(path[-2] == "c" and "H502") or "H501"], ()) == (rules(error.observation), error.observation.transitions)
    assert WORDS[path[-2]] == monitor["batch_1"].status


def test_raise_raises_each_time():
    """An unchanged illegal snapshot raises again, even in a dialect in which the rule is off."""
    for dialect in ("openai", Dialect(name="blind", severities={"H502": "off"})):
        monitor = Monitor(dialect, on_illegal="raise")
        monitor.observe(snap("vpzc"))
        for _ in range(3):
            with pytest.raises(IllegalTransitionError):
                monitor.observe(snap("vf"))
        assert "completed" == monitor["batch_1"].status


def test_hooks_run_before_an_illegal_move_raises():
    """Hooks on findings are called first, and their errors become the cause of the error."""
    monitor = Monitor(on_illegal="raise")
    listener = monitor.on_finding(Subscription(ValueError("told")))
    monitor.observe(snap("vpzc"))

    with pytest.raises(IllegalTransitionError) as raised:
        monitor.observe(snap("vf"))

    assert 1 == listener.calls
    assert isinstance(raised.value.__cause__, HookError)
    assert [ValueError] == [type(each) for each in raised.value.__cause__.exceptions]


def test_another_policy_is_refused():
    """A wrong value of `on_illegal` is an error of the constructor."""
    with pytest.raises(ValueError, match="on_illegal is 'adopt', 'hold' or 'raise', not 'ignore'"):
        Monitor(on_illegal="ignore")


@pytest.mark.logic
@given(log=logs, policy=st.sampled_from(["hold", "raise"]), dialect=st.sampled_from([*DIALECTS.values(), BLIND]))
def test_raise_is_hold_with_an_error(log: list[Any], policy: str, dialect: Dialect):
    """Both policies return the same observations; `raise` raises exactly for moves without a walk."""
    fold, track, read = Fold(dialect, on_illegal="hold"), BatchRecord(), reader(dialect).read
    monitor = Monitor(dialect, on_illegal=policy)
    for wire, clock in written(log):
        try:
            folded = fold.apply(track, read(wire | {"id": "batch_1"}, clock))
        except SnapshotError:
            continue
        try:
            observation = monitor.observe(wire | {"id": "batch_1"}, observed_at=clock)
        except IllegalTransitionError as error:
            assert policy == "raise"
            assert folded.is_illegal
            observation = error.observation
        else:
            assert policy == "hold" or not folded.is_illegal
        assert (folded.findings, folded.transitions) == ([*observation.findings], [*observation.transitions])
        assert track.status in (None, monitor["batch_1"].status)


# ---------------------------------------------------------------- the fold, through the monitor


def reused(batch: Row, wire: Row) -> Row:
    """Change a dict in place into another snapshot, as a caller does who polls into one dict."""
    batch.clear()
    batch.update(wire)
    return batch


def compared(  # noqa: PLR0917  # The arguments are those of two observations of one snapshot.
    monitor: Monitor, fold: Fold, tracks: dict[str, BatchRecord], batch: Row, clock: float | None, read: Any
) -> None:
    """Observe a snapshot and fold it; compare the findings, transitions and records."""
    try:
        snapshot = read(dict(batch), clock)
    except SnapshotError:
        snapshot = None
    if snapshot is None or snapshot.id is None:
        with pytest.raises(SnapshotError):
            monitor.observe(batch, observed_at=clock)
        return
    track = tracks.setdefault(snapshot.id, BatchRecord())
    folded = fold.apply(track, snapshot)

    observation = monitor.observe(batch, observed_at=clock)

    assert folded.findings == [*observation.findings]
    assert folded.transitions == [*observation.transitions]
    assert verdict_of(folded.findings, judged=fold.can_judge(ParsedRow.of(snapshot))) == observation.verdict
    known = monitor[snapshot.id]
    assert (track.snapshot(snapshot.id), track.verdict) == (known.snapshot, known.verdict)
    assert track.status in (None, known.status)
    assert [(leg.target, at) for leg, at in zip(track.steps_taken, track.times, strict=True)] == [
        (each.target, each.at) for each in known.transitions
    ]


def monitor_against_fold(dialect: Dialect, first: list[Any], second: list[Any], times: int, *, clocked: bool) -> None:
    """
    Observe two logs as two batches and fold them, and compare after each row.

    The healthy paths come first, so the monitor's cached transitions meet both logs. Each row of the logs comes
    `times` times, in one dict that the caller reuses.
    """
    fold, read, monitor = Fold(dialect), reader(dialect).read, Monitor(dialect)
    tracks: dict[str, BatchRecord] = {}
    batch: Row = {}
    for path in PATHS:
        for wire in seen(path, id=path):
            compared(monitor, fold, tracks, reused(batch, wire), CREATED + 2.0 * DAY_S if clocked else None, read)
    for name, log in (("batch_1", first), ("batch_2", second)):
        for wire, clock in [row for row in written(log) for _ in range(times)]:
            wire = wire | ({"id": name} if wire["id"] == "batch_1" else {})  # noqa: PLW2901
            compared(monitor, fold, tracks, reused(batch, wire), clock, read)
    assert len(tracks) == len(monitor)


TWO_LOGS = st.tuples(logs, logs, st.integers(1, 3), st.booleans())


@pytest.mark.logic
@given(dialect=st.sampled_from([*DIALECTS.values(), BLIND]), case=TWO_LOGS)
@settings(max_examples=40)
def test_the_monitor_reports_what_the_fold_finds(dialect: Dialect, case: Any):
    """A monitor that has seen other batches returns the findings and transitions of a fold without a cache."""
    *log, clocked = case
    monitor_against_fold(dialect, *log, clocked=clocked)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", [*DIALECTS.values(), BLIND], ids=[*DIALECTS, "blind"])
@given(case=TWO_LOGS)
@settings(max_examples=40)
def test_the_monitor_reports_what_the_fold_finds_in_every_dialect(dialect: Dialect, case: Any):
    """Many pairs of logs in each dialect give the findings and transitions of a fold without a cache."""
    *log, clocked = case
    monitor_against_fold(dialect, *log, clocked=clocked)


LATE = ("endpoint", "model", "input_file_id", "completion_window", "request_counts", "metadata")
"""Fields that a first snapshot may lack without a finding."""


def life(path: str, batch_id: str, *, late: bool) -> list[Row]:
    """Return a healthy life; counts grow within a status, a file comes after the end, and fields may be late."""
    rows: list[Row] = []
    for row in seen(path, id=batch_id):
        if row["status"] == "in_progress":
            rows.append(row | {"request_counts": {"total": 8, "completed": 1, "failed": 0}})
        if row["error_file_id"]:
            rows.append(row | {"error_file_id": None})
        rows.append(row)
    rows[0] |= dict.fromkeys(LATE if late else ())
    return rows


@pytest.mark.logic
@pytest.mark.parametrize("clocked, late", [(False, False), (False, True), (True, False)])
@pytest.mark.parametrize(
    "path", ["vf", "vgx", *(pytest.param(each, marks=pytest.mark.slow) for each in ("vpzc", "vpze", "vpgx"))]
)
def test_a_beaten_way_is_taken_by_no_other_values(path: str, clocked: bool, late: bool):  # noqa: FBT001
    """If a batch differs from a cached one in a value of one row, its findings are those of a fold."""
    fold, read = Fold(DIALECTS["openai"]), reader(DIALECTS["openai"]).read
    monitor, tracks = Monitor(), {}
    clocks = [CREATED + 2.0 * DAY_S + number if clocked else None for number in range(9)]
    for row, clock in zip(life(path, "teacher", late=late), clocks, strict=False):
        compared(monitor, fold, tracks, row, clock, read)
    changes = [
        (name, value)
        for name, values in FIELDS.items()
        for value in values[:12]
        if name != "id" and type(value) in (type(None), int, str, dict)  # Others are read field by field.
    ]
    for number, ((name, value), place) in enumerate(product(changes, range(len(life(path, "", late=late))))):
        rows = life(path, f"batch_{number}", late=late)
        rows[place] |= {name: value}
        for row, clock in zip(rows, clocks, strict=False):
            compared(monitor, fold, tracks, row, clock, read)


@pytest.mark.parametrize("path", PATHS)
def test_a_beaten_way_is_not_taken_by_an_earlier_view(path: str):
    """If the second snapshot in a status is an earlier view, the findings are those of the fold, not of the cache."""
    fold, read, monitor, tracks = Fold(DIALECTS["openai"]), reader(DIALECTS["openai"]).read, Monitor(), {}
    for name, second in (("teacher", 200.0), ("batch_1", 50.0)):
        for clock, team in (
            (100.0, "search"),
            (second, "other"),
        ):  # With the same metadata it would be an unchanged snapshot.
            row = snap(path, id=name, metadata={"team": team})
            compared(monitor, fold, tracks, row, CREATED + DAY_S + 1000 + clock, read)

    assert {"consistent"} == {monitor[name].verdict for name in ("teacher", "batch_1")}


CIRCLE = Dialect(
    name="circle",
    steps=(Step("finalizing", "cancel", "cancelling"), Step("cancelling", "finalize", "finalizing")),
)
CIRCLES = ("v", "vpzg", "vpgz", "vpzgx", "vpgzx", "vgzx", "vpzgzc", "vgzc", "vx")
"""Ways on a cycle, where only seconds tell which status came first."""


FEW = {
    ("openai", "v"),
    ("openai", "vpzc"),
    ("openai", "vpgx"),
    ("circle", "vpzg"),
    ("circle", "vgzc"),
    ("compatible", "vpgz"),
}
"""The first lives with which the default run begins; all others are slow."""


@pytest.mark.logic
@pytest.mark.parametrize(
    "dialect, first",
    [
        pytest.param(*each, marks=() if each in FEW else pytest.mark.slow)
        for each in [*product(["openai"], PATHS), *product(["circle", "compatible"], CIRCLES)]
    ],
)
def test_a_strange_way_is_as_strange_the_second_time(dialect: str, first: str):
    """Three lives under one id, legal or not, are judged as by a fold, and so is a second batch that repeats them."""
    named = CIRCLE if dialect == "circle" else DIALECTS[dialect]
    read, paths = reader(named).read, PATHS if dialect == "openai" else CIRCLES
    for policy in ("adopt", "hold"):
        fold, monitor, tracks = Fold(named, on_illegal=policy), Monitor(named, on_illegal=policy), {}
        for then, last in product(paths, paths):
            lives = [snap(first), snap(then, at=[0, *range(500, 499 + len(then))]), snap(last)]
            for name, row in product(("one", "two"), lives):
                for _ in range(2):
                    compared(monitor, fold, tracks, row | {"id": f"{name} {then} {last}"}, None, read)


def monitor_against_auditor(dialect: str, first: list[Any], second: list[Any], clock: float | None) -> None:
    """Observe two batches in turns and audit the same rows; compare the findings, their order and the verdict."""
    monitor, rows, findings = Monitor(dialect), [], []
    for number, pair in enumerate(zip_longest(written(first), written(second))):
        for name, row in zip(("batch_1", "batch_2"), pair, strict=True):
            if row is not None:
                seen_at = None if clock is None else CREATED + clock * number
                rows.append({"observed_at": seen_at, "batch": row[0] | {"id": name}})
                findings += monitor.observe(rows[-1]).findings

    report = audit(rows, dialect=dialect, max_findings=10_000)

    assert findings == [*report.findings]
    assert (len(rows), len(monitor), 0) == (report.snapshots, report.batches, report.unreadable_count)
    assert ("inconsistent" in [monitor[name].verdict for name in ("batch_1", "batch_2") if name in monitor]) == (
        "inconsistent" == report.verdict
    )


TWO_LOGS_BY_TURNS = st.tuples(logs, logs, st.sampled_from([None, 0.0, 10.0, 3600.0, 1.0 * DAY_S]))


@pytest.mark.logic
@given(dialect=st.sampled_from([*DIALECTS]), case=TWO_LOGS_BY_TURNS)
@settings(max_examples=40)
def test_the_monitor_reports_what_the_auditor_reports(dialect: str, case: Any):
    """The findings and the verdict of two batches, in order of observation, are those of an audit."""
    monitor_against_auditor(dialect, *case)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
@given(case=TWO_LOGS_BY_TURNS)
@settings(max_examples=40)
def test_the_monitor_reports_what_the_auditor_reports_in_every_dialect(dialect: str, case: Any):
    """Many pairs of logs in each dialect have the findings and the verdict of an audit."""
    monitor_against_auditor(dialect, *case)


# ---------------------------------------------------------------- the shortcut for an unchanged snapshot


def test_a_change_in_the_callers_own_object_is_seen():
    """If the caller changes the status in the same dict, the transition is emitted."""
    monitor, batch = Monitor(), snap("vp")
    monitor.observe(batch)

    batch |= {"status": "finalizing", "finalizing_at": CREATED + 120}

    assert ["finalizing"] == targets(monitor.observe(batch))


@pytest.mark.parametrize("name, value, expected", [
    ("request_counts", {"total": 8, "completed": 2, "failed": 0}, ["H505"]),
    ("request_counts", {"total": 8, "completed": 99, "failed": 0}, ["C301"]),
    ("metadata", {"k": "x" * 513}, ["S006"]),
    ("errors", {"data": [{"code": "late"}]}, ["F403"]),
    ("in_progress_at", CREATED + 61, ["H504"]),
])  # fmt: skip
def test_a_change_inside_the_callers_own_object_is_seen(name: str, value: object, expected: list[str]):
    """If a nested mapping grows in place, the change is observed."""
    monitor, batch = Monitor(), snap("vp")
    monitor.observe(batch)
    monitor.observe(batch)

    if isinstance(batch[name], dict):
        batch[name].clear()
        batch[name].update(value)
    else:
        batch[name] = value

    assert [expected, expected] == [rules(monitor.observe(batch)), rules(Monitor().observe(batch)) or expected]


def test_metadata_that_grows_over_the_limit_is_seen():
    """Metadata is not stored; its size is checked in each snapshot."""
    monitor, batch = Monitor(), snap("vp")
    found = []
    for number in range(20):
        batch["metadata"][f"key_{number}"] = ""
        found.append(rules(monitor.observe(batch)))

    assert [[]] * 15 + [["S006"]] * 5 == found  # It had one pair at first.


@pytest.mark.parametrize("value", [True, 1.0])
def test_equal_is_not_the_same_type(value: object):
    """True and 1.0 equal 1 and are invalid counts."""
    monitor = Monitor()
    one = {"total": 1, "completed": 0, "failed": 0}
    monitor.observe(snap("vp", request_counts=one))

    assert ["S002"] == rules(monitor.observe(snap("vp", request_counts=one | {"total": value})))


def test_a_number_is_not_its_equal_boolean_in_a_time():
    """True is no valid time, even if the stored time is 1 second."""
    monitor = Monitor()
    batch = snap("vp", created_at=1, in_progress_at=1, expires_at=1 + DAY_S)
    monitor.observe(batch)

    assert ["S005"] == rules(monitor.observe(batch | {"in_progress_at": True}))


def test_errors_that_vanish_are_seen():
    """Errors are not among the compared values; their loss is still reported as F404 and H508."""
    monitor = Monitor()
    monitor.observe(snap("vf"))

    assert ["F404", "H508"] == rules(monitor.observe(snap("vf", errors=None)))


def test_what_was_bad_and_is_null_now_is_seen():
    """A row with an invalid stamp and the same row with null are different snapshots, even if rule S005 is off."""
    monitor = Monitor(Dialect(name="times of its own", severities={"S005": "off"}))
    monitor.observe(snap("vp", in_progress_at="soon"))

    assert ["P101"] == rules(monitor.observe(snap("vp", in_progress_at=None)))


def test_an_unchanged_snapshot_with_an_older_clock_is_a_stale_read():
    """The same row with an earlier `observed_at` is an earlier view of the same status."""
    monitor, batch = Monitor(), snap("vp")
    monitor.observe(batch, observed_at=CREATED + 200.0)

    assert ["H507"] == rules(monitor.observe(batch, observed_at=CREATED + 100.0))


def test_an_unchanged_snapshot_with_a_newer_clock_moves_the_clock():
    """After the same row at 200 and at 400, a row at 300 with a lower count is an earlier view."""
    monitor, batch = Monitor(), snap("vp")
    monitor.observe(batch, observed_at=CREATED + 200.0)
    monitor.observe(batch, observed_at=CREATED + 400.0)

    fewer = snap("vp", request_counts={"total": 8, "completed": 1, "failed": 0})

    assert ["H507"] == rules(monitor.observe(fewer, observed_at=CREATED + 300.0))
    assert CREATED + 400 == monitor["batch_1"].snapshot.observed_at


def test_an_unchanged_snapshot_without_a_clock_forgets_the_clock():
    """The last live row has no `observed_at`, so a lower count is a decrease and no earlier view."""
    monitor, batch = Monitor(), snap("vp")
    monitor.observe(batch, observed_at=CREATED + 200.0)
    monitor.observe(batch)

    fewer = snap("vp", request_counts={"total": 8, "completed": 1, "failed": 0})

    assert ["H505"] == rules(monitor.observe(fewer, observed_at=CREATED + 100.0))


def test_time_alone_makes_an_unchanged_batch_overdue():
    """T207 appears a day after the deadline although no field has changed, and is reported once for the status."""
    monitor, batch = Monitor(), snap("vp")
    hours = [24.0, 47.0, 48.0, 48.1, 60.0]

    found = [rules(monitor.observe(batch, observed_at=CREATED + 3600 * hour)) for hour in hours]

    assert [[], [], [], ["T207"], []] == found


@pytest.mark.parametrize("clock", [-5.0, 0.0, float("nan"), float("inf"), 1e300])
def test_a_clock_of_an_envelope_that_is_none_is_reported_as_the_auditor_reports_it(clock: float):
    """A negative or infinite time, or a value that is no number, breaks rule S002 for observed_at."""
    envelope = {"observed_at": clock, "batch": snap("vp")}

    assert ["S002"] == rules(Monitor().observe(envelope)) == [each.rule for each in audit([envelope]).findings]


# ---------------------------------------------------------------- verdicts and what is kept


def test_a_verdict_is_about_one_observation():
    """An error and then no finding are inconsistent and consistent; the batch itself stays inconsistent."""
    monitor = Monitor()

    verdicts = [
        (monitor.observe(batch).verdict, monitor["batch_1"].verdict)
        for batch in (snap("vp"), snap("vp", at=[0, 61]), snap("vp", at=[0, 61]))
    ]

    assert [("consistent", "consistent"), ("inconsistent", "inconsistent"), ("consistent", "inconsistent")] == verdicts


@pytest.mark.parametrize("severity", ["note", "off"])
def test_silence_about_an_unknown_status_is_undetermined(severity: str):
    """No rule could be checked, so the verdict is never consistent, whatever the severity of S004 is."""
    monitor = Monitor(Dialect(name="open words", severities={"S004": severity}))

    verdicts = [monitor.observe(snap("v", status="paused")).verdict for _ in range(2)]

    assert ["undetermined", "undetermined"] == verdicts
    assert "undetermined" == monitor["batch_1"].verdict
    assert "consistent" == monitor.observe(snap("v")).verdict
    assert "consistent" == monitor["batch_1"].verdict


def test_warnings_and_notes_are_consistent():
    """Only a finding of severity error makes a verdict inconsistent."""
    observation = Monitor().observe(snap("vpzc", expires_at=None, errors=["odd"]))

    assert (["P104", "F403"], "consistent") == (rules(observation), observation.verdict)


def test_what_is_known_of_a_batch_can_be_asked_for():
    """The state of a batch has status, snapshot, verdict and transitions; long fields are not stored."""
    monitor = Monitor()
    batch = snap("vpzc", usage={"total_tokens": 5}, other="kept nowhere")
    emitted = monitor.observe(batch, observed_at=CREATED + 999.0).transitions

    known = monitor["batch_1"]

    whole = parse(batch, observed_at=CREATED + 999.0)
    assert isinstance(known, TrackedBatch)
    assert ("batch_1", "completed", "consistent") == (known.id, known.status, known.verdict)
    assert attrs.evolve(whole, usage=None, metadata=None, extra={}) == known.snapshot
    assert [attrs.evolve(each, snapshot=None, observed_at=None) for each in emitted] == [*known.transitions]


def test_what_is_known_is_a_view_of_the_moment():
    """A returned state does not change with later observations."""
    monitor = Monitor()
    monitor.observe(snap("v"))
    before = monitor["batch_1"]

    monitor.observe(snap("vpzc"))

    assert ("validating", 1) == (before.status, len(before.transitions))


def test_the_wires_word_stands_for_a_status_while_none_is_known():
    """An unknown status seen first is shown as received; later it does not replace the known status."""
    monitor = Monitor()
    monitor.observe(snap("v", status="paused"))
    first = monitor["batch_1"].status
    monitor.observe(snap("vp"))
    monitor.observe(snap("vp", status="paused"))

    assert ("paused", "in_progress") == (first, monitor["batch_1"].status)


def test_batches_are_counted_and_told_apart():
    """Each id has its own record; an id that was never observed is a KeyError."""
    monitor = Monitor()
    monitor.observe(snap("vpzc", id="batch_1"))
    monitor.observe(snap("v", id="batch_2"))

    assert (2, True, False) == (len(monitor), "batch_2" in monitor, "batch_3" in monitor)
    assert ("completed", "validating") == (monitor["batch_1"].status, monitor["batch_2"].status)
    with pytest.raises(KeyError, match="batch_3"):
        monitor["batch_3"]


@pytest.mark.parametrize("broken", [
    None, 5, "", "not json", b"[]", [], [snap("v"), snap("vp")], {}, {"error": {"message": "no"}},
    snap("v", id=None), snap("v", id=5), snap("v", id=["batch_1"]),
])  # fmt: skip
def test_what_cannot_be_read_raises_and_changes_nothing(broken: object):
    """A value that is no object or has no readable id raises SnapshotError, and no record changes."""
    monitor = Monitor()
    listener = listening(monitor)
    monitor.observe(snap("vp"))
    before = monitor["batch_1"]

    with pytest.raises(SnapshotError):
        monitor.observe(broken)

    assert (before, 1, 2) == (monitor["batch_1"], len(monitor), listener.calls)


def test_a_damaged_snapshot_is_observed_and_reported():
    """An invalid field is a finding and no error: the status is still observed."""
    observation = Monitor().observe(snap("vp", created_at="soon", endpoint=5))

    assert (["S002", "S005"], ["validating", "in_progress"]) == (rules(observation), targets(observation))


@pytest.mark.parametrize("form", [
    lambda batch: batch,
    parse,
    lambda batch: {"batch": batch, "observed_at": None},
    lambda batch: parse(batch).to_dict(style="camel"),
    lambda batch: {**batch, "unknown": {"nested": [1]}},
], ids=["mapping", "snapshot", "envelope", "camel", "extra"])  # fmt: skip
def test_all_forms_of_a_snapshot_are_one(form: Callable[[Row], object]):
    """Each form gives the same keys; the same snapshot in another form emits nothing."""
    monitor = Monitor()
    monitor.observe(snap("vp"))

    observation = monitor.observe(form(snap("vpzc")))

    assert ["finalizing", "completed"] == targets(observation)
    assert ((), ()) == (monitor.observe(snap("vpzc")).transitions, monitor.observe(form(snap("vpzc"))).findings)


# ---------------------------------------------------------------- forget


def test_after_forget_the_next_sight_is_a_first_sight_with_the_same_keys():
    """All transitions are emitted again with the same keys, so a caller can recognize duplicates."""
    monitor = Monitor()
    first = monitor.observe(snap("vpzc"))
    monitor.forget("batch_1")
    gone = "batch_1" in monitor, len(monitor)

    again = monitor.observe(snap("vpzc"))

    assert (False, 0) == gone
    assert [each.key for each in first.transitions] == [each.key for each in again.transitions]


def test_to_forget_a_stranger_is_a_key_error():
    """A wrong id is an error."""
    with pytest.raises(KeyError, match="batch_2"):
        Monitor().forget("batch_2")


def test_forget_drops_what_is_pending():
    """A hook that raised is not called again for a forgotten batch."""
    monitor = Monitor()
    listener = listening(monitor, ValueError("once"))
    with pytest.raises(HookError):
        monitor.observe(snap("v"))

    monitor.forget("batch_1")
    monitor.redeliver()

    assert (1, []) == (listener.calls, listener.heard)


# ---------------------------------------------------------------- hooks: registration


def named(transition: Transition) -> None:
    """Have a name."""


@pytest.mark.parametrize("register, expected", [
    (lambda monitor: monitor.on(), ["validating", "in_progress", "finalizing", "completed"]),
    (lambda monitor: monitor.on("completed"), ["completed"]),
    (lambda monitor: monitor.on("completed", "expired", "finalizing"), ["finalizing", "completed"]),
    (lambda monitor: monitor.on(target="finalizing"), ["finalizing"]),
    (lambda monitor: monitor.on(source="in_progress"), ["finalizing"]),
    (lambda monitor: monitor.on(source="in_progress", target="finalizing"), ["finalizing"]),
    (lambda monitor: monitor.on("finalizing", source="in_progress"), ["finalizing"]),
    (lambda monitor: monitor.on("cancelling", source="in_progress"), []),
    (lambda monitor: monitor.on(source="validating", target="cancelling"), []),
    (lambda monitor: monitor.on("validating"), ["validating"]),
    (lambda monitor: monitor.on("expired"), []),
])  # fmt: skip
def test_a_hook_hears_what_it_asked_for(register: Callable[[Monitor], Any], expected: list[str]):
    """It may ask for statuses, a target, a source, an edge, or all transitions."""
    monitor, listener = Monitor(), Subscription()
    register(monitor)(listener)

    monitor.observe(snap("vpzc"))

    assert expected == listener.heard


def test_hooks_run_in_order_of_registration_for_each_transition_in_order():
    """For each transition the hooks run in order of registration; hooks on findings run after all transitions."""
    monitor, heard = Monitor(), []
    monitor.on_finding(lambda finding: heard.append(("finding", finding.rule)))
    for name in ("first", "second"):
        monitor.on(name=name)(lambda transition, name=name: heard.append((name, transition.target)))

    monitor.observe(snap("vp", expires_at=None))

    assert [
        ("first", "validating"), ("second", "validating"),
        ("first", "in_progress"), ("second", "in_progress"),
        ("finding", "P104"),
    ] == heard  # fmt: skip


@pytest.mark.parametrize("gap, edge", [
    (snap("vx"), {"source": "validating", "target": "cancelling"}),
    (snap("vx"), {"source": "in_progress", "target": "cancelling"}),
])  # fmt: skip
def test_an_edge_hook_does_not_fire_across_a_gap(gap: Row, edge: Row):
    """The edges in a gap are unknown; only the hook on the status itself fires."""
    monitor, on_edge, on_status = Monitor(), Subscription(), Subscription()
    monitor.on(**edge)(on_edge)
    monitor.on(edge["target"])(on_status)

    monitor.observe(gap)

    assert ([], [edge["target"]]) == (on_edge.heard, on_status.heard)


def test_a_source_hook_fires_across_a_gap():
    """The next status is unknown, but the source was left."""
    monitor, listener = Monitor(), Subscription()
    monitor.on(source="validating")(listener)

    monitor.observe(snap("vx"))

    assert ["cancelling"] == listener.heard


def test_a_hook_on_a_status_of_a_dialect():
    """`on` takes each status of the lifecycle."""
    monitor, listener = Monitor("aibrix"), Subscription()
    monitor.on("scheduling", "validating")(listener)

    monitor.observe(snap("v", status="scheduling"))
    monitor.observe(snap("v"))

    assert ["scheduling", "validating"] == listener.heard


def test_on_returns_the_function_unchanged_so_that_decorators_stack():
    """One function is registered three times and is returned as it is."""
    monitor, heard = Monitor(), []

    def hook(subject: Transition | Finding) -> None:
        heard.append(subject)

    stacked = monitor.on("completed")(monitor.on("validating")(monitor.on_finding("P")(hook)))
    bare = monitor.on_finding(named)

    monitor.observe(snap("vpzc", expires_at=None))

    assert (True, True) == (stacked is hook, bare is named)
    assert ["validating", "completed", "P104"] == [
        subject.target if isinstance(subject, Transition) else subject.rule for subject in heard
    ]


@pytest.mark.parametrize("codes, expected", [
    ((), ["P102", "P104", "H501"]),
    (("H5",), ["H501"]),
    (("P",), ["P102", "P104"]),
    (("P104", "H501"), ["P104", "H501"]),
    (("T201",), []),
])  # fmt: skip
def test_on_finding_hears_the_rules_it_names(codes: tuple[str, ...], expected: list[str]):
    """The rules are all, a family, or given by code."""
    monitor, listener = Monitor(), Subscription()
    monitor.on_finding(*codes)(listener)
    monitor.observe(snap("vp", expires_at=None))
    listener.heard.clear()

    monitor.observe(snap("vpf", expires_at=None))

    assert expected == listener.heard


def test_on_finding_is_used_bare_too():
    """`@monitor.on_finding` without parentheses registers for every finding."""
    monitor, heard = Monitor(), []

    @monitor.on_finding
    def hook(finding: Finding) -> None:
        heard.append(finding)

    observation = monitor.observe(snap("v", expires_at=None))

    assert [*observation.findings] == heard != []


async def coroutine_hook(transition: Transition) -> None:
    """Be a coroutine function, which a `Monitor` cannot await."""


class CoroutineCall:
    """A hook object whose call is a coroutine."""

    async def __call__(self, transition: Transition) -> None:
        """Do nothing."""


def no_argument() -> None:
    """Be a function that no hook can be."""


def two_arguments(transition, client):
    """Need an argument that no monitor passes."""


ONE_BY_ONE = "name several one by one, @monitor.on(*statuses)"
ONE_ARGUMENT = "a hook is called with one argument, a transition or a finding"
COROUTINE = "is a coroutine function: a Monitor would never await it; use AsyncMonitor"


@pytest.mark.parametrize("register, message", [
    (lambda monitor: monitor.on(named), "@monitor.on needs parentheses: @monitor.on() for every transition"),
    (lambda monitor: monitor.on("completed", target="failed"), "either statuses to enter, or target=; not both"),
    (lambda monitor: monitor.on()(coroutine_hook), f"{__name__}.coroutine_hook {COROUTINE}"),
    (lambda monitor: monitor.on()(functools.partial(coroutine_hook)), f"{__name__}.coroutine_hook {COROUTINE}"),
    (lambda monitor: monitor.on()(CoroutineCall()), f"{__name__}.CoroutineCall {COROUTINE}"),
    (lambda monitor: monitor.on_finding(coroutine_hook), f"{__name__}.coroutine_hook {COROUTINE}"),
    (lambda monitor: monitor.on_finding("H5")(coroutine_hook), f"{__name__}.coroutine_hook {COROUTINE}"),
    (lambda monitor: monitor.on()(5), "a hook is called with a transition or a finding; 5 cannot be called"),
    (lambda monitor: monitor.on(["completed", "failed"]), f"a status is text, not list: {ONE_BY_ONE}"),
    (lambda monitor: monitor.on(None), f"a status is text, not NoneType: {ONE_BY_ONE}"),
    (lambda monitor: monitor.on(target=("completed",)), f"a status is text, not tuple: {ONE_BY_ONE}"),
    (lambda monitor: monitor.on(source={"validating"}), f"a status is text, not set: {ONE_BY_ONE}"),
    (lambda monitor: monitor.on()(no_argument), f"{ONE_ARGUMENT}; {__name__}.no_argument takes () -> None"),
    (lambda monitor: monitor.on_finding(no_argument), f"{ONE_ARGUMENT}; {__name__}.no_argument takes () -> None"),
    (
        lambda monitor: monitor.on("failed")(two_arguments),
        f"{ONE_ARGUMENT}; {__name__}.two_arguments takes (transition, client)",
    ),
])  # fmt: skip
def test_wrong_use_is_a_type_error_at_once(register: Callable[[Monitor], Any], message: str):
    """The error is raised at registration, not at the first transition."""
    monitor = Monitor()

    with pytest.raises(TypeError) as raised:
        register(monitor)

    assert message == str(raised.value)
    assert ["validating"] == targets(monitor.observe(snap("v")))


@pytest.mark.parametrize("hook", [
    functools.partial(two_arguments, client=None),
    functools.wraps(two_arguments)(lambda *arguments: None),  # It may pass the second argument.
    lambda transition, client=None: None,
    int,  # A type in C, without a signature.
])  # fmt: skip
def test_a_function_that_takes_one_argument_is_a_hook(hook: Callable[..., Any]):
    """Further arguments may have defaults, or be passed by a wrapper."""
    monitor = Monitor()

    assert hook is monitor.on("failed", name="hook")(hook)


ALL = "validating, in_progress, finalizing, completed, failed, expired, cancelling, cancelled"


@pytest.mark.parametrize("register, message", [
    (lambda monitor: monitor.on("done"), f"the openai lifecycle has no status 'done'; it has {ALL}"),
    (lambda monitor: monitor.on("completed", "canceled"), f"the openai lifecycle has no status 'canceled'; it has {ALL}"),
    (lambda monitor: monitor.on(target="done"), f"the openai lifecycle has no status 'done'; it has {ALL}"),
    (lambda monitor: monitor.on(source="done"), f"the openai lifecycle has no status 'done'; it has {ALL}"),
    (lambda monitor: monitor.on("scheduling"), f"the openai lifecycle has no status 'scheduling'; it has {ALL}"),
    (
        lambda monitor: monitor.on(source="validating", target="completed"),
        "no step leads from validating to completed; validating leads to in_progress, failed, cancelling, expired",
    ),
    (
        lambda monitor: monitor.on("completed", "cancelling", source="cancelling"),
        "no step leads from cancelling to cancelling; cancelling leads to cancelled, completed, failed, expired",
    ),
    (
        lambda monitor: monitor.on(source="completed", target="failed"),
        "no step leads from completed to failed; completed is final",
    ),
    (lambda monitor: monitor.on(source="completed"), "no step leads from completed to anywhere; completed is final"),
])  # fmt: skip
def test_a_status_or_edge_that_is_not_there_is_a_value_error_at_once(register: Callable[[Monitor], Any], message: str):
    """The hook could never fire; the error lists the statuses or edges of the lifecycle."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # The whole message is compared.
        register(Monitor())

    assert message == str(raised.value)


@pytest.mark.parametrize("code", ["X", "", "stale-reed", "H509"])
def test_a_finding_hook_on_an_unknown_rule_is_refused(code: str):
    """The error is raised at registration."""
    with pytest.raises(UnknownNameError, match=f"no rule is called {code!r}"):
        Monitor().on_finding(code)


def test_an_unknown_dialect_is_refused():
    """The error lists the names of the dialects."""
    with pytest.raises(
        UnknownNameError, match="no dialect is called 'opnai'; the nearest is openai; known: openai, azure"
    ):
        Monitor("opnai")


# ---------------------------------------------------------------- 6: hooks that raise


def test_a_hook_that_raises_stops_nobody():
    """All other hooks run, the status changes, and one error contains all that were raised."""
    monitor = Monitor()
    first = listening(monitor, ValueError("a"), None, RuntimeError("b"), name="first")
    second = listening(monitor, name="second")

    with pytest.raises(HookError) as raised:
        monitor.observe(snap("vpz"))

    error = raised.value
    assert ["in_progress"] == first.heard
    assert ["validating", "in_progress", "finalizing"] == second.heard
    assert ["a", "b"] == [str(each) for each in error.exceptions]
    assert ["validating", "in_progress", "finalizing"] == targets(error.observation)
    assert ("consistent", True) == (error.observation.verdict, error.observation.delivered)
    assert "finalizing" == monitor["batch_1"].status
    assert "hooks raised; they stay pending (2 sub-exceptions)" == str(error)


def test_an_error_says_which_hook_raised_on_what():
    """Each error has a note with the hook's given name, or its module and qualified name, and the key or rule."""
    monitor = Monitor()

    def failing(subject: object) -> None:
        raise ValueError

    class Failing:
        def __call__(self, subject: object) -> None:
            raise ValueError

    monitor.on(name="collect")(failing)
    monitor.on()(failing)
    monitor.on()(functools.partial(failing))
    monitor.on()(Failing())
    monitor.on_finding(failing)

    with pytest.raises(HookError) as raised:
        monitor.observe(snap("v", expires_at=None))

    here = f"{__name__}.test_an_error_says_which_hook_raised_on_what.<locals>"
    key = f"batch_1/validating/{CREATED}"
    assert [
        [f"batchfsm: raised by the hook {name} on {what}"]
        for name, what in [
            ("collect", key), (f"{here}.failing", key), (f"{here}.failing", key), (f"{here}.Failing", key),
            (f"{here}.failing", "P104 of batch_1"),
        ]
    ] == [each.__notes__ for each in raised.value.exceptions]  # fmt: skip


def test_a_hook_error_is_an_exception_group_that_keeps_its_observation():
    """The parts made by `except*`, `split` and `subgroup` have the observation, too."""
    monitor = Monitor()
    listening(monitor, ValueError("a"), KeyError("b"))
    with pytest.raises(HookError) as raised:
        monitor.observe(snap("vp"))
    error = raised.value

    values, rest = error.split(ValueError)

    assert isinstance(error, ExceptionGroup)
    for part, kind in ((values, ValueError), (rest, KeyError), (error.subgroup(KeyError), KeyError)):
        assert (HookError, [kind]) == (type(part), [type(each) for each in part.exceptions])
        assert part.observation is error.observation
    caught = []
    try:
        raise error
    except* ValueError as some:
        caught += [some.observation]
    except* KeyError as others:
        caught += [others.observation]
    assert [error.observation] * 2 == caught


def test_what_raised_stays_pending_until_redeliver():
    """Later observations do not call the hook again; `redeliver` does, in order, until it returns."""
    monitor = Monitor()
    listener = listening(monitor, ValueError("1"), None, ValueError("2"), None, None, ValueError("3"))
    with pytest.raises(HookError):
        monitor.observe(snap("vpz"))  # validating and finalizing raise
    monitor.observe(snap("vpz"))
    monitor.observe(snap("vpzc"))
    heard = [*listener.heard]

    with pytest.raises(HookError) as raised:
        monitor.redeliver()  # validating returns, finalizing raises again
    monitor.redeliver()
    monitor.redeliver()

    assert ["in_progress", "completed"] == heard
    assert (["3"], None) == ([str(each) for each in raised.value.exceptions], raised.value.observation)
    assert ["in_progress", "completed", "validating", "finalizing"] == listener.heard


def test_only_the_hook_that_raised_is_tried_again():
    """The other hook returned and is called once."""
    monitor = Monitor()
    failing, fine = listening(monitor, ValueError("1"), name="failing"), listening(monitor, name="fine")
    with pytest.raises(HookError):
        monitor.observe(snap("v"))

    monitor.redeliver()

    assert (["validating"], ["validating"], 1) == (failing.heard, fine.heard, fine.calls)


def test_redelivered_transitions_are_whole():
    """The redelivered transition has its snapshot."""
    monitor, heard = Monitor(), []

    @monitor.on()
    def hook(transition: Transition) -> None:
        heard.append(transition)
        if len(heard) == 1:
            raise ValueError

    with pytest.raises(HookError) as raised:
        monitor.observe(snap("v", other="kept"))
    monitor.redeliver()

    assert [*raised.value.observation.transitions] * 2 == heard
    assert "kept" == heard[1].snapshot.extra["other"]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_passes_at_once_and_nothing_is_lost(interrupt: type[BaseException]):
    """It is not collected in a HookError; the undelivered hooks are called first at the next observation."""
    monitor = Monitor()
    first, second = listening(monitor, None, interrupt(), name="first"), listening(monitor, name="second")

    with pytest.raises(interrupt):
        monitor.observe(snap("vpz"))
    after = [*first.heard], [*second.heard], monitor["batch_1"].status
    observation = monitor.observe(snap("vpzc"))

    assert (["validating"], ["validating"], "finalizing") == after
    assert ["validating", "in_progress", "finalizing", "completed"] == first.heard == second.heard
    assert (["completed"], True) == (targets(observation), observation.delivered)


def test_what_was_interrupted_comes_with_the_next_observation_of_that_batch():
    """An observation of the batch without news calls them; observations of other batches do not."""
    monitor = Monitor()
    listener = listening(monitor, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        monitor.observe(snap("v", id="batch_1"))

    monitor.observe(snap("v", id="batch_2"))
    without = [*listener.heard]
    monitor.observe(snap("v", id="batch_1"))

    assert (["validating"], ["validating"] * 2) == (without, listener.heard)


def test_what_was_interrupted_comes_with_redeliver():
    """`redeliver` calls them once, in order."""
    monitor = Monitor()
    listener = listening(monitor, None, SystemExit())
    with pytest.raises(SystemExit):
        monitor.observe(snap("vpzc"))

    monitor.redeliver()
    monitor.redeliver()

    assert ["validating", "in_progress", "finalizing", "completed"] == listener.heard


def test_an_interrupt_of_redeliver_loses_no_other_batch():
    """Of three pending batches the first is interrupted: the others stay pending, and none stays marked as running."""
    monitor = Monitor()
    listener = listening(monitor, *[ValueError()] * 3, KeyboardInterrupt())
    for name in ("batch_1", "batch_2", "batch_3"):
        with pytest.raises(HookError):
            monitor.observe(snap("v", id=name))
    with pytest.raises(KeyboardInterrupt):
        monitor.redeliver()

    delivered = [monitor.observe(snap("vp", id=name)).delivered for name in ("batch_1", "batch_2", "batch_3")]
    monitor.redeliver()

    assert [True] * 3 == delivered
    assert (3, 3) == (listener.heard.count("validating"), listener.heard.count("in_progress"))


def test_an_interrupt_after_an_error_keeps_both():
    """The hook that raised before the interrupt stays pending, and is called first by `redeliver`."""
    monitor = Monitor()
    listener = listening(monitor, ValueError("lost?"), KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        monitor.observe(snap("vpz"))

    monitor.redeliver()

    assert ["validating", "in_progress", "finalizing"] == listener.heard


outcomes = st.lists(st.sampled_from([None, None, ValueError, KeyboardInterrupt, SystemExit]), max_size=12)


@given(log=logs, first=outcomes, second=outcomes)
def test_whatever_hooks_do_each_returns_once_a_key(log: list[Any], first: list[Any], second: list[Any]):
    """Hooks raise or are interrupted at any call, in any log: each returns once for each key."""
    monitor, keys = Monitor(), []
    monitor.on(name="witness")(lambda transition: None)
    hooks = [KeyListener(first), KeyListener(second)]
    for number, hook in enumerate(hooks):
        monitor.on(name=f"hook {number}")(hook)
    bystander = Monitor()
    for wire, clock in written(log):
        batch = wire | {"id": "batch_1"}
        try:
            keys += [each.key for each in bystander.observe(batch, observed_at=clock).transitions]
        except SnapshotError:
            continue
        try:
            monitor.observe(batch, observed_at=clock)
        except (HookError, KeyboardInterrupt, SystemExit):
            assert monitor["batch_1"] == bystander["batch_1"]
    for _ in range(len(first) + len(second) + 1):
        try:
            monitor.redeliver()
        except (HookError, KeyboardInterrupt, SystemExit):
            continue

    assert [sorted(keys)] * 2 == [sorted(hook.returned) for hook in hooks]
    for hook, outcome in zip(hooks, (first, second), strict=True):
        if ValueError not in outcome:
            assert keys == hook.returned  # Without errors, interrupts alone do not change the order.


class KeyListener:
    """A hook that records the keys for which it returned."""

    def __init__(self, outcomes: list[Any]) -> None:
        """Take the exception for each call; None means to return."""
        self.outcomes, self.returned = list(outcomes), []

    def __call__(self, transition: Transition) -> None:
        """Raise the next exception, or record the key."""
        if (error := self.outcomes.pop(0) if self.outcomes else None) is not None:
            raise error
        self.returned.append(transition.key)


# ---------------------------------------------------------------- 6 and 7: hooks that observe


def test_a_hook_that_observes_its_own_batch_runs_to_completion():
    """The nested snapshot is folded at once; its hooks run in order after the current ones, not between them."""
    monitor, heard, inner = Monitor(), [], []

    @monitor.on("validating", name="poller")
    def poll(transition: Transition) -> None:
        heard.append("poll begins")
        inner.append(monitor.observe(snap("vpz")))
        inner.append(monitor["batch_1"].status)
        heard.append("poll ends")

    monitor.on(name="log")(lambda transition: heard.append(transition.target))

    outer = monitor.observe(snap("v"))

    assert ["poll begins", "poll ends", "validating", "in_progress", "finalizing"] == heard
    assert (["in_progress", "finalizing"], False) == (targets(inner[0]), inner[0].delivered)
    assert ("finalizing", ["validating"], True) == (inner[1], targets(outer), outer.delivered)


def test_an_error_after_a_nested_observation_is_raised_at_the_deliverer():
    """The inner `observe` returns; the outer one runs the hooks and raises the errors of both."""
    monitor, inner = Monitor(), []

    @monitor.on("validating")
    def poll(transition: Transition) -> None:
        inner.append(monitor.observe(snap("vp")))

    @monitor.on("in_progress")
    def fail(transition: Transition) -> None:
        raise ValueError(transition.target)

    with pytest.raises(HookError) as raised:
        monitor.observe(snap("v"))

    assert [False] == [each.delivered for each in inner]
    assert (["in_progress"], ["validating"]) == (
        [str(each) for each in raised.value.exceptions], targets(raised.value.observation),
    )  # fmt: skip


def test_a_nested_observation_without_news_finds_the_batch_busy_too():
    """The hook observes an unchanged snapshot: no transition is emitted, and queued hooks do not run yet."""
    monitor, inner = Monitor(), []
    listener = listening(monitor)
    monitor.on("validating")(lambda transition: inner.append(monitor.observe(snap("v"))))

    monitor.observe(snap("vp"))

    assert [(("H507",), (), False)] == [(tuple(rules(each)), each.transitions, each.delivered) for each in inner]
    assert ["validating", "in_progress"] == listener.heard


def test_a_hook_that_observes_another_batch_queues_its_hooks():
    """They run after the hooks of the first batch, when the inner `observe` has returned."""
    monitor, heard, inner = Monitor(), [], []

    @monitor.on("completed", name="chain")
    def chain(transition: Transition) -> None:
        if transition.batch_id == "batch_1":
            inner.append(monitor.observe(snap("v", id="batch_2")))
            heard.append("chained")

    monitor.on(name="log")(lambda transition: heard.append(f"{transition.batch_id} {transition.target}"))

    outer = monitor.observe(snap("vpzc"))

    assert ["chained", "batch_1 completed", "batch_2 validating"] == heard[-3:]
    assert ([False], ["validating"], True) == (
        [each.delivered for each in inner], targets(inner[0]), outer.delivered,
    )  # fmt: skip


def test_a_hook_that_observes_another_batch_without_hooks_gets_it_delivered():
    """The other batch has no undelivered hooks afterwards."""
    monitor, inner = Monitor(), []
    monitor.on("completed")(lambda _: inner.append(monitor.observe(snap("v", id="batch_2"))))

    monitor.observe(snap("vpzc"))

    assert [True] == [each.delivered for each in inner]


def test_hooks_of_other_batches_that_raise_are_raised_by_the_outermost_observe():
    """All hooks run; the outermost `observe` raises the errors of each batch, with its own observation."""
    monitor, heard = Monitor(), []

    @monitor.on("validating", name="failing")
    def fail(transition: Transition) -> None:
        if transition.batch_id != "batch_3":
            monitor.observe(snap("v", id=f"batch_{int(transition.batch_id[-1]) + 1}"))
        heard.append(transition.batch_id)
        raise ValueError(transition.batch_id)

    with pytest.raises(HookError) as raised:
        monitor.observe(snap("v"))

    batches = ["batch_1", "batch_2", "batch_3"]
    assert (batches, batches) == (heard, [str(each) for each in raised.value.exceptions])
    assert "batch_1" == raised.value.observation.transitions[0].batch_id
    heard.clear()
    with pytest.raises(HookError):
        monitor.redeliver()
    assert batches == sorted(heard)


def test_an_interrupt_leaves_the_hooks_of_all_queued_batches_pending():
    """The interrupt ends the outermost `observe`; each batch is then idle and its hooks are pending."""
    monitor, heard, interrupts = Monitor(), [], [KeyboardInterrupt()]

    @monitor.on("validating", name="chain")
    def chain(transition: Transition) -> None:
        if transition.batch_id == "batch_1":
            monitor.observe(snap("v", id="batch_2"))
            monitor.observe(snap("v", id="batch_3"))
        elif interrupts:
            raise interrupts.pop()
        heard.append(transition.batch_id)

    with pytest.raises(KeyboardInterrupt):
        monitor.observe(snap("v"))

    assert ["batch_1"] == heard
    assert monitor.observe(snap("vp", id="batch_3")).delivered
    monitor.redeliver()
    assert ["batch_1", "batch_3", "batch_2"] == heard


def test_an_interrupt_in_an_inner_observe_leaves_its_hooks_pending(monkeypatch):
    """The interrupt comes after the hooks of the other batch were queued: they are called once, later."""
    monitor, heard = Monitor(), []
    real = RunQueue.append

    def interrupted(queue: RunQueue, run: object) -> bool:
        real(queue, run)
        raise KeyboardInterrupt

    @monitor.on("validating", name="chain")
    def chain(transition: Transition) -> None:
        heard.append(transition.batch_id)
        if transition.batch_id == "batch_1":
            with pytest.raises(KeyboardInterrupt):
                monitor.observe(snap("v", id="batch_2"))

    with monkeypatch.context() as patch:
        patch.setattr(RunQueue, "append", interrupted)
        monitor.observe(snap("v"))

    assert ["batch_1"] == heard
    monitor.redeliver()
    assert ["batch_1", "batch_2"] == heard


def test_an_illegal_move_seen_by_a_hook_is_raised_there_with_its_observation():
    """The inner `observe` raises with its own observation, which is not delivered yet: its hooks run later."""
    monitor, inner = Monitor(on_illegal="raise"), []
    monitor.observe(snap("vpzc", id="batch_2"))
    monitor.on_finding("H502")(lambda _: None)

    @monitor.on("validating")
    def look(_: Transition) -> None:
        with pytest.raises(IllegalTransitionError) as raised:
            monitor.observe(snap("vx", id="batch_2", failed_at=9_999_999_999))
        inner.append(raised.value.observation)

    monitor.observe(snap("v"))

    assert [False] == [each.delivered for each in inner]


def test_two_monitors_whose_hooks_observe_with_the_other_do_not_grow_the_stack():
    """Each hook observes the next batch with the other monitor; all hooks run, and at most one of each at a time."""
    monitors, heard, depth, depths = [Monitor(), Monitor()], [], [0], set()

    def observe_next(transition: Transition) -> None:
        depth[0] += 1
        depths.add(depth[0])
        number = int(transition.batch_id.removeprefix("batch_"))
        heard.append(number)
        if number < 2000:
            monitors[(number + 1) % 2].observe(snap("v", id=f"batch_{number + 1}"))
        depth[0] -= 1

    for monitor in monitors:
        monitor.on("validating", name="next")(observe_next)

    monitors[1].observe(snap("v"))

    assert [*range(1, 2001)] == sorted(heard)
    assert {1, 2} == depths


def test_two_batches_whose_hooks_observe_each_other_do_not_hang():
    """A hook of batch 1 observes batch 2, whose hook observes batch 1; the hooks of batch 1 run, so it is queued."""
    monitor, heard = Monitor(), []
    other = {"batch_1": "batch_2", "batch_2": "batch_1"}

    @monitor.on("in_progress", name="cross")
    def cross(transition: Transition) -> None:
        monitor.observe(snap("vpz", id=other[transition.batch_id]))

    monitor.on("finalizing", name="log")(lambda transition: heard.append(transition.batch_id))

    monitor.observe(snap("vp", id="batch_1"))

    assert ["batch_1", "batch_2"] == sorted(heard)
    assert ["finalizing"] * 2 == [monitor[name].status for name in other]


def test_a_chain_of_nested_observations_does_not_grow_the_stack():
    """A hook on findings observes again two thousand times: each finding is delivered once, in order."""
    monitor, heard, depth = Monitor(), [], [0]

    @monitor.on_finding("H505")
    def again(finding: Finding) -> None:
        depth[0] += 1
        assert 1 == depth[0]
        heard.append(done := finding.fields["request_counts.completed"])
        if done:
            monitor.observe(snap("vp", request_counts={"total": 2001, "completed": done - 1, "failed": 0}))
        depth[0] -= 1

    for done in (2000, 1999):
        monitor.observe(snap("vp", request_counts={"total": 2001, "completed": done, "failed": 0}))

    assert [*range(1999, -1, -1)] == heard


def test_a_hook_may_forget_its_batch():
    """The current delivery ends; no record of the batch comes back."""
    monitor = Monitor()
    monitor.on("completed")(lambda transition: monitor.forget(transition.batch_id))
    listener = listening(monitor)

    monitor.observe(snap("vpzc"))

    assert (["validating", "in_progress", "finalizing", "completed"], 0) == (listener.heard, len(monitor))
    assert 4 == len(monitor.observe(snap("vpzc")).transitions)


def test_a_hook_may_redeliver():
    """The hooks of its own batch are running; undelivered hooks of other batches are called inside `redeliver`."""
    monitor, heard = Monitor(), []
    failing = listening(monitor, ValueError("once"), name="failing")
    with pytest.raises(HookError):
        monitor.observe(snap("v", id="batch_2"))

    @monitor.on("in_progress", name="repairing")
    def repair(transition: Transition) -> None:
        monitor.redeliver()
        heard.extend(failing.heard)

    monitor.observe(snap("vp"))

    assert ["validating", "in_progress", "validating"] == heard == failing.heard


def test_a_hook_may_register_a_hook():
    """The new hook is called for later transitions."""
    monitor, listener = Monitor(), Subscription()
    monitor.on("validating")(lambda transition: monitor.on(name="late")(listener))

    monitor.observe(snap("v"))
    monitor.observe(snap("vp"))

    assert ["in_progress"] == listener.heard


def test_a_lifecycle_of_ones_own_is_observed():
    """A lifecycle made of a table gives the monitor its statuses, events and final statuses."""
    stated = (State("validating", "created_at"), State("baking"), State("completed", "completed_at", terminal=True))
    steps = (Step("validating", "bake", "baking"), Step("baking", "serve", "completed"))
    monitor = Monitor(Lifecycle(name="kitchen", initial="validating", states=stated, steps=steps))
    listener = Subscription()
    monitor.on("baking")(listener)

    observation = monitor.observe(snap("vc"))

    assert [("create", False), ("bake", False), ("serve", True)] == [
        (each.event, each.terminal) for each in observation.transitions
    ]
    assert (["baking"], []) == (listener.heard, rules(observation))


def test_two_monitors_share_nothing():
    """They share the machine, but no records."""
    one, two = Monitor(), Monitor()
    listener = listening(one)

    one.observe(snap("vp"))

    assert (1, 0, ["validating", "in_progress"]) == (len(one), len(two), listener.heard)
    assert 4 == len(two.observe(snap("vpzc")).transitions)
