"""The length of the functions of the package."""

import ast

from support.repository import SOURCES

FUNCTION_LINES_MAX = 70


def test_a_function_fits_on_a_screen():
    """No function is longer than 70 lines, docstring included."""
    functions = [
        (f"{name}:{node.lineno} {node.name}", int(node.end_lineno or 0) - node.lineno + 1)
        for name, tree in SOURCES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    assert {} == {function: lines for function, lines in functions if lines > FUNCTION_LINES_MAX}
