"""`batchfsm rules`: the meaning, evidence, example and remedy of each rule."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

import click

from batchfsm.cli.output import write
from batchfsm.explain import ExplainedRule, example, rule_list, rule_page
from batchfsm.results import RESULT_RULES, result_example
from batchfsm.rules import RULES, match_rules

_CATALOG: Final[Mapping[str, ExplainedRule]] = {**RULES, **RESULT_RULES}


def _complete_rule(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    words = [*_CATALOG, *(rule.name for rule in _CATALOG.values())]
    return [word for word in words if word.startswith(incomplete)]


@click.command("rules")
@click.argument("rule", required=False, shell_complete=_complete_rule)
def command(*, rule: str | None) -> None:
    """
    Explain the rules: meaning, evidence, example, remedy.

    RULE is a code (H502), its beginning (T2), or a name (stale-read); those of the result files (R6) too. Without it
    all rules are listed.
    """
    if rule is None:
        write(rule_list(_CATALOG.values()), None)
        if sys.stdout.isatty():
            write("\nbatchfsm rules CODE explains a rule\n", None)
        return
    write("\n".join(rule_page(each, _message(each.code)) for each in match_rules(rule, _CATALOG)), None)


def _message(code: str) -> str:
    """Return the message of a rule's example."""
    return example(RULES[code]) if code in RULES else result_example(RESULT_RULES[code])
