"""The columnar reading against the scalar one: the same report on any log, however it is laid out or damaged."""

import gzip
import json
import random
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchfsm import DIALECTS, RULES, SourceError, audit
from batchfsm.auditing import parse_size, running
from batchfsm.auditing.scalar import one_by_one
from batchfsm.auditing.tally import Tally
from batchfsm.dialects import find
from batchfsm.errors import UnknownNameError
from batchfsm.finding import Place
from batchfsm.logs import Sighting
from batchfsm.wire import TIME_MAX, time_of
from support.both_readings import (
    LINES,
    ODDITIES,
    any_log,
    both,
    written,
)
from support.notation import CREATED, snap
from support.paths import SHARED

pytest.importorskip("numba", reason="the extra `audit` is not installed")

import numpy as np

from batchfsm.auditing import columnar
from batchfsm.auditing.columnar import bucket, cutting, deal, judging, lines, part, scanner, tokens
from batchfsm.auditing.columnar.clock import clock
from batchfsm.auditing.columnar.digest import digest
from batchfsm.auditing.columnar.words import code_of, equal, words


def everything(report):
    """Return all that a report says, messages and places included, which equality of findings leaves out."""
    return report.to_dict(), report.not_looked, report.remarks


# ---------------------------------------------------------------- any log


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("seeds", [range(6), pytest.param(range(6, 106), marks=pytest.mark.slow)], ids=["few", "many"])
def test_both_readings_say_the_same_of_any_log(dialect, is_sorted, seeds, tmp_path, always):
    """Row by row and code by code: findings, messages, places, counts, verdict, what could not be read."""
    for seed in seeds:
        rnd = random.Random(f"{dialect} {is_sorted} {seed}")  # noqa: S311
        path = written(tmp_path, any_log(rnd, dialect, is_sorted=is_sorted))
        options = [{}, {"max_findings": 3}, {"select": "T,H5"}, {"ignore": "P"}, {"memory": 1}, {"skew_s": 0}][seed % 6]

        row_by_row, in_columns = both(path, dialect=dialect, **options)

        assert everything(row_by_row) == everything(in_columns), seed


def test_both_readings_say_the_same_of_every_oddity(tmp_path, always):
    """Each by itself in a batch of its own: first in the place where the field stands, then behind all the others."""
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

    row_by_row, in_columns = both(written(tmp_path, "\n".join(log)))

    assert everything(row_by_row) == everything(in_columns)
    assert 1 == len(always)


GOOD = json.dumps(snap("v"))


@pytest.mark.parametrize(
    "line",
    [*LINES, GOOD + '{"status":"failed"}', GOOD + "[]", f'{{"batch":{GOOD},"snapshot":{GOOD}}}', f'{{"data":[{GOOD},{{"status":"x"}}]}}', f'{{"at":5,"data":[{GOOD}]}}'],
)  # fmt: skip
def test_both_readings_say_the_same_of_every_other_line(line, tmp_path, always):
    """Whatever stands between two good lines, they are judged."""
    log = "\n".join([json.dumps(snap("vpz")), line, json.dumps(snap("vpzc")), json.dumps(snap("vpzcp"))])

    row_by_row, in_columns = both(written(tmp_path, log))

    assert 1 <= row_by_row.counts["H502"]
    assert everything(row_by_row) == everything(in_columns)


def test_what_is_no_utf_8(tmp_path, always):
    """One bad byte spoils its line only."""
    good = [json.dumps(snap(path)).encode() for path in ("vpz", "vpzc")]

    row_by_row, in_columns = both(
        written(tmp_path, b"\n".join([good[0], good[0].replace(b"batch_1", b"b\xff"), good[1]]))
    )

    assert (2, 1, 1) == (in_columns.snapshots, in_columns.unreadable_count, len(always))
    assert everything(row_by_row) == everything(in_columns)


