"""Each of the 36 rules: cases that hold, break and silence it, its severity, its message, and private values."""

import json
import pickle
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchfsm import RULES, Dialect, Finding, Lifecycle, Monitor, State, Step
from batchfsm.errors import DefinitionError, UnknownNameError
from batchfsm.finding import LogPosition
from batchfsm.history import BatchRecord, Fold, dump, restore
from batchfsm.rules import HEALTHY, SKEW_S, match_rules, select_rules
from batchfsm.rules.engine import engine_for
from batchfsm.wire import reader
from support.dialects import CHECKING, DIALECTS, OFF
from support.notation import CREATED, DAY_S, seen, snap

HOUR_S = 3600

Row = dict[str, Any]

# A copy of the table of section 6, with which `test_the_table_is_the_contracts` compares the library's.
TABLE = """
S001 missing-field error       S002 wrong-type error          S003 not-a-batch error
S004 unknown-status error      S005 bad-timestamp error       S006 metadata-limit warning
P101 stamp-missing error       P102 stamp-forbidden error     P103 stamp-skipped error
P104 deadline-missing note     T201 stamps-out-of-order error T202 deadline-mismatch warning
T203 expired-early error       T204 finished-late warning     T205 stamp-in-future error
T206 id-time-mismatch note     T207 overdue warning           T208 stuck note
C301 counts-overflow error     C302 counts-unsettled error    C303 counts-early warning      C304 counts-missing note
C305 answers-early off
F401 file-early warning        F402 output-missing warning    F403 errors-unexpected warning
F404 errors-missing note       F405 error-file-unexpected note H501 illegal-transition error  H502 terminal-left error
H503 identity-changed error    H504 stamp-changed error       H505 count-decreased error
H506 file-changed error        H507 stale-read note           H508 terminal-changed warning
"""
SEVERITIES = dict(zip(TABLE.split()[::3], TABLE.split()[2::3], strict=True))

# The column `severities` of section 6's table of dialects.
OVERRIDES = {
    "openai": {},
    "azure": {"T204": "off", "T207": "off", "F402": "note"},
    "groq": {},
    "zhipu": {"P104": "off", "C303": "off"},
    "dashscope": {"P104": "off"},
    "aibrix": {"C304": "off"},
    "ogx": {"P104": "off", "F401": "off", "F405": "off", "C304": "off"},
    "litellm": {
        "P104": "off", "C304": "off", "F405": "off", "C303": "note", "F401": "note",
        "P101": "warning", "P102": "warning", "T201": "warning", "H504": "warning",
    },
    "compatible": {
        "T201": "warning", "T203": "warning", "P101": "warning", "P102": "warning", "H504": "warning",
        "S003": "note", "C303": "note", "F401": "note",
        "P104": "off", "C304": "off", "T202": "off", "T204": "off", "T207": "off", "F405": "off",
    },
}  # fmt: skip


def counts(total: object, completed: object, failed: object) -> Row:
    """Return a `request_counts`."""
    return {"total": total, "completed": completed, "failed": failed}


def judged(
    *rows: Mapping[str, Any], dialect: str | Dialect = "openai", place: LogPosition | None = None
) -> list[Finding]:
    """Return the findings of the last of some snapshots of one batch; a row may include `observed_at`."""
    found = DIALECTS[dialect] if isinstance(dialect, str) else dialect
    fold, track, findings = Fold(found), BatchRecord(), []
    for row in rows:
        wire = dict(row)
        snapshot = reader(found).read(wire, wire.pop("observed_at", None))
        known = (
            fold.judge(snapshot, place) if snapshot.id is None else fold.apply(track, snapshot, place=place).findings
        )
        findings = known
    return findings


def codes(*rows: Mapping[str, Any], dialect: str | Dialect = "openai") -> list[str]:
    """Return the rules that the last of some snapshots of one batch breaches."""
    return [finding.rule for finding in judged(*rows, dialect=dialect)]


# ---------------------------------------------------------------- held, broken, silent

DONE, RUNNING = snap("vpzc"), snap("vp")
ERRORS = {"data": [{"code": "empty_file"}]}
HEX_ID = f"batch_{CREATED:08x}" + "0" * 24
EARLY_ID = f"batch_{CREATED - 61:08x}" + "0" * 24

HELD = [
    ("S001", [DONE]),
    ("S002", [snap("vp", endpoint="/v1/anything", usage={"total_tokens": {"any": ["thing"]}}, other=5)]),
    ("S003", [DONE]),
    ("S003", [snap("v", object=None)]),
    ("S004", [snap("vgx")]),
    ("S005", [snap("vp", in_progress_at=CREATED + 60.0)]),  # A whole float: JSON has one kind of number.
    ("S005", [snap("vp", expires_at=10**11, completion_window=None)]),
    ("S006", [snap("v", metadata={f"{number:064}": "x" * 512 for number in range(16)})]),
    ("P101", [snap("vpzc")]),
    ("P102", [snap("vpgx")]),
    ("P102", [snap("vpze")]),
    ("P103", [snap("vgx")]),
    ("P104", [snap("v")]),
    ("T201", [snap("vpzc", at=[0, 0, 0, 0])]),  # Equal seconds are in order.
    ("T202", [snap("v", completion_window="1d")]),
    ("T202", [snap("v", completion_window="1440m")]),
    ("T202", [snap("v", completion_window="86400s")]),
    ("T203", [snap("vpze", expired_at=CREATED + DAY_S, finalizing_at=CREATED + DAY_S)]),
    ("T204", [snap("vpzc", completed_at=CREATED + DAY_S)]),
    ("T205", [snap("vp", observed_at=CREATED + 60 - SKEW_S)]),
    ("T206", [snap("v", id=HEX_ID)]),
    ("T206", [snap("v", id=f"batch_{CREATED - 60:08x}" + "0" * 24)]),
    ("T206", [snap("v", id=f"batch_{CREATED + 60:08x}" + "0" * 24)]),
    ("T207", [snap("vp", observed_at=CREATED + 2 * DAY_S)]),
    ("T208", [snap("v", observed_at=CREATED + 6 * HOUR_S)]),
    ("T208", [snap("vpz", observed_at=CREATED + 120 + HOUR_S)]),
    ("T208", [snap("vpg", observed_at=CREATED + 120 + HOUR_S)]),
    ("T208", [snap("vp", observed_at=CREATED + DAY_S)]),  # in_progress has no time limit.
    ("C301", [snap("vp", request_counts=counts(8, 4, 4))]),
    ("C302", [snap("vpzc", request_counts=counts(8, 8, 0), error_file_id=None)]),
    ("C302", [snap("vpgx", request_counts=counts(8, 3, 0))]),
    ("C303", [snap("v", request_counts=counts(0, 0, 0))]),
    ("C304", [snap("vp")]),
    ("C305", [snap("vp", request_counts=counts(8, 0, 0))]),
    ("C305", [snap("vpzc")]),
    ("F401", [snap("vpzc", error_file_id="file-e")]),
    ("F401", [snap("vp", output_file_id="", error_file_id="")]),
    ("F402", [snap("vpzc", request_counts=counts(8, 1, 7))]),
    ("F402", [snap("vpzc", request_counts=counts(8, 0, 8), output_file_id=None)]),
    ("F403", [snap("vpzc", errors=[])]),
    ("F403", [snap("vpzc", errors={"object": "list", "data": []})]),
    ("F404", [snap("vf", errors=["any text"])]),
    ("F405", [snap("vpzc", request_counts=counts(8, 8, 0), error_file_id="")]),
    ("F405", [snap("vpzc")]),
    ("H501", seen("vpzc")),
    ("H501", [snap("v"), snap("vpgx")]),
    ("H502", [*seen("vpzc"), snap("vpzc")]),
    ("H503", [snap("v", input_file_id=None), snap("v"), snap("v", input_file_id="")]),
    ("H504", [snap("vp"), snap("vp")]),
    ("H505", [snap("vp"), snap("vp", request_counts=counts(8, 4, 0))]),
    ("H505", [snap("v"), snap("vp")]),  # A total of 0 means that no total was known yet.
    (
        "H506",
        [
            snap("vpzc", output_file_id=None, request_counts=counts(8, 0, 8)),
            snap("vpzc", request_counts=counts(8, 0, 8)),
        ],
    ),
    ("H507", [snap("vp"), snap("vp")]),
    ("H508", [snap("vpzc", error_file_id=None), snap("vpzc")]),  # A file may appear after the end.
]

