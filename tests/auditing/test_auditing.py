"""Reports of audits: equal in any order of the log, with exact counts and the places of each finding."""

import gc
import gzip
import io
import json
import random
import sys
import tracemalloc
from collections import Counter
from math import inf, nan
from types import SimpleNamespace

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchfsm import RULES, Finding, Monitor, SnapshotError, audit, parse
from batchfsm.auditing import FINDINGS_MAX, Report, parse_size
from batchfsm.auditing import spill as spools
from batchfsm.errors import SourceError, UnknownNameError
from batchfsm.finding import LogPosition
from batchfsm.logs import UnreadableEntry
from support import oracle
from support.dialects import DIALECTS
from support.few_batches import (
    enveloped,
    made,
    steps,
)
from support.notation import CREATED, DAY_S, seen, snap, words
from support.sdk_text import PRINTERS

LEFT = seen("vpzcp")  # completed, and then in_progress: H502
FIRST_STAMP = CREATED + 60


def codes(report):
    """Return the rules of the listed findings, in order."""
    return [finding.rule for finding in report.findings]


def timed(batches, *, since=CREATED + 1000):
    """Return batches in envelopes, each observed a second after the one before."""
    return [{"observed_at": since + at, "batch": batch} for at, batch in enumerate(batches)]


def lines(log):
    """Return a log as JSON lines."""
    return "".join(json.dumps(each) + "\n" for each in log).encode()


@pytest.fixture
def written(tmp_path):
    """Return a function that writes objects as JSON lines and returns the path."""

    def write(log, name="log.jsonl"):
        path = tmp_path / name
        path.write_bytes(log if isinstance(log, bytes) else lines(log))
        return path

    return write


# ---------------------------------------------------------------- the report


def test_a_healthy_life():
    """The log of a healthy batch is consistent, and its report has no findings."""
    report = audit(seen("vpzc"))

    assert ("consistent", True, 4, 1) == (report.verdict, report.ok, report.snapshots, report.batches)
    assert (0, (), {}, ()) == (report.unreadable_count, report.unreadable, report.counts, report.findings)


def test_completed_is_final():
    """A row after `completed` is an H502 error, and the log is inconsistent."""
    report = audit(LEFT)

    assert ["H502"] == codes(report)
    assert ("inconsistent", False) == (report.verdict, report.ok)


def test_a_warning_is_consistent():
    """A log whose findings include no error is consistent."""
    report = audit(seen("vpf"))

    assert {"P102": 1, "H501": 1} == dict(report.counts)
    assert "consistent" == report.verdict


@pytest.mark.parametrize("source", [[], iter(()), {"data": []}, b"[]", [{}], [7], [{"error": "x"}]])
def test_nothing_to_judge_is_undetermined(source):
    """A log without a snapshot is undetermined."""
    report = audit(source)

    assert ("undetermined", False, 0, 0) == (report.verdict, report.ok, report.snapshots, report.batches)


def test_unknown_statuses_alone_are_undetermined():
    """A log of unknown statuses is undetermined, even if S004 is ignored."""
    report = audit([snap("v", status="paused")], ignore=["S004"])

    assert ("undetermined", 1, 1) == (report.verdict, report.snapshots, report.batches)


def test_batches_without_id_alone_are_undetermined():
    """A log of snapshots without id is undetermined, even if S001 is ignored."""
    report = audit([snap("v", id=None)], ignore=["S001"])

    assert ("undetermined", 1, 0) == (report.verdict, report.snapshots, report.batches)


def test_unreadable_lines_leave_the_verdict_open():
    """Unreadable lines are counted, and the verdict is undetermined."""
    report = audit([7, *seen("vp"), {}])

    assert ("undetermined", 2, 2) == (report.verdict, report.snapshots, report.unreadable_count)


def test_report_as_json_has_the_keys_of_the_contract():
    """A report in JSON has seven keys; its findings and places have fixed keys too."""
    report = audit([*LEFT, 7])
    document = json.loads(report.to_json())

    assert document == report.to_dict()
    assert [
        "verdict",
        "snapshots",
        "batches",
        "unreadable_count",
        "unreadable",
        "counts",
        "findings",
    ] == list(document)
    assert [{"source": "iterable", "line": 6, "problem": "expected a batch object, got 7"}] == document["unreadable"]
    assert {"H502": 1} == document["counts"]
    assert [
        {
            "rule": "H502",
            "name": "terminal-left",
            "severity": "error",
            "batch_id": "batch_1",
            "message": ("batch_1 went from completed to in_progress; completed is final (seen at iterable:4, then :5)"),
            "fields": {"known_status": "completed", "status": "in_progress"},
            "where": [{"source": "iterable", "line": 4}, {"source": "iterable", "line": 5}],
        }
    ] == document["findings"]


