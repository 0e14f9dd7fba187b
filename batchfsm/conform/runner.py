"""The run: drive a server, judge what was seen, and say what could be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from batchfsm.auditing import Report, audit
from batchfsm.conform.coverage import History, looked
from batchfsm.conform.http import Caller
from batchfsm.conform.probes import ask_all
from batchfsm.conform.scorecard import Check, Scorecard
from batchfsm.conform.session import ServerSession
from batchfsm.dialects import Dialect, find, require_openai_fields
from batchfsm.rules import RULES
from batchfsm.snapshot import Snapshot
from batchfsm.wire import reader

TIMEOUT_S: Final = 900.0
"""How long each batch is waited for, by default; on OpenAI cancelling takes ten minutes."""

POLL_S: Final = 1.0
"""How long to wait between two looks, by default."""


def conform(
    call: Caller,
    *,
    now: Callable[[], float],
    sleep: Callable[[float], None],
    server: str,
    dialect: str | Dialect = "openai",
    endpoint: str = "/v1/chat/completions",
    model: str = "gpt-5",
    timeout_s: float = TIMEOUT_S,
    poll_s: float = POLL_S,
    log: Callable[[dict[str, Any]], None] | None = None,
) -> Scorecard:
    """
    Drive a server through what a client can, and judge it.

    Three batches of at most three requests are made: one that runs to its end, one
    that is cancelled at once, one whose file cannot be read.

    Args:
        call: What sends a request; see `caller`.
        now: The time; Unix seconds.
        sleep: What waits; seconds.
        server: What the scorecard calls the server.
        dialect: Whose lifecycle its batches are judged by.
        endpoint: Where the requests of the batches go.
        model: The model that they name.
        timeout_s: How long each batch is waited for.
        poll_s: How long to wait between two looks.
        log: What takes each view of a batch in an envelope, in the end; None: nobody.

    Raises:
        UnreachableError: If the server does not answer at all.
        UnknownNameError: If there is no such dialect.
    """
    named = find(dialect)
    require_openai_fields(named, "test of a server")
    driver = ServerSession(
        call=call, now=now, sleep=sleep, endpoint=endpoint, model=model, timeout_s=timeout_s, poll_s=poll_s
    )
    endpoints = tuple(ask_all(driver))
    for view in driver.seen if log is not None else ():
        log(view)  # type: ignore[misc]  # mypy does not see that there is one.
    report = audit(driver.seen, dialect=named, max_findings=len(driver.seen) * len(RULES))
    return Scorecard(
        server=server,
        dialect=named.name,
        snapshots=report.snapshots,
        endpoints=endpoints,
        rules=tuple(_rules(named, report, _histories(driver.seen, named))),
    )


def _histories(seen: list[dict[str, Any]], dialect: Dialect) -> list[History]:
    histories: dict[str, list[Snapshot]] = {}
    for view in seen:
        snapshot = reader(dialect).read_bare(view["snapshot"], view["observed_at"])
        histories.setdefault(snapshot.id, []).append(snapshot)
    return list(histories.values())


def _rules(dialect: Dialect, report: Report, histories: list[History]) -> Iterator[Check]:
    """Yield what became of each rule."""
    for code, rule in RULES.items():
        found = [finding for finding in report.findings if finding.rule == code]
        if found:
            # One error weighs more than any number of warnings of the same rule.
            worst = min(found, key=lambda finding: ("error", "warning", "note").index(finding.severity))
            yield Check(code, rule.name, "broken", worst.message, worst.severity)
        elif dialect.severities.get(code) == "off":
            yield Check(code, rule.name, "not seen", f"off for {dialect.name}")
        elif looked(code, histories):
            yield Check(code, rule.name, "kept")
        else:
            yield Check(code, rule.name, "not seen")
