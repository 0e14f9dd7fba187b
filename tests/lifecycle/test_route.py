"""The route that a snapshot proves, by examples and compared with the reference implementation `oracle`."""

from itertools import combinations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchfsm import Monitor, Transition, parse
from batchfsm.dialects import get_dialect
from batchfsm.lifecycle import STAMP_FIELDS, Lifecycle, State, Step
from batchfsm.route import Router, router
from batchfsm.wire import reader
from support import oracle
from support.dialects import DIALECTS
from support.notation import CREATED, WORDS, snap

FORK = Lifecycle(
    name="fork",
    initial="new",
    states=(
        State("new"),
        State("left", "in_progress_at"),
        State("right", "finalizing_at"),
        State("end", "completed_at", terminal=True),
    ),
    steps=(
        Step("new", "turn_left", "left"),
        Step("new", "turn_right", "right"),
        Step("left", "arrive", "end"),
        Step("right", "arrive", "end"),
    ),
)

LETTERS = {word: letter for letter, word in WORDS.items()} | {"scheduling": "s"}


def told(*snaps, dialect="openai"):
    """Return the transitions of the last snapshot, such as `vp start 60 observed`: seconds since creation, or `-`."""
    monitor = Monitor(dialect)
    *_, last = [monitor.observe(each).transitions for each in snaps]
    return [
        " ".join([
            LETTERS.get(each.source, "") + LETTERS[each.target],
            each.event or "?",
            "-" if each.at is None else str(each.at - CREATED),
            each.evidence,
        ])
        for each in last
    ]  # fmt: skip


def way(*snaps, dialect="openai"):
    """Return the transitions of the last snapshot in one line, without seconds and evidence."""
    return ", ".join(" ".join(leg.split()[:2]) for leg in told(*snaps, dialect=dialect))


# ---------------------------------------------------------------- the first snapshot of a batch


def test_a_new_batch_is_born():
    """The first transition has no source and happens at created_at."""
    assert ["v create 0 observed"] == told(snap("v"))


def test_a_completed_batch_tells_its_whole_life():
    """A first snapshot in completed gives every transition, from the stamps."""
    assert [
        "v create 0 stamped",
        "vp start 60 stamped",
        "pz finalize 120 stamped",
        "zc complete 180 observed",
    ] == told(snap("vpzc"))


def test_an_expired_batch_was_finalized():
    """The documented route to expired passes finalizing, here ten minutes after the deadline."""
    assert "v create, vp start, pz finalize, ze expire" == way(snap("vpze", at=(0, 5, 86401, 87008)))


def test_a_failed_batch_never_ran():
    """The route to failed leads from validating directly."""
    assert ["v create 0 stamped", "vf fail 1 observed"] == told(snap("vf", at=(0, 1)))


def test_a_cancelled_batch_may_have_run_or_not():
    """The stamp of in_progress decides: 94 of 100 cancelled batches never started."""
    assert "v create, vg cancel, gx stop" == way(snap("vgx"))
    assert "v create, vp start, pg cancel, gx stop" == way(snap("vpgx"))


def test_stamps_of_one_second_are_in_table_order():
    """Transitions with equal stamps are in the order of the table, as in batches that Groq completes in a second."""
    assert "v create, vp start, pz finalize, zc complete" == way(snap("vpzc", at=(0, 0, 0, 0)))


def test_the_order_of_statuses_goes_before_the_order_of_stamps():
    """Without a cycle, stamps in the wrong order do not change the route."""
    assert "v create, vp start, pz finalize, zc complete" == way(snap("vpzc", at=(0, 9, 7, 8)))


# ---------------------------------------------------------------- missing stamps


def test_a_status_on_every_walk_is_implied():
    """Azure leaves out in_progress_at: the batch was in progress, at an unknown time."""
    assert [
        "v create 0 stamped",
        "vp start - implied",
        "pz finalize 60 stamped",
        "zc complete 120 observed",
    ] == told(snap("vzc"), dialect="azure")


def test_a_birth_without_a_stamp_is_implied():
    """A batch without created_at was created at an unknown time."""
    wire = snap("vp")
    del wire["created_at"]

    assert ["v create - implied", "vp start 60 observed"] == told(wire)


def test_a_bad_stamp_says_nothing():
    """An invalid stamp counts as missing: the status was entered at an unknown time."""
    assert [
        "v create 0 stamped",
        "vp start - implied",
        "pz finalize 120 observed",
    ] == told(snap("vpz", in_progress_at="noon"))


def test_an_unknown_way_is_one_gap():
    """Without stamps of in_progress and finalizing, two routes to completed remain in LiteLLM, so there is a gap."""
    assert [
        "v create 0 stamped",
        "vp start - implied",
        "pc ? 60 gap",
    ] == told(snap("vc"), dialect="litellm")
    assert ["v create 0 stamped", "vc ? 60 gap"] == told(snap("vc"), dialect="compatible")


