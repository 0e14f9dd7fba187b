"""Rules that need a history: H501 to H508, stale reads, adopted moves; and the fold compared with the oracle."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchfsm import OPENAI, Lifecycle, SnapshotError, State, Transition, audit
from batchfsm.history import BatchRecord, Fold
from batchfsm.history.fold import OnIllegalMove
from batchfsm.lifecycle import Step as LifecycleStep
from batchfsm.topology import topology
from batchfsm.wire import reader
from support import oracle
from support.dialects import DIALECTS
from support.histories import PATHS, Row, counts, logs, written
from support.notation import CREATED, DAY_S, WORDS, seen, snap

Step = tuple[str | None, str, int | None, str]


@attrs.frozen
class FoldedHistory:
    """The results of folding a history, row by row."""

    rules: list[list[str]]
    steps: list[list[Step]]
    """`(source, target, seconds since creation, evidence)` of each transition."""
    status: str | None
    keys: list[str]


def fold_rows(
    rows: Sequence[Row],
    dialect: str = "openai",
    *,
    at: Sequence[float | None] | None = None,
    on_illegal: OnIllegalMove = "adopt",
) -> FoldedHistory:
    """Fold snapshots of one batch; `at` has their times of observation, in seconds since creation."""
    fold, track = Fold(DIALECTS[dialect], on_illegal=on_illegal), BatchRecord()
    folded = [
        fold.apply(track, reader(DIALECTS[dialect]).read(row, None if second is None else CREATED + second))
        for row, second in zip(rows, at or [None] * len(rows), strict=True)
    ]
    return FoldedHistory(
        [[found.rule for found in each.findings] for each in folded],
        [[step(transition) for transition in each.transitions] for each in folded],
        track.status,
        [transition.key for each in folded for transition in each.transitions],
    )


def step(transition: Transition) -> Step:
    """Return source, target, seconds since creation and evidence of a transition."""
    at = None if transition.at is None else transition.at - CREATED
    return transition.source, transition.target, at, transition.evidence


def h_rules(rows: Sequence[Row]) -> list[list[str]]:
    """Return the history rules that each row breaks."""
    return [[rule for rule in rules if rule[0] == "H"] for rules in fold_rows(rows).rules]


# ---------------------------------------------------------------- what a change is measured against


def stamped(letter: str) -> Row:
    """Return a finalizing batch with the letter's in_progress_at; a lowercase letter makes an earlier view."""
    if letter == "n":
        return snap("v")
    values = {"A": CREATED + 60, "B": CREATED + 61, "C": CREATED + 62, "N": None, "?": "soon"}
    return snap("vp" if letter.islower() else "vpz", in_progress_at=values[letter.upper()])


def filed(letter: str) -> Row:
    """Return a completed batch with the letter's output file; a lowercase letter makes an earlier view."""
    if letter == "n":
        return snap("vp")
    if letter == "a":
        return snap("vpz", output_file_id="file-A")
    return snap("vpzc", output_file_id={"N": None, "?": 5}.get(letter, f"file-{letter}"))


def totalled(letter: str) -> Row:
    """Return a running batch with the letter's total, which is 0 for "0"."""
    if letter == "n":
        return snap("v")
    return snap("vp", request_counts=counts({"A": 8, "B": 9, "C": 10, "0": 0, "?": "many"}[letter], 0))


def named(letter: str) -> Row:
    """Return a running batch with the letter's endpoint; a lowercase letter makes an earlier view."""
    value = {"N": None, "?": 5}.get(letter.upper(), f"/v1/{letter.upper()}")
    return snap("v" if letter.islower() else "vp", endpoint=value)


