"""The public names of `batchfsm`."""

import ast
from importlib import import_module
from inspect import isfunction

import pytest

import batchfsm
from support.repository import SOURCES, TOP_MODULES


def names_for_type_checkers():
    """Return the names imported under TYPE_CHECKING, each with its module."""
    (block,) = [node for node in SOURCES["__init__.py"].body if isinstance(node, ast.If)]
    imports = [
        (alias.name, alias.asname, str(node.module).removeprefix("batchfsm").removeprefix("."))
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert [name for name, *_ in imports] == [alias for _, alias, _ in imports]
    return {name: module for name, _, module in imports}


def test_the_three_lists_of_public_names_are_one():
    """`__all__`, the names resolved on first use and the names for type checkers are the same."""
    assert batchfsm._HOMES == names_for_type_checkers()
    assert set(batchfsm.__all__) == set(batchfsm._HOMES)


def test_public_names_are_sorted_and_stand_once():
    """`__all__` lists constants, then classes, then functions and modules, each in alphabetical order."""
    names = batchfsm.__all__

    assert sorted(set(names), key=lambda name: (not name.isupper(), name[0].islower(), name)) == names


def test_every_public_name_resolves():
    """Each name is the object of that name in its module, and `dir` lists it."""
    expected = {
        name: getattr(import_module(f"batchfsm.{module}"), name) if module else import_module(f"batchfsm.{name}")
        for name, module in batchfsm._HOMES.items()
    }

    assert [] == [name for name in batchfsm.__all__ if getattr(batchfsm, name) is not expected[name]]
    assert set() == set(batchfsm.__all__) - set(dir(batchfsm))


def test_another_name_is_no_attribute():
    """An unknown name raises the AttributeError that Python itself raises."""
    with pytest.raises(AttributeError, match=r"^module 'batchfsm' has no attribute 'Poller'$"):
        _ = batchfsm.Poller


def test_no_module_has_the_name_of_a_public_function():
    """Importing a module of that name would hide the function."""
    assert set() == TOP_MODULES & {name for name in batchfsm.__all__ if isfunction(getattr(batchfsm, name))}
