"""openai-node against the fake API over HTTP; npm installs it, and without npm the tests are skipped."""

import json
import shutil
import subprocess

import pytest

from batchfsm.testing import FakeBatchAPI, assert_consistent, assert_lifecycle
from support.embeddings import lines, respond
from support.paths import TESTS

pytestmark = [pytest.mark.server, pytest.mark.slow]
CLIENT = TESTS / "support" / "node_client.mjs"
INSTALL_S_MAX = 300


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Return the output of one run of the client."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    desk = tmp_path_factory.mktemp("node")
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "openai@7"]
    installed = subprocess.run(install, cwd=desk, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False)
    if installed.returncode:
        pytest.skip(f"npm cannot install openai: {installed.stderr.strip()[-200:]}")
    shutil.copy(CLIENT, desk)
    (desk / "in.jsonl").write_bytes(lines("one", "bad", "three"))
    api = FakeBatchAPI("validating 5s > in_progress 1h > finalizing 10m > completed", respond=respond)
    with api.serve() as server:
        command = ["node", CLIENT.name, server.base_url, "in.jsonl"]
        ran = subprocess.run(command, cwd=desk, capture_output=True, text=True, timeout=60, check=False)
    assert 0 == ran.returncode, ran.stderr
    return json.loads(ran.stdout)


def test_the_whole_life_of_a_batch(told):
    """The client uploads a file, creates a batch, polls it and downloads the results."""
    rows = [json.loads(line) for line in told["output"].splitlines()]

    assert ("file", "in.jsonl", "batch") == tuple(told["file"][name] for name in ("object", "filename", "purpose"))
    assert ({"team": "search"}, told["file"]["id"]) == (told["seen"][0]["metadata"], told["seen"][0]["input_file_id"])
    assert {"total": 3, "completed": 2, "failed": 1} == told["seen"][-1]["request_counts"]
    assert [("one", [3]), ("three", [5])] == [(row["custom_id"], row["response"]["body"]["embedding"]) for row in rows]
    assert_lifecycle(told["seen"], "validating > in_progress > finalizing > completed")
    assert_consistent(told["seen"])


def test_a_batch_is_cancelled(told):
    """The batch is cancelling after the request and cancelled ten minutes later."""
    assert ["validating", "cancelling", "cancelled"] == [batch["status"] for batch in told["cancel"]]
    assert_consistent(told["cancel"])


def test_a_list_is_paged_to_its_end(told):
    """The client requests the following pages itself; the newest batch comes first."""
    assert [told["cancel"][0]["id"], told["seen"][0]["id"]] == told["listed"]


def test_errors_are_the_clients_own(told):
    """The errors are 404, 409, 400, a rate limit, a bad gateway and a closed connection."""
    assert [
        ["NotFoundError", 404],
        ["ConflictError", 409],
        ["BadRequestError", 400],
        ["RateLimitError", 429],
        ["InternalServerError", 502],
        ["APIConnectionError", None],
    ] == told["errors"]
