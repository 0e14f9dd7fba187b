"""Columns against the row engine: the same report on any log of JSON lines, however it is written or damaged."""

import json
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchfsm import RULES
from batchfsm.auditing.accumulator import FindingsAccumulator
from batchfsm.auditing.row_engine import audit_rows
from batchfsm.finding import LogPosition
from batchfsm.logs import RawRecord
from batchfsm.rules import HEALTHY
from support.both_readings import LINES, ODDITIES, any_log, both, everything, written
from support.dialects import CHECKING, DIALECTS
from support.few_batches import enveloped as in_envelopes
from support.few_batches import made, steps
from support.notation import CREATED, snap
from support.paths import SHARED
from support.samples import sample

pytest.importorskip("batchfsm.auditing.columns", reason="columns are not compiled, and Cython is not installed")

from batchfsm.auditing.columns import PAD, ColumnEngine, JsonLinesSource, ParsedLinesSource, ParserPool, json_lines

OPTIONS = [{}, {"max_findings": 3}, {"select": "T,H5"}, {"ignore": "P"}, {"memory": 1}, {"skew_s": 0}]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("seeds", [range(4), pytest.param(range(4, 20), marks=pytest.mark.slow)], ids=["few", "many"])
def test_any_log(dialect, is_sorted, seeds, tmp_path, column_runs):
    """Findings, messages, places, counts, verdict and unreadable lines are equal."""
    for seed in seeds:
        rnd = random.Random(f"{dialect} {is_sorted} {seed}")  # noqa: S311
        path = written(tmp_path, any_log(rnd, dialect, is_sorted=is_sorted))

        row_by_row, in_columns = both(path, dialect=dialect, **OPTIONS[seed % len(OPTIONS)])

        assert everything(row_by_row) == everything(in_columns), seed


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_oddity(dialect, tmp_path, column_runs):
    """Each odd value, in a batch of its own, gives equal reports: in the place of its field, and after all fields."""
    log = []
    for key, values in ODDITIES.items():
        for value in values:
            batch = snap("vpzc", id=f"batch_{len(log)}")
            fields = {name: json.dumps(each) for name, each in batch.items()}
            ways = [fields | {key: value}, {**{name: fields[name] for name in fields if name != key}, key: value}]
            log += ["{" + ", ".join(f'"{name}": {each}' for name, each in way.items()) + "}" for way in ways]
    for key in snap("vpzc"):
        batch = snap("vpzc", id=f"batch_{len(log)}")
        log.append(json.dumps({name: each for name, each in batch.items() if name != key}))

    row_by_row, in_columns = both(written(tmp_path, "\n".join(log)), dialect=dialect)

    assert everything(row_by_row) == everything(in_columns)
    assert 1 == len(column_runs)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.booleans(), st.sampled_from(["openai", "azure", "compatible", "dashscope"]), st.sampled_from(OPTIONS))
def test_a_few_rows(column_runs, steps, in_order, dialect, options):
    """Rows that each change the row before, with odd values and missing times, give equal reports."""
    with TemporaryDirectory() as folder:
        log = "".join(json.dumps(row) + "\n" for row in in_envelopes(made(steps, in_order=in_order)))

        row_by_row, in_columns = both(written(Path(folder), log), dialect=dialect, **options)

    assert everything(row_by_row) == everything(in_columns)


GOOD = json.dumps(snap("v"))


@pytest.mark.parametrize(
    "line",
    [*LINES, GOOD + '{"status":"failed"}', GOOD + "[]", f'{{"batch":{GOOD},"snapshot":{GOOD}}}', f'{{"data":[{GOOD},{{"status":"x"}}]}}', f'{{"at":5,"data":[{GOOD}]}}'],
)  # fmt: skip
def test_any_other_line(line, tmp_path, column_runs):
    """A line that is no batch does not affect the lines before and after it."""
    log = "\n".join([json.dumps(snap("vpz")), line, json.dumps(snap("vpzc")), json.dumps(snap("vpzcp"))])

    row_by_row, in_columns = both(written(tmp_path, log))

    assert 1 <= row_by_row.counts["H502"]
    assert everything(row_by_row) == everything(in_columns)


def test_a_line_that_is_not_utf_8(tmp_path, column_runs):
    """A byte that is not UTF-8 makes its own line unreadable, and no other."""
    good = [json.dumps(snap(path)).encode() for path in ("vpz", "vpzc")]

    row_by_row, in_columns = both(
        written(tmp_path, b"\n".join([good[0], good[0].replace(b"batch_1", b"b\xff"), good[1]]))
    )

    assert (2, 1, 1) == (in_columns.snapshots, in_columns.unreadable_count, len(column_runs))
    assert everything(row_by_row) == everything(in_columns)


@pytest.mark.parametrize(
    "more", [{f"x{number}": number for number in range(70)}, {"x" * 5000: 1}, {"x": [0] * 1100}], ids=str
)
def test_a_line_beyond_the_limits_of_the_tokenizer(more, tmp_path, column_runs):
    """The row engine reads a line with too many keys, a long key or too many tokens."""
    row_by_row, in_columns = both(written(tmp_path, "\n".join(json.dumps(snap(p) | more) for p in ("v", "vp"))))

    assert (1, 2) == (len(column_runs), in_columns.snapshots)
    assert everything(row_by_row) == everything(in_columns)


