"""The package's source files and the settings in pyproject.toml, for the tests of the repository itself."""

import ast
import tomllib
from pathlib import Path

import batchfsm
from support.paths import ROOT

PACKAGE = Path(str(batchfsm.__file__)).parent

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

SOURCES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
"""The syntax tree of each module of the package, by the module's path."""

TOP_MODULES = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
"""Names of the modules and packages directly below `batchfsm`."""
