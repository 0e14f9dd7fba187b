"""`batchfsm results`: exit statuses, output, and the file of remaining requests."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchfsm.cli import app
from support.notation import snap


def request(custom_id):
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/responses", "body": {}}


def good(custom_id, status=200):
    return {"custom_id": custom_id, "response": {"status_code": status, "body": {}}, "error": None}


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def files(tmp_path):
    """Return the paths of an input file of three requests, an output file with one answer and an error file."""
    return (
        write(tmp_path / "in.jsonl", *map(request, "abc")),
        write(tmp_path / "out.jsonl", good("a")),
        write(tmp_path / "err.jsonl", good("b", 400)),
    )


def run(*arguments):
    return CliRunner().invoke(app, ["results", *map(str, arguments)])


def test_an_unanswered_request_is_inconsistent(files):
    """The verdict is the first line and the last; the finding names the place of the request."""
    requests, output, error = files
    result = run(requests, "--output", output, "--error", error)

    assert 1 == result.exit_code
    lines = result.stdout.splitlines()
    assert "inconsistent: 3 requests, 1 answered, 1 failed, 1 unanswered" == lines[0] == lines[-1]
    assert f"error R601 request 'c' ({requests}:3) is in neither the output nor the error files" in lines


def test_all_answered_is_consistent(files, tmp_path):
    """Several files may follow one option, as from a glob."""
    requests, output, error = files
    rest = write(tmp_path / "rest.jsonl", good("c"))
    result = run(requests, "--output", output, rest, "--error", error, "--format", "json")

    assert (0, "consistent") == (result.exit_code, json.loads(result.stdout)["verdict"])


def test_an_empty_input_is_undetermined(tmp_path):
    result = run(write(tmp_path / "in.jsonl"), "--output", write(tmp_path / "out.jsonl"))

    assert 2 == result.exit_code
    assert "the input has no request" in result.stdout


@pytest.mark.parametrize("options, expected", [([], "c"), (["--with-failed"], "bc")])
def test_the_remaining_requests_are_written(files, tmp_path, options, expected):
    requests, output, error = files
    remaining = tmp_path / "again.jsonl"
    run(requests, "--output", output, "--error", error, "--remaining", remaining, *options)

    assert [request(name) for name in expected] == [json.loads(line) for line in remaining.read_text().splitlines()]


def test_an_input_is_not_overwritten(files):
    """The error is one line with exit status 2, and the file is unchanged."""
    requests, output, _ = files
    result = run(requests, "--output", output, "--remaining", requests)

    assert 2 == result.exit_code
    assert "would overwrite" in result.stderr


def test_the_batch_is_compared(files, tmp_path):
    requests, output, error = files
    counts = {"total": 3, "completed": 3, "failed": 0}
    batch = write(tmp_path / "batch.json", snap("vpzc", request_counts=counts))
    result = run(requests, "--output", output, "--error", error, "--batch", batch)

    assert "R605" in result.stdout


def test_standard_input(files):
    requests, output, error = files
    text = Path(requests).read_text()
    result = CliRunner().invoke(app, ["results", "-", "--output", output, "--error", error], input=text)

    assert 1 == result.exit_code


def test_twenty_findings_are_listed(tmp_path):
    """The paragraph before the last one names the option for the others."""
    requests = write(tmp_path / "in.jsonl", *(request(str(number)) for number in range(30)))
    result = run(requests, "--output", write(tmp_path / "out.jsonl"))

    assert 20 == result.stdout.count("error R601")
    assert "(the first 20 of 30 findings; more: --format json)" in result.stdout


def test_a_missing_file_is_one_line(files, tmp_path):
    result = run(files[0], "--output", tmp_path / "none.jsonl")

    assert 2 == result.exit_code
    assert 1 == len(result.stderr.splitlines())


def test_a_bar_shows_the_bytes(files, monkeypatch):
    """On a terminal the progress bar gets the number of bytes read from all files."""
    shown = []

    class Bar:
        def __enter__(self):
            return shown.append

        def __exit__(self, *_):
            return None

    monkeypatch.setattr("batchfsm.cli.results.ProgressBar", Bar)
    run(files[0], "--output", files[1])

    assert shown[-1].passed == shown[-1].size > 0
