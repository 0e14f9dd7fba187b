"""Real servers, recorded every 50 ms, judged under their own dialect. Not part of this repository."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from batchfsm import DIALECTS, Monitor, Report, audit

SHARED = Path(os.environ.get("BATCHFSM_SHARED", Path(__file__).parents[2] / "shared"))
RECORDINGS = SHARED / "recordings"
CALLS = {"create", "retrieve", "cancel", "list"}
SERVERS = {"aibrix_dryrun": "aibrix", "ogx": "ogx", "llmock": "openai"}

pytestmark = pytest.mark.skipif(not RECORDINGS.exists(), reason=f"no recordings at {RECORDINGS}; set BATCHFSM_SHARED")


def answers(server: str) -> list[dict]:
    """Return the lines whose call answers with batches."""
    lines = (RECORDINGS / f"server_{server}.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["call"] in CALLS]


def judged(server: str, dialect: str) -> Report:
    """Audit the answers of a server as they came."""
    return audit(answers(server), dialect=dialect, max_findings=100_000)


@pytest.mark.parametrize("server, dialect", SERVERS.items())
def test_no_server_is_accused_under_its_own_dialect(server: str, dialect: str):
    """What a recorded server does is what its dialect says: no finding of severity error."""
    report = judged(server, dialect)

    assert [] == [finding for finding in report.findings if finding.severity == "error"]
    assert report.ok


@pytest.mark.parametrize("server", SERVERS)
def test_no_server_is_accused_under_the_lenient_dialect(server: str):
    """`compatible` excuses what any of them does."""
    assert "consistent" == judged(server, "compatible").verdict


def test_aibrix_and_ogx_keep_their_dialects_to_the_letter():
    """Nothing is found at all, not even a note."""
    assert ({}, {}) == (dict(judged("aibrix_dryrun", "aibrix").counts), dict(judged("ogx", "ogx").counts))


def test_llmock_jumps_and_back_fills():
    """It goes from validating to completed; its batches fail and are cancelled by tolerated steps only."""
    report = judged("llmock", "openai")

    assert {"P102"} == set(report.counts)
    assert {"warning"} == {finding.severity for finding in report.findings}


def test_the_strict_dialect_names_the_deviations_of_aibrix():
    """An extra status, and cancelling that goes to finalizing."""
    report = judged("aibrix_dryrun", "openai")

    assert {"S004", "H501", "P102"} <= set(report.counts)
    assert {"scheduling"} == {each.fields["status"] for each in report.findings if each.rule == "S004"}


def test_the_strict_dialect_names_the_deviations_of_ogx():
    """Never in_progress_at, finalizing_at or expires_at, and files before the end."""
    assert {"P101", "P103", "P104", "F401"} <= set(judged("ogx", "openai").counts)


@pytest.mark.parametrize("server, dialect", SERVERS.items())
def test_answers_that_are_no_batch_are_unreadable_and_not_findings(server: str, dialect: str):
    """Errors, HTML and transport errors are named, each with its place, and nobody is accused for them."""
    errors = [line for line in answers(server) if line["http_status"] != 200 or "body" not in line]
    report = audit(answers(server), dialect=dialect)

    assert 0 < len(errors) == report.unreadable_count == len(report.unreadable)


def test_aibrix_walks_as_its_readme_says():
    """Scheduling, validating, in_progress, finalizing, completed; cancelled by way of finalizing; failed at once."""
    monitor, steps = Monitor("aibrix"), Counter()
    monitor.on()(lambda step: steps.update([(step.source, step.target)]))
    for line in answers("aibrix_dryrun"):
        body = line.get("body") or {}
        for batch in body.get("data", [body]):
            if "status" in batch:
                monitor.observe(batch, observed_at=line["observed_at"])

    assert {
        ("scheduling", "validating"),
        ("validating", "in_progress"),
        ("in_progress", "finalizing"),
        ("finalizing", "completed"),
        ("in_progress", "cancelling"),
        ("cancelling", "finalizing"),
        ("finalizing", "cancelled"),
        ("scheduling", "failed"),
    } <= set(steps)
    assert set(steps) <= {(step.source, step.target) for step in DIALECTS["aibrix"].lifecycle.steps} | {
        (None, "scheduling"),
        ("scheduling", "cancelling"),
        ("scheduling", "in_progress"),
    }


@pytest.mark.parametrize("server, dialect", SERVERS.items())
def test_a_recording_played_twice_fires_nothing_new(server: str, dialect: str):
    """The second time every snapshot is known, or an earlier view."""
    monitor, keys = Monitor(dialect), []
    monitor.on()(lambda step: keys.append(step.key))
    batches = [
        (batch, line["observed_at"])
        for line in answers(server)
        for batch in (line.get("body") or {}).get("data", [line.get("body") or {}])
        if "status" in batch
    ]
    for batch, observed_at in batches:
        monitor.observe(batch, observed_at=observed_at)
    once = len(keys)
    for batch, observed_at in batches:
        monitor.observe(batch, observed_at=observed_at)

    assert once == len(keys) == len(set(keys))
