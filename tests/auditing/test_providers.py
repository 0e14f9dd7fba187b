"""Audits with `dialect="auto"`: the mark of each object decides on its dialect."""

import gzip
import json
from io import BytesIO, StringIO
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from batchfsm import DIALECTS, audit, parse
from batchfsm.auditing import DialectSummary, api
from batchfsm.auditing.provider_engine import ONE_DIALECT
from batchfsm.cli import app
from batchfsm.errors import DefinitionError, SnapshotError
from batchfsm.watching.snapshot_log import SnapshotLog
from batchfsm.wire import ProviderReader
from support.dialects import DIALECTS as OPENAI_SHAPED
from support.notation import seen, snap
from support.other_providers import ANTHROPIC, ENDED, MISTRAL, OBJECTS
from support.paths import SHARED

OPENAI = snap("vpzc")
KNOWN = ", ".join(["openai", *(name for name in DIALECTS if name not in OPENAI_SHAPED)])


def written(tmp_path, rows):
    """Write rows as JSON lines; return the path."""
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def problems(report):
    return [(each.place.line, each.problem) for each in report.unreadable]


@pytest.mark.parametrize("name", ["openai", *OBJECTS])
def test_each_provider_is_recognised(name):
    """The report is that of the dialect by name, with one summary."""
    found = OPENAI if name == "openai" else OBJECTS[name]
    report, named = audit([found], dialect="auto"), audit([found], dialect=name)

    assert named.to_dict() == {key: value for key, value in report.to_dict().items() if key != "dialects"}
    assert [(name, 1, 1)] == [(each.dialect, each.snapshots, each.batches) for each in report.dialects]
    assert () == named.dialects


def test_a_mixed_log_is_one_report(tmp_path):
    """Findings are in the order of the log, and each dialect has a summary, in the order of the table."""
    early = ANTHROPIC | {"id": "msgbatch_2", "results_url": "https://early"}
    rows = [ANTHROPIC, OPENAI, early, MISTRAL, snap("vpzc", completed_at=None), ENDED]
    report = audit(written(tmp_path, rows), dialect="auto")

    assert (6, 4, "inconsistent") == (report.snapshots, report.batches, report.verdict)
    assert ["F401", "F403"] == [each.rule for each in report.findings][:2]
    assert [3, 4] == [each.where[-1].line for each in report.findings][:2]
    assert (
        DialectSummary(dialect="openai", snapshots=2, batches=1, findings=sum(report.counts.values()) - 2),
        DialectSummary(dialect="anthropic", snapshots=3, batches=2, findings=1),
        DialectSummary(dialect="mistral", snapshots=1, batches=1, findings=1),
    ) == report.dialects
    assert sum(each.findings for each in report.dialects) == sum(report.counts.values())
    assert {"dialect": "mistral", "snapshots": 1, "batches": 1, "findings": 1} == report.to_dict()["dialects"][2]


def test_one_id_at_two_providers_is_two_batches():
    """A batch is known by its dialect and its id."""
    assert (2, {}) == (
        (report := audit([snap("vpzc", id="x"), ANTHROPIC | {"id": "x"}], dialect="auto")).batches,
        dict(report.counts),
    )


def test_a_log_that_is_out_of_order_is_sorted(tmp_path):
    """The findings are those of the sorted log, from a file and from a source that is read once."""
    rows = [
        {"observed_at": 1767225720, "batch": ENDED}, {"observed_at": 1767225660, "batch": ANTHROPIC},
        {"observed_at": 1767225660, "batch": OPENAI},
    ]  # fmt: skip
    once = audit(iter(rows), dialect="auto")

    assert {"T205"} >= once.counts.keys()
    assert [("openai", 1, 1), ("anthropic", 2, 1)] == [
        (each.dialect, each.snapshots, each.batches) for each in once.dialects
    ]
    assert once.counts == audit(written(tmp_path, rows), dialect="auto").counts


@pytest.mark.parametrize("found, problem", [
    ({"odd": 1}, f"has no mark of a known provider ({KNOWN})"),
    ({"id": "c", "status": "BATCH_STATUS_QUEUED", "created_at": "2026-01-01T00:00:00Z"}, f"has no mark of a known provider ({KNOWN})"),
    (ANTHROPIC | {"completion_window": "24h"}, "has the marks of openai and anthropic: name its dialect"),
    (MISTRAL | {"model_id": "m"}, "has the marks of mistral and together: name its dialect"),
    (parse(ENDED, dialect="anthropic").to_dict(), f"has no mark of a known provider ({KNOWN})"),
    (parse(OPENAI), "a snapshot has no mark of a provider: name its dialect"),
    (5, "expected a batch object, got 5"),
])  # fmt: skip
def test_an_object_without_one_mark_is_unreadable(found, problem):
    """The problem is one sentence, and the other objects are read."""
    report = audit([OPENAI, found, ANTHROPIC], dialect="auto")

    assert [(2, problem)] == problems(report)
    assert (2, "undetermined") == (report.snapshots, report.verdict)


