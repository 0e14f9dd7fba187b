"""Who wants to hear of what: registered hooks, checked when they are registered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, TypeVar

import attrs

from batchfsm.errors import UnknownNameError
from batchfsm.finding import Finding
from batchfsm.route import Transition
from batchfsm.rules import chosen
from batchfsm.topology import Topology

HookT = TypeVar("HookT", bound=Callable[..., Any])


@attrs.frozen(eq=False)
class Hook:
    """One function and what it wants to hear of."""

    function: Callable[[Any], Any]
    name: str
    """How journals and errors call it."""
    wanted: Callable[[Any], bool] | None
    """Given a transition or a finding: is it for this hook? None if all are."""


Delivery = tuple[Hook, Any, int]
"""A hook, the transition or finding that it is to be called with, and how often it has raised on that."""


class Hooks:
    """The hooks of one monitor, in order of registration."""

    def __init__(self, graph: Topology, *, coroutines: bool, is_journaled: bool = False) -> None:
        """Take coroutine functions or refuse them; with a journal insist on names of their own."""
        self._graph = graph
        self._coroutines = coroutines
        self._is_journaled = is_journaled
        self._transition: list[Hook] = []
        self._finding: list[Hook] = []

    def on(
        self, statuses: tuple[Any, ...], source: str | None, target: str | None, name: str | None
    ) -> Callable[[HookT], HookT]:
        """Check what is asked for and return the decorator that registers it."""
        if any(callable(status) for status in statuses):
            msg = "@monitor.on needs parentheses: @monitor.on() for every transition"
            raise TypeError(msg)
        if statuses and target is not None:
            msg = "either statuses to enter, or target=; not both"
            raise TypeError(msg)
        targets = frozenset(statuses) if target is None else frozenset({target})
        self._check(targets, source)

        def wanted(transition: Transition) -> bool:
            if targets and transition.target not in targets:
                return False
            # An edge is a step of the table. Across a gap nobody knows which were taken.
            return source is None or (transition.source == source and (transition.event is not None or not targets))

        return partial(self._register, self._transition, wanted if targets or source is not None else None, name)

    def on_finding(self, first: Any, codes: tuple[str, ...], name: str | None) -> Any:
        """Check the codes and register, or return the decorator that does."""
        if callable(first):
            return self._register(self._finding, None, name, first)
        tokens = codes if first is None else (first, *codes)
        asked = chosen(tokens)
        wanted = (lambda finding: finding.rule in asked) if asked else None
        return partial(self._register, self._finding, wanted, name)

    def wanting(self, transitions: Sequence[Transition], findings: Sequence[Finding]) -> list[Delivery]:
        """Return who is to be called with what: transitions in route order, then findings."""
        asked: list[Delivery] = []
        for transition in transitions:
            for hook in self._transition:
                if hook.wanted is None or hook.wanted(transition):
                    asked += ((hook, transition, 0),)
        for finding in findings:
            for hook in self._finding:
                if hook.wanted is None or hook.wanted(finding):
                    asked += ((hook, finding, 0),)
        return asked

    def named(self) -> dict[str, Hook]:
        """Return the hooks on transitions by name."""
        return {hook.name: hook for hook in self._transition}

    def call(self, name: str, transition: Transition) -> Any:
        """
        Call one hook by name, and return what it returns.

        Raises:
            UnknownNameError: If none is called so: it is registered elsewhere, or nowhere any more.
        """
        known = self.named()
        if name not in known:
            raise UnknownNameError("hook", name, known)
        return known[name].function(transition)

    def _check(self, targets: frozenset[str], source: str | None) -> None:
        graph = self._graph
        for status in (*targets, *([] if source is None else [source])):
            if status not in graph.bit:
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
        self, hooks: list[Hook], wanted: Callable[[Any], bool] | None, name: str | None, function: Any
    ) -> Any:
        if not callable(function):
            msg = f"a hook is called with a transition or a finding; {function!r} cannot be called"
            raise TypeError(msg)
        if not self._coroutines and (
            iscoroutinefunction(function) or iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
        ):
            msg = f"{_name(function)} is a coroutine function: a Monitor would never await it; use AsyncMonitor"
            raise TypeError(msg)
        called = name or _name(function)
        if self._is_journaled and hooks is self._transition:
            self._check_name(called, is_given=name is not None)
        hooks.append(Hook(function, called, wanted))
        return function

    def _check_name(self, name: str, *, is_given: bool) -> None:
        """Refuse a name by which a journal could not tell, after a restart, which hook was meant."""
        if not is_given and name.endswith("<lambda>"):
            msg = "a lambda has no name that a journal could keep; give it one: name="
            raise ValueError(msg)
        if any(hook.name == name for hook in self._transition):
            msg = f"there is a hook called {name!r} already; a journal tells hooks apart by name: give this one name="
            raise ValueError(msg)


def _name(function: Callable[..., Any]) -> str:
    inner = function.func if isinstance(function, partial) else function
    named = inner if hasattr(inner, "__qualname__") else type(inner)
    return f"{named.__module__}.{named.__qualname__}"
