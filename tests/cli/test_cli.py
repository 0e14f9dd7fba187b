"""The command line: its output, where it goes, and its exit status."""

import errno
import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from importlib.metadata import entry_points

import attrs
import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from batchfsm import DIALECTS as ALL_DIALECTS
from batchfsm import OPENAI, RULES, __main__, audit, diagram
from batchfsm.cli import COMMANDS, app
from batchfsm.cli.formats import STATUS
from batchfsm.logs import INPUT_FORMATS
from batchfsm.results import RESULT_RULES, result_example
from support.commands import SELF, on_terminal, ran, run
from support.dialects import DIALECTS
from support.notation import CREATED, seen, snap
from support.sdk_text import PRINTERS, WIRE

LEFT = seen("vpzcp")
ID = "batch_" + f"{CREATED:08x}" + "0123456789abcdef01234567"


def slow(parameter):
    """Return a parameter that the default run leaves out."""
    return pytest.param(parameter, marks=pytest.mark.slow)


def lines(log):
    """Write a log as JSON lines."""
    return "".join(json.dumps(each) + "\n" for each in log)


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Work in a directory with three logs: good, left (a batch that leaves a final status) and blank."""
    monkeypatch.chdir(tmp_path)
    for name, batches in {"good": seen("vpzc"), "left": LEFT, "blank": []}.items():
        (tmp_path / f"{name}.jsonl").write_text(lines(batches))
    return tmp_path


# ---------------------------------------------------------------- exit statuses


STATUSES = pytest.mark.parametrize("name, status", [("good", 0), ("left", 1), ("blank", 2)])


@STATUSES
def test_exit_statuses(name, status, log):
    """The exit status is 0 for consistent, 1 for inconsistent, 2 for undetermined; standard error is empty."""
    result = ran("audit", f"{name}.jsonl")

    assert (status, "") == (result.exit_code, result.stderr)
    assert result.stdout.startswith(f"{dict(zip(STATUS.values(), STATUS, strict=True))[status]}: ")


@pytest.mark.slow
@STATUSES
def test_exit_statuses_of_a_process(name, status, log):
    """A separate process has the exit status of the command and prints the same."""
    result, expected = run("audit", f"{name}.jsonl"), ran("audit", f"{name}.jsonl")

    assert (status, "", expected.stdout) == (result.returncode, result.stderr, result.stdout)


@pytest.mark.parametrize(
    "said", ["", "\n", " \r\n\t\n", "[]", "[\n]\n", '{"object": "list", "data": []}', "\ufeff", "what\n"]
)
def test_nothing_to_judge(said):
    """Empty, blank and foreign input is undetermined, not consistent."""
    result = ran("audit", "-", said=said)
    why = "1 of 1 place could not be read, or not in full" if said == "what\n" else "the log is empty"

    assert (2, f"undetermined: 0 snapshots of 0 batches; {why}") == (result.exit_code, result.stdout.splitlines()[0])


def test_a_rule_that_could_not_look_is_named(log):
    """A selected rule that lacks its data makes the log undetermined, and the report names it."""
    result = ran("audit", "good.jsonl", "--select", "T205,T201")

    assert 2 == result.exit_code
    assert "not checked, because the log lacks what they need: T205" == result.stdout.splitlines()[1]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["audit", "nope.jsonl"], "nope.jsonl: No such file or directory"),
        (["audit", "."], ".: a folder: name the files in it, such as *.jsonl"),
        (["audit", "good.jsonl", "nope.jsonl"], "nope.jsonl: No such file or directory"),
        (["audit", "*.json"], "*.json: nothing matches"),
        (
            ["audit", "good.jsonl", "--dialect", "acme"],
            f"no dialect is called 'acme'; known: {', '.join(ALL_DIALECTS)}",
        ),
        (["audit", "good.jsonl", "--select", "T2,X9"], f"no rule is called 'X9'; known: {', '.join(RULES)}"),
        (["audit", "good.jsonl", "--ignore", "9"], f"no rule is called '9'; known: {', '.join(RULES)}"),
        (["audit", "good.jsonl", "--select", ""], f"no rule is called ''; known: {', '.join(RULES)}"),
        (
            ["audit", "good.jsonl", "--input-format", "yaml"],
            f"no input format is called 'yaml'; known: {', '.join(INPUT_FORMATS)}",
        ),
        (
            ["audit", "good.jsonl", "--input-format", "jsonl"],
            f"no input format is called 'jsonl'; the nearest is json; known: {', '.join(INPUT_FORMATS)}",
        ),
        (
            ["audit", "good.jsonl", "--dialect", "opneai"],
            f"no dialect is called 'opneai'; the nearest is openai; known: {', '.join(ALL_DIALECTS)}",
        ),
        (["audit", "good.jsonl", "--output", "no/such/folder"], "no/such/folder: No such file or directory"),
        (["rules", "X"], f"no rule is called 'X'; known: {', '.join([*RULES, *RESULT_RULES])}"),
        (
            ["rules", "line-malformd"],
            "no rule is called 'line-malformd'; the nearest is R604 (line-malformed); "
            f"known: {', '.join([*RULES, *RESULT_RULES])}",
        ),
        (["timeline", "nope.jsonl"], "nope.jsonl: No such file or directory"),
        (["timeline", "blank.jsonl"], "no batch in blank.jsonl"),
        (["timeline", "good.jsonl", "--batch", "b7"], "no snapshot of b7 in good.jsonl"),
        (
            ["timeline", "good.jsonl", "--dialect", "acme"],
            f"no dialect is called 'acme'; known: {', '.join(ALL_DIALECTS)}",
        ),
        (
            ["diagram", "--dialect", "auto"],
            "--dialect auto is for the logs that audit and timeline read: name one dialect",
        ),
        (
            ["audit", "good.jsonl", "--dialect", "mine.py"],
            "--dialect mine.py names a file: add the name of the dialect in it, mine.py:NAME",
        ),
        (["diagram", "--dialect", "acme"], f"no dialect is called 'acme'; known: {', '.join(ALL_DIALECTS)}"),
        (["diagram", "--output", "no/such/folder"], "no/such/folder: No such file or directory"),
    ],
)
def test_what_stops_a_command_is_one_line(arguments, said, log):
    """A command that cannot run prints one line on standard error and ends with exit status 2."""
    result = ran(*arguments)

    assert (2, "", f"batchfsm: {said}\n") == (result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["audit"], "PATH... is missing (see batchfsm audit --help)"),
        (
            ["audit", "good.jsonl", "--format", "xml"],
            "--format: 'xml' is not one of 'text', 'json', 'jsonl', 'github' (see batchfsm audit --help)",
        ),
        (
            ["audit", "good.jsonl", "--max-findings", "-1"],
            "--max-findings: '-1' is not a whole number of at least 0 (see batchfsm audit --help)",
        ),
        (
            ["audit", "good.jsonl", "--max-findings", "many"],
            "--max-findings: 'many' is not a whole number of at least 0 (see batchfsm audit --help)",
        ),
        (
            ["audit", "good.jsonl", "--skew", "-1"],
            "--skew: '-1' is no span of time; write 90, 90s, 5m, 1h30m or 2d (see batchfsm audit --help)",
        ),
        (
            ["audit", "good.jsonl", "--skew", "nan"],
            "--skew: 'nan' is no span of time; write 90, 90s, 5m, 1h30m or 2d (see batchfsm audit --help)",
        ),
        (["audit", "good.jsonl", "--verbose"], "no option is called --verbose (see batchfsm audit --help)"),
        (
            ["audit", "good.jsonl", "--formt", "json"],
            "no option is called --formt; the nearest is --format (see batchfsm audit --help)",
        ),
        (["audit", "good.jsonl", "--skew"], "option '--skew' requires an argument"),
        (["--verbose"], "no option is called --verbose; the nearest is --version (see batchfsm --help)"),
        (["demo", "more"], "got unexpected extra argument (more) (see batchfsm demo --help)"),
        (
            ["serve", "--port", "99999"],
            "--port: '99999' is not a whole number from 0 to 65535 (see batchfsm serve --help)",
        ),
        (["serve", "--speed", "nan"], "--speed: 'nan' is not a number of at least 0 (see batchfsm serve --help)"),
        (
            ["diagram", "--format", "svgz"],
            "--format: 'svgz' is not one of 'mermaid', 'text', 'table', 'dot', 'svg', 'png' (see batchfsm diagram --help)",
        ),
        (["timeline"], "PATH... is missing (see batchfsm timeline --help)"),
        (["frobnicate"], f"no command is called 'frobnicate'; known: {', '.join(COMMANDS)}"),
        (["wach"], f"no command is called 'wach'; the nearest is watch; known: {', '.join(COMMANDS)}"),
        (
            ["journal", "opn"],
            "no command is called 'opn'; the nearest is open; known: dead, drop, open, pending, prune, retry",
        ),
        (["journal", "prune", "j.db"], "--ended-before is missing (see batchfsm journal prune --help)"),
    ],
)
def test_wrong_usage(arguments, said, log):
    """The message is one line that names the option, the problem and the help; the exit status is 2."""
    result = ran(*arguments)

    assert (2, "", f"batchfsm: {said}\n") == (result.exit_code, result.stdout, result.stderr)


def test_a_wrong_allowance_is_refused(log):
    """The share of unreadable places is a number or a percentage."""
    result = ran("audit", "good.jsonl", "--allow-unreadable", "many")

    assert (2, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("batchfsm: --allow-unreadable: ")


@pytest.mark.parametrize("arguments", [[], ["journal"]])
def test_without_a_command_the_help_is_printed(arguments):
    """The help of the group goes to standard error, and the exit status is 2."""
    result = ran(*arguments)

    assert (2, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("Usage: batchfsm")


@pytest.mark.parametrize(
    "line, completed",
    [
        ("wa", "plain,watch"),
        ("nope x", ""),
        ("audit go", "file,go"),
        ("timeline go", "file,go"),
        ("results in", "file,in"),
        ("results in --output o", "file,o"),
        ("journal open b", "file,b"),
        ("watch --journal b", "file,b"),
        ("serve --respond my", "file,my"),
        ("watch --on canc", "plain,cancelling\nplain,cancelled"),
        ("rules H50", "\n".join(f"plain,{code}" for code in RULES if code.startswith("H50"))),
        ("rules stale", "plain,stale-read"),
        ("audit --dialect au", "plain,auto"),
        ("timeline --dialect au", "plain,auto"),
        ("diagram --dialect au", ""),
        ("audit --select T,H502", "plain,T,H502"),
        ("audit --ignore stale", "plain,stale-read"),
        ("timeline --input-format k", "plain,kotlin"),
    ],
)
def test_a_shell_completes_values(line, completed, monkeypatch):
    """Files, statuses and rules are completed in bash, whichever command takes them."""
    words = ["batchfsm", *line.split()]
    monkeypatch.setenv("COMP_WORDS", "\n".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))

    assert completed == BashComplete(app, {}, "batchfsm", "_BATCHFSM_COMPLETE").complete().strip()


def test_no_traceback_in_a_process(log):
    """An error in a separate process is one line, too."""
    result = run("audit", "nope.jsonl")

    assert (2, "", "batchfsm: nope.jsonl: No such file or directory\n") == (
        result.returncode,
        result.stdout,
        result.stderr,
    )


def test_a_flaw_of_our_own_is_not_inconsistent(monkeypatch, capsys):
    """An unexpected exception has a traceback and exit status 2, not 1."""

    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr("batchfsm.cli.app", lambda **_: fail())

    with pytest.raises(SystemExit) as caught:
        __main__.main()
    assert 2 == caught.value.code
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["journal", "pending"]])
def test_help_fits_a_terminal(command, monkeypatch):
    """The help of each command has lines of at most 80 columns in a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    result = ran(*command, "--help")

    assert (0, "") == (result.exit_code, result.stderr)
    assert "Usage: " in result.stdout
    assert 80 >= max(map(len, result.stdout.splitlines()))
    assert "..." not in result.stdout.partition("Commands:")[2]


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["journal", "pending"]])
def test_a_short_option_shows_the_help(command):
    """`-h` is `--help`, for every command."""
    assert (0, ran(*command, "--help").stdout) == (ran(*command, "-h").exit_code, ran(*command, "-h").stdout)