def test_report_as_json_is_ascii():
    """Control characters in an id are escaped in the JSON of a report."""
    report = audit([snap("vp", id="b\x1b[2J\x9b\u202eé", created_at=None)])

    assert report.to_json().isascii()
    assert report.to_json().isprintable() is False  # for its line ends
    assert report.to_json().replace("\n", "").isprintable()


def test_values_that_json_does_not_have():
    """NaN and infinity in a finding are text in its JSON."""
    report = audit([snap("vp", created_at=nan, in_progress_at=-inf, endpoint={}, model=[1.5, [nan]])])

    assert {
        "S002": {"endpoint": {}, "model": [1.5, ["nan"]]},
        "S005": {"created_at": "nan", "in_progress_at": "-inf"},
    } == {finding["rule"]: finding["fields"] for finding in json.loads(report.to_json())["findings"]}


def test_counts_are_in_the_order_of_the_rules():
    """Counts name the rules in their order, and only those with findings."""
    report = audit([*LEFT, snap("vc"), snap("vp", id=None, status="x")])

    assert [code for code in RULES if code in report.counts] == list(report.counts)
    assert Counter(codes(report)) == dict(report.counts)


def test_findings_by_batch():
    """Batches are in order of their first finding; findings without id have the key None."""
    others = [batch | {"id": "batch_2"} for batch in LEFT]
    report = audit([*others, snap("v", id=7), *LEFT, snap("v", id=None)])

    assert {"batch_2": ["H502"], None: ["S002", "S001"], "batch_1": ["H502"]} == {
        batch_id: [finding.rule for finding in found] for batch_id, found in report.by_batch().items()
    }
    assert ["batch_2", None, "batch_1"] == list(report.by_batch())


def test_counts_cannot_be_changed():
    with pytest.raises(TypeError):
        audit(LEFT).counts["H502"] = 2


# ---------------------------------------------------------------- witnesses


def test_one_place(written):
    """A finding about one snapshot has one place, which its message names."""
    path = written([snap("v"), snap("vp", in_progress_at=None)])
    (finding,) = audit(path).findings

    assert (str(path), 2) == (finding.where[0]["source"], finding.where[0]["line"])
    assert (LogPosition(str(path), 2),) == finding.where
    assert f"batch_1 is in_progress and has no in_progress_at (seen at {path}:2)" == finding.message


def test_two_places_in_one_file(written):
    """A finding about two snapshots has the place of the known value, and then that of the violating row."""
    path = written(LEFT)
    (finding,) = audit(path).findings

    assert (LogPosition(str(path), 4), LogPosition(str(path), 5)) == finding.where
    assert finding.message.endswith(f"completed is final (seen at {path}:4, then :5)")


def test_two_places_in_two_files(written):
    """The two places of a finding may be in two files."""
    monday, tuesday = written(LEFT[:4], "mon.jsonl"), written(LEFT[4:], "tue.jsonl")
    (finding,) = audit([monday, tuesday]).findings

    assert (LogPosition(str(monday), 4), LogPosition(str(tuesday), 1)) == finding.where
    assert finding.message.endswith(f"(seen at {monday}:4, then {tuesday}:1)")


WITNESSES = {
    "H501": ([snap("v"), snap("vp"), snap("v", in_progress_at=FIRST_STAMP + 9)], (2, 3)),
    "H502": ([*LEFT[:4], LEFT[3], LEFT[4]], (5, 6)),
    "H503": ([snap("v", endpoint=None), snap("v"), snap("vp"), snap("vp", endpoint="/x")], (2, 4)),
    "H504": ([snap("v"), snap("vp"), snap("vpz"), snap("vpz", in_progress_at=FIRST_STAMP + 1)], (2, 4)),
    "H505": ([snap("vp"), snap("vpz"), snap("vp", at=(0, 60)) | {"status": "finalizing"}], (2, 3)),
    "H506": ([*seen("vpzc"), snap("vpzc"), snap("vpzc", output_file_id="file-other")], (4, 6)),
    "H507": ([snap("vp"), snap("vpz"), snap("vpz"), snap("vp")], (3, 4)),
    "H508": ([snap("vf"), snap("vf"), snap("vf", errors=["more"])], (2, 3)),
}


