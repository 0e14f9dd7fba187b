"""`watch` and `awatch`: the watch loop, run by an executor in a thread or in a task."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from inspect import isasyncgenfunction, isawaitable, iscoroutinefunction
from os import PathLike
from typing import Any, Final

import attrs

from batchfsm.arguments import check_seconds
from batchfsm.dialects import get_dialect
from batchfsm.monitor import AsyncMonitor, Monitor
from batchfsm.route import Transition
from batchfsm.watching.custom_source import AsyncSnapshotSource, AsyncSourceFetcher, SnapshotSource, SourceFetcher
from batchfsm.watching.effects import WatchOptions, YieldTransition
from batchfsm.watching.events import Event, Stalled
from batchfsm.watching.executors import AsyncExecutor, Executor
from batchfsm.watching.loop import watch_effects
from batchfsm.watching.openai_client import CONCURRENCY_MAX, AsyncClientFetcher, ClientFetcher, dialect_of, is_async
from batchfsm.watching.schedule import Schedule, StallBounds
from batchfsm.watching.snapshot_log import Writable
from batchfsm.webhook import HintQueue

RESULTS_WAIT_S: Final = 120.0
"""Default of the longest wait for the files of results of a batch that has ended; seconds."""

_DEFAULT: Final = Schedule()
_CALLBACKS: Final = ("on_stalled", "on_error", "on_event")


def watch(
    client: Any = None,
    *ids: str,
    source: SnapshotSource | None = None,
    monitor: Monitor | None = None,
    schedule: Schedule = _DEFAULT,
    timeout_s: float | None = None,
    results_wait_s: float = RESULTS_WAIT_S,
    stalled_after_s: StallBounds = None,
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

    Closing the generator, or interrupting it, loses nothing: the same monitor goes on
    from its state, and a new one finds the missed transitions by their timestamps.

    Args:
        client: An openai client. If `source` is given, this argument is the first id.
        ids: The batches. Without ids: every open batch that `list` shows, new ones, and
            those that are open in the monitor, until none is open.
        source: The source of snapshots in place of a client. Without a `list` it needs
            ids, or a monitor with open batches.
        monitor: The monitor that observes the snapshots and calls the hooks. By default
            a new one, in the dialect `azure` for Azure's servers, or that of the source.
        schedule: The delays between requests; `Schedule()` by default.
        timeout_s: Longest time to watch; seconds. 0 polls once.
        results_wait_s: Longest time for which the end of a batch is held back if its
            counts promise a result file that is missing; seconds. 0 never holds it back.
        stalled_after_s: Seconds without a change after which a batch is stalled, as a
            number or as a mapping of statuses to numbers. None: as the schedule says.
        log: A file to append every snapshot to, as JSON lines for `audit`; or an object
            with `write`.
        on_stalled: Called with a `Stalled` when a batch makes no progress.
        on_error: Called at once with each `WatchError` (a batch was dropped) and
            `HookError`. Without it they are raised as one group at the end. An exception
            of the function itself ends the watch.
        on_event: Called with each `Event`, polls without news included: for views and
            metrics.
        hints: The queue in which a webhook receiver names batches that have news.
        clock: Returns Unix seconds.
        sleep: Waits for some seconds; the default wakes up when a hint comes.

    Raises:
        TypeError: At once, if both or none of client and source are given, if one of them
            or a callback is async, or for an argument of a wrong type.
        ValueError: At once, for an empty id, a source without ids and `list`, or a bad number.
        WatchTimeoutError: If the time is up.
        ExceptionGroup: At the end, of every `WatchError` and the exceptions of hooks, without
            groups inside.
    """
    fetcher, options, named = _prepare(
        (client, *ids), source, monitor, stalled_after_s, is_async_wanted=False, schedule=schedule,
        hints=hints, sleep=sleep, timeout_s=timeout_s, results_wait_s=results_wait_s, log=log, on_stalled=on_stalled,
        on_error=on_error, on_event=on_event, clock=clock,
    )  # fmt: skip
    return _watch(named, options, Executor(fetcher, options.monitor, hints, sleep))