TIMES = {"created_at": CREATED, "expires_at": CREATED + 2 * DAY_S, "completion_window": "24h"}
DECREASED = counts(8, 2, 1)
BROKEN: list[tuple[str, list[Row], Row]] = [
    ("S001", [snap("v", created_at=None)], {"created_at": None}),
    ("S001", [snap("v", id=None)], {"id": None}),
    ("S001", [snap("vpzc", status=None)], {"status": None}),
    ("S001", [snap("vf", status=None, created_at=None, expires_at=CREATED)], {"status": None, "created_at": None}),
    ("S002", [snap("v", endpoint=5)], {"endpoint": 5}),
    ("S002", [snap("v", id=5)], {"id": 5}),
    ("S002", [snap("vpzc", status=["completed"])], {"status": ("completed",)}),
    ("S002", [snap("vp", request_counts=counts(8, None, True))], {"request_counts.completed": None, "request_counts.failed": True}),
    ("S002", [snap("v", errors=7, usage="none")], {"errors": 7, "usage": "none"}),
    ("S003", [snap("v", object="file")], {"object": "file"}),
    ("S003", [snap("v", object=5)], {"object": 5}),
    ("S004", [snap("v", status="paused")], {"status": "paused"}),
    ("S004", [snap("vpzc", status="Completed")], {"status": "Completed"}),
    ("S005", [snap("vp", in_progress_at="1760000060")], {"in_progress_at": "1760000060"}),
    ("S005", [snap("vp", in_progress_at=CREATED + 0.5)], {"in_progress_at": CREATED + 0.5}),
    ("S005", [snap("vp", in_progress_at=True)], {"in_progress_at": True}),
    ("S005", [snap("vp", in_progress_at=0)], {"in_progress_at": 0}),
    ("S005", [snap("vp", in_progress_at=10**11 + 1)], {"in_progress_at": 10**11 + 1}),
    ("S005", [snap("vpzc", completed_at={}, expires_at=-1)], {"completed_at": {}, "expires_at": -1}),
    ("S006", [snap("v", metadata={str(number): "" for number in range(17)})], {"metadata": "17 pairs, 16 allowed"}),
    ("S006", [snap("v", metadata={"k" * 65: ""})], {"metadata": "a key of 65 characters, 64 allowed"}),
    ("S006", [snap("v", metadata={"k": "x" * 513})], {"metadata": "a value of 513 characters, 512 allowed, under 'k'"}),
    ("S006", [snap("v", metadata={"k": 1})], {"metadata": "a value that is no text, under 'k'"}),
    ("P101", [snap("vpzc", completed_at=None)], {"completed_at": None}),
    ("P102", [snap("vpzc", failed_at=CREATED + 999)], {"failed_at": CREATED + 999}),
    ("P102", [snap("v", finalizing_at=CREATED + 999)], {"finalizing_at": CREATED + 999}),
    ("P103", [snap("vpc")], {"finalizing_at": None}),
    ("P103", [snap("vc")], {"in_progress_at": None, "finalizing_at": None}),
    ("P104", [snap("vpzc", expires_at=None)], {"expires_at": None}),
    ("T201", [snap("vpzc", at=[0, 60, 200, 180])], {"finalizing_at": CREATED + 200, "completed_at": CREATED + 180}),
    ("T201", [snap("vp", at=[0, -1])], {"created_at": CREATED, "in_progress_at": CREATED - 1}),
    ("T202", [snap("v", expires_at=CREATED + 2 * DAY_S)], TIMES),
    ("T203", [snap("vpze", at=[0, 60, 120, DAY_S - 1])], {"expired_at": CREATED + DAY_S - 1, "expires_at": CREATED + DAY_S}),
    ("T204", [snap("vpzc", at=[0, 60, 120, DAY_S + 1])], {"completed_at": CREATED + DAY_S + 1, "expires_at": CREATED + DAY_S}),
    ("T205", [snap("vp", observed_at=CREATED - 1.0)], {"in_progress_at": CREATED + 60, "observed_at": CREATED - 1.0}),
    ("T206", [snap("v", id=EARLY_ID)], {"id": EARLY_ID, "created_at": CREATED}),
    ("T207", [snap("vp", observed_at=CREATED + 2 * DAY_S + 1)], {"observed_at": CREATED + 2 * DAY_S + 1, "expires_at": CREATED + DAY_S}),
    ("T208", [snap("v", observed_at=CREATED + 6 * HOUR_S + 1)], {"observed_at": CREATED + 6 * HOUR_S + 1, "created_at": CREATED}),
    ("T208", [snap("vpz", observed_at=CREATED + 120 + HOUR_S + 1)], {"observed_at": CREATED + 120 + HOUR_S + 1, "finalizing_at": CREATED + 120}),
    ("T208", [snap("vg", observed_at=CREATED + 60 + HOUR_S + 0.5)], {"observed_at": CREATED + 60 + HOUR_S + 0.5, "cancelling_at": CREATED + 60}),
    ("C301", [snap("vp", request_counts=counts(8, 8, 1))], {"request_counts.total": 8, "request_counts.completed": 8, "request_counts.failed": 1}),
    ("C301", [snap("vpzc", request_counts=counts(8, -1, 9), output_file_id=None)], {"request_counts.completed": -1}),
    ("C302", [snap("vpzc", request_counts=counts(8, 6, 1))], {"request_counts.total": 8, "request_counts.completed": 6, "request_counts.failed": 1}),
    ("C303", [snap("v", request_counts=counts(8, 0, 0))], {"request_counts.total": 8}),
    ("C304", [snap("vp", request_counts=None)], {"request_counts": None}),
    ("C305", [snap("vp", request_counts=counts(8, 3, 0))], {"request_counts.completed": 3}),
    ("C305", [snap("vg", request_counts=counts(8, 0, 1))], {"request_counts.failed": 1}),
    ("F401", [snap("vp", output_file_id="file-out")], {"output_file_id": "file-out"}),
    ("F401", [snap("vpg", error_file_id="file-err")], {"error_file_id": "file-err"}),
    ("F402", [snap("vpzc", output_file_id=None)], {"output_file_id": None, "request_counts.completed": 7}),
    ("F403", [snap("vpzc", errors=ERRORS)], {"errors": ["empty_file"]}),
    ("F404", [snap("vf", errors=None)], {"errors": None}),
    ("F405", [snap("vpzc", request_counts=counts(8, 8, 0))], {"error_file_id": "file-err", "request_counts.failed": 0}),
    ("H501", seen("vpzp"), {"known_status": "finalizing", "status": "in_progress"}),
    ("H502", seen("vpzcp"), {"known_status": "completed", "status": "in_progress"}),
    ("H503", [snap("v"), snap("v", endpoint="/v1/other", input_file_id="file-2")], {"endpoint": "/v1/other", "input_file_id": "file-2"}),
    ("H504", [snap("vp"), snap("vp", at=[0, 61])], {"in_progress_at": CREATED + 61}),
    ("H505", [snap("vp"), snap("vp", request_counts=DECREASED)], {"request_counts.completed": 2}),
    ("H505", [snap("vp"), snap("vp", request_counts=counts(9, 3, 0))], {"request_counts.total": 9}),
    ("H506", [snap("vpzc"), snap("vpzc", error_file_id=None)], {"error_file_id": None}),
    ("H506", [snap("vpzc"), snap("vpzc", output_file_id="file-2")], {"output_file_id": "file-2"}),
    ("H507", [snap("vpzc"), snap("vp")], {"known_status": "completed", "status": "in_progress"}),
    ("H508", [snap("vf"), snap("vf", errors=["other"])], {"errors": ["other"]}),
    ("H508", [snap("vpgx"), snap("vpgx", request_counts=counts(8, 4, 0))], {"request_counts.completed": 4}),
]  # fmt: skip

