"""Findings as a table and in files: eleven columns, and files that are written whole or not at all."""

import csv
import json
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import attrs
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from batchfsm import MissingExtraError, Monitor, audit
from batchfsm.atomic_file import open_atomic
from batchfsm.auditing import SUFFIXES, save, suffix
from batchfsm.cli import app
from batchfsm.errors import UnknownNameError
from batchfsm.finding import LogPosition
from support.notation import CREATED, seen, snap

COLUMNS = {
    "rule": "string", "name": "string", "severity": "string", "batch_id": "string", "source": "string",
    "line": "int64", "known_source": "string", "known_line": "int64", "observed_at": "double", "fields": "string",
    "message": "string",
}  # fmt: skip
LEFT = [{"observed_at": CREATED + 1000.5 + at, "batch": batch} for at, batch in enumerate(seen("vpzcp"))]
H502 = {
    "rule": "H502",
    "name": "terminal-left",
    "severity": "error",
    "batch_id": "batch_1",
    "source": "iterable",
    "line": 5,
    "known_source": "iterable",
    "known_line": 4,
    "observed_at": CREATED + 1004.5,
    "fields": '{"known_status": "completed", "status": "in_progress"}',
    "message": "batch_1 went from completed to in_progress; completed is final (seen at iterable:4, then :5)",
}
ALONE = {"id": None, "in_progress_at": None}


@pytest.fixture
def report():
    """Return a report of a finding with two places, and one without an id or a time."""
    return audit([*LEFT, snap("vp", **ALONE)], select=["H502", "P101"])


def with_message(report, message, **changes):
    """Return a report whose first finding has another message."""
    return attrs.evolve(report, findings=(attrs.evolve(report.findings[0], message=message, **changes),))


# ---------------------------------------------------------------- the frame


def test_a_row_a_finding(report):
    """A finding is a row with one or two places; unknown values are null."""
    first, second = report.to_frame().to_pylist()

    assert H502 == first
    assert ["batch_id", "known_source", "known_line", "observed_at"] == [k for k, v in second.items() if v is None]
    assert ("P101", "iterable", 6, '{"in_progress_at": null}') == (
        second["rule"], second["source"], second["line"], second["fields"],
    )  # fmt: skip


@pytest.mark.parametrize("log", [LEFT, seen("vpzc")])
def test_the_schema_is_fixed(log):
    """The columns and types are the same with findings and without."""
    frame = audit(log).to_frame()

    assert COLUMNS == {field.name: str(field.type) for field in frame.schema}
    assert [*COLUMNS] == frame.column_names


def test_findings_of_a_monitor_have_no_place():
    """Findings of a monitor have a time of observation and no place."""
    monitor = Monitor()
    found = [found for each in LEFT for found in monitor.observe(each).findings]
    (row,) = attrs.evolve(audit([]), findings=tuple(found)).to_frame().to_pylist()

    assert (None, None, CREATED + 1004.5) == (row["source"], row["line"], row["observed_at"])


def test_when_it_was_seen_is_no_part_of_a_finding():
    """Findings are equal whatever their time of observation, which is not in their JSON."""
    (finding,) = audit(LEFT).findings

    assert finding == attrs.evolve(finding, observed_at=None)
    assert ["rule", "name", "severity", "batch_id", "message", "fields", "where"] == [*finding.to_dict()]


