"""Server families that deviate from the OpenAI lifecycle, as data layered on it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import attrs

from batchfsm.errors import DefinitionError, UnknownNameError
from batchfsm.lifecycle import OPENAI, Lifecycle, Severity, State, Step

TimeForm = Literal["milliseconds", "iso", "digits"]
"""How a server writes a time, beside whole Unix seconds: `1711471533000`, `2024-03-26T16:45:33Z`, `"1711471533"`."""

_CODE = re.compile(r"[SPTCFH]\d{3}")


def _view(mapping: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(mapping))


@attrs.frozen(kw_only=True, eq=False)
class Dialect:
    """
    What one server family does differently; checked like a lifecycle when built.

    Raises:
        DefinitionError: With every problem by name.
    """

    name: str
    """What people call the server family."""

    base: Lifecycle = OPENAI
    """The lifecycle that the other rows are laid on."""

    states: tuple[State, ...] = ()
    """Statuses of its own; they come before those of the base in table order."""

    steps: tuple[Step, ...] = ()
    """Steps of its own; one that the base has with other evidence takes its place."""

    dropped_statuses: tuple[str, ...] = ()
    """Statuses of the base that it never gives, with all their steps."""

    dropped_steps: tuple[tuple[str, str], ...] = ()
    """Steps of the base that it never takes, as `(source, target)`."""

    initial: str | None = None
    """The status a batch is born in, which takes `created_at` for its stamp; None: that of the base."""

    aliases: Mapping[str, str] = attrs.field(factory=dict, converter=_view)
    """Other words for a status: the wire's word to the lifecycle's."""

    optional: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)
    """Statuses whose stamp may be null though the batch was there. A set stamp is judged all the same."""

    times: frozenset[TimeForm] = attrs.field(default=frozenset(), converter=frozenset)
    """How times may be written, beside whole Unix seconds."""

    null_times: tuple[int | str, ...] = ()
    """What stands for null where a time is due; compared by type and value, before the time form."""

    null_text: bool = False
    """True if `""` is null in every text field, not only in file ids."""

    null_counts: bool = False
    """True if a number inside `request_counts` may be null: an unknown number."""

    deadline_tolerance_s: int = 0
    """How far `expires_at` may be from `created_at` and the window; seconds."""

    severities: Mapping[str, Severity | Literal["off"]] = attrs.field(factory=dict, converter=_view)
    """Rule codes that weigh something else here; `off` silences the rule."""

    sources: tuple[str, ...] = ()
    """Who says so, one citation each."""

    lifecycle: Lifecycle = attrs.field(init=False)
    """The base with this dialect's rows laid on it."""

    def __attrs_post_init__(self) -> None:
        """Lay the rows on the base and refuse what contradicts it."""
        if problems := _row_problems(self):
            raise DefinitionError(f"dialect {self.name!r}", problems)
        object.__setattr__(self, "lifecycle", _laid(self))
        if problems := _reading_problems(self):
            raise DefinitionError(f"dialect {self.name!r}", problems)

    def word(self, status: str) -> str:
        """Return the lifecycle's word for the wire's word; an unknown word as it is."""
        return self.aliases.get(status, status)