SILENT = [
    ("S001", [snap("v", created_at="soon", status=5, id=["batch_1"])]),  # S005 and S002 report it.
    ("S002", [snap("vp", in_progress_at="soon", object="file")]),  # S005 and S003 report it.
    ("S003", [snap("v", status=5)]),
    ("S004", [snap("v", status=None)]),  # S001 reports it.
    ("S004", [snap("v", status=5)]),  # S002 reports it.
    ("S005", [snap("vp", in_progress_at=None)]),
    ("S006", [snap("v", metadata=None)]),
    ("S006", [snap("v", metadata=[])]),
    ("S006", [snap("v", metadata="x" * 9999)]),  # S002 reports it.
    ("P101", [snap("vpzc", completed_at="soon")]),
    ("P101", [snap("vpzc", completed_at=None, status="paused")]),
    ("P101", [snap("v", created_at=None)]),  # S001 reports it.
    ("P102", [snap("vpzc", failed_at="soon")]),
    ("P102", [snap("vpzc", failed_at=CREATED, status="paused")]),
    ("P103", [snap("vpc", finalizing_at="soon")]),
    ("P103", [snap("vpc", status="paused")]),
    ("P104", [snap("v", expires_at="soon")]),
    ("T201", [snap("vpzc", finalizing_at="soon")]),
    ("T201", [snap("vpzc", finalizing_at=None)]),
    ("T202", [snap("v", completion_window="a day", expires_at=CREATED + 5)]),
    ("T202", [snap("v", completion_window=None, expires_at=CREATED + 5)]),
    ("T202", [snap("v", created_at=None)]),
    ("T202", [snap("v", expires_at="soon")]),
    ("T203", [snap("vpze", at=[0, 60, 120, 180], expires_at=None)]),
    ("T203", [snap("vpze", at=[0, 60, 120, 180], expires_at="soon")]),
    ("T204", [snap("vpzc", expires_at=None)]),
    ("T204", [snap("vpzc", completed_at=None)]),
    ("T205", [snap("vp", in_progress_at=CREATED + 10**9)]),  # observed_at is unknown.
    ("T205", [snap("vp", in_progress_at="soon", observed_at=CREATED)]),
    ("T205", [snap("vp", observed_at="soon")]),
    ("T206", [snap("v", id="batch_1")]),
    ("T206", [snap("v", id="batch_" + "6" * 33)]),
    ("T206", [snap("v", id="batch_" + "6" * 32, created_at=None)]),
    ("T207", [snap("vpzc", observed_at=CREATED + 9 * DAY_S)]),
    ("T207", [snap("vp", status="paused", observed_at=CREATED + 9 * DAY_S)]),
    ("T207", [snap("vp", expires_at=None, observed_at=CREATED + 9 * DAY_S)]),
    ("T207", [snap("vp")]),
    ("T208", [snap("vpz")]),
    ("T208", [snap("vpzc", observed_at=CREATED + 9 * DAY_S)]),
    ("T208", [snap("vg", cancelling_at=None, observed_at=CREATED + 9 * DAY_S)]),
    ("T208", [snap("vg", cancelling_at="soon", observed_at=CREATED + 9 * DAY_S)]),
    ("T208", [snap("vg", status="paused", observed_at=CREATED + 9 * DAY_S)]),
    ("C301", [snap("vp", request_counts=None)]),
    ("C301", [snap("vp", request_counts=counts(8, "many", 9))]),
    ("C302", [snap("vpzc", request_counts=counts(8, -1, 0))]),  # C301 reports it.
    ("C302", [snap("vpzc", request_counts=counts(8, 5, None))]),
    ("C302", [snap("vp", request_counts=counts(8, 5, 0))]),
    ("C303", [snap("v", request_counts=counts(-1, 0, 0))]),  # C301 reports it.
    ("C303", [snap("v", request_counts=counts("8", 0, 0))]),
    ("C304", [snap("v", request_counts=None)]),
    ("C304", [snap("vf", request_counts=None)]),
    ("C304", [snap("vp", status="paused", request_counts=None)]),
    ("C304", [snap("vp", request_counts=5)]),
    ("C305", [snap("vp", request_counts=None)]),
    ("C305", [snap("vp", request_counts=counts(8, "few", 0))]),
    ("C305", [snap("vp", request_counts=counts(8, -1, 0))]),  # C301 reports it.
    ("F401", [snap("vp", output_file_id=5)]),
    ("F401", [snap("vp", status="paused", output_file_id="file-out")]),
    ("F402", [snap("vpzc", output_file_id=5)]),
    ("F402", [snap("vpzc", output_file_id=None, request_counts=None)]),
    ("F402", [snap("vpgx", output_file_id=None)]),
    ("F403", [snap("vpzc", errors=5)]),
    ("F403", [snap("vpzc", status="paused", errors=ERRORS)]),
    ("F404", [snap("vf", errors=5)]),
    ("F404", [snap("v", errors=None)]),
    ("F405", [snap("vpzc", request_counts=counts(8, 8, None))]),
    ("F405", [snap("vpzc", request_counts=None)]),
    ("F405", [snap("vpzc", request_counts=counts(8, 8, 0), error_file_id=5)]),
    ("F405", [snap("vpgx", request_counts=counts(8, 8, 0))]),
    ("F405", [snap("vpzc", request_counts=counts(8, 9, -1))]),  # C301 reports it.
    ("H501", [snap("vpz"), snap("vp", status="paused")]),
    ("H501", [snap("vpz"), snap("vp")]),  # H507 reports it.
    ("H501", [snap("vpzc"), snap("vp", at=[0, 240])]),  # H502 reports it.
    ("H502", [snap("vpzc"), snap("vp")]),  # H507 reports it.
    ("H502", [snap("vpzc"), snap("vpzc", status=None)]),
    ("H503", [snap("v"), snap("v", endpoint=None, expires_at=None, completion_window=None)]),
    ("H503", [snap("v"), snap("v", endpoint=5)]),
    ("H504", [snap("vp"), snap("vp", in_progress_at="soon")]),
    ("H504", [snap("v"), snap("v", created_at=CREATED + 1)]),  # H503 reports it.
    ("H504", seen("vpzcp")),  # H502 reports it: after an illegal move H504 compares no stamps.
    ("H505", [snap("vp"), snap("vp", request_counts=None)]),
    ("H505", [snap("vp"), snap("vp", request_counts=counts(8, "few", 0))]),
    ("H505", seen("vpzcp")),
    ("H506", [snap("vpzc"), snap("vpzc", error_file_id=5)]),
    ("H506", seen("vpzcp")),
    ("H507", [snap("vpzc"), snap("vp", status="paused")]),
    ("H507", [snap("vpzc"), snap("vp", at=[0, 61])]),  # The row has a new stamp, so it is no earlier view.
    ("H508", [snap("vp"), snap("vp", request_counts=counts(8, 4, 0))]),
    ("H508", [snap("vpgx"), snap("vpgx", request_counts=counts(9, 4, 0))]),  # H505 reports it.
    ("H508", [snap("vf"), snap("vf", errors=5)]),
]