@pytest.mark.parametrize("code", WITNESSES)
def test_the_known_place_is_where_it_was_learned(code, written):
    """The first place is that of the row whose value the second row contradicts."""
    log, places = WITNESSES[code]
    found = [finding for finding in audit(written(log)).findings if finding.rule == code]

    assert [places] == [tuple(place.line for place in finding.where) for finding in found]


def test_the_known_place_in_a_sorted_log(written):
    """Findings of a log that is out of order have the line numbers of the log."""
    path = written(timed(LEFT)[::-1])
    (finding,) = audit(path).findings

    assert [2, 1] == [place.line for place in finding.where]
    assert finding.message.endswith(f"(seen at {path}:2, then :1)")


def test_findings_are_equal_wherever_they_stand(written):
    """Findings that differ only in places and message are equal."""
    (here,), (there,) = audit(LEFT).findings, audit(written([7, *LEFT])).findings

    assert here.where != there.where
    assert here.message != there.message
    assert here == there


def test_findings_differ_by_what_they_are():
    """Findings of different batches are unequal."""
    (one,) = audit(LEFT).findings
    (other,) = audit([batch | {"id": "batch_2"} for batch in LEFT]).findings

    assert one != other


# ---------------------------------------------------------------- selected rules


@pytest.mark.parametrize(
    "select, ignore, expected",
    [
        (None, None, ["S005", "P102", "T202", "H502"]),
        (["T"], None, ["T202"]),
        ("T,H502", None, ["T202", "H502"]),
        ("T, H5", None, ["T202", "H502"]),
        (["H502", "S005"], None, ["S005", "H502"]),
        (None, ["S", "T202"], ["P102", "H502"]),
        (None, "S005,P102,T202", ["H502"]),
        (["T", "H"], ["T2"], ["H502"]),
        ([], None, []),
        (iter(["S005"]), iter([]), ["S005"]),
    ],
)
def test_select_and_ignore(select, ignore, expected):
    """`select` and `ignore` take codes and prefixes of codes; `ignore` overrides `select`."""
    guilty = snap("vpzcp", expires_at=CREATED + DAY_S, completion_window="7d", failed_at="soon", cancelled_at=1)
    history = [snap("vpzc", completion_window="7d"), guilty]
    report = audit([history[0] | {"completion_window": None, "expires_at": None}, guilty], select=select, ignore=ignore)

    assert expected == [code for code in codes(report) if code in {"S005", "P102", "T202", "H502"}]
    assert set(report.counts) >= set(expected)
    assert Counter(codes(report)) == dict(report.counts)


def test_an_audit_without_rules_is_undetermined():
    """Nothing was checked, so the verdict is not `consistent`."""
    assert "undetermined" == audit([snap("vpzc")], select=[]).verdict
    assert "undetermined" == audit([snap("vpzc")], select="T", ignore="T").verdict


@pytest.mark.parametrize("argument", ["select", "ignore"])
@pytest.mark.parametrize("token", ["Z", "H59", "", "terminal_left"])
def test_unknown_rules(argument, token):
    """An unknown rule is an error that lists the known rules."""
    nearest = r"the nearest is H502 \(terminal-left\); " if token == "terminal_left" else ""
    with pytest.raises(UnknownNameError, match=f"^no rule is called '{token}'; {nearest}known: S001, S002, ") as caught:
        audit(LEFT, **{argument: [token]})

    assert ("rule", token, tuple(RULES)) == (caught.value.kind, caught.value.name, caught.value.known)


def test_unknown_dialect():
    """An unknown dialect is an error that lists the known dialects."""
    with pytest.raises(UnknownNameError, match=r"^no dialect is called 'acme'; known: openai, azure, "):
        audit(LEFT, dialect="acme")


def test_an_ignored_error_counts_for_nothing():
    """An ignored error does not change the verdict."""
    assert "consistent" == audit(LEFT, ignore=["H502"]).verdict


CANNOT_LOOK = {
    "T205": {},
    "T207": {},
    "T203": {"expires_at": None},
    "T204": {"expires_at": None},
    "T202": {"completion_window": None},
    "T206": {"created_at": None},
    "C301": {"request_counts": None},
    "C302": {"request_counts": None},
    "C303": {"request_counts": None},
    "F402": {"request_counts": None},
}