def test_a_row_without_id_is_checked():
    report = audit([ANTHROPIC | {"id": None}, {"object": "batch", "status": "completed"}], dialect="auto")

    assert {"S001": 2} == {code: count for code, count in report.counts.items() if code == "S001"}
    assert (2, 0) == (report.snapshots, report.batches)


def test_pages_envelopes_and_text_are_opened(tmp_path):
    """Pages of providers and of OpenAI, envelopes, arrays, JSON text and SDK objects hold batches."""
    dumped = SimpleNamespace(model_dump=lambda: ENDED)
    page = {"data": [ENDED, ANTHROPIC | {"id": "m2"}], "has_more": False}
    rows = [
        page,
        {"operations": [OBJECTS["gemini"]]},
        {"observed_at": 1767225720, "body": OPENAI},
        [OBJECTS["bedrock"]],
    ]

    assert [("openai", 1), ("anthropic", 2), ("gemini", 1), ("bedrock", 1)] == [
        (each.dialect, each.snapshots) for each in audit(written(tmp_path, rows), dialect="auto").dialects
    ]
    assert [("anthropic", 2)] == [
        (each.dialect, each.snapshots) for each in audit([dumped, json.dumps(ENDED)], dialect="auto").dialects
    ]


def test_a_line_is_one_unreadable_place(tmp_path):
    """Of several values on a line that are surely no batches only the first is reported."""
    report = audit(written(tmp_path, [{"data": [{"odd": 1}, 5, "x"]}, ENDED]), dialect="auto")

    assert [(1, f"has no mark of a known provider ({KNOWN})")] == problems(report)
    assert (1, 1) == (report.unreadable_count, report.snapshots)


def test_text_with_two_batches_is_no_row():
    report = audit([SimpleNamespace(model_dump=lambda: {"data": [ENDED, ENDED]})], dialect="auto")

    assert [(1, "expected one batch, found 2")] == problems(report)


def test_a_large_log_is_read_row_by_row(tmp_path, monkeypatch):
    """Columns recognise nothing, so the row engine reads a log that columns would read."""
    monkeypatch.setattr(api, "COLUMNS_BYTES_MIN", 0)
    monkeypatch.setattr(api, "_run_columns", lambda *_: pytest.fail("columns were used"))

    assert ["openai", "mistral"] == [
        each.dialect for each in audit(written(tmp_path, [OPENAI, MISTRAL]), dialect="auto").dialects
    ]


