"""Strategies: healthy histories, polls of a history, and histories that break one rule."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import batchfsm.testing
from batchfsm import OPENAI, RULES, audit
from batchfsm.errors import UnknownNameError
from batchfsm.testing import Scenario, Timeline, assert_consistent, broken, histories, polls, timelines
from batchfsm.testing.violations import (
    HISTORY_VIOLATIONS,
    SNAPSHOT_VIOLATIONS,
    broken_history,
    broken_snapshot,
    history_places,
    snapshot_places,
)
from batchfsm.topology import topology
from support.dialects import CHECKING, DIALECTS
from support.notation import CREATED


@settings(max_examples=50)
@given(dialect=st.sampled_from([*DIALECTS]), data=st.data())
def test_lives_are_consistent(dialect, data):
    """A history along documented steps has no finding."""
    assert {} == audit(data.draw(histories(dialect=dialect)), dialect=dialect).counts


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
@given(data=st.data())
def test_lives_are_consistent_in_every_dialect(dialect, data):
    """Many histories along the documented steps of each dialect have no finding."""
    assert {} == audit(data.draw(histories(dialect=dialect)), dialect=dialect).counts


@pytest.mark.parametrize("dialect", ["openai", "aibrix", "compatible"])
@settings(max_examples=50)
@given(data=st.data())
def test_tolerated_steps_are_warnings(dialect, data):
    """A history with such steps has warnings and no error."""
    history = data.draw(histories(dialect=DIALECTS[dialect], tolerated=True))

    assert_consistent(history, dialect=dialect)


@given(life=timelines())
def test_a_life_ends(life):
    """It begins in the initial status, ends in a final one, and each step is in the table."""
    graph = topology(life.dialect.lifecycle)

    assert ("validating", True) == (life.walk[0], life.walk[-1] in graph.terminal)
    assert life.history()[-1] == life.at(life.ends_at)
    assert all(pair in graph.steps for pair in zip(life.walk, life.walk[1:], strict=False))


@given(data=st.data())
def test_polls_are_some_of_a_history_in_order(data):
    """Snapshots may repeat, and there is at least one."""
    history = list(range(data.draw(st.integers(1, 5))))
    seen = data.draw(polls(history))

    assert seen == sorted(seen)
    assert set() < set(seen) <= set(history)


@given(data=st.data())
def test_polls_of_a_healthy_history_are_healthy(data):
    """Missed and repeated snapshots cause no finding."""
    assert_consistent(data.draw(polls(data.draw(histories()))))


def lives():
    """Return a life along each documented walk, a minute in each status."""
    graph = topology(OPENAI)
    walks = [
        walk
        for end in OPENAI.statuses
        if end in OPENAI.terminal
        for walk in graph.walks("validating", end, frozenset(OPENAI.statuses), strict=True)
    ]
    ends = {"expired": "expire", "failed": "failed", "completed": "completed", "cancelled": "cancelled"}
    texts = [" > ".join([*(f"{status} 1m" for status in walk[:-1]), ends[walk[-1]]]) for walk in walks]
    return {life.walk: life for life in (Scenario(text).life(CREATED) for text in texts)}


LIVES = lives()


@pytest.mark.parametrize("code", SNAPSHOT_VIOLATIONS)
def test_every_snapshot_that_can_break_a_rule_breaks_it(code):
    """The rule is broken in each status along each walk."""
    ways = list(snapshot_places(code, LIVES))

    assert ways
    for walk, end in ways:
        history = broken_snapshot(code, LIVES[walk], end)
        assert {code} == audit(history, dialect=CHECKING[code]).counts.keys(), (walk, end)
        assert {} == audit(history[:-1], dialect=CHECKING[code]).counts


@pytest.mark.parametrize("code", HISTORY_VIOLATIONS)
def test_every_two_snapshots_that_can_break_a_rule_break_it(code):
    """Each walk is combined with each other walk that contradicts it."""
    ways = list(history_places(code, list(LIVES)))

    assert ways
    for walk, end, then in ways:
        history = broken_history(code, LIVES[walk], end, then)
        assert [{}, {code}] == [audit(history[:1]).counts, audit(history).counts.keys()], (walk, end, then)


def test_every_rule_can_be_broken():
    """One snapshot or two can break it."""
    assert set(RULES) == {*SNAPSHOT_VIOLATIONS, *HISTORY_VIOLATIONS}
    assert set() == SNAPSHOT_VIOLATIONS.keys() & HISTORY_VIOLATIONS.keys()


def breaks_one_rule(code, history):
    """Assert that the last snapshot of a history breaks the rule and no other, and that those before it break none."""
    assert {code} == audit(history, dialect=CHECKING[code]).counts.keys()
    assert {} == audit(history[:-1], dialect=CHECKING[code]).counts


@pytest.mark.parametrize("code", RULES)
@settings(max_examples=5)
@given(data=st.data())
def test_a_broken_history_breaks_its_rule_and_no_other(code, data):
    """The last snapshot of a broken history breaks the rule asked for and no other."""
    breaks_one_rule(code, data.draw(broken(code)))


@pytest.mark.slow
@pytest.mark.parametrize("code", RULES)
@given(data=st.data())
def test_many_broken_histories_break_their_rule_and_no_other(code, data):
    """In a hundred histories for each rule the last snapshot breaks that rule and no other."""
    breaks_one_rule(code, data.draw(broken(code)))


def test_a_rule_that_is_none_is_refused():
    """The message lists the known rules."""
    with pytest.raises(UnknownNameError, match="no rule is called 'X999'; known: S001"):
        broken("X999")


def test_a_life_can_be_written_down():
    """The `repr` of attrs is code that can be pasted into a test."""
    life = Timeline(entries=(("validating", 5),))

    assert life == Timeline(entries=(("validating", 5),))


# ---------------------------------------------------------------- public names


def test_public_names_are_what_the_room_has():
    """`__all__` is sorted, and each name resolves."""
    names = batchfsm.testing.__all__

    assert sorted(set(names), key=lambda name: (not name.isupper(), name[0].islower(), name)) == names
    assert all(getattr(batchfsm.testing, name) is not None for name in names)
    with pytest.raises(AttributeError, match=r"^module 'batchfsm\.testing' has no attribute 'Mock'$"):
        _ = batchfsm.testing.Mock


@pytest.mark.parametrize(
    "missing, use, said",
    [
        (
            "hypothesis",
            "testing.timelines",
            "the strategy timelines needs more packages: pip install 'batchfsm[testing]' (in a clone: pip install '.[testing]')",
        ),
        (
            "openai",
            "testing.FakeBatchAPI().client()",
            "this client of FakeBatchAPI needs the package openai: pip install openai",
        ),
        (
            "httpx",
            "testing.FakeBatchAPI().httpx_transport()",
            "this client of FakeBatchAPI needs the package httpx: pip install httpx",
        ),
    ],
)
def test_what_is_not_installed_is_named(missing, use, said):
    """The fake API itself needs none of these packages."""
    script = f"""
import sys
sys.modules[{missing!r}] = None
from batchfsm import testing, MissingExtraError
testing.FakeBatchAPI().start()
try: {use}
except ImportError as error: print(error)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert said in ran.stdout


def test_another_error_of_an_import_is_not_hidden(monkeypatch):
    """The message does not advise to install a package that is installed but broken."""
    monkeypatch.setitem(sys.modules, "batchfsm.testing.strategies", None)
    monkeypatch.delitem(vars(batchfsm.testing), "broken", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"batchfsm\.testing\.strategies"):
        _ = batchfsm.testing.broken
