"""Handlers that run around a fork, so that parent and child share no connection, lock or owner."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from threading import Lock
from weakref import WeakSet


class ForkHandler(ABC):
    """An object that two processes must not share."""

    def before_fork(self) -> None:  # noqa: B027  # Optional.
        """Acquire a lock of the object, so that no other thread is in the middle of a change; by default none."""

    def after_fork_in_parent(self) -> None:  # noqa: B027  # Optional.
        """Release that lock."""

    @abstractmethod
    def after_fork_in_child(self) -> None:
        """Replace all that belongs to the parent; locks may be held by threads that the child does not have."""


class _ForkRegistry:
    """The handlers of this process; an object that is garbage collected has no handler any more."""

    def __init__(self) -> None:
        self._handlers: WeakSet[ForkHandler] = WeakSet()
        self._lock = Lock()
        self._prepared: list[ForkHandler] = []

    def add(self, handler: ForkHandler) -> None:
        self._handlers.add(handler)

    def before(self) -> None:
        self._lock.acquire()  # Two threads that fork at once would acquire the objects' locks in different orders.
        for handler in list(self._handlers):
            handler.before_fork()
            self._prepared.append(handler)

    def after_in_parent(self) -> None:
        while self._prepared:
            self._prepared.pop().after_fork_in_parent()
        self._lock.release()

    def after_in_child(self) -> None:
        self._lock = Lock()
        self._prepared.clear()
        for handler in list(self._handlers):
            handler.after_fork_in_child()


_REGISTRY = _ForkRegistry()

call_around_fork = _REGISTRY.add
"""Register an object's handlers, for as long as the object exists."""

# Windows has neither `fork` nor this function.
getattr(os, "register_at_fork", lambda **_: None)(
    before=_REGISTRY.before, after_in_parent=_REGISTRY.after_in_parent, after_in_child=_REGISTRY.after_in_child
)