@pytest.mark.parametrize("more", [{f"x{number}": number for number in range(70)}, {"x" * 5000: 1}])
def test_a_shape_too_large_to_remember(more, tmp_path, always):
    """Each line of it is read anew."""
    row_by_row, in_columns = both(written(tmp_path, "\n".join(json.dumps(snap(p) | more) for p in ("v", "vp"))))

    assert (1, 2) == (len(always), in_columns.snapshots)
    assert everything(row_by_row) == everything(in_columns)


def test_many_batches(tmp_path, always, monkeypatch):
    """There is room for all, and each is found again."""
    monkeypatch.setattr(lines, "_CHUNK_BYTES", 300_000)
    log = [json.dumps(snap(path, id=f"batch_{number}")) for path in ("v", "vp") for number in range(2500)]

    row_by_row, in_columns = both(written(tmp_path, "\n".join(log)))

    assert 2500 == in_columns.batches
    assert everything(row_by_row) == everything(in_columns)


@pytest.mark.parametrize("change", [{"request_counts": {"total": 9, "completed": 9, "failed": 0}}, {"expired_at": 1_760_000_000}, {"errors": [{"code": "a"}]}])  # fmt: skip
def test_what_moves_on_after_the_end(change, tmp_path, always):
    """A count, a stamp or an error that is new in a final status."""
    first = snap("vpzc", request_counts={"total": 9, "completed": 7, "failed": 0})

    row_by_row, in_columns = both(written(tmp_path, json.dumps(first) + "\n" + json.dumps(first | change)))

    assert 1 == in_columns.counts["H508"]
    assert everything(row_by_row) == everything(in_columns)


@pytest.mark.parametrize(
    "done", [{"completed": 9, "failed": 0}, {"completed": 5, "failed": 0}, {"completed": 0, "failed": 0}]
)
def test_a_row_of_an_earlier_status_that_counts(done, tmp_path, always):
    """It is stale only if it counts nothing new."""
    known = snap("vpz", request_counts={"total": 9, "completed": 5, "failed": 0})
    log = [known, snap("vp", request_counts={"total": 9, **done})]

    row_by_row, in_columns = both(written(tmp_path, "\n".join(map(json.dumps, log))))

    assert {"H501" if done["completed"] > 5 else "H507"} == {*in_columns.counts} & {"H501", "H507"}
    assert everything(row_by_row) == everything(in_columns)


