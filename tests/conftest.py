"""How thoroughly properties are tried, and the examples of README, docs and docstrings as tests."""

from contextlib import chdir

import pytest
from hypothesis import settings
from sybil import Sybil
from sybil.parsers.doctest import DocTestParser

from support.examples import page_parsers, prepare
from support.paths import ROOT

# `pytest --hypothesis-profile=ci` tries other, and ten times as many, examples on each run; `compat` is for another
# Python or other versions, after `fast` has passed on one: a difference between them shows in the first examples. A
# test that sets its own number of examples has that number in each profile.
settings.register_profile("fast", max_examples=100, derandomize=True, deadline=None)
settings.register_profile("compat", parent=settings.get_profile("fast"), max_examples=10)
settings.register_profile("ci", max_examples=1000, deadline=None)
settings.load_profile("fast")


PAGES = Sybil(
    path=str(ROOT),
    parsers=page_parsers(),
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=prepare,
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
