"""Runs the probes, audits the batches, and assembles the scorecard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from batchfsm.auditing import Report, audit
from batchfsm.conform.http import Caller
from batchfsm.conform.probes import run_probes
from batchfsm.conform.scorecard import Check, Scorecard
from batchfsm.conform.session import ServerSession, WaitProgress
from batchfsm.dialects import Dialect, get_dialect, require_openai_fields
from batchfsm.rules import RULES, severity_in
from batchfsm.rules.kinds import History
from batchfsm.snapshot import Snapshot
from batchfsm.wire import reader

TIMEOUT_S: Final = 900.0
"""The most seconds to wait for each batch, by default; on OpenAI cancelling takes ten minutes."""

POLL_S: Final = 1.0
"""Seconds between two polls, by default."""


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
    on_wait: Callable[[WaitProgress], None] | None = None,
) -> Scorecard:
    """
    Test a server as a client, and return its scorecard.

    It creates three batches of at most three requests: one that runs to its end, one
    that is cancelled at once, one whose file is no JSON.

    Args:
        call: Sends a request; see `http_caller`.
        now: Returns the time; Unix seconds.
        sleep: Waits; seconds.
        server: The address on the scorecard.
        dialect: The dialect that its batches are judged by.
        endpoint: The endpoint of each batch.
        model: The model of each request.
        timeout_s: The most seconds to wait for each batch.
        poll_s: Seconds between two polls.
        log: Called at the end with each view of a batch, in an envelope.
        on_wait: Called at each poll of a batch that is waited for.

    Raises:
        UnreachableError: If the server does not answer, or has its endpoints below `/v1`.
        UnknownNameError: If there is no such dialect.
    """
    named = get_dialect(dialect)
    require_openai_fields(named, "test of a server")
    session = ServerSession(
        call=call, now=now, sleep=sleep, endpoint=endpoint, model=model, timeout_s=timeout_s, poll_s=poll_s,
        on_wait=on_wait,
    )  # fmt: skip
    endpoints = tuple(run_probes(session))
    if log is not None:
        for view in session.views:
            log(view)
    report = audit(session.views, dialect=named, max_findings=len(session.views) * len(RULES))
    return Scorecard(
        server=server,
        dialect=named.name,
        snapshots=report.snapshots,
        endpoints=endpoints,
        rules=tuple(_rule_checks(named, report, _histories(session.views, named))),
    )


def _histories(views: list[dict[str, Any]], dialect: Dialect) -> list[History]:
    histories: dict[str, list[Snapshot]] = {}
    for view in views:
        snapshot = reader(dialect).read_bare(view["snapshot"], view["observed_at"])
        histories.setdefault(snapshot.id, []).append(snapshot)
    return list(histories.values())


def _rule_checks(dialect: Dialect, report: Report, histories: list[History]) -> Iterator[Check]:
    """Yield a check for each rule: broken, kept, or not seen."""
    for code, rule in RULES.items():
        found = [finding for finding in report.findings if finding.rule == code]
        if found:
            # An error counts, however many warnings of the rule come before it.
            worst = min(found, key=lambda finding: ("error", "warning", "note").index(finding.severity))
            yield Check(code, rule.name, "broken", worst.message, worst.severity)
        elif severity_in(dialect, rule) == "off":
            if rule.severity == "off":
                continue  # Off everywhere but in a few dialects: no statement about this server.
            yield Check(code, rule.name, "not seen", f"off for {dialect.name}")
        elif any(rule.kind.is_observable(history, dialect) for history in histories):
            yield Check(code, rule.name, "kept")
        else:
            yield Check(code, rule.name, "not seen")
