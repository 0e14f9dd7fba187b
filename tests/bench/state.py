"""
Time and memory of an audit with a state file: `python tests/bench/state.py [rows]`.

Each run is a new process, row by row: a log of four snapshots a batch without a state, the same log into a new state,
and the next day's log of the same batches with that state. Nothing is asserted.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1]))

from bench import snapshot_log  # noqa: E402  # A script finds its neighbours so.

ROWS = 1_000_000
ROWS_PER_BATCH = 4


def run(log: str, state: str) -> None:
    """Audit a log, and print the figures as one line of JSON; an empty name means no state."""
    from batchfsm import audit  # noqa: PLC0415  # Each process loads what it measures.

    started = perf_counter()
    report = audit(log, engine="rows", max_findings=0, state=state or None)
    spent_s = perf_counter() - started
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"s": spent_s, "kb": int(peak.split()[1]), "rows": report.snapshots, "batches": report.batches}))


def measured(log: Path, state: Path | str) -> dict[str, Any]:
    """Audit a log in a new process."""
    command = [sys.executable, str(HERE), "--run", str(log), str(state)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(answer)
    return found


def main(rows: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        whole, state = Path(scratch, "log.jsonl"), Path(scratch, "state.db")
        snapshot_log.write(whole, rows=rows, rows_per_batch=ROWS_PER_BATCH)
        days = [whole.with_name("monday.jsonl"), whole.with_name("tuesday.jsonl")]
        half = whole.stat().st_size // 2
        with whole.open("rb") as log, days[0].open("wb") as monday, days[1].open("wb") as tuesday:
            for line in log:
                (monday if log.tell() <= half else tuesday).write(line)
        runs = {
            "no state": measured(whole, ""),
            "into a new state": measured(whole, state),
            "the first half into a new state": measured(days[0], state.with_name("days.db")),
            "the second half out of it": measured(days[1], state.with_name("days.db")),
        }
        with sqlite3.connect(state) as db:
            batches = db.execute("SELECT count(*) FROM batches").fetchone()[0]
        db.close()
        print("| run | s | rows | batches | us a row | peak MB |\n|---|---|---|---|---|---|")
        for name, found in runs.items():
            print(
                f"| {name} | {found['s']:.1f} | {found['rows']:,} | {found['batches']:,} "
                f"| {found['s'] / found['rows'] * 1e6:.1f} | {found['kb'] / 1e3:,.0f} |"
            )
        size = state.stat().st_size
        print(f"\n{size / 1e6:,.1f} MB of state, {size / batches:,.0f} bytes a batch of {batches:,}.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(*sys.argv[2:4])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
