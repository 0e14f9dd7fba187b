"""Parsers of the examples on the pages, for the pages as they are and for the pages as readers see them."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from sybil.parsers.myst import CodeBlockParser, DocTestDirectiveParser, PythonCodeBlockParser, SkipParser


def run_as_typed(example):
    """
    Run each `$ command` of a block at 80 columns and compare what it prints.

    `...` stands for anything; `$?` is the exit status of the command before. Exported variables last to the end of the
    page, as in one shell. A key or an address of a real server is not passed on.
    """
    import batchfsm  # noqa: PLC0415  # Before any test begins it would escape the measured coverage.

    found = Path(batchfsm.__file__).parents[1]
    first = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    env = example.namespace.get("shell_environment", first)
    # Unbuffered, so that both streams are in the order in which a terminal shows them.
    env |= {"PYTHONPATH": str(found), "COLUMNS": "80", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    ended = 0
    for step in re.split(r"^\$ ", example.parsed, flags=re.MULTILINE)[1:]:
        command, *printed = re.split(r"(?<!\\)\n", step, maxsplit=1)
        with tempfile.NamedTemporaryFile() as exported:
            defined = f'batchfsm() {{ "{sys.executable}" -m batchfsm "$@"; }}; trap \'env -0 >"{exported.name}"\' EXIT'
            script = f"{defined}; (exit {ended}); {command}"
            streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            ran = subprocess.run(["bash", "-c", script], env=env, text=True, check=False, **streams)  # noqa: S607
            env = dict(row.split("=", 1) for row in Path(exported.name).read_text().split("\0")[:-1])
        ended = ran.returncode
        expected, got = "".join(printed).strip("\n"), ran.stdout.strip("\n")
        pattern = re.escape(expected).replace(r"\.\.\.", r"(?s:.*)")
        assert re.fullmatch(pattern, got), f"$ {command}\n--- expected\n{expected}\n--- got\n{got}"
    example.namespace["shell_environment"] = env


def page_parsers():
    """Return the parsers of a page in Markdown."""
    return [
        PythonCodeBlockParser(),
        CodeBlockParser(language="console", evaluator=run_as_typed),
        DocTestDirectiveParser(),
        SkipParser(),
    ]


def prepare(names, *, as_read=False):
    """
    Let the functions of a page know where they are from, because hooks are named so.

    Args:
        names: The namespace of the page.
        as_read: Whether the page runs without its hidden blocks; a condition of `skip` may read it.
    """
    names["__name__"] = "__main__"
    names["as_read"] = as_read
