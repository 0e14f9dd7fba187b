"""Rules and histories as plain text for a terminal."""

import re
from unicodedata import category

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchfsm import RULES, audit, parse
from batchfsm.explain import (
    WIDTH,
    count_steps,
    example,
    gantt,
    printable,
    rule_list,
    rule_page,
    timeline,
    timeline_title,
    timelines_by_batch,
)
from batchfsm.explain import bars as bars_of
from batchfsm.finding import LogPosition
from batchfsm.history import BatchRecord, Fold, timeline_of
from batchfsm.logs import Record, UnreadableEntry, parse_records, resolve_source
from batchfsm.rules import HEALTHY
from batchfsm.wire import reader
from support.dialects import CHECKING, DIALECTS, OFF
from support.few_batches import enveloped, made, steps
from support.notation import CREATED, DAY_S, WORDS, seen, snap

OPENAI = DIALECTS["openai"]


def drawn(batches, dialect="openai", batch_id=None):
    """Return the timelines of the batches in a log, as text."""
    named = DIALECTS[dialect]
    return [
        timeline(life)
        for life in timelines_by_batch(parse_records(resolve_source(batches), reader(named)), named, batch_id)
    ]


def lived(batches, dialect="openai"):
    """Return the `BatchTimeline` of each batch in a log."""
    named = DIALECTS[dialect]
    return list(timelines_by_batch(parse_records(resolve_source(batches), reader(named)), named))


def bars(text):
    """Return each status of a timeline with its bar, its duration and its star."""
    pattern = r"^  (\w+) +(?:no stamp|\S{10} \S{8}) *([#|]?)[#|]* *((?:\d+ \w \d\d \w|\d+ [sd])?)( \*)?$"
    return [tuple(map(str.strip, found)) for found in re.findall(pattern, text, re.MULTILINE)]


# ---------------------------------------------------------------- rules


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_every_rule_has_a_page(rule):
    """A page has code, name, severity, description, evidence, example and remedy, in 80 columns."""
    page = rule_page(rule, example(rule))
    words = " ".join(page.split())

    assert page.startswith(f"{rule.code} {rule.name} ({rule.severity})\n\n  breach      ")
    for heading, text in {"breach": rule.description, "evidence": rule.evidence, "what to do": rule.remedy}.items():
        assert f" {heading} {' '.join(text.split())}" in words
    assert f" example {' '.join(example(rule).split())} " in words
    assert WIDTH >= max(map(len, page.splitlines()))
    assert page.endswith(".\n")


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_every_example_is_judged(rule):
    """The last snapshot of the example breaches the rule, and an audit gives the message of the page."""
    log = [{"observed_at": None, "batch": {**HEALTHY, **changes}} for changes in rule.example]
    for each in log:
        each["observed_at"] = each["batch"].pop("observed_at", None)
    audited = audit(log, dialect=CHECKING[rule.code])
    found = [finding for finding in audited.findings if finding.rule == rule.code]
    severity = "warning" if rule.code in OFF else rule.severity

    assert [(len(log), severity)] == [(finding.where[-1].line, finding.severity) for finding in found]
    assert found[0].message.startswith(f"{example(rule)} (seen at iterable:")


def test_the_healthy_batch_is_healthy():
    """The batch on which the examples are based breaches no rule."""
    assert {} == audit([dict(HEALTHY)]).counts


def test_a_page_may_be_wider():
    """A page has the requested width."""
    assert 120 >= max(map(len, rule_page(RULES["S004"], example(RULES["S004"]), width=120).splitlines())) > 80


def test_the_list_of_rules():
    """Each line has one rule with severity and name, in order."""
    assert [f"{rule.code}  {rule.severity:<7}  {rule.name}" for rule in RULES.values()] == rule_list(
        RULES.values()
    ).splitlines()


# ---------------------------------------------------------------- printable


