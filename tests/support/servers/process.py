"""Processes of the real batch servers, and the model server that they send requests to."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from support.servers.engine import Engine
from support.servers.install import NotInstalledError, install

HERE = Path(__file__).parent
START_S_MAX = 120


def free_port():
    """Return a port on which no process listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        return found.getsockname()[1]


def installed(package, desk):
    """
    Return the directory of a server's commands; skip the test if it cannot be installed.

    Args:
        package: The server and its version, as in `install.SERVERS`.
        desk: The directory to install it in, unless `BATCHFSM_SERVERS` names another one.
    """
    try:
        return install(package, Path(os.environ.get("BATCHFSM_SERVERS", desk)))
    except NotInstalledError as error:
        pytest.skip(str(error))


@contextmanager
def engine(handler=Engine):
    """Serve the model server; yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        thread = Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}/v1"
        http.shutdown()
        thread.join()


def answers(url):
    """Return whether a server answers."""
    try:
        urllib.request.urlopen(url, timeout=5).close()  # noqa: S310  # The URL is on loopback.
    except (OSError, urllib.error.URLError):
        return False
    return True


@contextmanager
def running(command, bin_directory, desk, stub):
    """
    Run a server; yield its address.

    Args:
        command: Its command; `{port}` and `{here}` are filled in.
        bin_directory: The directory of its commands.
        desk: The directory of its files.
        stub: The address of the model server.
    """
    port = free_port()
    name, *arguments = command.format(port=port, here=HERE).split()
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
