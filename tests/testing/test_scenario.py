"""Scenarios: the text form, and the life of a batch as a function of time."""

import re

import pytest

from batchfsm import audit
from batchfsm.testing import ProgressPoint, Scenario, ScenarioError, SpeedClock, Timeline, VirtualClock
from support.dialects import DIALECTS
from support.notation import CREATED

DAY_S = 86_400


def walked(text, **options):
    """Return each status of a scenario with the second at which it is entered, counted from creation."""
    return [(status, at - CREATED) for status, at in Scenario(text, **options).life(CREATED).entries]


def counted(life, second):
    """Return total, completed and failed at a second after creation."""
    return tuple(life.at(CREATED + second)["request_counts"].values())


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("span", [-1, float("nan")])
def test_time_never_runs_back(span):
    """A span that is negative or not a number is refused."""
    with pytest.raises(ValueError, match="a span of time is not negative: "):
        VirtualClock().advance(span)


async def _slept(clock):
    await clock.sleep_async(30)


def test_a_virtual_clock_moves_when_it_is_told():
    """It moves by `advance`, and by its sync and async `sleep`."""
    clock = VirtualClock(CREATED)
    clock.advance("1m")
    clock.sleep(30)
    with pytest.raises(StopIteration):
        _slept(clock).send(None)

    assert CREATED + 120 == clock.now()


def test_a_speed_clock_runs():
    """It begins at the real time and does not go back."""
    clock = SpeedClock(3600)
    first = clock.now()

    assert CREATED < first <= clock.now()


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_clock_that_does_not_run_is_refused(speed):
    """A speed of zero or less is refused."""
    with pytest.raises(ValueError, match="the speed of a clock is above zero: "):
        SpeedClock(speed)


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            "validating 5s > in_progress 2h 97+3/100 > finalizing 10m > completed",
            [("validating", 0), ("in_progress", 5), ("finalizing", 7205), ("completed", 7805)],
        ),
        (
            "validating > in_progress > finalizing > completed",
            [("validating", 0), ("in_progress", 5), ("finalizing", 1805), ("completed", 1865)],
        ),
        ("validating 3s > failed", [("validating", 0), ("failed", 3)]),
        ("  validating   3s>failed ", [("validating", 0), ("failed", 3)]),
        ("fail line 7 invalid_json_line", [("validating", 0), ("failed", 5)]),
        ("fail at 15m token_limit_exceeded", [("validating", 0), ("failed", 900)]),
        ("fail at 0s", [("validating", 0), ("failed", 0)]),
        ("validating 9s > in_progress > fail at 1h", [("validating", 0), ("in_progress", 9), ("failed", 3600)]),
        ("validating > in_progress 9s > fail", [("validating", 0), ("in_progress", 5), ("failed", 14)]),
        (
            "expire",
            [("validating", 0), ("in_progress", 5), ("finalizing", DAY_S + 1), ("expired", DAY_S + 607)],
        ),
        (
            "validating 0s > in_progress 1h > finalizing 5s > expire",
            [("validating", 0), ("in_progress", 0), ("finalizing", 3600), ("expired", DAY_S + 607)],
        ),
        (
            "validating > in_progress 30h > expire",
            [("validating", 0), ("in_progress", 5), ("finalizing", DAY_S + 1), ("expired", DAY_S + 607)],
        ),
        (
            "validating > in_progress 24h > finalizing 1h > expired",
            [("validating", 0), ("in_progress", 5), ("finalizing", DAY_S + 5), ("expired", DAY_S + 3605)],
        ),
        ("cancel at 3s", [("validating", 0), ("cancelling", 3), ("cancelled", 608)]),
        (
            "validating 5s > in_progress 2h > finalizing > completed, cancel at 1h",
            [("validating", 0), ("in_progress", 5), ("cancelling", 3600), ("cancelled", 4205)],
        ),
        ("cancel at 3s for 8h", [("validating", 0), ("cancelling", 3), ("cancelled", 28_803)]),
        ("cancel at 3s for 0s", [("validating", 0), ("cancelling", 3), ("cancelled", 3)]),
        ("validating > cancelling 9s > cancelled", [("validating", 0), ("cancelling", 5), ("cancelled", 14)]),
        (
            "validating > cancelling 9s > cancelled, cancel at 8s",
            [("validating", 0), ("cancelling", 5), ("cancelled", 14)],
        ),
        ("validating > in_progress", [("validating", 0), ("in_progress", 5)]),
        ("validating", [("validating", 0)]),
    ],
)
def test_a_scenario_says_when_each_status_is_entered(text, expected):
    """Spans are those of the text or the defaults; the deadline and a cancel have times of their own."""
    assert expected == walked(text)


