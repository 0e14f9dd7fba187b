"""`batchfsm rules`: the meaning, evidence, example and remedy of each rule."""

from __future__ import annotations

import click

from batchfsm.cli.output import write
from batchfsm.explain import rule_list, rule_page
from batchfsm.rules import RULES, select_rules


@click.command("rules")
@click.argument("rule", required=False)
def command(*, rule: str | None) -> None:
    """
    Explain the rules: meaning, evidence, example, remedy.

    RULE is a code (H502), its beginning (T2), or a name (stale-read). Without it all rules are listed.
    """
    if rule is None:
        write(rule_list(), None)
        return
    codes = select_rules([rule])
    write("\n".join(rule_page(each) for each in RULES.values() if each.code in codes), None)