def test_each_command_is_listed_with_the_first_line_of_its_help():
    """The list of commands equals the first lines of their help, though it is written without loading them."""
    context = click.Context(app)

    assert COMMANDS == {
        name: app.get_command(context, name).get_short_help_str(200) for name in app.list_commands(context)
    }
    assert app.get_command(context, "frobnicate") is None


def test_the_help_loads_no_command():
    """`batchfsm --help` imports no module of a command, and neither cattrs nor transitions."""
    code = "import sys; from batchfsm.cli import app\ntry: app(['--help'])\nexcept SystemExit: import json; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name for name in json.loads(result.stdout.splitlines()[-1]) if name.startswith("batchfsm.")}

    assert {
        "batchfsm.cli",
        "batchfsm.cli.failures",
        "batchfsm.cli.usage",
        "batchfsm.errors",
        "batchfsm.escapes",
    } == loaded


def test_the_audit_of_a_log_loads_no_other_command(log):
    """`batchfsm audit` imports nothing of watching, testing, conform, reporting, nor rich."""
    code = "import sys; from batchfsm.cli import app\ntry: app(['audit', 'good.jsonl'])\nexcept SystemExit: import json; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = {
        name.partition(".")[0] + "." + name.split(".")[1] if name.startswith("batchfsm.") else name
        for name in json.loads(result.stdout.splitlines()[-1])
    }

    assert not loaded & {
        "rich",
        "openai",
        "batchfsm.watching",
        "batchfsm.testing",
        "batchfsm.conform",
        "batchfsm.reporting",
        "batchfsm.monitor",
    }


