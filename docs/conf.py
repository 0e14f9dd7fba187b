"""How Sphinx builds these pages; what the package says of itself is generated from it, never copied."""

import re
import sys
import tomllib
from collections.abc import Mapping
from html import escape
from inspect import isclass, isfunction, unwrap
from pathlib import Path

import attrs
from docutils import nodes
from sphinx import addnodes
from sphinx.util.logging import getLogger

import batchfsm
import batchfsm.conform
import batchfsm.results
import batchfsm.testing
from batchfsm.diagram import mermaid, svg, table
from batchfsm.explain import example

logger = getLogger(__name__)
ROOT = Path(__file__).parents[1]

project = "batchfsm"
author = "batchfsm contributors"
project_copyright = "2026, batchfsm contributors"
release = version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"batchfsm {release}"
pygments_style = "default"
default_role = "code"  # Docstrings write `code` as Markdown does.

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

napoleon_google_docstring = True
napoleon_numpy_docstring = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True  # A default as it is written, not `Schedule(share=0.1, ...)`.
python_use_unqualified_type_names = True
smartquotes_action = "qe"  # No dashes: `--dialect` in a sentence is an option.

nitpicky = True
nitpick_ignore_regex = [
    # What is not ours has its pages elsewhere, and finding them would need a network.
    (r"py:.*", r"(argparse|asyncio|collections|contextlib|datetime|enum|os|pathlib|types|typing)(\..*)?"),
    (r"py:.*", r"(attr|attrs|cattrs|httpx|httpx2|hypothesis|openai|transitions)(\..*)?"),
    (r"py:class", r"float \| ~?collections\.abc\.Mapping\[str"),
    # Seen in signatures, and not public.
    (
        r"py:class",
        r"batchfsm\.(history\.batch_record\.BatchTimeline|route\.SnapshotT_co|monitor\.base\.HookT|machine\.MachineT|testing\.strategies\.SnapshotT|results\.sources\.LineFile|watching\.snapshot_log\.Writable|journal\.retry\.RetryState)",
    ),
]


def rules_section():
    """Return a section for each rule: what it means, why, an example, and what to do."""
    parts = []
    for rule in batchfsm.RULES.values():
        parts += [
            f"({rule.code.lower()})=",
            f"## {rule.code} {rule.name}",
            f"{_cell(rule.description)}\n",
            f"Severity\n: {rule.severity}\n",
            f"Evidence\n: {_cell(rule.evidence)}\n",
            f"Example\n: {_cell(example(rule))}\n",
            f"What to do\n: {_cell(rule.remedy)}\n",
        ]
    return "\n".join(parts)


def rules_table():
    """Return all rules at a glance: code, name, severity, and who weighs it otherwise."""
    rows = [
        (
            f"[{rule.code}](#{rule.code.lower()})",
            rule.name,
            rule.severity,
            ", ".join(
                f"{dialect.name}: {dialect.severities[rule.code]}"
                for dialect in batchfsm.DIALECTS.values()
                if rule.code in dialect.severities
            ),
        )
        for rule in batchfsm.RULES.values()
    ]
    return _table(("code", "name", "severity", "in a dialect"), rows)


TIMES = {"milliseconds": "Unix milliseconds", "iso": "ISO 8601 text", "digits": "digits as text"}


def dialects_section():
    """Return a section for each dialect: what it does differently, as its rows say."""
    parts = []
    for dialect in batchfsm.DIALECTS.values():
        own, base = dialect.lifecycle, batchfsm.OPENAI
        drawn = "" if (own.states, own.steps) == (base.states, base.steps) else picture(own)
        parts += [f"## {dialect.name}\n", drawn, *(f"{name}\n: {text}\n" for name, text in _deviations(dialect))]
    return "\n".join(parts)


def _deviations(dialect):
    base, own, tolerance_s = batchfsm.OPENAI, dialect.lifecycle, dialect.deadline_tolerance_s
    known = {(step.source, step.target): step.evidence for step in base.steps}
    steps = {(step.source, step.target): step.evidence for step in own.steps}
    rows = {
        "Initial status": f"`{own.initial}`" if own.initial != base.initial else "",
        "Aliases": ", ".join(f"`{word}` is `{status}`" for word, status in dialect.aliases.items()),
        "Statuses added": _codes(name for name in own.statuses if name not in base.statuses),
        "Statuses dropped": _codes(dialect.dropped_statuses),
        "Steps documented here": ", ".join(
            f"`{source}` → `{target}`"
            for (source, target), evidence in steps.items()
            if evidence == "documented" != known.get((source, target))
        ),
        "Steps dropped": ", ".join(f"`{source}` → `{target}`" for source, target in dialect.dropped_steps),
        "Optional stamps": _codes(name for name in own.statuses if name in dialect.optional_stamps),
        "Times": ", ".join(["Unix seconds", *(words for form, words in TIMES.items() if form in dialect.time_formats)]),
        "Values that mean no time": _codes(map(repr, dialect.null_time_values)),
        "Empty text": "null in every text field" if dialect.null_text else "",
        "Null inside `request_counts`": "an unknown number" if dialect.null_counts else "",
        "Tolerance of the deadline": f"{tolerance_s} s" if tolerance_s else "",
        "Severities": ", ".join(
            f"[{code}](rules.md#{code.lower()}) {severity}" for code, severity in dialect.severities.items()
        ),
        "Sources": "; ".join(map(_cell, dialect.sources)),
    }
    return [(name, text) for name, text in rows.items() if text]


