"""Published batch objects, most of them real, judged as section 6 of the contract says. Not part of this repository."""

import json
import os
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from batchfsm import DIALECTS, Finding, audit

SHARED = Path(os.environ.get("BATCHFSM_SHARED", Path(__file__).parents[2] / "shared"))
CORPUS = SHARED / "data" / "observed_snapshots.jsonl"

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason=f"no corpus at {CORPUS}; set BATCHFSM_SHARED")

# The documentation of OpenSearch shows in_progress beside finalizing_at, an output file and 3 of 3 requests done:
# a stale status among fresh fields, copied by a connector.
OPENSEARCH = {("P102", "error"): 1, ("F401", "warning"): 1}
# One client in R (jsonlite) writes null as {}: a time that is no number, a file id that is no text.
R_CLIENT = {("S002", "error"): 13, ("S005", "error"): 13}
# Two how-to guides invented ids; one object was published in part, without its deadline.
PUBLISHED_BY_HAND = {("T206", "note"): 2, ("P104", "note"): 1}


def logs(kind: str, provider: str):
    """Return the snapshots of each source in the order of `seq`: only inside a source an order is known."""
    sources = defaultdict(list)
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if (row["kind"], row["provider"]) == (kind, provider):
            sources[row["source"]].append(row)
    return [[row["snapshot"] for row in sorted(rows, key=lambda row: row["seq"])] for rows in sources.values()]


def found(kind: str, provider: str, dialect: str) -> list[Finding]:
    """Return what an audit of each source finds."""
    return [finding for log in logs(kind, provider) for finding in audit(log, dialect=dialect).findings]


def weighed(findings: list[Finding]) -> Counter[tuple[str, str]]:
    """Count findings by rule and severity."""
    return Counter((finding.rule, finding.severity) for finding in findings)


def test_real_openai_objects_are_consistent_but_for_what_is_explained():
    """T201 to T204, C301 to C304, F402 to F404, H501 to H506 and H508 are silent, and so is all else but this."""
    assert OPENSEARCH | R_CLIENT | PUBLISHED_BY_HAND == weighed(found("real", "openai", "openai"))


def test_the_one_error_of_the_lifecycle_is_a_stale_status():
    """The object of OpenSearch, and no other."""
    (finding,) = [each for each in found("real", "openai", "openai") if each.rule == "P102"]

    assert ["finalizing_at"] == list(finding.fields)
    assert "is in_progress and has finalizing_at; no walk leads there that way" in finding.message


def test_the_r_client_is_named():
    """The message says who writes null so."""
    refused = [each for each in found("real", "openai", "openai") if each.rule in {"S002", "S005"}]

    assert all("(R's jsonlite writes null so)" in each.message for each in refused)


def test_every_openai_snapshot_is_judged():
    """1,272 of them, none unreadable."""
    reports = [audit(log) for log in logs("real", "openai")]

    assert (1_272, 0) == (sum(each.snapshots for each in reports), sum(each.unreadable_count for each in reports))


@pytest.mark.parametrize("provider, dialect, errors", [
    ("azure", "azure", []),
    ("bella", "compatible", []),  # expired_at before finalizing_at, and 2000-01-01 for null: a warning.
    ("vllm-aibrix", "aibrix", []),
    ("vllm-aibrix-console", "aibrix", []),  # camelCase, and "0" for null.
    ("zhipu", "zhipu", []),
])  # fmt: skip
def test_other_servers_are_consistent_under_their_own_dialect(provider: str, dialect: str, errors: list[str]):
    """No finding of severity error for any real object."""
    findings = found("real", provider, dialect)

    assert errors == [finding.rule for finding in findings if finding.severity == "error"]


def test_under_compatible_only_damage_remains():
    """The lenient dialect excuses every server, but no time that is no time."""
    errors = {each.rule for each in found("real", "openai", "compatible") if each.severity == "error"}

    assert {"S002", "S005"} == errors


def test_the_strict_dialect_names_what_others_do():
    """Azure's validation before in_progress without a stamp is no OpenAI history."""
    assert {"P103"} <= {finding.rule for finding in found("real", "azure", "openai")}


def test_every_dialect_reads_the_whole_corpus():
    """Whoever wrote it: each row is judged or named, and nothing stops the run."""
    rows = len(CORPUS.read_text(encoding="utf-8").splitlines())
    for dialect in DIALECTS:
        report = audit(CORPUS, dialect=dialect)
        assert rows == report.snapshots + report.unreadable_count, dialect