@pytest.mark.parametrize("code, rows", HELD)
def test_a_rule_is_held(code: str, rows: list[Row]):
    """A case at the limit of what the rule allows breaches no rule."""
    assert [] == codes(*rows, dialect=CHECKING[code])


@pytest.mark.parametrize("code, rows, fields", BROKEN)
def test_a_rule_is_broken(code: str, rows: list[Row], fields: Row):
    """Exactly one rule is breached; the finding has the fields at fault with their values."""
    (finding,) = judged(*rows, dialect=CHECKING[code])

    assert (code, fields) == (finding.rule, dict(finding.fields))
    assert ("warning" if code in OFF else SEVERITIES[code], RULES[code].name) == (finding.severity, finding.name)
    assert finding.batch_id == (rows[-1]["id"] if isinstance(rows[-1]["id"], str) else None)


@pytest.mark.parametrize("code, rows", SILENT)
def test_a_rule_is_silent(code: str, rows: list[Row]):
    """The rule cannot be checked, or another rule reports the fault."""
    assert code not in codes(*rows, dialect=CHECKING[code])


@pytest.mark.parametrize("code, rows", [(code, rows) for code, rows, _ in BROKEN if code in OFF])
def test_a_rule_that_is_off_reports_nothing(code: str, rows: list[Row]):
    """OpenAI's dialect reports nothing where the rule is broken: a dialect has to switch it on."""
    assert [] == codes(*rows)


def test_every_rule_has_a_held_a_broken_and_a_silent_case():
    for cases in (HELD, BROKEN, SILENT):
        assert list(RULES) == list(dict.fromkeys(case[0] for case in cases))


def test_the_table_is_the_contracts():
    """Codes, names, severities and their order are those of the contract."""
    assert TABLE.split() == [word for rule in RULES.values() for word in (rule.code, rule.name, rule.severity)]


# ---------------------------------------------------------------- warnings of rules that are errors


@pytest.mark.parametrize("path, expected", [
    ("vpf", ["P102"]),  # in_progress fails: one tolerated step, one warning.
    ("vpe", ["P103"]),  # in_progress expires: no stamp is forbidden, but the one of finalizing is missing.
    ("ve", ["P103"]),
    ("vpzf", ["P102"]),
    ("vpzgx", ["P102"]),
    ("vgc", ["P102"]),
    ("vgf", ["P102"]),
    ("vge", ["P102"]),
])  # fmt: skip
def test_a_tolerated_step_proven_by_stamps_is_one_warning(path: str, expected: list[str]):
    """A path with a tolerated step is legal: either P102 or P103 warns, and the other is silent."""
    findings = judged(snap(path))

    assert [(code, "warning") for code in expected] == [(found.rule, found.severity) for found in findings]