def providers_table():
    """Return the statuses of each provider whose objects have other fields: the initial, the final and the others."""
    rows = []
    for dialect in batchfsm.DIALECTS.values():
        if dialect.wire is not None:
            own = dialect.lifecycle
            others = [state for state in own.states if not state.terminal and state.name != own.initial]
            ends = (state.name for state in own.states if state.terminal)
            stamped = _codes(state.name for state in others if state.stamp) or "none"
            unstamped = _codes(state.name for state in others if not state.stamp) or "none"
            rows.append((f"`{dialect.name}`", f"`{own.initial}`", stamped, unstamped, _codes(ends)))
    return _table(("dialect", "first status", "others with a stamp", "others without a stamp", "final statuses"), rows)


def sources_table():
    """Return the steps with who says so."""
    rows = [
        (step.source, step.event, step.target, step.evidence, "; ".join(map(_cell, step.sources)))
        for step in batchfsm.OPENAI.steps
    ]
    return _table(("source", "event", "target", "evidence", "source of the step"), rows)


def picture(lifecycle=batchfsm.OPENAI):
    """Return a lifecycle as SVG, in the page's own colours; tolerated steps are dashed."""
    drawn = svg(lifecycle)
    drawn = drawn[drawn.index("<svg") :]
    # Its size is the page's business. Without a blank line in it, Markdown takes all of it for one block.
    drawn = re.sub(r'<svg width="\S+" height="\S+"', "<svg", drawn, count=1)
    label = f"The lifecycle of a batch: {lifecycle.name}"
    return f'<div class="lifecycle" role="img" aria-label="{escape(label)}">\n{drawn.strip()}\n</div>\n'


def faults_table():
    """Return the faults of the fake API: what each does, and the rule that reports it."""
    rows = [
        (
            f"`{fault.name}`",
            _cell(fault.description),
            f"[{fault.rule}](../reference/rules.md#{fault.rule.lower()})" if fault.rule else "",
        )
        for fault in batchfsm.testing.FAULTS.values()
    ]
    return _table(("fault", "what happens", "rule that reports it"), rows)


