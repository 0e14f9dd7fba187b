"""Each dialect equals its row of the contract, and a dialect that contradicts itself is refused."""

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchfsm import parse
from batchfsm.dialects import Dialect, get_dialect, nearest_status
from batchfsm.errors import DefinitionError, UnknownNameError
from batchfsm.lifecycle import OPENAI, Lifecycle, State, Step
from support.dialects import ALL_DIALECTS, DIALECTS
from support.notation import snap

AZURE_ALIASES = {"Validating": "validating", "canceled": "cancelled"}

# One row for each dialect, as in the contract; settings that are not listed are those of openai.
ROWS: dict[str, dict[str, Any]] = {
    "openai": {},
    "azure": {
        "aliases": AZURE_ALIASES,
        "optional_stamps": {"in_progress"},
        "time_formats": {"iso"},
        "null_text": True,
        "null_counts": True,
        "deadline_tolerance_s": 5,
        "severities": {"T204": "off", "T207": "off", "F402": "note"},
    },
    "groq": {"optional_stamps": {"finalizing"}},
    "zhipu": {
        "time_formats": {"milliseconds"},
        "null_counts": True,
        "severities": {"P104": "off", "C303": "off"},
    },
    "dashscope": {"severities": {"P104": "off"}},
    "aibrix": {
        "initial": "scheduling",
        "aliases": {"created": "scheduling", "finalized": "finalizing"},
        "adds": """scheduling > validating failed cancelling expired; validating > expired;
                   in_progress > failed expired; finalizing > failed cancelled; cancelling > finalizing""",
        "drops": "finalizing > cancelling",
        "optional_stamps": {"validating"},
        "time_formats": {"digits"},
        "null_time_values": ("0",),
        "severities": {"C304": "off"},
    },
    "ogx": {
        "dropped_statuses": ("finalizing", "expired"),
        "adds": "in_progress > completed failed",
        "optional_stamps": {"in_progress"},
        "severities": {"P104": "off", "F401": "off", "F405": "off", "C304": "off"},
    },
    "litellm": {
        "aliases": {"complete": "completed"},
        "adds": "in_progress > completed failed",
        "optional_stamps": {"in_progress", "finalizing"},
        "severities": {
            "P104": "off",
            "C304": "off",
            "F405": "off",
            "C303": "note",
            "F401": "note",
            "P101": "warning",
            "P102": "warning",
            "T201": "warning",
            "H504": "warning",
        },
    },
    "compatible": {
        "aliases": AZURE_ALIASES
        | {
            "created": "validating",
            "scheduling": "validating",
            "pending": "validating",
            "queued": "validating",
            "in_queue": "validating",
            "running": "in_progress",
            "processing": "in_progress",
            "finalized": "finalizing",
            "complete": "completed",
        },
        "any_spelling": True,
        "adds": """validating > expired cancelled; in_progress > failed expired completed cancelled;
                   finalizing > failed cancelling cancelled;
                   cancelling > completed failed expired finalizing""",
        "optional_stamps": {"in_progress", "finalizing", "cancelling"},
        "time_formats": {"milliseconds", "iso", "digits"},
        "null_time_values": (0, "0", "", 946684800, 946656000000),
        "null_text": True,
        "null_counts": True,
        "severities": {
            "T201": "warning",
            "T203": "warning",
            "P101": "warning",
            "P102": "warning",
            "H504": "warning",
            "S003": "note",
            "C303": "note",
            "F401": "note",
            "T202": "off",
            "P104": "off",
            "C304": "off",
            "T204": "off",
            "T207": "off",
            "F405": "off",
        },
    },
}
PLAIN: dict[str, Any] = {
    "aliases": {},
    "optional_stamps": set(),
    "time_formats": set(),
    "null_time_values": (),
    "any_spelling": False,
    "null_text": False,
    "null_counts": False,
    "deadline_tolerance_s": 0,
    "severities": {},
}


def pairs(text):
    """Return the steps that a text lists: `a > b c; d > e` has the steps a to b, a to c and d to e."""
    rows = [part.split(">") for part in text.split(";") if part]
    return {(source.strip(), target) for source, targets in rows for target in targets.split()}


def steps(lifecycle, *evidence):
    """Return the steps of a lifecycle that have one of these kinds of evidence."""
    return {(step.source, step.target) for step in lifecycle.steps if step.evidence in evidence}