def test_a_gap_ends_where_the_walks_meet():
    """A cancelled batch passed cancelling; it is unknown whether it passed in_progress."""
    assert ["v create 0 stamped", "vg ? - gap", "gx stop 60 observed"] == told(snap("vx"))


def test_optional_stamps_are_left_out_before_tolerated_steps_are_taken():
    """Groq's finalizing_at may be null, so finalizing is implied; OGX has no such status."""
    assert "v create, vp start, pz finalize, zc complete" == way(snap("vpc"), dialect="groq")
    assert "v create, vp start, pc complete" == way(snap("vpc"), dialect="ogx")


def test_a_tolerated_step_explains_before_a_missing_stamp():
    """From validating to expired there is a tolerated step, so no stamp counts as missing."""
    assert "v create, ve expire" == way(snap("ve"))


def test_a_strict_way_through_missing_stamps_is_the_last_but_one_resort():
    """For completed with created_at alone, the documented route is used, although two stamps are missing."""
    assert [
        "v create 0 stamped",
        "vp start - implied",
        "pz finalize - implied",
        "zc complete 60 observed",
    ] == told(snap("vc"))


def test_a_stamp_that_leads_nowhere_is_no_stop():
    """A failed_at of a running batch is not on the route; P102 reports it."""
    assert "v create, vp start" == way(snap("vp", failed_at=CREATED + 90))


def test_stamps_that_no_walk_joins_leave_a_gap():
    """If no walk passes all stamps, the route has a gap between them."""
    snapshot = parse(snap("vpzc", status="end"), dialect=FORK)

    assert [
        ("new", "create", "stamped"),
        ("left", "turn_left", "stamped"),
        ("right", None, "gap"),
        ("end", "arrive", "observed"),
    ] == [(leg.target, leg.event, leg.evidence) for leg in router(get_dialect(FORK)).route(snapshot, None, frozenset())]


def test_stamps_that_no_walk_joins_are_found():
    """No walk passes both stamps, so P102 and P103 are breached."""
    observation = Monitor(FORK).observe(snap("vpzc", status="end"))

    assert {"P102", "P103"} <= {finding.rule for finding in observation.findings}


def test_an_unknown_status_has_no_route():
    """A status that is not in the lifecycle emits no transition."""
    assert [] == told(snap("vp", status="paused"))


def test_a_dialect_may_be_born_elsewhere():
    """AIBrix's initial status is scheduling, and validating has no stamp."""
    assert [
        "s create 0 stamped",
        "sv validate - implied",
        "vp start 60 observed",
    ] == told(snap("vp"), dialect="aibrix")


# ---------------------------------------------------------------- cycles


@pytest.mark.parametrize(
    "finalizing, cancelling, route",
    [
        (20, 30, "pz finalize, zg cancel, gc complete"),
        (30, 20, "pg cancel, gz finalize, zc complete"),
        (20, 20, "pz finalize, zg cancel, gc complete"),
    ],
)
def test_on_a_circle_stamps_tell_the_order(finalizing, cancelling, route):
    """In `compatible`, finalizing and cancelling lead to each other; equal stamps are in the order of the table."""
    wire = snap("vpzgc", at=(0, 10, finalizing, cancelling, 40))

    assert f"v create, vp start, {route}" == way(wire, dialect="compatible")


def test_a_tie_on_a_circle_needs_the_fewest_unstamped_statuses():
    """If finalizing came first, in_progress would be missing a stamp; if cancelling came first, it would not."""
    tie = snap("vzgc", at=(0, 20, 20, 40))

    assert "v create, vg ?, gz finalize, zc complete" == way(tie, dialect="compatible")


def test_the_present_status_is_last_whatever_its_stamp():
    """The present status is the last of the route, even if another status has a later stamp."""
    wire = snap("vpzg", at=(0, 10, 30, 20))

    assert "v create, vp start, pz finalize, zg cancel" == way(wire, dialect="compatible")


# ---------------------------------------------------------------- the next snapshots of a batch


def test_missed_statuses_are_made_up_for():
    """If validating is followed by completed, three transitions are emitted in order."""
    assert [
        "vp start 60 stamped",
        "pz finalize 120 stamped",
        "zc complete 180 observed",
    ] == told(snap("v"), snap("vpzc"))


def test_what_was_entered_is_not_entered_again():
    """Azure's in_progress was implied; its stamp in a later snapshot emits no second transition."""
    assert ["zc complete 180 observed"] == told(snap("vz", at=(0, 120)), snap("vpzc"), dialect="azure")


def test_a_stamp_that_shows_up_late_is_made_up_for():
    """The route to finalizing had a gap; a later stamp of in_progress emits its transition."""
    assert ["vp start 60 stamped", "zc ? 180 gap"] == told(snap("vz", at=(0, 120)), snap("vpzc"), dialect="compatible")


