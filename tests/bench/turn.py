"""
One run of one checker: `python tests/bench/turn.py CHECKER LOG SMALL BEGUN`, as `audit.py` starts it.

It loads what the checker needs and nothing else, judges a small log, and then the log; what that took, it prints as one
line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

TOLD: Mapping[str, dict[str, Any]] = {
    "audit": {},
    "audit_hundred": {"max_findings": 100},
    "audit_counts": {"max_findings": 0},
}
"""How many findings an audit tells."""


def checker(name: str) -> Callable[[Path], Any]:
    """Return what judges a log and counts what it finds."""
    if name in TOLD:
        from batchfsm import audit  # noqa: PLC0415  # Each process loads what it measures.

        return lambda path: dict(audit(str(path), **TOLD[name]).counts)
    from bench import eleven  # noqa: PLC0415

    return _ask_text if name == "duckdb_text" else getattr(eleven, name)


def _ask_text(path: Path) -> dict[str, int]:
    import duckdb  # noqa: PLC0415

    from batchfsm.auditing.sql import Table, query  # noqa: PLC0415
    from bench import snapshot_log  # noqa: PLC0415

    source = f"(SELECT *, row_number() OVER () AS place FROM ({snapshot_log.typed(path)})) AS log"  # noqa: S608
    text = query(Table.of(source, "duckdb", changes={"place": "place"}), is_counted=True)
    with duckdb.connect() as connection:
        found = connection.execute(text).fetchall()
    return {code: sum(number for each, *_, number in found if each == code) for code, *_ in found}


def main(name: str, log: str, small: str, begun_s: str) -> None:
    """Judge both."""
    work = checker(name)
    work(Path(small))
    started = time.monotonic()
    counts = work(Path(log))
    print(json.dumps({"s": time.monotonic() - started, "start_s": started - float(begun_s), "counts": counts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
