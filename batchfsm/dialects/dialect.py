"""The fields of a dialect, and the checks of its definition."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

import attrs

from batchfsm.dialects.wire_map import Wire, wire_problems
from batchfsm.errors import DefinitionError
from batchfsm.lifecycle import ENDED_AT, OPENAI, Lifecycle, Severity, State, Step

TimeFormat = Literal["milliseconds", "iso", "digits", "datetime"]
"""A form of times beside whole seconds: `1711471533000`, `2024-03-26T16:45:33Z`, `"17"`, or as an SDK's aware
`datetime`."""

STUCK_AFTER_S: Final[Mapping[str, int]] = MappingProxyType(
    {"validating": 6 * 3600, "finalizing": 3600, "cancelling": 3600}
)
"""The longest time of OpenAI batches in a status, with a wide margin; seconds."""

SEPARATORS = "-_ ."
"""The characters between the parts of a status word that `any_spelling` ignores."""

_NO_SEPARATORS = str.maketrans("", "", SEPARATORS)
_RULE = re.compile(r"[SPTCFH]\d{3}|[a-z]+(-[a-z]+)*")


def _view(mapping: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(mapping))


def _bounds(bounds: Mapping[str, int]) -> Mapping[str, int]:
    return MappingProxyType(dict(bounds))


def _names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(names)


def _formats(forms: Iterable[TimeFormat]) -> frozenset[TimeFormat]:
    return frozenset(forms)


@attrs.frozen(kw_only=True, eq=False)
class Dialect:
    """
    The deviations of one server family from a lifecycle; checked when built.

    Raises:
        DefinitionError: With every problem by name.
    """

    name: str
    """The name of the server family."""

    base: Lifecycle = OPENAI
    """The lifecycle that the dialect modifies."""

    states: tuple[State, ...] = ()
    """Statuses to add; they come before those of the base in table order."""

    steps: tuple[Step, ...] = ()
    """Steps to add. A step that the base has with other evidence replaces it."""

    dropped_statuses: tuple[str, ...] = ()
    """Statuses of the base that the server never reports; their steps are dropped, too."""

    dropped_steps: tuple[tuple[str, str], ...] = ()
    """Steps of the base that a batch never takes, as `(source, target)`."""

    initial: str | None = None
    """The status in which a batch is created; its stamp is `created_at`. None: that of the base."""

    aliases: Mapping[str, str] = attrs.field(factory=dict, converter=_view)
    """Other words for a status: the wire's word to the lifecycle's."""

    any_spelling: bool = False
    """True if case and separators of a known word do not matter: `Completed`, `IN-PROGRESS`, `inProgress`."""

    optional_stamps: frozenset[str] = attrs.field(default=(), converter=_names)
    """Statuses whose stamp may be null although the batch entered them. A stamp that is set is checked."""

    time_formats: frozenset[TimeFormat] = attrs.field(default=(), converter=_formats)
    """The forms of times that are accepted beside whole Unix seconds."""

    null_time_values: tuple[int | str, ...] = ()
    """Values that mean null in a time field; compared by type and value, before the time format."""

    null_text: bool = False
    """True if `""` is null in every text field, not only in file ids."""

    null_counts: bool = False
    """True if a number inside `request_counts` may be null: an unknown number."""

    deadline_tolerance_s: int = 0
    """The largest accepted difference between `expires_at` and `created_at` plus the window; seconds."""

    stuck_after_s: Mapping[str, int] = attrs.field(default=STUCK_AFTER_S, converter=_bounds)
    """
    The longest time in a status, by status; a batch that stays longer is stuck (T208). Seconds.

    A status that is not named has no bound. The default is OpenAI's, without the statuses that the dialect drops.
    """

    severities: Mapping[str, Severity | Literal["off"]] = attrs.field(factory=dict, converter=_view)
    """Severities that differ, by the code or the name of a rule; `off` switches the rule off."""

    wire: Wire | None = None
    """The map of objects that are not spelled as OpenAI's; None for those that are."""

    sources: tuple[str, ...] = ()
    """The sources of the deviations, one citation each."""

    lifecycle: Lifecycle = attrs.field(init=False)
    """The base with the changes of this dialect."""

    spellings: Mapping[str, str] = attrs.field(init=False)
    """The status of each word it knows, by the word without case and separators; empty without `any_spelling`."""

    def __attrs_post_init__(self) -> None:
        """Lay the rows on the base and refuse what contradicts it."""
        if problems := _row_problems(self):
            raise DefinitionError(f"dialect {self.name!r}", problems)
        object.__setattr__(self, "lifecycle", _overlay(self))
        object.__setattr__(self, "stuck_after_s", _without_foreign_defaults(self))
        if problems := _reading_problems(self):
            raise DefinitionError(f"dialect {self.name!r}", problems)
        known = {status: status for status in self.lifecycle.statuses} | dict(self.aliases)
        spellings = {normalized_word(word): status for word, status in known.items()} if self.any_spelling else {}
        object.__setattr__(self, "spellings", MappingProxyType(spellings))

    def __repr__(self) -> str:
        """Show the name; every row of the table would fill a screen."""
        return f"<Dialect {self.name}>"

    @property
    def has_openai_fields(self) -> bool:
        """True if its objects have OpenAI's fields only: no map, and no `ended_at`."""
        return self.wire is None and all(state.stamp != ENDED_AT for state in self.lifecycle.states)

    def canonical_status(self, status: str) -> str:
        """Return the lifecycle's word for the wire's word; an unknown word as it is."""
        if status in self.aliases or status in self.lifecycle.statuses:
            return self.aliases.get(status, status)
        return self.spellings.get(normalized_word(status), status)