def watched(rnd, name):
    """Return what a poller saw of a batch that nearly always just went on, and something that did not."""
    row = snap("vp", id=name)
    begun = row["in_progress_at"]
    counts = {"total": 10_000, "completed": 0, "failed": 0}
    for second in range(rnd.randrange(20, 40)):
        if rnd.random() < 0.6:
            done = rnd.choice(["completed", "completed", "failed"])
            counts = counts | {done: counts[done] + rnd.randrange(1, 9)}
        yield begun + second, row | {"request_counts": counts}
        if rnd.random() < 0.1:
            odd = rnd.choice(TWISTS)
            yield begun + second, row | {"request_counts": counts} | odd(counts)


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
"""What a poller sees of a batch that does not just go on, after its last counts."""


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize(
    "seeds", [range(20), pytest.param(range(20, 120), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_a_history_is_told_without_the_rows_that_just_go_on(is_sorted, seeds, tmp_path, always, monkeypatch):
    """A poller sees a batch forty times; a few of them are what it has to be told with."""
    read = []
    real = lines.Lines.rows
    monkeypatch.setattr(
        lines.Lines, "rows", lambda self, numbers, base: read.extend(numbers) or real(self, numbers, base)
    )
    count = 0
    for seed in seeds:
        rnd = random.Random(seed)  # noqa: S311
        log = [{"observed_at": at, "batch": row} for name in ("batch_a", "batch_b") for at, row in watched(rnd, name)]
        log = [seen if rnd.random() < 0.9 else seen["batch"] for seen in log]
        if not is_sorted:
            rnd.shuffle(log)
        count += len(log)
        path = written(tmp_path, "".join(f"{json.dumps(seen)}\n" for seen in log))
        row_by_row, in_columns = both(path)
        assert in_columns.findings
        assert everything(in_columns) == everything(row_by_row)
    assert len(always) == len(seeds)
    # Out of order, all rows up to the last that is told of are read.
    assert len(read) < 0.5 * count if is_sorted else len(read) > 0.7 * count


@pytest.mark.parametrize("memory", ["1GB", 1])
def test_a_healthy_log_takes_the_columns(memory, tmp_path, always):
    """Most logs never meet the scalar core; with no memory for batches they are dealt out, and say the same."""
    log = [
        json.dumps({"observed_at": 1_760_100_000 + second, "snapshot": snap(path)})
        for second, path in enumerate(["v", "vp", "vpz", "vpzc"])
    ]

    row_by_row, in_columns = both(written(tmp_path, "\n".join(log)), memory=memory)

    assert (1, "consistent", 4, 1) == (len(always), in_columns.verdict, in_columns.snapshots, in_columns.batches)
    assert everything(row_by_row) == everything(in_columns)


def test_columns_are_taken_for_many_files(tmp_path, always):
    """A history that goes on in the next file is one history, and places name both files."""
    first, then = tmp_path / "mon.jsonl", tmp_path / "tue.jsonl"
    first.write_text(json.dumps(snap("vpzc")) + "\n", encoding="utf-8")
    then.write_text("\n" + json.dumps(snap("vpzcp")) + "\n", encoding="utf-8")

    row_by_row, in_columns = both([str(first), str(then)])

    assert [("H502", [(str(first), 1), (str(then), 2)])] == [
        (finding.rule, [(place.source, place.line) for place in finding.where]) for finding in in_columns.findings
    ]
    assert everything(row_by_row) == everything(in_columns)
    assert 1 == len(always)


@pytest.mark.parametrize("name", ["data/observed_snapshots.jsonl", "recordings/server_aibrix_dryrun.jsonl", "recordings/server_ogx.jsonl", "recordings/server_llmock.jsonl"])  # fmt: skip
@pytest.mark.parametrize("dialect", ["openai", "compatible", "aibrix"])
def test_both_readings_say_the_same_of_real_logs(name, dialect, always):
    """The corpus and the recordings, answers of error calls and HTML included."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not there; BATCHFSM_SHARED says where else to look")

    row_by_row, in_columns = both(str(path), dialect=dialect, max_findings=100_000)

    assert everything(row_by_row) == everything(in_columns)


@pytest.mark.parametrize("code", RULES)
def test_each_rule_is_found_in_columns(code, tmp_path, always):
    """The example of each rule, as a log."""
    from batchfsm.rules import HEALTHY  # noqa: PLC0415

    rows = [{**HEALTHY, **change} for change in RULES[code].example]
    log = [json.dumps({"observed_at": row.pop("observed_at", None), "batch": row}) for row in rows]

    row_by_row, in_columns = both(written(tmp_path, "\n".join(log)))

    assert code in in_columns.counts
    assert everything(row_by_row) == everything(in_columns)
    assert 1 == len(always)


# ---------------------------------------------------------------- what columns leave alone


@pytest.mark.parametrize(
    "log",
    [
        json.dumps(snap("vp"), indent=1),
        "[\n" + json.dumps(snap("v")) + ",\n" + json.dumps(snap("vp")) + "\n]\n",
        "Batch(id='batch_1',\n object='batch', status='completed', created_at=17)\n",
        '{"a":\n1}\n',
    ],
)
def test_a_log_of_another_layout_is_read_row_by_row(log, tmp_path, always):
    """What goes on over a line end is no JSON line; the report is the scalar core's."""
    row_by_row, report = both(written(tmp_path, log))

    assert [] == always
    assert everything(row_by_row) == everything(report)


def test_a_log_of_which_little_is_plain_is_read_row_by_row(tmp_path, always, monkeypatch):
    """Where nearly every line is the scalar core's, columns would only cost."""
    monkeypatch.setattr(judging, "_PATIENCE_ROWS", 3)

    row_by_row, report = both(written(tmp_path, '{"id":1,"status":"x"}\n' * 9))

    assert ([], 9) == (always, report.counts["S001"])
    assert everything(row_by_row) == everything(report)


def test_a_line_too_long_to_hold(tmp_path, always, monkeypatch):
    """Memory stays bounded: a line without an end is not waited for."""
    monkeypatch.setattr(cutting, "LINE_BYTES_MAX", 1000)
    monkeypatch.setattr(cutting, "_MORE_BYTES", 100)
    monkeypatch.setattr(lines, "_CHUNK_BYTES", 500)

    row_by_row, report = both(
        written(tmp_path, json.dumps(snap("v")) + "\n" + "x" * 5000 + "\n" + json.dumps(snap("vp")))
    )

    assert ([], 1, 2) == (always, report.unreadable_count, report.snapshots)
    assert everything(row_by_row) == everything(report)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_may_be_cut_anywhere(chunk, tmp_path, always, monkeypatch):
    """A line that lies across chunks is one line, at the end of the file too."""
    monkeypatch.setattr(lines, "_CHUNK_BYTES", chunk)
    log = "\n\n".join(json.dumps(snap(path)) for path in ["v", "vp", "vpv", "vpz", "vpzc", "vpzcp"])

    row_by_row, in_columns = both(written(tmp_path, log))

    assert {"H507": 1, "H502": 1} == {code: in_columns.counts[code] for code in ("H507", "H502")}
    assert everything(row_by_row) == everything(in_columns)
    assert 1 == len(always)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_lines_at_hand(dialect, monkeypatch):
    """What a worker judges of its lines in columns is what the scalar core says of them, a line end inside one or not."""
    monkeypatch.setattr(bucket, "_CHUNK_ROWS", 7)
    named, blank = find(dialect), Tally(select=None, ignore=(), listed_max=5)
    for seed in range(20):
        rnd = random.Random(f"{dialect} {seed}")  # noqa: S311
        texts = [each.encode() for each in any_log(rnd, dialect, is_sorted=seed % 2 == 0).split("\n") if each.strip()]
        texts += rnd.choice([[], [GOOD.replace(",", ",\n").encode(), texts[0]]]) if texts else []
        log = [Sighting(Place(f"file {number % 3}", number), text) for number, text in enumerate(texts, 1)]
        expected, _ = one_by_one(iter(log), named, blank, 60.0)
        scanned = columnar.Desks(named).texts(texts)
        at_hand = columnar.Bucket(*scanned[:3], line=log.__getitem__, dialect=named)
        found = columnar.Columnar(named, blank, 60.0, 10**9).run([at_hand])

        assert log == list(at_hand)
        assert everything(expected.report()) == everything(found.report()), seed


def test_gzip(tmp_path, always):
    """A packed log is unpacked to disk first; one that breaks off is the scalar core's."""
    log = "\n".join(json.dumps(snap(path)) for path in ["v", "vp", "vpzc", "vpzcp"]).encode()
    whole, broken = tmp_path / "log.jsonl.gz", tmp_path / "broken.jsonl.gz"
    whole.write_bytes(gzip.compress(log))
    broken.write_bytes(gzip.compress(log)[:-20])

    assert everything(both(str(whole))[0]) == everything(both(str(whole))[1])
    assert 2 == len(always)
    assert everything(both(str(broken))[0]) == everything(both(str(broken))[1])
    assert 2 == len(always)


def test_no_room_to_unpack(tmp_path, monkeypatch):
    """A full disk is one clear error, whether at the first byte or later."""
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(b"{}\n"))

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *args):
            return None

        def write(self, _):
            raise OSError(28, "No space left on device")

    def none():
        raise OSError(28, "No space left on device")

    for file in (Full, none):
        monkeypatch.setattr("batchfsm.auditing.columnar.lines.TemporaryFile", file)
        with pytest.raises(SourceError, match=r"log\.jsonl\.gz: No space left on device$"):
            columnar.Lines(str(path), DIALECTS["openai"])


def test_without_the_extra(tmp_path, monkeypatch):
    """The scalar core does it, and the report says what to install; any other failed import is raised."""
    monkeypatch.setattr(running, "COLUMNS_BYTES_MIN", 0)
    path = written(tmp_path, json.dumps(snap("vpzc")))
    for name in [name for name in sys.modules if name.startswith("batchfsm.auditing.columnar")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numba", None)

    report = audit(path)

    assert ("consistent", 1) == (report.verdict, len(report.remarks))
    assert "pip install 'batchfsm[audit]'" in report.remarks[0]

    monkeypatch.setitem(sys.modules, "batchfsm.auditing.columnar.bucket", None)
    with pytest.raises(ImportError, match=r"columnar\.bucket"):
        audit(path)


@pytest.mark.parametrize(
    "size, expected", [(5, 5), ("77", 77), ("1.5GB", 1_500_000_000), (" 500 mb", 500_000_000), ("2k", 2000)]
)
def test_sizes(size, expected):
    """Bytes, or text with a decimal unit."""
    assert expected == parse_size(size)


@pytest.mark.parametrize("size", ["", "0", "-1", "GB", "1XB", -7, "1e9", "0.1"])
def test_what_is_no_size(size):
    """It is refused by value."""
    with pytest.raises(ValueError, match="not " + repr(size).replace("(", r"\(")):
        audit([], memory=size)


# ---------------------------------------------------------------- when something breaks


def test_a_log_that_shrinks_while_it_is_read(tmp_path):
    """It is one error, and no report of what was left."""
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(snap("v")) + "\n", encoding="utf-8")
    source = lines.Lines(str(path), DIALECTS["openai"])
    path.write_text("", encoding="utf-8")

    with pytest.raises(SourceError, match=r"log\.jsonl: shrank while it was read"):
        list(source.chunks())

    source.close()


def test_a_log_that_changes_while_it_is_read(tmp_path):
    """A line that is asked for once more has to be there."""
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(snap("v")) + "\n" + "x\n", encoding="utf-8")
    source = lines.Lines(str(path), DIALECTS["openai"])
    list(source.chunks())
    path.write_text("", encoding="utf-8")

    with pytest.raises(SourceError, match=r"log\.jsonl: changed while it was read"):
        list(source.rows(np.array([1])))

    source.close()