@pytest.mark.parametrize("known, after", [
    ("vp", "f"), ("vpz", "f"), ("vpz", "g"), ("vpz", "gx"), ("vg", "c"), ("vg", "f"), ("vg", "e"),
])  # fmt: skip
def test_a_tolerated_step_between_two_snapshots_is_a_warning(known: str, after: str):
    """If only tolerated steps lead to the new status, P102 and H501 warn, and the status is accepted."""
    monitor = Monitor()
    monitor.observe(snap(known))

    found = monitor.observe(snap(known + after))

    assert [("P102", "warning"), ("H501", "warning")] == [(each.rule, each.severity) for each in found.findings]
    assert ("consistent", len(after)) == (found.verdict, len(found.transitions))
    assert snap(after)["status"] == monitor["batch_1"].status


def test_a_way_of_documented_steps_between_two_snapshots_is_no_warning():
    """From validating to expired the batch may have passed finalizing between the polls, so no rule is breached."""
    assert [] == codes(snap("v"), snap("vpze"))


# ---------------------------------------------------------------- the examples of `batchfsm rules`

COMPANIONS = {"P102": {"T201"}}
"""The examples that bring others along, as section 6 says: a forbidden stamp older than those before it."""


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_example_of_a_rule_breaches_it_and_nothing_else(rule: object):
    """The example that `batchfsm rules CODE` prints breaches its rule, and only the others listed in section 6."""
    rows = [HEALTHY | change for change in rule.example]

    assert (
        {rule.code} <= set(codes(*rows, dialect=CHECKING[rule.code])) <= {rule.code} | COMPANIONS.get(rule.code, set())
    )


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_example_of_a_rule_is_healthy_before_its_last_snapshot(rule: object):
    """The healthy batch and all but the last snapshot of an example breach no rule."""
    rows = [HEALTHY | change for change in rule.example]

    assert [] == codes(HEALTHY)
    assert [[] for _ in rows[1:]] == [codes(*rows[:length]) for length in range(1, len(rows))]


# ---------------------------------------------------------------- severities and tolerance of dialects


def broken_case(code: str, dialect: str) -> list[Row]:
    """Return rows that breach the rule in every dialect that has the rule."""
    return {
        "P103": [snap("vgx", cancelling_at=None)] if dialect != "compatible" else [snap("vp", status="expired")],
        "C304": [snap("vpg", request_counts=None)],
        "T202": [snap("v", expires_at=CREATED + 2 * DAY_S)],
    }.get(code) or next(rows for broken, rows, _ in BROKEN if broken == code)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect_weighs_rules_as_the_contract_says(dialect: str):
    """Each dialect has exactly the overrides of section 6."""
    assert OVERRIDES[dialect] == DIALECTS[dialect].severities


@pytest.mark.parametrize("dialect, code, severity", [
    (dialect, code, severity) for dialect, own in OVERRIDES.items() for code, severity in own.items()
])  # fmt: skip
def test_a_finding_has_the_severity_of_its_dialect(dialect: str, code: str, severity: str):
    """The finding has the dialect's severity, or is absent if the rule is off; under `openai` it has the default."""
    rows = broken_case(code, dialect)
    found = [finding.severity for finding in judged(*rows, dialect=dialect) if finding.rule == code]

    assert found == ([] if severity == "off" else [severity])
    assert [SEVERITIES[code]] == [finding.severity for finding in judged(*rows) if finding.rule == code]


def test_a_dialect_may_raise_a_rule():
    """A dialect may make P104 an error, and the verdict is then inconsistent."""
    monitor = Monitor(Dialect(name="strict house", severities={"P104": "error"}))

    found = monitor.observe(snap("v", expires_at=None))

    assert (["error"], "inconsistent") == ([finding.severity for finding in found.findings], found.verdict)


def test_a_raised_rule_still_only_warns_of_tolerated_steps():
    """P102 for a tolerated step is a warning if the rule is an error, and a note if the dialect makes it a note."""
    note = Dialect(name="lenient", severities={"P102": "note"})

    assert ["warning"] == [finding.severity for finding in judged(snap("vpf"))]
    assert ["note"] == [finding.severity for finding in judged(snap("vpf"), dialect=note)]


def test_a_dialect_that_weighs_an_unknown_rule_is_refused():
    """The first use of the dialect raises an error with the unknown code."""
    with pytest.raises(DefinitionError, match="invalid dialect 'typo': no rule is called S099"):
        engine_for(Dialect(name="typo", severities={"S099": "off"}))


@pytest.mark.parametrize("dialect, changes", [
    ("azure", {"in_progress_at": None}),
    ("groq", {"finalizing_at": None}),
    ("litellm", {"in_progress_at": None, "finalizing_at": None}),
    ("compatible", {"in_progress_at": None, "finalizing_at": None}),
])  # fmt: skip
def test_an_optional_stamp_may_be_null(dialect: str, changes: Row):
    """A stamp that the dialect declares optional may be null; under `openai` the same row breaches P103."""
    assert [] == codes(snap("vpzc", **changes), dialect=dialect)
    assert ["P103"] == codes(snap("vpzc", **changes))


def test_an_optional_stamp_that_is_set_is_judged():
    """An optional stamp may be null, but if it is set it must be in order."""
    assert ["T201"] == codes(snap("vpzc", at=[0, 300, 120, 180]), dialect="azure")


def test_the_own_stamp_may_be_null_where_it_is_optional():
    """Azure's batches in progress may lack in_progress_at, and P101 is not breached."""
    assert [] == codes(snap("vp", in_progress_at=None), dialect="azure")


@pytest.mark.parametrize("off_s, expected", [(5, []), (-5, []), (6, ["T202"]), (-6, ["T202"])])
def test_azure_may_miss_its_deadline_by_five_seconds(off_s: int, expected: list[str]):
    """Azure computes creation and deadline separately: five seconds of difference are tolerated, six are not."""
    assert expected == codes(snap("v", expires_at=CREATED + DAY_S + off_s), dialect="azure")


def test_null_counts_are_unknown_numbers_where_they_are_allowed():
    """Zhipu's counts may be null: the rules ignore them there, and S002 reports them under `openai`."""
    rows = snap("vpzc", request_counts=counts(8, None, None), output_file_id=None)

    assert [] == codes(rows, dialect="zhipu")
    assert ["S002"] == codes(rows)


