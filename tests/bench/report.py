"""
What a report costs beyond its audit: gathering, writing, bytes. `python tests/bench/report.py [ROWS [FINDINGS]]`.

The log has eight snapshots a batch; of so many batches the last one says something it should not. The share of
gathering is that of processor time, the median of three audits with it over three without.
"""

import json
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

sys.path.insert(0, str(Path(__file__).parents[1]))

from notation import CREATED, seen

import batchfsm
from batchfsm.auditing.flow import Gathering

TOLD, ENDED = Gathering.told, Gathering.ended


def write_log(path, rows, findings):
    """Write a log in order of observation."""
    with path.open("w") as log:
        for number in range(rows // 8):
            at = (0, 5 + number % 60, 100 + number % 3000, 4000 + number % 500)
            polls = [batch for batch in seen("vpzc", at=at, id=f"batch_{number:08}") for _ in range(2)]
            if number < findings:
                polls[-1] = polls[-1] | {"output_file_id": "file-other"}
            for place, batch in enumerate(polls):
                line = {"observed_at": CREATED + 10 * number + 4600 + place, "batch": batch}
                log.write(json.dumps(line) + "\n")


def seconds_of(path, *, gathers):
    """Return the processor time of an audit; without gathering, what is told goes nowhere."""
    Gathering.told = TOLD if gathers else lambda *_: None
    Gathering.ended = ENDED if gathers else lambda *_: None
    begun = process_time()
    batchfsm.audit(path)
    return process_time() - begun


def main(rows, findings):
    """Measure, and print."""
    with TemporaryDirectory() as folder:
        log, page = Path(folder) / "log.jsonl", Path(folder) / "report.html"
        write_log(log, min(rows, 80_000), findings)
        pairs = [(seconds_of(log, gathers=True), seconds_of(log, gathers=False)) for _ in range(3)]
        gathered, plain = (median(each) for each in zip(*pairs, strict=True))
        print(f"gathering, {min(rows, 80_000):,} snapshots: {gathered / plain:.2f} x an audit without it")
        write_log(log, rows, findings)
        Gathering.told, Gathering.ended = TOLD, ENDED
        begun = perf_counter()
        audited = batchfsm.audit(log, max_findings=findings)
        judged = perf_counter()
        batchfsm.report(audited, page)
        print(
            f"audit, {audited.snapshots:,} snapshots: {judged - begun:.1f} s, {len(audited.findings):,} findings listed"
        )
        print(f"report: {perf_counter() - judged:.1f} s, {page.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:])) if len(sys.argv) > 2 else main(int((sys.argv[1:] or ["100000"])[0]), 5_000)