@pytest.mark.parametrize("name, verdict", [("log.jsonl", "consistent"), ("log.parquet", "undetermined")])
def test_the_audit_of_a_large_log_loads_only_what_columns_need(tmp_path, name, verdict):
    """A healthy log that is checked in columns loads none of the libraries that only odd rows or formats need."""
    batch = {"id": "batch_1", "status": "validating", "created_at": 1_700_000_000, "endpoint": "/v1/responses"}
    row = {**batch, "object": "batch", "input_file_id": "file-1", "completion_window": "24h"}
    row["expires_at"] = 1_700_086_400
    if name == "log.parquet":
        pa = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.Table.from_pylist([row] * 2_000), tmp_path / name)
    else:
        (tmp_path / name).write_text(f"{json.dumps(row)}\n" * 2_000)
    code = f"import sys; from batchfsm.cli import app\ntry: app(['audit', '{name}'])\nexcept SystemExit: import json; print(json.dumps(sorted(sys.modules)))"
    # The measurement of coverage would load modules of its own.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path, env=env
    )
    told, *_, loaded = result.stdout.splitlines()
    avoided = {"cattrs", "transitions", "rich", "pandas", "pyarrow.compute"}
    if name == "log.jsonl":
        avoided |= {"_hashlib", "pyarrow", "subprocess"}

    assert f"{verdict}: 2,000 snapshots of 1 batch" == told
    assert not avoided & {*json.loads(loaded)}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_commands_and_dialects(shell):
    """The script that the help names registers the command, and dialect names are completed."""
    script = run(_BATCHFSM_COMPLETE=f"{shell}_source")
    words = {"COMP_WORDS": "batchfsm audit --dialect o", "COMP_CWORD": "o" if shell == "fish" else "3"}
    found = run(_BATCHFSM_COMPLETE=f"{shell}_complete", **words)

    assert "_BATCHFSM_COMPLETE" in script.stdout
    assert {"openai", "ogx"} <= set(re.findall(r"\w+", found.stdout))


def test_an_interrupt_is_not_inconsistent(log, monkeypatch):
    """Ctrl-C ends an audit with exit status 130 and no traceback."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("batchfsm.cli.audit.audit", interrupt)
    result = ran("audit", "good.jsonl")

    assert (130, "") == (result.exit_code, result.output)


def test_version(monkeypatch):
    """`--version` prints the version only."""
    monkeypatch.setattr("importlib.metadata.version", {"batchfsm": "1.2.3"}.__getitem__)

    assert (0, "batchfsm 1.2.3\n") == (ran("--version").exit_code, ran("--version").output)


def test_output_that_is_no_file(log):
    """A Python program may capture the output in memory."""
    caught = io.StringIO()
    with redirect_stdout(caught), pytest.raises(SystemExit):
        app(["audit", "good.jsonl"])

    assert "consistent: 4 snapshots of 1 batch\n" == caught.getvalue()


def test_the_script_is_the_module():
    """The command `batchfsm` runs what `python -m batchfsm` does."""
    scripts = [each for each in entry_points(group="console_scripts") if each.name == "batchfsm"]
    if not scripts:
        pytest.skip("batchfsm is not installed")

    assert __main__.main == scripts[0].load()


# ---------------------------------------------------------------- missing packages

BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Block())
sys.argv = ["batchfsm", "demo"]
from batchfsm.__main__ import main
main()
"""


@pytest.mark.parametrize("blocked", ["click"])
def test_what_to_install(blocked):
    """If its packages are missing, the command prints one line with the packages to install; the exit status is 2."""
    result = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(blocked=[blocked])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (
        2,
        "",
        "the command line needs more packages: pip install 'batchfsm[cli]' (in a clone: pip install '.[cli]')\n",
    ) == (
        result.returncode,
        result.stdout,
        result.stderr,
    )


def test_another_missing_module_is_told_as_it_is():
    """Only packages of an extra have a hint to install it."""
    result = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(blocked=["attrs"])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.stderr.endswith("ModuleNotFoundError: No module named 'attrs'\n")


# ---------------------------------------------------------------- audit


def test_audit_as_text(log):
    """The report has the verdict, counts by rule, findings, unreadable places, and the verdict again."""
    (log / "odd.jsonl").write_text(lines([*LEFT, snap("vp", id="batch_2", expires_at=None)]) + "what\n")
    result = ran("audit", "odd.jsonl")

    assert (
        "inconsistent: 6 snapshots of 2 batches; 1 of 7 places could not be read, or not in full\n"
        "\n"
        "  1  P104  deadline-missing\n"
        "  1  H502  terminal-left\n"
        "\n"
        "error H502 batch_1 went from completed to in_progress; completed is final (seen at odd.jsonl:4, then :5)\n"
        "note P104 batch_2 has no expires_at (seen at odd.jsonl:6)\n"
        "\n"
        "1 place could not be read, or not in full:\n"
        "  odd.jsonl:7: not JSON: Expecting value (column 1)\n"
        "\n"
        "inconsistent: 6 snapshots of 2 batches; 1 of 7 places could not be read, or not in full\n"
    ) == result.stdout


def test_audit_of_one_good_snapshot(log):
    """The report of a log without findings is one line."""
    assert "consistent: 1 snapshot of 1 batch\n" == ran("audit", "-", said=lines(LEFT[:1])).stdout


def test_caps_are_told(log):
    """A list that is capped shows the number of its entries and the total."""
    said = lines(snap("vp", id=f"batch_{number}", expires_at=None) for number in range(1234)) + "a\nb\nc\n"
    text = ran("audit", "-", "--max-findings", 2, said=said).stdout.splitlines()

    assert "  1,234  P104  deadline-missing" in text
    assert 2 == sum(line.startswith("note P104 ") for line in text)
    assert "(the first 2 of 1,234 findings; all of them: --max-findings 1234)" in text
    assert [
        "3 places could not be read, or not in full:",
        "  -:1235: not JSON: Expecting value (column 1)",
        "  -:1236: not JSON: Expecting value (column 1)",
        "  (the first 2; all of them: --max-findings 3)",
        "  (if such places are normal in this log: --allow-unreadable 3)",
    ] == text[-7:-2]


def test_the_hint_for_unreadable_places_has_its_reason(log):
    """The option is named only if it would change the verdict."""
    said = lines(seen("vpzc")) + "a\n"
    for options in ([], ["--select", "T205"], ["--allow-unreadable", "1"]):
        text = ran("audit", "-", *options, said=said).stdout
        assert (not options) == ("--allow-unreadable 1)" in text)
    assert "--allow-unreadable" not in ran("audit", "-", said="a\n").stdout
    assert "--allow-unreadable" not in ran("audit", "-", said="[" + lines(LEFT[:1]) + ", 1").stdout


def test_a_log_in_the_state_file_is_not_called_empty(log):
    """A second audit of a file with the same state file checks nothing, and the verdict line gives the reason."""
    ran("audit", "good.jsonl", "--state", "state.db")
    result = ran("audit", "good.jsonl", "--state", "state.db")

    assert (2, "undetermined: 0 snapshots of 0 batches; nothing new: the state file has all of this log\n") == (
        result.exit_code,
        result.stdout,
    )
    assert ["good.jsonl"] == json.loads(ran("audit", "good.jsonl", "--state", "state.db", "--format", "json").stdout)[
        "skipped"
    ]


