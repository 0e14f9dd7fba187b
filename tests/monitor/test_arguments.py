"""The arguments of `observe`: the time of observation, and a snapshot of exactly one batch."""

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchfsm import AsyncMonitor, Monitor, SnapshotError, audit, parse
from support.notation import CREATED, snap

EXPECTED = "observed_at= takes Unix seconds, RFC 3339 text or an aware datetime"


def awaiting(batch, **options):
    """Observe with an `AsyncMonitor`."""
    return asyncio.run(AsyncMonitor().observe(batch, **options))


OBSERVERS = [pytest.param(lambda *a, **k: Monitor().observe(*a, **k), id="Monitor"), pytest.param(awaiting, id="Async")]


@pytest.mark.parametrize("observe", OBSERVERS)
@pytest.mark.parametrize(
    "wrong, kind, message",
    [
        (datetime(2026, 11, 30, 12), TypeError, "has no time zone: datetime.now\\(UTC\\) has one"),  # noqa: DTZ001
        (CREATED * 1000, ValueError, f"{EXPECTED}; {CREATED * 1000} is no time in seconds; milliseconds\\?"),
        (0, ValueError, f"{EXPECTED}; 0 is no time in seconds"),
        (-1.5, ValueError, f"{EXPECTED}; -1.5 is no time in seconds"),
        (float("nan"), ValueError, f"{EXPECTED}; nan is no time in seconds"),
        (float("inf"), ValueError, f"{EXPECTED}; inf is no time in seconds; milliseconds\\?"),
        ("yesterday", ValueError, f"{EXPECTED}; 'yesterday' is none of them: RFC 3339 is like 2026-11-30T12:00:00Z"),
        ("2026-11-30", ValueError, f"{EXPECTED}; '2026-11-30' is none of them"),
        ("2026-11-30T12:00:00", ValueError, "is none of them"),
        ("", ValueError, f"{EXPECTED}; '' is none of them"),
        (True, TypeError, f"{EXPECTED}, not True"),
        ([], TypeError, f"{EXPECTED}, not an empty list"),
        (datetime.now(UTC).date(), TypeError, f"{EXPECTED}, not datetime.date"),
    ],
    ids=repr,
)
def test_a_time_that_is_none_is_the_callers_error(observe, wrong, kind, message):
    """`observe` raises an error with the expected values; it reports no finding against the server."""
    with pytest.raises(kind, match=message):
        observe(snap("v"), observed_at=wrong)


def test_after_a_wrong_time_nothing_has_changed():
    """The batch is not tracked."""
    monitor = Monitor()
    with pytest.raises(ValueError, match="milliseconds"):
        monitor.observe(snap("v"), observed_at=CREATED * 1000)

    assert [] == list(monitor)


@given(
    moment=st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(4000, 1, 1)),  # noqa: DTZ001
    minutes=st.integers(-1439, 1439),
)
def test_an_aware_datetime_is_its_second(moment, minutes):
    """An aware datetime in any time zone is accepted: as an argument of `observe` or `parse`, or in an envelope."""
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    monitor = Monitor()
    monitor.observe(snap("v"), observed_at=moment)

    assert moment.timestamp() == monitor["batch_1"].snapshot.observed_at
    assert moment.timestamp() == parse(snap("v"), observed_at=moment).observed_at
    assert moment.timestamp() == parse({"observed_at": moment, "batch": snap("v")}).observed_at


@pytest.mark.parametrize("number", [CREATED, CREATED + 0.5, Fraction(CREATED * 2 + 1, 2)])
def test_any_real_number_of_seconds_is_a_time(number):
    """Integers and fractions are accepted."""
    monitor = Monitor()
    monitor.observe(snap("v"), observed_at=number)

    assert float(number) == monitor["batch_1"].snapshot.observed_at


def test_a_naive_datetime_in_the_envelope_of_a_mapping_is_the_callers_error():
    """JSON cannot contain a datetime, so the caller made it."""
    naive = datetime(2026, 11, 30, 12)  # noqa: DTZ001
    for use in (Monitor().observe, parse, lambda batch: audit([batch])):
        with pytest.raises(TypeError, match="has no time zone"):
            use({"observed_at": naive, "batch": snap("v")})
    with pytest.raises(TypeError, match="has no time zone"):
        parse(snap("v"), observed_at=naive)


def test_an_audit_takes_an_aware_datetime():
    """Of two rows in one status the later comes first: only the clock shows that the second is a stale read."""
    later, earlier = (datetime.fromtimestamp(CREATED + 300 + each, UTC) for each in (60, 0))
    rows = [{"observed_at": each, "batch": snap("vp")} for each in (later, earlier)]

    assert [later.timestamp(), earlier.timestamp()] == [parse(row).observed_at for row in rows]
    assert audit(rows).ok


PAGES = {
    "page": lambda batches: {"object": "list", "data": batches, "has_more": False},
    "page without a name": lambda batches: {"data": batches},
    "page of an SDK": lambda batches: SimpleNamespace(model_dump=lambda: {"object": "list", "data": batches}),
    "JSON of a page": lambda batches: json.dumps({"object": "list", "data": batches}),
    "page in an envelope": lambda batches: {"observed_at": CREATED, "body": {"object": "list", "data": batches}},
    "array": list,
    "tuple": tuple,
}


@pytest.mark.parametrize("observe", OBSERVERS)
@pytest.mark.parametrize("form", PAGES)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_page_is_refused_whatever_it_holds(observe, form, count):
    """A page of one batch is refused, too: tomorrow the same request may return three."""
    page = PAGES[form]([snap("v", id=f"batch_{number}") for number in range(count)])

    with pytest.raises(SnapshotError, match="expected one batch, found"):
        observe(page)


@pytest.mark.parametrize("wrapper", ["snapshot", "batch", "body", "data"])
def test_an_envelope_of_one_batch_is_no_page(wrapper):
    """The batch is unwrapped, also from nested envelopes."""
    for envelope in ({wrapper: snap("v")}, {"body": {wrapper: snap("v")}}):
        assert 1 == len(Monitor().observe(envelope).transitions)