# Each letter is a row with that value: N null, ? invalid, lowercase a stale row. The list has the rows with a finding.
CHANGES = [
    ("H504", stamped, "ABAA", [1]),  # A glitch: the changed row has a finding, the row that changes back has none.
    ("H504", stamped, "ABBB", [1]),  # A lasting change: one finding.
    ("H504", stamped, "ABaB", [1]),  # A stale read inside a lasting change: still one.
    ("H504", stamped, "ABnB", [1]),
    ("H504", stamped, "BAAA", [1]),  # The first row cannot be recognized as wrong: the second has the finding.
    ("H504", stamped, "ABAB", [1, 3]),
    ("H504", stamped, "ABCB", [1, 2, 3]),
    ("H504", stamped, "ANA", [1]),  # Null is a value here.
    ("H504", stamped, "ANNA", [1]),
    ("H504", stamped, "ANBA", [1, 2]),
    ("H504", stamped, "NAB", [2]),
    ("H504", stamped, "NNAA", []),
    ("H504", stamped, "A?A", []),  # An invalid value is never compared.
    ("H504", stamped, "A?B", [2]),
    ("H504", stamped, "AB?B", [1]),
    ("H504", stamped, "AB?A", [1]),
    ("H504", stamped, "?AB", [2]),
    ("H506", filed, "ABAA", [1]),
    ("H506", filed, "ABBB", [1]),
    ("H506", filed, "ABnB", [1]),
    ("H506", filed, "ABaB", [1]),
    ("H506", filed, "ANA", [1]),
    ("H506", filed, "NAA", []),  # A file may appear late.
    ("H506", filed, "A?A", []),
    ("H505", totalled, "ABAA", [1]),
    ("H505", totalled, "ABBB", [1]),
    ("H505", totalled, "ABnB", [1]),
    ("H505", totalled, "0AA", []),  # A total of 0 is no value yet,
    ("H505", totalled, "0AB", [2]),
    ("H505", totalled, "A0A", [1]),  # but a total that becomes 0 has changed.
    ("H505", totalled, "A?B", [2]),
    ("H503", named, "ABAA", [1]),
    ("H503", named, "ABBB", [1]),
    ("H503", named, "ANA", []),  # Identity is not compared with null.
    ("H503", named, "ANB", [2]),
    ("H503", named, "NAB", [2]),
    ("H503", named, "A?A", []),
    ("H503", named, "Ab", [1]),  # Identity is compared on stale rows too,
    ("H503", named, "Abb", [1, 2]),  # which are never the last live row,
    ("H503", named, "NaB", [2]),  # but a first value may come from one.
]


@pytest.mark.parametrize("rule, row, letters, guilty", CHANGES)
def test_a_change_is_told_once_and_of_the_guilty_row(rule: str, row: Any, letters: str, guilty: list[int]):
    """Values are compared with the first and the last live one: a glitch or a lasting change is one finding."""
    rules = fold_rows([row(letter) for letter in letters]).rules

    assert guilty == [number for number, found in enumerate(rules) if rule in found]


@pytest.mark.parametrize("done, guilty", [
    ([5, 3, 4, 5], [1]),  # Down and up again.
    ([5, 3, 3], [1]),
    ([5, None, 3], [2]),  # Null is not compared.
    ([5, "v", 3], [2]),  # A stale read between; compared with its 0, the 3 would be a rise.
    ([5, 4, 3], [1, 2]),
    ([0, 5, 5], []),
])  # fmt: skip
def test_a_count_is_compared_with_the_last_live_row_that_gave_it(done: list[Any], guilty: list[int]):
    """`completed` may stay or rise; a decrease is H505, even below an older maximum."""
    rows = [snap("v") if number == "v" else snap("vp", request_counts=number and counts(8, number)) for number in done]

    assert guilty == [number for number, rules in enumerate(fold_rows(rows).rules) if "H505" in rules]


def test_one_finding_names_every_field_that_changed():
    """Two lost stamps and one changed stamp are one H504 with three fields."""
    fold, track, read = Fold(DIALECTS["openai"]), BatchRecord(), reader(DIALECTS["openai"]).read
    fold.apply(track, read(snap("vpzc")))

    found = fold.apply(
        track, read(snap("vpzc", in_progress_at=None, finalizing_at=None, completed_at=CREATED + 9))
    ).findings

    assert [{"in_progress_at": None, "finalizing_at": None, "completed_at": CREATED + 9}] == [
        dict(finding.fields) for finding in found if finding.rule == "H504"
    ]


