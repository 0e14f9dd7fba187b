"""`batchfsm results`: exit statuses, output, and the file of remaining requests."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchfsm.cli import app
from support.commands import on_terminal
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
    result = run(requests, "--output", output, "--error", error, "--remaining", remaining, *options)

    noun = "request" if len(expected) == 1 else "requests"
    assert f"batchfsm: {len(expected)} {noun} in {remaining}\n" == result.stderr
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


def test_a_pipe_lists_all_findings_and_a_terminal_twenty(tmp_path):
    """The paragraph before the last one names the option for the others, as for `audit`."""
    requests = write(tmp_path / "in.jsonl", *(request(str(number)) for number in range(30)))
    output = write(tmp_path / "out.jsonl", good("1"))
    capped = run(requests, "--output", output, "--max-findings", 3).stdout

    assert 29 == run(requests, "--output", output).stdout.count("error R601")
    assert "(the first 3 of 29 findings; all of them: --max-findings 29)" in capped.splitlines()
    shown = on_terminal("results", requests, "--output", output, NO_COLOR="1").split("\r\n")
    assert 20 == sum(line.startswith("error R601") for line in shown)
    assert "(the first 20 of 29 findings; all of them: --max-findings 29)" in shown


def test_a_batch_may_have_an_error_file_only(files):
    """If no request has a good answer, there is no output file; without any file the command stops."""
    requests, _, error = files

    assert "inconsistent: 3 requests, 0 answered, 1 failed, 2 unanswered" in run(requests, "--error", error).stdout
    result = run(requests)
    assert 2 == result.exit_code
    assert "name the output files with --output, the error files with --error, or both" in result.stderr


def test_failed_requests_need_a_file(files):
    """Without `--remaining` there is no file that `--with-failed` could add to."""
    requests, output, _ = files
    result = run(requests, "--output", output, "--with-failed")

    said = "--with-failed adds to a file of requests: --remaining is missing (see batchfsm results --help)"
    assert (2, f"batchfsm: {said}\n") == (result.exit_code, result.stderr)


def test_a_file_given_twice_is_refused(files, tmp_path):
    """Each answer would count as two. An empty device may stand for several files."""
    requests, output, error = files
    link = tmp_path / "link.jsonl"
    link.symlink_to(output)
    for arguments, expected in (
        (("--output", output, output), f"batchfsm: {output} is given twice\n"),
        (("--output", output, "--error", link), f"batchfsm: {link} is the same file as {output}\n"),
        (("--output", requests), f"batchfsm: {requests} is given twice\n"),
    ):
        result = run(requests, *arguments)
        assert (2, expected) == (result.exit_code, result.stderr)
    assert 1 == run(requests, "--output", "/dev/null", "--error", "/dev/null", error).exit_code


def test_a_file_of_several_batches_is_refused_by_name(files, tmp_path):
    batch = write(tmp_path / "log.jsonl", snap("v"), snap("vp"))
    result = run(files[0], "--output", files[1], "--batch", batch)

    assert 2 == result.exit_code
    assert result.stderr.startswith(f"batchfsm: {batch}: expected one batch object: not JSON: text after a JSON value")


def test_a_prompt_about_a_table_is_no_table(files, tmp_path):
    """A line of JSON whose text looks like the header of a table is read as usual."""
    requests = write(
        tmp_path / "prompts.jsonl", request("a") | {"body": {"input": "the columns are id, status, created_at"}}
    )

    assert 0 == run(requests, "--output", files[1]).exit_code


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"PK\x03\x04 and more", "a zip archive: extract it"),
        (b"PAR1 and more", "a Parquet file: convert it to JSON lines first"),
    ],
)
def test_an_archive_or_table_is_refused(files, tmp_path, content, problem):
    """Its lines are not answers that the server malformed."""
    output = tmp_path / "out.bin"
    output.write_bytes(content)
    result = run(files[0], "--output", output)

    assert 2 == result.exit_code
    assert result.stderr.startswith(f"batchfsm: {output}: {problem}")


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