def awatch(
    client: Any = None,
    *ids: str,
    source: AsyncSnapshotSource | None = None,
    monitor: AsyncMonitor | None = None,
    schedule: Schedule = _DEFAULT,
    timeout_s: float | None = None,
    results_wait_s: float = RESULTS_WAIT_S,
    stalled_after_s: StallBounds = None,
    log: str | PathLike[str] | Writable | None = None,
    on_stalled: Callable[[Stalled], object] | None = None,
    on_error: Callable[[Exception], object] | None = None,
    on_event: Callable[[Event], object] | None = None,
    hints: HintQueue | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[object]] | None = None,
) -> AsyncGenerator[Transition]:
    """
    Watch batches as `watch` does, with an async client and an `AsyncMonitor`; callbacks may be coroutine functions.

    Close it with `contextlib.aclosing`, as any async generator that may be left early.
    """
    fetcher, options, named = _prepare(
        (client, *ids), source, monitor, stalled_after_s, is_async_wanted=True, schedule=schedule,
        hints=hints, sleep=sleep, timeout_s=timeout_s, results_wait_s=results_wait_s, log=log, on_stalled=on_stalled,
        on_error=on_error, on_event=on_event, clock=clock,
    )  # fmt: skip
    return _awatch(named, options, AsyncExecutor(fetcher, options.monitor, hints, sleep))


def _watch(ids: tuple[str, ...], options: WatchOptions, executor: Executor) -> Generator[Transition]:
    effects = watch_effects(ids, options)
    with executor:
        try:
            effect = next(effects)
            while True:
                if isinstance(effect, YieldTransition):
                    yield effect.transition
                    effect = effects.send(None)
                    continue
                try:
                    result = executor.run(effect)
                except Exception as error:  # noqa: BLE001  # The loop decides whether it goes on.
                    effect = effects.throw(error)
                else:
                    effect = effects.send(result)
        except StopIteration:
            return
        finally:
            effects.close()


async def _awatch(ids: tuple[str, ...], options: WatchOptions, executor: AsyncExecutor) -> AsyncGenerator[Transition]:
    effects = watch_effects(ids, options)
    with executor:
        try:
            effect = next(effects)
            while True:
                if isinstance(effect, YieldTransition):
                    yield effect.transition
                    effect = effects.send(None)
                    continue
                try:
                    result = executor.run(effect)
                    if isawaitable(result):
                        result = await result
                except Exception as error:  # noqa: BLE001  # The loop decides whether it goes on.
                    effect = effects.throw(error)
                else:
                    effect = effects.send(result)
        except StopIteration:
            return
        finally:
            effects.close()
            await executor.aclose()


def _prepare(
    client_and_ids: Sequence[Any],
    source: Any,
    monitor: Monitor | AsyncMonitor | None,
    stalled_after_s: StallBounds,
    *,
    is_async_wanted: bool,
    schedule: Schedule,
    hints: HintQueue | None,
    sleep: Callable[[float], Any] | None,
    **options: Any,
) -> tuple[Any, WatchOptions, tuple[str, ...]]:
    """Validate the arguments of `watch`; return the fetcher, the options, and each id once."""
    client, *ids = client_and_ids
    name = "awatch" if is_async_wanted else "watch"
    if source is not None and isinstance(client, str):
        client, ids = None, [client, *ids]  # With a source the first argument is an id.
    if (client is None) == (source is None):
        raise TypeError(f"{name} takes a client or source=, exactly one of them")
    _check_ids(ids)
    if options["timeout_s"] is not None:
        check_seconds("timeout_s", options["timeout_s"])
    check_seconds("results_wait_s", options["results_wait_s"])
    _check_objects(schedule, hints, options["log"])
    _check_function("clock", options["clock"], takes_coroutines=False)
    for each, function in {"sleep": sleep, **{each: options[each] for each in _CALLBACKS}}.items():
        if function is not None:
            _check_function(each, function, takes_coroutines=is_async_wanted)
    wanted = AsyncMonitor if is_async_wanted else Monitor
    discovers = not ids and (source is None or callable(getattr(source, "list", None)))
    if source is not None and not ids and not discovers and monitor is None:
        raise ValueError("a source without list() needs ids, or a monitor with open batches")
    if monitor is None:
        monitor = wanted(getattr(source, "dialect", "openai") if client is None else dialect_of(client))
    _check_monitor(name, monitor, wanted, source)
    if stalled_after_s is not None:
        schedule = attrs.evolve(schedule, stalled_after_s=stalled_after_s)
    _check_statuses(schedule, monitor)
    fetcher = _fetcher(name, client, source, options["clock"], is_async_wanted=is_async_wanted)
    if source is not None and discovers and isasyncgenfunction(source.list) != is_async_wanted:
        kind = "an async generator function" if is_async_wanted else "a plain function"
        raise TypeError(f"{name} needs a source whose list is {kind}")
    concurrency = CONCURRENCY_MAX if is_async_wanted else 1
    prepared = WatchOptions(
        monitor=monitor, schedule=schedule, has_source=client is None, discovers=discovers,
        concurrency=concurrency, **options,
    )  # fmt: skip
    return fetcher, prepared, tuple(dict.fromkeys(ids or monitor.open))