@pytest.mark.parametrize("code", CANNOT_LOOK)
def test_a_rule_that_could_not_look(code):
    """If a log lacks a field that a selected rule needs, the report names the rule and is undetermined."""
    report = audit(seen("vp", **CANNOT_LOOK[code]), select=[code])

    assert ("undetermined", (code,), {}) == (report.verdict, report.not_looked, report.counts)


@pytest.mark.parametrize("code", CANNOT_LOOK)
def test_a_rule_that_could_look(code):
    """If a log has the fields that a selected rule needs, the rule counts as checked without findings."""
    report = audit([{"observed_at": CREATED + 99, "batch": batch} for batch in seen("vp")], select=[code])

    assert ("consistent", ()) == (report.verdict, report.not_looked)


@pytest.mark.parametrize("code", [code for code in RULES if code.startswith("H")])
def test_history_rules_need_a_history(code):
    """Rules across snapshots count as checked if any batch has two snapshots."""
    others = [snap("v", id=f"batch_{number}") for number in range(3)]

    assert ("undetermined", (code,)) == (
        audit(others, select=[code]).verdict,
        audit(others, select=[code]).not_looked,
    )
    assert "consistent" == audit([*others, others[0]], select=[code]).verdict


def test_a_family_looked_if_one_of_it_did():
    """A family counts as checked if one of its rules was; a rule selected by its code is named by itself."""
    report = audit(seen("vp"), select=["T", "T205", "P101"])

    assert ("undetermined", ("T205",)) == (report.verdict, report.not_looked)


def test_an_error_goes_before_what_could_not_look():
    """A log with an error is inconsistent, even if another selected rule could not be checked."""
    assert "inconsistent" == audit(LEFT, select=["H502", "T205"]).verdict


def test_what_nobody_asked_for_need_not_look():
    """Without `select`, rules that cannot be checked do not change the verdict."""
    assert "consistent" == audit([snap("v")]).verdict


def test_skew():
    """T205 allows a stamp to be `skew_s` seconds after its observation, by default 60."""
    early = [{"observed_at": FIRST_STAMP - 60, "batch": snap("vp")}]
    earlier = [{"observed_at": FIRST_STAMP - 60.5, "batch": snap("vp")}]

    assert [[], ["T205"]] == [codes(audit(early)), codes(audit(earlier))]
    assert [["T205"], []] == [codes(audit(early, skew_s=59.5)), codes(audit(earlier, skew_s=inf))]


@pytest.mark.parametrize("wrong", [{"max_findings": -1}, {"skew_s": -0.5}, {"skew_s": nan}])
def test_numbers_out_of_range(wrong):
    """Negative limits and NaN are refused."""
    with pytest.raises(
        ValueError, match=r"^(max_findings is a number of findings, 0 or more|skew_s is 0 or more seconds), not "
    ):
        audit(LEFT, **wrong)


def test_a_dialect_judges_in_its_own_way():
    """A log may be inconsistent for OpenAI and consistent in another dialect, given by name or as an object."""
    log = seen("vpc")

    assert "inconsistent" == audit(log).verdict
    assert "consistent" == audit(log, dialect="ogx").verdict == audit(log, dialect=DIALECTS["ogx"]).verdict


# ---------------------------------------------------------------- limits


GUILTY = [snap("vp", id=f"batch_{number}", in_progress_at=None, expires_at=None) for number in range(5)]


@pytest.mark.parametrize("most", [0, 1, 2, 3, 7, 10, 11, 1000])
@pytest.mark.parametrize("in_order", [True, False])
def test_max_findings(most, in_order):
    """The first findings in the order of the log are listed and all are counted, for logs in order and out of order."""
    log = timed(GUILTY) + (timed([snap("v", id="batch_9")] * 2)[::-1] if not in_order else [])
    whole, report = audit(log), audit(log, max_findings=most)

    assert ["P101", "P104"] * 5 == codes(whole)
    assert whole.findings[:most] == report.findings
    assert [finding.where for finding in whole.findings[:most]] == [finding.where for finding in report.findings]
    assert {"P101": 5, "P104": 5} == report.counts == whole.counts
    assert "inconsistent" == report.verdict