def test_a_terminal_lists_the_first_finding_of_each_rule(log):
    """An error after many notes is on the screen; the lines keep the order of the log."""
    notes = [snap("vp", id=f"b{number}", expires_at=None) for number in range(31)]
    (log / "many.jsonl").write_text(lines([*notes, *LEFT]))
    shown = on_terminal("audit", "many.jsonl", NO_COLOR="1").split("\r\n")

    assert ["note P104"] * 19 + ["error H502"] == [
        line[:10].rstrip() for line in shown if line.startswith(("note ", "error "))
    ]
    assert "(20 of 32 findings, from as many rules as possible; all of them: --max-findings 32)" in shown


BARE = [{"id": "batch_1", "status": status} for status in ("validating", "in_progress", "completed", "in_progress")]


def test_a_log_of_ids_and_statuses_has_one_line_about_what_it_lacks(log):
    """Findings on absent fields are one line; history rules are checked, and the rules in the line can be ignored."""
    (log / "bare.jsonl").write_text(lines(BARE))
    shown = ran("audit", "bare.jsonl").stdout.splitlines()
    (line,) = (each for each in shown if each.startswith("no snapshot has created_at: 15 findings on fields"))
    codes = line.rpartition("--ignore ")[2].rstrip(")")
    without = ran("audit", "bare.jsonl", "--ignore", codes)

    assert ["note H507"] == [each[:9] for each in shown if each.startswith(("error ", "warning ", "note "))]
    assert 16 == len(ran("audit", "bare.jsonl", "--format", "jsonl").stdout.splitlines())
    assert (0, "consistent: 4 snapshots of 1 batch") == (without.exit_code, without.stdout.splitlines()[0])


@pytest.mark.parametrize(
    "changed",
    [
        [BARE[0] | {"created_at": CREATED}, *BARE[1:]],
        BARE[2:3],
        [BARE[0], BARE[0]],
        [*BARE, {"status": "failed", "created_at": CREATED}],
        [*BARE[:3], {"status": "in_progress"}],
    ],
    ids=["one has a time", "one snapshot", "no stamp is missing", "another lacks its id", "one lacks two fields"],
)
def test_any_other_log_lists_what_is_missing(changed, log):
    """Each finding of S001 is listed if a snapshot has a time, or lacks another field too."""
    (log / "odd.jsonl").write_text(lines(changed))
    shown = ran("audit", "odd.jsonl").stdout

    assert "no snapshot has created_at" not in shown
    assert "error S001 " in shown


def test_a_terminal_lists_twenty_findings_and_ends_with_the_verdict(log):
    """The last lines on a terminal name the option for all findings, and the verdict; a pipe gets all findings."""
    (log / "many.jsonl").write_text(lines(snap("vp", id=f"batch_{number}", expires_at=None) for number in range(31)))
    shown = on_terminal("audit", "many.jsonl", NO_COLOR="1").split("\r\n")

    assert 20 == sum(line.startswith("note P104 ") for line in shown)
    assert [
        "(the first 20 of 31 findings; all of them: --max-findings 31)",
        "",
        "consistent: 31 snapshots of 31 batches",
        "",
    ] == shown[-4:]
    assert 31 == sum(
        line.startswith("note P104 ")
        for line in on_terminal("audit", "many.jsonl", "--max-findings", "31", NO_COLOR="1").split("\r\n")
    )
    assert 31 == ran("audit", "many.jsonl").stdout.count("note P104 ")


def test_numbers_stand_below_each_other():
    """Counts are aligned on the right."""
    said = lines([*(snap("vp", id=f"batch_{number}", expires_at=None) for number in range(11)), *LEFT])

    assert ["  11  P104  deadline-missing", "   1  H502  terminal-left"] == ran("audit", "-", said=said).stdout.split(
        "\n"
    )[2:4]


def test_audit_as_json(log):
    """JSON output is one document with the documented keys, and the exit status is the same."""
    result = ran("audit", "left.jsonl", "good.jsonl", "--format", "json")
    report = json.loads(result.stdout)

    assert 1 == result.exit_code
    assert [
        "verdict", "snapshots", "batches", "unreadable_count", "unreadable", "counts", "findings",
    ] == list(report)  # fmt: skip
    assert ("inconsistent", 9, 1) == (report["verdict"], report["snapshots"], report["batches"])
    assert [{"source": "left.jsonl", "line": 4}, {"source": "left.jsonl", "line": 5}] == report["findings"][0]["where"]


def test_json_of_a_log_that_was_not_checked_whole_has_the_reasons(log):
    """Four more keys say how much there was, and what was not checked."""
    (log / "junk.jsonl").write_text(lines(seen("vpzc")) + "junk\n")
    report = json.loads(ran("audit", "junk.jsonl", "--format", "json").stdout)

    assert ("undetermined", 5, False, [], []) == tuple(
        report[key] for key in ("verdict", "places", "is_cut_off", "not_looked", "skipped")
    )


def test_audit_as_json_lines(log):
    """JSON Lines output is one finding a line."""
    said = lines([*LEFT, snap("vp", id="batch_2", expires_at=None)])
    result = ran("audit", "-", "--format", "jsonl", said=said)

    assert ["H502", "P104"] == [json.loads(line)["rule"] for line in result.stdout.splitlines()]
    assert "" == ran("audit", "good.jsonl", "--format", "jsonl").stdout


def test_audit_for_github(log):
    """For GitHub each finding is an annotation of its line; the last line is the verdict."""
    (log / "a,b:c.jsonl").write_text(lines([*LEFT, snap("vp", id="b\n%2", expires_at=None), snap("vf", id="b3")]) + "x")
    result = ran("audit", "a,b:c.jsonl", "--format", "github", "--ignore", "F")

    assert [
        "::error file=a%2Cb%3Ac.jsonl,line=5,title=H502 terminal-left::batch_1 went from completed to in_progress; "
        "completed is final (seen at a,b:c.jsonl:4, then :5)",
        "::notice file=a%2Cb%3Ac.jsonl,line=6,title=P104 deadline-missing::b\\n%252 has no expires_at "
        "(seen at a,b:c.jsonl:6)",
        "::warning file=a%2Cb%3Ac.jsonl,line=8,title=unreadable::not JSON: Expecting value (column 1)",
        "batchfsm: inconsistent: 7 snapshots of 3 batches; 1 of 8 places could not be read, or not in full",
    ] == result.stdout.splitlines()


def test_each_form_gives_the_reason_of_undetermined(log):
    """A run of CI that ends with status 2 says why: in a comment of GitHub, and beside JSON lines."""
    empty = "batchfsm: undetermined: 0 snapshots of 0 batches; the log is empty\n"
    github = ran("audit", "good.jsonl", "--format", "github", "--select", "T205").stdout

    assert empty == ran("audit", "blank.jsonl", "--format", "github").stdout
    assert "batchfsm: not checked, because the log lacks what they need: T205" == github.splitlines()[0]
    assert ("", empty) == (
        (result := ran("audit", "blank.jsonl", "--format", "jsonl")).stdout,
        result.stderr,
    )
    assert "" == ran("audit", "left.jsonl", "--format", "jsonl").stderr


