"""
Two real servers with batches, each in an environment of its own: their scorecards, and the findings in each dialect.

`BATCHFSM_SERVERS` names a directory that keeps their environments for the next run, see `support/servers/install.py`.
Without it they are installed anew.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import attrs
import pytest
from openai import OpenAI

from batchfsm import audit
from batchfsm.conform import Scorecard, conform, http_caller
from batchfsm.conform.probes import CREATE
from support.paths import ROOT
from support.servers.engine import MODEL
from support.servers.process import engine, installed, running

pytestmark = [pytest.mark.server, pytest.mark.slow]
BATCH_S_MAX = 120


@attrs.frozen(kw_only=True)
class Server:
    """The command of a server, and its deviations from OpenAI."""

    package: str
    command: str
    """Its command; `{port}` and `{here}` are filled in."""
    dialect: str
    model: str
    redis: bool = False
    broken: frozenset[str] = frozenset()
    """Expectations of endpoints that it breaks."""
    unseen: frozenset[str]
    """The rules that its batches cannot show, under its own dialect."""
    deviations: frozenset[str]
    """The rules that its batches always break under OpenAI's dialect."""
    often: frozenset[str]
    """The rules that they also break there if a poll is quick enough."""
    route: tuple[str, ...]
    """The statuses of a batch of good requests, as its last view proves them."""
    at_the_end: dict[str, int]
    """The number of findings by rule under OpenAI's dialect, in the last views of a completed, a cancelled and a failed
    batch."""


SERVERS = [
    Server(
        package="aibrix==0.8.0",
        command="aibrix_metadata --dry-run --host 127.0.0.1 --port {port}",
        dialect="aibrix",
        model="any",
        redis=True,
        broken=frozenset({CREATE.text}),  # It answers a completion_window of 24h with 1d.
        unseen=frozenset({"T203", "T206", "T207", "T208", "C304"}),
        # S004 is its first status; counts that come late and the path by finalizing to cancelled cause the others.
        deviations=frozenset({"S004"}),
        often=frozenset({"C304", "P102", "H501"}),
        route=("scheduling", "validating", "in_progress", "finalizing", "completed"),
        # The batch that was cancelled has no counts.
        at_the_end={"C304": 1},
    ),
    Server(
        package="ogx==1.5.0",
        command="ogx run {here}/ogx.yaml --port {port} --insecure",
        dialect="ogx",
        model=f"stub/{MODEL}",
        unseen=frozenset({"P104", "T202", "T203", "T204", "T206", "T207", "T208", "C304", "F401", "F405"}),
        # It never gives in_progress_at, finalizing_at and expires_at; file ids and counts have times of their own.
        # A completed batch has an error file, whether a request failed or not.
        deviations=frozenset({"P103", "P104", "F405"}),
        often=frozenset({"P101", "C304", "F401", "H501"}),
        route=("validating", "in_progress", "completed"),
        # As above: none of three batches has a deadline, and only the completed one passed statuses without stamps.
        at_the_end={"P103": 1, "P104": 3, "C304": 1, "F405": 1},
    ),
]


def need_redis():
    """Skip the test if there is no Redis."""
    host, port = os.environ.get("REDIS_HOST", "127.0.0.1"), int(os.environ.get("REDIS_PORT", "6379"))
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        pytest.skip(f"no Redis at {host}:{port}: {error}")


@attrs.frozen(kw_only=True)
class ServerResults:
    """The scorecard, observations and watch output of a server."""

    server: Server
    card: Scorecard
    views: list[object]
    """Every view of a batch that `conform` recorded."""
    watched: subprocess.CompletedProcess[str]
    """The run of `batchfsm watch --json` for three batches that had ended."""
    log: Path
    """The file that its option `--log` wrote."""


@pytest.fixture(scope="module", params=SERVERS, ids=lambda server: server.dialect)
def judged(request, tmp_path_factory):
    """Return the scorecard of a server, and the output of a watch of three of its batches."""
    server, desk = request.param, tmp_path_factory.mktemp(request.param.dialect)
    if server.redis:
        need_redis()
    bin_directory = installed(server.package, desk)
    views, log = [], desk / "seen.jsonl"
    with engine() as stub, running(server.command, bin_directory, desk, stub) as url:
        card = conform(
            http_caller(url, "none"),
            now=time.time,
            sleep=time.sleep,
            server=url,
            dialect=server.dialect,
            model=server.model,
            timeout_s=BATCH_S_MAX,
            poll_s=0.05,
            log=views.append,
        )
        watched = watch(url, server, log)
    return ServerResults(server=server, card=card, views=views, watched=watched, log=log)