def test_created_at_is_identity_and_no_stamp_that_changes():
    """Another created_at is H503 and no other finding."""
    assert [[], ["H503"]] == h_rules([snap("v"), snap("v", created_at=CREATED + 1, expires_at=CREATED + DAY_S)])


# ---------------------------------------------------------------- stale reads


@pytest.mark.parametrize("path", ["v", "vp", "vpz"])
def test_an_earlier_view_of_a_completed_batch_is_a_stale_read(path: str):
    """It is H507 without a transition, and the record keeps its values."""
    after = fold_rows([snap("vpzc"), snap(path), snap("vpzc")])

    assert ([[], ["H507"], []], [4, 0, 0], "completed") == (after.rules, list(map(len, after.steps)), after.status)


@pytest.mark.parametrize("row", [
    snap("vp", at=[0, 61]),  # Another time,
    snap("vp", cancelling_at=CREATED + 60),  # a stamp that was null,
    snap("vp", output_file_id="file-2"),
    snap("vp", request_counts=counts(9, 3)),
    snap("vp", request_counts=counts(8, 8)),  # a higher count,
    snap("vp", request_counts=counts(8, 3, 2)),
    snap("v", request_counts=counts(0, 8)),
])  # fmt: skip
def test_a_row_that_tells_something_new_is_no_stale_read(row: Row):
    """The row cannot be an earlier view, so the batch has left a final status."""
    assert [[], ["H502"]] == h_rules([snap("vpzc"), row])


@pytest.mark.parametrize("row", [
    snap("vp", request_counts=None),
    snap("vp", request_counts=counts(0, 0)),
    snap("vp", in_progress_at=None, request_counts=counts(8, 7, 1)),
    snap("vp", in_progress_at="soon"),
    snap("vp", output_file_id="file-out"),
])  # fmt: skip
def test_null_bad_and_known_values_are_below_what_is_known(row: Row):
    """A total that is null, 0 or the known one, and counts up to the highest ones, make no row live."""
    assert [[], ["H507"]] == h_rules([snap("vpzc"), row])


def test_cancelling_without_a_start_and_then_in_progress_is_illegal():
    """The row has a stamp that was null, so it is no earlier view, and no walk leads from cancelling to in_progress."""
    assert [[], ["H501"]] == h_rules([snap("vg"), snap("vp")])


def test_the_same_status_seen_earlier_is_stale_by_its_clock():
    """Without `observed_at` the lower count is a decrease; with an earlier `observed_at` the row is an earlier view."""
    rows = [snap("vp", request_counts=counts(8, 5)), snap("vp", request_counts=counts(8, 1))]

    assert [[], ["H505"]] == fold_rows(rows).rules
    assert [[], ["H507"]] == fold_rows(rows, at=[200, 100]).rules
    assert [[], ["H505"]] == fold_rows(rows, at=[100, 200]).rules
    assert [[], ["H505"]] == fold_rows(rows, at=[100, 100]).rules  # An equal time is not earlier.
    assert [[], ["H505"]] == fold_rows(rows, at=[None, 100]).rules
    assert [[], ["H505"]] == fold_rows(rows, at=[100, None]).rules


def test_a_stale_row_does_not_set_the_clock():
    """Observed at 300, 100 and 200: the third row is earlier than the last live one, the first."""
    rows = [snap("vp", request_counts=counts(8, done)) for done in (5, 1, 3)]

    assert [[], ["H507"], ["H507"]] == fold_rows(rows, at=[300, 100, 200]).rules


def test_an_earlier_row_of_the_same_status_that_tells_something_new_is_live():
    """Its time is earlier and its count is higher, so it is checked and stored like any other row."""
    rows = [snap("vp", request_counts=counts(8, done)) for done in (3, 5, 4)]

    assert [[], [], ["H505"]] == fold_rows(rows, at=[300, 200, 250]).rules


