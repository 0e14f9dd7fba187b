"""Audits row by row find the same in every form of the objects."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchfsm import Report, Snapshot, SnapshotError, audit
from batchfsm.wire import reader
from support.dialects import DIALECTS
from support.histories import logs, written

Line = dict[str, Any]


def lines_of(log: list[Any]) -> list[Line]:
    """Return the envelopes of a log whose rows belong to two batches in turn, and some to neither."""
    rows = written(log)
    return [
        {"observed_at": clock, "batch": wire if wire["id"] != "batch_1" else wire | {"id": f"batch_{number % 2}"}}
        for number, (wire, clock) in enumerate(rows)
    ]


def found(report: Report) -> Any:
    """Return the contents of a report, except for places."""
    return (
        report.verdict, report.snapshots, report.batches, report.unreadable_count, dict(report.counts),
        [(each, each.observed_at) for each in report.findings], [each.problem for each in report.unreadable],
    )  # fmt: skip


def dumped(line: Line) -> Line:
    """Return a line whose batch is an SDK object."""
    return line | {"batch": SimpleNamespace(to_dict=lambda: line["batch"])}


FORMS: dict[str, Any] = {
    "texts": lambda lines: [json.dumps(line).encode() for line in lines],
    "texts with blanks": lambda lines: [
        f" {json.dumps(line, indent=1, ensure_ascii=False)} ".encode() for line in lines
    ],
    "SDK objects": lambda lines: [dumped(line) for line in lines],
    "an iterator": iter,
    "a page": lambda lines: [{"object": "list", "data": lines}],
}


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25)
@given(log=logs, dialect=st.sampled_from(sorted(DIALECTS)))
def test_every_form_is_judged_alike(form: str, log: list[Any], dialect: str):
    """Texts, SDK objects, iterators and pages of any rows give the report of the rows as mappings."""
    lines = lines_of(log)
    expected = audit(lines, dialect=dialect, engine="rows")

    assert found(expected) == found(audit(FORMS[form](lines), dialect=dialect, engine="rows"))


@settings(max_examples=50)
@given(
    log=logs,
    dialect=st.sampled_from(sorted(DIALECTS)),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :")]),
)
def test_a_file_is_judged_as_its_objects_are(log: list[Any], dialect: str, separators: tuple[str, str]):
    """A file gives the report of its objects, whatever the spaces and escapes of its JSON."""
    lines = lines_of(log)
    expected = audit(lines, dialect=dialect, engine="rows")
    for is_ascii in (True, False):
        texts = [json.dumps(line, ensure_ascii=is_ascii, separators=separators) for line in lines]
        with TemporaryDirectory() as folder:
            path = Path(folder, "log.jsonl")
            path.write_text("\n".join(texts), encoding="utf-8")
            assert found(expected) == found(audit(path, dialect=dialect, engine="rows"))


@settings(max_examples=50)
@given(log=logs, dialect=st.sampled_from(sorted(DIALECTS)))
def test_snapshots_are_judged_as_what_they_were_read_from(log: list[Any], dialect: str):
    """Snapshots give the report of the rows from which they were parsed."""
    read = reader(DIALECTS[dialect]).read
    lines, snapshots = [], list[Snapshot]()
    for line in lines_of(log):
        try:
            snapshots.append(read(line))
        except SnapshotError:
            continue
        lines.append(line)

    assert found(audit(lines, dialect=dialect, engine="rows")) == found(
        audit(snapshots, dialect=dialect, engine="rows")
    )
