"""
Time and memory of audits and peers: `python tests/bench/audit.py [--rows N]... [--peer P]... [--grow] [--first]`.

Each run is a new process, timed from its start to its exit, imports included, as a person at a shell waits for it.
All checkers take turns, since other load slows all of them alike, and medians are printed. With `--first` each run
compiles the Python files of all packages, as the first run of an installation does; those of the standard library are
compiled already. The output is the table of docs/explanation/speed.md. No time is asserted. A checker is named if its counts differ from those of other checkers or
from those of the generator of the log.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve()
TURN = HERE.with_name("turn.py")
LIBRARY = Path(sysconfig.get_path("stdlib"))
sys.path.insert(0, str(HERE.parents[1]))

from bench import snapshot_log  # noqa: E402  # A script finds its neighbours so.

LISTED = {"audit": 1_000, "audit_hundred": 100, "audit_counts": 0}
"""How many findings an audit lists."""

PEERS = {
    "audit": "**batchfsm audit**, all rules, 1,000 findings listed",
    "audit_hundred": "**batchfsm audit**, all rules, 100 findings listed",
    "audit_counts": "**batchfsm audit**, all rules, counts alone as the others",
    "duckdb_window": "DuckDB, expert window SQL, eleven rules",
    "polars_shift": "Polars, sort and shift, eleven rules",
    "duckdb_text": "DuckDB, text of `batchfsm sql`, 31 rules",
    "python_loop": "Python loop, eleven rules",
}
BY_HAND = ("duckdb_window", "polars_shift", "python_loop")
"""The peers that check the eleven rules, which must count alike."""
ANCHOR = "duckdb_window"
"""The peer that the others are compared with."""

GROWTH: dict[str, list[dict[str, Any]]] = {
    "rows": [{"rows": share} for share in (0.01, 0.1, 1.0)],
    "rows a batch": [{"rows_per_batch": views} for views in (2, 10, 50)],
    "share of damaged rows": [{"share": share} for share in (0.0, 0.005, 0.1, 1.0)],
    "order": [{"order": order} for order in ("time", "shuffled")],
}
"""The shapes of the logs of each growth table, rows as a share of those of the main table; all else as there."""


# ---------------------------------------------------------------- one run


def command(peer: str, path: Path) -> list[str]:
    """Return the command of a checker."""
    if peer in LISTED:
        options = ["--format", "json", "--max-findings", str(LISTED[peer])]
        return [sys.executable, "-P", "-m", "batchfsm", "audit", str(path), *options]
    return [sys.executable, str(TURN), peer, str(path)]


def run(peer: str, path: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run a checker; return the seconds of its process, its peak memory in bytes and its counts; {} if it failed."""
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        pid = os.posix_spawn(
            sys.executable,
            command(peer, path),
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, output.fileno(), 1)],
        )
        _, status, usage = os.wait4(pid, 0)
        seconds = time.perf_counter() - begun
        output.seek(0)
        printed = output.read()
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        return {}
    found = json.loads(printed)
    return {"s": seconds, "bytes": usage.ru_maxrss * 1024, "counts": found["counts"] if peer in LISTED else found}


def run_first(peer: str, path: Path) -> dict[str, Any]:
    """Run a checker as `run`, with compiled files of the standard library alone."""
    with tempfile.TemporaryDirectory() as prefix:
        for folder in LIBRARY.rglob("__pycache__"):
            if not {"site-packages", "test"} & {*folder.parts}:
                shutil.copytree(folder, Path(prefix, *folder.parent.parts[1:]))
        return run(peer, path, os.environ | {"PYTHONPYCACHEPREFIX": prefix})


# ---------------------------------------------------------------- tables


def compare(path: Path, peers: list[str], rounds: int, *, is_first: bool) -> dict[str, dict[str, Any]]:
    """Run peers in turns; return the medians and the counts of each."""
    runs: dict[str, list[dict[str, Any]]] = {peer: [] for peer in peers}
    for _ in range(rounds):
        for peer in peers:
            if found := run_first(peer, path) if is_first else run(peer, path, dict(os.environ)):
                runs[peer].append(found)
    return {
        peer: {key: median(each[key] for each in found) for key in ("s", "bytes")} | {"counts": found[0]["counts"]}
        for peer, found in runs.items()
        if found
    }


def disagreements(results: dict[str, dict[str, Any]], truth: dict[str, int]) -> list[str]:
    """Return the names of the checkers whose counts are wrong."""
    odd = [
        name
        for name in ("audit", "audit_hundred", "audit_counts", "duckdb_text")
        if name in results and _wrong(results[name]["counts"], truth, name)
    ]
    by_hand = {name: results[name]["counts"] for name in results if name in BY_HAND}
    if len({tuple(counts) for counts in by_hand.values()}) > 1:
        odd += by_hand
    return odd


def _wrong(counts: dict[str, int], truth: dict[str, int], peer: str) -> bool:
    hidden = {"S002", "S006"} if peer == "duckdb_text" else set()
    # After an illegal move a query may differ; the generator makes those last in their batch.
    return counts != {code: number for code, number in truth.items() if code not in hidden}


