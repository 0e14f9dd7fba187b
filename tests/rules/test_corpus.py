"""Findings on published batch objects, which are not copied into the project."""

import json
from collections import Counter
from itertools import groupby

import pytest

from batchfsm import RULES, audit
from support.dialects import DIALECTS
from support.paths import SHARED

CORPUS = SHARED / "data" / "observed_snapshots.jsonl"

pytestmark = pytest.mark.skipif(
    not CORPUS.exists(), reason=f"{CORPUS} is not there; BATCHFSM_SHARED says where else to look"
)

# The dialect for a provider's objects; the other providers are compatible servers without a dialect of their own.
OWN = {
    "openai": "openai",
    "azure": "azure",
    "zhipu": "zhipu",
    "groq": "groq",
    "vllm-aibrix": "aibrix",
    "vllm-aibrix-console": "aibrix",
}

# OpenAI's real objects with findings. The R client ellmer stores null as {}: thirteen objects.
ELLMER = {f"tidyverse/ellmer tests/testthat/batch/{name}.json" for name in ("state-capitals", "state-name")}
# ML Commons' connector copied a status that is older than the other fields.
OPENSEARCH = "opensearch-project/documentation-website _ml-commons-plugin/api/model-apis/batch-predict.md"
# The author of a how-to invented two ids of 32 hex digits.
KONG = "Kong/developer.konghq.com app/_how-tos/ai-gateway/send-asynchronous-llm-requests.md"
# A test report with an incomplete object.
N8N = "github-index:35153665328 (n8n test report; partial object)"


def rows():
    """Return the rows of the corpus, sorted by source and sequence."""
    with CORPUS.open(encoding="utf-8") as log:
        return sorted(map(json.loads, log), key=lambda row: (row["source"], row["seq"]))


def real(*, is_openai=True):
    """Return the real rows of OpenAI, or those of all other providers."""
    return [row for row in rows() if row["kind"] == "real" and (row["provider"] == "openai") is is_openai]


def found(corpus, dialect):
    """Return rule, severity and source of every finding."""
    report = audit([row["snapshot"] for row in corpus], dialect=dialect, max_findings=len(corpus) * len(RULES))
    assert (0, len(corpus)) == (report.unreadable_count, report.snapshots)
    return [(each.rule, each.severity, corpus[each.where[-1].line - 1]["source"]) for each in report.findings]


@pytest.fixture(scope="module")
def openai():
    """Return the findings on OpenAI's real objects, audited as one log."""
    return found(real(), "openai")


def test_errors_on_real_objects(openai):
    """The only errors are a stale status on one object, and the R client's {} for null on thirteen."""
    errors = Counter((rule, source) for rule, severity, source in openai if severity == "error")

    assert {
        ("P102", OPENSEARCH): 1,
        **{
            (rule, source): number
            for rule in ("S002", "S005")
            for source, number in zip(sorted(ELLMER), (7, 6), strict=True)
        },
    } == errors


def test_the_r_client_writes_null_as_an_object():
    """All findings on the R client's objects are about {} in fields that were null."""
    report = audit([row["snapshot"] for row in real() if row["source"] in ELLMER])

    assert {"S002": 13, "S005": 13} == report.counts
    assert {"an empty object (R's jsonlite writes null so)"} == {
        part.rpartition(" got ")[2]
        for each in report.findings
        for part in each.message.partition(" (seen")[0].split("; ")
    }
    assert {"error_file_id", "failed_at", "expired_at", "cancelling_at", "cancelled_at"} == {
        name for each in report.findings for name in each.fields
    }


def test_warnings_and_notes_on_real_objects(openai):
    """
    The other findings are a file beside the stale status, two invented ids and an incomplete object.

    Ten stale reads are counted besides: the recordings of these objects (retrieve after list) sort before
    the recordings of their creation.
    """
    others = Counter((rule, severity, source) for rule, severity, source in openai if severity != "error")
    stale = sum(number for (rule, _, source), number in others.items() if rule == "H507" and "ruby-openai" in source)

    assert {
        ("F401", "warning", OPENSEARCH): 1,
        ("T206", "note", KONG): 2,
        ("P104", "note", N8N): 1,
    } == {key: number for key, number in others.items() if key[0] != "H507"}
    assert stale == sum(number for (rule, *_), number in others.items() if rule == "H507")