def test_a_log_that_cannot_be_read(tmp_path):
    """The system's own words, behind the name."""
    source = lines.Lines(written(tmp_path, "x\n"), DIALECTS["openai"])
    source.close()
    source._binary = _Failing()

    with pytest.raises(SourceError, match=r"log\.jsonl: it burned"):
        list(source.chunks())
    with pytest.raises(SourceError, match=r"gone\.jsonl: No such file"):
        lines.Lines(str(tmp_path / "gone.jsonl"), DIALECTS["openai"])


class _Failing:
    """A file whose disk is broken."""

    def seek(self, offset):
        """Fail."""
        raise OSError(5, "it burned")


def test_no_room_to_deal(monkeypatch):
    """A full disk stops the run with one clear error, whether at the first byte or later."""

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *args):
            return None

        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(deal, "TemporaryFile", Full)
    with deal.Deal(1, 1) as dealt, pytest.raises(SourceError, match=r"no room to sort the log: .*No space left"):
        dealt.add(np.zeros((1, len(columnar.columns.COLUMNS)), np.int64), np.zeros(1), np.zeros(1, np.int64))

    def none():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(deal, "TemporaryFile", none)
    with pytest.raises(SourceError, match=r"no room to sort the log: .*No space left"), deal.Deal(1, 1):
        pass