@pytest.mark.parametrize("options, purpose", [
    ({"engine": "spark"}, "audit in Spark"), ({"state": "state.db"}, "audit with a state"),
])  # fmt: skip
def test_what_needs_a_dialect_says_so(options, purpose, tmp_path, monkeypatch):
    """One sentence, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, [OPENAI])

    with pytest.raises(DefinitionError) as caught:
        audit(path, dialect="auto", **options)

    assert f"invalid {purpose}: its dialect must be named: auto reads the marks of JSON objects" == str(caught.value)
    assert ["log.jsonl"] == [each.name for each in tmp_path.iterdir()]


def test_a_table_needs_a_dialect():
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")

    with pytest.raises(DefinitionError, match="audit of tables: its dialect must be named"):
        audit(pa.table({"id": ["b"], "status": ["completed"], "created_at": [1]}), dialect="auto")


def test_charts_are_of_one_dialect():
    """A log of one dialect has statistics; for one of several the report has a remark, if charts were asked for."""
    one, two = ([ANTHROPIC, ENDED], [ANTHROPIC, OPENAI])
    named = audit(one, dialect="anthropic", statistics=True).statistics

    assert named.final_statuses == audit(one, dialect="auto", statistics=True).statistics.final_statuses
    assert ((), None) == ((report := audit(two, dialect="auto")).remarks, report.statistics)
    assert (ONE_DIALECT,) == audit(two, dialect="auto", statistics=True).remarks


def test_selected_rules_are_counted_by_dialect():
    """The summary counts the findings that are reported."""
    report = audit([snap("vpzc", completed_at=None), MISTRAL], dialect="auto", select="F")

    assert [("openai", 0), ("mistral", 1)] == [(each.dialect, each.findings) for each in report.dialects]


def test_an_openai_log_is_judged_as_by_name():
    """Every history gives the report of the dialect `openai`."""
    for path in ("vpzcp", "vpgx", "vf"):
        report, named = audit(seen(path), dialect="auto"), audit(seen(path))

        assert (named.counts, named.findings) == (report.counts, report.findings)


def test_the_samples_are_recognised():
    """Each published object has the mark of its provider alone; those of Cohere and xAI have none."""
    samples = SHARED / "data/other_providers"
    if not samples.exists():
        pytest.skip(f"{samples} is not there; BATCHFSM_SHARED says where else to look")
    for path in samples.glob("*.jsonl"):
        provider = path.name.removesuffix(".jsonl").partition("_")[0]
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        bodies = [row["body"] for row in rows if row["kind"] in ("real", "server")]
        report = audit(bodies, dialect="auto")

        assert {each.dialect for each in report.dialects} <= {provider}, path
        assert all(provider in problem or "mark" in problem for _, problem in problems(report)), path


# ---------------------------------------------------------------- the command


def run(*arguments, stdin=b""):
    return CliRunner().invoke(app, ["audit", *arguments], input=BytesIO(stdin))


def test_the_command_prints_a_line_per_dialect(tmp_path):
    """The lines stand below the verdict."""
    result = run(written(tmp_path, [ANTHROPIC, ENDED, OPENAI]), "--dialect", "auto")

    assert (
        "consistent: 3 snapshots of 2 batches\n"
        "  openai: 1 snapshot of 1 batch, 0 findings\n"
        "  anthropic: 2 snapshots of 1 batch, 0 findings\n"
    ) == result.stdout
    assert 0 == result.exit_code


def test_the_command_reads_compressed_input(tmp_path):
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(ENDED).encode()))

    assert [{"dialect": "anthropic", "snapshots": 1, "batches": 1, "findings": 0}] == json.loads(
        run(str(path), "--dialect", "auto", "--format", "json").stdout
    )["dialects"]


def test_aliases_need_a_dialect(tmp_path):
    result = run(written(tmp_path, [OPENAI]), "--dialect", "auto", "--alias", "Done=completed")

    assert 2 == result.exit_code
    assert "--alias adds a word to one dialect: name it instead of auto" in result.stderr


def test_a_reader_shows_the_dialect_of_its_last_batch():
    reader = ProviderReader()
    row = reader.read_row(json.dumps({"batch": ENDED}))

    assert ("anthropic", "ended") == (reader.dialect, row.snapshot.status)
    assert row is reader.read_bare_row(row)


def logged(dialect, batch):
    """Return the line that a watch of a source writes for a batch."""
    target = StringIO()
    SnapshotLog(target, dialect).write(None, parse(batch, dialect=dialect, observed_at=1767225720))
    return json.loads(target.getvalue())


@pytest.mark.parametrize("name", ["openai", *OBJECTS])
def test_the_log_of_a_watch_is_recognised(name, tmp_path):
    """The line of a snapshot has OpenAI's names, and its dialect beside them."""
    line = logged(name, OPENAI if name == "openai" else OBJECTS[name])
    report = audit(written(tmp_path, [line]), dialect="auto")

    assert [(name, 1, 1)] == [(each.dialect, each.snapshots, each.batches) for each in report.dialects]
    assert report.counts == audit(written(tmp_path, [line]), dialect=name).counts
    assert 1767225720 == parse(line, dialect="auto").observed_at


@pytest.mark.parametrize("line", [
    {"dialect": "acme", "snapshot": ANTHROPIC}, {"dialect": 5, "snapshot": ANTHROPIC},
    {"dialect": "mistral", "data": [ANTHROPIC]}, ANTHROPIC | {"dialect": "mistral"},
])  # fmt: skip
def test_another_dialect_key_is_not_believed(line):
    """Only an envelope around one batch names its dialect, and only one that is known."""
    assert ["anthropic"] == [each.dialect for each in audit([line], dialect="auto").dialects]


@pytest.mark.parametrize("name", ["openai", *OBJECTS])
def test_parse_recognises_the_provider(name):
    """The snapshot is the one that the named dialect reads."""
    found = OPENAI if name == "openai" else OBJECTS[name]

    assert parse(found, dialect=name, observed_at=5) == parse(found, dialect="auto", observed_at=5)
    with pytest.raises(SnapshotError, match="has no mark of a known provider"):
        parse({"odd": 1}, dialect="auto")


HINT = "its objects have the mark of {}, not of {}: name that dialect, or auto"


