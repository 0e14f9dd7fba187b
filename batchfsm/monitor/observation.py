"""What observing returns, and what it raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Self

import attrs

from batchfsm.errors import BatchfsmError
from batchfsm.finding import Finding, Verdict
from batchfsm.journal import FailureCounts
from batchfsm.route import Transition
from batchfsm.snapshot import Snapshot, fast_constructor


@attrs.frozen
class Observation:
    """What one snapshot brought."""

    transitions: tuple[Transition, ...]
    """What the batch has entered since it was last seen, in route order."""

    findings: tuple[Finding, ...]
    """What the snapshot breaches, in the order of the rules."""

    verdict: Verdict
    """What the findings amount to; about this snapshot alone."""

    delivered: bool = True
    """False if the batch was busy: then whoever is delivering its hooks calls those of this snapshot too."""


make_observation: Final[Callable[..., Observation]] = fast_constructor(Observation)


@attrs.frozen(kw_only=True)
class TrackedBatch:
    """What a monitor knows of one batch, at the moment of asking."""

    id: str
    """The batch's id."""

    status: str | None
    """The known status; the wire's word while the lifecycle has none of those seen."""

    terminal: bool
    """True if the batch never leaves its status: there is nothing left to poll for."""

    snapshot: Snapshot | None
    """The last live snapshot, without `extra`, `errors`, `usage`, `metadata` and `bad`, which are not kept."""

    verdict: Verdict
    """What all findings so far amount to."""

    transitions: tuple[Transition, ...]
    """What was emitted, in order; without snapshots, which are not kept."""


class IllegalTransitionError(BatchfsmError):
    """A status that no walk leads to, under `on_illegal="raise"`."""

    batch_id: str
    """Whose it is."""

    source: str
    """The known status, which stays."""

    target: str
    """The status seen."""

    reachable: tuple[str, ...]
    """Where the known status could have led."""

    observation: Observation
    """What the snapshot brought."""

    def __init__(
        self, batch_id: str, source: str, target: str, reachable: Sequence[str], observation: Observation
    ) -> None:
        """Hold what a handler needs."""
        self.batch_id, self.source, self.target = batch_id, source, target
        self.reachable, self.observation = tuple(reachable), observation
        onward = f"it leads to {', '.join(reachable)}" if reachable else f"{source} is final"
        super().__init__(f"{batch_id} cannot go from {source} to {target}; {onward}")


class HookError(BatchfsmError, ExceptionGroup[Exception]):
    """Hooks raised. Every other hook has run, nothing was lost, and what raised stays pending."""

    observation: Observation | None
    """What the snapshot brought; None from `redeliver`."""

    counts: FailureCounts | None
    """The number of failing and dead hooks, as `redeliver` returns it; None from `observe`."""

    def __new__(
        cls,
        message: str,
        exceptions: Sequence[Exception],
        observation: Observation | None = None,
        counts: FailureCounts | None = None,
    ) -> Self:
        """Store observation and counts beside the errors."""
        group = super().__new__(cls, message, exceptions)
        group.observation, group.counts = observation, counts
        return group

    def __init__(
        self,
        message: str,
        exceptions: Sequence[Exception],
        _: Observation | None = None,
        __: FailureCounts | None = None,
    ) -> None:
        super().__init__(message, exceptions)

    def derive(self, excs: Sequence[Exception], /) -> HookError:  # type: ignore[override]
        """Keep observation and counts in the parts that `split` and `except*` make."""
        return HookError(self.message, excs, self.observation, self.counts)
