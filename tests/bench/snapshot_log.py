"""
Large logs with known findings: `python tests/bench/snapshot_log.py PATH [rows [seed]]`.

Thousands of batches live at a time, a poller observes each at random moments, and appends the snapshots to the log.
Some rows are damaged, each so that it breaks exactly one rule and no later row does. So an audit has to find exactly
the damaged rows.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from heapq import heappop, heappush
from pathlib import Path
from random import Random
from tempfile import TemporaryFile
from typing import Any

from bench import damage

START = 1_700_000_000
"""When the first batch is created; Unix seconds."""

GAP_S = 17
"""Between two creations: so five thousand batches live at a time."""

DAY_S = 86_400
PARTS = 64
ENDPOINTS = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings")
COLUMNS = {
    "id": "VARCHAR", "object": "VARCHAR", "endpoint": "VARCHAR", "errors": "JSON", "input_file_id": "VARCHAR",
    "completion_window": "VARCHAR", "status": "VARCHAR", "output_file_id": "VARCHAR", "error_file_id": "VARCHAR",
    **dict.fromkeys(("created_at", "expires_at", *damage.STAMPS), "BIGINT"),
    "request_counts": "STRUCT(total BIGINT, completed BIGINT, failed BIGINT)", "metadata": "JSON",
}  # fmt: skip
"""The fields of a snapshot, with DuckDB's names of their types."""


def write(
    path: Path, *, rows: int, seed: int = 1, rows_per_batch: int = 10, share: float = 0.005, order: str = "time"
) -> Counter[str]:
    """
    Write a log of JSON lines.

    Args:
        path: The file to write.
        rows: The minimum number of lines; a few more are written, so that no batch is cut off.
        seed: The seed of the random numbers; the same seed gives the same bytes.
        rows_per_batch: The average number of snapshots of a batch.
        share: The approximate share of damaged rows, from 0 to 1.
        order: `time`, as a poller appends, or `shuffled`.

    Returns:
        The number of findings of each rule.
    """
    dice = Random(seed)  # noqa: S311  # Dice, no secrets.
    truth: Counter[str] = Counter()
    log = _log(dice, rows=rows, rows_per_batch=rows_per_batch, share=share, truth=truth)
    lines = (f"{json.dumps({'observed_at': at, 'snapshot': row})}\n" for at, row in log)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines if order == "time" else _shuffled(lines, dice))
    return truth


def to_parquet(path: Path, target: Path) -> None:
    """Write the rows of a log as Parquet: typed columns, nested counts, errors and metadata as text."""
    import duckdb  # noqa: PLC0415  # 100 MB, which a process that only makes lines need not load.

    with duckdb.connect() as connection:
        connection.execute(f"COPY ({typed(path)}) TO '{target}' (FORMAT parquet)")


def typed(path: Path) -> str:
    """Return a query that reads a log of JSON lines or Parquet into typed columns, without inference."""
    if path.suffix == ".parquet":
        return f"SELECT * FROM read_parquet('{path}')"  # noqa: S608
    struct = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
    columns = f"{{observed_at: 'BIGINT', snapshot: 'STRUCT({struct})'}}"
    return (
        "SELECT observed_at, UNNEST(snapshot) "  # noqa: S608
        f"FROM read_json('{path}', format = 'newline_delimited', columns = {columns})"
    )


def _log(
    dice: Random, *, rows: int, rows_per_batch: int, share: float, truth: Counter[str]
) -> Iterator[tuple[int, damage.Row]]:
    """Yield the rows of all batches with their times, in order of observation."""
    alive: list[tuple[int, int, damage.Row, Iterator[tuple[int, damage.Row]]]] = []
    due = born = 0
    while due < rows or alive:
        created = START + born * GAP_S
        if due < rows and not (alive and alive[0][0] < created):
            views = dice.randint(1, 2 * rows_per_batch - 1)
            life = _life(dice, born, created, views=views, share=share, truth=truth)
            due, number, born = due + views, born, born + 1
        else:
            at, number, row, life = heappop(alive)
            yield at, row
        for at, row in life:
            heappush(alive, (at, number, row, life))
            break


