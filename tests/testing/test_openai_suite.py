"""openai-python's own tests of batches and files, run against the fake API as a server."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from batchfsm.testing import FakeBatchAPI, Scenario
from batchfsm.testing.server import Server
from support.servers.install import NotInstalledError
from support.servers.openai_suite import edited_suite, install_suite

pytestmark = [pytest.mark.server, pytest.mark.slow]
RUN_S_MAX = 600
TESTS_MIN = 197


def test_openais_own_tests_pass(tmp_path):
    """All tests of its modules `test_batches` and `test_files` pass, sync and async, loose and strict."""
    try:
        python, source = install_suite(Path(os.environ.get("BATCHFSM_SERVERS", tmp_path)))
    except NotInstalledError as error:
        pytest.skip(str(error))
    api = FakeBatchAPI("validating 5s > in_progress")
    api.add(batch_life("batch_id"))
    after = api.add_file(b"")

    def handle(request):
        # The tests delete the file that they name, so it is added again for the next test.
        api.add_file(b"{}", file_id="file_id")
        return api.handle(request)

    api.add(batch_life(after))  # One id serves as cursor of both lists.
    modules = edited_suite(source, tmp_path / "suite", after=after)
    with Server(handle) as server:
        ran = subprocess.run(
            [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "pytest.ini", *map(str, modules)],
            cwd=tmp_path / "suite",
            env={**os.environ, "TEST_API_BASE_URL": server.base_url, "PYTEST_ADDOPTS": ""},
            capture_output=True,
            text=True,
            timeout=RUN_S_MAX,
            check=False,
        )
    found = re.search(r"(\d+) passed", ran.stdout)

    assert 0 == ran.returncode, ran.stdout[-5000:] + ran.stderr[-2000:]
    assert found is not None
    assert TESTS_MIN <= int(found[1])


def batch_life(batch_id):
    """Return the life of a batch that stays in progress, under an id."""
    return Scenario("validating 0s > in_progress").life(1_760_000_000, identity={"id": batch_id})
