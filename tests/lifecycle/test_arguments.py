"""Wrong arguments of public functions: durations, times, types, and the names of keywords."""

import inspect
import re
from datetime import timedelta

import pytest

import batchfsm
from batchfsm import AsyncMonitor, JournalError, Monitor, Schedule, SQLiteJournal, audit, awatch, watch, write_report
from batchfsm.arguments import check_seconds, check_time
from batchfsm.machine import build
from batchfsm.metrics import Metrics
from batchfsm.testing import FakeBatchAPI
from batchfsm.tracing import follow

WAIT = "results_wait_s is 0 or more seconds, not"


@pytest.mark.parametrize(
    "wrong, said",
    [
        ("5m", f"{WAIT} '5m': write 300"),
        ("90", f"{WAIT} '90': write 90"),
        ("soon", f"{WAIT} 'soon'"),
        (timedelta(minutes=5), f"{WAIT} datetime.timedelta(seconds=300): write 300"),
        (True, f"{WAIT} True"),
        (None, f"{WAIT} None"),
        (-1, f"{WAIT} -1"),
        (float("nan"), f"{WAIT} nan"),
    ],
    ids=repr,
)
def test_a_duration_in_another_form_is_refused_with_the_number_to_write(wrong, said):
    """The message names the argument and the wrong value."""
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        check_seconds("results_wait_s", wrong)


@pytest.mark.parametrize("wrong", ["5m", timedelta(minutes=5), True, -1, float("nan"), b"5m"], ids=repr)
@pytest.mark.parametrize(
    "call, name",
    [
        (lambda wrong: watch(FakeBatchAPI().client(), "b", timeout_s=wrong), "timeout_s"),
        (lambda wrong: watch(FakeBatchAPI().client(), "b", results_wait_s=wrong), "results_wait_s"),
        (lambda wrong: watch(FakeBatchAPI().client(), "b", stalled_after_s=wrong), "stalled_after_s"),
        (lambda wrong: Schedule(stalled_after_s={"validating": wrong}), "stalled_after_s of validating"),
        (lambda wrong: Schedule(delay_s_min=wrong), "delay_s_min"),
        (lambda wrong: Schedule(delay_s_max=wrong), "delay_s_max"),
        (lambda wrong: audit([], skew_s=wrong), "skew_s"),
    ],
    ids=[
        "timeout_s",
        "results_wait_s",
        "stalled_after_s",
        "stalled_after_s of",
        "delay_s_min",
        "delay_s_max",
        "skew_s",
    ],
)
def test_every_duration_is_checked_by_its_name(call, name, wrong):
    """No duration reaches an operator of Python."""
    with pytest.raises(ValueError, match=rf"^{name} is "):
        call(wrong)


@pytest.mark.parametrize("limit", [0, float("inf")])
def test_a_duration_may_be_zero_or_have_no_end(limit):
    """Only a duration that must be positive refuses both."""
    check_seconds("timeout_s", limit)
    with pytest.raises(ValueError, match=f"^share is a positive number, not {limit}$"):
        check_seconds("share", limit, is_positive=True)


@pytest.mark.parametrize(
    "wrong, kind", [("90", TypeError), (True, TypeError), (None, TypeError), (float("inf"), ValueError)]
)
def test_a_time_is_a_finite_number(wrong, kind):
    """The message names the argument."""
    with pytest.raises(kind, match=re.escape(f"now is a time in Unix seconds, not {wrong!r}")):
        check_time("now", wrong)


@pytest.mark.parametrize("is_journaled", [False, True])
def test_redeliver_refuses_a_time_of_another_form(is_journaled, tmp_path):
    """It is checked with a journal and without one."""
    with SQLiteJournal(tmp_path / "j.db") as journal:
        monitor = Monitor(journal=journal if is_journaled else None)
        with pytest.raises(TypeError, match=r"^now= is a time in Unix seconds, not '5m'$"):
            monitor.redeliver(now="5m")


