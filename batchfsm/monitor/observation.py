"""The results and errors of observing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Self

import attrs

from batchfsm.errors import BatchfsmError
from batchfsm.finding import Finding, Verdict
from batchfsm.journal import FailureCounts
from batchfsm.route import Transition
from batchfsm.snapshot import Snapshot, fast_constructor


@attrs.frozen(repr=False)
class Observation:
    """The transitions and findings of one snapshot."""

    transitions: tuple[Transition, ...]
    """The statuses entered since the last snapshot, in route order."""

    findings: tuple[Finding, ...]
    """The rules that the snapshot breaches, in their order."""

    verdict: Verdict
    """The verdict on this snapshot alone."""

    delivered: bool = True
    """False if the batch was busy, or a hook observed it: then the hooks of this snapshot are called after the present
    ones, by the `observe` that is calling those."""

    def __repr__(self) -> str:
        """Show the statuses entered, the rules breached and the verdict."""
        parts = [" > ".join(each.target for each in self.transitions) or "no transition"]
        parts += [f"{each.rule} {each.name}" for each in self.findings]
        return f"<Observation {self.verdict}: {', '.join(parts)}{'' if self.delivered else ', not delivered'}>"


make_observation: Final[Callable[..., Observation]] = fast_constructor(Observation)


@attrs.frozen(kw_only=True)
class TrackedBatch:
    """The state of one batch in a monitor, at the time of the call."""

    id: str
    """The id of the batch."""

    status: str | None
    """The known status; the server's own word if no observed status is in the lifecycle."""

    terminal: bool
    """True if the batch has ended: it needs no more polls."""

    snapshot: Snapshot | None = attrs.field(repr=False)
    """The last live snapshot, without `extra`, `errors`, `usage`, `metadata` and `bad`. None for a
    batch that `keep_ended` has reduced."""

    verdict: Verdict
    """The verdict on all snapshots so far."""

    transitions: tuple[Transition[None], ...] = attrs.field(repr=False)
    """The transitions emitted, in order; without snapshots, which are not stored."""


class IllegalTransitionError(BatchfsmError):
    """An observed status that no walk leads to, under `on_illegal="raise"`."""

    __module__ = "batchfsm"

    batch_id: str
    """The id of the batch."""

    source: str
    """The known status, which stays."""

    target: str
    """The observed status."""

    reachable: tuple[str, ...]
    """The statuses that the known one leads to."""

    observation: Observation
    """The observation of the snapshot."""

    def __init__(
        self, batch_id: str, source: str, target: str, reachable: Sequence[str], observation: Observation
    ) -> None:
        self.batch_id, self.source, self.target = batch_id, source, target
        self.reachable, self.observation = tuple(reachable), observation
        onward = f"it leads to {', '.join(reachable)}" if reachable else f"{source} is final"
        super().__init__(f"{batch_id} cannot go from {source} to {target}; {onward}")


class HookError(BatchfsmError, ExceptionGroup[Exception]):
    """The errors of hooks that raised. All other hooks have run; those that raised stay pending."""

    __module__ = "batchfsm"

    observation: Observation | None
    """The observation of the snapshot; None from `redeliver`."""

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
