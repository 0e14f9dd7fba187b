"""Assert functions, webhooks and recordings of the testing package."""

import base64
import hashlib
import hmac
import json
import re
from types import SimpleNamespace

import pytest

from batchfsm import Monitor, audit
from batchfsm.errors import UnknownNameError
from batchfsm.testing import (
    FakeBatchAPI,
    ScenarioError,
    VirtualClock,
    assert_consistent,
    assert_fired_once,
    assert_lifecycle,
    recordings,
    webhook,
)
from support.notation import CREATED, seen, snap
from support.paths import SHARED


def failure(check, *args, **options):
    """Return the message of an assert function that fails."""
    with pytest.raises(AssertionError) as caught:
        check(*args, **options)
    return str(caught.value)


# ---------------------------------------------------------------- histories


def test_a_consistent_history_passes():
    """The history may have gaps, may be an iterator, and may have any dialect."""
    assert_consistent(seen("vpzc"))
    assert_consistent(iter([snap("vpzc"), snap("vp")]))
    assert_consistent([snap("vpc")], dialect="ogx")


def test_an_inconsistent_history_shows_findings_and_timeline():
    """The message shows what a reader of the test log needs."""
    said = failure(assert_consistent, [*seen("vpzc"), snap("vpzcp")])

    assert said.startswith(
        "inconsistent; snapshots: 5, batches: 1\nerror H502 batch_1 went from completed to in_progress;"
    )
    assert "\nbatch_1  in_progress" in said
    assert "\n  finalizing   2025-10-09 08:55:20" in said


def test_nothing_that_can_be_judged_is_not_consistent():
    """A history without readable batches fails as undetermined."""
    said = failure(assert_consistent, [{"error": "\x1b[2J"}, "{"])

    assert said.startswith("undetermined; snapshots: 0, batches: 0\n")
    assert "iterable:2: not JSON" in said
    assert "\x1b" not in said
    failure(assert_consistent, [])


@pytest.mark.parametrize(
    "path, way",
    [
        ("vpzc", "validating > in_progress > finalizing > completed"),
        ("vpzc", "validating > in_progress > completed"),
        ("vpzc", "validating>completed"),
        ("vgx", "validating > cancelling > cancelled"),
        ("v", "validating"),
    ],
)
def test_a_batch_went_its_way(path, way):
    """The polls may have missed statuses."""
    assert_lifecycle(seen(path), way)
    assert_lifecycle([snap(path)], way)


@pytest.mark.parametrize(
    "path, way",
    [
        ("vpzc", "validating > cancelling > completed"),
        ("vpzc", "validating > in_progress > finalizing"),
        ("vpzc", "in_progress > finalizing > completed"),
        ("vpzc", "validating > finalizing > in_progress > completed"),
        ("vp", "validating > completed"),
    ],
)
def test_a_batch_that_went_another_way_shows_which(path, way):
    """The message has both paths and the timeline."""
    said = failure(assert_lifecycle, seen(path), way)
    went = " > ".join(wire["status"] for wire in seen(path))

    assert said.startswith(f"the batch did not go {way}\nit went {went}\n\nbatch_1  ")


def test_a_way_is_of_one_batch():
    """Snapshots of two batches, or of none, are refused."""
    assert "one batch has a lifecycle; here are 2" == failure(
        assert_lifecycle, [snap("v"), snap("v", id="b")], "validating"
    )
    assert "one batch has a lifecycle; here are 0" == failure(assert_lifecycle, [], "validating")
    assert "it went nowhere" in failure(assert_lifecycle, [snap("v", status="paused")], "validating")


def test_a_way_is_of_a_lifecycle():
    """An unknown status is an error of the test, not of the batch."""
    with pytest.raises(UnknownNameError, match="no status is called 'done'; known: validating"):
        assert_lifecycle(seen("vpzc"), "validating > done")
    assert_lifecycle([snap("vpc")], "validating > in_progress > completed", dialect="ogx")


# ---------------------------------------------------------------- hooks