@pytest.mark.parametrize(
    "text, expected",
    [
        ("batch_1: é, 中, 😀", "batch_1: é, 中, 😀"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\r\tc\0", r"a\nb\r\tc\x00"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("\u202eabc\u2066", r"\u202eabc\u2066"),
        ("\u2028\u2029\u200b\u200f\ufeff\u061c", r"\u2028\u2029\u200b\u200f\ufeff\u061c"),
        ("\ud800x", r"\ud800x"),
        ("", ""),
    ],
)
def test_printable(text, expected):
    """Control characters, escapes, line ends, marks of direction and lone surrogates are escaped."""
    assert expected == printable(text)


@given(st.text(st.characters(categories=["Cc", "Cs", "Cf", "Zl", "Zp", "L"])))
def test_nothing_printable_is_acted_on(text):
    """Printable text has no control character, no line end and no lone surrogate."""
    assert set() == {category(char) for char in printable(text)} & {"Cc", "Cs", "Zl", "Zp"}
    assert printable(text) == printable(printable(text))


# ---------------------------------------------------------------- timelines of a log


def test_lives_are_in_order_of_first_sight():
    """The batches are in order of their first snapshot; `seen` has the statuses that were observed."""
    two, one = timelines_by_batch(
        parse_records(
            resolve_source([snap("v", id="b2"), snap("vpz"), snap("v", id="b2"), snap("vpzc")]), reader(OPENAI)
        ),
        OPENAI,
    )

    assert ["b2", "batch_1"] == [two.batch_id, one.batch_id]
    assert ["validating", "in_progress", "finalizing", "completed"] == [each.target for each in one.transitions]
    assert ({"finalizing", "completed"}, "completed") == (one.seen, one.last.status)
    assert [None] * 4 == [each.snapshot for each in one.transitions]


def test_lives_pass_over_what_tells_nothing():
    """Unreadable entries and snapshots without an id give no timeline."""
    place = LogPosition("log", 1)
    log = [UnreadableEntry(place, "x"), Record(0, place, reader(OPENAI).read(snap("v", id=None)))]

    assert [] == list(timelines_by_batch(log, OPENAI))


def test_a_stale_read_is_not_the_last_word():
    """The last snapshot of a timeline is the last one that is not stale."""
    (life,) = timelines_by_batch(parse_records(resolve_source([*seen("vpzc"), snap("vp")]), reader(OPENAI)), OPENAI)

    assert "completed" == life.last.status


def test_one_life():
    """With a batch id, only the timeline of this batch is returned."""
    log = [snap("v"), snap("v", id="b2")]

    assert ["b2  validating"] == [text[:14] for text in drawn(log, batch_id="b2")]
    assert [] == drawn(log, batch_id="b3")


# ---------------------------------------------------------------- timelines as text


def test_a_timeline():
    """Each status has a bar and a duration, the end has a point, and statuses that were not observed have a star."""
    (text,) = drawn([snap("v"), snap("vpzc", at=(0, 90, 7290, 7410))])

    assert (
        "batch_1  completed  7 ok  1 failed  of 8                                2 h 03 m\n"
        "  validating   2025-10-09 08:53:20 #                                 1 m 30 s\n"
        "  in_progress  2025-10-09 08:54:50 ##############################    2 h 00 m *\n"
        "  finalizing   2025-10-09 10:54:50                               #   2 m 00 s *\n"
        "  completed    2025-10-09 10:56:50                               |\n"
    ) == text


@pytest.mark.parametrize("path", ["v", "vp", "vpzc", "vgx", "vf", "vpze", "vpgx", "vpf"])
def test_every_status_has_its_line(path):
    """A timeline has a line for each status, without a star if each status was observed."""
    (text,) = drawn(seen(path))

    assert [batch["status"] for batch in seen(path)] == [status for status, *_ in bars(text)]
    assert [""] * len(path) == [star for *_, star in bars(text)]


def test_durations():
    """A duration has its two largest units; the final status has none."""
    for at_s, expected in {
        0: "0 s",
        59: "59 s",
        60: "1 m 00 s",
        3599: "59 m 59 s",
        3600: "1 h 00 m",
        DAY_S: "1 d 00 h",
        100 * DAY_S + 3600: "100 d 01 h",
        2000 * DAY_S: "2000 d",
    }.items():
        (text,) = drawn(seen("vgx", at=(0, at_s, at_s)))

        assert [expected, "0 s", ""] == [duration for _, _, duration, _ in bars(text)]
        assert text.splitlines()[0].endswith(f" {expected}")


def test_an_open_status_lasts_until_it_was_seen():
    """The present status lasts until the last observation, or has no length if its time is unknown."""
    (seen_late,) = drawn([{"observed_at": CREATED + 360.9, "batch": snap("vp")}])
    (unknown,) = drawn([snap("vp")])

    assert ["1 m 00 s", "5 m 00 s"] == [duration for _, _, duration, _ in bars(seen_late)]
    assert ["1 m 00 s", "0 s"] == [duration for _, _, duration, _ in bars(unknown)]


def test_a_status_without_a_stamp():
    """A status without a stamp has a line without a bar."""
    (text,) = drawn([snap("vc")])

    assert [
        ("validating", "#", "1 m 00 s", "*"),
        ("in_progress", "", "", "*"),
        ("finalizing", "", "", "*"),
        ("completed", "|", "", ""),
    ] == bars(text)
    assert 1 == len({line.index(" *") for line in text.splitlines() if line.endswith(" *")})


def test_no_stamp_at_all():
    """If no known status has a stamp, one line reports it."""
    assert (
        "batch_1  paused  0 ok  0 failed  of 0\n  no status of the lifecycle has a stamp\n"
        == drawn([snap("v", status="paused")])[0]
    )
    assert "no status of the lifecycle has a stamp" in drawn([snap("v", created_at=None, request_counts=None)])[0]


def test_stamps_out_of_order_stay_on_the_page():
    """If stamps are out of order, the lines still have at most 80 columns."""
    (text,) = drawn([snap("vp", created_at=CREATED + DAY_S)])

    assert ["validating", "in_progress"] == [status for status, *_ in bars(text)]
    assert WIDTH >= max(map(len, text.splitlines()))


def test_a_wide_head_takes_two_lines():
    """If id, status and counts are too long for one line, the counts are on a second line."""
    counts = {"total": 50_000, "completed": 49_000, "failed": 1_000}
    (text,) = drawn([snap("vpzc", id="batch_" + "0" * 32, request_counts=counts)])
    head, below, *_ = text.splitlines()

    assert ("batch_" + "0" * 32 + "  completed", 80) == (head[:49], len(head))
    assert "  49,000 ok  1,000 failed  of 50,000" == below


def test_unknown_counts_are_left_out():
    """Counts with an unknown number are not in the head."""
    for counts in (None, {"total": 8, "completed": None, "failed": 0}):
        assert "batch_1  in_progress   " == drawn([snap("vp", request_counts=counts)], "azure")[0][:23]


def test_long_words_are_cut():
    """A long id, status or count is cut, so that the lines have at most 80 columns."""
    huge = {"total": 10**4000, "completed": 0, "failed": 0}
    (text,) = drawn(
        [
            snap("vp", id="b" * 10**6, request_counts=huge),
            snap("vp", id="b" * 10**6, status="s" * 10**6, request_counts=huge),
        ]
    )

    assert "b" * 37 + "...  " + "s" * 17 + "..." == text[:62]
    assert WIDTH >= max(map(len, text.splitlines()))


def timelines_fit_the_page(dialect, steps):
    """Check that the timelines of a log have at most 80 columns of ASCII, and no trailing blanks."""
    for text in drawn(enveloped(made(steps)), dialect):
        assert WIDTH >= max(map(len, text.splitlines()))
        assert "" == re.sub(r"[ -~\n]", "", text)
        assert text == "".join(line.rstrip() + "\n" for line in text.splitlines())


@pytest.mark.logic
@settings(max_examples=60)
@given(dialect=st.sampled_from([*DIALECTS]), steps=steps)
def test_any_life_fits_the_page(dialect, steps):
    """The timelines of any log have at most 80 columns of ASCII, and no trailing blanks."""
    timelines_fit_the_page(dialect, steps)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=50)
