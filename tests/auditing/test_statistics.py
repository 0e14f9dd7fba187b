"""Statistics of a report: routes, dwell times, findings over time, and the batches that are shown."""

import pytest

from batchfsm import audit
from batchfsm.auditing.statistics import CLEAN_MAX, FAILING_MAX, SPANS_MAX
from support.notation import CREATED, DAY_S, seen, snap


def flow(log, **options):
    """Return the statistics of an audit."""
    return audit(log, **options).statistics


def observed(batches, every_s=60):
    """Return batches in envelopes, observed `every_s` seconds apart."""
    return [{"observed_at": CREATED + every_s * number, "batch": batch} for number, batch in enumerate(batches)]


def taken(found):
    """Return the source, target, count and kind of each move."""
    return [(move.source, move.target, move.times, move.kind) for move in found.step_counts]


def test_a_flow_is_no_part_of_the_document():
    """The JSON of a report does not contain the statistics."""
    assert "statistics" not in audit(seen("vpzc"), statistics=True).to_dict()


def test_an_empty_log():
    """The statistics of an empty log are empty."""
    found = flow([])

    assert ((), {}, {}, {}, 0, (), ()) == (
        found.step_counts,
        found.final_statuses,
        found.dwell_times,
        found.findings_over_time,
        found.failing_count,
        found.failing_examples,
        found.clean_examples,
    )
    assert {"error": 0, "warning": 0, "note": 0} == found.findings_by_severity
    assert "openai" == found.dialect.name


# ---------------------------------------------------------------- routes


def test_steps_are_counted_over_batches():
    """Each step is counted once for each batch that took it, by a snapshot or by a stamp."""
    found = flow([*seen("vpzc"), snap("vpz", id="b2"), *seen("vf", id="b3")])

    assert [
        (None, "validating", 3, "step"),
        ("validating", "in_progress", 2, "step"),
        ("validating", "failed", 1, "step"),
        ("in_progress", "finalizing", 2, "step"),
        ("finalizing", "completed", 1, "step"),
    ] == taken(found)
    assert {"finalizing": 1, "completed": 1, "failed": 1} == found.final_statuses


def test_gaps_are_no_steps():
    """A move without evidence of the statuses in between is counted as a gap."""
    assert ("validating", "completed", 1, "gap") in taken(flow([snap("vc")], dialect="compatible"))


def test_tolerated_steps_are_steps():
    """A tolerated step is a warning, and is counted as a step."""
    found = flow(seen("vpf", errors=None))

    assert ("in_progress", "failed", 1, "step") in taken(found)
    assert [] == [move for move in taken(found) if move[3] == "illegal"]


@pytest.mark.parametrize(
    "path, move", [("vpzcp", ("completed", "in_progress")), ("vpgp", ("cancelling", "in_progress"))]
)
def test_illegal_moves_are_counted(path, move):
    """An illegal move is counted, even if its rule is ignored."""
    for ignored in ((), ("H501", "H502")):
        assert (*move, 1, "illegal") in taken(flow(seen(path), ignore=ignored))


def test_a_batch_of_unknown_status():
    """A batch whose only status is unknown has no steps and no final status."""
    found = flow([snap("v", status="paused")])

    assert ((), {}) == (found.step_counts, found.final_statuses)
    assert 1 == found.failing_count


# ---------------------------------------------------------------- dwell times


def test_stays():
    """A dwell time is the time between two stamps; the current status has none."""
    found = flow([*seen("vpzc", at=(0, 5, 65, 70)), *seen("vp", id="b2", at=(0, 5))])

    assert {"validating": {5: 2}, "in_progress": {60: 1}, "finalizing": {5: 1}} == found.dwell_times


def test_stays_have_three_digits():
    """Dwell times are rounded to three digits, which limits the number of different ones."""
    assert {"validating": {12_300: 1}} == flow(seen("vp", at=(0, 12_345))).dwell_times
    assert {"validating": {999: 1}} == flow(seen("vp", at=(0, 999))).dwell_times


def test_stays_without_both_ends():
    """A null stamp, or stamps that contradict each other, give no dwell time."""
    assert {} == flow([snap("vc")], dialect="compatible").dwell_times
    assert {} == flow([snap("vp", created_at=CREATED + 3600)]).dwell_times


def test_a_status_entered_twice_has_two_stays():
    """In a cycle each entry of a status has a dwell time."""
    log = [snap("vz"), snap("vzg"), snap("vzgz")]

    assert 2 == sum(
        sum(stays.values())
        for name, stays in flow(log, dialect="compatible").dwell_times.items()
        if name != "validating"
    )