def problems(**rows):
    """Return the problems of a dialect with these settings."""
    with pytest.raises(DefinitionError) as caught:
        Dialect(name="mine", **rows)
    return caught.value.problems


# ---------------------------------------------------------------- the table of the contract


def test_the_dialects_are_those_of_the_contract():
    """The nine dialects are in the contract's order, each under its own name."""
    assert list(ROWS) == list(DIALECTS)
    assert list(ROWS) == [dialect.name for dialect in DIALECTS.values()]


@pytest.mark.parametrize("name, row", ROWS.items())
def test_a_dialect_reads_as_its_row(name, row):
    """Aliases, optional stamps, time forms, sentinels, nulls, tolerance and severities equal the row."""
    dialect = DIALECTS[name]

    assert {setting: row.get(setting, default) for setting, default in PLAIN.items()} == {
        setting: getattr(dialect, setting) for setting in PLAIN
    }


@pytest.mark.parametrize("name, row", ROWS.items())
def test_a_dialect_has_the_steps_of_its_row(name, row):
    """The steps are OpenAI's, plus the dialect's own documented steps, minus those that it drops."""
    lifecycle, dropped = DIALECTS[name].lifecycle, set(row.get("dropped_statuses", ()))
    adds, drops = pairs(row.get("adds", "")), pairs(row.get("drops", ""))

    def left(expected):
        return {pair for pair in expected - drops if not dropped & set(pair)}

    assert left(steps(OPENAI, "documented") | adds) == steps(lifecycle, "documented")
    every = steps(OPENAI, "documented", "tolerated") | adds
    assert left(every) == steps(lifecycle, "documented", "tolerated")


@pytest.mark.parametrize("name, row", ROWS.items())
def test_a_dialect_has_the_statuses_of_its_row(name, row):
    """The dialect's own initial status comes first and has the stamp created_at; the others keep OpenAI's order."""
    initial = row.get("initial", "validating")
    stamps = {
        status: None if status == "validating" else f"{status}_at"
        for status in OPENAI.statuses
        if status not in row.get("dropped_statuses", ())
    }

    assert list(({initial: None} | stamps | {initial: "created_at"}).items()) == [
        (state.name, state.stamp) for state in DIALECTS[name].lifecycle.states
    ]
    assert (name, initial) == (DIALECTS[name].lifecycle.name, DIALECTS[name].lifecycle.initial)


def test_openai_is_the_base_itself():
    """The dialect `openai` adds and drops nothing."""
    assert OPENAI == DIALECTS["openai"].lifecycle


def test_compatible_takes_every_word_of_the_others():
    """The aliases include those of all dialects, and AIBrix's own status."""
    others = {word for dialect in DIALECTS.values() for word in dialect.aliases} | {"scheduling"}

    assert others <= DIALECTS["compatible"].aliases.keys()


def test_compatible_has_no_step_that_is_merely_tolerated():
    """The steps that `openai` tolerates are documented in `compatible`."""
    assert set() == steps(DIALECTS["compatible"].lifecycle, "tolerated")


@pytest.mark.parametrize("name", ROWS)
def test_all_but_compatible_are_acyclic(name):
    """Only `compatible` has a cycle."""
    left = steps(DIALECTS[name].lifecycle, "documented", "tolerated")
    while ended := {pair for pair in left if pair[1] not in {source for source, _ in left}}:
        left -= ended

    assert (name == "compatible") == bool(left)


@pytest.mark.parametrize("name", ROWS)
def test_every_dialect_says_who_says_so(name):
    """Each dialect and each of its steps has a source, and each event is the verb of its target."""
    dialect = DIALECTS[name]
    verbs = {step.target: step.event for step in OPENAI.steps} | {"validating": "validate"}

    assert dialect.sources
    assert [] == [step for step in dialect.lifecycle.steps if not step.sources]
    assert [verbs[step.target] for step in dialect.lifecycle.steps] == [step.event for step in dialect.lifecycle.steps]


@pytest.mark.parametrize("name", ROWS)
def test_a_word_is_read_by_its_alias(name):
    """An alias becomes the lifecycle's status; other words stay unchanged."""
    dialect = DIALECTS[name]

    assert dict(dialect.aliases) == {word: dialect.canonical_status(word) for word in dialect.aliases}
    assert ("completed", "paused") == (dialect.canonical_status("completed"), dialect.canonical_status("paused"))