@pytest.mark.parametrize(
    "code",
    [
        *("T201", "T202", "T203", "T204"),
        *("C301", "C302", "C303", "C304"),
        *("F402", "F403", "F404"),
        *("H501", "H502", "H503", "H504", "H505", "H506", "H508"),
    ],
)
def test_rules_that_real_objects_never_breach(code, openai):
    """No real object of OpenAI breaches these rules."""
    assert code not in {rule for rule, *_ in openai}


def test_each_source_by_itself():
    """An audit of each source alone has the same findings, except for stale reads, which need two sources."""
    findings = [
        each for _, corpus in groupby(real(), key=lambda row: row["source"]) for each in found(list(corpus), "openai")
    ]

    assert {"S002": 13, "S005": 13, "P102": 1, "F401": 1, "T206": 2, "P104": 1} == Counter(
        rule for rule, *_ in findings
    )


def test_real_objects_have_not_changed():
    """The corpus has the numbers of objects on which the expected findings are based."""
    assert (1335, 1272) == (len(rows()), len(real()))


# Azure, Zhipu, Groq and AIBrix have dialects; `compatible` is used for Bella, and accepts its order of stamps.
EXPECTED = {
    ("real", "azure"): {},
    ("real", "zhipu"): {},
    ("real", "vllm-aibrix"): {("F405", "note"): 1},
    ("real", "vllm-aibrix-console"): {("F404", "note"): 1, ("P104", "note"): 1},  # A failed batch with few fields.
    ("real", "bella"): {("T201", "warning"): 1},  # expired_at before finalizing_at: lifecycle.md, section 7.
    ("docs-example", "bella"): {},
    ("docs-example", "groq"): {("S001", "error"): 1},  # The excerpt lacks the id.
    ("docs-example", "maritaca"): {},
    ("docs-example", "openai"): {},
    ("docs-example", "qoder"): {("P101", "warning"): 1},
    ("docs-example", "unknown"): {},
    ("server-fixture", "ibm-watsonx"): {},
    ("synthetic-test", "vllm-aibrix"): {("P104", "note"): 1},
    # Invented for unit tests under a few ids, so their rows are no histories.
    ("synthetic-test", "doubleword"): {
        ("C303", "note"): 4,
        ("F402", "warning"): 1,
        ("H504", "warning"): 1,
        ("H506", "error"): 1,
        ("P101", "warning"): 1,
    },
}


@pytest.mark.parametrize("kind, provider", EXPECTED)
def test_other_providers(kind, provider):
    """Under its own dialect, a provider's real object causes no error; the errors of invented ones are listed here."""
    corpus = [row for row in rows() if (row["kind"], row["provider"]) == (kind, provider)]
    findings = Counter()
    for _, source in groupby(corpus, key=lambda row: row["source"]):
        findings.update((rule, level) for rule, level, _ in found(list(source), OWN.get(provider, "compatible")))

    assert corpus
    assert EXPECTED[kind, provider] == findings


def test_all_providers_are_expected():
    """Each row of the corpus is covered by a test."""
    assert {("real", "openai"), *EXPECTED} == {(row["kind"], row["provider"]) for row in rows()}


def test_the_compatible_dialect_takes_all_that_is_real():
    """Under `compatible`, the real objects of other providers cause no error."""
    corpus = real(is_openai=False)

    assert set() == {each for each in found(corpus, "compatible") if each[1] == "error"}


def test_the_compatible_dialect_takes_all_of_openai_but_damage():
    """Under `compatible`, the only errors on OpenAI's real objects are the R client's {}."""
    findings = found(real(), "compatible")

    assert {"S002": 13, "S005": 13} == Counter(rule for rule, severity, _ in findings if severity == "error")


def test_openai_itself_takes_less():
    """Under `openai`, Azure's real objects lack a stamp."""
    azure = [row for row in real(is_openai=False) if row["provider"] == "azure"]

    assert ("P103", "error") in {(rule, severity) for rule, severity, _ in found(azure, "openai")}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_file_itself_is_a_log(dialect):
    """The corpus file can be audited itself, in any dialect: its rows are envelopes."""
    report = audit(CORPUS, dialect=dialect)

    assert (1335, 0) == (report.snapshots, report.unreadable_count)