@given(steps=steps)
def test_any_life_fits_the_page_in_every_dialect(dialect, steps):
    """The property of `test_any_life_fits_the_page` holds in each dialect."""
    timelines_fit_the_page(dialect, steps)


def test_snapshots_need_no_log():
    """Snapshots in memory give timelines too."""
    log = (Record(number, LogPosition("mine", number + 1), parse(batch)) for number, batch in enumerate(seen("vp")))

    assert ["batch_1"] == [life.batch_id for life in timelines_by_batch(log, OPENAI)]


# ---------------------------------------------------------------- Gantt charts, step counts and titles


def test_gantt():
    """A Gantt chart has a section for each batch; the end is a milestone, and unobserved statuses are `done`."""
    assert (
        "gantt\n"
        "    dateFormat X\n"
        "    axisFormat %Y-%m-%d %H:%M:%S\n"
        "    section batch_1\n"
        "    validating :1760000000, 1760000060\n"
        "    in_progress :done, 1760000060, 1760000120\n"
        "    finalizing :done, 1760000120, 1760000180\n"
        "    completed :milestone, 1760000180, 1760000180\n"
    ) == gantt(lived([snap("v"), snap("vpzc")]))


def test_gantt_of_what_contradicts_itself():
    """A status without a stamp has no task, and no task ends before its start."""
    text = gantt(lived([snap("vc"), snap("vp", id="b2", created_at=CREATED + DAY_S)]))

    assert "in_progress :" not in text.partition("section b2")[0]
    assert all(int(at) <= int(end) for at, end in re.findall(r"(\d+), (\d+)$", text, re.MULTILINE))