@pytest.mark.parametrize("found, dialect, remarks", [
    (ANTHROPIC, "openai", [HINT.format("anthropic", "openai")]),
    (OBJECTS["gemini"], "azure", [HINT.format("gemini", "openai")]),
    (OPENAI, "anthropic", [HINT.format("openai", "anthropic")]),
    (OPENAI | {"status": "odd"}, "azure", []),
    (ANTHROPIC | {"id": None}, "anthropic", []),
    ({"odd": 1}, "openai", []),
    (ANTHROPIC, "auto", []),
])  # fmt: skip
def test_a_wrong_dialect_is_remarked_on(found, dialect, remarks, tmp_path):
    """If little of a log can be read, the report names the dialect whose marks its objects have."""
    assert remarks == [*audit(written(tmp_path, [found]), dialect=dialect).remarks]
    assert remarks == [*audit([found], dialect=dialect).remarks]
    assert () == audit(iter([found]), dialect=dialect).remarks


REQUEST_LINES = "its lines are requests or results of a batch, not batch objects: batchfsm results checks such files"


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "auto"])
@pytest.mark.parametrize("line", [
    {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {}},
    {"id": "batch_req_1", "custom_id": "a", "response": {"status_code": 200, "body": {}}, "error": None},
    {"id": "batch_req_1", "custom_id": "a", "response": None, "error": {"code": "batch_expired"}},
    {"custom_id": "a", "result": {"type": "succeeded"}},
], ids=["input", "output", "error", "anthropic"])  # fmt: skip
def test_a_file_of_requests_or_results_is_remarked_on(line, dialect, tmp_path):
    """The lines of an input, output or error file are no batch objects: the report names the command for them."""
    assert (REQUEST_LINES,) == audit(written(tmp_path, [line, line]), dialect=dialect).remarks
    assert () == audit(written(tmp_path, [OPENAI | {"custom_id": "a", "status": "odd"}]), dialect="openai").remarks


def test_timeline_recognises_dialects(tmp_path):
    """Batches of several dialects are drawn, and `dot`, which has one lifecycle, takes those of one dialect."""
    log = written(tmp_path, [ANTHROPIC, OPENAI, {"odd": 1}, ENDED])
    drawn = CliRunner().invoke(app, ["timeline", log, "--dialect", "auto"])
    named = CliRunner().invoke(app, ["timeline", written_as(tmp_path, [ANTHROPIC, ENDED]), "--dialect", "anthropic"])

    assert 0 == drawn.exit_code
    assert named.stdout.splitlines()[:5] == drawn.stdout.splitlines()[:5]
    assert "batch_1  completed" in drawn.stdout
    assert (
        "section batch_1"
        in CliRunner().invoke(app, ["timeline", log, "--dialect", "auto", "--format", "mermaid"]).stdout
    )
    dot = ["timeline", log, "--dialect", "auto", "--format", "dot"]
    assert (2, "batchfsm: dot draws one lifecycle, and the log has anthropic, openai: choose a batch with --batch\n") == (
        (refused := CliRunner().invoke(app, dot)).exit_code, refused.stderr,
    )  # fmt: skip
    assert "cancelling" in CliRunner().invoke(app, [*dot, "--batch", ANTHROPIC["id"]]).stdout


def test_a_log_of_several_is_remarked_on(tmp_path):
    """If some objects have the mark of the dialect, and most have another one, the remark names `auto`."""
    remark = "some of its objects have the mark of anthropic, not of openai: auto reads all"

    assert (remark,) == audit(written(tmp_path, [OPENAI, ANTHROPIC])).remarks
    assert () == audit(written_as(tmp_path, [OPENAI, OPENAI, ANTHROPIC])).remarks


def written_as(tmp_path, rows):
    """Write rows beside the log of the test; return the path."""
    (tmp_path / "named").mkdir()
    return written(tmp_path / "named", rows)


@pytest.mark.parametrize("found, message", [
    (ANTHROPIC, "no batch in {} has a known status; " + HINT.format("anthropic", "openai")),
    (OBJECTS["gemini"], "no batch in {}; " + HINT.format("gemini", "openai")),
    ({"id": "a", "custom_id": "b", "response": {}}, "no batch in {} has a known status; " + REQUEST_LINES),
    ({"custom_id": "b", "method": "POST"}, "no batch in {}; " + REQUEST_LINES),
    ({"odd": 1}, "no batch in {}; 1 place could not be read, or not in full: batchfsm audit names them"),
])  # fmt: skip
def test_a_timeline_under_a_wrong_dialect(found, message, tmp_path):
    """Instead of a timeline without any status, the command names the dialect."""
    log = written(tmp_path, [found])
    result = CliRunner().invoke(app, ["timeline", log])

    assert (2, "", f"batchfsm: {message.format(log)}\n") == (result.exit_code, result.stdout, result.stderr)