def table(results: dict[str, dict[str, Any]], rows: int) -> str:
    """Return the results as a table in Markdown."""
    anchor = results[ANCHOR]
    lines = [
        "| checker | s | M rows/s | × its time | peak MB | × its memory |",
        "|---|---|---|---|---|---|",
    ]
    for peer, found in results.items():
        lines.append(
            f"| {PEERS[peer]} | {found['s']:.2f} | {rows / found['s'] / 1e6:.3g} | {found['s'] / anchor['s']:.2f} "
            f"| {found['bytes'] / 1e6:,.0f} | {found['bytes'] / anchor['bytes']:.2f} |"
        )
    return "\n".join(lines)


class Bench:
    """Logs in a directory, each made once, and the tables about them."""

    def __init__(self, directory: Path, rounds: int, peers: list[str], *, is_first: bool) -> None:
        self.directory, self.rounds, self.peers, self.is_first = directory, rounds, peers, is_first

    def log(self, form: str, **shape: Any) -> tuple[Path, dict[str, int]]:
        """Return a log of the given shape, and the number of findings of each rule in it."""
        name = "-".join(f"{key}_{value}" for key, value in sorted(shape.items()))
        path, known = self.directory / f"{name}.jsonl", self.directory / f"{name}.truth.json"
        if not known.exists():
            known.write_text(json.dumps(_run_apart(snapshot_log.write, path, **shape)))
        if form == "parquet":
            target = path.with_suffix(".parquet")
            if not target.exists():
                _run_apart(snapshot_log.to_parquet, path, target)
            path = target
        return path, json.loads(known.read_text())

    def main_table(self, form: str, rows: int) -> None:
        """Print all peers side by side."""
        path, truth = self.log(form, rows=rows)
        peers = [peer for peer in self.peers if not (peer == "python_loop" and form == "parquet")]
        results = compare(path, peers, self.rounds, is_first=self.is_first)
        print(
            f"\n**{rows:,} rows, {'JSON lines' if form == 'jsonl' else 'Parquet'}, {path.stat().st_size / 1e6:,.0f} MB**\n"
        )
        print(table(results, rows), flush=True)
        self._tell(results, truth)

    def growth_table(self, what: str, shapes: list[dict[str, Any]], rows: int) -> None:
        """Print how the time grows with one property of the log."""
        print(f"\n| {what} | batchfsm.audit, s | peak MB | DuckDB window, s | peak MB | × |\n|---|---|---|---|---|---|")
        for each in shapes:
            shape = {"rows": int(rows * each["rows"])} if "rows" in each else each
            path, truth = self.log("jsonl", **({"rows": rows} | shape))
            results = compare(path, ["audit_counts", ANCHOR], self.rounds, is_first=self.is_first)
            ours, theirs = results["audit_counts"], results[ANCHOR]
            (value,) = shape.values()
            print(
                f"| {value if isinstance(value, str) else f'{value:,}'} | {ours['s']:.2f} | {ours['bytes'] / 1e6:,.0f} "
                f"| {theirs['s']:.2f} | {theirs['bytes'] / 1e6:,.0f} | {ours['s'] / theirs['s']:.2f} |",
                flush=True,
            )
            self._tell(results, truth)

    def _tell(self, results: dict[str, dict[str, Any]], truth: dict[str, int]) -> None:
        if odd := disagreements(results, truth):
            print(f"\nCOUNTS DIFFER: {', '.join(odd)}", flush=True)


def _run_apart(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a function in a new process; in this one its memory would count towards the peak of later children."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(partial(function, *arguments, **options)).result()


def header(rounds: int) -> str:
    """Return the command, the date and the machine of this run."""
    model = next(
        (
            line.partition(": ")[2]
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "",
    )
    load = os.getloadavg()[0]
    return (
        f"`python tests/bench/{HERE.name} {' '.join(sys.argv[1:])}`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores "
        f"({model.strip()}), Python {platform.python_version()}; medians of {rounds}, load before it {load:.1f}."
    )


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, action="append", help="how long the logs are; again for each length")
    parser.add_argument("--form", choices=["jsonl", "parquet"], action="append", help="both, without it")
    parser.add_argument("--peer", choices=PEERS, action="append", help="all, without it; the window query always")
    parser.add_argument("--grow", action="store_true", help="print what more rows, batches and findings cost, too")
    parser.add_argument("--first", action="store_true", help="each run compiles the Python files of all packages")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, help="where logs are kept between runs")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        peers = [peer for peer in PEERS if peer in (chosen.peer or PEERS) or peer == ANCHOR]
        bench = Bench(chosen.directory or Path(scratch), chosen.rounds, peers, is_first=chosen.first)
        sizes = chosen.rows or [1_000_000]
        print(header(chosen.rounds))
        for rows in sizes:
            for form in chosen.form or ["jsonl", "parquet"]:
                bench.main_table(form, rows)
        for what, shapes in GROWTH.items() if chosen.grow else ():
            bench.growth_table(what, shapes, sizes[0])


if __name__ == "__main__":
    main()