def test_a_file_that_is_no_log_does_not_flood(log):
    """Standard output lists 20 unreadable places, all if `--max-findings` allows them; the counts are exact."""
    (log / "notes.txt").write_text("a\n" * 30)
    shown, full = ran("audit", "notes.txt").stdout, ran("audit", "notes.txt", "--max-findings", 30).stdout
    ran("audit", "notes.txt", "--output", "report.txt")

    assert (20, 30) == (shown.count("  notes.txt:"), full.count("  notes.txt:"))
    assert "30 of 30 places could not be read" in shown.splitlines()[0]
    assert "  (the first 20; all of them: --max-findings 30)" in shown.splitlines()
    assert full == (log / "report.txt").read_text()


@pytest.mark.parametrize("form", ["text", "json", "jsonl", "github"])
def test_output_goes_to_a_file(form, log):
    """With `--output` the report is in the file, nothing is printed, and the exit status is the same."""
    result = ran("audit", "left.jsonl", "--format", form, "--output", "report")

    assert (1, "") == (result.exit_code, result.output)
    assert ran("audit", "left.jsonl", "--format", form).stdout == (log / "report").read_text()


def test_select_and_ignore(log):
    """Rule codes are separated by commas."""
    assert "consistent" == ran("audit", "left.jsonl", "--ignore", "H502, T").stdout.partition(":")[0]
    assert "consistent" == ran("audit", "left.jsonl", "--select", "P,H501").stdout.partition(":")[0]
    assert "inconsistent" == ran("audit", "left.jsonl", "--select", "P,H5").stdout.partition(":")[0]


def test_select_and_ignore_may_be_repeated(log):
    """The values of an option add up: the last one alone would hide an error that the first one selects."""
    assert "inconsistent" == ran("audit", "left.jsonl", "--select", "H502", "--select", "P").stdout.partition(":")[0]
    assert "consistent" == ran("audit", "left.jsonl", "--ignore", "H", "--ignore", "T").stdout.partition(":")[0]


def test_an_audit_without_rules_is_refused(log):
    """Rules that are selected and ignored are no rules to check."""
    result = ran("audit", "left.jsonl", "--select", "H502,T201", "--ignore", "H", "--ignore", "T")

    assert (2, "") == (result.exit_code, result.stdout)
    assert "batchfsm: no rule is left to check: --ignore names every rule, or every one of --select\n" == result.stderr


def test_dialect(log):
    """`--dialect` selects the dialect of the audit."""
    said = lines(seen("vpc"))

    assert [1, 0] == [ran("audit", "-", *chosen, said=said).exit_code for chosen in ([], ["--dialect", "ogx"])]


def test_skew(log):
    """`--skew` is the number of seconds by which a timestamp may lie after its observation."""
    said = lines([{"observed_at": CREATED, "batch": snap("vp")}])

    assert [0, 1, 0] == [
        ran("audit", "-", *asked, said=said).exit_code for asked in ([], ["--skew", "59"], ["--skew", "30000d"])
    ]


def test_input_format(log):
    """A text format is detected, or read as `--input-format` names it."""
    said = "log: " + PRINTERS["kotlin"](WIRE) + "\n"

    assert [0, 0, 2] == [
        ran("audit", "-", *asked, said=said).exit_code
        for asked in ([], ["--input-format", "kotlin"], ["--input-format", "json"])
    ]


def test_how_much_memory_columns_may_take(log):
    """`--memory` takes a size with a unit; the error for another text names the allowed ones."""
    assert 0 == ran("audit", "good.jsonl", "--memory", "500MB").exit_code

    result = ran("audit", "good.jsonl", "--memory", "much")

    assert 2 == result.exit_code
    assert "a size is a number of bytes, or text such as 500MB" in " ".join(result.stderr.split())


def test_what_there_is_to_say_of_a_run_is_said_apart(log, monkeypatch):
    """Each remark is one line on standard error and not part of the report."""
    report = attrs.evolve(audit([]), remarks=("read row by row: for speed",))
    monkeypatch.setattr("batchfsm.cli.audit.audit", lambda *_, **__: report)

    result = CliRunner().invoke(app, ["audit", "good.jsonl"])

    assert "batchfsm: read row by row: for speed\n" == result.stderr


def test_a_report_beside_the_text(log):
    """`--report` writes a page; the printed output and the exit status stay the same."""
    plain, with_report = ran("audit", "left.jsonl"), ran("audit", "left.jsonl", "--report", "report.html")
    page = (log / "report.html").read_text()

    assert (1, plain.stdout, "") == (with_report.exit_code, with_report.stdout, with_report.stderr)
    assert "<title>Audit of left.jsonl: inconsistent</title>" in page
    assert 'class="edge illegal"' in page


@pytest.mark.parametrize(
    "to, missing, said",
    [
        ("no/such/folder", "nothing", "no/such/folder: No such file or directory"),
        (
            "report.html",
            "jinja2",
            "a report needs more packages: pip install 'batchfsm[report]' (in a clone: pip install '.[report]')",
        ),
    ],
)
def test_a_report_that_cannot_be_written(to, missing, said, log, monkeypatch):
    """The error is one line with exit status 2."""
    monkeypatch.setitem(sys.modules, missing, None)
    result = ran("audit", "good.jsonl", "--report", to)

    assert (2, "", f"batchfsm: {said}\n") == (result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize("missing, what", [("jinja2", "a report"), ("vl_convert", "a chart")])
def test_what_a_report_lacks_is_said_before_the_audit(missing, what, log, monkeypatch):
    """A missing package is reported before the log is opened."""
    monkeypatch.setitem(sys.modules, missing, None)
    result = ran("audit", "no-such-log.jsonl", "--report", "report.html")

    said = (
        f"batchfsm: {what} needs more packages: pip install 'batchfsm[report]' (in a clone: pip install '.[report]')\n"
    )
    assert (2, said) == (result.exit_code, result.stderr)


def test_globs(log):
    """A glob that the shell has not expanded is expanded."""
    assert "inconsistent: 9 snapshots of 1 batch" == ran("audit", "*.jsonl").stdout.splitlines()[0]


def test_a_log_out_of_order_from_a_pipe(log):
    """A log that is out of order is sorted, even if it can be read only once."""
    said = lines({"observed_at": CREATED + 1000 - at, "batch": batch} for at, batch in enumerate(LEFT[3::-1]))
    result = run("audit", "-", said=said)

    assert (0, "consistent: 4 snapshots of 1 batch\n") == (result.returncode, result.stdout)


# ---------------------------------------------------------------- outputs that are inputs


@pytest.mark.parametrize("option", ["--output", "--report", "--findings"])
@pytest.mark.parametrize("way", ["same", "./same", "symbolic link", "hard link", "glob"])
def test_an_output_never_overwrites_an_input(option, way, log):
    """The same file by any path or link is refused in one line before the audit, and the log is unchanged."""
    source = log / "left.jsonl"
    before, target = source.read_bytes(), {"./same": "./left.jsonl"}.get(way, "left.jsonl")
    if way.endswith("link"):
        target = "link.jsonl"
        (log / target).symlink_to(source) if way == "symbolic link" else (log / target).hardlink_to(source)
    result = ran("audit", "l*.jsonl" if way == "glob" else "left.jsonl", option, target)

    assert (2, "", 1) == (result.exit_code, result.stdout, result.stderr.count("\n"))
    assert result.stderr.startswith(f"batchfsm: {option} {target.removeprefix('./')} would overwrite ")
    assert before == source.read_bytes()


def test_standard_input_is_not_overwritten(log):
    """The file behind standard input is an input too."""
    with (log / "left.jsonl").open() as file:
        result = subprocess.run(
            [*SELF, "audit", "-", "--output", "left.jsonl"],
            stdin=file,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert (2, "batchfsm: --output left.jsonl would overwrite -, which is an input\n") == (
        result.returncode,
        result.stderr,
    )


def test_two_outputs_are_two_files(log):
    """Two outputs with the same path are refused."""
    result = ran("audit", "good.jsonl", "--output", "out.jsonl", "--findings", "out.jsonl")

    assert (2, "batchfsm: --findings out.jsonl would overwrite the file of --output\n") == (
        result.exit_code,
        result.stderr,
    )
    assert not (log / "out.jsonl").exists()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["good.jsonl", "--output", "state.db"], "--output state.db would overwrite the file of --state"),
        (["state.db"], "--state state.db would overwrite state.db, which is an input"),
    ],
)
def test_a_state_file_is_not_overwritten(arguments, said, log):
    """The records of all earlier audits would be lost."""
    ran("audit", "good.jsonl", "--state", "state.db")
    before = (log / "state.db").read_bytes()
    result = ran("audit", *arguments, "--state", "state.db")

    assert (2, f"batchfsm: {said}\n") == (result.exit_code, result.stderr)
    assert before == (log / "state.db").read_bytes()