def test_readings_that_disagree_are_an_error(tmp_path, always, monkeypatch):
    """A finding that only one of them has is never reported as if nothing were."""
    monkeypatch.setattr(judging.Columnar, "_check", judging.Columnar._check)
    real = part.Batches.judge

    def judge(self, *args):
        masks = real(self, *args)
        masks |= judging.BIT["T201"]
        return masks

    monkeypatch.setattr(part.Batches, "judge", judge)

    with pytest.raises(columnar.DisagreementError, match=r"the two readings of T201 disagree at .*log\.jsonl:1"):
        audit(written(tmp_path, json.dumps(snap("v"))))


def test_unknown_codes_are_refused_first(tmp_path, always):
    """As by the scalar core."""
    with pytest.raises(UnknownNameError, match="no rule is called 'Z9'"):
        audit(written(tmp_path, "x"), select="Z9")


# ---------------------------------------------------------------- tokens


def buffer(text):
    """Return text as the compiled code takes it: a line, and room to look ahead."""
    letters = text if isinstance(text, bytes) else text.encode()
    return np.frombuffer(letters + b"\n" * (1 + scanner.PAD), np.uint8).copy()  # Read-only, it would be compiled anew.


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(values, st.sampled_from([None, 1]), st.booleans())
def test_what_the_scanner_passes_is_json(value, indent, is_ascii):
    """A whole value is passed as a whole, or refused: what it does not vouch for, and what JSON does not have."""
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent).replace("\n", " ")
    letters = text.encode("utf-8", "surrogatepass")

    end = tokens.value_end(buffer(letters), 0, True, tokens.scratch(), 0)

    is_simple = (
        letters.isascii()
        and b"\\" not in letters
        and len(text) < 100
        and not {"NaN", "Infinity"} & {*re.findall(r"\w+", text)}
    )
    assert end == len(letters) or (end == tokens.NO and not is_simple)