@pytest.mark.parametrize("most", [0, 1, 2, 5])
def test_max_findings_of_what_is_unreadable(most):
    """`max_findings` limits the list of unreadable entries too; all of them are counted."""
    report = audit([7, {}, *seen("vp"), None], max_findings=most)

    assert (3, [1, 2, 5][:most]) == (report.unreadable_count, [each.place.line for each in report.unreadable])


def test_a_thousand_by_default():
    """Without `max_findings`, a thousand findings are listed."""
    report = audit(snap("vp", id=f"batch_{number}", in_progress_at=None) for number in range(FINDINGS_MAX + 7))

    assert (1000, 1007) == (len(report.findings), report.counts["P101"])


@pytest.mark.parametrize(
    "size, expected", [(5, 5), ("77", 77), ("1.5GB", 1_500_000_000), (" 500 mb", 500_000_000), ("2k", 2000)]
)
def test_sizes(size, expected):
    """A size is a number of bytes, or text with a decimal unit."""
    assert expected == parse_size(size)


@pytest.mark.parametrize("size", ["", "0", "-1", "GB", "1XB", -7, "1e9", "0.1"])
def test_what_is_no_size(size):
    """An invalid size is refused, and the message has its value."""
    with pytest.raises(ValueError, match="not " + repr(size).replace("(", r"\(")):
        audit([], memory=size)


# ---------------------------------------------------------------- order


def told(report):
    """Return the parts of a report that do not depend on the order of the log."""
    found = Counter(
        (finding.rule, finding.severity, finding.batch_id, json.dumps(finding.to_dict()["fields"]))
        for finding in report.findings
    )
    return found, dict(report.counts), report.verdict, report.snapshots, report.batches


def test_a_log_out_of_order_is_sorted():
    """An earlier status after `completed` is H507 without times; with times the log is sorted."""
    log = timed(seen("vpzc"))

    assert ["H507"] == codes(audit([log[0]["batch"], log[3]["batch"], log[1]["batch"]]))
    assert [] == codes(audit([log[0], log[3], log[1]]))


def test_what_has_no_id_is_in_no_order():
    """A snapshot without id is checked alone, also in a log that is sorted."""
    log = timed(seen("vpzc"))
    nameless = {"batch": snap("vp", id=None)}

    assert ["S001"] == codes(audit([log[3], nameless, log[0], log[1]]))
    assert ["S001"] == codes(audit([log[0], nameless, log[1], log[3]]))


def test_ties_are_broken_by_place():
    """Snapshots observed at the same time are in the order of the log."""
    first, then = ({"observed_at": CREATED + 999, "batch": batch} for batch in (snap("vpzc"), snap("vpz")))
    late = [{"observed_at": CREATED + 998, "batch": snap("v")}]

    assert [["H507"], []] == [codes(audit([first, then])), codes(audit([then, first]))]
    assert [["H507"], []] == [codes(audit([first, then, *late])), codes(audit([then, first, *late]))]


def test_who_does_not_say_when_was_seen_with_the_one_before():
    """A snapshot without a time has that of the previous snapshot of its batch in the log."""
    log = timed(seen("vpzc"))
    log[2] = log[2]["batch"]  # Between the one before and the one behind it, in the log and in time.

    assert [] == codes(audit(log))
    assert [] == codes(audit([log[3], log[1], log[2], log[0]]))
    assert ["H507"] == codes(audit([log[1], log[3], log[2], log[0]]))


def test_who_never_says_when_comes_first():
    """Snapshots without a time, and without a previous one of their batch, come first."""
    log = timed(seen("vpzc"))

    assert [] == codes(audit([log[0]["batch"], log[3], log[2], log[1]]))


def test_other_batches_have_times_of_their_own():
    """A batch is sorted by its own times; rows of other batches in between have no effect."""
    log = timed(seen("vpzc"))
    other = [{"observed_at": 5, "batch": batch | {"id": "batch_2"}} for batch in LEFT]
    mixed = [log[0], other[0], other[1], log[1], other[2], log[2], other[3], log[3], other[4]]

    assert ["T205"] * 5 + ["H502"] == codes(audit(mixed))


WAYS = ["list", "generator", "file", "gzip", "stdin"]


def audited(log, way, tmp_path, monkeypatch, **options):
    """Return the report of a log given as a list, a generator, a file, a gzip file or standard input."""
    path = tmp_path / "log"
    if way in {"file", "gzip"}:
        path.write_bytes(gzip.compress(lines(log)) if way == "gzip" else lines(log))
        return audit(path, **options)
    if way == "stdin":
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(lines(log))))
        return audit("-", **options)
    return audit(log if way == "list" else (each for each in log), **options)