OUTPUTS = [
    ("audit", "--state"), ("audit", "--output"), ("audit", "--report"), ("audit", "--findings"), ("timeline", "--output"),
    ("diagram", "--output"), ("sql", "--output"), ("demo", "--log"),
]  # fmt: skip


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(
    "place, said",
    [
        ("no/x.csv", "No such file or directory"),
        ("good.jsonl/x.csv", "Not a directory"),
        ("folder.csv", "Is a directory"),
        ("x.csv", "Permission denied"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_first(output, place, said, log, monkeypatch):
    """The command names the path before it does any work, and leaves nothing behind."""
    command, option = output
    (log / "folder.csv").mkdir()
    monkeypatch.setattr("os.access", lambda *_: said != "Permission denied")
    before = sorted(log.rglob("*"))
    arguments = {"audit": ["good.jsonl"], "timeline": ["good.jsonl"], "sql": ["duckdb"]}.get(command, [])
    others = ["--state", "state.db", "--findings", "a.csv"] if (command, option) == ("audit", "--output") else []
    result = ran(command, *arguments, *others, option, place)

    path = "state.db" if others and said == "Permission denied" else place
    assert (2, "", f"batchfsm: {path}: {said}\n") == (result.exit_code, result.stdout, result.stderr)
    assert before == sorted(log.rglob("*"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope.jsonl"],
        ["table.csv"],
        ["good.jsonl", "--dialect", "auto"],
        ["good.jsonl", "--dialect", "acme"],
        ["good.jsonl", "--select", "X"],
        ["good.jsonl", "--engine", "spark"],
        ["good.jsonl", "--input-format", "yaml"],
    ],
)
def test_an_audit_that_is_refused_creates_nothing(arguments, log):
    """Not even an empty state file is left."""
    (log / "table.csv").write_text("id,status\n")
    before = sorted(log.iterdir())
    outputs = ["--state", "s.db", "--output", "o.txt", "--findings", "f.csv", "--report", "r.html"]

    assert 2 == ran("audit", *arguments, *outputs).exit_code
    assert before == sorted(log.iterdir())


def test_a_log_that_is_read_twice_is_remarked_on(log):
    """Two globs may overlap, and repeated rows look like stale reads."""
    result = ran("audit", "good.jsonl", "g*.jsonl")

    assert (0, "batchfsm: good.jsonl is given twice: its rows are checked twice\n") == (result.exit_code, result.stderr)


def test_an_output_to_a_device(log):
    """Any number of outputs may go to a device, because it keeps no content."""
    assert 1 == ran("audit", "left.jsonl", "--output", "/dev/null", "--report", "/dev/null").exit_code


def test_a_timeline_never_overwrites_its_log(log):
    """The output is refused as for an audit."""
    result = ran("timeline", "good.jsonl", "--output", "good.jsonl")

    assert (2, "batchfsm: --output good.jsonl would overwrite good.jsonl, which is an input\n") == (
        result.exit_code,
        result.stderr,
    )


def test_a_full_disk_leaves_the_file_as_it_was(log, monkeypatch):
    """The old content is complete, and no temporary file is left."""
    (log / "report.txt").write_text("yesterday")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    result = ran("audit", "left.jsonl", "--output", "report.txt")

    assert (2, "batchfsm: report.txt: No space left on device\n") == (result.exit_code, result.stderr)
    assert ("yesterday", 4) == ((log / "report.txt").read_text(), len(list(log.iterdir())))


# ---------------------------------------------------------------- user-defined dialects

OWN = "from batchfsm import Dialect\nMINE = Dialect(name='mine', aliases={'Done': 'completed'})\n"


@pytest.mark.parametrize(
    "option",
    [["--alias", "Done=completed"], ["--dialect", "mine.py:MINE"], ["--dialect", "azure", "--alias", "Done=completed"]],
)
@pytest.mark.parametrize("command", ["audit", "timeline"])
def test_a_word_of_the_server_gets_a_meaning(command, option, log):
    """`--alias` gives it for any dialect, or a dialect in a file defines it."""
    (log / "mine.py").write_text(OWN)
    (log / "done.jsonl").write_text(lines([snap("vpzc", status="Done")]))

    assert "unknown-status" in ran("audit", "done.jsonl").stdout
    assert 0 == ran(command, "done.jsonl", *option).exit_code


def test_a_lifecycle_in_a_file_is_a_dialect_too(log):
    """`diagram` draws the lifecycle."""
    (log / "mine.py").write_text("from batchfsm import OPENAI as MINE\n")

    assert ran("diagram").stdout == ran("diagram", "--dialect", "mine.py:MINE").stdout


@pytest.mark.parametrize(
    "file, options, said",
    [
        (OWN, ["--dialect", "mine.py:YOURS"], "mine.py defines no dialect 'YOURS'; it defines MINE"),
        ("x = 1", ["--dialect", "mine.py:x"], "mine.py defines no dialect 'x'; it defines none"),
        ("1 / 0", ["--dialect", "mine.py:MINE"], "mine.py cannot be run: ZeroDivisionError: division by zero"),
        (
            "(",
            ["--dialect", "mine.py:MINE"],
            "mine.py cannot be run: SyntaxError: '(' was never closed (mine.py, line 1)",
        ),
        ("exit(3)", ["--dialect", "mine.py:MINE"], "mine.py cannot be run: SystemExit: 3"),
        ("", ["--dialect", "no.py:MINE"], "no.py: No such file or directory"),
        (
            "from batchfsm import Dialect; Dialect(name='x', aliases={'a': 'b'})",
            ["--dialect", "mine.py:MINE"],
            f"invalid dialect 'x': alias 'a' means 'b', which is not a status ({', '.join(OPENAI.statuses)})",
        ),
        ("", ["--alias", "Done"], "--alias takes WORD=STATUS, such as Done=completed; not 'Done'"),
        ("", ["--alias", "=completed"], "--alias takes WORD=STATUS, such as Done=completed; not '=completed'"),
        (
            "",
            ["--alias", "Done=gone"],
            f"invalid dialect 'openai': alias 'Done' means 'gone', which is not a status ({', '.join(OPENAI.statuses)})",
        ),
    ],
)
def test_a_dialect_that_cannot_be_loaded_is_one_line(file, options, said, log):
    """The error is one line with exit status 2 for each command that reads batches."""
    (log / "mine.py").write_text(file)

    for command in (
        ["audit", "good.jsonl"],
        ["timeline", "good.jsonl"],
        ["diagram"],
        ["sql", "duckdb"],
        ["serve", "--port", "0"],
    ):
        result = ran(*command, *options)
        assert (2, "", f"batchfsm: {said}\n") == (result.exit_code, result.stdout, result.stderr)


def test_an_interrupt_of_a_dialects_file_passes(log):
    """The exit status is 130."""
    (log / "mine.py").write_text("raise KeyboardInterrupt")

    assert 130 == ran("diagram", "--dialect", "mine.py:MINE").exit_code


# ---------------------------------------------------------------- colours, encodings, pipes


def test_colours_on_a_terminal(log):
    """On a terminal the verdict and severities are coloured, and the text is the same."""
    written = on_terminal("audit", "left.jsonl")

    assert written.startswith("\x1b[31m\x1b[1minconsistent\x1b[0m: 5 snapshots")
    assert "\x1b[31m\x1b[1merror\x1b[0m H502 " in written
    assert ran("audit", "left.jsonl").stdout == re.sub(r"\x1b\[[\d;]*m", "", written).replace("\r\n", "\n")


@pytest.mark.parametrize(
    "command", [["audit", "left.jsonl"], *map(slow, [["demo"], ["timeline", "left.jsonl"], ["--help"]])]
)
@pytest.mark.parametrize("wish", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours_where_they_are_not_wanted(command, wish, log):
    """With NO_COLOR a terminal gets no escape sequence, nor does a terminal without colours."""
    written = on_terminal(*command, **wish)

    assert written.strip()
    assert "\x1b" not in written


@pytest.mark.parametrize("command", [["audit", "left.jsonl"], ["demo"], ["rules", "T"]])
@pytest.mark.parametrize("wish", [{}, {"FORCE_COLOR": "1"}, {"CLICOLOR_FORCE": "1"}])
def test_no_colours_without_a_terminal(command, wish, log, monkeypatch):
    """Without a terminal there is no escape sequence, even if the environment asks for colours."""
    for name, value in wish.items():
        monkeypatch.setenv(name, value)
    result = ran(*command)

    assert result.stdout.strip()
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("command", [["audit", "left.jsonl"], *map(slow, [["demo"], ["rules", "T"]])])
@pytest.mark.parametrize("wish", [{"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}, *map(slow, [{}, {"FORCE_COLOR": "1"}])])
def test_no_colours_in_a_pipe(command, wish, log):
    """A process writes no escape sequence to a pipe, even if the environment asks for colours."""
    result = run(*command, **wish)

    assert result.stdout.strip()
    assert "\x1b" not in result.stdout


def test_what_a_terminal_cannot_show_is_spelled_out(log):
    """Characters that the terminal's encoding lacks are escaped."""
    (log / "odd.jsonl").write_text(lines([snap("vp", id="b\u00e9\u4e2d", in_progress_at=None)]))
    result = run("audit", "odd.jsonl", PYTHONIOENCODING="ascii")

    assert 1 == result.returncode
    assert r"error P101 b\xe9\u4e2d is in_progress and has no in_progress_at" in result.stdout


@pytest.mark.parametrize(
    "command", [["audit", "left.jsonl"], *map(slow, [["rules"], ["timeline", "left.jsonl"], ["diagram"], ["demo"]])]
)
def test_a_reader_who_has_seen_enough(command, log):
    """If the reader of standard output closes it, the exit status is 2 and there is no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        [*SELF, *command], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    os.close(writing)

    assert (2, "") == (result.returncode, result.stderr)


# ---------------------------------------------------------------- rules, diagram, timeline, demo


def test_all_rules_are_listed():
    """`rules` lists every rule with its severity and name, those for result files last."""
    listed = [*RULES.values(), *RESULT_RULES.values()]

    assert [f"{rule.code}  {rule.severity:<7}  {rule.name}" for rule in listed] == ran("rules").stdout.splitlines()


def test_one_rule():
    """`rules CODE` prints the meaning, the reason, an example, and the remedy."""
    page = ran("rules", "H502").stdout

    assert page.startswith("H502 terminal-left (error)\n\n  breach ")
    assert ["breach", "evidence", "example", "what to do"] == re.findall(r"^  (\S+(?: \S+)*)  ", page, re.MULTILINE)
    assert "completed is final" in " ".join(page.split())


@pytest.mark.parametrize("name", ["terminal-left", "Terminal-Left ", "H502", "h502"])
def test_a_rule_has_a_name(name, log):
    """A rule's name is accepted in place of its code."""
    assert ran("rules", "H502").stdout == ran("rules", name).stdout
    assert (
        ran("audit", "left.jsonl", "--select", "H502").stdout
        == ran("audit", "left.jsonl", "--select", f"T,{name}").stdout
    )
    assert 0 == ran("audit", "left.jsonl", "--ignore", name).exit_code


@pytest.mark.parametrize("rule", RESULT_RULES.values(), ids=list(RESULT_RULES))
def test_a_rule_for_result_files_has_a_page(rule):
    """The page is found by code and by name; its example is the message of an audit of the example's files."""
    page = ran("rules", rule.code).stdout
    words = " ".join(page.split())

    assert page.startswith(f"{rule.code} {rule.name} ({rule.severity})\n\n  breach      ")
    for heading, text in {"breach": rule.description, "evidence": rule.evidence, "what to do": rule.remedy}.items():
        assert f" {heading} {text}" in words
    assert f" example {result_example(rule)} what to do " in words
    assert page == ran("rules", rule.name.title()).stdout


def test_a_family_of_rules():
    """`rules T2` prints the page of each rule of the family, separated by empty lines."""
    page = ran("rules", "T2").stdout

    assert [code for code in RULES if code.startswith("T2")] == re.findall(r"^(T2\d\d) ", page, re.MULTILINE)
    assert "\n\n\n" not in page
    assert [*RESULT_RULES] == re.findall(r"^(R6\d\d) ", ran("rules", "R6").stdout, re.MULTILINE)


@pytest.mark.parametrize("dialect", [name if name in ("openai", "aibrix") else slow(name) for name in DIALECTS])
@pytest.mark.parametrize("form", diagram.FORMATS)
def test_diagrams(dialect, form):
    """`diagram` draws the lifecycle of any dialect in any format."""
    result = ran("diagram", "--dialect", dialect, "--format", form)

    expected = diagram.FORMATS[form](DIALECTS[dialect].lifecycle)
    assert (0, expected if isinstance(expected, bytes) else expected.encode()) == (
        result.exit_code,
        result.stdout_bytes,
    )


def test_diagram_by_default(log):
    """The default is OpenAI's lifecycle in Mermaid; `--output` names a file."""
    ran("diagram", "--output", "lifecycle.mmd")

    assert diagram.mermaid(OPENAI) == ran("diagram").stdout == (log / "lifecycle.mmd").read_text()


def test_timeline(log):
    """A timeline has a bar for each status, and a star for a status that was not observed."""
    (log / "two.jsonl").write_text(lines([*seen("vpz")[::2], snap("vg", id=ID)]))
    result = ran("timeline", "two.jsonl")

    assert (
        "batch_1  finalizing  6 ok  1 failed  of 8                               2 m 00 s\n"
        "  validating   2025-10-09 08:53:20 ###############                   1 m 00 s\n"
        "  in_progress  2025-10-09 08:54:20                ###############    1 m 00 s *\n"
        "  finalizing   2025-10-09 08:55:20                               #        0 s\n"
        "\n"
        f"{ID}  cancelling                      1 m 00 s\n"
        "  0 ok  0 failed  of 0\n"
        "  validating   2025-10-09 08:53:20 ##############################    1 m 00 s *\n"
        "  cancelling   2025-10-09 08:54:20                               #        0 s\n"
        "\n"
        "times are UTC; * not observed: a timestamp, or the only possible path, proves it\n"
    ) == result.stdout


@pytest.mark.parametrize(
    "form, begins",
    [
        ("mermaid", b"gantt\n"),
        ("dot", b"digraph openai {\n"),
        ("svg", b"<svg xmlns="),
        ("png", b"\x89PNG\r\n"),
    ],
)
def test_timeline_in_every_form(form, begins, log):
    """A timeline is drawn in every form, to standard output or to a file."""
    result = ran("timeline", "left.jsonl", "--format", form)
    to_file = ran("timeline", "left.jsonl", "--format", form, "--output", "drawn")

    assert (0, begins) == (result.exit_code, result.stdout_bytes[: len(begins)])
    assert (0, "", result.stdout_bytes) == (to_file.exit_code, to_file.output, (log / "drawn").read_bytes())


def test_a_timeline_in_dot_counts_the_ways(log):
    """The DOT output is the lifecycle with the number of batches that took each step."""
    (log / "two.jsonl").write_text(lines([*seen("vpz"), *seen("vf", id="b2")]))
    text = ran("timeline", "two.jsonl", "--format", "dot").stdout

    assert ["create\\n2", "start\\n1", "fail\\n1", "finalize\\n1"] == re.findall(r'label="(\S+)"', text)


def test_a_picture_holds_so_many_batches(log):
    """A picture of too many batches is refused before it is drawn; text has no limit."""
    (log / "many.jsonl").write_text(lines(snap("v", id=f"b{number}") for number in range(201)))
    said = "a picture holds at most 200 batches, and the log has 201: choose one with --batch"

    for form in ("svg", "png"):
        result = ran("timeline", "many.jsonl", "--format", form)
        assert (2, f"batchfsm: {said}\n") == (result.exit_code, result.stderr)
    assert 0 == ran("timeline", "many.jsonl").exit_code


def test_a_terminal_shows_twenty_batches(log):
    """The rest is counted; a pipe gets all."""
    (log / "many.jsonl").write_text(lines(snap("v", id=f"b{number}") for number in range(21)))
    shown = on_terminal("timeline", "many.jsonl").splitlines()

    assert 20 == sum(line.startswith("b") for line in shown)
    assert "(20 of 21 batches; one of them: --batch ID; all of them: --output F)" == shown[-1]
    assert 21 == sum(line.startswith("b") for line in ran("timeline", "many.jsonl").stdout.splitlines())
    assert "batches;" not in ran("timeline", "many.jsonl").stdout


def test_a_timeline_counts_what_it_could_not_read(log):
    """A line that is missing from the picture is not missing without a word."""
    (log / "odd.jsonl").write_text(lines(seen("vpz")) + "x\ny\n")
    result = ran("timeline", "odd.jsonl")

    said = "batchfsm: 2 places could not be read, or not in full: batchfsm audit names them\n"
    assert (0, said) == (result.exit_code, result.stderr)


def test_a_list_of_rules_names_the_command_that_explains_them():
    """The hint is for people: a pipe gets one line for each rule."""
    assert "batchfsm rules CODE explains a rule" == on_terminal("rules").splitlines()[-1]
    assert len(RULES) + len(RESULT_RULES) == len(ran("rules").stdout.splitlines())


def test_a_terminal_gets_no_png(log):
    """A PNG is binary: on a terminal the command asks for `--output`."""
    assert "batchfsm: this picture is no text: name a file with --output\r\n" == on_terminal(
        "diagram", "--format", "png"
    )


def test_a_timeline_shows_why_a_batch_failed(log):
    """The first errors, and the number of failed requests, stand below the bars."""
    errors = {"object": "list", "data": [{"code": "invalid_json_line", "message": "no JSON", "line": 7}]}
    (log / "two.jsonl").write_text(lines([*seen("vf", errors=errors), *seen("vpzc", id="batch_2")]))
    shown = ran("timeline", "two.jsonl").stdout.splitlines()

    assert "  invalid_json_line (line 7): no JSON" in shown
    assert "  1 of 8 requests failed, see file-err" in shown


def test_timeline_of_one_batch(log):
    """With `--batch` there is one timeline."""
    (log / "two.jsonl").write_text(lines([*seen("vpz"), snap("vg", id=ID)]))
    result = ran("timeline", "two.jsonl", "--batch", ID)

    assert [ID] == re.findall(r"batch_\w+", result.stdout)


def test_the_log_of_the_demo_can_be_audited(log):
    """The file has the log that the demo audits, so the audit ends with the same verdict."""
    last = ran("demo", "--log", "demo.jsonl").stdout.splitlines()[-1]

    assert last == ran("audit", "demo.jsonl").stdout.splitlines()[-1]


def test_demo():
    """The demo observes, runs hooks, draws and audits; its exit status is 0, though its log is inconsistent."""
    result = run("demo")

    assert (0, "") == (result.returncode, result.stderr)
    parts = [
        "A poller looked at three batches (demo.jsonl; --log F writes it to a file).",
        "hook: download ",
        "note: H507 stale-read",
        "error: H502 terminal-left",
        "The same batches in time",
        "And the audit of the log:",
        "inconsistent: 8 snapshots of 3 batches",
        "(seen at demo.jsonl:6, then :8)",
    ]
    assert parts == sorted(parts, key=result.stdout.index)
    assert "\n\n\n" not in result.stdout
    assert "\n\nThe same batches" in result.stdout
    assert result.stdout.endswith("inconsistent: 8 snapshots of 3 batches\n")


@pytest.mark.parametrize(
    "command",
    [["demo"], ["rules"], *(["rules", code] for code in (*RULES, *RESULT_RULES)), ["diagram", "--format", "table"]],
)
def test_pages_fit_a_terminal(command):
    """Output for people has at most 80 columns, except for findings, which take one line each."""
    text = [line for line in ran(*command).stdout.splitlines() if "(seen at " not in line]

    assert 80 >= max(map(len, text))
    assert text == [line.rstrip() for line in text]
