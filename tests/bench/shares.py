"""
CPU time of the parts of an audit in columns: `python tests/bench/shares.py LOG [runs]`.

CPU seconds of each part, over all threads, and of the whole process; medians of several runs in one process, after
one that loads what is needed. A log is made by `tests/bench/snapshot_log.py`. Nothing is asserted.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from statistics import median
from typing import Any

from batchfsm import audit
from batchfsm.auditing.columns import ColumnEngine, ParserPool, TableSource
from batchfsm.auditing.columns.partition import Partition

PARTS = {
    "decoding rows": [(ParserPool, "parse"), (TableSource, "_decode")],
    "checking rows": [(Partition, "check")],
    "explaining the findings that are listed": [(ColumnEngine, "_explain")],
}
"""The methods of each part; the rest is reading the file, handing rows on, and counting."""


def watch(spent: dict[str, float]) -> None:
    """From now on, add up the CPU seconds of each part."""
    for name, places in PARTS.items():
        for owner, attribute in places:
            setattr(owner, attribute, _timed(getattr(owner, attribute), name, spent))


def _timed(act: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    @wraps(act)
    def timed(*args: Any, **options: Any) -> Any:
        begun = time.thread_time()
        try:
            return act(*args, **options)
        finally:
            spent[name] += time.thread_time() - begun

    return timed


def main(log: str, runs: int) -> None:
    """Print the table."""
    spent: dict[str, float] = defaultdict(float)
    taken: dict[str, list[float]] = defaultdict(list)
    audit(log)
    watch(spent)
    for _ in range(runs):
        spent.clear()
        begun, begun_cpu = time.perf_counter(), time.process_time()
        report = audit(log)
        whole = time.process_time() - begun_cpu
        taken["passed"].append(time.perf_counter() - begun)
        for name in PARTS:
            taken[name].append(spent[name])
        taken["the rest"].append(whole - sum(spent.values()))
        taken["all of it"].append(whole)
    passed = median(taken.pop("passed"))
    whole = median(taken["all of it"])
    print(f"{report.snapshots:,} rows, {len(report.findings):,} findings listed; {passed:.2f} s, medians of {runs}\n")
    print("| part | CPU s | share |\n|---|---|---|")
    for name, seconds in taken.items():
        print(f"| {name} | {median(seconds):.2f} | {median(seconds) / whole:.0%} |")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5)
