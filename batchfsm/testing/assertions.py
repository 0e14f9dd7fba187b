"""Assertions for tests of pollers and hooks; a failure shows the timeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from batchfsm.auditing import audit
from batchfsm.dialects import Dialect, get_dialect
from batchfsm.errors import UnknownNameError
from batchfsm.escapes import printable
from batchfsm.explain import timeline, timelines_by_batch
from batchfsm.history import BatchTimeline
from batchfsm.logs import parse_records, resolve_source
from batchfsm.route import Transition
from batchfsm.wire import reader


def assert_consistent(history: Iterable[object], *, dialect: str | Dialect = "openai") -> None:
    """
    Fail if a history breaks a rule of severity error, or holds nothing that can be checked.

    Args:
        history: Batch objects of any SDK, mappings or envelopes, in order of observation.
        dialect: The dialect of the batches.

    Raises:
        AssertionError: With the findings, and the timeline of each batch.
        TypeError: If it is one object and no history.
    """
    seen = _several(history)
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
                *(timeline(life) for life in _lives(seen, get_dialect(dialect))),
            ]
        )
    )


def assert_lifecycle(history: Iterable[object], way: str, *, dialect: str | Dialect = "openai") -> None:
    """
    Fail unless a batch entered the named statuses in order, the first at its creation, the last as its present one.

    It may have entered other statuses between them. Statuses that polls missed count if
    stamps or the lifecycle prove them.

    Args:
        history: Snapshots of one batch, in order of observation.
        way: Statuses: `validating > in_progress > completed`.
        dialect: The dialect of the batches.

    Raises:
        AssertionError: With the timeline.
        TypeError: If it is one object and no history.
        UnknownNameError: If the lifecycle has no such status.
    """
    named, words = get_dialect(dialect), [word.strip() for word in way.split(">")]
    for word in words:
        if word not in named.lifecycle.statuses:
            raise UnknownNameError("status", word, named.lifecycle.statuses)
    found = _lives(_several(history), named)
    if len(found) != 1:
        raise AssertionError(f"one batch has a lifecycle; here are {len(found)}")
    entered = [transition.target for transition in found[0].transitions]
    if entered and words[0] == entered[0] and words[-1] == entered[-1] and _passes(entered, words):
        return
    raise AssertionError(
        f"the batch did not go {' > '.join(words)}\nit went {' > '.join(entered) or 'nowhere'}\n\n{timeline(found[0])}"
    )


def _several(history: Iterable[object]) -> list[object]:
    # To iterate over one object yields its keys, which would be taken for paths.
    if isinstance(history, Mapping | str | bytes) or hasattr(history, "id"):
        raise TypeError(f"a history is a list of batch objects, not one {type(history).__name__}: pass [batch]")
    return list(history)


def assert_fired_once(fired: Iterable[Transition[Any]], *statuses: str) -> None:
    """
    Fail if a transition fired twice, or if one of the named statuses did not fire exactly once for each batch.

    Args:
        fired: The transitions that a hook received, in order, of one batch or many.
        statuses: The statuses that each batch must have entered once.

    Raises:
        AssertionError: With the batch, and the transitions that fired for it.
    """
    by_batch: dict[str, list[Transition[Any]]] = {}
    for transition in fired:
        by_batch.setdefault(transition.batch_id, []).append(transition)
    if statuses and not by_batch:
        raise AssertionError(f"nothing fired; expected once: {', '.join(statuses)}")
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
    """Return True if words come in order among the statuses entered."""
    left = iter(entered)
    return all(word in left for word in words)
