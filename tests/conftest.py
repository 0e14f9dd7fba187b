"""How thoroughly properties are tried, and the examples of README, docs and docstrings as tests."""

import os
import re
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
from hypothesis import settings
from sybil import Sybil
from sybil.parsers.doctest import DocTestParser
from sybil.parsers.myst import CodeBlockParser, DocTestDirectiveParser, PythonCodeBlockParser, SkipParser

from support.paths import ROOT

# `pytest --hypothesis-profile=ci` tries other, and ten times as many, examples on each run; `compat` is for another
# Python or other versions, after `fast` has passed on one: a difference between them shows in the first examples. A
# test that sets its own number of examples has that number in each profile.
settings.register_profile("fast", max_examples=100, derandomize=True, deadline=None)
settings.register_profile("compat", parent=settings.get_profile("fast"), max_examples=10)
settings.register_profile("ci", max_examples=1000, deadline=None)
settings.load_profile("fast")


def as_script(names):
    """Let the functions of a page know where they are from: hooks are named so."""
    names["__name__"] = "__main__"


def as_typed(example):
    """
    Run each `$ command` of a block at 80 columns and compare what it prints.

    `...` stands for anything; `$?` is what the command before it ended with.
    """
    import batchfsm  # noqa: PLC0415  # Before any test begins it would escape the measured coverage.

    found = Path(batchfsm.__file__).parents[1]
    env = os.environ | {"PYTHONPATH": str(found), "COLUMNS": "80", "NO_COLOR": "1"}
    ended = 0
    for step in re.split(r"^\$ ", example.parsed, flags=re.MULTILINE)[1:]:
        command, *printed = re.split(r"(?<!\\)\n", step, maxsplit=1)
        script = f'batchfsm() {{ "{sys.executable}" -m batchfsm "$@"; }}; (exit {ended}); {command}'
        ran = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=False)  # noqa: S607
        ended = ran.returncode
        expected, got = "".join(printed).strip("\n"), (ran.stdout + ran.stderr).strip("\n")
        pattern = re.escape(expected).replace(r"\.\.\.", r"(?s:.*)")
        assert re.fullmatch(pattern, got), f"$ {command}\n--- expected\n{expected}\n--- got\n{got}"


PAGES = Sybil(
    path=str(ROOT),
    parsers=[
        PythonCodeBlockParser(),
        CodeBlockParser(language="console", evaluator=as_typed),
        DocTestDirectiveParser(),
        SkipParser(),
    ],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=as_script,
    fixtures=["desk"],
)
DOCSTRINGS = Sybil(
    path=str(ROOT),
    parsers=[DocTestParser()],
    patterns=["batchfsm/*.py", "batchfsm/**/*.py"],
    fixtures=["desk"],
)


class Examples:
    """Collects the examples; a plugin, for hooks and fixtures of a conftest see only what is beside it."""

    pytest_collect_file = staticmethod((PAGES + DOCSTRINGS).pytest())

    @pytest.fixture(scope="module")
    @classmethod
    def desk(cls, tmp_path_factory):
        """Let the examples of one page read and write in a directory of their own."""
        with chdir(tmp_path_factory.mktemp("desk")):
            yield


def pytest_configure(config):
    """Register the plugin, before anything is collected."""
    config.pluginmanager.register(Examples(), "examples")