@given(st.data())
def test_any_spelling_of_a_known_word_is_read(data):
    """`compatible` ignores case and separators of statuses and aliases; `openai` does not."""
    dialect = DIALECTS["compatible"]
    word = data.draw(st.sampled_from([*dialect.lifecycle.statuses, *dialect.aliases]))
    separators = data.draw(st.lists(st.sampled_from(["", "-", "_", " ", "."]), min_size=9, max_size=9))
    joined = "".join(f"{part}{separator}" for part, separator in zip(word.split("_"), separators, strict=False))
    cases = data.draw(st.lists(st.booleans(), min_size=99, max_size=99))
    written = "".join(each.upper() if upper else each.lower() for each, upper in zip(joined, cases, strict=False))

    assert dialect.canonical_status(word) == dialect.canonical_status(written)
    assert dialect.canonical_status(word) == parse(snap("v", status=written), dialect="compatible").status
    assert (written in OPENAI.statuses) == (DIALECTS["openai"].canonical_status(written) in OPENAI.statuses)


def test_the_wire_keeps_the_spelling():
    """The server's spelling is in `extra`, and is written."""
    snapshot = parse(snap("vp", status="IN-PROGRESS"), dialect="compatible")

    assert ("in_progress", "IN-PROGRESS") == (snapshot.status, snapshot.extra["status"])
    assert "IN-PROGRESS" == snapshot.to_dict()["status"]


@pytest.mark.parametrize(
    "word, status",
    [
        ("Completed", "completed"),
        ("IN-PROGRESS", "in_progress"),
        ("inProgress", "in_progress"),
        ("StatusInProgress", "in_progress"),
        ("BATCH_STATUS_CANCELLED", "cancelled"),
        ("JOB_STATE_FAILED", "failed"),
        ("complete", "completed"),
        ("canceled", "cancelled"),
        ("canceling", "cancelling"),
        ("finalising", "finalizing"),
        ("incomplete", None),
        ("not_completed", None),
        ("paused", None),
        ("status", None),
        ("", None),
        ("-", None),
        ("completed" * 99, None),
    ],
)
def test_an_unknown_word_resembles_a_status(word, status):
    """Other spellings, an enum's name as prefix and one letter more or less are recognized; opposites are not."""
    assert status == nearest_status(word, DIALECTS["openai"])


def test_an_unknown_word_resembles_an_alias():
    """A word that resembles an alias gives the alias's status."""
    assert "scheduling" == nearest_status("Created", DIALECTS["aibrix"])


BOUNDS = {"validating": 21_600, "finalizing": 3_600, "cancelling": 3_600}


@pytest.mark.parametrize("name", ROWS)
def test_every_dialect_has_the_bounds_of_openai(name):
    """validating, finalizing and cancelling have a time limit in each dialect that has the status."""
    known = DIALECTS[name].lifecycle.statuses

    assert {status: bound for status, bound in BOUNDS.items() if status in known} == DIALECTS[name].stuck_after_s


def test_bounds_of_a_dialect_replace_the_default():
    """A status that is not listed has no time limit, and a later change of the argument has no effect."""
    bounds = {"cancelling": 60}
    mine = Dialect(name="mine", stuck_after_s=bounds)
    bounds["finalizing"] = 1

    assert {"cancelling": 60} == mine.stuck_after_s
    assert {} == Dialect(name="mine", stuck_after_s={}).stuck_after_s
    with pytest.raises(TypeError):
        mine.stuck_after_s["finalizing"] = 1


def test_a_default_bound_goes_with_its_status():
    """A derived dialect that drops a status also drops the default time limit of the status."""
    mine = attrs.evolve(DIALECTS["openai"], dropped_statuses=("finalizing", "expired"), steps=DIALECTS["ogx"].steps)

    assert {"validating": 21_600, "cancelling": 3_600} == mine.stuck_after_s


# ---------------------------------------------------------------- get_dialect


def test_a_dialect_is_found_by_name_or_is_itself():
    """A name gives the registered dialect; a dialect object is returned unchanged."""
    mine = Dialect(name="mine")

    assert DIALECTS["groq"] is get_dialect("groq")
    assert mine is get_dialect(mine)