@pytest.mark.parametrize(
    "dialect, text, expected",
    [
        (
            "ogx",
            "validating > in_progress 1h > completed",
            [("validating", 0), ("in_progress", 5), ("completed", 3605)],
        ),
        (
            "aibrix",
            "scheduling 2s > validating 1s > in_progress",
            [("scheduling", 0), ("validating", 2), ("in_progress", 3)],
        ),
        ("aibrix", "scheduling > failed", [("scheduling", 0), ("failed", 1)]),
    ],
)
def test_a_scenario_follows_the_table_of_its_dialect(dialect, text, expected):
    """The dialect has statuses and steps of its own."""
    assert expected == walked(text, dialect=dialect)
    assert expected == walked(text, dialect=DIALECTS[dialect])


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "cannot read ''; write a status, a span and counts, as in_progress 2h 97+3/100, or expire,"),
        ("validating > in progress", "cannot read 'in progress'; write a status, a span and counts, as in_progress 2h 97+3/100, or"),
        ("cancel at 1x", "cannot read 'cancel at 1x'; write a status, a span and counts, as in_progress 2h 97+3/100, "
         "or expire, fail at 15m, cancel at 1h"),
        ("validating > paused", "openai has no status 'paused'; it has validating, in_progress, finalizing, completed,"),
        ("in_progress > finalizing", "a batch begins in validating, not in in_progress"),
        ("validating > completed", "completed cannot follow validating; what can: in_progress, failed, cancelling, expired"),
        ("validating > failed > expired", "expired cannot follow failed; it is final"),
        ("validating > in_progress 3+4/5", "more requests are done than there are"),
        ("validating > in_progress 0+0/0", "more requests are done than there are"),
        ("validating 1+0/5 > in_progress", "nothing is counted before in_progress"),
        ("validating > in_progress 3+0/5 > finalizing 2+3/5 > completed", "counts never fall, and the total stays"),
        ("validating > in_progress 3+0/5 > finalizing 3+3/6 > completed", "counts never fall, and the total stays"),
        ("validating > in_progress 3+1/5 > finalizing > completed", "a completed batch has no request left; write expire,"),
        ("validating > in_progress > finalizing > expired", "it expires before its deadline; write expire instead"),
        ("validating 5s > in_progress 5s > finalizing 1h > completed, cancel at 1m", "it is finalizing by then, and cannot be cancelled"),
        ("validating > failed, cancel at 1h", "it is failed by then, and cannot be cancelled"),
        ("validating 9s > fail at 15m", "`fail at` contradicts the spans before it; write `fail` without `at`"),
        ("validating > in_progress > fail at 1h", "`fail at` contradicts the spans before it"),
        ("validating 9s > in_progress > fail at 8s", "`fail at` contradicts the spans before it"),
        ("validating, expire", "after a comma comes `cancel at 1h`, once, and nothing else"),
        ("validating, cancel at 1h, cancel at 2h", "after a comma comes `cancel at 1h`, once, and nothing else"),
    ],
)  # fmt: skip
def test_a_scenario_that_cannot_be_says_why(text, problem):
    """The message names the problem and the allowed values."""
    with pytest.raises(ScenarioError, match=re.escape(f"scenario {text!r}: {problem}")):
        Scenario(text)


def test_a_dialect_that_cannot_expire_says_so():
    """OGX has no status `expired`."""
    with pytest.raises(ScenarioError, match="ogx has no status 'finalizing'"):
        Scenario("validating > in_progress > expire", dialect="ogx")