def test_many_batches(tmp_path, column_runs, monkeypatch):
    """The table of batches grows, and the reports are equal."""
    monkeypatch.setattr(json_lines, "_SPLIT_BYTES", 300_000)
    log = [json.dumps(snap(path, id=f"batch_{number}")) for path in ("v", "vp") for number in range(2500)]

    row_by_row, in_columns = both(written(tmp_path, "\n".join(log)))

    assert 2500 == in_columns.batches
    assert everything(row_by_row) == everything(in_columns)


@pytest.mark.parametrize("change", [{"request_counts": {"total": 9, "completed": 9, "failed": 0}}, {"expired_at": 1_760_000_000}, {"errors": [{"code": "a"}]}])  # fmt: skip
def test_a_change_in_a_final_status(change, tmp_path, column_runs):
    """A new count, stamp or error violates H508."""
    first = snap("vpzc", request_counts={"total": 9, "completed": 7, "failed": 0})

    row_by_row, in_columns = both(written(tmp_path, json.dumps(first) + "\n" + json.dumps(first | change)))

    assert 1 == in_columns.counts["H508"]
    assert everything(row_by_row) == everything(in_columns)


def test_a_stamp_that_comes_back_in_a_final_status(tmp_path, column_runs):
    """The row without the stamp violates H504; the row that sets it again violates nothing."""
    whole = snap("vpzc")
    log = [whole, whole | {"in_progress_at": None}, whole]

    row_by_row, in_columns = both(written(tmp_path, "\n".join(map(json.dumps, log))), select="H")

    assert {"H504": 1} == in_columns.counts
    assert everything(row_by_row) == everything(in_columns)


@pytest.mark.parametrize(
    "done", [{"completed": 9, "failed": 0}, {"completed": 5, "failed": 0}, {"completed": 0, "failed": 0}], ids=str
)
def test_an_earlier_status_with_counts(done, tmp_path, column_runs):
    """The row is stale only if no count is higher than before."""
    known = snap("vpz", request_counts={"total": 9, "completed": 5, "failed": 0})
    log = [known, snap("vp", request_counts={"total": 9, **done})]

    row_by_row, in_columns = both(written(tmp_path, "\n".join(map(json.dumps, log))))

    assert {"H501" if done["completed"] > 5 else "H507"} == {*in_columns.counts} & {"H501", "H507"}
    assert everything(row_by_row) == everything(in_columns)


@pytest.mark.parametrize("memory", ["1GB", 1])
def test_a_healthy_log(memory, tmp_path, column_runs):
    """The verdict comes from columns, whether memory holds all batches or none."""
    log = [
        json.dumps({"observed_at": 1_760_100_000 + second, "snapshot": snap(path)})
        for second, path in enumerate(["v", "vp", "vpz", "vpzc"])
    ]

    row_by_row, in_columns = both(written(tmp_path, "\n".join(log)), memory=memory)

    assert (1, "consistent", 4, 1) == (len(column_runs), in_columns.verdict, in_columns.snapshots, in_columns.batches)
    assert everything(row_by_row) == everything(in_columns)


def test_several_files(tmp_path, column_runs):
    """A history continues in the next file, and places name both files."""
    first, then = tmp_path / "mon.jsonl", tmp_path / "tue.jsonl"
    first.write_text(json.dumps(snap("vpzc")) + "\n", encoding="utf-8")
    then.write_text("\n" + json.dumps(snap("vpzcp")) + "\n", encoding="utf-8")

    row_by_row, in_columns = both([str(first), str(then)])

    assert [("H502", [(str(first), 1), (str(then), 2)])] == [
        (finding.rule, [(place.source, place.line) for place in finding.where]) for finding in in_columns.findings
    ]
    assert everything(row_by_row) == everything(in_columns)
    assert 1 == len(column_runs)


