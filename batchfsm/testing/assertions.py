"""Asserts for tests of pollers and hooks; what fails shows the timeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from batchfsm.auditing import audit
from batchfsm.dialects import Dialect, find
from batchfsm.errors import UnknownNameError
from batchfsm.escapes import printable
from batchfsm.explain import timeline, timelines_by_batch
from batchfsm.history import BatchTimeline
from batchfsm.logs import parse_records, resolve_source
from batchfsm.route import Transition
from batchfsm.wire import reader


def assert_consistent(history: Iterable[object], *, dialect: str | Dialect = "openai") -> None:
    """
    Fail if a history breaches a rule with severity error, or shows nothing that can be judged.

    Args:
        history: Batch objects of any SDK, mappings or envelopes, in order of observation.
        dialect: Whose lifecycle it is.

    Raises:
        AssertionError: With the findings, and the timeline of each batch.
    """
    seen = list(history)
    report = audit(seen, dialect=dialect)
    if report.ok:
        return
    raise AssertionError(
        "\n".join(
            [
                f"{report.verdict}; snapshots: {report.snapshots}, batches: {report.batches}",
                *(f"{found.severity} {found.rule} {printable(found.message)}" for found in report.findings),
                *(f"{each.place}: {printable(each.problem)}" for each in report.unreadable),
                "",
                *(timeline(life) for life in _lives(seen, find(dialect))),
            ]
        )
    )


def assert_lifecycle(history: Iterable[object], way: str, *, dialect: str | Dialect = "openai") -> None:
    """
    Fail if a batch did not go a way: born in its first status, now in its last, the others passed in that order.

    Statuses between those that are named may have been passed too; those that polls
    missed count, as far as stamps or the table prove them.

    Args:
        history: Snapshots of one batch, in order of observation.
        way: Statuses: `validating > in_progress > completed`.
        dialect: Whose lifecycle it is.

    Raises:
        AssertionError: With the timeline.
        UnknownNameError: If the lifecycle has no such status.
    """
    named, words = find(dialect), [word.strip() for word in way.split(">")]
    for word in words:
        if word not in named.lifecycle.statuses:
            raise UnknownNameError("status", word, named.lifecycle.statuses)
    found = _lives(list(history), named)
    if len(found) != 1:
        raise AssertionError(f"one batch has a lifecycle; here are {len(found)}")
    entered = [transition.target for transition in found[0].transitions]
    if entered and words[0] == entered[0] and words[-1] == entered[-1] and _passes(entered, words):
        return
    raise AssertionError(
        f"the batch did not go {' > '.join(words)}\nit went {' > '.join(entered) or 'nowhere'}\n\n{timeline(found[0])}"
    )


def assert_fired_once(fired: Iterable[Transition], *statuses: str) -> None:
    """
    Fail if a transition fired twice, or one into a named status did not fire just once for each batch.

    Args:
        fired: What a hook was called with, in order, of one batch or many.
        statuses: Those that each batch must have entered, once.

    Raises:
        AssertionError: With the batch, and what fired for it.
    """
    by_batch: dict[str, list[Transition]] = {}
    for transition in fired:
        by_batch.setdefault(transition.batch_id, []).append(transition)
    if statuses and not by_batch:
        raise AssertionError(f"nothing fired, {' and '.join(statuses)} neither")
    for batch_id, transitions in by_batch.items():
        targets = Counter(transition.target for transition in transitions)
        keys = Counter(transition.key for transition in transitions)
        wrong = [f"{status} fired {targets[status]} times" for status in statuses if targets[status] != 1]
        wrong = wrong or [f"{key} fired {times} times" for key, times in keys.items() if times > 1]
        if wrong:
            told = " > ".join(transition.target for transition in transitions)
            raise AssertionError(f"{printable(batch_id)}: {printable(', '.join(wrong))}; all that fired: {told}")


def _lives(history: list[object], dialect: Dialect) -> list[BatchTimeline]:
    return list(timelines_by_batch(parse_records(resolve_source(history), reader(dialect)), dialect))


def _passes(entered: Sequence[str], words: Sequence[str]) -> bool:
    """Tell whether words come in order among what was entered."""
    left = iter(entered)
    return all(word in left for word in words)