@pytest.mark.parametrize(
    "text, same",
    [
        ("validating 5 > in_progress 90 3+1/4 > finalizing > completed", "validating 5s > in_progress 90s 3+1/4 > finalizing > completed"),
        ("cancel at 3600 for 600", "cancel at 1h for 10m"),
        ("fail at 900", "fail at 15m"),
    ],
)  # fmt: skip
def test_a_span_without_a_unit_is_in_seconds(text, same):
    """A scenario reads the spans that the command line reads."""
    assert Scenario(same).script == Scenario(text).script


def test_a_scenario_is_shown_by_its_text():
    """Its repr names the dialect and leaves out the table of the dialect."""
    assert "Scenario(text='cancel at 1h', dialect='openai')" == repr(Scenario("cancel at 1h"))


# ---------------------------------------------------------------- lives


def test_counts_grow_evenly_between_two_that_are_named():
    """They grow from the start of in_progress to the end of the status that names them, and stay there afterwards."""
    life = Scenario("validating 5s > in_progress 100s 50+0/100 > finalizing 100s 90+10/100 > completed").life(CREATED)

    assert (0, 0, 0) == counted(life, 4)
    assert (100, 0, 0) == counted(life, 5)
    assert (100, 25, 0) == counted(life, 55)
    assert (100, 50, 0) == counted(life, 105)
    assert (100, 70, 5) == counted(life, 155)
    assert (100, 90, 10) == counted(life, 205)
    assert (100, 90, 10) == counted(life, 9999)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("validating > in_progress > finalizing > completed", (10, 10, 0)),
        ("expire", (10, 5, 0)),
        ("validating > in_progress > cancelling > cancelled", (10, 5, 0)),
        ("validating > in_progress 4+1/8 > expire", (8, 4, 1)),
        ("validating > in_progress 100s 0+8/8 > finalizing > completed, cancel at 55s", (8, 0, 4)),
        ("validating > cancelling > cancelled", (0, 0, 0)),
        ("fail", (0, 0, 0)),
        ("validating > in_progress > fail", (10, 5, 0)),
        ("validating > in_progress 0+72/72 > fail", (72, 0, 72)),
    ],
)
def test_counts_at_the_end(text, expected):
    """Without counts in the scenario all requests are done, or half if the batch is cut off."""
    assert expected == counted(Scenario(text).life(CREATED), 2 * DAY_S)


def test_outcomes_take_the_place_of_the_counts():
    """The scenario then gives the share that is done by each time."""
    life = Scenario("validating 0s > in_progress 100s 2+2/4 > finalizing 1s > completed").life(
        CREATED, outcomes=[True, False] * 3
    )

    assert [(6, 0, 0), (6, 1, 1), (6, 3, 3)] == [counted(life, second) for second in (0, 50, 101)]
    assert [True, False] * 3 == Scenario("validating > in_progress 2+2/4 > finalizing > completed").outcomes(6)


def test_the_window_is_the_batchs_own():
    """The default is a day."""
    life = Scenario("expire").life(CREATED, identity={"completion_window": "48h"})

    assert (2 * DAY_S + 607, 2 * DAY_S) == (life.ends_at - CREATED, life.at(CREATED)["expires_at"] - CREATED)


def test_a_failed_batch_says_why():
    """The error has code, message and line; an unknown code has a general message."""
    known, unknown, plain = (
        Scenario(text).life(CREATED).history()[-1]["errors"]
        for text in ("fail line 7 duplicate_custom_id", "fail strange", "validating > failed")
    )

    message = "The custom_id of this request is that of another request in the file."
    assert {
        "object": "list",
        "data": [{"code": "duplicate_custom_id", "message": message, "param": None, "line": 7}],
    } == known
    assert ("strange", "The batch failed.", None) == tuple(
        known["data"][0][name] for known in [unknown] for name in ("code", "message", "line")
    )
    assert ("invalid_json_line", 1) == (plain["data"][0]["code"], plain["data"][0]["line"])