def test_without_pyarrow(report, monkeypatch):
    """The message names the extra to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        MissingExtraError,
        match=r"^a frame of findings needs more packages: .*'batchfsm\[audit\]' \(in a clone: pip install '\.\[audit\]'\)$",
    ):
        report.to_frame()


def test_half_a_letter_is_spelled_out(report):
    """A lone surrogate, which a table cannot hold, is written as an escape."""
    odd = with_message(report, "in \udcff", where=(LogPosition("log\udcff.jsonl", 1),))
    (row,) = odd.to_frame().to_pylist()

    assert (r"log\udcff.jsonl", r"in \udcff") == (row["source"], row["message"])


# ---------------------------------------------------------------- files


def read(path):
    """Return the rows of a file of findings."""
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as text:
            return list(csv.DictReader(text))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return pyarrow.parquet.read_table(path).to_pylist()


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".JSONL"])
def test_a_file_has_the_rows_of_the_frame(ending, report, tmp_path):
    """A file has the rows and types of the frame."""
    path = tmp_path / f"findings{ending}"
    save(report, path)

    assert report.to_frame().to_pylist() == (
        read(path) if ending.islower() else read(path.rename(tmp_path / "a.jsonl"))
    )


def test_a_file_of_commas(report, tmp_path):
    """A CSV file has the rows of the frame; null is an empty cell."""
    save(report, tmp_path / "findings.csv")
    expected = [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in report.to_frame().to_pylist()
    ]

    assert expected == read(tmp_path / "findings.csv")


@pytest.mark.parametrize("ending", SUFFIXES)
def test_no_findings(ending, tmp_path):
    """Without findings the file is written too: with columns only, or empty if it is JSON lines."""
    path = tmp_path / f"findings{ending}"
    save(audit(seen("vpzc")), path)

    assert [] == read(path)
    assert (ending == ".jsonl") == (path.read_bytes() == b"")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "\n1", "＝1"])  # noqa: RUF001
def test_a_spreadsheet_runs_nothing(text, report, tmp_path):
    """Text that a spreadsheet would take for a formula begins with an apostrophe."""
    odd = with_message(report, text, batch_id=text, where=(LogPosition(text, 1),))
    save(odd, tmp_path / "findings.csv")
    (row,) = read(tmp_path / "findings.csv")

    assert [f"'{text}"] * 3 == [row["batch_id"], row["message"], row["source"]]


@pytest.mark.parametrize("text", ["batch_1", "a=b", "'", "", 'b,"c"\nd'])
def test_other_text_is_as_it_was(text, report, tmp_path):
    """Other text is read back unchanged, with commas, quotes and line ends."""
    save(with_message(report, text), tmp_path / "findings.csv")

    assert [text] == [row["message"] for row in read(tmp_path / "findings.csv")]


def test_another_ending(report, tmp_path):
    """An unknown suffix is an error that lists the known ones."""
    with pytest.raises(
        UnknownNameError, match=r"^no form of findings is called '.xlsx'; known: .parquet, .csv, .jsonl$"
    ):
        save(report, tmp_path / "findings.xlsx")


def test_parquet_without_pyarrow(report, tmp_path, monkeypatch):
    """Without pyarrow CSV and JSON lines are written, and Parquet is refused."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    save(report, tmp_path / "findings.csv")
    save(report, tmp_path / "findings.jsonl")
    with pytest.raises(MissingExtraError):
        suffix("findings.parquet")


@pytest.mark.parametrize("ending", SUFFIXES)
def test_what_was_there_stays_until_all_is_written(ending, report, tmp_path, monkeypatch):
    """If writing fails, the old file is unchanged, and no other file is left."""
    path = tmp_path / f"findings{ending}"
    path.write_text("old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left on device") as caught:
        save(report, path)

    assert str(path) == caught.value.filename
    assert [path] == [*tmp_path.iterdir()]
    assert "old" == path.read_text()


def test_a_link_stays_a_link(report, tmp_path):
    """The target of a symbolic link is written, and the link stays."""
    target, link = tmp_path / "there.jsonl", tmp_path / "here.jsonl"
    link.symlink_to(target)
    save(report, link)

    assert link.is_symlink()
    assert 2 == len(read(target))


def test_who_may_read_it_is_as_for_any_file(report, tmp_path):
    """A file of findings has the permissions of any new file, not those of a temporary one."""
    save(report, tmp_path / "findings.csv")
    (tmp_path / "other").touch()

    assert (tmp_path / "other").stat().st_mode == (tmp_path / "findings.csv").stat().st_mode


def test_a_pipe_is_written_and_stays_a_pipe(report, tmp_path):
    """Findings are written into a pipe directly, because it cannot be replaced."""
    path = tmp_path / "findings.csv"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        text = pool.submit(path.read_text)
        save(report, path)

    save(report, tmp_path / "other.csv")
    assert (tmp_path / "other.csv").read_text() == text.result(timeout=10)
    assert path.is_fifo()


def test_a_folder_is_not_replaced(report, tmp_path):
    """A folder of that name is an error, and no other file is left."""
    (tmp_path / "findings.csv").mkdir()
    with pytest.raises(IsADirectoryError, match=r"findings\.csv"):
        save(report, tmp_path / "findings.csv")

    assert [tmp_path / "findings.csv"] == [*tmp_path.iterdir()]


