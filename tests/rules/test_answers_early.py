"""C305, answers before the end: on for Anthropic, whose counts of results are 0 until a batch has ended."""

import json

import pytest

from batchfsm import DIALECTS, audit
from batchfsm.rules import RULES, severity_in
from support.other_providers import ANTHROPIC, ENDED
from support.paths import SHARED

SAMPLES = SHARED / "data/other_providers"


def test_it_is_on_for_anthropic_alone():
    found = {name: severity_in(dialect, RULES["C305"]) for name, dialect in DIALECTS.items()}

    assert {"anthropic": "warning"} == {name: severity for name, severity in found.items() if severity != "off"}


@pytest.mark.parametrize("status", ["in_progress", "canceling"])
@pytest.mark.parametrize("field, count", [("succeeded", "completed"), ("errored", "failed")])
def test_an_answer_before_the_end_is_a_warning(status, field, count):
    """The finding has the number of requests that are done."""
    counts = ANTHROPIC["request_counts"] | {"processing": 3, field: 1}
    changes = {"processing_status": status, "request_counts": counts}
    if status == "canceling":
        changes["cancel_initiated_at"] = "2026-01-01T00:01:00Z"
    known = DIALECTS["anthropic"].canonical_status(status)
    (finding,) = audit([ANTHROPIC | changes], dialect="anthropic").findings

    assert ("C305", "warning") == (finding.rule, finding.severity)
    assert {f"request_counts.{count}": 1} == dict(finding.fields)
    assert finding.message.startswith(f"msgbatch_1 is {known} and has request_counts.{count}")


def test_answers_at_the_end_are_silent():
    assert {} == audit([ANTHROPIC, ENDED], dialect="anthropic").counts


@pytest.mark.parametrize("name, kinds", [
    ("anthropic.jsonl", {"real"}), ("anthropic_ogx_recorded.jsonl", {"server"}),
])  # fmt: skip
def test_no_real_or_recorded_object_breaks_it(name, kinds):
    """Objects of the live API and of OGX have no answer before their end."""
    if not SAMPLES.exists():
        pytest.skip(f"{SAMPLES} is not there")
    rows = [json.loads(line) for line in (SAMPLES / name).read_text().splitlines()]
    bodies = [row["body"] for row in rows if row["kind"] in kinds]

    assert bodies
    assert "C305" not in audit(bodies, dialect="anthropic").counts