def test_a_status_without_a_stamp_of_its_own_is_never_missing_one():
    """In AIBrix, created_at is the stamp of scheduling, so validating has none."""
    assert [] == codes(snap("v"), dialect="aibrix")
    assert [] == codes(snap("v", status="scheduling"), dialect="aibrix")


def test_rules_read_a_lifecycle_of_ones_own():
    """Known and final statuses, forbidden and missing stamps are derived from the given lifecycle."""
    light = Lifecycle(
        name="light",
        initial="validating",
        states=(State("validating", "created_at"), State("completed", "completed_at", terminal=True)),
        steps=(Step("validating", "complete", "completed"),),
    )
    dialect = Dialect(name="light", base=light)

    assert [] == codes(snap("vc"), dialect=dialect)
    assert ["S004"] == codes(snap("vp"), dialect=dialect)
    assert ["P102"] == codes(snap("v", completed_at=CREATED + 9), dialect=dialect)


# ---------------------------------------------------------------- messages

MESSAGES = [
    ("MustBeSet", [snap("v", created_at=None)], "batch_1 has no created_at"),
    ("MustBeSet", [snap("v", id=None)], "a batch without id has no id"),
    ("InvalidField", [snap("v", endpoint=5)], "batch_1 has a bad field, endpoint: expected null or text, got 5"),
    ("InvalidField", [snap("v", object="file")], "batch_1 has a bad field, object: expected 'batch', got 'file'"),
    (
        "InvalidField",
        [snap("vp", in_progress_at=CREATED * 1000)],
        "batch_1 has a bad field, in_progress_at: expected null or whole Unix seconds, got 1760000000000 "
        "(milliseconds?)",
    ),
    (
        "InvalidField",
        [snap("v", usage={}, error_file_id={})],
        "batch_1 has a bad field, error_file_id: expected null or text, got an empty object (R's jsonlite writes null so)",
    ),
    (
        "UnknownStatus",
        [snap("v", status="paused")],
        "batch_1 has status 'paused'; known are validating, in_progress, finalizing, completed, failed, expired, "
        "cancelling, cancelled",
    ),
    ("Limit", [snap("v", metadata={"k": "x" * 513})], "batch_1 has metadata with a value of 513 characters, 512 allowed, under 'k'"),
    ("OwnStampMissing", [snap("vpzc", completed_at=None)], "batch_1 is completed and has no completed_at"),
    ("ImpossibleStamps", [snap("vpzc", failed_at=CREATED + 999)], "batch_1 is completed and has failed_at; no walk leads there that way"),
    ("ImpossibleStamps", [snap("vpf")], "batch_1 is failed and has in_progress_at; only tolerated steps lead there that way"),
    ("SkippedStamp", [snap("vpe")], "batch_1 is expired and has no finalizing_at; only tolerated steps lead there without it"),
    ("SkippedStamp", [snap("ve")], "batch_1 is expired and has no in_progress_at and finalizing_at; only tolerated steps lead there without them"),
    ("SkippedStamp", [snap("vc")], "batch_1 is completed and has no in_progress_at and finalizing_at, which it must have passed"),
    ("StampOrder", [snap("vpzc", at=[0, 60, 200, 180])], "batch_1 has finalizing_at after completed_at"),
    (
        "TimeLimit",
        [snap("vpzc", at=[0, 60, 120, DAY_S + 1])],
        "batch_1 has completed_at 1 s after expires_at",
    ),
    (
        "TimeLimit",
        [snap("vp", observed_at=CREATED - 1940)],
        "batch_1 has created_at and in_progress_at 2,000 s after observed_at (60 s allowed)",
    ),
    (
        "OpenAfterDeadline",
        [snap("vp", observed_at=CREATED + 2 * DAY_S + 3600)],
        "batch_1 is still in_progress 25 hours after its deadline; in_progress since 2025-10-09 08:54:20 UTC",
    ),
    (
        "OpenAfterDeadline",
        [snap("vp", in_progress_at="lost", observed_at=CREATED + 4 * DAY_S)],
        "batch_1 is still in_progress 3 days after its deadline; it has no in_progress_at",
    ),
    (
        "StuckInStatus",
        [snap("vg", observed_at=CREATED + 60 + 27 * HOUR_S)],
        "batch_1 has been cancelling for 27 hours, since 2025-10-09 08:54:20 UTC; more than 1 hour is unusual",
    ),
    ("DeadlineWindow", [snap("v", expires_at=CREATED + 9)], "batch_1 has 9 s between created_at and expires_at; 24h are 86,400 s"),
    ("IdTime", [snap("v", id=EARLY_ID)], f"{EARLY_ID} has an id made 61 s before created_at"),
    ("CountsOverflow", [snap("vp", request_counts=counts(8, 8, 1))], "batch_1 has 8 completed and 1 failed of 8 requests"),
    ("CountsOverflow", [snap("vp", request_counts=counts(8, -1, -1))], "batch_1 has a negative request_counts.completed and request_counts.failed"),
    ("CountsUnfinished", [snap("vpzc", request_counts=counts(8, 6, 1))], "batch_1 is completed with 6 completed and 1 failed of 8 requests"),
    ("MustBeNull", [snap("vp", output_file_id="o")], "batch_1 is in_progress and has output_file_id"),
    ("OutputMissing", [snap("vpzc", output_file_id=None)], "batch_1 is completed with 7 requests done and has no output_file_id"),
    (
        "UnexpectedErrorFile",
        [snap("vpzc", request_counts=counts(8, 8, 0))],
        "batch_1 is completed with no request failed and has an error_file_id: look into that file",
    ),
    (
        "UnknownStatus",
        [snap("v", status="Completed")],
        "batch_1 has status 'Completed'; it is most like completed: --alias Completed=completed reads it so; known are "
        "validating, in_progress, finalizing, completed, failed, expired, cancelling, cancelled",
    ),
    ("MustBeSet", [snap("v", id=None, batch_id="7f1d")], "a batch without id has no id; it has the key 'batch_id', not 'id'"),
    (
        "IllegalMove",
        seen("vpzp"),
        "batch_1 went from finalizing to in_progress; no walk leads there, finalizing leads to completed and expired",
    ),
    (
        "IllegalMove",
        [snap("vp"), snap("vpf", in_progress_at="lost")],
        "batch_1 went from in_progress to failed; only tolerated steps lead there, in_progress leads to "
        "finalizing, completed, expired, cancelling and cancelled",
    ),
    ("IllegalMove", seen("vpzcp"), "batch_1 went from completed to in_progress; completed is final"),
    ("IllegalMove", [snap("vpzc"), snap("vp")], "batch_1 was seen in_progress after completed: an earlier view that came late, or a server that was reset to an earlier state"),
    ("Immutable", [snap("v"), snap("v", endpoint="/v2")], "batch_1 changed endpoint from '/v1/chat/completions' to '/v2'"),
    ("Immutable", [snap("vpzc"), snap("vpzc", error_file_id=None)], "batch_1 changed error_file_id from 'file-err' to null"),
    ("Monotonic", [snap("vp"), snap("vp", request_counts=DECREASED)], "batch_1 changed request_counts.completed from 3 to 2"),
    ("ChangedAfterEnd", [snap("vf"), snap("vf", errors=["other"])], "batch_1 was failed, and then errors changed"),
]  # fmt: skip