@pytest.mark.parametrize(
    "batch_id, shown",
    [
        ("b:1", "b_1"),
        ("b\n    click b1 href evil", "b_    click b1 href evil"),
        ("<b onclick=x>;#%%{", "_b onclick_x______"),
        ("\u202eb\u00e9", "_b_"),
        ("b" * 50, "b" * 37 + "..."),
    ],
)
def test_an_id_is_no_mermaid(batch_id, shown):
    """Characters with a meaning in Mermaid are replaced by underscores in a section's name."""
    assert f"    section {shown}" == gantt(lived([snap("v", id=batch_id)])).splitlines()[3]


def test_taken():
    """Steps are counted over all batches; an unproven route counts as a gap."""
    counted = count_steps(lived([snap("vp"), snap("vp", id="b2"), snap("vc", id="b3")], "compatible"))

    assert [
        (None, "validating", 3, "step"),
        ("validating", "in_progress", 2, "step"),
        ("validating", "completed", 1, "gap"),
    ] == [(each.source, each.target, each.times, each.kind) for each in counted]


def test_caption():
    """A title has id, status and counts, without the counts if they are unknown."""
    whole, partial = lived([snap("vpz"), snap("vp", id="b\x1b2", request_counts=None)])

    assert "batch_1 · finalizing · 6 ok, 1 failed, of 8" == timeline_title(whole)
    assert "b\\x1b2 · in_progress" == timeline_title(partial)


# ---------------------------------------------------------------- batches that return to a status


REOPENED = snap("vpzc", status="in_progress", request_counts={"total": 8, "completed": 8, "failed": 0})
"""No new stamp, and no earlier view: more is done than when it was completed."""


def contiguous(log, dialect="openai"):
    """Return the statuses that are drawn, after a check that each bar ends where the next one begins."""
    (life,) = lived(log, dialect)
    drawn_bars = [bar for bar in bars_of(life) if bar.at is not None]

    assert [bar.end for bar in drawn_bars[:-1]] == [bar.at for bar in drawn_bars[1:]]
    assert [False] * (len(drawn_bars) - 1) == [bar.terminal for bar in drawn_bars[:-1]]
    return [bar.status for bar in bars_of(life)]


def observed(path, every=60):
    """Return envelopes of a path's snapshots, each observed five seconds after the batch entered its status."""
    return [{"observed_at": CREATED + every * n + 5, "batch": each} for n, each in enumerate(seen(path))]


@pytest.mark.parametrize("path", ["vpzcp", "vpzcpzc", "vpgpgx", "vpzczc", "vpzpzc", "vpfpzc", "vpzcpzcpzc"])
@pytest.mark.parametrize("dialect", ["openai", "compatible"])
def test_a_batch_that_came_back_has_a_bar_for_each_stay(path, dialect):
    """A status that was entered twice has two bars, and there is no gap between bars."""
    assert [WORDS[letter] for letter in path] == contiguous(observed(path), dialect)


def test_a_return_without_a_new_stamp_begins_when_it_was_observed():
    """Without a stamp for the return, the bar begins at the first observation."""
    log = [*observed("vpzc"), {"observed_at": CREATED + 305, "batch": REOPENED}]
    (life,) = lived(log)

    assert ["validating", "in_progress", "finalizing", "completed", "in_progress"] == contiguous(log)
    assert (CREATED + 305, CREATED + 305) == (bars_of(life)[-1].at, bars_of(life)[-1].end)


def test_a_return_that_nothing_dates_has_no_bar():
    """Without a stamp and a time of observation, the status has a line without a bar."""
    text = drawn([*seen("vpzc"), REOPENED])[0]

    assert ("in_progress", "", "", "") == bars(text)[-1]


def test_a_timeline_of_the_monitor_shows_returns_too():
    """In a record with transitions only, a return begins at the stamp of the last snapshot."""
    fold, record = Fold(OPENAI), BatchRecord()
    for each in observed("vpzcpzc"):
        fold.apply(record, reader(OPENAI).read(each))

    found = [(bar.status, bar.at) for bar in bars_of(timeline_of("batch_1", record))]

    assert [WORDS[letter] for letter in "vpzcpzc"] == [status for status, _ in found]
    assert [CREATED + 60 * n for n in range(7)] == [at for _, at in found]
