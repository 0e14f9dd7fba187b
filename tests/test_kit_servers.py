"""
Two real servers with batches, each in an environment of its own: what `conform` sees of them, and what each dialect says.

`BATCHFSM_SERVERS` names a directory where their environments are kept for the next run; else they are made anew.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import attrs
import pytest

from batchfsm import audit
from batchfsm.conform import caller, conform

sys.path.append(str(Path(__file__).parent / "servers"))
from engine import MODEL, Engine  # A helper of this file alone.

pytestmark = [pytest.mark.server, pytest.mark.slow]
HERE = Path(__file__).parent / "servers"
INSTALL_S_MAX, START_S_MAX, BATCH_S_MAX = 900, 120, 120


@attrs.frozen(kw_only=True)
class Server:
    """How a server is installed and started, and what it does otherwise than OpenAI."""

    package: str
    python: str
    """The interpreter that it was released for."""
    command: str
    """Its command; `{port}` and `{here}` are filled in."""
    dialect: str
    model: str
    redis: bool = False
    unseen: frozenset[str]
    """What its batches never show, under its own dialect."""
    deviations: frozenset[str]
    """What OpenAI's dialect always finds."""
    often: frozenset[str]
    """What it finds beside that, if a poll is quick enough."""


SERVERS = [
    Server(
        package="aibrix==0.8.0",
        python="python3.11",
        command="aibrix_metadata --dry-run --host 127.0.0.1 --port {port}",
        dialect="aibrix",
        model="any",
        redis=True,
        unseen=frozenset({"T203", "T206", "T207", "C304"}),
        # Its first status; then counts that come late, and the way by finalizing to cancelled.
        deviations=frozenset({"S004"}),
        often=frozenset({"C304", "P102", "H501"}),
    ),
    Server(
        package="ogx==1.5.0",
        python="python3.12",
        command="ogx run {here}/ogx.yaml --port {port} --insecure",
        dialect="ogx",
        model=f"stub/{MODEL}",
        unseen=frozenset({"P104", "T202", "T203", "T204", "T206", "T207", "C304", "F401"}),
        # It never gives in_progress_at, finalizing_at and expires_at; file ids and counts have times of their own.
        deviations=frozenset({"P103", "P104"}),
        often=frozenset({"P101", "C304", "F401", "H501"}),
    ),
]


def interpreter(name):
    """Return an interpreter by its name, on the path or of pyenv; None if there is none."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for found in [shutil.which(name), *root.glob(f"versions/{name.removeprefix('python')}.*/bin/python3")]:
        if found is not None and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(found)
    return None


def installed(server, desk):
    """Return the directory of a server's commands; skip if it cannot be installed here."""
    kept = os.environ.get("BATCHFSM_SERVERS")
    home = (Path(kept) if kept else desk) / server.package.replace("==", "-")
    if not (home / "ready").exists():
        python = interpreter(server.python)
        if python is None:
            pytest.skip(f"{server.package} needs {server.python}")
        subprocess.run([python, "-m", "venv", "--clear", home], check=True)
        pip = [home / "bin" / "pip", "install", "--quiet", server.package]
        ran = subprocess.run(pip, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False)
        if ran.returncode:
            pytest.skip(f"pip cannot install {server.package}: {ran.stderr.strip()[-200:]}")
        (home / "ready").touch()
    return home / "bin"


def free_port():
    """Return a port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        return found.getsockname()[1]


def need_redis():
    """Skip if there is no Redis."""
    host, port = os.environ.get("REDIS_HOST", "127.0.0.1"), int(os.environ.get("REDIS_PORT", "6379"))
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        pytest.skip(f"no Redis at {host}:{port}: {error}")


@contextmanager
def engine():
    """Serve the model server; return its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as http:
        http.daemon_threads = True
        thread = Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}/v1"
        http.shutdown()
        thread.join()


def answers(url):
    """Tell whether a server answers."""
    try:
        urllib.request.urlopen(url, timeout=5).close()  # noqa: S310  # Our own, on loopback.
    except (OSError, urllib.error.URLError):
        return False
    return True


@contextmanager
def running(server, bin_directory, desk, stub):
    """Run a server; return its address."""
    port = free_port()
    name, *arguments = server.command.format(port=port, here=HERE).split()
    env = os.environ | {"HOME": str(desk), "DESK": str(desk), "STUB_URL": stub}
    env.pop("PYTHONPATH", None)
    with (desk / "server.log").open("w") as log:
        process = subprocess.Popen(
            [bin_directory / name, *arguments], cwd=desk, env=env, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        url, until = f"http://127.0.0.1:{port}/v1", time.monotonic() + START_S_MAX
        while not answers(f"{url}/batches"):
            assert process.poll() is None, (desk / "server.log").read_text()[-2000:]
            assert time.monotonic() < until, (desk / "server.log").read_text()[-2000:]
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module", params=SERVERS, ids=lambda server: server.dialect)
def judged(request, tmp_path_factory):
    """Return a server, its scorecard, and every view of its batches."""
    server, desk = request.param, tmp_path_factory.mktemp(request.param.dialect)
    if server.redis:
        need_redis()
    bin_directory, views = installed(server, desk), []
    with engine() as stub, running(server, bin_directory, desk, stub) as url:
        card = conform(
            caller(url, "none"),
            now=time.time,
            sleep=time.sleep,
            server=url,
            dialect=server.dialect,
            model=server.model,
            timeout_s=BATCH_S_MAX,
            poll_s=0.05,
            log=views.append,
        )
    return server, card, views


def test_it_answers_as_a_client_expects(judged):
    """A batch is driven through, one is cancelled, one fails, and what is not there is not found."""
    _, card, _ = judged

    assert {"kept": 11} == {
        result: count
        for result in ("kept", "broken", "not seen")
        if (count := sum(score.result == result for score in card.endpoints))
    }, card.to_text()


def test_its_own_dialect_explains_all_that_it_does(judged):
    """Nothing is broken; what cannot be seen is known."""
    server, card, views = judged

    assert ("consistent", []) == (card.verdict, [score.name for score in card.rules if score.result == "broken"])
    assert server.unseen <= {score.name for score in card.rules if score.result == "not seen"}
    assert {} == dict(audit(views, dialect=server.dialect).counts)


def test_openais_dialect_names_its_deviations(judged):
    """Those that are known, and no others."""
    server, _, views = judged
    found = set(audit(views).counts)

    assert server.deviations <= found <= server.deviations | server.often