def test_a_stale_row_is_believed_in_nothing_but_identity():
    """Its other fields do not replace known ones; an endpoint that no row had before is stored."""
    rows = [snap("vpzc", endpoint=None), snap("v", endpoint="/v1/a"), snap("vpzc", endpoint="/v1/b")]

    assert [[], ["H507"], ["H503"]] == fold_rows(rows).rules


def test_a_stale_row_keeps_the_rules_of_one_snapshot():
    """An early file is a finding in a stale row, too."""
    assert [[], ["F401", "H507"]] == fold_rows([snap("vpzc"), snap("vp", output_file_id="file-out")]).rules


# ---------------------------------------------------------------- illegal moves


def test_an_adopted_move_is_a_finding_and_no_transition():
    """The status follows the server, and later steps are emitted again."""
    after = fold_rows(seen("vpzcp"))

    assert ([[], [], [], [], ["H502"]], [], "in_progress") == (after.rules, after.steps[-1], after.status)


def test_a_retry_is_one_h502_and_one_h504_for_each_status_stamped_anew():
    """First values stay, so each new time is one H504; each is also a new key, emitted once."""
    after = fold_rows(seen("vpzcpzc"))

    assert [["H502"], ["H504"], ["H504"]] == after.rules[4:]
    assert [("in_progress", "finalizing", 300, "observed")] == after.steps[5]
    assert [("finalizing", "completed", 360, "observed")] == after.steps[6]
    assert len(set(after.keys)) == len(after.keys) == 6


def test_a_retry_seen_only_at_its_end_fires_its_new_seconds():
    """In_progress was adopted, then the batch is completed again: both steps are emitted with their new times."""
    after = fold_rows([*seen("vpzcp"), snap("vpzcpzc")])

    assert [
        ("in_progress", "finalizing", 300, "stamped"),
        ("finalizing", "completed", 360, "observed"),
    ] == after.steps[5]


def test_a_glitch_fires_nothing_twice():
    """Completed, in progress for one row, completed as before: one finding and no further transition."""
    after = fold_rows([snap("vpzc"), snap("vp", at=[0, 61]), snap("vpzc"), snap("vpzc")])

    assert [[], ["H502"], [], []] == after.rules
    assert ([4, 0, 0, 0], "completed") == (list(map(len, after.steps)), after.status)


def test_a_glitch_to_another_end_is_two_findings():
    """Completed, failed, completed: each row leaves a final status and is a finding."""
    after = fold_rows([snap("vpzc"), snap("vf"), snap("vpzc")])

    assert ([[], ["H502"], ["H502"]], "completed") == (after.rules, after.status)
    assert [4, 0, 0] == list(map(len, after.steps))


def test_first_values_stay_over_an_adopted_move():
    """A row after the adopted move that has the first values again is no finding."""
    rows = [snap("vpzc"), snap("vf", at=[0, 5], output_file_id="file-2"), snap("vpzc")]

    assert ["H502"] == h_rules(rows)[2]


@pytest.mark.parametrize("known, then, again", [
    ("vpzc", "vf", ["H502", "H502"]),
    ("vpz", "vp", ["H501", "H501"]),
    ("vg", "vp", ["H501", "H501"]),  # Stored, its stamp would make the second row an earlier view.
])  # fmt: skip
def test_on_hold_the_status_stays(known: str, then: str, again: list[str]):
    """The move is a finding in each row, and no transition is emitted."""
    moved = snap(then, at=[0, 999])
    after = fold_rows([snap(known), moved, moved], on_illegal="hold")

    assert again == [rule for rules in after.rules[1:] for rule in rules]
    assert (WORDS[known[-1]], [[], []]) == (after.status, after.steps[1:])


def test_after_a_held_move_the_known_way_goes_on():
    """Finalizing, an illegal in_progress, completed: the step is emitted from finalizing."""
    after = fold_rows([snap("vpz"), snap("vp", at=[0, 999]), snap("vpzc")], on_illegal="hold")

    assert [("finalizing", "completed", 180, "observed")] == after.steps[2]