@pytest.mark.parametrize("seeds", [range(4), pytest.param(range(4, 24), marks=pytest.mark.slow)], ids=["few", "many"])
@pytest.mark.parametrize("way", WAYS)
def test_any_order_in_any_way(way, seeds, tmp_path, monkeypatch):
    """If every row has a time of observation, any order gives the same findings, from each kind of source."""
    lives = [
        LEFT,
        seen("vpzc"),
        seen("vgp"),
        seen("vpf"),
        seen("vpze", expires_at=None),
        [snap("v", id=None)],
    ]
    log = [
        {"observed_at": CREATED + 100_000 + at, "batch": {"id": f"batch_{number}"} | batch}
        for number, life in enumerate(lives)
        for at, batch in enumerate({key: value for key, value in each.items() if key != "id"} for each in life)
    ]
    expected = told(audit(log))
    for seed in seeds:
        shuffled = random.Random(seed).sample(log, len(log))  # noqa: S311
        assert expected == told(audited(shuffled, way, tmp_path, monkeypatch))


@pytest.mark.parametrize("way", WAYS)
def test_a_sorted_log_is_whole(way, tmp_path, monkeypatch):
    """A log whose last row is out of order is read again, and nothing is counted twice."""
    log = [7, *timed(LEFT), {}, *timed([snap("v")], since=CREATED), "x"]
    report = audited(log, way, tmp_path, monkeypatch)

    assert (3, 6, 1) == (report.unreadable_count, report.snapshots, report.batches)
    assert [1, 7, 9] == [each.place.line for each in report.unreadable]
    assert {"H502": 1} == dict(report.counts)


def test_a_hidden_field_survives_the_disk(monkeypatch):
    """A field that a text form hides counts as unknown, also after its row was spilled to disk."""
    other = timed([batch | {"id": "batch_2"} for batch in LEFT[:2]])[::-1]
    log = lines([*other, LEFT[3]]) + PRINTERS["go"](LEFT[3]).encode()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(log)))
    report = audit("-")

    assert (4, [4], {}) == (report.snapshots, [each.place.line for each in report.unreadable], report.counts)


def test_whatever_is_at_hand_goes_over_the_disk():
    """Objects of any type inside a batch do not stop an audit of a log in order or out of order."""
    odd = {"client": object(), "usage": {"by": (one for one in ())}, "metadata": {"lock": tracemalloc.Filter}}
    log = timed([batch | odd for batch in seen("vpzc")])

    assert ({"S006": 4}, {"S006": 4}) == (audit(iter(log)).counts, audit(iter(log[::-1])).counts)


def test_no_room_to_begin_sorting(monkeypatch):
    """If no temporary file can be created, the error is one sentence."""
    monkeypatch.setattr(spools, "TemporaryFile", lambda: open("/nonexistent/file", "wb"))  # noqa: PTH123, SIM115

    with pytest.raises(SourceError, match=r"^no room to sort the log: .*No such file or directory"):
        audit(iter(LEFT))


def test_no_room_to_go_on_sorting(monkeypatch):
    """If the disk is full, the error is one sentence."""

    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(spools, "TemporaryFile", Full)

    with pytest.raises(SourceError, match=r"^no room to sort the log: .*No space left on device$"):
        audit(iter(LEFT))


# ---------------------------------------------------------------- two other readings of the contract

# If several fields violate one of these rules, either implementation may name any of them.
FREE = {"P102", "P103", "T201", "T205", "T207", "T208", "H501", "H502", "H507", "H508"} | {
    code for code in RULES if code[0] in "CF"
}


def by_row(findings, number_of):
    """Return the rule, severity and fields of findings, by row."""
    found = {}
    for finding in findings:
        names = frozenset() if finding.rule in FREE else frozenset(finding.fields)
        found.setdefault(number_of(finding), []).append((finding.rule, finding.severity, names))
    return found


def audit_against_oracle(dialect, steps):
    """Compare rules, severities and fields of an audit with the oracle's, row by row."""
    log = made(steps)
    report, judged = audit(enveloped(log), dialect=dialect), list(enumerate(oracle.judge(log, dialect), 1))
    expected = {
        number: [(code, severity, frozenset() if code in FREE else names) for code, severity, names in findings]
        for number, findings in judged
        if findings
    }
    unreadable = [number for number, found in judged if found is None]

    assert expected == by_row(report.findings, lambda finding: finding.where[-1].line)
    assert unreadable == [each.place.line for each in report.unreadable]
    assert len(log) - len(unreadable) == report.snapshots


