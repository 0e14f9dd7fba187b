"""`batchfsm watch --provider`: batches of another provider in a terminal."""

import pytest
from click.testing import CliRunner

from batchfsm.cli import app
from batchfsm.sources import ProviderSource
from support.other_providers import ANTHROPIC, ENDED
from support.server import Clock


@pytest.fixture
def source(monkeypatch):
    """Replace the command's source by one whose batch ends at the second poll."""
    answers = [ENDED, ANTHROPIC]
    found = ProviderSource(dialect="anthropic", retrieve=lambda _: answers.pop(), list_page=lambda _: ([], None))
    monkeypatch.setattr("batchfsm.sources.connect", lambda _: found)
    monkeypatch.setattr("batchfsm.cli.watch.time", Clock())
    return found


def run(*arguments):
    return CliRunner().invoke(app, ["watch", "--provider", "anthropic", *arguments])


def test_a_batch_is_watched_to_its_end(source):
    """The command needs no key of OpenAI, and Anthropic's end `ended` has exit status 0."""
    result = run("msgbatch_1")

    assert 0 == result.exit_code
    assert "ended" in result.stdout


@pytest.mark.parametrize("arguments", [[], ["--all"]])
def test_without_ids_every_open_batch_is_watched(arguments, source, monkeypatch):
    """The list of the source shows the batches."""
    polls = []

    def list_page(_):
        polls.append(1)
        return [ANTHROPIC if len(polls) == 1 else ENDED], None

    listing = ProviderSource(dialect="anthropic", retrieve=source.retrieve, list_page=list_page)
    monkeypatch.setattr("batchfsm.sources.connect", lambda _: listing)
    result = run(*arguments)

    assert 0 == result.exit_code
    assert "ended" in result.stdout


@pytest.mark.parametrize("arguments, said", [
    (["msgbatch_1", "--base-url", "https://x"], "--base-url is an address of OpenAI's API"),
])  # fmt: skip
def test_options_of_openais_api_are_refused(source, arguments, said):
    result = run(*arguments)

    assert 2 == result.exit_code
    assert said in result.stderr