def test_severities_do_not_change_the_fold():
    """With H502 off the move is adopted without a finding."""
    blind = attrs.evolve(DIALECTS["openai"], name="blind", severities={"H502": "off"})
    fold, track, read = Fold(blind), BatchRecord(), reader(blind).read
    folded = [fold.apply(track, read(row)) for row in seen("vpzcp")]

    assert ([], [], "in_progress", True) == (
        folded[-1].findings, folded[-1].transitions, track.status, folded[-1].is_illegal,
    )  # fmt: skip


# Row: the known status. Column: that of the next row, which has new values. `=` the same, `.` legal, `w` tolerated
# (H501, a warning), 1 illegal (H501), 2 out of a final status (H502). A small s behind it: the same row without
# new values is a stale read (H507).
STEP = """
    v   p   z   c   f   e   g   x
v   =   .   .   .   .   .   .   .
p   1s  =   .   .   w   .   .   .
z   1s  1s  =   .   w   .   w   w
c   2s  2s  2s  =   2   2   2s  2
f   2s  2s  2s  2   =   2   2s  2
e   2s  2s  2s  2   2   =   2s  2
g   1s  1s  1s  w   w   w   =   .
x   2s  2s  2s  2   2   2   2s  =
"""
MOVES = {"=": "same", ".": "legal", "w": "tolerated", "1": "illegal", "2": "exit_from_final"}


def test_the_automaton_is_the_table():
    """All 128 entries of STEP[known][status][below] are equal to the moves of the topology."""
    header, *rows = (line.split() for line in STEP.strip().splitlines())
    expected = {}
    for known, *cells in rows:
        for status, cell in zip(header, cells, strict=True):
            expected[WORDS[known], WORDS[status], False] = MOVES[cell[0]]
            expected[WORDS[known], WORDS[status], True] = "stale" if cell[1:] else MOVES[cell[0]]

    assert expected == topology(OPENAI).moves


# ---------------------------------------------------------------- H508


@pytest.mark.parametrize("before, after", [
    (snap("vpgx"), snap("vpgx", request_counts=counts(8, 4))),
    (snap("vpgx"), snap("vpgx", request_counts=counts(8, 3, 1))),
    (snap("vgx"), snap("vgx", request_counts=counts(8, 0))),
    (snap("vf"), snap("vf", errors=["other"])),
    (snap("vf"), snap("vf", errors=None)),
    (snap("vf", errors=None), snap("vf")),
    (snap("vgx"), snap("vgx", in_progress_at=CREATED + 30)),
])  # fmt: skip
def test_what_moves_on_after_the_end_is_a_warning(before: Row, after: Row):
    """A higher count, changed errors and a stamp that was null are H508."""
    assert [[], ["H508"]] == h_rules([before, after])


@pytest.mark.parametrize("before, after", [
    (snap("vpzc"), snap("vpzc", usage={"total_tokens": 5}, metadata={"a": "b"}, model="other", extra=1)),
    (snap("vpzc", output_file_id=None, error_file_id=None), snap("vpzc")),  # Files may appear late.
    (snap("vpzc", request_counts=None), snap("vpzc")),  # The counts were unknown: none is higher.
    (snap("vgx", in_progress_at="soon"), snap("vgx", in_progress_at=CREATED + 30)),  # Invalid is not null.
    (snap("vf", errors=5), snap("vf")),
    (snap("vf"), snap("vf", errors=5)),
    (snap("vpz"), snap("vpzc")),  # The batch ends in this row.
    (snap("vpgx"), snap("vpgx", status="paused", request_counts=counts(8, 4))),
])  # fmt: skip
def test_what_may_change_after_the_end_is_no_finding(before: Row, after: Row):
    """Usage, metadata and unknown values may change, as may values in the row that ends the batch."""
    assert [[], []] == h_rules([before, after])