def _row_problems(dialect: Dialect) -> list[str]:
    base = dialect.base
    pairs = {(step.source, step.target) for step in base.steps}
    return [
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


def _laid(dialect: Dialect) -> Lifecycle:
    base, own = dialect.base, {(step.source, step.target): step for step in dialect.steps}
    initial = dialect.initial or base.initial
    states = (*dialect.states, *(state for state in base.states if state.name not in dialect.dropped_statuses))
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


def _reading_problems(dialect: Dialect) -> list[str]:
    known = dialect.lifecycle.statuses
    return [
        *(f"alias {word!r} is a status itself" for word in dialect.aliases if word in known),
        *(
            f"alias {word!r} means {status!r}, which is not a status"
            for word, status in dialect.aliases.items()
            if status not in known
        ),
        *(f"optional stamp of {name!r}, which is not a status" for name in sorted(dialect.optional) if name not in known),
        *(
            f"time form {form!r} is none of milliseconds, iso, digits"
            for form in sorted(dialect.times)
            if form not in ("milliseconds", "iso", "digits")
        ),
        *(f"severity of {code!r}, which is no rule code" for code in dialect.severities if not _CODE.fullmatch(code)),
        *(
            f"severity {severity!r} of {code} is none of error, warning, note, off"
            for code, severity in dialect.severities.items()
            if severity not in ("error", "warning", "note", "off")
        ),
        *(["the tolerance of the deadline is negative"] if dialect.deadline_tolerance_s < 0 else []),
    ]


def find(dialect: str | Dialect | Lifecycle) -> Dialect:
    """
    Return the dialect that is meant.

    Args:
        dialect: One of `DIALECTS` by name, a dialect, or a bare lifecycle,
            which is read in whole seconds like the OpenAI one.

    Raises:
        UnknownNameError: If no dialect has that name.
    """
    if isinstance(dialect, Dialect):
        return dialect
    if isinstance(dialect, Lifecycle):
        return Dialect(name=dialect.name, base=dialect)
    if dialect not in DIALECTS:
        raise UnknownNameError("dialect", dialect, DIALECTS)
    return DIALECTS[dialect]


_ALWAYS_TOLERATED: Final = tuple(
    attrs.evolve(step, evidence="documented") for step in OPENAI.steps if step.evidence == "tolerated"
)

_OPENAI = Dialect(name="openai", sources=("openai-openapi, schema Batch; published objects of the real API",))

_AZURE = Dialect(
    name="azure",
    aliases={"Validating": "validating", "canceled": "cancelled"},
    optional={"in_progress"},
    times={"iso"},
    null_text=True,
    null_counts=True,
    deadline_tolerance_s=5,
    # Azure says that a job runs on past 24 hours, and blob output has no file ids.
    severities={"T204": "off", "T207": "off", "F402": "note"},
    sources=("MicrosoftDocs azure-ai-docs, batch-rest.md and batch-python.md", "Kong developer guide, azure-batches.md"),
)

_GROQ = Dialect(
    name="groq",
    optional={"finalizing"},
    sources=("tidyverse/ellmer, tests/testthat/batch", "Groq's documented example of a completed batch"),
)

_ZHIPU = Dialect(
    name="zhipu",
    times={"milliseconds"},
    null_counts=True,
    severities={"P104": "off", "C303": "off"},
    sources=("MetaGLM/zhipuai-sdk-python-v4, tests",),
)

_DASHSCOPE = Dialect(
    name="dashscope",
    severities={"P104": "off"},
    sources=("DashScope's documented batch interface, list example",),
)

_AIBRIX = Dialect(
    name="aibrix",
    initial="scheduling",
    states=(State("scheduling"),),
    aliases={"created": "scheduling", "finalized": "finalizing"},
    # fmt: off
    steps=(
        Step("scheduling",  "validate", "validating", "documented", ("AIBrix 0.8.0, recorded",)),
        Step("scheduling",  "fail",     "failed",     "documented", ("AIBrix 0.8.0, recorded: invalid input",)),
        Step("scheduling",  "cancel",   "cancelling", "documented", ("AIBrix 0.8.0, recorded",)),
        Step("scheduling",  "expire",   "expired",    "documented", ("AIBrix, batch_job.py",)),
        Step("validating",  "expire",   "expired",    "documented", ("AIBrix, batch_job.py",)),
        Step("in_progress", "fail",     "failed",     "documented", ("AIBrix, batch_job.py",)),
        Step("in_progress", "expire",   "expired",    "documented", ("AIBrix, batch_job.py",)),
        Step("finalizing",  "fail",     "failed",     "documented", ("AIBrix, condition finalizing_failed",)),
        Step("finalizing",  "stop",     "cancelled",  "documented", ("AIBrix 0.8.0, recorded",)),
        Step("cancelling",  "finalize", "finalizing", "documented", ("AIBrix 0.8.0, recorded in three runs",)),
    ),
    # fmt: on
    # Together with cancelling to finalizing it would be a circle, and no recording shows it.
    dropped_steps=(("finalizing", "cancelling"),),
    optional={"validating"},
    times={"digits"},
    null_times=("0",),
    severities={"C304": "off"},
    sources=("AIBrix 0.8.0, recorded; docs/source/features/batch-api.rst",),
)

_OGX = Dialect(
    name="ogx",
    # fmt: off
    steps=(
        Step("in_progress", "complete", "completed", "documented", ("OGX 1.5.0, recorded",)),
        Step("in_progress", "fail",     "failed",    "documented", ("OGX 1.5.0, recorded",)),
    ),
    # fmt: on
    # Merely unstamped, finalizing would make every end of in_progress ambiguous.
    dropped_statuses=("finalizing", "expired"),
    optional={"in_progress"},
    severities={"P104": "off", "F401": "off", "C304": "off"},
    sources=("OGX 1.5.0 (formerly llama-stack), recorded; providers/inline/batches/reference/batches.py",),
)

_LITELLM = Dialect(
    name="litellm",
    aliases={"complete": "completed"},
    # fmt: off
    steps=(
        Step("in_progress", "complete", "completed", "documented", ("LiteLLM 1.106.2, maps of Bedrock and Vertex",)),
        Step("in_progress", "fail",     "failed",    "documented", ("LiteLLM 1.106.2, maps of Bedrock and Vertex",)),
    ),
    # fmt: on
    optional={"in_progress", "finalizing"},
    # Vertex gives no stamp but created_at; Anthropic's expired_at is the archive time; Bedrock's in_progress_at moves.
    severities={
        "P104": "off", "C304": "off", "C303": "note", "F401": "note",
        "P101": "warning", "P102": "warning", "T201": "warning", "H504": "warning",
    },  # fmt: skip
    sources=("LiteLLM 1.106.2, litellm/llms/*/batches/transformation.py",),
)

_COMPATIBLE = Dialect(
    name="compatible",
    aliases={
        "Validating": "validating", "pending": "validating", "queued": "validating", "in_queue": "validating",
        "scheduling": "validating", "created": "validating",
        "running": "in_progress", "processing": "in_progress",
        "finalized": "finalizing", "complete": "completed", "canceled": "cancelled",
    },  # fmt: skip
    # fmt: off
    steps=(
        *_ALWAYS_TOLERATED,
        Step("in_progress", "complete", "completed",  "documented", ("OGX 1.5.0, recorded",)),
        Step("in_progress", "stop",     "cancelled",  "documented", ("vLLM production-stack",)),
        Step("validating",  "stop",     "cancelled",  "documented", ("vLLM production-stack",)),
        Step("finalizing",  "stop",     "cancelled",  "documented", ("AIBrix 0.8.0, recorded",)),
        Step("cancelling",  "finalize", "finalizing", "documented", ("AIBrix 0.8.0, recorded",)),
    ),
    # fmt: on
    optional={"in_progress", "finalizing", "cancelling"},
    times={"milliseconds", "iso", "digits"},
    # The last two are the first second of the year 2000, in seconds and (in UTC+8) in milliseconds: Bella's "never".
    null_times=(0, "0", "", 946684800, 946656000000),
    null_text=True,
    null_counts=True,
    severities={
        "T202": "off", "P104": "off", "C304": "off", "T204": "off", "T207": "off",
        "T201": "warning", "T203": "warning", "P101": "warning", "P102": "warning", "H504": "warning",
        "S003": "note", "C303": "note", "F401": "note",
    },  # fmt: skip
    sources=("what at least one server of the other dialects does, and Bella, Maritaca, SiliconFlow, Qoder",),
)

DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {
        dialect.name: dialect
        for dialect in (_OPENAI, _AZURE, _GROQ, _ZHIPU, _DASHSCOPE, _AIBRIX, _OGX, _LITELLM, _COMPATIBLE)
    }
)
"""Every named dialect; `openai` is the strict one."""
