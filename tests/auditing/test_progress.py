"""Progress of an audit: reported at intervals, by every engine, and shown as a bar on a terminal."""

import gzip
import io
import json

import pytest

from batchfsm import audit
from batchfsm.auditing import Progress
from batchfsm.auditing import progress as metering
from batchfsm.auditing.progress import ProgressMeter
from batchfsm.cli.progress import ProgressBar
from support.columns import enable_columns
from support.notation import CREATED, seen

LOG = [
    {"observed_at": CREATED + 1000.0 + at, "batch": batch | {"id": f"batch_{number}"}}
    for at, batch in enumerate(seen("vpzc"))
    for number in range(5)
]
TEXT = "".join(json.dumps(row) + "\n" for row in LOG).encode()
BACKWARDS = "".join(json.dumps(row) + "\n" for row in LOG[::-1]).encode()


@pytest.fixture
def often(monkeypatch):
    """Set the interval between reports of progress to zero."""
    monkeypatch.setattr(metering, "INTERVAL_S", 0.0)


@pytest.fixture(params=["rows", "columns"])
def engine(request, monkeypatch):
    """Return an engine: row by row, or in columns however small the log."""
    if request.param == "columns":
        enable_columns(monkeypatch, bytes_min=1)
        return "auto"
    return "rows"


def told(source, **how):
    """Return all reports of progress of an audit."""
    found = []
    audit(source, progress=found.append, **how)
    return found


def stages(found):
    """Return each stage with its last report: passed, size, rows."""
    last = {each.stage: (each.passed, each.size, each.rows) for each in found}
    return [(stage, *rest) for stage, rest in last.items()]


def test_bytes_and_rows(often, engine, tmp_path):
    """The last report has all bytes of all files, and all rows."""
    for name, ids in (("a.jsonl", b"batch_"), ("b.jsonl", b"other_")):
        (tmp_path / name).write_bytes(TEXT.replace(b"batch_", ids))
    found = told([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], engine=engine)

    assert [("reading", 2 * len(TEXT), 2 * len(TEXT), 40)] == stages(found)
    assert sorted(each.passed for each in found) == [each.passed for each in found]


def test_packed_bytes(often, engine, tmp_path):
    """Compressed bytes are counted, whether a file is decompressed as it is read or before."""
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(TEXT))
    packed, plain = path.stat().st_size, len(TEXT)
    expected = {
        "rows": [("reading", packed, packed, 20)],
        "auto": [("unpacking", packed, packed, 0), ("reading", plain, plain, 20)],
    }

    assert expected[engine] == stages(told(path, engine=engine))


def test_a_log_out_of_order(often, engine, tmp_path):
    """A log out of order has a second stage, which counts the parts that were checked."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(BACKWARDS)
    (_, passed, size, _), (stage, parts, whole, rows) = stages(told(path, engine=engine))

    assert (len(TEXT), len(TEXT)) == (passed, size)
    assert ("judging", whole, 20) == (stage, parts, rows)


def test_objects_have_no_bytes(often):
    """For a log of objects, rows are counted and no bytes."""
    assert [("reading", 0, None, 20)] == stages(told(LOG))


def test_standard_input_has_no_size(often, tmp_path, monkeypatch):
    """For standard input, bytes are counted without a size."""
    (tmp_path / "log.jsonl").write_bytes(TEXT)
    with (tmp_path / "log.jsonl").open() as piped:
        monkeypatch.setattr("sys.stdin", piped)

        assert [("reading", len(TEXT), None, 20)] == stages(told("-"))


def test_with_a_state(often, tmp_path):
    """The size does not include files that are skipped."""
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_bytes(TEXT)
    audit(tmp_path / "a.jsonl", state=tmp_path / "state.db")
    found = told([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], state=tmp_path / "state.db")

    assert [("reading", len(TEXT), len(TEXT), 20)] == stages(found)


def test_at_the_end_it_is_told_once_however_short_it_was():
    """An audit shorter than the interval has one report, at its end."""
    assert [Progress(stage="reading", passed=0, size=None, rows=20)] == told(LOG)


def test_ten_times_a_second():
    """There are at most ten reports a second, however many rows there are."""
    now, found = [0.0], []
    meter = ProgressMeter(found.append, lambda: now[0])
    for _ in meter.count_rows(range(100)):
        now[0] += 0.03125

    assert [5 + 4 * time for time in range(24)] == [each.rows for each in found]


class CallersError(OSError):
    """An error of the caller's that is an OSError, as errors of files are."""


@pytest.mark.parametrize("packed", [False, True])
def test_what_it_raises_is_the_callers_own(packed, often, engine, tmp_path):
    """An OSError that the callback raises is not converted into a SourceError."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(gzip.compress(TEXT) if packed else TEXT)

    def stop(_):
        raise CallersError

    with pytest.raises(CallersError):
        audit(path, engine=engine, progress=stop)


# ---------------------------------------------------------------- the bar


class Terminal(io.StringIO):
    """A text stream that is a terminal."""

    def isatty(self):
        """Return True."""
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Return a function that shows reports on a terminal of 80 columns, and returns its output."""
    for name, value in {"TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TTY_INTERACTIVE", raising=False)

    def shown(*moments):
        now, screen = [0.0], Terminal()
        monkeypatch.setattr("sys.stderr", screen)
        with ProgressBar(lambda: now[0]) as bar:
            for now[0], progress in moments:
                bar(progress)
        return screen.getvalue()

    return shown


def at(seconds, stage="reading", passed=50, size=100, rows=30):
    """Return a time in seconds and a report of progress."""
    return seconds, Progress(stage=stage, passed=passed, size=size, rows=rows)


def test_who_waits_sees_a_bar(terminal):
    """The bar has percent and rows a second, fits the terminal, and is erased at the end."""
    text = terminal(at(0.0, passed=0, rows=0), at(2.0))

    assert "reading" in text
    assert " 50% 15 rows/s" in text
    assert text.endswith("\x1b[1A\x1b[2K")
    assert all(len(line.lstrip("\r")) <= 80 for line in text.split("\x1b[2K") if "\x1b" not in line)


@pytest.mark.parametrize("moments", [[at(0.5)], [at(0.9), at(5.0, passed=100)], []])
def test_who_need_not_wait_sees_nothing(moments, terminal):
    """There is no bar within the first second, or if the audit is over."""
    assert "" == terminal(*moments)


def test_a_new_stage_begins_at_nothing(terminal):
    """Percent and rows a second of a new stage are counted from its beginning."""
    text = terminal(at(0.0), at(2.0), at(3.0, "judging", 0, 64, 0), at(5.0, "judging", 16, 64, 30))

    assert "sorting" in text
    assert " 25% 15 rows/s" in text


def test_where_nobody_looks_nothing_is_told(capsys):
    """Without a terminal there is no bar."""
    with ProgressBar() as bar:
        assert bar is None
