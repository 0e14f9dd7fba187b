"""
Time of the row engine, as ratios in one run: `python tests/bench/rows.py [--rows N] [--rounds N] [LOG.jsonl ...]`.

The same rows are audited one at a time in each form that `audit` takes, and compared with `json.loads` of their lines.
Without a file two healthy logs are made: one as a poller of the API writes it today (usage, metadata, errors, unknown
keys, text beyond ASCII), one with the bare fields. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, Final

HERE: Final = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1]))

from openai.types import Batch  # noqa: E402

from batchfsm import Report, audit  # noqa: E402
from batchfsm.logs import parse_records, resolve_source  # noqa: E402
from batchfsm.wire import reader  # noqa: E402
from bench import snapshot_log  # noqa: E402  # A script finds its neighbours so.
from support.dialects import DIALECTS  # noqa: E402

ROWS: Final = 30_000
ROUNDS: Final = 5
USAGE: Final = {
    "input_tokens": 81_000,
    "input_tokens_details": {"cached_tokens": 1_024},
    "output_tokens": 9_000,
    "output_tokens_details": {"reasoning_tokens": 128},
    "total_tokens": 90_000,
}


class SDKObject:
    """An SDK object whose dump costs nothing, because it was made before."""

    def __init__(self, wire: dict[str, Any]) -> None:
        self.id, self._wire = wire["id"], wire

    def model_dump(self, *, warnings: bool = True) -> dict[str, Any]:  # The same signature as in pydantic.
        """Return the wire object."""
        return self._wire


def real(number: int, line: dict[str, Any]) -> dict[str, Any]:
    """Return a line with the other fields of real logs; the id of the batch decides which ones it has."""
    snapshot = line["snapshot"]
    kind = int(snapshot["id"][-2:], 16) % 10
    if kind < 7:  # Seven in ten batches are of models that report usage.
        snapshot |= {"model": "gpt-5-2025-08-07", "usage": USAGE if snapshot["output_file_id"] else None}
    if kind < 2:
        snapshot["metadata"] = {"customer": "Zoë", "run": str(number)}
    elif kind < 4:
        snapshot["metadata"] = None
    if kind == 5:
        snapshot |= {"cost": 0.25, "output_blob": "https://example.com/out", "tags": ["nightly"]}
    if snapshot["errors"]:
        snapshot["errors"] = {"object": "list", "data": snapshot["errors"]}
    return line


def made(folder: Path, count: int) -> list[Path]:
    """Write the two logs."""
    bare, rich = folder / "bare.jsonl", folder / "real.jsonl"
    snapshot_log.write(bare, rows=count, share=0)
    with bare.open() as lines, rich.open("w") as file:
        for number, line in enumerate(lines):
            file.write(json.dumps(real(number, json.loads(line)), ensure_ascii=number % 2 == 0) + "\n")
    return [bare, rich]


def forms(path: Path) -> dict[str, tuple[Callable[[], Any], Any]]:
    """Return, by form, a function that makes a new source of the rows, and the function that reads it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    objects = [json.loads(line) for line in lines]
    dumped = [
        {
            "observed_at": each["observed_at"],
            "batch": SDKObject(Batch.construct(**each["snapshot"]).model_dump(warnings=False)),
        }
        for each in objects
    ]
    snapshots = [row.snapshot for row in parse_records(resolve_source(str(path)), reader(DIALECTS["openai"]))]
    return {
        "json.loads": (lambda: lines, lambda source: [json.loads(line) and None for line in source]),
        "file of JSON lines": (lambda: str(path), judged),
        "list of mappings": (lambda: objects, judged),
        "list of bare mappings": (lambda: [each["snapshot"] for each in objects], judged),
        "iterator of JSON texts": (lambda: iter(lines), judged_texts),
        "list of SDK objects": (lambda: dumped, judged),
        "list of Snapshots": (lambda: snapshots, judged),
    }


def judged(source: Any) -> Report:
    """Audit a source row by row."""
    return audit(source, engine="rows", max_findings=0)


def judged_texts(source: Iterator[str]) -> Report:
    """Audit texts row by row; a list of texts would be taken for file names."""
    return judged(Texts(source))


class Texts:
    """An iterable of texts that can be read twice."""

    def __init__(self, texts: Iterator[str]) -> None:
        self._texts = list(texts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)


def main(paths: list[Path], rounds: int) -> None:
    """Print a table for each log, with medians of rounds in turns."""
    for path in paths:
        roads = forms(path)
        taken: dict[str, list[float]] = {name: [] for name in roads}
        found: dict[str, Any] = {}
        for _ in range(rounds):
            for name, (source, work) in roads.items():
                fresh = source()
                gc.collect()
                started = process_time()
                found[name] = work(fresh)
                taken[name].append(process_time() - started)
        count = found["list of mappings"].snapshots
        print(f"\n{path.name}, {count:,} rows, {dict(found['file of JSON lines'].counts) or 'no finding'}")
        print(f"{'':26}{'us a row':>10}{'x json.loads':>14}")
        for name, times in taken.items():
            ratio = median(ours / theirs for ours, theirs in zip(times, taken["json.loads"], strict=True))
            print(f"{name:26}{median(times) / count * 1e6:10.1f}{ratio:14.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("logs", nargs="*", type=Path)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        main(given.logs or made(Path(scratch), given.rows), given.rounds)