# ---------------------------------------------------------------- findings over time


def test_findings_are_counted_by_time():
    """A finding counts in the minute of its observation, by rule and severity."""
    found = flow(observed([snap("vpzc", output_file_id=None), snap("vpzc", id="b2", output_file_id=None)], 120))

    assert 60 == found.span_s
    minute = CREATED // 60 * 60
    assert {minute: 1, minute + 120: 1} == found.findings_over_time["F402", "warning"]
    assert (2, 0) == (found.findings_by_severity["warning"], found.untimed_count)


def test_without_an_observation_the_creation_counts():
    """A finding without a time of observation counts at the batch's creation."""
    found = flow([snap("vpzc", output_file_id=None)])

    assert {("F402", "warning"): {CREATED // 60 * 60: 1}} == found.findings_over_time


def test_findings_without_any_time():
    """A finding of a row without any time is counted as untimed."""
    found = flow([snap("v", created_at=None)])

    assert ({}, 1) == (found.findings_over_time, found.untimed_count)


def test_a_rule_that_is_ignored_counts_nowhere():
    """Findings of an ignored rule are not counted, and their batch is not failing."""
    found = flow([snap("vpzc", output_file_id=None)], ignore=["F402"])

    assert ({}, 0, 0) == (found.findings_over_time, found.failing_count, found.findings_by_severity["warning"])


@pytest.mark.parametrize("apart_s", [1, 3600, 100 * DAY_S])
def test_spans_grow_with_the_time_they_cover(apart_s):
    """Logs of any length have at most SPANS_MAX spans, and every finding is counted."""
    log = [snap("v", id=f"b{number}", created_at=CREATED + number * apart_s, expires_at=None) for number in range(300)]
    found = flow(log, select=["P104"])
    spans = found.findings_over_time["P104", "note"]

    assert 300 == sum(spans.values())
    assert SPANS_MAX >= (max(spans) - min(spans)) // found.span_s + 1
    assert {0} == {at % found.span_s for at in spans}


# ---------------------------------------------------------------- which batches are shown


def test_batches_with_errors_come_first():
    """Failing batches are in order of their worst finding, and apart from clean ones."""
    log = [
        *seen("vpz", id="clean"),
        snap("vpzc", id="warned", output_file_id=None),
        snap("v", id="noted", expires_at=None),
        snap("vpzc", id="wrong", request_counts={"total": 8, "completed": 1, "failed": 1}),
    ]
    found = flow(log)

    assert ["wrong", "warned", "noted"] == [life.batch_id for life in found.failing_examples]
    assert ["clean"] == [life.batch_id for life in found.clean_examples]
    assert 3 == found.failing_count


def test_only_so_many_are_kept():
    """The examples are limited, and the sample of clean batches is the same for every order of the log."""
    log = [snap("v", id=f"b{number}", expires_at=None) for number in range(FAILING_MAX + 5)]
    clean = [snap("vp", id=f"c{number}") for number in range(3 * CLEAN_MAX)]
    found, turned = flow(log + clean), flow(clean[::-1] + log[::-1])

    assert (FAILING_MAX, FAILING_MAX + 5) == (len(found.failing_examples), found.failing_count)
    assert CLEAN_MAX == len(found.clean_examples)
    assert [life.batch_id for life in found.clean_examples] == [life.batch_id for life in turned.clean_examples]


def test_a_life_says_what_was_seen():
    """The timeline of a batch has its transitions, times, observed statuses and last state."""
    (life,) = flow([snap("v"), snap("vpz")]).clean_examples

    assert ["validating", "in_progress", "finalizing"] == [each.target for each in life.transitions]
    assert [CREATED, CREATED + 60, CREATED + 120] == [each.at for each in life.transitions]
    assert ({"validating", "finalizing"}, "finalizing") == (life.seen, life.last.status)


def test_rows_without_an_id_have_no_life():
    """A finding of a row without id is counted, but belongs to no failing batch."""
    found = flow([snap("vpzc", id=None)])

    assert (1, 0, ()) == (found.findings_by_severity["error"], found.failing_count, found.failing_examples)


def test_a_log_out_of_order_is_gathered_once():
    """A log that is read again to be sorted has the statistics of the log in order."""
    log = observed([*seen("vpzc"), *seen("vpz", id="b2")])
    found = flow(log[::-1])

    assert taken(flow(log)) == sorted(taken(found), key=taken(flow(log)).index)
    assert {"finalizing": 1, "completed": 1} == found.final_statuses
