"""`broken("R601")` and similar calls return files that break one rule for results."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchfsm.results import RESULT_RULES, audit_results
from batchfsm.testing import broken
from batchfsm.testing.broken_results import BREAKERS


def test_every_rule_for_results_can_be_broken():
    assert set(RESULT_RULES) == set(BREAKERS)


@pytest.mark.parametrize("code", RESULT_RULES)
@given(data=st.data())
def test_broken_files_break_their_rule_and_no_other(code, data):
    """An audit of the files has exactly one finding."""
    files = data.draw(broken(code))
    report = audit_results(files.input, outputs=files.outputs, errors=files.errors, batch=files.batch)

    assert {code: 1} == report.counts_by_rule
