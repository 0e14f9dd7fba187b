"""Timeline pictures: bars, colours and axes; ids with markup."""

import re
import sys

import pytest

from batchfsm import MissingExtraError
from batchfsm.explain import timelines_by_batch
from batchfsm.logs import parse_records, resolve_source
from batchfsm.reporting import timeline_png, timeline_svg
from batchfsm.wire import reader
from support.dialects import DIALECTS
from support.notation import DAY_S, seen, snap

STATUSES = ["validating", "in_progress", "finalizing", "completed"]


def drawn(batches, dialect="openai"):
    """Return the picture of the batches in a log."""
    named = DIALECTS[dialect]
    return timeline_svg(timelines_by_batch(parse_records(resolve_source(batches), reader(named)), named))


def words(picture):
    """Return the texts in a picture, in order."""
    return re.findall(r">([^<>]+)</text>", picture)


def test_a_bar_for_each_status():
    """A picture has the label of the batch, and for each status a bar and its duration."""
    picture = drawn(seen("vpzc"))
    said = words(picture)

    assert {"batch_1 · completed · 7 ok, 1 failed, of 8", "1 m 00 s", "from 2025-10-09 08:53:20 UTC"} <= set(said)
    assert STATUSES == [word for word in said if word in STATUSES]


def test_colours():
    """Each status has its colour; statuses of a dialect alone share one colour."""
    assert {"#8a6d3b", "#2f74c0", "#1c8a8a", "#2e8540"} == set(
        re.findall(r'fill="(#[0-9a-f]{6})"', drawn(seen("vpzc")))
    ) - {"#333333"}
    assert 'fill="#5b6b8a"' in drawn([snap("v", status="scheduling")], "aibrix")


def test_what_nobody_saw_is_hollow():
    """A bar is filled if a snapshot had its status, and hollow if only a stamp proves it."""
    assert [0, 3] == [drawn(log).count('fill-opacity="0.25"') for log in (seen("vpzc"), [snap("vpzc")])]


def test_a_status_without_a_stamp_has_no_bar():
    """The status is named with "no stamp", even in a batch without any stamp."""
    assert 2 == words(drawn([snap("vc")])).count("no stamp")
    assert "batch_1 · paused · 0 ok, 0 failed, of 0" in words(drawn([snap("v", status="paused")]))


def test_a_status_may_be_entered_twice():
    """A status that is entered again has a second bar."""
    log = [snap("vzg"), snap("vzgz"), snap("vzgzg")]

    assert 2 <= words(drawn(log, "compatible")).count("cancelling")


@pytest.mark.parametrize(
    "lasts_s, ticks", [(60, r"08:5\d:[0-5]\d"), (7200, r"(?:08|09|10):\d\d"), (9 * DAY_S, r"2025-10-1\d")]
)
def test_an_axis_fits_what_it_measures(lasts_s, ticks):
    """The axis shows seconds within minutes, the time of day within hours, and dates within days, in UTC."""
    said = words(drawn([snap("vp", at=(0, lasts_s))]))
    axis = said[: said.index("from 2025-10-09 08:53:20 UTC")]

    assert 3 <= len(axis)
    assert [] == [word for word in axis if not re.fullmatch(ticks, word)]


@pytest.mark.parametrize(
    "batch_id", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b&gt;", "{signal}"]
)
def test_an_id_is_text(batch_id):
    """Markup in an id stays text in the picture."""
    picture = drawn([snap("vp", id=batch_id)])
    shown = batch_id.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    assert f">{shown} · in_progress" in picture
    assert "<script" not in picture
    assert "<img" not in picture


def test_png():
    """A PNG is twice as large as the picture on a screen."""
    named = DIALECTS["openai"]
    found = list(timelines_by_batch(parse_records(resolve_source(seen("vp")), reader(named)), named))
    wide = int(re.search(r'width="(\d+)"', timeline_svg(found))[1])

    assert (b"\x89PNG\r\n\x1a\n", 2 * wide) == (
        timeline_png(found)[:8],
        int.from_bytes(timeline_png(found)[16:20]),
    )


def test_without_the_extra(monkeypatch):
    """If the extra is not installed, the error names the package to install."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)

    with pytest.raises(
        MissingExtraError,
        match=r"^a chart needs more packages: pip install 'batchfsm\[report\]' \(in a clone: pip install '\.\[report\]'\)$",
    ):
        drawn(seen("v"))