def watch(url, server, log):
    """Let three batches end: completed, cancelled and failed; then watch them and return the ended process."""
    with OpenAI(base_url=url, api_key="none") as client:
        ids = [made(client, server), made(client, server), made(client, None)]
        client.batches.cancel(ids[1])
        until = time.monotonic() + BATCH_S_MAX
        while {client.batches.retrieve(each).status for each in ids} != {"completed", "cancelled", "failed"}:
            assert time.monotonic() < until
            time.sleep(0.2)
    options = ["--json", "--log", log, "--base-url", url, "--dialect", server.dialect, "--timeout", str(BATCH_S_MAX)]
    command = [sys.executable, "-m", "batchfsm", "watch", *ids, *options]
    env = os.environ | {"OPENAI_API_KEY": "none"}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def made(client, server):
    """Create a batch of two requests and return its id; without a server its input file is not JSON."""
    body = server and {"model": server.model, "messages": [{"role": "user", "content": "hi"}]}
    lines = [
        json.dumps({"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})
        for number in range(2)
    ]
    text = "\n".join(lines) if server else "no JSON"
    file = client.files.create(file=("in.jsonl", f"{text}\n".encode()), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    return batch.id


def test_it_answers_as_a_client_expects(judged):
    """The endpoints keep all checks except the known ones."""
    server, card = judged.server, judged.card

    assert server.broken == {check.asked for check in card.endpoints if check.result == "broken"}, card.to_text()
    assert 11 - len(server.broken) == sum(check.result == "kept" for check in card.endpoints), card.to_text()


def test_its_own_dialect_explains_all_that_it_does(judged):
    """No rule is broken, and the rules that are not seen are the known ones."""
    server, card = judged.server, judged.card

    assert [] == [check.name for check in card.rules if check.result == "broken"]
    assert ("inconsistent" if server.broken else "consistent") == card.verdict
    assert server.unseen <= {score.name for score in card.rules if score.result == "not seen"}
    assert {} == dict(audit(judged.views, dialect=server.dialect).counts)


def test_openais_dialect_names_its_deviations(judged):
    """An audit in OpenAI's dialect finds the known deviations and no others."""
    found = set(audit(judged.views).counts)

    assert judged.server.deviations <= found <= judged.server.deviations | judged.server.often


def settled(card):
    """
    Return how often each name of a scorecard has each result, without results that depend on the timing.

    C303 is left out: it needs a poll that observes a batch in `validating`.
    """
    found, result = Counter(), None
    for line in card.splitlines():
        row = re.fullmatch(r"  (broken|kept|not seen) +(.+)", line)
        continues = row is None and result == "kept" and line.startswith(" " * 12)
        result, text = ("kept", line.strip()) if continues else row.groups() if row else (None, "")
        names = text.split(", ") if result == "kept" else text.split()[:1]
        for name, times in (re.fullmatch(r"(\S+)(?: x(\d+))?", name.strip(" ,")).groups() for name in names if name):
            found[name, result] += int(times or 1)
    return {key: times for key, times in found.items() if key[0] != "C303"}


def test_the_page_shows_its_scorecard(judged):
    """The documentation page has the same results, except those that depend on the timing."""
    page = (ROOT / "docs" / "how-to" / "conform.md").read_text()
    (shown,) = re.findall(rf"```text\n(endpoints: [^`]*? as {judged.server.dialect}; [^`]*?)```", page, flags=re.DOTALL)

    assert sum(settled(shown).values()) > 40
    assert settled(judged.card.to_text()) == settled(shown)


def test_a_watch_tells_the_whole_way_from_the_end(judged):
    """The watch begins after the end and yields each step of the completed batch; its exit status is 1."""
    told = [json.loads(line) for line in judged.watched.stdout.splitlines()]
    (completed,) = [each["batch_id"] for each in told if each.get("target") == "completed"]

    assert (1, "") == (judged.watched.returncode, judged.watched.stderr)
    assert judged.server.route == tuple(each["target"] for each in told if each.get("batch_id") == completed)


def test_what_a_watch_records_is_explained_by_its_dialect(judged):
    """An audit in OpenAI's dialect has the known findings."""
    assert {} == dict(audit(judged.log, dialect=judged.server.dialect).counts)
    assert judged.server.at_the_end == dict(audit(judged.log).counts)