@pytest.mark.parametrize("change, rule", [
    ({"cancelled_at": CREATED + 999}, "H504"),
    ({"request_counts": counts(9, 4)}, "H505"),
    ({"error_file_id": None, "request_counts": counts(8, 4)}, "H506"),
])  # fmt: skip
def test_h508_is_silent_beside_a_change_that_has_its_own_rule(change: Row, rule: str):
    """A change that is H504, H505 or H506 is not reported as H508, too."""
    assert [[], [rule]] == h_rules([snap("vpgx"), snap("vpgx", **change)])


# ---------------------------------------------------------------- unknown statuses and bad fields


def test_an_unknown_status_says_nothing_about_the_way():
    """The known status and the route stay; stamps and counts of the row are stored and checked."""
    after = fold_rows([snap("vp"), snap("vp", status="paused", at=[0, 61]), snap("vpz")])

    assert [[], ["S004", "H504"], []] == after.rules
    assert [("in_progress", "finalizing", 120, "observed")] == after.steps[2]


def test_an_unknown_status_first_leaves_the_birth_to_the_next_row():
    """No transition is emitted until a row has a known status; then the first one is the birth."""
    after = fold_rows([snap("v", status="queued"), snap("vp")])

    assert [
        [],
        [(None, "validating", 0, "stamped"), ("validating", "in_progress", 60, "observed")],
    ] == after.steps


def test_identity_is_judged_on_an_unknown_status():
    """Another endpoint is H503 although the status of the row is unknown."""
    assert [[], ["S004", "H503", "H505"]] == fold_rows(
        [snap("vp"), snap("vp", status="paused", endpoint="/v1/other", request_counts=counts(8, 1))]
    ).rules


def test_a_bad_stamp_neither_forbids_nor_breaks_the_way():
    """The walks decide whether such a status was entered: here all walks do."""
    assert [
        (None, "validating", 0, "stamped"),
        ("validating", "in_progress", 60, "stamped"),
        ("in_progress", "finalizing", None, "implied"),
        ("finalizing", "completed", 180, "observed"),
    ] == fold_rows([snap("vpzc", finalizing_at="soon")]).steps[0]


def test_bad_fields_hide_nothing_that_comes_after():
    """A row with invalid fields does not remove known values, and later rows are compared with those."""
    broken = snap("vpzc", completed_at="soon", output_file_id=5, request_counts="all")

    assert [[], ["S002", "S005"], []] == fold_rows([snap("vpzc"), broken, snap("vpzc")]).rules
    assert ["H504", "H506"] == fold_rows(
        [snap("vpzc"), broken, snap("vpzc", completed_at=CREATED + 181, output_file_id="o")]
    ).rules[2]


# ---------------------------------------------------------------- stamps that appear late


def test_a_stop_whose_optional_stamp_shows_up_late_is_emitted_then():
    """Azure: cancelling is reached by a gap; a later in_progress_at emits in_progress."""
    after = fold_rows([snap("vg"), snap("vpgx")], "azure")

    assert [(None, "validating", 0, "stamped"), ("validating", "cancelling", 60, "gap")] == after.steps[0]
    assert [
        ("validating", "in_progress", 60, "stamped"),
        ("cancelling", "cancelled", 180, "observed"),
    ] == [(source, target, at, how) for source, target, at, how in after.steps[1]]
    assert "cancelled" == after.status


def test_a_late_stamp_of_a_status_that_was_implied_is_no_second_entry():
    """Azure: finalizing implied in_progress, so its late stamp emits no transition."""
    after = fold_rows([snap("vpz", in_progress_at=None), snap("vpzc")], "azure")

    assert [("validating", "in_progress", None, "implied")] == [each for each in after.steps[0] if each[3] == "implied"]
    assert [("finalizing", "completed", 180, "observed")] == after.steps[1]


def test_on_a_cycle_a_status_never_entered_is_news():
    """Compatible: finalizing and cancelling lead to each other; without stamps the status itself is the new value."""
    rows = [snap("vpz", finalizing_at=None), snap("vpzg", finalizing_at=None, cancelling_at=None)]

    after = fold_rows(rows, "compatible")

    assert [("finalizing", "cancelling", None, "observed")] == after.steps[1]
    assert [[], []] == after.rules


