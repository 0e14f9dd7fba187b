"""`batchfsm serve`: a fake API for other processes."""

import signal
import socket
import subprocess
from contextlib import closing

import httpx
import openai
import pytest
from click.testing import CliRunner

from batchfsm.cli import app, serve
from support.embeddings import CREATE, lines
from support.server import SELF

SERVE = [*SELF, "serve", "--port", "0"]


def served(*options):
    """Start a server; return the process and its address."""
    process = subprocess.Popen([*SERVE, *options], stdout=subprocess.PIPE, text=True)
    name, _, url = process.stdout.readline().strip().partition("=")
    assert name == "OPENAI_BASE_URL", name
    return process, url


def asked(url, body=None):
    """Send a request with a key; return the JSON."""
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
    """The clock moves on request; an interrupt is no error."""
    process, url = served("--speed", "0", "--scenario", "expire")
    root = url.removesuffix("/v1")
    batch_id = asked(f"{root}/batchfsm/start", b"{}")["id"]
    asked(f"{root}/batchfsm/advance", b'{"span": "2d"}')
    status = asked(f"{url}/batches/{batch_id}")["status"]

    assert ("expired", 0) == (status, stopped(process))


def ran(monkeypatch, *options, meanwhile):
    """Run the command in this process; in place of the wait for an interrupt call `meanwhile` with the address."""
    said, echo = [], serve.click.echo

    class Interrupt:
        def wait(self):
            meanwhile(said[0].partition("=")[2])
            raise KeyboardInterrupt

    monkeypatch.setattr(serve, "Event", Interrupt)
    monkeypatch.setattr(serve.click, "echo", lambda text, **how: said.append(text) or echo(text, **how))
    return CliRunner().invoke(app, ["serve", *options])


def test_time_may_run(monkeypatch):
    """With `--speed` the clock runs on its own."""
    times = []

    def ask_twice(url):
        times.extend(asked(f"{url.removesuffix('/v1')}/batchfsm/clock", b"{}")["now"] for _ in range(2))

    result = ran(monkeypatch, "--port", "0", "--speed", "3600", meanwhile=ask_twice)

    assert 0 == result.exit_code
    assert 0 < times[0] < times[1]


def test_what_cannot_be_served_says_why(monkeypatch):
    """The error for an unknown scenario or dialect, or for a port in use, is one line with exit status 2."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        ran_with = [
            ran(monkeypatch, *options, meanwhile=lambda url: pytest.fail(f"it serves {url}"))
            for options in (["--scenario", "x"], ["--dialect", "x"], ["--port", port])
        ]

    assert [2, 2, 2] == [each.exit_code for each in ran_with]
    assert ran_with[0].stderr.startswith("batchfsm: scenario 'x': openai has no status 'x'; it has validating,")
    assert ran_with[1].stderr.startswith("batchfsm: no dialect is called 'x'; known: openai, azure,")
    assert "Address already in use" in ran_with[2].stderr
    assert [1, 1, 1] == [each.stderr.count("\n") for each in ran_with]


RESPOND = """
from batchfsm.testing import RequestError

NUMBER = 5

def answer(body):
    return {"said": body["input"]} if body["input"] != "bad" else RequestError(400, "no")

def fail(body):
    raise ValueError("my own mistake")

def forget(body):
    pass
"""


@pytest.fixture
def functions(tmp_path):
    """Return a file with functions that answer requests."""
    path = tmp_path / "answers.py"
    path.write_text(RESPOND)
    return path


def run_batch(url):
    """Run a batch of two requests to its end; return its output and error file, or the error of its creation."""
    with openai.OpenAI(api_key="sk-any", base_url=url, max_retries=0) as client:
        file = client.files.create(file=lines("one", "bad"), purpose="batch")
        try:
            batch = client.batches.create(input_file_id=file.id, **CREATE)
        except openai.InternalServerError as error:
            return [str(error)]
        asked(f"{url.removesuffix('/v1')}/batchfsm/advance", b'{"span": "1d"}')
        ended = client.batches.retrieve(batch.id)
        return [client.files.content(file_id).text for file_id in (ended.output_file_id, ended.error_file_id)]


def test_a_function_answers_the_requests(monkeypatch, functions):
    """`--respond` names a file and a function in it."""
    found = []
    options = ["--port", "0", "--speed", "0", "--respond", f"{functions}:answer"]
    result = ran(monkeypatch, *options, meanwhile=lambda url: found.extend(run_batch(url)))

    assert 0 == result.exit_code
    assert ['{"said": "one"}' in found[0], '"message": "no"' in found[1]] == [True, True]


@pytest.mark.parametrize(
    "name, problem",
    [("fail", "ValueError: my own mistake"), ("forget", "TypeError: respond returned NoneType; it returns")],
)
def test_a_function_that_raises_is_named(monkeypatch, functions, name, problem):
    """The client gets a 500, and the command ends with exit status 2."""
    found = []
    options = ["--port", "0", "--respond", f"{functions}:{name}"]
    result = ran(monkeypatch, *options, meanwhile=lambda url: found.extend(run_batch(url)))

    assert (2, True) == (result.exit_code, problem in found[0])
    assert result.stderr.startswith(f"batchfsm: {functions}:{name} raised 1 times, first {problem}")


@pytest.mark.parametrize(
    "respond, problem",
    [
        ("answer", "--respond takes FILE.py:NAME, not 'answer'"),
        ("{path}:none", "{path} defines no function 'none'"),
        ("{path}:NUMBER", "{path} defines no function 'NUMBER'"),
    ],
)
def test_what_is_no_function_is_refused(monkeypatch, functions, respond, problem):
    """The error comes before the server starts."""
    result = ran(monkeypatch, "--respond", respond.format(path=functions), meanwhile=pytest.fail)

    assert (2, f"batchfsm: {problem.format(path=functions)}\n") == (result.exit_code, result.stderr)


def test_a_port_in_use_is_named():
    """The message has the address, and the option that takes another one."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["serve", "--port", str(port)])

    said = f"batchfsm: cannot listen on 127.0.0.1:{port}: Address already in use; --port 0 takes any free port\n"
    assert (2, said) == (result.exit_code, result.stderr)