def layers():
    """Return the layers of the packages, the highest first, as import-linter checks them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    rows = next(each["layers"] for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    numbered = "".join(f"{len(rows) - number}  {'   '.join(row.split(' | '))}\n" for number, row in enumerate(rows, 1))
    return f"```text\n{numbered}```\n"


def result_rules_table():
    """Return the rules for result files."""
    rows = [
        (rule.code, rule.name, rule.severity, _cell(rule.description), _cell(rule.remedy))
        for rule in batchfsm.results.RESULT_RULES.values()
    ]
    return _table(("code", "name", "severity", "breach", "what to do"), rows)


GENERATED = {
    "result rules": result_rules_table,
    "providers": providers_table,
    "layers": layers,
    "faults": faults_table,
    "rules": rules_section,
    "rules at a glance": rules_table,
    "dialects": dialects_section,
    "steps": sources_table,
    "steps of ogx": lambda: table(batchfsm.DIALECTS["ogx"].lifecycle),
    "mermaid": lambda: f"```text\n{mermaid()}```\n",
    "picture": picture,
}
MARK = re.compile(r"<!-- generated: ([a-z ]+) -->")


def generate(_app, _docname, source):
    """Put what a page asks for, as `<!-- generated: rules -->`, in the place of the request."""
    source[0] = MARK.sub(lambda mark: GENERATED[mark[1]](), source[0])


def outdated(_app, env, added, _changed, _removed):
    """Rebuild the pages that hold something generated: the package may have changed."""
    return [name for name in env.found_docs - added if MARK.search(Path(env.doc2path(name)).read_text())]


def check_public(_app, env):
    """Warn, and so stop the build, if a public name is not in the reference, or a name there cannot be imported."""
    documented = set()
    for name, _, kind, page, _, priority in env.get_domain("py").get_objects():
        documented.add(name)
        # An attribute may exist in instances only; a negative priority marks the module where a class is defined.
        if kind not in ("attribute", "module") and priority > 0 and not _exists(name):
            logger.warning("%s is in the reference, and cannot be imported", name, location=page)
    for room, page in (
        (batchfsm, "reference/python"),
        (batchfsm.testing, "reference/testing"),
        (batchfsm.conform, "reference/testing"),
    ):
        for name in room.__all__:
            if f"{room.__name__}.{name}" not in documented:
                logger.warning("%s is public, and not in the reference", name, location=page)


def _exists(name):
    home, _, rest = name.partition(".")
    found = sys.modules[home]
    for part in rest.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            return False
    return True


# Words of the glossary that have no everyday sense in these pages. `key`, `step` or `status` often have it.
TERM = re.compile(
    r"\b(dead hook|dialect|envelope|finding|hook|journal|lifecycle|scenario|snapshot|stale read|stamp"
    r"|transition|verdict|walk)s?\b",
    re.IGNORECASE,
)
PAGES_WITHOUT_TERMS = ("changelog", "reference/glossary", "reference/rules")


def link_terms(app, doctree):
    """Link the first use of each term in the running text of a page to the glossary."""
    page, linked = app.env.docname, set()
    if page in PAGES_WITHOUT_TERMS:
        return
    for text in list(doctree.findall(nodes.Text)):
        if not isinstance(text.parent, nodes.paragraph):  # Titles, links, code.
            continue
        parts, end = [], 0
        for found in TERM.finditer(text):
            term = found[1].lower()
            if term not in linked:
                linked.add(term)
                shown = nodes.inline("", found[0], classes=["xref", "std", "std-term"])
                options = {"refdomain": "std", "reftype": "term", "reftarget": term, "refdoc": page}
                link = addnodes.pending_xref("", shown, refexplicit=True, refwarn=True, **options)
                parts += [nodes.Text(text[end : found.start()]), link]
                end = found.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(text[end:])])


def set_dashes(_app, doctree):
    """Set a dash between a parameter and its description, where Sphinx writes ` -- ` and trusts smart quotes."""
    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


def link_pages(_app, _what, _name, _obj, _options, lines):
    """Link a page of these docs that a docstring names by its path."""
    lines[:] = [re.sub(r"`docs/(\S+)\.md`", r":doc:`/\1`", line) for line in lines]


CONSTANT = re.compile(r" = (_?[A-Z][A-Z_]+)\b(?!\.)")


def show_defaults(_app, _what, _name, obj, _options, signature, returns):
    """
    Show the values of defaults where the source has names.

    They are the attributes of an attrs class, and constants of a module, such as `RESULTS_WAIT_S`.
    """
    if not signature:
        return None
    if not attrs.has(obj):
        function = unwrap(obj.__init__ if isclass(obj) else obj)
        if not isfunction(function):
            return None
        return CONSTANT.sub(lambda found: f" = {_default(function.__globals__[found[1]])}", signature), returns
    for field in attrs.fields(obj):
        unshown = rf"\b({field.alias}: [^=]+ = )(?:NOTHING|attr_dict\['{field.name}'\]\.default)"
        signature = re.sub(unshown, lambda found, value=field.default: found[1] + _default(value), signature)
    return signature, returns


def _default(value):
    if isinstance(value, attrs.Factory):
        value = value.factory()
    if isinstance(value, Mapping):
        value = dict(value)
    if isinstance(value, batchfsm.Schedule):
        return "Schedule()"
    if isinstance(value, batchfsm.Lifecycle | batchfsm.Dialect):
        return value.name.upper()
    return value.__name__ if callable(value) else repr(value)


def keep_colons(_app, what, _name, _obj, _options, lines):
    """Hide what attributes say from Napoleon, which takes `Stable: ...` for a type `Stable`."""
    if what in ("attribute", "property", "data"):
        lines.insert(0, "\\ ")  # Nothing, in reStructuredText.


def resolve_home(app, env, node, contnode):
    """
    Lead `batchfsm.snapshot.Snapshot`, where annotations see it, to `batchfsm.Snapshot`, where users do.

    Returns:
        The reference, or None for what is not a public name.
    """
    target = node.get("reftarget", "")
    name = target.rpartition(".")[2]
    if node.get("refdomain") != "py":
        return None
    home = next((room for room in (batchfsm, batchfsm.testing, batchfsm.conform) if name in room.__all__), None)
    if home is None:
        return None
    public = f"{home.__name__}.{name}"
    if target == public:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, contnode)


def _cell(text):
    """Keep what Markdown would act on as it is, in a table too; `code` stays code."""
    parts = re.split(r"(`[^`]*`)", text)
    plain = (re.sub(r"([\\*_<>\[\]{}|#^])", r"\\\1", part) for part in parts[::2])
    return "".join(part for pair in zip(plain, [*parts[1::2], ""], strict=True) for part in pair)


def _codes(names):
    return ", ".join(f"`{name}`" for name in names)


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def reset_modules():
    """Give public errors the module that defines them: Sphinx reads the docstrings of their attributes there."""
    for room in (batchfsm, batchfsm.testing):
        for name in room.__all__:
            kind = getattr(room, name)
            if isinstance(kind, type) and kind.__module__ == room.__name__ and "__init__" in vars(kind):
                kind.__module__ = kind.__init__.__module__


def setup(app):
    """Register what this file adds."""
    reset_modules()
    app.connect("source-read", generate)
    app.connect("doctree-read", link_terms)
    app.connect("doctree-read", set_dashes)
    app.connect("env-get-outdated", outdated)
    app.connect("env-check-consistency", check_public)
    app.connect("autodoc-process-docstring", link_pages)
    app.connect("autodoc-process-signature", show_defaults)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # Napoleon's is 500.
    app.connect("missing-reference", resolve_home)
    app.add_css_file("lifecycle.css")


html_static_path = ["_static"]