def test_permissions_of_a_file_that_is_replaced(report, tmp_path):
    """The new file has the permissions of the old one."""
    path = tmp_path / "findings.csv"
    path.touch()
    path.chmod(0o600)
    save(report, path)

    assert 0o600 == path.stat().st_mode & 0o777


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError])
def test_a_block_that_raises_leaves_the_old_file(interruption, tmp_path):
    """The old content stays, and the temporary file is removed."""
    path = tmp_path / "old"
    path.write_text("old")
    with pytest.raises(interruption), open_atomic(path) as binary:
        binary.write(b"new")
        raise interruption

    assert ("old", [path]) == (path.read_text(), [*tmp_path.iterdir()])


# ---------------------------------------------------------------- the command


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Make a directory with a log of five findings the working directory; return its path."""
    monkeypatch.chdir(tmp_path)
    rows = [snap("vp", id=f"batch_{number}", in_progress_at=None) for number in range(5)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.mark.parametrize("most, rows", [("2", 2), ("1000", 5)])
def test_the_cap_is_said_beside_the_whole(most, rows, log):
    """Standard error has the number of written findings and of all; the exit status is the verdict's."""
    result = CliRunner().invoke(app, ["audit", "log.jsonl", "--findings", "f.csv", "--max-findings", most])

    assert (1, f"batchfsm: {rows} of 5 findings in f.csv\n") == (result.exit_code, result.stderr)
    assert rows == len(read(log / "f.csv"))
    assert result.stdout.startswith("inconsistent: 5 snapshots of 5 batches\n")


@pytest.mark.parametrize("name", ["f.xlsx", "f", ".csv"])
def test_another_ending_is_wrong_use(name, log):
    """An unknown suffix is a usage error, before the log is opened."""
    result = CliRunner().invoke(app, ["audit", "nope.jsonl", "--findings", name])

    assert 2 == result.exit_code
    assert "a file of findings ends in .parquet, .csv, .jsonl" in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    "name, missing, said",
    [
        ("no/f.csv", "nothing", "no/f.csv: No such file or directory"),
        (
            "f.parquet",
            "pyarrow.parquet",
            "a frame of findings needs more packages: pip install 'batchfsm[audit]' (in a clone: pip install '.[audit]')",
        ),
    ],
)
def test_findings_that_cannot_be_written(name, missing, said, log, monkeypatch):
    """If findings cannot be written, the command prints one line and exits with 2."""
    monkeypatch.setitem(sys.modules, missing, None)
    result = CliRunner().invoke(app, ["audit", "log.jsonl", "--findings", name])

    assert (2, "", f"batchfsm: {said}\n") == (result.exit_code, result.stdout, result.stderr)


def test_no_room_for_findings(log):
    """Beyond the system's limit of file size, the command prints one line and leaves no file."""
    command = [sys.executable, "-m", "batchfsm", "audit", "log.jsonl", "--findings", "f.jsonl"]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        # Else the interpreter would write its compiled files under the limit, too, and leave them cut off.
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
        | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000)),
    )

    assert (2, "batchfsm: f.jsonl: File too large\n") == (result.returncode, result.stderr)
    assert ["log.jsonl"] == [path.name for path in log.iterdir()]


def test_a_state_on_the_command_line(log):
    """A second audit with the state skips the log and prints so; another skew is refused."""
    run = lambda *more: CliRunner().invoke(app, ["audit", "log.jsonl", "--state", "s.db", *more])  # noqa: E731
    first, second = run(), run()

    assert (1, "") == (first.exit_code, first.stderr)
    assert (2, "batchfsm: skipped log.jsonl: already in the state file\n") == (
        second.exit_code,
        second.stderr,
    )
    assert "batchfsm: s.db: it was made with a skew of 60 s, not 5 s\n" == run("--skew", "5").stderr


def test_findings_that_reached_nobody_come_again(log):
    """If findings cannot be written, the state is unchanged, and the next audit has them again."""
    run = lambda findings: CliRunner().invoke(app, ["audit", "log.jsonl", "--state", "s.db", "--findings", findings])  # noqa: E731

    assert 2 == run("no/f.csv").exit_code
    assert "batchfsm: 5 of 5 findings in f.csv\n" == run("f.csv").stderr