def normalized_word(word: str) -> str:
    """
    Return a status word in lower case, without separators.

    >>> normalized_word("In-Progress")
    'inprogress'
    """
    return word.translate(_NO_SEPARATORS).lower()


def _ambiguous_words(dialect: Dialect) -> list[str]:
    """Return the aliases that differ from another word in case and separators alone, and mean another status."""
    found: dict[str, str] = {}
    known = {status: status for status in dialect.lifecycle.statuses} | dict(dialect.aliases)
    return [word for word, status in known.items() if found.setdefault(normalized_word(word), status) != status]


def require_openai_fields(dialect: Dialect, purpose: str) -> None:
    """
    Refuse a dialect whose objects do not have OpenAI's fields.

    Args:
        dialect: The dialect.
        purpose: The program that needs them, for the message: `a query in SQL`.

    Raises:
        DefinitionError: If it has a map, or the stamp `ended_at`.
    """
    if not dialect.has_openai_fields:
        problem = f"it needs OpenAI's fields, which batches of {dialect.name} do not have"
        raise DefinitionError(purpose, [f"{problem}; audit, watch and timeline read them as JSON"])


def _row_problems(dialect: Dialect) -> list[str]:
    base = dialect.base
    pairs = {(step.source, step.target) for step in base.steps}
    own = Counter((step.source, step.target) for step in dialect.steps)
    return [
        *(f"the step {source} to {target} stands twice" for (source, target), times in own.items() if times > 1),
        *(
            f"drops status {name!r}, which {base.name} does not have"
            for name in dialect.dropped_statuses
            if name not in base.statuses
        ),
        *(
            f"drops the step {source} to {target}, which {base.name} does not have"
            for source, target in dialect.dropped_steps
            if (source, target) not in pairs
        ),
        *(
            f"adds status {state.name!r}, which {base.name} has already"
            for state in dialect.states
            if state.name in base.statuses
        ),
    ]


def _overlay(dialect: Dialect) -> Lifecycle:
    base, own = dialect.base, {(step.source, step.target): step for step in dialect.steps}
    initial = dialect.initial or base.initial
    states = (
        *dialect.states,
        *(state for state in base.states if state.name not in dialect.dropped_statuses),
    )
    steps = [
        # In the place of the base's row, so that the order of the table stays.
        own.pop((step.source, step.target), step)
        for step in base.steps
        if not {step.source, step.target} & set(dialect.dropped_statuses)
        and (step.source, step.target) not in dialect.dropped_steps
    ]
    return Lifecycle(
        name=dialect.name,
        initial=initial,
        states=tuple(_stamped(state, initial) for state in states),
        steps=(*steps, *own.values()),
    )


def _stamped(state: State, initial: str) -> State:
    """Give `created_at` to the initial status, and to no other: AIBrix is born in `scheduling`."""
    if state.name == initial:
        return attrs.evolve(state, stamp="created_at")
    return attrs.evolve(state, stamp=None) if state.stamp == "created_at" else state


def _without_foreign_defaults(dialect: Dialect) -> Mapping[str, int]:
    """Return the bounds of T208 without the default ones of statuses that the lifecycle does not have."""
    bounds, default = dialect.stuck_after_s.items(), STUCK_AFTER_S.items()
    return _bounds({name: s for name, s in bounds if name in _open_statuses(dialect) or (name, s) not in default})


def _open_statuses(dialect: Dialect) -> list[str]:
    return [name for name in dialect.lifecycle.statuses if name not in dialect.lifecycle.terminal]


def _reading_problems(dialect: Dialect) -> list[str]:
    known = dialect.lifecycle.statuses
    return [
        *(f"alias {word!r} is a status itself" for word in dialect.aliases if word in known),
        *(
            f"alias {word!r} means {status!r}, which is not a status ({', '.join(known)})"
            for word, status in dialect.aliases.items()
            if status not in known
        ),
        *(
            f"alias {word!r} is another status in another spelling"
            for word in (_ambiguous_words(dialect) if dialect.any_spelling else ())
        ),
        *(
            f"optional stamp of {name!r}, which is not a status"
            for name in sorted(dialect.optional_stamps)
            if name not in known
        ),
        *(
            f"time format {form!r} is none of milliseconds, iso, digits, datetime"
            for form in sorted(dialect.time_formats)
            if form not in get_args(TimeFormat)
        ),
        *(f"severity of {code!r}, which is no rule code" for code in dialect.severities if not _RULE.fullmatch(code)),
        *(
            f"severity {severity!r} of {code} is none of error, warning, note, off"
            for code, severity in dialect.severities.items()
            if severity not in ("error", "warning", "note", "off")
        ),
        *(
            f"bound of {name!r}, which is not a status that can last"
            for name in dialect.stuck_after_s
            if name not in _open_statuses(dialect)
        ),
        *(f"bound of {name!r} is not above 0 seconds" for name, s in dialect.stuck_after_s.items() if s <= 0),
        *(["the tolerance of the deadline is negative"] if dialect.deadline_tolerance_s < 0 else []),
        *(wire_problems(dialect.wire, known) if dialect.wire is not None else ()),
    ]
