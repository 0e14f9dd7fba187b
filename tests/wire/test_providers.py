"""Dialects of other providers: their field maps, the values they refuse, and the objects that they publish."""

import copy
import json
from datetime import UTC, datetime
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchfsm import DIALECTS, Dialect, Lifecycle, Monitor, SnapshotError, State, Step, audit, parse
from batchfsm.auditing import api
from batchfsm.conform import conform
from batchfsm.dialects import Wire
from batchfsm.errors import DefinitionError
from batchfsm.sql import query
from batchfsm.sql.schema import Table
from batchfsm.testing import Scenario
from batchfsm.wire import translation
from support.dialects import DIALECTS as OPENAI_SHAPED
from support.other_providers import ANTHROPIC, BEDROCK, ENDED, FIREWORKS, GEMINI, MISTRAL, OBJECTS, TOGETHER
from support.paths import SHARED

PROVIDERS = {name: dialect for name, dialect in DIALECTS.items() if name not in OPENAI_SHAPED}
SAMPLES = SHARED / "data/other_providers"

needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the published objects are not here")


def second(text):
    return int(datetime.fromisoformat(text).timestamp())


def samples(provider, *kinds):
    """Return the published objects of a provider, each with its number."""
    lines = (SAMPLES / f"{provider}.jsonl").read_text().splitlines()
    return [(number, row["body"]) for number, row in enumerate(map(json.loads, lines), 1) if row["kind"] in kinds]


# ---------------------------------------------------------------- reading


def test_every_provider_has_an_object_here():
    assert {*PROVIDERS} == {*OBJECTS}


def test_an_object_of_anthropic():
    """The total is the sum of five counts, one stamp dates every end, and the provider's status is kept."""
    snapshot = parse(ENDED, dialect="anthropic")

    assert ("msgbatch_1", "ended", second("2026-01-01T00:02:00Z")) == (snapshot.id, snapshot.status, snapshot.ended_at)
    assert second("2026-01-01T00:01:00Z") == snapshot.cancelling_at
    assert (4, 2, 1) == tuple(getattr(snapshot.request_counts, name) for name in ("total", "completed", "failed"))
    assert {"type": "message_batch"} == snapshot.extra
    assert "canceling" == parse(ANTHROPIC | {"processing_status": "canceling"}, dialect="anthropic").extra["status"]


def test_an_object_of_gemini():
    """Counts are text, zeros are left out, and the snapshot keeps none of the model's answers."""
    snapshot = parse(GEMINI, dialect="gemini")

    assert ("batches/1", "completed") == (snapshot.id, snapshot.status)
    assert (3, 3, 0) == tuple(getattr(snapshot.request_counts, name) for name in ("total", "completed", "failed"))
    assert "2026-01-01T00:02:00.548158754Z" == snapshot.extra["metadata.updateTime"]
    assert snapshot.metadata is None
    assert "SECRET" not in repr(snapshot) + json.dumps(snapshot.to_dict())


def test_the_object_of_google_genai():
    """The SDK flattens the object; its status is a member of a string enum, and its times are datetimes."""

    class JobState(str, Enum):  # noqa: UP042  # google-genai declares it like this.
        RUNNING = "JOB_STATE_RUNNING"

    job = {
        "name": "batches/1", "state": JobState.RUNNING, "model": "models/g", "src": {"inlined_requests": ["SECRET"]},
        "create_time": datetime(2026, 1, 1, tzinfo=UTC), "end_time": None, "dest": {"file_name": None},
    }  # fmt: skip
    snapshot = parse(job, dialect="gemini")

    assert ("in_progress", second("2026-01-01T00:00:00Z")) == (snapshot.status, snapshot.created_at)
    assert "SECRET" not in repr(snapshot)
    assert type(snapshot.extra["status"]) is str


def test_a_naive_datetime_is_invalid():
    """A datetime without a zone does not identify an instant."""
    with pytest.raises(SnapshotError, match=r"created_at"):
        parse(BEDROCK | {"submitTime": datetime(2026, 1, 1)}, dialect="bedrock")  # noqa: DTZ001  # Naive on purpose.


def test_the_end_of_an_expired_job_of_bedrock_is_unknown():
    """The endTime of an expired job is four minutes after the submission; for other final statuses it is the end."""
    assert parse(BEDROCK, dialect="bedrock").ended_at is None
    assert second("2026-01-01T00:03:46Z") == parse(BEDROCK | {"status": "Completed"}, dialect="bedrock").ended_at


