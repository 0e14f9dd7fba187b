"""Rules by code or name, their severity in a dialect, and the fields that a log must have for them to check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, Protocol, TypeVar

from batchfsm.dialects import Dialect
from batchfsm.errors import DefinitionError, UnknownNameError, nearest_name
from batchfsm.lifecycle import Severity
from batchfsm.rules.catalog import RULES
from batchfsm.rules.rule import Rule

HISTORY: Final = "history"
"""Needed by rules that compare snapshots: a second snapshot of some batch."""

ONCE_PER_STATUS: Final = frozenset(code for code, rule in RULES.items() if rule.kind.is_once_per_status)
"""The codes of the rules that are reported once for each status of a batch."""

_LIKENESS_MIN: Final = 0.6  # A part of a rule's name is enough: `stale` is near `stale-read`.
_CODES: Final = {rule.name: code for code, rule in RULES.items()}


class NamedRule(Protocol):
    """A rule of any catalog."""

    @property
    def code(self) -> str:
        """Stable: a letter and three digits."""

    @property
    def name(self) -> str:
        """Stable, for people."""


RuleT = TypeVar("RuleT", bound=NamedRule)


def select_rules(tokens: Iterable[str]) -> frozenset[str]:
    """
    Return the codes of some rules.

    Args:
        tokens: Codes, names, or the first letters of codes (`T`, `H5`).

    Raises:
        UnknownNameError: If a token stands for no rule; the message names the nearest one.
    """
    return frozenset(rule.code for token in tokens for rule in match_rules(token, RULES))


def match_rules(token: str, catalog: Mapping[str, RuleT]) -> tuple[RuleT, ...]:
    """
    Return the rules of a catalog that a token stands for, in the order of the catalog.

    Args:
        token: A code, a name, or the first letters of codes (`T`, `H5`); in any case.
        catalog: Rules by code.

    Raises:
        UnknownNameError: If the token stands for no rule; the message names the nearest one.
    """
    if not isinstance(token, str):
        raise TypeError(f"a rule is named by text, such as 'H502', not by {token!r}")
    word = token.strip()
    found = tuple(rule for code, rule in catalog.items() if word and code.startswith(word.upper()))
    found = found or tuple(rule for rule in catalog.values() if rule.name == word.lower())
    if not found:
        raise _unknown_rule(token, catalog)
    return found


def required_fields(code: str) -> frozenset[str]:
    """
    Return the fields that some snapshot of a log must have set before the silence of a rule means anything.

    A rule about `expired` counts as checked even if no batch expired; one about `observed_at` does not if no
    snapshot has it.
    """
    kind = RULES[code].kind
    return frozenset({HISTORY}) if kind.needs_history else kind.needs_set


def severity_in(dialect: Dialect, rule: Rule) -> Severity | Literal["off"]:
    """Return the severity of a rule in a dialect, which may name the rule by its code or its name."""
    return dialect.severities.get(rule.code) or dialect.severities.get(rule.name) or rule.severity


def check_severities(dialect: Dialect) -> None:
    """Raise DefinitionError if a dialect has a severity for a rule that does not exist, or two for one rule."""
    problems = []
    for word in dialect.severities:
        if word not in RULES and word not in _CODES:
            nearest = _nearest_rule(word, RULES)
            problems.append(f"no rule is called {word}" + (f"; the nearest is {nearest}" if nearest else ""))
        elif word in _CODES and _CODES[word] in dialect.severities:
            problems.append(f"{word} and {_CODES[word]} are one rule, which has two severities")
    if problems:
        raise DefinitionError(f"dialect {dialect.name!r}", problems)


def _unknown_rule(word: str, catalog: Mapping[str, NamedRule]) -> UnknownNameError:
    """Return the error for a word that is neither the code nor the name of a rule."""
    return UnknownNameError("rule", word, catalog, _nearest_rule(word, catalog))


def _nearest_rule(word: str, catalog: Mapping[str, NamedRule]) -> str | None:
    """Return the rule whose code or name a word most resembles, as `H507 (stale-read)`; None if it resembles none."""
    codes = {rule.name: code for code, rule in catalog.items()}
    found = nearest_name(word.strip().lower(), [*codes, *map(str.lower, catalog)], _LIKENESS_MIN)
    if found is None:
        return None
    code = codes.get(found, found.upper())
    return f"{code} ({catalog[code].name})"