@pytest.mark.parametrize("name", ["data/observed_snapshots.jsonl", "recordings/server_aibrix_dryrun.jsonl", "recordings/server_ogx.jsonl", "recordings/server_llmock.jsonl"])  # fmt: skip
@pytest.mark.parametrize("dialect", ["openai", "compatible", "aibrix"])
def test_real_logs(name, dialect, column_runs):
    """The corpus and the recordings, with answers of failed calls and HTML, give equal reports."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not there; BATCHFSM_SHARED says where else to look")

    row_by_row, in_columns = both(str(path), dialect=dialect, max_findings=100_000)

    assert everything(row_by_row) == everything(in_columns)


@pytest.mark.parametrize("code", RULES)
def test_each_rule(code, tmp_path, column_runs):
    """Columns find each rule violated in the log of its example."""
    rows = [{**HEALTHY, **change} for change in RULES[code].example]
    log = [json.dumps({"observed_at": row.pop("observed_at", None), "batch": row}) for row in rows]

    row_by_row, in_columns = both(written(tmp_path, "\n".join(log)), dialect=CHECKING[code])

    assert code in in_columns.counts
    assert everything(row_by_row) == everything(in_columns)
    assert 1 == len(column_runs)


def test_answers_before_the_end(tmp_path, column_runs):
    """Where a dialect has C305, both readings agree on it for each status and each small number of answers."""
    paths, numbers = ("v", "vp", "vpz", "vpzc", "vg", "vpgx"), (None, -1, 0, 1)
    rows = [
        snap(path, id=f"batch_{path}_{completed}_{failed}", request_counts={"total": 8, "completed": completed, "failed": failed})
        for path in paths for completed in numbers for failed in numbers
    ]  # fmt: skip
    dialect = attrs.evolve(CHECKING["C305"], null_counts=True)

    row_by_row, in_columns = both(written(tmp_path, "\n".join(map(json.dumps, rows))), dialect=dialect)

    # Seven of sixteen pairs of numbers have one above zero, in four statuses that are not final.
    assert 4 * 7 == in_columns.counts["C305"]
    assert everything(row_by_row) == everything(in_columns)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_lines_in_memory(dialect):
    """Parsed lines, with a place each, give the report of the row engine."""
    named, template = DIALECTS[dialect], FindingsAccumulator(select=None, ignore=(), listed_max=5)
    pool = ParserPool(named)
    for seed in sample(range(10)):
        rnd = random.Random(f"{dialect} {seed}")  # noqa: S311
        texts = [each.encode() for each in any_log(rnd, dialect, is_sorted=seed % 2 == 0).split("\n") if each.strip()]
        log = [RawRecord(LogPosition(f"file {number % 3}", number), text) for number, text in enumerate(texts, 1)]
        expected, _ = audit_rows(iter(log), named, template, 60.0)
        parsed = pool.parse(bytearray(b"\n".join([*texts, b"\n" * PAD])))
        source = ParsedLinesSource(parsed.values, parsed.observed_at, parsed.decoded, log.__getitem__, named)
        found = ColumnEngine(named, template, 60.0, 10**9).run([source])

        assert everything(expected.report()) == everything(found.report()), seed


# ---------------------------------------------------------------- which rows are read again


def polled(rnd, name):
    """Return the rows of a batch whose counts mostly rise while all else is constant, with an odd row now and then."""
    row = snap("vp", id=name)
    begun = row["in_progress_at"]
    counts = {"total": 10_000, "completed": 0, "failed": 0}
    for second in range(rnd.randrange(20, 40)):
        if rnd.random() < 0.6:
            done = rnd.choice(["completed", "completed", "failed"])
            counts = counts | {done: counts[done] + rnd.randrange(1, 9)}
        yield begun + second, row | {"request_counts": counts}
        if rnd.random() < 0.1:
            twist = rnd.choice(TWISTS)
            yield begun + second, row | {"request_counts": counts} | twist(counts)


TWISTS = [
    lambda counts: {"request_counts": counts | {"completed": counts["completed"] // 2}},
    lambda counts: {"request_counts": counts | {"failed": 0, "completed": counts["completed"] + 9}},
    lambda counts: {"request_counts": None},
    lambda counts: {"request_counts": counts | {"total": 9_999}},
    lambda counts: {"endpoint": "/v1/other"},
    lambda counts: {"in_progress_at": None},
    lambda counts: {"errors": [{"code": "a"}]},
    lambda counts: {"status": "validating", "in_progress_at": None},
    lambda counts: {"status": "finalizing", "finalizing_at": CREATED + 61},
    lambda counts: {"status": "strange"},
]
"""Changes of a row that are more than a rise of its counts, by its last counts."""


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("seeds", [range(20), pytest.param(range(20, 60), marks=pytest.mark.slow)], ids=["few", "many"])
def test_redundant_rows_of_a_history_are_not_read_again(is_sorted, seeds, tmp_path, column_runs, monkeypatch):
    """Findings are explained with a few rows of a batch that was polled forty times."""
    read = []
    real = JsonLinesSource.reread
    monkeypatch.setattr(
        JsonLinesSource, "reread", lambda self, numbers, base=0: read.extend(numbers) or real(self, numbers, base)
    )
    count, tried = 0, sample(seeds)
    for seed in tried:
        rnd = random.Random(seed)  # noqa: S311
        log = [{"observed_at": at, "batch": row} for name in ("batch_a", "batch_b") for at, row in polled(rnd, name)]
        log = [seen if rnd.random() < 0.9 else seen["batch"] for seen in log]
        if not is_sorted:
            rnd.shuffle(log)
        count += len(log)
        row_by_row, in_columns = both(written(tmp_path, "".join(f"{json.dumps(seen)}\n" for seen in log)))
        assert in_columns.findings
        assert everything(in_columns) == everything(row_by_row)
    assert len(column_runs) == len(tried)
    # Out of order, all rows up to the last listed one are read.
    assert len(read) < 0.5 * count if is_sorted else len(read) > 0.7 * count
