"""What a report draws, read off columns: the same numbers as row by row."""

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from notation import seen, snap
from test_columnar import always, any_log, both, written  # noqa: F401  # A fixture is found by its name.
from test_flow import taken

from batchfsm import DIALECTS
from batchfsm.auditing.flow import CLEAN_MAX, TROUBLED_MAX, are_told_by_stamps

BY_STAMPS = [name for name, dialect in DIALECTS.items() if are_told_by_stamps(dialect)]


def gathered(report):
    """Return all numbers of a flow; which lives are shown of many is another matter."""
    flow = report.flow
    numbers = (flow.now, flow.dwell, flow.span_s, flow.when, flow.untimed, flow.weighed, flow.troubled_count)
    return sorted(taken(flow), key=str), numbers


def ids(lives):
    """Return whose lives they are."""
    return sorted(life.batch_id for life in lives)


def test_dialects_whose_stamps_tell():
    """Where a stamp is optional, or a cycle hides an entry, columns do not tell the way."""
    assert ["openai", "zhipu", "dashscope"] == BY_STAMPS


@pytest.mark.parametrize("dialect", BY_STAMPS)
@pytest.mark.parametrize("is_sorted", [True, False])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_columns_and_rows_gather_the_same(dialect, is_sorted, seed, tmp_path, always):  # noqa: F811
    """Ways, stays, times and severities, of any log and in any order."""
    rnd = random.Random(seed)  # noqa: S311
    path = written(tmp_path, any_log(rnd, dialect, is_sorted=is_sorted))
    options = rnd.choice([{}, {"select": "T,H5"}, {"ignore": "P"}, {"memory": 1}])

    row_by_row, in_columns = both(path, dialect=dialect, flow=True, **options)

    assert gathered(row_by_row) == gathered(in_columns)
    assert ids(row_by_row.flow.troubled) == ids(in_columns.flow.troubled)


@pytest.mark.parametrize("memory", ["1GB", 1])
def test_healthy_batches_need_no_second_look(memory, tmp_path, always):  # noqa: F811
    """Ways of batches that went as their stamps say are read off columns, in one part or in many."""
    log = [batch for number in range(60) for batch in seen("vpzc", id=f"b{number}", at=(0, 5, 1_234, 9_999))]
    row_by_row, in_columns = both(written(tmp_path, lines(log)), flow=True, memory=memory)

    assert gathered(row_by_row) == gathered(in_columns)
    assert {"validating": {5: 60}, "in_progress": {1_220: 60}, "finalizing": {8_760: 60}} == in_columns.flow.dwell
    assert CLEAN_MAX == len(in_columns.flow.clean)


def lines(log):
    """Write a log as JSON lines."""
    return "".join(json.dumps(each) + "\n" for each in log)


def test_only_so_many_are_shown(tmp_path, always):  # noqa: F811
    """Of many batches with findings the first with the worst are shown."""
    log = [snap("v", id=f"noted{number}", expires_at=None) for number in range(TROUBLED_MAX + 9)]
    log += [snap("vpzc", id="wrong", request_counts={"total": 8, "completed": 1, "failed": 1})]
    row_by_row, in_columns = both(written(tmp_path, lines(log)), flow=True)

    assert gathered(row_by_row) == gathered(in_columns)
    assert "wrong" == in_columns.flow.troubled[0].batch_id
    assert ids(row_by_row.flow.troubled) == ids(in_columns.flow.troubled)


def test_unasked_columns_gather_nothing(tmp_path, always):  # noqa: F811
    """Where no report is asked for, columns gather nothing."""
    _, in_columns = both(written(tmp_path, lines(seen("vpzc"))))

    assert in_columns.flow is None


def test_where_stamps_do_not_tell_rows_do(tmp_path, always):  # noqa: F811
    """With a dialect whose stamps may be null, a log is judged row by row if a report is asked for."""
    row_by_row, other = both(written(tmp_path, lines(seen("vpzc"))), dialect="groq", flow=True)

    assert [] == always
    assert gathered(row_by_row) == gathered(other)
