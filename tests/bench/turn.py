"""
One run of one peer: `python tests/bench/turn.py PEER LOG`, as `audit.py` starts it.

The process loads only the libraries of the peer, checks the log, and prints its counts as one line of JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def checker(name: str) -> Callable[[Path], Any]:
    """Return the function that checks a log and counts its findings."""
    from bench import eleven  # noqa: PLC0415  # Each process loads what it measures.

    return _ask_text if name == "duckdb_text" else getattr(eleven, name)


def _ask_text(path: Path) -> dict[str, int]:
    import duckdb  # noqa: PLC0415

    from batchfsm.sql import Table, query  # noqa: PLC0415
    from bench import snapshot_log  # noqa: PLC0415

    source = f"(SELECT *, row_number() OVER () AS place FROM ({snapshot_log.typed(path)})) AS log"  # noqa: S608
    text = query(Table.of(source, "duckdb", changes={"place": "place"}), is_counted=True)
    with duckdb.connect() as connection:
        found = connection.execute(text).fetchall()
    return {code: sum(number for each, *_, number in found if each == code) for code, *_ in found}


def main(name: str, log: str) -> None:
    """Check the log and print the counts."""
    print(json.dumps(checker(name)(Path(log))))


if __name__ == "__main__":
    main(*sys.argv[1:])