def _check_ids(ids: Sequence[Any]) -> None:
    for batch_id in ids:
        if not isinstance(batch_id, str):
            raise TypeError(f"an id is text, not {_hint_for_id(batch_id)}")
        if not batch_id.strip():
            raise ValueError("an id is empty")


def _hint_for_id(value: object) -> str:
    """Return the type of a value that is no id, and how to pass the ids in it, if it has some."""
    kind = type(value).__name__
    if isinstance(value, list | tuple | set):
        return f"a {kind}: pass the ids one by one, watch(client, *ids)"
    return f"{kind}: pass its id" if hasattr(value, "id") else kind


def _check_objects(schedule: object, hints: object, log: object) -> None:
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule is a Schedule, such as Schedule(delay_s_min=30), not {schedule!r}")
    if not isinstance(hints, HintQueue | None):
        raise TypeError(f"hints is a HintQueue, not {type(hints).__name__}")
    if not isinstance(log, str | PathLike | None) and not callable(getattr(log, "write", None)):
        raise TypeError(f"log is a path, or an object with write, not {type(log).__name__}")


def _check_function(name: str, function: object, *, takes_coroutines: bool) -> None:
    if not callable(function):
        raise TypeError(f"{name} is a function, not {function!r}")
    if iscoroutinefunction(function) and not takes_coroutines:
        raise TypeError(f"{name} is a coroutine function, which would never be awaited")


def _check_monitor(name: str, monitor: object, wanted: type[Monitor | AsyncMonitor], source: object) -> None:
    """Refuse a monitor of the other kind, or of a dialect in which the source's batches have no readable status."""
    if not isinstance(monitor, wanted):
        raise TypeError(f"{name} needs monitor to be of {wanted.__name__}, not {type(monitor).__name__}")
    named = getattr(source, "dialect", None)
    if isinstance(named, str) and get_dialect(named).wire != monitor.dialect.wire:
        raise ValueError(
            f"the source has batches of {named}, and the monitor is for {monitor.dialect.name}: "
            f"pass {type(monitor).__name__}({named!r})"
        )


def _check_statuses(schedule: Schedule, monitor: Monitor | AsyncMonitor) -> None:
    bounds, lifecycle = schedule.stalled_after_s, monitor.dialect.lifecycle
    if isinstance(bounds, Mapping):
        for status in bounds:
            if status not in lifecycle.statuses or status in lifecycle.terminal:
                known = ", ".join(each for each in lifecycle.statuses if each not in lifecycle.terminal)
                raise ValueError(
                    f"stalled_after_s names {status!r}, which is no open status of {monitor.dialect.name}: {known}"
                )


def _fetcher(name: str, client: Any, source: Any, clock: Callable[[], float], *, is_async_wanted: bool) -> Any:
    if source is None:
        if is_async(client) != is_async_wanted:
            other = "awatch" if name == "watch" else "watch"
            raise TypeError(f"{type(client).__name__} is for {other}, not for {name}")
        return (AsyncClientFetcher if is_async_wanted else ClientFetcher)(client, clock)
    if not callable(getattr(source, "fetch", None)):
        raise TypeError(f"{type(source).__name__} has no fetch(ids)")
    if iscoroutinefunction(source.fetch) != is_async_wanted:
        expected = "a coroutine function" if is_async_wanted else "a plain function"
        raise TypeError(f"{name} needs source.fetch to be {expected}")
    return (AsyncSourceFetcher if is_async_wanted else SourceFetcher)(source, clock)
