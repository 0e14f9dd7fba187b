"""How Sphinx builds these pages."""

import importlib.metadata

import batchfsm

project = "batchfsm"
author = "batchfsm contributors"
project_copyright = "2026, batchfsm contributors"
release = version = importlib.metadata.version("batchfsm")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"batchfsm {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

napoleon_google_docstring = True
napoleon_numpy_docstring = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True

nitpicky = True
nitpick_ignore_regex = [
    # What is not ours has its pages elsewhere, and finding them would need a network.
    (r"py:.*", r"(argparse|asyncio|collections|contextlib|datetime|enum|os|pathlib|types|typing)(\..*)?"),
    (r"py:.*", r"(attr|attrs|cattrs|openai|transitions)(\..*)?"),
]


def resolve_home(app, env, node, contnode):
    """
    Lead `batchfsm.snapshot.Snapshot`, where annotations see it, to `batchfsm.Snapshot`, where users do.

    Returns:
        The reference, or None for what is not a public name.
    """
    target = node.get("reftarget", "")
    name = target.rpartition(".")[2]
    if node.get("refdomain") != "py" or name not in batchfsm.__all__:
        return None
    public = f"batchfsm.{name}"
    if target == public:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, contnode)


def setup(app):
    """Register what this file adds."""
    app.connect("missing-reference", resolve_home)
