"""Registry of hooks; arguments are validated at registration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import iscoroutinefunction, signature
from typing import Any, TypeVar

import attrs

from batchfsm.errors import UnknownNameError
from batchfsm.finding import Finding
from batchfsm.journal import NEVER_TRIED, RetryState
from batchfsm.route import Transition
from batchfsm.rules import select_rules
from batchfsm.topology import Topology

HookT = TypeVar("HookT", bound=Callable[[Any], Any])


@attrs.frozen(eq=False)
class Hook:
    """One registered function, with the predicate that selects its transitions or findings."""

    function: Callable[[Any], Any]
    name: str
    """Its name in journals and errors."""
    matches: Callable[[Any], bool] | None
    """Returns whether the hook is called with a transition or finding; None if it is called with each."""


@attrs.define(eq=False)  # Frozen would take twice as long to make.
class Delivery:
    """One call of one hook that has yet to return."""

    hook: Hook
    subject: Transition | Finding
    """The argument of the call."""
    retry: RetryState = NEVER_TRIED
    """The failed calls so far."""

    @property
    def key(self) -> tuple[str, str] | None:
        """The transition's key and the hook's name, as in a journal; None if the subject is a finding."""
        return (self.subject.key, self.hook.name) if isinstance(self.subject, Transition) else None

    @property
    def subject_name(self) -> str:
        """The transition's key, or the finding's rule and batch."""
        subject = self.subject
        return subject.key if isinstance(subject, Transition) else f"{subject.rule} of {subject.batch_id}"


class HookRegistry:
    """
    The hooks of one monitor, in order of registration.

    Args:
        graph: The lifecycle that statuses and edges are checked against.
        coroutines: Whether coroutine functions are accepted.
        is_journaled: Whether each hook on transitions needs a name of its own.
    """

    def __init__(self, graph: Topology, *, coroutines: bool, is_journaled: bool = False) -> None:
        self._graph = graph
        self._coroutines = coroutines
        self._is_journaled = is_journaled
        self._on_transitions: list[Hook] = []
        self._on_findings: list[Hook] = []
        self._by_name: dict[str, Hook] = {}

    def on(
        self, statuses: tuple[Any, ...], source: str | None, target: str | None, name: str | None
    ) -> Callable[[HookT], HookT]:
        """Check the arguments of `Monitor.on` and return its decorator."""
        if any(callable(status) for status in statuses):
            msg = "@monitor.on needs parentheses: @monitor.on() for every transition"
            raise TypeError(msg)
        if statuses and target is not None:
            msg = "either statuses to enter, or target=; not both"
            raise TypeError(msg)
        for status in (*statuses, *(each for each in (source, target) if each is not None)):
            if not isinstance(status, str):
                msg = f"a status is text, not {type(status).__name__}: name several one by one, @monitor.on(*statuses)"
                raise TypeError(msg)
        _check_given_name(name)
        targets = frozenset(statuses) if target is None else frozenset({target})
        self._check(targets, source)

        def matches(transition: Transition) -> bool:
            if targets and transition.target not in targets:
                return False
            # An edge is a step of the table. A gap does not tell which steps were taken.
            return source is None or (transition.source == source and (transition.event is not None or not targets))

        return partial(self._register, self._on_transitions, matches if targets or source is not None else None, name)

    def on_finding(self, first: Any, codes: tuple[str, ...], name: str | None) -> Any:
        """Check the arguments of `Monitor.on_finding`; register the function, or return the decorator."""
        if callable(first):
            return self._register(self._on_findings, None, name, first)
        _check_given_name(name)
        tokens = codes if first is None else (first, *codes)
        selected = select_rules(tokens)
        matches = (lambda finding: finding.rule in selected) if selected else None
        return partial(self._register, self._on_findings, matches, name)

    def matching_deliveries(self, transitions: Sequence[Transition], findings: Sequence[Finding]) -> list[Delivery]:
        """Return the calls that transitions and findings cause: transitions in route order, then findings."""
        deliveries: list[Delivery] = []
        for hooks, subjects in ((self._on_transitions, transitions), (self._on_findings, findings)):
            for subject in subjects:
                for hook in hooks:
                    if hook.matches is None or hook.matches(subject):
                        deliveries.append(Delivery(hook, subject))  # noqa: PERF401  # Called for each row.
        return deliveries

    def by_name(self) -> dict[str, Hook]:
        """Return the hooks on transitions by name; of equal names, without a journal, the last."""
        return dict(self._by_name)

    def call(self, name: str, transition: Transition) -> Any:
        """
        Call one hook by name, and return what it returns.

        Raises:
            UnknownNameError: If no hook of this monitor has the name.
        """
        if name not in self._by_name:
            raise UnknownNameError("hook", name, self._by_name)
        return self._by_name[name].function(transition)

    def _check(self, targets: frozenset[str], source: str | None) -> None:
        graph = self._graph
        for status in (*targets, *([] if source is None else [source])):
            if status not in graph.bit_of:
                msg = (
                    f"the {graph.lifecycle.name} lifecycle has no status {status!r}; it has {', '.join(graph.statuses)}"
                )
                raise ValueError(msg)
        if source is None:
            return
        onward = [target for before, target in graph.steps if before == source]
        if wrong := sorted(targets - set(onward)) or ([] if onward else ["anywhere"]):
            leads = f"leads to {', '.join(onward)}" if onward else "is final"
            msg = f"no step leads from {source} to {wrong[0]}; {source} {leads}"
            raise ValueError(msg)

    def _register(
        self, hooks: list[Hook], matches: Callable[[Any], bool] | None, name: str | None, function: Any
    ) -> Any:
        if not callable(function):
            msg = f"a hook is called with a transition or a finding; {function!r} cannot be called"
            raise TypeError(msg)
        if not self._coroutines and (
            iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
        ):
            msg = f"{_name(function)} is a coroutine function: a Monitor would never await it; use AsyncMonitor"
            raise TypeError(msg)
        _check_parameters(function)
        hook = Hook(function, name or _name(function), matches)
        if hooks is self._on_transitions:
            if self._is_journaled:
                self._check_name(hook.name, is_given=name is not None)
            # Another thread may be reading the names.
            self._by_name[hook.name] = hook
        hooks.append(hook)
        return function

    def _check_name(self, name: str, *, is_given: bool) -> None:
        """Reject a name that would not identify the hook in the journal after a restart."""
        if not is_given and name.endswith("<lambda>"):
            msg = "a lambda has no name that a journal could keep; give it one: name="
            raise ValueError(msg)
        if name in self._by_name:
            msg = f"there is a hook called {name!r} already; a journal tells hooks apart by name: give this one name="
            raise ValueError(msg)


def _check_given_name(name: object) -> None:
    """Reject a name that is no text, or empty: the default would take its place in silence."""
    if name is not None and not (isinstance(name, str) and name):
        msg = f"name= is the name of the hook, text, not {name!r}"
        raise TypeError(msg)


def _check_parameters(function: Callable[..., Any]) -> None:
    """Reject a function that cannot be called with one argument: it would fail when a batch ends, hours later."""
    try:
        # A wrapper may add arguments of its own, so only the signature of the wrapper counts.
        parameters = signature(function, follow_wrapped=False)
    except ValueError:
        return  # Some functions in C have no signature.
    try:
        parameters.bind(None)
    except TypeError:
        msg = f"a hook is called with one argument, a transition or a finding; {_name(function)} takes {parameters}"
        raise TypeError(msg) from None


def _name(function: Callable[..., Any]) -> str:
    inner = function.func if isinstance(function, partial) else function
    named = inner if hasattr(inner, "__qualname__") else type(inner)
    return f"{named.__module__}.{named.__qualname__}"
