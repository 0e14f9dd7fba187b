"""The public names of `batchfsm`."""

import ast
from importlib import import_module
from inspect import isfunction

import pytest

import batchfsm
from support.repository import SOURCES, TOP_MODULES


def names_for_type_checkers():
    """Return the names imported under TYPE_CHECKING, each with its module."""
    (block,) = [
        node for node in SOURCES["__init__.py"].body if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
    ]
    imports = [
        (alias.name, alias.asname, str(node.module).removeprefix("batchfsm").removeprefix("."))
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert [name for name, *_ in imports] == [alias for _, alias, _ in imports]
    return {name: module for name, _, module in imports}


def test_the_names_for_type_checkers_are_those_resolved_on_first_use():
    """Each name is imported under TYPE_CHECKING from the module that resolves it."""
    assert (
        batchfsm._MODULE_OF_NAME | dict.fromkeys([*batchfsm._SUBMODULES, *batchfsm._PACKAGES], "")
        == names_for_type_checkers()
    )


def test_public_names_stand_once():
    """`__all__` has no name twice."""
    assert len(set(batchfsm.__all__)) == len(batchfsm.__all__)


def test_every_public_name_resolves():
    """Each name is the object of that name in its module, and `dir` lists it."""
    expected = {
        name: getattr(import_module(f"batchfsm.{module}"), name) for name, module in batchfsm._MODULE_OF_NAME.items()
    }
    expected |= {name: import_module(f"batchfsm.{name}") for name in batchfsm._SUBMODULES}

    assert [] == [name for name in batchfsm.__all__ if getattr(batchfsm, name) is not expected[name]]
    assert set() == set(batchfsm.__all__) - set(dir(batchfsm))


def test_another_name_is_no_attribute():
    """An unknown name raises the AttributeError that Python itself raises."""
    with pytest.raises(AttributeError, match=r"^module 'batchfsm' has no attribute 'Poller'$"):
        _ = batchfsm.Poller


def test_no_module_has_the_name_of_a_public_function():
    """Importing a module of that name would hide the function."""
    assert set() == TOP_MODULES & {name for name in batchfsm.__all__ if isfunction(getattr(batchfsm, name))}