def _life(
    dice: Random, number: int, created: int, *, views: int, share: float, truth: Counter[str]
) -> Iterator[tuple[int, damage.Row]]:
    """Yield the snapshots of a batch with their times of observation."""
    moments, snapshot = _moments(dice, created), _snapshots(dice, number, created)
    span_s = int((moments[-1][1] - created) * 1.2) + 60
    seen = sorted(created + int(dice.random() * span_s) for _ in range(views))
    first = before = snapshot(moments, seen[0])
    for view, at in enumerate(seen, 1):
        row = snapshot(moments, at)
        shown: tuple[str | None, damage.Row] = (None, row)
        # Half of the damage is to last rows, one of which is in each `views` rows.
        if view == views > 1 and dice.random() < share * views / 2:
            shown = damage.last_row(dice, row, before, first, at)
        elif dice.random() < share / 2:
            shown = damage.any_row(dice, row)
        before = shown[1]
        if shown[0] is not None:
            truth[shown[0]] += 1
        yield at, shown[1]


def _moments(dice: Random, created: int) -> list[tuple[str, int]]:
    """Return the statuses of a life with their times."""
    validated = created + 2 + int(dice.expovariate(1 / 90))
    stopped = validated + min(int(dice.lognormvariate(8, 1.2)), DAY_S - 4_000) + 2
    fate, dawdling = dice.random(), dice.randint(2, 900)
    if fate < 0.06:
        return [("validating", created), ("failed", validated)]
    lived = [("validating", created), ("in_progress", validated)]
    if fate < 0.14:
        return [*lived, ("finalizing", created + DAY_S + 1), ("expired", created + DAY_S + 607)]
    if fate < 0.24:
        return [*lived, ("cancelling", stopped), ("cancelled", stopped + dawdling)]
    if fate < 0.28:
        return lived
    return [*lived, ("finalizing", stopped), ("completed", min(stopped + dawdling, created + DAY_S))]


def _snapshots(dice: Random, number: int, created: int) -> Any:
    """Return a function that makes the snapshot of a batch from its statuses and a time."""
    total, endpoint = 1 + int(dice.expovariate(1 / 400)), dice.choice(ENDPOINTS)
    same = {
        "id": f"batch_{created:08x}{number:024x}", "object": "batch", "endpoint": endpoint, "errors": None,
        "input_file_id": f"file-in{number:020d}", "completion_window": "24h", "output_file_id": None,
        "error_file_id": None, "created_at": created, "expires_at": created + DAY_S, **dict.fromkeys(damage.STAMPS),
        "metadata": {"job": f"nightly-{number % 97}", "team": "search"},
    }  # fmt: skip

    def snapshot(moments: list[tuple[str, int]], at: int) -> damage.Row:
        past = [(status, second) for status, second in moments if second <= at]
        status = past[-1][0]
        row = same | {f"{each}_at": second for each, second in past} | {"status": status}
        row.pop("validating_at")
        worked = dict(past).get("in_progress")
        done = 0
        if worked is not None:
            until = next((second for each, second in moments if each in ("finalizing", "cancelling")), worked + DAY_S)
            done = total * (min(at, until) - worked) // max(until - worked, 1)
        failed = done // 50
        row["request_counts"] = {"total": 0 if worked is None else total, "completed": done - failed, "failed": failed}
        if status in damage.TERMINAL and done > failed:
            row["output_file_id"] = f"file-out{number:020d}"
        if status == "failed":
            row["errors"] = [{"code": "invalid_json_line", "message": "no JSON", "param": None, "line": 7}]
        return row

    return snapshot


def _shuffled(lines: Iterable[str], dice: Random) -> Iterator[str]:
    """Yield lines in random order, distributed over files that each fit into memory."""
    with ExitStack() as stack:
        parts = [stack.enter_context(TemporaryFile("w+", encoding="utf-8")) for _ in range(PARTS)]
        for line in lines:
            dice.choice(parts).write(line)
        for part in parts:
            part.seek(0)
            found = part.readlines()
            dice.shuffle(found)
            yield from found


if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    size, seed = [int(number) for number in numbers] + [1_000_000, 1][len(numbers) :]
    print(json.dumps(write(Path(name), rows=size, seed=seed), sort_keys=True))
