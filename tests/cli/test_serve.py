"""`batchfsm serve`: a fake API for other processes, from the shell."""

import signal
import socket
import subprocess
from contextlib import closing

import httpx

from support.server import SELF

SERVE = [*SELF, "serve", "--port", "0"]


def served(*options):
    """Start a server; return the process and its address."""
    process = subprocess.Popen([*SERVE, *options], stdout=subprocess.PIPE, text=True)
    name, _, url = process.stdout.readline().strip().partition("=")
    assert name == "OPENAI_BASE_URL", name
    return process, url


def asked(url, body=None):
    """Ask with a key; return the JSON."""
    answer = httpx.request(
        "GET" if body is None else "POST", url, content=body, headers={"Authorization": "Bearer sk-any"}
    )
    return answer.json()


def stopped(process):
    """Interrupt a server; return its exit status."""
    process.send_signal(signal.SIGINT)
    with process.stdout:
        return process.wait(timeout=20)


def test_it_serves_until_it_is_interrupted():
    """The time moves when it is told to; the end is no error."""
    process, url = served("--speed", "0", "--scenario", "expire")
    root = url.removesuffix("/v1")
    batch_id = asked(f"{root}/batchfsm/start", b"{}")["id"]
    asked(f"{root}/batchfsm/advance", b'{"span": "2d"}')
    status = asked(f"{url}/batches/{batch_id}")["status"]

    assert ("expired", 0) == (status, stopped(process))


def test_time_may_run():
    """At a multiple of the real one."""
    process, url = served("--speed", "3600")
    clock = f"{url.removesuffix('/v1')}/batchfsm/clock"
    first, second = asked(clock, b"{}")["now"], asked(clock, b"{}")["now"]

    assert 0 < first < second
    assert 0 == stopped(process)


def test_what_cannot_be_served_says_why():
    """A scenario that cannot be, a dialect that is none, a port that is taken."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        ran = [
            subprocess.run([*SERVE[:4], *options], capture_output=True, text=True, check=False)
            for options in (["--scenario", "x"], ["--dialect", "x"], ["--port", port])
        ]

    assert [2, 2, 2] == [each.returncode for each in ran]
    assert ran[0].stderr.startswith("batchfsm: scenario 'x': openai has no status 'x'; it has validating,")
    assert ran[1].stderr.startswith("batchfsm: no dialect is called 'x'; known: openai, azure,")
    assert "Address already in use" in ran[2].stderr
    assert [1, 1, 1] == [each.stderr.count("\n") for each in ran]