def test_an_object_of_mistral_is_not_openais():
    """Mistral's objects also have `object: batch`; the key `total_requests` distinguishes them."""
    snapshot = parse(MISTRAL, dialect="mistral")

    assert (100, 7, 1) == tuple(getattr(snapshot.request_counts, name) for name in ("total", "completed", "failed"))
    assert ["bad"] == [entry.message for entry in snapshot.errors]
    assert {"job": "x"} == snapshot.metadata
    assert "SECRET" not in repr(snapshot)


def test_three_of_one_request_of_fireworks_is_no_finding():
    """The total is the number that the uploader declared, so a smaller sum breaches no rule."""
    observation = Monitor("fireworks").observe(FIREWORKS)

    assert () == observation.findings
    assert ["validating", "in_progress", "completed"] == [each.target for each in observation.transitions]


def test_errors_in_three_shapes():
    """A text or an object with a numeric code becomes one entry; an empty text becomes none."""
    failed = GEMINI | {"error": {"code": 13, "message": "broken"}}

    assert [("broken", "13")] == [(each.message, each.code) for each in parse(failed, dialect="gemini").errors]
    assert ["broken"] == [each.message for each in parse(TOGETHER, dialect="together").errors]
    assert parse(FIREWORKS, dialect="fireworks").errors is None
    assert [None] == [each.message for each in parse(GEMINI | {"error": {"odd": 1}}, dialect="gemini").errors]
    assert "$.errors" in parse_or_bad(GEMINI | {"error": 7}, "gemini")


def parse_or_bad(found, dialect):
    """Return the paths of the refused fields, separated by spaces."""
    with pytest.raises(SnapshotError) as caught:
        parse(found, dialect=dialect)
    return " ".join(path for path, _ in caught.value.problems)


def test_two_spellings_that_disagree_are_refused():
    """Both values are refused, because the parser cannot decide between them."""
    assert "$.id" in parse_or_bad(GEMINI | {"name": "batches/2"}, "gemini")


@pytest.mark.parametrize("count", ["x", "1.5", "-1", 2.5, True, "9" * 30])
def test_a_count_that_is_none_is_refused(count):
    found = copy.deepcopy(GEMINI)
    found["metadata"]["batchStats"]["requestCount"] = count

    assert "request_counts" in parse_or_bad(found, "gemini")


def test_a_count_that_is_missing_is_unknown():
    """An absent count is zero only under a dialect that leaves out zeros."""
    found = copy.deepcopy(ENDED)
    del found["request_counts"]["expired"]

    assert "$.request_counts.total" in parse_or_bad(found, "anthropic")


def test_a_value_in_the_place_of_an_object_is_kept():
    """Where the map expects an object and finds another value, the value is kept as an unknown key."""
    found = parse(GEMINI | {"dest": "odd"}, dialect="gemini")

    assert "odd" == found.extra["dest"]


def test_an_inner_value_in_the_place_of_an_object_is_kept():
    """Its path is the key; the counts that would be in it are unknown."""
    found = copy.deepcopy(GEMINI)
    found["metadata"]["batchStats"] = "odd"
    snapshot = parse(found, dialect="gemini")

    assert ("odd", None) == (snapshot.extra["metadata.batchStats"], snapshot.request_counts)


def test_a_null_in_the_place_of_an_inner_object_is_left_out():
    """Null says nothing, so it is no unknown key."""
    found = copy.deepcopy(GEMINI)
    found["metadata"]["batchStats"] = None
    snapshot = parse(found, dialect="gemini")

    assert ("metadata.batchStats" in snapshot.extra, snapshot.request_counts) == (False, None)


def test_a_full_table_of_shapes_reads_all_the_same(monkeypatch):
    """An object that the table does not hold is taken apart anew."""
    monkeypatch.setattr(translation, "_PLANS_MAX", 0)
    odd = ENDED | {"a_new_key": 1}

    assert parse(ENDED, dialect="anthropic") == parse(ENDED, dialect="anthropic")
    assert 1 == parse(odd, dialect="anthropic").extra["a_new_key"]