# ---------------------------------------------------------------- transitions


def test_a_key_is_batch_status_and_second():
    """The same transition has the same key with any evidence; an unknown second is empty in the key."""
    monitor = Monitor("azure")
    transitions = monitor.observe(snap("vzc", id="batch_7")).transitions

    assert [
        f"batch_7/validating/{CREATED}",
        "batch_7/in_progress/",
        f"batch_7/finalizing/{CREATED + 60}",
        f"batch_7/completed/{CREATED + 120}",
    ] == [transition.key for transition in transitions]


def test_a_transition_holds_what_a_hook_needs():
    """A transition has batch, time, evidence, whether it is terminal, and the snapshot that proves it."""
    wire = snap("vf", novel=1)
    transition = Monitor().observe(wire, observed_at=CREATED + 99).transitions[-1]

    assert {
        "batch_id": "batch_1",
        "source": "validating",
        "target": "failed",
        "event": "fail",
        "at": CREATED + 60,
        "evidence": "observed",
        "terminal": True,
        "observed_at": CREATED + 99.0,
        "snapshot": parse(wire, observed_at=CREATED + 99),
    } == {field.name: getattr(transition, field.name) for field in attrs.fields(Transition)}


def test_a_transition_is_frozen_and_has_no_hash():
    """It contains a snapshot; its key can be put into sets."""
    transition = Monitor().observe(snap("v")).transitions[0]

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        transition.target = "completed"
    with pytest.raises(TypeError, match="unhashable type: 'Transition'"):
        hash(transition)


@pytest.mark.parametrize("name", DIALECTS)
def test_only_the_end_is_terminal(name):
    """A step of the route is terminal if its target is final."""
    for status in DIALECTS[name].lifecycle.statuses:
        for leg in legs(snap("v", status=status), name):
            assert (leg.target in {"completed", "failed", "expired", "cancelled"}) == leg.terminal


# ---------------------------------------------------------------- comparison with the oracle


def legs(wire, name, known=None, entered=frozenset(), way=None):
    """Return the route that a dialect's router finds."""
    return (way or router(DIALECTS[name])).route(reader(DIALECTS[name]).read(wire), known, frozenset(entered))


def steps(wire, name, known=None, entered=frozenset(), way=None):
    """Return the router's route in the oracle's form."""
    found, snapshot = router(DIALECTS[name]), reader(DIALECTS[name]).read(wire)
    return [
        (leg.source, leg.target, leg.event, found.at(snapshot, leg.target), leg.evidence)
        for leg in legs(wire, name, known, entered, way)
    ]


@pytest.mark.logic
@pytest.mark.parametrize("name, order", [*((name, 1) for name in DIALECTS), ("compatible", -1), ("compatible", 0)])
def test_every_first_sight_is_the_oracles(name, order):
    """All statuses with all sets of stamps agree; on a cycle, with stamps rising, falling and equal."""
    states = DIALECTS[name].lifecycle.states
    stamps = [state.stamp for state in states if state.stamp not in {None, "created_at"}]

    for status in DIALECTS[name].lifecycle.statuses:
        for size in range(len(stamps) + 1):
            for some in combinations(stamps, size):
                times = {stamp: CREATED + 100 + order * place for place, stamp in enumerate(some)}
                wire = {"id": "batch_1", "status": status, "created_at": CREATED} | times
                assert oracle.route(wire, name) == steps(wire, name)


STAMPED = st.fixed_dictionaries(
    {"id": st.just("batch_1"), "status": st.sampled_from([*WORDS.values(), "scheduling"])},
    optional=dict.fromkeys(STAMP_FIELDS, st.sampled_from([CREATED, CREATED + 1, CREATED + 2, None, "bad"])),
)


@pytest.mark.logic
@given(STAMPED, st.sampled_from(sorted(DIALECTS)))
def test_any_first_sight_is_the_oracles(wire, name):
    """Invalid, equal and unordered stamps agree, also with a new router, whose cache is empty."""
    expected = oracle.route(wire, name)

    if expected:
        assert expected == steps(wire, name) == steps(wire, name, way=Router(DIALECTS[name]))


@pytest.mark.logic
@given(STAMPED, STAMPED, st.sampled_from(sorted(DIALECTS)))
def test_any_way_onwards_is_the_oracles(first, second, name):
    """The route from one snapshot to the next agrees, if the second status is reachable from the first."""
    table = oracle.DIALECTS[name]
    entered = {target for _, target, *_ in oracle.route(first, name)}
    if not entered or not oracle.reaches(table, first["status"], second["status"]):
        return

    journey = oracle.Journey(oracle.read(second, table), table, set(entered))
    assert list(journey.steps(first["status"])) == steps(second, name, first["status"], entered)
