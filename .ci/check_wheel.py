"""
Check the installed wheel, away from the checkout: `python .ci/check_wheel.py compiled|columns|pure`.

compiled: The bare wheel has its files and its compiled modules, and the command names the extra that it lacks.
columns: A log of more than 256 KiB is audited in columns, without a remark.
pure: The wheel has no compiled modules; the same log is audited row by row, and one line on standard error says so.
"""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

SNAPSHOT = {
    "id": "batch_1",
    "object": "batch",
    "endpoint": "/v1/responses",
    "input_file_id": "file-in",
    "completion_window": "24h",
    "status": "in_progress",
    "created_at": 1711471533,
    "in_progress_at": 1711471538,
    "expires_at": 1711557933,
    "request_counts": {"total": 9000, "completed": 0, "failed": 0},
}


def check_files(names: set[str], *, is_compiled: bool) -> None:
    """Check that the wheel holds the package, licence, types and compiled modules, and nothing else of the checkout."""
    assert "batchfsm/py.typed" in names, names
    assert any(name.endswith("licenses/LICENSE") for name in names), names
    assert not [name for name in names if name.startswith(("tests", "docs"))], names
    compiled = {name for name in names if name.endswith((".so", ".pyd"))}
    assert len(compiled) == (7 if is_compiled else 0), compiled
    assert not [name for name in names if name.endswith(".c")], names


def check_message() -> None:
    """Check that the command says in one line which extra it lacks."""
    ran = subprocess.run(["batchfsm", "demo"], capture_output=True, text=True, check=False)
    printed = ran.stdout + ran.stderr
    assert (ran.returncode, printed.count("\n")) == (2, 1), ran
    assert "batchfsm[cli]" in printed, ran
    print(printed, end="")


def check_audit(*, is_compiled: bool) -> None:
    """Audit a log of more than 256 KiB; the remark is there only without compiled code."""
    log = Path("log.jsonl")
    rows = (SNAPSHOT | {"request_counts": {"total": 9000, "completed": done, "failed": 0}} for done in range(2000))
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = subprocess.run(["batchfsm", "audit", str(log)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran
    assert "2,000" in ran.stdout or "2000" in ran.stdout, ran
    assert ("no compiled code" in ran.stderr) != is_compiled, ran
    print(ran.stdout + ran.stderr, end="")


if __name__ == "__main__":
    (kind,) = sys.argv[1:]
    check_files({str(path) for path in importlib.metadata.files("batchfsm") or ()}, is_compiled=kind != "pure")
    if kind == "compiled":
        check_message()
    else:
        check_audit(is_compiled=kind == "columns")