@pytest.mark.parametrize("name", PROVIDERS)
def test_what_is_written_back_is_read_as_the_same(name):
    """The mapping uses OpenAI's names, in each style of keys."""
    snapshot = parse(OBJECTS[name], dialect=name)

    for case in ("snake", "camel", "pascal"):
        assert snapshot == parse(snapshot.to_dict(style=case), dialect=name)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("wrap", [
    lambda found, _: found,
    lambda found, _: {"body": found, "observed_at": 1796010391},
    lambda found, _: [found],
    lambda found, pages: {pages[0]: [found]} if pages else found,
], ids=["bare", "envelope", "array", "page"])  # fmt: skip
def test_every_wrapping_is_opened(name, wrap):
    """The parser finds the batch inside each kind of wrapping."""
    assert OBJECTS[name] == json.loads(json.dumps(OBJECTS[name]))
    assert parse(OBJECTS[name], dialect=name) == parse(json.dumps(OBJECTS[name]), dialect=name)
    wrapped = wrap(OBJECTS[name], PROVIDERS[name].wire.pages)
    report = audit([wrapped], dialect=name)

    assert (1, 0) == (report.snapshots, report.unreadable_count)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("found", [{"error": {"message": "no"}}, {"id": "x"}, {}, {"status": "completed", "id": "b"}])
def test_an_object_without_the_mark_is_unreadable(name, found):
    """The message is one sentence that names the expected keys."""
    with pytest.raises(SnapshotError, match=rf"has not the keys of a batch of {name} \("):
        parse(found, dialect=name)


XAI = {
    "batch_id": "batch_x",
    "name": "nightly",
    "create_time": "2026-01-01T00:00:00Z",
    "expire_time": "2026-01-02T00:00:00Z",
    "state": {"num_requests": 10, "num_pending": 2, "num_success": 8, "num_error": 0, "num_cancelled": 0},
}
"""An object of xAI, as its SDK documents it: the state is no status."""


@pytest.mark.parametrize("key", ["batch_id", "batchId"])
def test_an_object_of_xai_is_not_geminis(key):
    """It has all keys of Gemini's mark, and one that no object of Gemini has."""
    found = {key if name == "batch_id" else name: value for name, value in XAI.items()}

    with pytest.raises(SnapshotError, match="has not the keys of a batch of gemini"):
        parse(found, dialect="gemini")
    with pytest.raises(SnapshotError, match="has no mark of a known provider"):
        parse(found, dialect="auto")
    report = audit([found], dialect="auto")
    assert ("undetermined", 1, {}) == (report.verdict, report.unreadable_count, report.counts)


# ---------------------------------------------------------------- the published objects


@needs_samples
@pytest.mark.parametrize("name", ["anthropic", "gemini", "bedrock", "mistral", "fireworks"])
def test_no_real_object_has_an_error(name):
    """No published object has a finding of severity error, alone or in an audit of all objects."""
    bodies = [body for _, body in samples(name, "real") if "total_requests" not in body or "id" in body]
    report = audit(bodies, dialect=name)

    assert [] == [finding for finding in report.findings if finding.severity == "error"]
    assert len(bodies) == report.snapshots > 0


@needs_samples
def test_a_recorded_server_is_clean():
    """OGX's batches, polled until completed, failed or cancelled, cause no finding."""
    lines = (SAMPLES / "anthropic_ogx_recorded.jsonl").read_text().splitlines()
    report = audit([json.loads(line)["body"] for line in lines], dialect="anthropic")

    assert ("consistent", 12) == (report.verdict, report.snapshots)


@needs_samples
def test_results_before_the_end_are_found():
    """Two servers report the address of the results before the end; the audit finds it."""
    report = audit([body for _, body in samples("anthropic", "server")], dialect="anthropic")

    assert 0 < report.counts["F401"]


# ---------------------------------------------------------------- monitors


def test_the_hooks_of_a_provider():
    """One observation of a final status fires the hooks of all statuses that it proves."""
    monitor, fired = Monitor("anthropic"), []
    monitor.on()(lambda transition: fired.append((transition.target, transition.evidence, transition.event)))
    monitor.observe(ANTHROPIC)
    monitor.observe(ENDED)

    assert [
        ("in_progress", "observed", "create"),
        ("cancelling", "stamped", "cancel"),
        ("ended", "observed", "end"),
    ] == fired
    assert () == monitor.observe(ANTHROPIC).transitions


def test_one_hook_serves_several_providers():
    """One hook on `completed` is called for the batches of two providers with different status words."""
    for name in ("gemini", "fireworks"):
        monitor, fired = Monitor(name), []
        monitor.on("completed", name="collect")(fired.append)
        monitor.observe(OBJECTS[name])
        assert 1 == len(fired)


def test_an_end_stamp_of_an_open_batch_is_forbidden():
    """A stamp of the end on a batch whose status is not final breaches P102."""
    observation = Monitor("anthropic").observe(ANTHROPIC | {"ended_at": "2026-01-01T00:02:00Z"})

    assert ["P102"] == [finding.rule for finding in observation.findings]


