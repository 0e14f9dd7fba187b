"""`watch` and `awatch`: the loop, carried out in a thread or in a task."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from inspect import isawaitable, iscoroutinefunction
from math import isnan
from os import PathLike
from typing import Any, Final

from batchfsm.monitor import AsyncMonitor, Monitor
from batchfsm.route import Transition
from batchfsm.watching.custom_source import AsyncSnapshotSource, AsyncSourceFetcher, SnapshotSource, SourceFetcher
from batchfsm.watching.effects import WatchOptions, YieldTransition
from batchfsm.watching.events import Event, Stalled
from batchfsm.watching.executors import AsyncExecutor, Executor
from batchfsm.watching.loop import running
from batchfsm.watching.openai_client import AsyncClientFetcher, ClientFetcher, dialect_of, is_async
from batchfsm.watching.pagination import Pager
from batchfsm.watching.schedule import Schedule
from batchfsm.watching.snapshot_log import Writable
from batchfsm.webhook import HintQueue

_DEFAULT: Final = Schedule()


def watch(
    client: Any = None,
    *ids: str,
    source: SnapshotSource | None = None,
    monitor: Monitor | None = None,
    schedule: Schedule = _DEFAULT,
    timeout_s: float | None = None,
    log: str | PathLike[str] | Writable | None = None,
    on_stalled: Callable[[Stalled], object] | None = None,
    on_error: Callable[[Exception], object] | None = None,
    on_event: Callable[[Event], object] | None = None,
    hints: HintQueue | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], object] | None = None,
) -> Generator[Transition]:
    """
    Watch batches until all have ended, and yield each transition once its hooks have run.

    To close the generator, or to interrupt it, loses nothing: a monitor that watches
    on knows what it knew, and a new one finds the rest by the stamps.

    Args:
        client: An openai client; with `source`, one more id.
        ids: The batches. None: every open one that `list` shows, and new ones, until
            none is open.
        source: Where snapshots come from instead of a client; it needs ids.
        monitor: What observes; its hooks are called. By default a new one, in the
            dialect `azure` for Azure's servers.
        schedule: How long to wait between two looks.
        timeout_s: How long to watch at most; 0 looks once.
        log: A file to append every snapshot to, as JSON lines that `audit` reads; or
            something with `write`.
        on_stalled: Called with a `Stalled` when a batch begins to stand still.
        on_error: Called at once with each `WatchError` (a batch was dropped) and
            `HookError`. Without it they are raised as one group at the end. What it
            raises itself ends the watch.
        on_event: Called with each `Event`, looks that changed nothing included: for
            views and metrics.
        hints: Where a webhook receiver says which batch has news.
        clock: Returns Unix seconds.
        sleep: Waits for some seconds; by default until a hint comes at most.

    Raises:
        TypeError: At once, if both or none of client and source are given, or if an
            async one is.
        ValueError: At once, for an empty id, or a source without ids.
        WatchTimeoutError: If the time is up.
        ExceptionGroup: At the end, of what went wrong on the way.
    """
    if monitor is None:
        monitor = Monitor(_dialect(client, source))
    looks, setting, named = _prepare(
        (client, *ids), source, is_async_wanted=False, monitor=monitor, schedule=schedule,
        timeout_s=timeout_s, log=log, on_stalled=on_stalled, on_error=on_error, on_event=on_event, clock=clock,
    )  # fmt: skip
    return _watching(named, setting, Executor(looks, setting.monitor, hints, sleep))


def awatch(
    client: Any = None,
    *ids: str,
    source: AsyncSnapshotSource | None = None,
    monitor: AsyncMonitor | None = None,
    schedule: Schedule = _DEFAULT,
    timeout_s: float | None = None,
    log: str | PathLike[str] | Writable | None = None,
    on_stalled: Callable[[Stalled], object] | None = None,
    on_error: Callable[[Exception], object] | None = None,
    on_event: Callable[[Event], object] | None = None,
    hints: HintQueue | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[object]] | None = None,
) -> AsyncGenerator[Transition]:
    """
    As `watch`, for an async client, an `AsyncMonitor` and coroutine hooks; callbacks may be coroutines too.

    Close it with `contextlib.aclosing`, as any async generator that is left early.
    """
    if monitor is None:
        monitor = AsyncMonitor(_dialect(client, source))
    looks, setting, named = _prepare(
        (client, *ids), source, is_async_wanted=True, monitor=monitor, schedule=schedule,
        timeout_s=timeout_s, log=log, on_stalled=on_stalled, on_error=on_error, on_event=on_event, clock=clock,
    )  # fmt: skip
    return _awatching(named, setting, AsyncExecutor(looks, setting.monitor, hints, sleep))


def _watching(ids: tuple[str, ...], setting: WatchOptions, world: Executor) -> Generator[Transition]:
    commands = running(ids, setting, finds=not ids)
    with world:
        try:
            command = next(commands)
            while True:
                if isinstance(command, YieldTransition):
                    yield command.transition
                    command = commands.send(None)
                    continue
                try:
                    answer = world.do(command)
                except Exception as error:  # noqa: BLE001  # The loop decides: it goes on, or lets it pass.
                    command = commands.throw(error)
                else:
                    command = commands.send(answer)
        except StopIteration:
            return
        finally:
            commands.close()


async def _awatching(ids: tuple[str, ...], setting: WatchOptions, world: AsyncExecutor) -> AsyncGenerator[Transition]:
    commands = running(ids, setting, finds=not ids)
    with world:
        try:
            command = next(commands)
            while True:
                if isinstance(command, YieldTransition):
                    yield command.transition
                    command = commands.send(None)
                    continue
                try:
                    answer = world.do(command)
                    if isawaitable(answer):
                        answer = await answer
                except Exception as error:  # noqa: BLE001  # The loop decides: it goes on, or lets it pass.
                    command = commands.throw(error)
                else:
                    command = commands.send(answer)
        except StopIteration:
            return
        finally:
            commands.close()


def _dialect(client: Any, source: Any) -> str:
    return "openai" if source is not None else dialect_of(client)


def _prepare(
    given: Sequence[Any],
    source: Any,
    *,
    is_async_wanted: bool,
    monitor: Monitor | AsyncMonitor,
    timeout_s: float | None,
    **options: Any,
) -> tuple[Any, WatchOptions, tuple[str, ...]]:
    """Check what was given, and return what looks, what was asked for, and each id once."""
    client, *ids = given
    wanted = AsyncMonitor if is_async_wanted else Monitor
    name = "awatch" if is_async_wanted else "watch"
    if not isinstance(monitor, wanted):
        raise TypeError(f"{name} needs monitor to be of {wanted.__name__}, not {type(monitor).__name__}")
    if source is not None and isinstance(client, str):
        client, ids = None, [client, *ids]  # There is no client that an id could be mistaken for.
    if (client is None) == (source is None):
        raise TypeError(f"{name} takes a client or source=, exactly one of them")
    if timeout_s is not None and (isnan(timeout_s) or timeout_s < 0):
        raise ValueError(f"timeout_s is 0 or more seconds, not {timeout_s!r}")
    for batch_id in ids:
        if not isinstance(batch_id, str):
            raise TypeError(f"an id is text, not {batch_id!r}")
        if not batch_id.strip():
            raise ValueError("an id is empty")
    clock = options["clock"]
    if source is not None:
        looks = _source_looks(name, source, ids, clock, is_async_wanted=is_async_wanted)
    else:
        if is_async(client) != is_async_wanted:
            other = "awatch" if name == "watch" else "watch"
            raise TypeError(f"{type(client).__name__} is for {other}, not for {name}")
        pager = Pager(finds=not ids)
        looks = (AsyncClientFetcher if is_async_wanted else ClientFetcher)(client, pager, clock)
    setting = WatchOptions(monitor=monitor, timeout_s=timeout_s, is_wire=looks.is_wire, **options)
    return looks, setting, tuple(dict.fromkeys(ids))


def _source_looks(
    name: str, source: Any, ids: Sequence[str], clock: Callable[[], float], *, is_async_wanted: bool
) -> Any:
    if not ids:
        raise ValueError("a source has no list of batches: it needs ids")
    if not callable(getattr(source, "fetch", None)):
        raise TypeError(f"{type(source).__name__} has no fetch(ids)")
    if iscoroutinefunction(source.fetch) != is_async_wanted:
        due = "a coroutine function" if is_async_wanted else "a plain function"
        raise TypeError(f"{name} needs source.fetch to be {due}")
    return (AsyncSourceFetcher if is_async_wanted else SourceFetcher)(source, clock)
