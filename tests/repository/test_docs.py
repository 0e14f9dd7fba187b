"""The pages as their readers see them: without hidden blocks, with working links, complete on the command line."""

import re
import sys
from contextlib import chdir
from functools import partial
from unittest import SkipTest

import click
import pytest
from prometheus_client import CollectorRegistry
from sybil import Sybil

from batchfsm.cli import app
from batchfsm.metrics import Metrics
from support.examples import page_parsers, prepare
from support.paths import ROOT

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
HIDDEN = re.compile(r"<!-- invisible-code-block.*?-->", re.DOTALL)

NOT_AS_READ = {
    "docs/how-to/audit.md": {"needs Spark and a log in S3"},
    "docs/how-to/restarts.md": {"needs a PostgreSQL server", "needs a PostgreSQL server with procrastinate's tables"},
}
"""The reasons for which a reader cannot type some visible examples, by page."""


def reasons_not_run(page, tmp_path):
    """Run the visible examples of a page in an empty folder; return the reasons of those that are skipped."""
    copy = tmp_path / "page.md"
    # The same number of lines, so that a failure names the line of the page.
    copy.write_text(HIDDEN.sub(lambda block: "\n" * block[0].count("\n"), PAGES[page]))
    read = Sybil(path=str(tmp_path), parsers=page_parsers(), patterns=["page.md"], setup=partial(prepare, as_read=True))
    document = read.parse(copy)
    read.setup(document.namespace)
    reasons, folder = set(), tmp_path / "empty"
    folder.mkdir()
    with chdir(folder):
        for example in document.examples():
            try:
                example.evaluate()
            except SkipTest as skipped:
                reasons.add(str(skipped))
    return reasons


@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if HIDDEN.search(text) or "<!-- skip:" in text])
def test_a_page_runs_as_its_readers_see_it(page, tmp_path):
    """Without its hidden blocks a page prints the same; each example that cannot run has its reason in the table."""
    assert NOT_AS_READ.get(page, set()) == reasons_not_run(page, tmp_path)


def test_each_skipped_example_has_a_reason():
    """`skip: start` and `skip: next` give a reason: without one, an example is left out silently."""
    marks = [
        f"{page}: {mark[0]}" for page, text in PAGES.items() for mark in re.finditer(r"<!-- skip: (?!end).*?-->", text)
    ]

    assert [] == [mark for mark in marks if "reason=" not in mark]


OF_EVERY_INSTALLATION = {"attrs", "batchfsm", "cattrs", "transitions"}
NAMED_BY = {
    "anthropic": "extra `anthropic`",
    "boto3": "extra `bedrock`",
    "duckdb": "`pip install duckdb`",
    "google": "extra `gemini`",
    "hypothesis": "`pip install '.[testing]'`",
    "mistralai": "extra `mistral`",
    "openai": "`openai`",
    "procrastinate": "`pip install '.[procrastinate]'`",
    "prometheus_client": "extra `prometheus`",
    "pyarrow": "extra `audit`",
    "pytest": "pytest",
    "starlette": "starlette`",
}
"""The text by which a page says how to get a package that its examples import, by the name of the package."""


def imported(text):
    """Return the packages that the visible Python examples of a page import, the standard library left out."""
    blocks = re.findall(r"^```(?:python|text)\n(.*?)^```", HIDDEN.sub("", text), re.DOTALL | re.MULTILINE)
    lines = [line.removeprefix(">>> ") for block in blocks for line in block.splitlines()]
    statements = [re.match(r"(?:from|import) ([\w., ]+?)(?: import .*|\s*#.*)?$", line) for line in lines]
    names = {part.split()[0].partition(".")[0] for found in statements if found for part in found[1].split(",")}
    return names - sys.stdlib_module_names - OF_EVERY_INSTALLATION


def test_a_page_names_each_package_that_its_examples_import():
    """A reader who follows a how-to page is told how to get each package, or which extra has it."""
    prose = {page: re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE) for page, text in PAGES.items()}
    unnamed = [
        (page, package)
        for page, text in PAGES.items()
        for package in sorted(imported(text))
        if page.startswith("docs/how-to/") and NAMED_BY[package] not in prose[page]
    ]

    assert [] == unnamed


def test_links_of_the_readme_lead_to_files():
    """Sphinx checks the links between the pages of `docs`; README is none of them."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", PAGES["README.md"]) if "://" not in link]

    assert links
    assert [] == [link for link in links if not (ROOT / link.partition("#")[0]).is_file()]


def test_the_page_on_metrics_names_each_metric():
    """The table has a row for each metric; a counter ends in `_total` when it is exported."""
    registry = CollectorRegistry()
    Metrics(registry)
    families = list(registry.collect())
    exported = {f"{each.name}_total" if each.type == "counter" else each.name for each in families}
    rows = re.findall(r"^\| `(batchfsm_\w+)`", PAGES["docs/how-to/observability.md"], re.MULTILINE)

    assert sorted(exported) == sorted(rows)


def options(command):
    """Return the long options of a command and of its subcommands."""
    own = {option for each in command.params for option in each.opts if option.startswith("--")}
    return own.union(*(options(each) for each in getattr(command, "commands", {}).values()))


def test_the_page_of_the_command_line_names_each_option():
    """The section of each command names all its options, and no other command's."""
    page = PAGES["docs/reference/command-line.md"]
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))
    context = click.Context(app)
    commands = {name: app.get_command(context, name) for name in app.list_commands(context)}
    named = {name: set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b(?!-)", sections[name])) for name in commands}

    assert {name: options(command) for name, command in commands.items()} == named