def test_an_end_before_a_status_is_out_of_order():
    """Each pair of stamps is named once, even if several final statuses share a stamp."""
    observation = Monitor("fireworks").observe(
        FIREWORKS | {"lifecycle": {"runStartTime": "2026-01-01T00:06:00Z", "endTime": "2026-01-01T00:05:00Z"}}
    )

    (finding,) = [each for each in observation.findings if each.rule == "T201"]
    assert 1 == finding.message.count("in_progress_at after ended_at")


def test_an_inferred_step_is_a_warning():
    """No source documents that a queued job of Mistral can fail, so the step is tolerated with a warning."""
    monitor = Monitor("mistral")
    monitor.observe(MISTRAL | {"status": "QUEUED", "started_at": None})
    observation = monitor.observe(MISTRAL | {"status": "CANCELLATION_REQUESTED", "started_at": None})

    assert [("H501", "warning")] == [(each.rule, each.severity) for each in observation.findings if each.rule == "H501"]


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("use", [
    lambda name: query(Table.of("t", "duckdb"), server=name),
    lambda name: Scenario("in_progress > completed", dialect=name),
    lambda name: conform(None, now=None, sleep=None, server="s", dialect=name),
], ids=["sql", "scenario", "conform"])  # fmt: skip
def test_programs_that_need_openais_fields_refuse(name, use):
    """The error states that the provider's batches lack OpenAI's fields."""
    with pytest.raises(DefinitionError, match=rf"needs OpenAI's fields, which batches of {name} do not have"):
        use(name)


def test_a_large_log_of_a_provider_is_read_by_rows(tmp_path, monkeypatch):
    """The vectorized engine reads OpenAI's fields only."""
    monkeypatch.setattr(api, "COLUMNS_BYTES_MIN", 0)
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in (ANTHROPIC, ENDED)))

    assert ("consistent", 2) == (audit(path, dialect="anthropic").verdict, audit(path, dialect="anthropic").snapshots)


# ---------------------------------------------------------------- maps

TINY = Lifecycle(
    name="tiny",
    initial="open",
    states=(State("open", "created_at"), State("done", "ended_at", terminal=True)),
    steps=(Step("open", "end", "done"),),
)
FIELDS = {"id": "key", "status": "state", "created_at": "born"}


@pytest.mark.parametrize(
    "wire, problem",
    [
        ({"mark": ()}, "the map has no mark"),
        ({"mark": ("other",)}, "no path of the mark is read: a snapshot that is written back would bear the mark"),
        ({"fields": FIELDS | {"colour": "c"}}, "the map fills 'colour', which is no field of a snapshot"),
        ({"fields": {"id": "key", "status": "state"}}, "the map does not fill 'created_at'"),
        ({"counts": {"odd": "n"}}, "the map counts 'odd', which is none of total, completed, failed"),
        ({"silent": {"model": ("open",)}}, "'model' is silent, but the map does not fill it"),
        ({"silent": {"id": ("gone",)}}, "'id' is silent in 'gone', which is not a status"),
        ({"dropped": ("a..b",)}, "'a..b' is not a path: keys joined by dots"),
        ({"dropped": ("key",)}, "the path 'key' is read twice"),
        ({"foreign_keys": "born"}, "'born' is a foreign key, but the map reads born"),
        ({"dropped": ("key.inner",)}, "the paths 'key' and 'key.inner' lie inside each other"),
    ],
)
def test_a_map_is_checked_when_it_is_built(wire, problem):
    """The error of the dialect has one sentence for each fault."""
    with pytest.raises(DefinitionError) as caught:
        Dialect(name="mine", base=TINY, wire=Wire(**{"mark": ("key", "born"), "fields": FIELDS} | wire))

    assert problem in str(caught.value)


def test_ended_at_is_for_final_statuses():
    with pytest.raises(DefinitionError, match="'open' is stamped by ended_at, but is not final"):
        Lifecycle(
            name="tiny",
            initial="new",
            states=(State("new", "created_at"), State("open", "ended_at"), State("done", terminal=True)),
            steps=(Step("new", "start", "open"), Step("open", "end", "done")),
        )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", PROVIDERS)
@given(data=st.data())
def test_no_value_stops_an_audit(name, data):
    """With any value in any field, the object is read with findings, or is reported as unreadable."""
    found = copy.deepcopy(OBJECTS[name])
    holder = found
    key = data.draw(st.sampled_from(sorted(holder)))
    while isinstance(holder[key], dict) and holder[key] and data.draw(st.booleans()):
        holder = holder[key]
        key = data.draw(st.sampled_from(sorted(holder)))
    holder[key] = data.draw(JSON)
    report = audit([found], dialect=name)

    assert 1 == report.snapshots + report.unreadable_count