@given(st.text(alphabet='{}[]",:\\ 0123456789.eE+-truefalsn\u00e9', max_size=24))
@example("1e5")
@example("1E-5")
@example("1.5e+5")
@example("[true,false,null]")
@example('{"a":1,}')
@example("[1,]")
@example('{"a":1 "b":2}')
@example("01")
@example("1.")
@example("1e")
@example("-")
@example('"\\u12"')
@example('"\\x"')
@example("tru")
@example("fals")
@example("[")
@example('{"a"}')
def test_the_scanner_passes_nothing_that_is_not_json(text):
    """Whatever it takes for a value, Python reads, too."""
    end = tokens.value_end(buffer(text), 0, True, tokens.scratch(), 0)

    if end != tokens.NO:
        json.loads(text.encode()[:end])


@pytest.mark.parametrize("byte", range(256))
def test_no_byte_hides_among_eight(byte):
    """Texts are passed in steps of eight bytes: whatever stands at whichever place of them is seen."""
    found = set()
    for place in range(17):
        text = bytearray(b"a" * 17 + b'"')
        text[place] = byte
        end = tokens.atom_end(buffer(b'"' + text), 0, True)
        found.add("end" if end == len(text) + 1 else "place" if end == place + 2 else end)

    assert found == {"place" if byte == ord('"') else tokens.NO if byte < 32 or byte == ord("\\") else "end"}


@pytest.mark.parametrize("size", range(20))
def test_pieces_that_differ_in_one_byte(size):
    """They are compared in steps of eight bytes, too, wherever they begin."""
    piece = "abcdefghijklmnopqrst"[:size]
    others = [piece[:place] + "X" + piece[place + 1 :] for place in range(size)]

    assert equal(buffer(piece), 0, size, buffer("..." + piece + "!"), 3)
    assert not [other for other in others if equal(buffer(piece), 0, size, buffer("..." + other), 3)]