def test_an_unknown_dialect_is_answered_with_all():
    """The message lists the registered dialects."""
    with pytest.raises(UnknownNameError) as caught:
        get_dialect("gpt")

    assert f"no dialect is called 'gpt'; known: {', '.join(ALL_DIALECTS)}" == str(caught.value)
    assert tuple(ALL_DIALECTS) == caught.value.known


def test_a_bare_lifecycle_is_a_strict_dialect():
    """The dialect of a bare lifecycle has whole seconds and no aliases."""
    found = get_dialect(OPENAI)

    assert (OPENAI, PLAIN) == (found.lifecycle, {setting: getattr(found, setting) for setting in PLAIN})


def test_a_bare_lifecycle_is_one_dialect():
    """Parsers and tables are cached for each dialect, so one lifecycle must always give the same dialect."""
    assert get_dialect(OPENAI) is get_dialect(OPENAI)


# ---------------------------------------------------------------- user-defined dialects


def test_a_dialect_of_ones_own_in_three_lines():
    """An alias and an optional stamp suffice to read the objects of another server."""
    mine = Dialect(name="mine", aliases={"done": "completed"}, optional_stamps={"finalizing"})

    assert "completed" == parse(snap("vpc", status="done"), dialect=mine).status
    assert "done" == parse(snap("vpc", status="done")).status


def test_a_dialect_of_a_lifecycle_of_ones_own():
    """A dialect can extend any lifecycle, here one with the statuses open and done."""
    door = Lifecycle(
        name="door",
        initial="open",
        states=(State("open"), State("done", "completed_at", terminal=True)),
        steps=(Step("open", "close", "done"),),
    )
    mine = Dialect(name="mine", base=door, states=(State("ajar"),), steps=(
        Step("open", "push", "ajar"), Step("ajar", "close", "done"),
    ))  # fmt: skip

    assert (("ajar", "open", "done"), {"done"}) == (mine.lifecycle.statuses, mine.lifecycle.terminal)
    assert "ajar" == parse({"id": "1", "status": "ajar", "created_at": 1}, dialect=mine).status


def test_an_own_step_takes_the_place_of_the_bases():
    """A step with other evidence keeps its position, because the order of the table breaks ties."""
    own = Step("in_progress", "fail", "failed", "documented", ("we saw it",))
    new = Step("in_progress", "complete", "completed")
    place = [(step.source, step.target) for step in OPENAI.steps].index(("in_progress", "failed"))

    mine = Dialect(name="mine", steps=(new, own))

    assert (*OPENAI.steps[:place], own, *OPENAI.steps[place + 1 :], new) == mine.lifecycle.steps


def test_another_initial_status_takes_created_at():
    """The new initial status has the stamp created_at, and the former one has no stamp."""
    mine = Dialect(name="mine", initial="new", states=(State("new"),), steps=(Step("new", "validate", "validating"),))

    assert [("new", "created_at"), ("validating", None), ("in_progress", "in_progress_at")] == [
        (state.name, state.stamp) for state in mine.lifecycle.states[:3]
    ]


def test_a_dialect_is_frozen_all_through():
    """The fields and mappings cannot be changed, and a later change of the argument has no effect."""
    aliases = {"done": "completed"}
    mine = Dialect(name="mine", aliases=aliases)
    aliases["over"] = "completed"

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        mine.null_text = True
    with pytest.raises(TypeError):
        mine.aliases["over"] = "completed"
    with pytest.raises(TypeError):
        DIALECTS["mine"] = mine
    assert {"done": "completed"} == mine.aliases


# ---------------------------------------------------------------- invalid definitions