@pytest.mark.parametrize("kind, rows, message", MESSAGES)
def test_a_message_says_what_is_wrong_and_what_could_have_been(kind: str, rows: list[Row], message: str):
    """The exact message for each kind of rule: it begins with the batch, and its text is part of the API."""
    found = judged(*rows)[-1]

    assert message == found.message
    assert kind == type(RULES[found.rule].kind).__name__


def test_every_kind_of_rule_has_its_message_tested():
    assert {type(rule.kind).__name__ for rule in RULES.values()} == {kind for kind, _, _ in MESSAGES}


def test_a_message_says_where():
    """A finding from a log ends with the one or two places that prove it."""
    fold, track = Fold(DIALECTS["openai"]), BatchRecord()
    places = [LogPosition("log.jsonl", 41), LogPosition("log.jsonl", 57)]
    read = reader(DIALECTS["openai"]).read

    first, second = (
        fold.apply(track, read(row), place=place).findings
        for row, place in zip([snap("vpzc"), snap("vp", at=[0, 240])], places, strict=True)
    )

    assert [] == first
    assert ["batch_1 went from completed to in_progress; completed is final (seen at log.jsonl:41, then :57)"] == [
        found.message for found in second
    ]
    assert [tuple(places)] == [found.where for found in second]
    assert [{"source": "log.jsonl", "line": 41}, {"source": "log.jsonl", "line": 57}] == second[0].to_dict()["where"]


def test_a_place_in_another_file_is_named_whole():
    """If the places are in two logs, both names are in the message."""
    fold, track, read = Fold(DIALECTS["openai"]), BatchRecord(), reader(DIALECTS["openai"]).read
    fold.apply(track, read(snap("vp")), place=LogPosition("mon.jsonl", 41))

    (found,) = fold.apply(track, read(snap("vp", at=[0, 61])), place=LogPosition("tue.jsonl", 57)).findings

    assert (
        "batch_1 changed in_progress_at from 1760000060 to 1760000061 (seen at mon.jsonl:41, then tue.jsonl:57)"
        == found.message
    )


def test_the_known_place_is_where_the_value_was_learned():
    """The first place is the first row with the earlier value, not a later row that repeats it."""
    fold, track, read = Fold(DIALECTS["openai"]), BatchRecord(), reader(DIALECTS["openai"]).read
    for line, row in enumerate([snap("v"), snap("vp"), snap("vp"), snap("vp", at=[0, 61])], 1):
        findings = fold.apply(track, read(row), place=LogPosition("log.jsonl", line)).findings

    assert [(2, 4)] == [tuple(place.line for place in found.where) for found in findings]


def test_a_finding_compares_without_its_message_and_places():
    """Findings with and without places are equal; findings of different severity are not."""
    (plain,) = judged(snap("v", endpoint=5))
    (placed,) = judged(snap("v", endpoint=5), place=LogPosition("log.jsonl", 1))

    assert plain == placed
    assert plain != attrs.evolve(plain, severity="note")
    assert ((), (LogPosition("log.jsonl", 1),)) == (plain.where, placed.where)


def test_a_finding_is_plain_json_when_written():
    """The keys are rule, name, severity, batch, message, fields and places, in this order."""
    (found,) = judged(snap("vp", output_file_id="file-out"))

    assert {
        "rule": "F401", "name": "file-early", "severity": "warning", "batch_id": "batch_1",
        "message": "batch_1 is in_progress and has output_file_id",
        "fields": {"output_file_id": "file-out"}, "where": [],
    } == found.to_dict()  # fmt: skip


# ---------------------------------------------------------------- values that messages do not contain

MEGABYTE = "b" * 1_000_000


@pytest.mark.parametrize("code, rows", [(code, rows) for code, rows, _ in BROKEN if rows[-1]["id"] == "batch_1"])
def test_an_id_of_a_megabyte_is_cut_in_every_message(code: str, rows: list[Row]):
    """The message contains only the first 77 characters of a long id."""
    findings = judged(*(row | {"id": MEGABYTE} for row in rows), dialect=CHECKING[code])

    assert [code] == [finding.rule for finding in findings]
    assert ["b" * 77 + "... "] == [finding.message[:81] for finding in findings]
    assert all(len(finding.message) < 500 for finding in findings)
    assert [MEGABYTE] == [finding.batch_id for finding in findings]


@pytest.mark.parametrize("rows", [
    [snap("v", endpoint=[MEGABYTE])],
    [snap("v", status=MEGABYTE)],
    [snap("v", object=MEGABYTE)],
    [snap("v", created_at=MEGABYTE, expires_at=10**4000)],
    [snap("v", metadata={MEGABYTE: ""})],
    [snap("v", metadata={"k": MEGABYTE})],
    [snap("v", metadata={MEGABYTE: 5})],
    [snap("vpzc"), snap("vpzc", output_file_id=MEGABYTE)],
    [snap("v"), snap("v", endpoint=MEGABYTE)],
    [snap("v", endpoint=MEGABYTE), snap("v")],
    [snap("v", completion_window="9" * 9 + "d", expires_at=CREATED + 5)],
])  # fmt: skip
def test_a_value_of_a_megabyte_is_cut_in_a_message(rows: list[Row]):
    """A message stays short, whatever value the server sent."""
    findings = judged(*rows)

    assert [] != findings
    assert all(len(finding.message) < 500 for finding in findings)


