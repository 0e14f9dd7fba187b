"""The lifecycle as a checked table of states and steps, and the one of OpenAI, which every engine reads."""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal

import attrs

from batchfsm.errors import DefinitionError

Status = Literal["validating", "in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"]
"""The status words of the OpenAI Batch object. Source: openai-openapi, schema `Batch`."""

Evidence = Literal["documented", "tolerated"]
"""How a step is known: documented by OpenAI and observed there, or observed only on compatible servers."""

Severity = Literal["error", "warning", "note"]
"""The severity of a finding. Only an error makes a verdict `inconsistent`."""

STAMP_FIELDS: Final = (
    "created_at",
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)
"""The stamps of OpenAI's statuses, in table order. `expires_at` is the deadline and no stamp."""

ENDED_AT: Final = "ended_at"
"""The stamp that final statuses may share: the end, in whichever final status. Source: most other providers."""

ALL_STAMP_FIELDS: Final = (*STAMP_FIELDS, ENDED_AT)
"""Every field that can be the stamp of a status."""


@attrs.frozen
class State:
    """One status of a lifecycle."""

    name: str
    """The wire's word."""

    stamp: str | None = None
    """The field that says when a batch entered it, one of `ALL_STAMP_FIELDS`; None if the wire has none."""

    terminal: bool = attrs.field(default=False, kw_only=True)
    """True if a batch never leaves it."""


@attrs.frozen
class Step:
    """One row of the table: a status, an event, and the status after."""

    source: str
    """The status before."""

    event: str
    """The event, a bare verb; the trigger of the machine."""

    target: str
    """The status after."""

    evidence: Evidence = "documented"
    """`documented` by the server's maker, or `tolerated`: only seen on compatible servers."""

    sources: tuple[str, ...] = ()
    """The sources of the step, one citation each; empty if it is inferred."""


@attrs.frozen(kw_only=True)
class Lifecycle:
    """
    Statuses, steps and the initial status of a kind of batch; checked when built.

    Raises:
        DefinitionError: With every problem by name: a status or stamp named
            twice, a step from or to nowhere, two targets of one event, a final
            status with an exit, an unreachable status, a trap.
    """

    name: str
    """The name of the lifecycle in messages and diagrams."""

    states: tuple[State, ...]
    """Every status, in table order. The order breaks ties, so it is part of the meaning."""

    steps: tuple[Step, ...]
    """Every step, in table order."""

    initial: str
    """The status in which a batch is created; its stamp is `created_at`."""

    def __attrs_post_init__(self) -> None:
        """Refuse a table that contradicts itself."""
        problems = [*_word_problems(self), *_step_problems(self)]
        # Walks over a table with unknown words would only repeat those problems.
        if problems := problems or _walk_problems(self):
            raise DefinitionError(f"lifecycle {self.name!r}", problems)

    def __repr__(self) -> str:
        """Show the name and the statuses."""
        return f"<Lifecycle {self.name}: {', '.join(self.statuses)}>"

    @property
    def statuses(self) -> tuple[str, ...]:
        """Every status word, in table order."""
        return tuple(state.name for state in self.states)

    @property
    def terminal(self) -> frozenset[str]:
        """The statuses that are never left."""
        return frozenset(state.name for state in self.states if state.terminal)


def _word_problems(lifecycle: Lifecycle) -> list[str]:
    statuses = Counter(state.name for state in lifecycle.states)
    stamps = Counter(state.stamp for state in lifecycle.states if state.stamp is not None)
    problems = [f"status {name!r} stands twice" for name, times in statuses.items() if times > 1]
    problems += [
        f"stamp {name!r} belongs to two statuses" for name, times in stamps.items() if times > 1 and name != ENDED_AT
    ]
    problems += [
        f"stamp {name!r} is not a time of the wire ({', '.join(ALL_STAMP_FIELDS)})"
        for name in stamps
        if name not in ALL_STAMP_FIELDS
    ]
    problems += [
        f"{state.name!r} is stamped by {ENDED_AT}, but is not final"
        for state in lifecycle.states
        if state.stamp == ENDED_AT and not state.terminal
    ]
    if lifecycle.initial not in statuses:
        problems.append(f"the initial status {lifecycle.initial!r} is not a status")
    if not any(state.terminal for state in lifecycle.states):
        problems.append("no status is final")
    return [
        *problems,
        *(
            f"{state.name!r} is stamped by created_at, which is the stamp of {lifecycle.initial!r}"
            for state in lifecycle.states
            if state.stamp == "created_at" and state.name != lifecycle.initial
        ),
    ]