def test_a_value_that_nests_deep_or_has_many_keys_is_refused():
    """There are bounds, and what is beyond them is the scalar core's."""
    deep, wide = "[" * 16 + "]" * 16, "{" + ",".join(f'"{number}":1' for number in range(64)) + "}"

    assert len(deep) == tokens.value_end(buffer(deep), 0, True, tokens.scratch(), 0)
    assert tokens.NO == tokens.value_end(buffer(f"[{deep}]"), 0, True, tokens.scratch(), 0)
    assert len(wide) == tokens.value_end(buffer(wide), 0, True, tokens.scratch(), 0)
    assert tokens.NO == tokens.value_end(buffer(f"[{wide[:-1]}" + ',"x":1}]'), 0, True, tokens.scratch(), 0)


moments = st.datetimes(datetime(1969, 12, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(moments, st.integers(-1439, 1439), st.sampled_from("Tt "), st.booleans())
@example(datetime(2024, 2, 29, 23, 59, 59, 999_999, UTC), 90, "T", False)
@example(datetime(2100, 12, 31, tzinfo=UTC), -90, "t", False)
@example(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 0, " ", True)
def test_clocks_agree_on_text(moment, offset_min, sign, is_utc):
    """RFC 3339 text is read as the scalar core reads it, to the bit."""
    offset = (
        "Z"
        if is_utc
        else (moment + timedelta(0)).strftime("%z")
        and f"{'-' if offset_min < 0 else '+'}{abs(offset_min) // 60:02}:{abs(offset_min) % 60:02}"
    )
    text = moment.replace(tzinfo=None).isoformat(sep=sign) + offset
    expected = time_of(text)

    end, seconds = clock(buffer(json.dumps(text)), 0)

    assert (
        (len(text) + 2, expected) == (end, seconds)
        if 0 < expected <= TIME_MAX and moment.year > 1969
        else end == tokens.NO
    )


@given(st.floats(0.001, 2e11) | st.integers(-5, 2 * TIME_MAX))
def test_clocks_agree_on_numbers(number):
    """A number is read to the bit, or refused."""
    text = repr(number)

    end, seconds = clock(buffer(text), 0)

    assert end == tokens.NO or (len(text), float(number)) == (end, seconds)
    assert end != tokens.NO or not (isinstance(number, int) and 0 < number <= TIME_MAX)


@pytest.mark.parametrize(
    "text",
    ['"2024-13-01T00:00:00Z"', '"2023-02-29T00:00:00Z"', '"2024-01-01T24:00:00Z"', '"2024-01-01T00:00:00"', '"2024-01-01"', '"2024-01-01T00:00:00.1234567Z"',
     '"2024-01-01T00:00:00.Z"', '"2024/01/01T00:00:00Z"', '"2024-01-01X00:00:00Z"', '"2024-01-01T00:00:00+25:00"', '"2024-01-01T00:00:00Z', "01", "1.", "1.5.1", "1e9", "x", "true", '""', "1" * 16, "0"],
)  # fmt: skip
def test_what_is_no_clock_is_refused(text):
    """Or left to the scalar core, which reads some of it."""
    assert tokens.NO == clock(buffer(text), 0)[0]


def test_null_is_no_time():
    """It says nothing."""
    end, seconds = clock(buffer("null"), 0)

    assert (4, True) == (end, bool(np.isnan(seconds)))


@given(st.lists(st.binary(max_size=40), min_size=2, unique=True))
def test_digests_tell_texts_apart(texts):
    """Equal bytes have equal digests wherever they stand, others have others, and none is negative."""
    low, high = zip(*(digest(buffer(b"xyz" + text), 3, 3 + len(text)) for text in texts), strict=True)
    again = [digest(buffer(text), 0, len(text)) for text in texts]

    assert (len(texts), len(texts)) == (len(set(low)), len(set(high)))
    assert [*zip(low, high, strict=True)] == again
    assert min(*low, *high) >= 0


@given(st.lists(st.text("abc", min_size=1, max_size=4), unique=True, min_size=1), st.text("abc", max_size=4))
def test_words_are_known_by_their_bytes(known, asked):
    """A word has its code, any other none."""
    table = words({word: code for code, word in enumerate(known)})

    assert (known.index(asked) if asked in known else -1) == code_of(buffer(asked), 0, len(asked), table)