@pytest.mark.parametrize(
    "rows, problem",
    [
        ({"dropped_statuses": ("queued",)}, "drops status 'queued', which openai does not have"),
        (
            {"dropped_steps": (("validating", "completed"),)},
            "drops the step validating to completed, which openai does not have",
        ),
        ({"states": (State("failed"),)}, "adds status 'failed', which openai has already"),
        ({"aliases": {"failed": "expired"}}, "alias 'failed' is a status itself"),
        (
            {"aliases": {"done": "over"}},
            f"alias 'done' means 'over', which is not a status ({', '.join(OPENAI.statuses)})",
        ),
        (
            {"aliases": {"done": "expired"}, "dropped_statuses": ("expired",)},
            "alias 'done' means 'expired', which is not a status "
            f"({', '.join(status for status in OPENAI.statuses if status != 'expired')})",
        ),
        (
            {"aliases": {"COMPLETED": "failed"}, "any_spelling": True},
            "alias 'COMPLETED' is another status in another spelling",
        ),
        ({"optional_stamps": {"queued"}}, "optional stamp of 'queued', which is not a status"),
        ({"time_formats": {"weeks"}}, "time format 'weeks' is none of milliseconds, iso, digits, datetime"),
        ({"severities": {"X101": "off"}}, "severity of 'X101', which is no rule code"),
        ({"severities": {"P101x": "off"}}, "severity of 'P101x', which is no rule code"),
        (
            {"severities": {"P101": "fatal"}},
            "severity 'fatal' of P101 is none of error, warning, note, off",
        ),
        ({"deadline_tolerance_s": -1}, "the tolerance of the deadline is negative"),
        ({"stuck_after_s": {"completed": 60}}, "bound of 'completed', which is not a status that can last"),
        ({"stuck_after_s": {"queued": 60}}, "bound of 'queued', which is not a status that can last"),
        (
            {
                "stuck_after_s": {"finalizing": 60},
                "dropped_statuses": ("finalizing", "expired"),
                "steps": DIALECTS["ogx"].steps,
            },
            "bound of 'finalizing', which is not a status that can last",
        ),
        ({"stuck_after_s": {"cancelling": 0}}, "bound of 'cancelling' is not above 0 seconds"),
    ],
)
def test_a_contradiction_is_refused_by_name(rows, problem):
    """Each contradiction is one sentence of the error."""
    assert (problem,) == problems(**rows)


@pytest.mark.parametrize(
    "rows, problem",
    [
        ({"initial": "queued"}, "the initial status 'queued' is not a status"),
        ({"initial": "in_progress"}, "status 'validating' cannot be reached"),
        ({"dropped_statuses": ("in_progress",)}, "status 'finalizing' cannot be reached"),
        ({"dropped_steps": (("cancelling", "cancelled"),)}, "status 'cancelled' cannot be reached"),
        ({"states": (State("paused"),)}, "status 'paused' cannot be reached"),
        ({"steps": (Step("completed", "retry", "validating"),)}, "completed is final"),
        ({"steps": (Step("validating", "queue", "queued"),)}, "'queued' is not a status"),
    ],
)
def test_what_results_is_checked_like_a_lifecycle(rows, problem):
    """The resulting lifecycle must be valid."""
    assert problem in "; ".join(problems(**rows))


def test_an_own_step_stands_once():
    """Two steps of a dialect with the same source and target are refused."""
    steps = (
        Step("in_progress", "complete", "completed"),
        Step("in_progress", "skip", "completed", "tolerated"),
    )

    assert "the step in_progress to completed stands twice" in "; ".join(problems(steps=steps))


def test_all_contradictions_are_named_at_once():
    """One error lists all conflicts with the base; if there are none, all conflicts with the resulting lifecycle."""
    assert (
        "drops status 'queued', which openai does not have",
        "drops the step failed to validating, which openai does not have",
        "adds status 'expired', which openai has already",
    ) == problems(dropped_statuses=("queued",), dropped_steps=(("failed", "validating"),), states=(State("expired"),))
    assert (
        "alias 'failed' is a status itself",
        f"alias 'done' means 'over', which is not a status ({', '.join(OPENAI.statuses)})",
        "optional stamp of 'queued', which is not a status",
        "time format 'weeks' is none of milliseconds, iso, digits, datetime",
        "severity of 'X1', which is no rule code",
        "severity 'fatal' of P101 is none of error, warning, note, off",
        "the tolerance of the deadline is negative",
    ) == problems(
        aliases={"failed": "expired", "done": "over"},
        optional_stamps={"queued"},
        time_formats={"weeks"},
        severities={"X1": "off", "P101": "fatal"},
        deadline_tolerance_s=-1,
    )


def test_the_error_names_the_dialect():
    with pytest.raises(DefinitionError) as caught:
        Dialect(name="mine", deadline_tolerance_s=-1)

    assert "invalid dialect 'mine': the tolerance of the deadline is negative" == str(caught.value)
    assert "dialect 'mine'" == caught.value.name