def fired(*paths, batches=1):
    """Return the transitions of some batches along some paths."""
    transitions = []
    for number in range(batches):
        for path in paths:
            transitions += Monitor().observe(snap(path, id=f"batch_{number}")).transitions
    return transitions


def test_hooks_that_fired_once_pass():
    """The assertion holds for one batch and for several."""
    assert_fired_once(fired("vpzc"), "completed", "in_progress")
    assert_fired_once(fired("vpzc", batches=3), "completed")
    assert_fired_once(fired("vpzc"))
    assert_fired_once([])


def test_hooks_that_fired_twice_fail():
    """The message has the batch and all its transitions."""
    twice = fired("vgx", "vgx")

    assert (
        "batch_0: cancelled fired 2 times; all that fired: "
        "validating > cancelling > cancelled > validating > cancelling > cancelled"
    ) == failure(assert_fired_once, twice, "cancelled")
    assert f"batch_0: batch_0/validating/{CREATED} fired 2 times, " in failure(assert_fired_once, twice)


def test_hooks_that_did_not_fire_fail():
    """The assertion fails if one batch, or every batch, has no transition."""
    assert "batch_0: completed fired 0 times; all that fired: validating > in_progress" == failure(
        assert_fired_once, fired("vp"), "completed"
    )
    assert "nothing fired; expected once: completed, failed" == failure(assert_fired_once, [], "completed", "failed")


# ---------------------------------------------------------------- webhooks


def signed(hook, key):
    """Return the signature of a webhook, computed independently of the package."""
    content = f"{hook.headers['webhook-id']}.{hook.headers['webhook-timestamp']}.".encode() + hook.body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def test_a_webhook_tells_which_batch_ended_how():
    """The signature is that of Standard Webhooks with the decoded secret."""
    hook = webhook("batch_1", "expired", CREATED, secret="whsec_" + base64.b64encode(b"key").decode())
    event = json.loads(hook.body)

    assert ("event", CREATED, "batch.expired", {"id": "batch_1"}) == tuple(
        event[name] for name in ("object", "created_at", "type", "data")
    )
    assert str(CREATED) == hook.headers["webhook-timestamp"]
    assert signed(hook, b"key") == hook.headers["webhook-signature"]


def test_a_secret_without_the_prefix_is_taken_as_it_is():
    """Both SDKs of OpenAI accept it."""
    hook = webhook("batch_1", "completed", CREATED, secret="plain", signed_at=CREATED + 9)

    assert signed(hook, b"plain") == hook.headers["webhook-signature"]
    assert (CREATED, str(CREATED + 9)) == (json.loads(hook.body)["created_at"], hook.headers["webhook-timestamp"])


def test_an_api_sends_a_webhook_for_each_batch_that_has_ended():
    """The webhooks have the order of the ends; open and stuck batches have none; a repeated webhook keeps its id."""
    api = FakeBatchAPI(clock=VirtualClock(CREATED))
    late, early = api.start("expire"), api.start("cancel at 1h")
    api.start("validating > in_progress")
    first = api.webhooks()
    api.clock.advance("2d")
    hooks, again = api.webhooks(), api.webhooks(signed_at=CREATED)

    assert [] == first
    assert [(early, "batch.cancelled"), (late, "batch.expired")] == [
        (event["data"]["id"], event["type"]) for event in (json.loads(hook.body) for hook in hooks)
    ]
    assert [hook.headers["webhook-id"] for hook in hooks] == [hook.headers["webhook-id"] for hook in again]
    assert {str(CREATED + 172_800)} == {hook.headers["webhook-timestamp"] for hook in hooks}
    assert {str(CREATED)} == {hook.headers["webhook-timestamp"] for hook in again}


# ---------------------------------------------------------------- recordings


def recorded(path, **changes):
    """Return a log of a path, in which each status is observed half a second after it was entered."""
    return [
        {"observed_at": CREATED + 60 * place + 0.5, "batch": wire} for place, wire in enumerate(seen(path, **changes))
    ]


