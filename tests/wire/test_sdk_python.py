"""Batches of openai-python: the `Batch` class of 3.x, and objects with the methods of 1.x and 2.x."""

import openai
import pytest
from openai.pagination import SyncCursorPage
from openai.types import Batch

from batchfsm import Monitor, SnapshotError, audit, parse
from batchfsm.snapshot import RequestCounts
from support.notation import CREATED, seen, snap
from support.server import HTTPX

USAGE = {
    "input_tokens": 120,
    "input_tokens_details": {"cached_tokens": 16},
    "output_tokens": 40,
    "output_tokens_details": {"reasoning_tokens": 8},
    "total_tokens": 160,
}
validate = getattr(Batch, "model_validate", None) or Batch.parse_obj  # pydantic 1 has no `model_validate`.
BUILDERS = {"construct": lambda wire: Batch.construct(**wire), "model_validate": validate}


class PydanticOne:
    """An object of openai-python 1.x on pydantic 1: `model_dump` does not accept the arguments of pydantic 2."""

    def __init__(self, wire):
        self.wire = wire

    def model_dump(self, *, mode="python", by_alias=False, exclude_unset=False):
        """Return the batch object as a mapping."""
        return dict(self.wire)


class DictOnly:
    """An object whose only method is `to_dict`."""

    def __init__(self, wire):
        self.wire = wire

    def to_dict(self):
        """Return the batch object as a mapping."""
        return dict(self.wire)


class Both(PydanticOne, DictOnly):
    """An object with both methods."""


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("path", ["v", "vp", "vpz", "vpzc", "vf", "vpze", "vpg", "vpgx"])
def test_a_batch_reads_like_its_wire(build, path):
    """The SDK object and the JSON from which the SDK parsed it give the same snapshot."""
    wire = snap(path, usage=USAGE)

    assert parse(wire) == parse(BUILDERS[build](wire))


def test_a_batch_from_a_client_reads_like_its_wire():
    """A batch that a client returned reads like its JSON; the client's request id is not part of the batch."""
    wire = snap("vpzc", usage=USAGE)

    def answer(request):
        return HTTPX.Response(200, json=wire, headers={"x-request-id": "req_1"})

    with HTTPX.Client(transport=HTTPX.MockTransport(answer)) as transport:
        batch = openai.OpenAI(api_key="none", http_client=transport).batches.retrieve("batch_1")

    assert "req_1" == batch._request_id
    assert parse(wire) == parse(batch)


def test_an_unknown_status_is_read_without_a_warning():
    """`construct` accepts any status, and pydantic warns when it dumps the object; the user sees no warning."""
    batch = Batch.construct(**snap("vp", status="paused"))

    assert ("paused", None) == (parse(batch).status, parse(batch).known_status)
    assert ["S004"] == [finding.rule for finding in Monitor().observe(batch).findings]


def test_a_wrong_type_is_read_without_a_warning():
    """`construct` checks no types; the parser refuses the value, and the user sees no warning."""
    batch = Batch.construct(**snap("vp", created_at=str(CREATED), request_counts={"total": "8"}))
    findings = Monitor().observe(batch).findings

    assert ["S002", "S005"] == [finding.rule for finding in findings]


def test_unknown_fields_are_kept():
    """A field that the SDK does not define is in `extra`."""
    batch = Batch.construct(**snap("v", output_expires_after={"seconds": 3600}))

    assert {"output_expires_after": {"seconds": 3600}} == parse(batch).extra


def test_absent_fields_read_null():
    """A minimal object has only the seven required fields."""
    names = ("id", "object", "endpoint", "input_file_id", "completion_window", "status", "created_at")
    wire = {name: value for name, value in snap("v").items() if name in names}

    assert parse(wire) == parse(validate(wire))
    assert (None, None, None) == (
        parse(wire).expires_at,
        parse(wire).request_counts,
        parse(wire).metadata,
    )


@pytest.mark.parametrize("kind", [PydanticOne, DictOnly, Both])
def test_older_objects_read_like_their_wire(kind):
    """`model_dump` without the argument `warnings`, or `to_dict` alone, is sufficient."""
    wire = snap("vpzc", novel=1)

    assert parse(wire) == parse(kind(wire))
    assert parse(wire, observed_at=7) == parse(kind(wire), observed_at=7)


class Broken:
    """An object whose dump fails, as the dump of a damaged pydantic model does."""

    id = "batch_1"

    def model_dump(self):
        """Raise an error."""
        msg = "no serializer"
        raise ValueError(msg)


def test_an_object_that_cannot_be_dumped_is_refused_in_one_line():
    """`parse` and `observe` raise SnapshotError, an audit lists the object and goes on."""
    problem = "Broken.model_dump() raised ValueError: 'no serializer'"

    for read in (parse, Monitor().observe):
        with pytest.raises(SnapshotError) as caught:
            read(Broken())
        assert (("$", problem),) == tuple(caught.value.problems)
    report = audit([Broken(), Batch.construct(**snap("v"))])
    assert (1, [problem]) == (report.snapshots, [each.problem for each in report.unreadable])


def test_an_audit_reads_sdk_objects():
    """An audit of the SDK objects of a complete batch finds nothing, with pydantic 1 and pydantic 2."""
    report = audit([build(wire) for wire in seen("vpzc") for build in BUILDERS.values()])

    assert ("consistent", 8, 1) == (report.verdict, report.snapshots, report.batches)


def test_a_page_is_opened():
    """The page that `batches.list()` returns is read as its batches."""
    page = SyncCursorPage[Batch].construct(data=[Batch.construct(**snap("v"))], has_more=False)

    assert parse(snap("v")) == parse(page)


@pytest.mark.parametrize("path", ["vpzc", "vf", "vpze", "vgx", "vpgx"])
@pytest.mark.parametrize("build", BUILDERS)
def test_every_status_is_consistent(path, build):
    """Each poll of a complete batch by the SDK gives one transition and no finding."""
    monitor = Monitor()
    observations = [monitor.observe(BUILDERS[build](wire)) for wire in seen(path)]

    assert [()] * len(path) == [observation.findings for observation in observations]
    assert [1] * len(path) == [len(observation.transitions) for observation in observations]
    assert "consistent" == monitor["batch_1"].verdict


def test_what_the_caller_changes_later_is_seen():
    """The monitor compares with its own copy, so a change of an SDK object in place is detected."""
    monitor, batch = Monitor(), Batch.construct(**snap("v"))
    monitor.observe(batch)

    batch.status, batch.in_progress_at = "in_progress", CREATED + 60
    batch.request_counts.total = 8

    assert ["in_progress"] == [each.target for each in monitor.observe(batch).transitions]
    assert RequestCounts(8, 0, 0) == monitor["batch_1"].snapshot.request_counts


def test_it_is_written_back_as_an_sdk_object():
    """The SDK parses the mapping that a snapshot writes."""
    wire = snap("vpzc", usage=USAGE)

    assert validate(wire) == validate(parse(Batch.construct(**wire)).to_dict())