@pytest.mark.logic
@settings(max_examples=80)
@given(dialect=st.sampled_from(sorted(DIALECTS)), steps=steps)
def test_audit_agrees_with_the_oracle(dialect, steps):
    """An audit and the oracle, a second implementation of the rules, find the same in each row."""
    audit_against_oracle(dialect, steps)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@settings(max_examples=50)
@given(steps=steps)
def test_audit_agrees_with_the_oracle_in_every_dialect(dialect, steps):
    """In each dialect, an audit and the oracle find the same in each row of many logs."""
    audit_against_oracle(dialect, steps)


def monitor_against_auditor(dialect, steps):
    """Compare the findings of a monitor with those of an audit of the same log."""
    log = made(steps, in_order=True)
    monitor = Monitor(dialect)
    report = audit(enveloped(log), dialect=dialect)
    expected = []
    for number, (wire, seen_at) in enumerate(log, 1):
        try:
            expected += monitor.observe(wire, observed_at=seen_at).findings
        except SnapshotError:  # A monitor refuses rows without an id; the auditor checks them alone.
            expected += [finding for finding in report.findings if finding.where[-1].line == number]

    assert expected == list(report.findings)


@pytest.mark.logic
@settings(max_examples=80)
@given(dialect=st.sampled_from(sorted(DIALECTS)), steps=steps)
def test_the_monitor_and_the_auditor_agree(dialect, steps):
    """A monitor that observes a log in its order returns the findings of the audit, in their order."""
    monitor_against_auditor(dialect, steps)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@settings(max_examples=50)
@given(steps=steps)
def test_the_monitor_and_the_auditor_agree_in_every_dialect(dialect, steps):
    """In each dialect, a monitor returns the findings of the audit for many logs, in their order."""
    monitor_against_auditor(dialect, steps)


def ordered_against_shuffled(dialect, steps, seed):
    """Compare the audit of a log whose rows have times of observation with audits of the same rows shuffled."""
    log = enveloped([(wire, CREATED + 1000.0 + at) for at, (wire, _) in enumerate(made(steps))])
    shuffled, expected = seed.sample(log, len(log)), told(audit(log, dialect=dialect))

    assert expected == told(audit(shuffled, dialect=dialect))
    assert expected == told(audit(iter(shuffled), dialect=dialect))


DICE = st.randoms(use_true_random=False)


@pytest.mark.logic
@settings(max_examples=30)
@given(dialect=st.sampled_from(["openai", "compatible"]), steps=steps, seed=DICE)
def test_any_order_gives_the_same_findings(dialect, steps, seed):
    """If every row has a time of observation, the order of the rows changes no finding."""
    ordered_against_shuffled(dialect, steps, seed)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["openai", "compatible"])
@settings(max_examples=50)
@given(steps=steps, seed=DICE)
def test_any_order_gives_the_same_findings_in_many_logs(dialect, steps, seed):
    """In many logs of two dialects, the order of rows with times of observation changes no finding."""
    ordered_against_shuffled(dialect, steps, seed)


def first_findings_of_all(steps, most, seed):
    """Compare the listed findings of an audit with `max_findings` with the first of an audit without."""
    log = enveloped(seed.sample(made(steps), len(steps)))
    whole, report = audit(log), audit(log, max_findings=most)

    assert sorted(whole.findings, key=lambda finding: finding.where[-1].line) == list(whole.findings)
    assert (whole.findings[:most], whole.counts) == (report.findings, report.counts)


@pytest.mark.logic
@settings(max_examples=40)
@given(steps=steps, most=st.integers(0, 6), seed=DICE)
def test_the_first_findings_are_listed(steps, most, seed):
    """With `max_findings` the listed findings are the first in the log, in order of time or not."""
    first_findings_of_all(steps, most, seed)


@pytest.mark.slow
@given(steps=steps, most=st.integers(0, 6), seed=DICE)
def test_the_first_findings_are_listed_in_many_logs(steps, most, seed):
    """In many logs the listed findings are the first in the log."""
    first_findings_of_all(steps, most, seed)


