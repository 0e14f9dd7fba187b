"""
Memory of a tracked batch: `python tests/bench/memory.py [batches]`.

Each batch has its whole life of four snapshots, each newly decoded, so that batches share only objects that the
monitor shares. The figures are the growth of resident memory in a new process; in a second one, the bytes that
tracemalloc counts; and in a third one the same for a monitor with `keep_ended=0`.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

from observe import COMPLETED, life

from batchfsm import Monitor

BATCHES = 50_000
WARM = 1_000


def observed(monitor, first, last):
    """Observe the lives of many batches; each has its own ids, files and times."""
    for number in range(first, last):
        born = COMPLETED["created_at"] + number * 100
        own = {name: COMPLETED[name] + number * 100 for name in COMPLETED if name.endswith("_at") and COMPLETED[name]}
        own["id"] = f"batch_{born:08x}{number:024x}"
        own |= {name: f"file-{name[:2]}{number:020d}" for name in ("input_file_id", "output_file_id")}
        for row in life(COMPLETED | own | {"request_counts": {"total": 50_000, "completed": 49_000, "failed": 1_000}}):
            monitor.observe(json.loads(json.dumps(row)))


def resident():
    """Return the resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def measured(how, batches):
    """Return the number of bytes for each batch."""
    if how != "rss":
        tracemalloc.start()
    size = resident if how == "rss" else lambda: tracemalloc.get_traced_memory()[0]
    monitor = Monitor(keep_ended=0 if how == "keep_ended=0" else None)
    observed(monitor, 0, WARM)
    gc.collect()
    before = size()
    observed(monitor, WARM, WARM + batches)
    gc.collect()
    assert len(monitor) == WARM + batches
    return (size() - before) / batches


def main(batches):
    """Print the table; each line is measured in a new process."""
    print(f"{batches:,} batches{'bytes a batch':>22}")
    for how in ("rss", "tracemalloc", "keep_ended=0"):
        command = [sys.executable, __file__, str(batches), how]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"{how:16}{float(answer):20,.0f}")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(measured(sys.argv[2], int(sys.argv[1])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else BATCHES)
