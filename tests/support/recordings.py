"""Recorded lives of real servers, which are in the shared folder, and their deviations from OpenAI."""

import json

import attrs
import pytest

from support.paths import SHARED

RECORDINGS = SHARED / "recordings"
CALLS = {"create", "retrieve", "cancel", "list"}


@attrs.frozen(kw_only=True)
class Server:
    """A recorded server: its file, dialect, statuses, steps and deviations."""

    file: str
    dialect: str
    statuses: str
    steps: str
    """The steps of its batches as `source > target`; with `?` if a poll can miss statuses between."""
    deviations: dict[str, str]
    """The rules that its batches break under OpenAI's dialect, with the highest severity of each."""
    ends: dict[str, int]


SERVERS = [
    Server(
        file="server_aibrix_dryrun.jsonl",
        dialect="aibrix",
        statuses="scheduling validating in_progress finalizing completed failed cancelling cancelled",
        steps="""scheduling > validating, validating > in_progress, in_progress > finalizing, finalizing > completed,
                 in_progress > cancelling, cancelling > finalizing, finalizing > cancelled,
                 scheduling ? cancelling, cancelling > cancelled, scheduling ? failed, validating > failed""",
        # The status scheduling; both timestamps of the path through finalizing; late counts; cancelling > finalizing.
        deviations={"S004": "error", "P102": "error", "C304": "note", "H501": "error"},
        ends={"completed": 14, "failed": 5, "cancelled": 3},
    ),
    Server(
        file="server_ogx.jsonl",
        dialect="ogx",
        statuses="validating in_progress completed failed cancelling cancelled",
        steps="""validating > in_progress, in_progress > completed, in_progress > cancelling,
                 cancelling > cancelled, validating ? cancelling, validating ? failed""",
        # It never sets in_progress_at, finalizing_at or expires_at; counts come late, file ids while in progress.
        deviations={
            "P101": "error",
            "P103": "error",
            "P104": "note",
            "C304": "note",
            "F401": "warning",
            "F405": "note",
        },
        ends={"completed": 13, "failed": 5, "cancelled": 3},
    ),
    Server(
        file="server_llmock.jsonl",
        dialect="openai",
        statuses="validating completed failed cancelled",
        steps="""validating > in_progress, in_progress > finalizing, finalizing > completed,
                 validating > cancelling, cancelling > cancelled, finalizing > failed""",
        # It sets the timestamps of all statuses before failed, including finalizing.
        deviations={"P102": "warning"},
        ends={"completed": 8, "failed": 1, "cancelled": 1},
    ),
]
each_server = pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.file)


def lines(server):
    """Return the lines of a recording; skip the test if the file is absent."""
    path = RECORDINGS / server.file
    if not path.exists():
        pytest.skip(f"{path} is not there; BATCHFSM_SHARED says where else to look")
    with path.open(encoding="utf-8") as log:
        return [json.loads(line) for line in log]


def of_batches(server):
    """Return the lines that record batches."""
    return [line for line in lines(server) if line["call"] in CALLS]