def selected_of_all(steps, select):
    """Compare audits that select or ignore rules with the findings of all rules."""
    log = enveloped(made(steps))
    every = audit(log).findings
    expected = [each for each in every if each.rule.startswith(tuple(select))]

    assert expected == list(audit(log, select=select).findings)
    assert [each for each in every if each not in expected] == list(audit(log, ignore=select).findings)


SELECTIONS = st.sets(st.sampled_from([*RULES, "S", "P", "T2", "C30", "H"]), min_size=1)


@pytest.mark.logic
@settings(max_examples=40)
@given(steps=steps, select=SELECTIONS)
def test_select_is_a_sieve(steps, select):
    """`select` lists the findings of the selected rules and no others; `ignore` lists the rest."""
    selected_of_all(steps, select)


@pytest.mark.slow
@given(steps=steps, select=SELECTIONS)
def test_select_is_a_sieve_for_many_logs(steps, select):
    """In many logs `select` lists the findings of the selected rules, and `ignore` lists the rest."""
    selected_of_all(steps, select)


# ---------------------------------------------------------------- memory


@attrs.frozen
class Poll:
    """A log of ten batches and any number of rows, which are generated one by one."""

    rows: int
    changes: dict[str, object]
    blocks: list[int] = attrs.field(factory=list)
    """How many blocks of memory Python had, at every thousandth row."""

    def __iter__(self):
        batches = [snap("vp", id=f"batch_{number}", **self.changes) for number in range(10)]
        for number in range(self.rows):
            if number % 1000 == 999:
                gc.collect()
                self.blocks.append(sys.getallocatedblocks())
            yield {"observed_at": CREATED + 100.0 + number, "batch": batches[number % 10]}

    def audited(self, *, is_repeatable):
        """Return the count of P104 in an audit of this log."""
        report = audit(self if is_repeatable else iter(self), max_findings=100)
        assert (self.rows, "consistent") == (report.snapshots, report.verdict)
        return report.counts.get("P104", 0)


@pytest.fixture
def few_objects_to_collect():
    """Freeze all objects from before the test: else each garbage collection takes 0.1 s."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("few_objects_to_collect")
@pytest.mark.parametrize("is_repeatable", [True, False])
@pytest.mark.parametrize(
    "changes, rows, findings",
    [
        ({}, 5_000, 0),
        ({"expires_at": None}, 5_000, 5_000),
        pytest.param({}, 20_000, 0, marks=pytest.mark.slow),
        pytest.param({"expires_at": None}, 20_000, 20_000, marks=pytest.mark.slow),
    ],
)
def test_nothing_is_kept_of_a_row(changes, rows, findings, is_repeatable):
    """The number of memory blocks does not grow with the snapshots of ten batches, with findings or without."""
    poll = Poll(rows, changes)

    assert findings == poll.audited(is_repeatable=is_repeatable)
    # A report has up to 200 spans of time; one block for each row would be 3,000.
    assert 1_000 > poll.blocks[-1] - poll.blocks[1]


@pytest.mark.slow
@pytest.mark.usefixtures("few_objects_to_collect")
@pytest.mark.parametrize("is_repeatable", [True, False])
def test_memory_does_not_grow_with_rows(is_repeatable):
    """Ten times as many snapshots of ten batches raise the peak of memory by less than half."""
    peaks = []
    for rows in (200, 2_000, 20_000):  # The first run includes one-time allocations.
        tracemalloc.start()
        Poll(rows, {"expires_at": None}).audited(is_repeatable=is_repeatable)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert 1.5 * peaks[1] > peaks[2]


def test_a_report_keeps_no_log():
    """A report holds findings and places, but no snapshot."""
    report = audit(LEFT)

    assert {Finding, UnreadableEntry, LogPosition} >= {
        type(each) for each in (*report.findings, *report.findings[0].where)
    }
    assert isinstance(report, Report)
    assert parse(LEFT[0]) not in report.to_dict().values()
    assert words("p") == (report.findings[0].fields["status"],)


@pytest.mark.parametrize("log, expected", [
    (LEFT, "<Report inconsistent: 5 snapshots of 1 batch, H502 1>"),
    (seen("v"), "<Report consistent: 1 snapshot of 1 batch>"),
    ([None], "<Report undetermined: 0 snapshots of 0 batches; 1 of 1 place could not be read, or not in full>"),
])  # fmt: skip
def test_a_report_has_a_short_repr(log, expected):
    """It has the verdict and the counts; the findings and statistics would fill a screen."""
    assert expected == repr(audit(log))
