"""The pytest plugin: fixtures, a marker, and its import cost."""

import subprocess
import sys

import openai
import pytest

from batchfsm.testing import FakeBatchAPI, Server, VirtualClock


def test_the_fixtures_belong_together(batch_api, batch_clock, batch_server):
    """The fixtures are one API, its clock and its server."""
    assert (FakeBatchAPI, VirtualClock, Server) == (type(batch_api), type(batch_clock), type(batch_server))
    assert batch_clock is batch_api.clock
    with openai.OpenAI(api_key="sk-any", base_url=batch_server.base_url) as client:
        assert "validating" == client.batches.retrieve(batch_api.start()).status


@pytest.mark.batch_scenario("cancel at 1h")
def test_the_marker_is_the_scenario(batch_api, batch_clock):
    """It applies to all batches of the test."""
    batch_id = batch_api.start()
    batch_clock.advance("2h")

    assert "cancelled" == batch_api.batch(batch_id)["status"]


@pytest.mark.batch_scenario("validating > in_progress", dialect="ogx")
class TestOfAServer:
    """Tests of a class that is marked as a whole."""

    def test_a_mark_is_for_all_tests_in_it(self, batch_api):
        """The marker of the class passes its arguments to the API of each test."""
        assert "ogx" == batch_api._endpoints.plan.dialect.name

    @pytest.mark.batch_scenario("expire", respond=dict)
    def test_the_nearest_mark_counts(self, batch_api):
        """The marker of a test replaces that of its class."""
        assert ("openai", dict) == (batch_api._endpoints.plan.dialect.name, batch_api._endpoints.respond)


@pytest.mark.parametrize("marker", ["()", "('expire', 3)", "('expire', dialct='ogx')"])
def test_a_wrong_marker_says_what_it_takes(marker, tmp_path):
    """The error names the marker's parameters, and no function of the plugin."""
    test = tmp_path / "test_marked.py"
    test.write_text(f"import pytest\n@pytest.mark.batch_scenario{marker}\ndef test_it(batch_api): pass\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--noconftest",
        "-c",
        "/dev/null",
        str(test),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    said = "the marker is batch_scenario(text, dialect='openai', respond=None): one text, such as 'cancel at 1h'"
    assert (1, True, False) == (ran.returncode, said in ran.stdout, "_api_of_marker" in ran.stdout)


def test_where_it_is_unused_it_loads_nothing_but_pytest():
    """Every pytest run in the environment imports the plugin."""
    script = """
import pytest, sys
before = set(sys.modules)
import batchfsm.pytest_plugin
new = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(sorted(new), sorted(name for name in sys.modules if name.startswith("batchfsm")))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "['batchfsm'] ['batchfsm', 'batchfsm.pytest_plugin']\n" == ran.stdout


def test_it_is_found_by_itself_and_announces_its_marker(pytestconfig):
    """Pytest loads the plugin by the entry point of the distribution and lists its marker."""
    loaded = {
        plugin.__name__: found.project_name for plugin, found in pytestconfig.pluginmanager.list_plugin_distinfo()
    }

    assert "batchfsm" == loaded["batchfsm.pytest_plugin"]
    assert any(
        line.startswith("batch_scenario(text, dialect='openai', respond=None): the scenario of the batches")
        for line in pytestconfig.getini("markers")
    )
