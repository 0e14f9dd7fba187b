"""The cache of parsed rows: a monitor does not translate an unchanged object of another provider again."""

import copy
from datetime import UTC, datetime

import pytest

from batchfsm import DIALECTS, Monitor, parse
from batchfsm.wire import reader, row_cache
from batchfsm.wire.row_cache import content_of
from support.dialects import DIALECTS as OPENAI_SHAPED
from support.other_providers import BEDROCK, ENDED, MISTRAL, OBJECTS

PROVIDERS = [name for name in DIALECTS if name not in OPENAI_SHAPED]


def read_twice(name, first, second, observed_at=None):
    """Return the row of the second object, read by a reader that has read the first."""
    fresh = type(reader(DIALECTS[name]))(DIALECTS[name])
    fresh.read_row(first, None, lambda *_: None)
    return fresh.read_row(second, observed_at, lambda *_: None)


@pytest.mark.parametrize("name", PROVIDERS)
def test_an_object_read_again_gives_the_same_snapshot(name):
    """Only the time of observation is that of the second reading."""
    again = read_twice(name, OBJECTS[name], copy.deepcopy(OBJECTS[name]), 1796010391.5)

    assert parse(OBJECTS[name], dialect=name, observed_at=1796010391.5) == again.snapshot


def test_an_object_that_its_owner_changes_is_read_anew():
    monitor, batch = Monitor("anthropic"), copy.deepcopy(ENDED) | {"processing_status": "in_progress"}
    batch |= {"ended_at": None, "cancel_initiated_at": None, "results_url": None}
    monitor.observe(batch)
    batch |= {"processing_status": "ended", "ended_at": ENDED["ended_at"]}

    assert ["ended"] == [each.target for each in monitor.observe(batch).transitions]


def test_a_cached_row_shares_nothing_with_the_object():
    """Metadata and usage that change afterwards do not change the snapshot."""
    batch = copy.deepcopy(MISTRAL)
    fresh = type(reader(DIALECTS["mistral"]))(DIALECTS["mistral"])
    fresh.read_row(batch, None, lambda *_: None)
    batch["metadata"]["job"] = "y"

    assert {"job": "x"} == fresh.read_row(copy.deepcopy(MISTRAL), None, lambda *_: None).snapshot.metadata
    assert {"job": "y"} == fresh.read_row(batch, None, lambda *_: None).snapshot.metadata


def test_usage_is_copied():
    """No built-in map fills `usage`; the row of any dialect copies it."""
    batch = {"id": "b", "object": "batch", "status": "validating", "created_at": 1, "usage": {"tokens": 1}}
    row = reader(DIALECTS["openai"]).read_row(batch).detached()
    batch["usage"]["tokens"] = 2

    assert {"tokens": 1} == row.snapshot.usage


def test_equal_values_of_other_types_are_read_anew():
    """True equals 1, but is no count."""
    again = read_twice("mistral", MISTRAL | {"failed_requests": 1}, MISTRAL | {"failed_requests": True})

    assert {"request_counts.failed": True} == again.snapshot.bad


@pytest.mark.parametrize(
    "found",
    [
        BEDROCK | {"submitTime": datetime(2026, 1, 1, tzinfo=UTC)},
        BEDROCK | {"message": "x" * row_cache.BYTES_MAX},
    ],
    ids=["no JSON", "long"],
)
def test_some_objects_are_not_cached(found):
    """Values that JSON does not have cannot be compared as bytes; long texts would take memory."""
    assert content_of(found) is None
    assert parse(found, dialect="bedrock") == read_twice("bedrock", found, found).snapshot


def test_equal_texts_are_equal_content():
    """Whether Python shares a string does not count."""
    shared, parts = "batch_1", ["batch", "_1"]

    assert content_of({"a": shared, "b": shared}) == content_of({"a": shared, "b": "".join(parts)})


def test_a_full_cache_starts_anew(monkeypatch):
    """The oldest rows are read again."""
    monkeypatch.setattr(row_cache, "ROWS_MAX", 2)
    cache = row_cache.RowCache()
    row = reader(DIALECTS["mistral"]).read_row(MISTRAL)
    for content in (b"1", b"2", b"3"):
        cache.add(content, row)

    assert [False, False, True] == [cache.find(content, None) is not None for content in (b"1", b"2", b"3")]


def test_a_row_with_an_invalid_field_is_not_kept():
    """Its snapshot lists the invalid values, which a row does not hold."""
    again = read_twice("mistral", MISTRAL | {"created_at": "x"}, MISTRAL | {"created_at": "x"})

    assert {"created_at": "x"} == again.snapshot.bad