def test_on_a_cycle_a_status_never_entered_is_an_earlier_view_if_the_clock_says_so():
    """Compatible: a cancelling row with a lower count is stale if it was observed earlier, and a decrease if later."""
    rows = [snap("vpz", finalizing_at=None), snap("vpg", cancelling_at=None)]

    assert [[], ["H505"]] == fold_rows(rows, "compatible", at=[100, 200]).rules
    assert [[], ["H507"]] == fold_rows(rows, "compatible", at=[200, 100]).rules


def test_on_a_cycle_a_row_whose_stamps_are_known_is_stale():
    """Compatible: cancelling, finalizing, and the cancelling row again: the last one is an earlier view."""
    after = fold_rows([*seen("vgz"), snap("vg")], "compatible")

    assert (["H507"], "finalizing") == (after.rules[-1], after.status)


# ---------------------------------------------------------------- the fold against the oracle

WITHOUT_FIELDS = {"P102", "P103", "T201", "F405", "H501", "H502", "H507", "H508"} | {
    f"{family}{number}" for family in ("C3", "F4") for number in ("01", "02", "03", "04")
}
"""The rules whose fields the oracle does not give."""


def fields_of(rule: str, fields: Any) -> frozenset[str]:
    """Return the fields of a finding that the oracle has, too."""
    return frozenset() if rule in WITHOUT_FIELDS else frozenset(fields) - {"observed_at"}


def fold_against_oracle(dialect: str, log: list[Any]) -> None:
    """Fold rows; compare findings, transitions and status with the oracle after each."""
    rows = written(log)
    expected, steps, status = oracle.fold(rows, dialect)
    fold, track, read = Fold(DIALECTS[dialect]), BatchRecord(), reader(DIALECTS[dialect]).read
    for (wire, clock), findings, emitted in zip(rows, expected, steps, strict=True):
        try:
            snapshot = read(wire, clock)
        except SnapshotError:
            assert findings is None
            continue
        assert findings is not None
        found, transitions = fold.judge(snapshot), []
        if snapshot.id is not None:
            folded = fold.apply(track, snapshot)
            found, transitions = folded.findings, folded.transitions
        assert [(code, severity, fields_of(code, names)) for code, severity, names in findings] == [
            (each.rule, each.severity, fields_of(each.rule, each.fields)) for each in found
        ]
        assert emitted == [(each.source, each.target, each.at, each.evidence) for each in transitions]
    assert status == track.status


@pytest.mark.logic
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_fold_reads_any_two_snapshots_as_the_oracle_does(dialect: str):
    """Any snapshot after any other, legal or not, has the findings and transitions of the oracle."""
    for pair in product(PATHS, repeat=2):
        fold_against_oracle(dialect, [(path, {}, None) for path in pair])


@pytest.mark.logic
@settings(max_examples=200)
@given(dialect=st.sampled_from([*DIALECTS]), log=logs)
def test_the_fold_reads_any_log_as_the_oracle_does(dialect: str, log: list[Any]):
    """The fold returns the findings and transitions of the oracle for legal, broken and garbage rows."""
    fold_against_oracle(dialect, log)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
@given(log=logs)
@settings(max_examples=75)
def test_the_fold_reads_any_log_as_the_oracle_does_in_every_dialect(dialect: str, log: list[Any]):
    """Many logs in each dialect: the fold returns the findings and transitions of the oracle."""
    fold_against_oracle(dialect, log)


def test_a_tolerated_way_out_of_a_status_without_documented_steps_is_said_so():
    """The message of H501 names the status instead of an empty list of documented steps."""
    lifecycle = Lifecycle(
        name="loose",
        initial="validating",
        states=(State("validating", "created_at"), State("completed", "completed_at", terminal=True)),
        steps=(LifecycleStep("validating", "complete", "completed", "tolerated"),),
    )
    report = audit([snap("v"), snap("vc")], dialect=lifecycle)

    (message,) = [finding.message for finding in report.findings if finding.rule == "H501"]
    assert "only tolerated steps lead there, no documented step leaves validating" in message
