"""Names and first lines of docstrings in the package."""

import ast
import re
from collections import defaultdict

from support.paths import ROOT
from support.repository import PROJECT, SOURCES

# A sentence with such a beginning has no subject: it cannot be understood without the body.
NO_SUBJECT = re.compile(r"(Return |Say |Tell )?(what|who|whoever|whose|whatever)\b", re.IGNORECASE)


def top_level_names(tree):
    """Yield the names of classes and type aliases at the top of a module."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign) and "cython." not in ast.unparse(node):
            # A Cython type cannot be imported, so each compiled module declares it.
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and re.fullmatch(r"_?[A-Z][a-z]\w*", target.id):
                yield target.id


def test_a_class_name_stands_for_one_class():
    """No two top-level classes or type aliases of the package have the same name; TypeVars end in T."""
    modules = defaultdict(list)
    for module, tree in SOURCES.items():
        for name in set(top_level_names(tree)):
            if not name.endswith("T"):
                modules[name].append(module)

    assert {} == {name: where for name, where in modules.items() if len(where) > 1}


def test_docstrings_name_their_subject():
    """No docstring of the package begins with what or who."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    openings = [
        f"{module}: {text.splitlines()[0]}"
        for module, tree in SOURCES.items()
        for node in ast.walk(tree)
        if isinstance(node, documented) and (text := ast.get_docstring(node)) and NO_SUBJECT.match(text)
    ]

    assert [] == openings


def test_every_package_has_a_row_on_the_architecture_page():
    """The table of packages lists each package of the layers once."""
    page = (ROOT / "docs/explanation/architecture.md").read_text()
    rows = [name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]

    assert sorted(name for row in layers for name in row.split(" | ")) == sorted(rows)
