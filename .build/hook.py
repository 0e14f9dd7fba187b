"""
Build hook: compiles the typed modules of `batchfsm.auditing.columns` into extension modules.

They are optional. Where there is no C compiler, or `BATCHFSM_COMPILE=0` is set, the wheel is pure: `batchfsm audit`
then checks rows one by one, and everything else is the same.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("batchfsm/auditing/columns")
# Bounds are checked: hostile input never reaches outside a buffer. Indices are never negative, and no buffer is used
# before it is set. A variable without a type has that of the C values that are assigned to it. (A C function says which
# value means an exception: else each call would take the lock of the interpreter to look for one.)
DIRECTIVES = {
    "language_level": "3",
    "boundscheck": True,
    "wraparound": False,
    "initializedcheck": False,
    "infer_types": True,
    "auto_pickle": False,
}
OLDEST = (3, 11)
"""The modules are compiled for this Python's stable interface: one wheel serves all newer ones, at no cost in speed."""


class CompilingHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the extension modules to a wheel, or puts them beside their sources for an editable installation."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; `version` is "editable" or "standard"."""
        self._temporary = TemporaryDirectory(prefix="batchfsm-")
        if os.environ.get("BATCHFSM_COMPILE") == "0":
            return
        root = Path(self.root)
        target = root if version == "editable" else Path(self._temporary.name, "built")
        try:
            built = compile_modules(root, Path(self._temporary.name), target)
        except Exception as error:  # noqa: BLE001  # No compiler, no headers, a full disk: the code is optional.
            print(f"batchfsm: not compiled, so audits check rows one by one: {error}", file=sys.stderr)  # noqa: T201
            return
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        if is_limited():
            build_data["tag"] = f"cp{OLDEST[0]}{OLDEST[1]}-abi3-{platform}"
        else:
            build_data["infer_tag"] = True
        if version != "editable":
            build_data["force_include"] |= {str(path): str(path.relative_to(target)) for path in built}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Delete what was compiled for a wheel: it is inside now."""
        self._temporary.cleanup()


def is_limited() -> bool:
    """Tell whether this Python has the stable interface; one without the lock does not."""
    return not sysconfig.get_config_var("Py_GIL_DISABLED")


def compile_modules(root: Path, temporary: Path, target: Path) -> list[Path]:
    """Compile the modules that import cython; return the extension modules, which are below `target`."""
    from Cython.Build import cythonize  # noqa: PLC0415  # A requirement of the build alone.
    from Cython.Compiler import Options  # noqa: PLC0415
    from setuptools import Distribution, Extension  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    Options.buffer_max_dims = 2  # Buffers have one dimension, and so a call passes 64 bytes for each, not 208.
    # Without symbols for a debugger a module is a quarter of the size.
    options: dict[str, Any] = {"extra_compile_args": [] if sys.platform == "win32" else ["-O3", "-g0"]}
    if is_limited():
        version = f"0x{OLDEST[0]:02X}{OLDEST[1]:02X}0000"
        options |= {"define_macros": [("Py_LIMITED_API", version)], "py_limited_api": True}
    with chdir(root):  # Cython looks for `.pxd` files below the working directory.
        sources = [path for path in sorted(FOLDER.glob("*.py")) if "\nimport cython\n" in path.read_text()]
        names = [".".join(path.with_suffix("").parts) for path in sources]
        extensions = cythonize(
            [Extension(name, [str(path)], **options) for name, path in zip(names, sources, strict=True)],
            build_dir=str(temporary),
            compiler_directives=DIRECTIVES,
            quiet=True,
        )
        command = build_ext(Distribution({"ext_modules": extensions}))
        command.build_lib, command.build_temp, command.parallel = str(target), str(temporary), os.cpu_count() or 1
        command.ensure_finalized()
        command.run()
        return [Path(command.get_ext_fullpath(name)) for name in names]
