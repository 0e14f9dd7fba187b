"""
Time and size of a report beyond its audit: `python tests/bench/report.py [ROWS [FINDINGS]]`.

The log has eight snapshots a batch; in FINDINGS batches the last one breaks a rule. Each audit is run three times with
the statistics of a report and three times without, in columns; once row by row, for comparison. The medians are
printed.
"""

import json
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1]))

import batchfsm
from support.notation import CREATED, seen


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


def timed(act, *args, **options):
    """Return the result of a call, and its duration in seconds."""
    begun = perf_counter()
    found = act(*args, **options)
    return found, perf_counter() - begun


def main(rows, findings):
    """Measure and print the table."""
    with TemporaryDirectory() as folder:
        log, page = Path(folder) / "log.jsonl", Path(folder) / "report.html"
        write_log(log, 80_000, 0)
        batchfsm.audit(log, statistics=True)  # Compile before the measurement starts.
        write_log(log, rows, findings)
        plain, gathered, written = [], [], []
        for _ in range(3):
            plain.append(timed(batchfsm.audit, log, max_findings=findings)[1])
            audited, seconds = timed(batchfsm.audit, log, max_findings=findings, statistics=True)
            gathered.append(seconds)
            written.append(timed(batchfsm.report, audited, page)[1])
        print(f"{audited.snapshots:,} snapshots, {len(audited.findings):,} findings listed; seconds, medians of three")
        print(f"in columns: audit {median(plain):.1f}, gathering too {median(gathered):.1f}")
        print(f"report: {median(written):.1f}, {page.stat().st_size / 1e6:.2f} MB", flush=True)
        print(f"row by row, once: {timed(batchfsm.audit, log, max_findings=findings, engine='rows')[1]:.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:])) if len(sys.argv) > 2 else main(int((sys.argv[1:] or ["100000"])[0]), 5_000)