def test_a_recording_is_served_as_it_was():
    """Each view has its recorded time, whatever the order of the log."""
    recording = recordings(recorded("vpzc")[::-1])["batch_1"]
    api = FakeBatchAPI(clock=VirtualClock(recording.begins_at))
    api.add(recording)
    found = []
    for _ in range(5):
        found.append(api.batch("batch_1"))
        api.clock.advance("1m")

    assert (CREATED, CREATED + 180.5) == (recording.begins_at, recording.ends_at)
    assert [snap("v"), snap("v"), snap("vp"), snap("vpz"), snap("vpzc")] == found


def test_a_recording_is_a_scenario():
    """The times are moved to the creation of the new batch, and its own metadata replace those of the recording."""
    api = FakeBatchAPI(recordings(recorded("vpzc"))["batch_1"], clock=VirtualClock(CREATED + 1000))
    first, second = api.start(metadata={"a": "b"}), api.start()
    api.clock.advance("1h")
    batch = api.batch(first)

    assert 3 == len({first, second, "batch_1"})
    assert ("completed", CREATED + 1000, CREATED + 1060) == tuple(
        batch[name] for name in ("status", "created_at", "in_progress_at")
    )
    assert ({"a": "b"}, None, "file-in") == (batch["metadata"], batch["failed_at"], batch["input_file_id"])
    assert "consistent" == audit([batch]).verdict


def test_what_is_recorded_has_happened():
    """A cancel succeeds and changes nothing; there are no result files, and all outcomes are successes."""
    recording = recordings(recorded("vpzc"))["batch_1"]
    api = FakeBatchAPI(clock=VirtualClock(CREATED + 200))
    api.add(recording)

    assert recording is recording.cancelled(CREATED)
    assert [True] * 3 == recording.outcomes(3)
    assert [] == api._store.files(CREATED + 500)


def test_a_caller_may_change_what_it_gets():
    recording = recordings(recorded("v"))["batch_1"]
    recording.at(CREATED)["metadata"]["team"] = "other"

    assert snap("v") == recording.at(CREATED)


def test_a_log_is_read_as_an_audit_reads_it(tmp_path):
    """Lines without a batch are skipped."""
    log = tmp_path / "log.jsonl"
    lines = [json.dumps(line) for line in recorded("vp")]
    log.write_text("\n".join([*lines, '{"error": 5}', "{", "[1]", json.dumps(snap("v", id="untimed"))]))

    assert ["batch_1"] == list(recordings(log))
    assert ["batch_1"] == list(recordings(recorded("v") + lines))


@pytest.mark.parametrize("log", [[], [snap("v")], [{"observed_at": 5, "body": {"error": 1}}]])
def test_a_log_without_times_is_no_recording(log):
    """The views have no times at which they could be served."""
    with pytest.raises(ScenarioError, match="a recording needs batches, each in an envelope with observed_at"):
        recordings(log)


@pytest.mark.parametrize("server, dialect", [("aibrix_dryrun", "aibrix"), ("ogx", "ogx"), ("llmock", "compatible")])
def test_a_real_server_is_a_scenario(server, dialect):
    """A new batch repeats the recording, and an audit in the server's dialect has no error."""
    path = SHARED / "recordings" / f"server_{server}.jsonl"
    if not path.is_file():
        pytest.skip(f"no recordings: {re.sub('.*/', '', str(path))}")
    for recording in recordings(path).values():
        api = FakeBatchAPI(recording)
        batch_id = api.start()
        found = []
        for _ in range(400):
            found.append(api.batch(batch_id))
            api.clock.advance(0.05)
        errors = [finding for finding in audit(found, dialect=dialect).findings if finding.severity == "error"]
        assert [] == errors


@pytest.mark.parametrize(
    "one", [{"id": "batch_1"}, "batch_1", b"{}", SimpleNamespace(id="batch_1")], ids=["dict", "text", "bytes", "object"]
)
@pytest.mark.parametrize(
    "check", [assert_consistent, lambda one: assert_lifecycle(one, "validating")], ids=["consistent", "lifecycle"]
)
def test_one_object_is_no_history(check, one):
    """Its keys would be taken for paths of logs."""
    with pytest.raises(
        TypeError, match=rf"^a history is a list of batch objects, not one {type(one).__name__}: pass \[batch\]$"
    ):
        check(one)