@pytest.mark.parametrize(
    "call, function, keyword",
    [
        (lambda: watch(None, "b", timeout="5m"), "watch", "timeout"),
        (lambda: awatch(None, "b", timeout=5), "awatch", "timeout"),
        (lambda: audit([], selct="T"), "audit", "selct"),
        (lambda: Monitor(dialec="x"), "Monitor.__init__", "dialec"),
        (lambda: AsyncMonitor(colour=1), "AsyncMonitor.__init__", "colour"),
        (lambda: Monitor().on("completed", nme="x"), "Monitor.on", "nme"),
        (lambda: Monitor().on_finding("H5", nam="x"), "Monitor.on_finding", "nam"),
    ],
    ids=["watch", "awatch", "audit", "Monitor", "AsyncMonitor", "on", "on_finding"],
)
def test_an_unknown_keyword_is_refused_at_once(call, function, keyword):
    """The message names the function as users call it; since Python 3.13 also the nearest keyword."""
    with pytest.raises(TypeError, match=rf"^{re.escape(function)}\(\) got an unexpected keyword argument '{keyword}'"):
        call()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: audit([], select=3), "select takes names of rules, such as ['H502'], not 3"),
        (lambda: audit([], ignore=3), "ignore takes names of rules, such as ['H502'], not 3"),
        (lambda: audit([], progress=3), "progress is a function of one argument, not 3"),
        (lambda: Monitor(journal=3), "journal is a journal, such as SQLiteJournal('batches.db'), not 3"),
        (lambda: Metrics(3), "registry is a CollectorRegistry of prometheus_client, not 3"),
        (lambda: follow(3), "monitor is a Monitor or AsyncMonitor, not 3"),
        (lambda: build(3), "lifecycle is a Lifecycle, such as batchfsm.OPENAI, not 3; a model is model="),
        (lambda: build(model=3), "model is an object that takes attributes, or a list of such objects, not 3"),
        (lambda: build(model=["a"]), "model is an object that takes attributes, or a list of such objects, not 'a'"),
        (
            lambda: FakeBatchAPI().start(3),
            "a scenario is text such as 'validating 5s > completed', or a BatchPlan, not 3",
        ),
        (lambda: write_report({}, "report.html"), "report is a Report, the result of audit, not dict"),
        (lambda: FakeBatchAPI(4), "a scenario is text such as 'validating 5s > completed', or a BatchPlan, not 4"),
    ],
)
def test_an_argument_of_a_wrong_type_is_named(call, message):
    """Python's own error would come from inside, and name neither the argument nor its type."""
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        call()


def test_errors_about_arguments_name_public_classes():
    """Python takes the name in such an error from the method: none is of a class that users do not know."""
    classes = [each for name in batchfsm.__all__ if inspect.isclass(each := getattr(batchfsm, name))]
    public = {each.__name__ for each in classes} | {"Journal"}
    names = [
        (each.__name__, function.__qualname__)
        for each in classes
        if not issubclass(each, BaseException)
        for name, function in inspect.getmembers(each, inspect.isfunction)
        if not name.startswith("_") and function.__module__.startswith("batchfsm")
    ]

    assert len(names) > 30
    assert [] == [name for name in names if name[1].split(".")[0] not in public]


@pytest.mark.parametrize("monitor", [Monitor, AsyncMonitor])
def test_a_monitor_refuses_a_closed_journal(monitor, tmp_path):
    """It fails when it is made, not at the first batch."""
    journal = SQLiteJournal(tmp_path / "j.db")
    journal.close()

    with pytest.raises(JournalError, match=r"j\.db: it is closed$"):
        monitor(journal=journal)


@pytest.mark.parametrize("wrong", ["", 3], ids=repr)
@pytest.mark.parametrize("method", ["on", "on_finding"])
def test_a_hook_has_no_empty_name(method, wrong):
    """The default name would take its place in silence."""
    with pytest.raises(TypeError, match=f"^name= is the name of the hook, text, not {wrong!r}$"):
        getattr(Monitor(), method)(name=wrong)


@pytest.mark.parametrize(
    "call",
    [lambda: Monitor().on_finding(3), lambda: audit([], ignore=[3]), lambda: audit([], select=[3])],
    ids=["on_finding", "ignore", "select"],
)
def test_a_rule_is_named_by_text(call):
    """Anything else is refused."""
    with pytest.raises(TypeError, match=r"^a rule is named by text, such as 'H502', not by 3$"):
        call()


@pytest.mark.parametrize("name", ["journal", "results", "sources", "testing", "watching"])
def test_a_public_package_is_an_attribute(name):
    """`batchfsm.sources` needs no import of its own."""
    assert f"batchfsm.{name}" == getattr(batchfsm, name).__name__