def test_a_batch_that_fails_in_its_run_has_a_fitting_error():
    """The error has no line of the input file, unless the scenario has one."""
    run, named = (
        Scenario(f"validating > in_progress 1h > {end}").life(CREATED).history()[-1]["errors"]["data"][0]
        for end in ("failed", "fail line 3 token_limit_exceeded")
    )

    assert (("server_error", None), ("token_limit_exceeded", 3)) == tuple(
        (each["code"], each["line"]) for each in (run, named)
    )


def test_before_its_birth_a_life_is_as_it_was_born():
    """A stale response may need such a time."""
    life = Scenario("cancel at 1h").life(CREATED)

    assert life.at(CREATED) == life.at(CREATED - 5)


def test_files_come_with_the_end():
    """A completed request makes an output file; a failed one, or one that was cut off after it ran, an error file."""

    def files(text):
        wire = Scenario(text).life(CREATED).history()[-1]
        return wire["output_file_id"] is not None, wire["error_file_id"] is not None

    assert (True, False) == files("validating > in_progress 9+0/9 > finalizing > completed")
    assert (False, True) == files("validating > in_progress 0+9/9 > finalizing > completed")
    assert (True, True) == files("validating > in_progress 4+0/9 > expire")
    assert (True, False) == files("validating > in_progress 9+0/9 > expire")
    assert (False, False) == files("validating > cancelling > cancelled")
    assert (False, False) == files("validating > in_progress 4+0/9 > fail")
    assert (False, False) == files("validating > in_progress 4+0/9 > finalizing")


def test_a_cancel_is_taken_where_the_table_documents_it():
    """A cancel is refused from finalizing on; a second cancel changes nothing."""
    life = Scenario("validating 5s > in_progress 1h > finalizing 1h > completed").life(CREATED)
    cancelled = life.cancelled(CREATED + 60)

    assert ["validating", "in_progress", "cancelling", "cancelled"] == list(cancelled.walk)
    assert None is life.cancelled(CREATED + 4000)
    assert None is life.cancelled(CREATED + 9000)
    assert cancelled is cancelled.cancelled(CREATED + 90)
    assert cancelled is cancelled.cancelled(CREATED + 9000)
    assert () == life.cancelled(CREATED + 1).progress[1:-1]


def test_a_life_without_work_can_be_cancelled():
    """The life has no counts."""
    life = Timeline(entries=(("validating", CREATED), ("in_progress", CREATED + 5)))

    assert () == life.cancelled(CREATED + 60).progress
    assert (0, 0, 0) == counted(life.cancelled(CREATED + 60), 9999)


def test_ties_are_seen_one_by_one_in_a_history():
    """A poll sees the last of the changes within one second, and a history has each of them."""
    life = Scenario("validating 0s > in_progress 0s 1+0/1 > finalizing 0s > completed").life(CREATED)

    assert ["validating", "in_progress", "finalizing", "completed"] == [wire["status"] for wire in life.history()]
    assert "completed" == life.at(CREATED)["status"]
    assert "consistent" == audit(life.history()).verdict


def test_the_fields_are_those_of_the_wire():
    """The identity is part of each object; an id begins with the second of creation."""
    life = Scenario("cancel at 1h").life(CREATED, number=7, identity={"endpoint": "/v1/embeddings"})
    wire = life.at(CREATED + 60)

    assert ("/v1/embeddings", "gpt-5-2025-08-07", 0) == (wire["endpoint"], wire["model"], wire["usage"]["total_tokens"])
    assert (CREATED, 38) == (int(wire["id"][6:14], 16), len(wire["id"]))
    assert life.batch_id != Scenario("cancel at 1h").life(CREATED, number=8).batch_id
    assert "batch_mine" == Timeline(entries=(("validating", 5),), identity={"id": "batch_mine"}).batch_id


def test_usage_is_shown_at_the_end():
    """Before the end it is zeros, as on OpenAI."""
    usage = {"total_tokens": 5}
    life = Timeline(
        entries=(("validating", 5), ("failed", 9)), usage=usage, progress=(ProgressPoint(at=5, completed=0, failed=0),)
    )

    assert (0, 5) == (life.at(5)["usage"]["total_tokens"], life.at(9)["usage"]["total_tokens"])