@pytest.mark.parametrize("metadata", [
    {"k": "secret" + "x" * 513},
    {"secret" * 20: "secret"},
    {str(number): "secret" for number in range(17)},
    {"k": ["secret"]},
    {"k": {"secret": "secret"}},
])  # fmt: skip
def test_metadata_values_are_never_repeated(metadata: Row):
    """Metadata is private and reports are shared: neither message nor fields contain a value of it."""
    (found,) = judged(snap("v", metadata=metadata))

    assert "S006" == found.rule
    assert all(str(value) not in str(found.to_dict()) for value in metadata.values())


@pytest.mark.parametrize("metadata", ["secret", ["secret"], 7_777_777, {"k": "secret \ud800"}])
def test_metadata_of_a_wrong_type_is_not_repeated_either(metadata: object):
    """Metadata that is not a map of texts may be private too, so the message names its type only."""
    (found,) = judged(snap("v", metadata=metadata))

    assert "S002" == found.rule
    assert "secret" not in found.message
    assert "7777777" not in found.message


# ---------------------------------------------------------------- one finding for each rule and row

garbage = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.just(CREATED), st.just(CREATED - 1), st.floats(), st.text(max_size=3),
    st.just({}), st.just([]), st.just({"data": [5]}), st.just(["e"]), st.just({"total": -1, "completed": 3, "failed": -2}),
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from([*snap("v"), "usage"]), garbage, max_size=8),
    st.sampled_from(["v", "vpzc", "vf", "vgx"]),
)
def test_a_row_breaches_a_rule_at_most_once(changes: Row, path: str):
    """For any row, each breached rule is reported once, in the order of the table, with all its fields."""
    found = codes(snap(path), snap(path, **changes) | {"created_at": CREATED})

    assert found == [code for code in RULES if code in found]


# ---------------------------------------------------------------- selection of rules


@pytest.mark.parametrize("tokens, expected", [
    (["T201"], {"T201"}),
    (["H5"], {"H501", "H502", "H503", "H504", "H505", "H506", "H507", "H508"}),
    (["S", "P104"], {"S001", "S002", "S003", "S004", "S005", "S006", "P104"}),
    ([], set()),
    ([" h501", "t206 "], {"H501", "T206"}),
    (["stale-read", "Stuck", "P1"], {"H507", "T208", "P101", "P102", "P103", "P104"}),
])  # fmt: skip
def test_rules_are_chosen_by_code_or_by_how_it_begins(tokens: list[str], expected: set[str]):
    """A selection accepts codes, prefixes of codes, and both together."""
    assert expected == select_rules(tokens)


@pytest.mark.parametrize("token", ["X", "", " ", "9"])
def test_a_token_that_names_no_rule_is_refused(token: str):
    """An unknown token raises an error that lists the known ones."""
    with pytest.raises(UnknownNameError, match=f"no rule is called {token!r}; known: S001, S002, ") as error:
        select_rules(["T201", token])

    assert ("rule", token, tuple(RULES)) == (error.value.kind, error.value.name, error.value.known)


@pytest.mark.parametrize(
    "token, nearest",
    [
        ("stale-reed", "H507 (stale-read)"),
        ("T2011", "T201 (stamps-out-of-order)"),
        ("stamp_missing", "P101 (stamp-missing)"),
    ],
)
def test_a_token_that_resembles_a_rule_is_answered_with_it(token: str, nearest: str):
    """The error names the similar rules first, and then lists all codes."""
    with pytest.raises(UnknownNameError, match=r"^no rule is called ") as error:
        select_rules([token])

    assert f"no rule is called {token!r}; the nearest is {nearest}; known: {', '.join(RULES)}" == str(error.value)
    assert nearest == error.value.nearest == pickle.loads(pickle.dumps(error.value)).nearest  # noqa: S301


@pytest.mark.parametrize("word", ["H507", "h507", "stale-read", " Stale-Read "])
def test_a_rule_is_found_by_code_or_name(word: str):
    """Upper and lower case are accepted, and space around the word."""
    assert (RULES["H507"],) == match_rules(word, RULES)


def test_a_dialect_names_rules_by_code_or_name():
    """A dialect accepts the code or the name of a rule, but not both for one rule."""
    by_name = Dialect(name="mine", severities={"deadline-missing": "error", "stale-read": "off"})

    assert ["error"] == [finding.severity for finding in judged(snap("v", expires_at=None), dialect=by_name)]
    assert [] == judged(snap("vpzc"), snap("vp"), dialect=by_name)
    with pytest.raises(DefinitionError, match="deadline-missing and P104 are one rule, which has two severities"):
        engine_for(Dialect(name="twice", severities={"deadline-missing": "off", "P104": "note"}))
    with pytest.raises(DefinitionError, match=r"no rule is called stale-reed; the nearest is H507 \(stale-read\)"):
        engine_for(Dialect(name="typo", severities={"stale-reed": "off"}))


# ---------------------------------------------------------------- T207 and T208: once for each status

LATE = [CREATED + 3 * DAY_S + hour * HOUR_S for hour in range(5)]


@pytest.mark.parametrize("paths, expected", [
    (["vp", "vp", "vp"], [["T207"], [], []]),
    (["vg", "vg"], [["T207", "T208"], []]),
    (["vp", "vpg", "vpg"], [["T207"], ["T207", "T208"], []]),
    (["vp", "vpg", "vp"], [["T207"], ["T207", "T208"], ["H507"]]),
])  # fmt: skip
def test_overdue_and_stuck_are_told_once_for_each_status(paths: list[str], expected: list[list[str]]):
    """The first row in a status is reported; a return to a status that was reported is not."""
    fold, track, read = Fold(DIALECTS["openai"]), BatchRecord(), reader(DIALECTS["openai"]).read
    found = [fold.apply(track, read(snap(path), at)).findings for path, at in zip(paths, LATE, strict=False)]

    assert expected == [[finding.rule for finding in findings] for findings in found]


def test_what_was_told_is_told_no_more_after_a_restart():
    """The stored record contains the statuses already reported; a record of an older version contains none."""
    fold, track, read = Fold(DIALECTS["openai"]), BatchRecord(), reader(DIALECTS["openai"]).read
    fold.apply(track, read(snap("vg"), LATE[0]))
    text = dump(track, observed_at=track.observed_at)
    older = json.loads(text)
    del older["reported"]

    assert [] == fold.apply(restore(text), read(snap("vg"), LATE[1])).findings
    assert 2 == len(fold.apply(restore(json.dumps(older)), read(snap("vg"), LATE[1])).findings)


def test_rows_without_an_id_are_told_each():
    """Rows without an id have no history, so each row is reported."""
    assert ["T207"] == codes(*[snap("vp", id=None, observed_at=LATE[0])] * 2)[1:]