def _step_problems(lifecycle: Lifecycle) -> list[str]:
    known, terminal = set(lifecycle.statuses), lifecycle.terminal
    pairs = Counter((step.source, step.target) for step in lifecycle.steps)
    events = Counter((step.source, step.event) for step in lifecycle.steps)
    problems = [f"the step {source} to {target} stands twice" for (source, target), n in pairs.items() if n > 1]
    problems += [
        f"event {event!r} leads from {source} to two statuses" for (source, event), n in events.items() if n > 1
    ]
    for step in lifecycle.steps:
        row = f"the step {step.source} to {step.target}"
        problems += [f"{row}: {word!r} is not a status" for word in (step.source, step.target) if word not in known]
        if step.source in terminal:
            problems.append(f"{row}: {step.source} is final")
        if step.source == step.target:
            problems.append(f"{row} goes nowhere; the same status again is no step")
        if not step.event.isidentifier() or step.event == "create":
            problems.append(f"{row}: event {step.event!r} is not a free name ('create' is the birth)")
        if step.evidence not in ("documented", "tolerated"):
            problems.append(f"{row}: evidence {step.evidence!r} is neither 'documented' nor 'tolerated'")
    return problems


def _walk_problems(lifecycle: Lifecycle) -> list[str]:
    forward = {(step.source, step.target) for step in lifecycle.steps}
    born = _closure({lifecycle.initial}, forward)
    ending = _closure(set(lifecycle.terminal), {(target, source) for source, target in forward})
    return [
        *(f"status {name!r} cannot be reached" for name in lifecycle.statuses if name not in born),
        *(f"status {name!r} is a trap: nothing final follows" for name in lifecycle.statuses if name not in ending),
    ]


def _closure(reached: set[str], steps: set[tuple[str, str]]) -> set[str]:
    """Return `reached` and all that steps lead to from it."""
    while new := {target for source, target in steps if source in reached} - reached:
        reached = reached | new
    return reached


_GUIDE: Final = "OpenAI, Batch guide, table of statuses"
_SPEC: Final = "openai-openapi, path /batches/{batch_id}/cancel"
_REAL: Final = "published objects of the real API"
_AIBRIX: Final = "AIBrix 0.8.0, order of final conditions"
_FINAL: Final = "AIBrix 0.8.0, condition finalizing_failed"
_OGX: Final = "OGX 1.5.0 (llama-stack), doubleword control-layer"
_MOONSHOT: Final = "Moonshot: a cancel may come in finalizing"

# fmt: off
OPENAI: Final = Lifecycle(
    name="openai",
    initial="validating",
    states=(
        State("validating",  "created_at"),
        State("in_progress", "in_progress_at"),
        State("finalizing",  "finalizing_at"),
        State("completed",   "completed_at", terminal=True),
        State("failed",      "failed_at",    terminal=True),
        State("expired",     "expired_at",   terminal=True),
        State("cancelling",  "cancelling_at"),
        State("cancelled",   "cancelled_at", terminal=True),
    ),
    steps=(
        #    source         event       target         evidence      sources
        Step("validating",  "start",    "in_progress", "documented", (_GUIDE, _REAL)),
        Step("validating",  "fail",     "failed",      "documented", (_GUIDE, _REAL)),
        Step("validating",  "cancel",   "cancelling",  "documented", (_SPEC,  _REAL)),
        Step("in_progress", "finalize", "finalizing",  "documented", (_GUIDE, _REAL)),
        Step("in_progress", "cancel",   "cancelling",  "documented", (_SPEC,  _REAL)),
        Step("finalizing",  "complete", "completed",   "documented", (_GUIDE, _REAL)),
        # Out of time, a batch is finalized like any other: every real expired one has finalizing_at.
        Step("finalizing",  "expire",   "expired",     "documented", (_GUIDE, _REAL)),
        Step("cancelling",  "stop",     "cancelled",   "documented", (_SPEC,  _REAL)),
        Step("validating",  "expire",   "expired",     "tolerated",  ("AIBrix 0.8.0",)),
        Step("in_progress", "fail",     "failed",      "tolerated",  (_OGX,)),
        Step("in_progress", "expire",   "expired",     "tolerated",  ("llm-d batch gateway, LiteLLM",)),
        Step("finalizing",  "fail",     "failed",      "tolerated",  (_FINAL,)),
        Step("finalizing",  "cancel",   "cancelling",  "tolerated",  (_MOONSHOT,)),
        Step("cancelling",  "complete", "completed",   "tolerated",  (_AIBRIX,)),
        Step("cancelling",  "fail",     "failed",      "tolerated",  (_AIBRIX,)),
        Step("cancelling",  "expire",   "expired",     "tolerated",  (_AIBRIX,)),
    ),
)
"""The lifecycle of the OpenAI Batch object."""
# fmt: on
