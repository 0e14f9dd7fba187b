"""Calibration on published batch objects: the rules fit the real world, which is never copied into the project."""

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

# Whose dialect a provider's objects are judged by; the others are compatible servers without one.
OWN = {
    "openai": "openai",
    "azure": "azure",
    "zhipu": "zhipu",
    "groq": "groq",
    "vllm-aibrix": "aibrix",
    "vllm-aibrix-console": "aibrix",
}

# The guilty ones among OpenAI's real objects. The R client ellmer stores null as {}: thirteen objects.
ELLMER = {f"tidyverse/ellmer tests/testthat/batch/{name}.json" for name in ("state-capitals", "state-name")}
# ML Commons' connector copied a status that was older than the other fields.
OPENSEARCH = "opensearch-project/documentation-website _ml-commons-plugin/api/model-apis/batch-predict.md"
# A how-to whose author made up two ids of 32 hex digits.
KONG = "Kong/developer.konghq.com app/_how-tos/ai-gateway/send-asynchronous-llm-requests.md"
# A test report that shows half an object.
N8N = "github-index:35153665328 (n8n test report; partial object)"


def rows():
    """Return the corpus in its order, which is by source and sequence."""
    with CORPUS.open(encoding="utf-8") as log:
        return sorted(map(json.loads, log), key=lambda row: (row["source"], row["seq"]))


def real(*, is_openai=True):
    """Return the real rows, of OpenAI or of all others."""
    return [row for row in rows() if row["kind"] == "real" and (row["provider"] == "openai") is is_openai]


def found(corpus, dialect):
    """Return rule, severity and source of every finding."""
    report = audit([row["snapshot"] for row in corpus], dialect=dialect, max_findings=len(corpus) * len(RULES))
    assert (0, len(corpus)) == (report.unreadable_count, report.snapshots)
    return [(each.rule, each.severity, corpus[each.where[-1].line - 1]["source"]) for each in report.findings]


@pytest.fixture(scope="module")
def openai():
    """Return the findings on OpenAI's real objects, as one log."""
    return found(real(), "openai")


def test_errors_on_real_objects(openai):
    """The only errors are a stale status on one object, and an R client's {} for null on thirteen."""
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
    """What the R client's objects are accused of is {}, in fields that were null."""
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
    What else is said of real objects: a file beside that stale status, two made-up ids, half an object.

    The ten stale reads are objects whose recordings (retrieve after list) sort before
    those of their creation.
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
    """These rules are silent on every real object of OpenAI."""
    assert code not in {rule for rule, *_ in openai}


def test_each_source_by_itself():
    """Source by source the same is found, but for stale reads, which need a second source."""
    findings = [
        each for _, corpus in groupby(real(), key=lambda row: row["source"]) for each in found(list(corpus), "openai")
    ]

    assert {"S002": 13, "S005": 13, "P102": 1, "F401": 1, "T206": 2, "P104": 1} == Counter(
        rule for rule, *_ in findings
    )


def test_real_objects_have_not_changed():
    """The corpus is the one that the figures above were counted on."""
    assert (1335, 1272) == (len(rows()), len(real()))


# Azure, Zhipu, Groq and AIBrix have dialects; Bella is judged as compatible, which lets its order of stamps pass.
EXPECTED = {
    ("real", "azure"): {},
    ("real", "zhipu"): {},
    ("real", "vllm-aibrix"): {("F405", "note"): 1},
    ("real", "vllm-aibrix-console"): {("F404", "note"): 1, ("P104", "note"): 1},  # Failed, with few fields.
    ("real", "bella"): {("T201", "warning"): 1},  # expired_at before finalizing_at: lifecycle.md, section 7.
    ("docs-example", "bella"): {},
    ("docs-example", "groq"): {("S001", "error"): 1},  # The excerpt lost the id.
    ("docs-example", "maritaca"): {},
    ("docs-example", "openai"): {},
    ("docs-example", "qoder"): {("P101", "warning"): 1},
    ("docs-example", "unknown"): {},
    ("server-fixture", "ibm-watsonx"): {},
    ("synthetic-test", "vllm-aibrix"): {("P104", "note"): 1},
    # Made up for unit tests, all under a few ids: they are no history.
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
    """Under its own dialect, a real object of another provider gives no error; made-up ones are named here."""
    corpus = [row for row in rows() if (row["kind"], row["provider"]) == (kind, provider)]
    findings = Counter()
    for _, source in groupby(corpus, key=lambda row: row["source"]):
        findings.update((rule, level) for rule, level, _ in found(list(source), OWN.get(provider, "compatible")))

    assert corpus
    assert EXPECTED[kind, provider] == findings


def test_all_providers_are_expected():
    """Every row of the corpus is looked at by some test."""
    assert {("real", "openai"), *EXPECTED} == {(row["kind"], row["provider"]) for row in rows()}


def test_the_compatible_dialect_takes_all_that_is_real():
    """Judged as compatible, the real objects of other providers give no error."""
    corpus = real(is_openai=False)

    assert set() == {each for each in found(corpus, "compatible") if each[1] == "error"}


def test_the_compatible_dialect_takes_all_of_openai_but_damage():
    """Judged as compatible, what remains of the errors on OpenAI's real objects is the R client's {}."""
    findings = found(real(), "compatible")

    assert {"S002": 13, "S005": 13} == Counter(rule for rule, severity, _ in findings if severity == "error")


def test_openai_itself_takes_less():
    """Judged as OpenAI's, Azure's real objects lack a stamp."""
    azure = [row for row in real(is_openai=False) if row["provider"] == "azure"]

    assert ("P103", "error") in {(rule, severity) for rule, severity, _ in found(azure, "openai")}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_file_itself_is_a_log(dialect):
    """The corpus may be audited as it is, for its rows are envelopes: each is judged, in any dialect."""
    report = audit(CORPUS, dialect=dialect)

    assert (1335, 0) == (report.snapshots, report.unreadable_count)
