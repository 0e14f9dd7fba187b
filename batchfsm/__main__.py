"""The command `batchfsm`; without its packages, one line that says what to install."""

from __future__ import annotations

import atexit
import gc
import sys
import traceback


def main() -> None:
    """Run the command line; exit status 2 if its packages are not installed, or if it has a bug."""
    # At its end Python searches for cycles among all objects, although memory is free then anyway. Frozen ones are left
    # out: a command of 130 ms takes 15 ms less.
    atexit.register(gc.freeze)
    try:
        from batchfsm.cli import app  # noqa: PLC0415  # The one place where the extra may be missing.

        app(prog_name="batchfsm")
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in {"click", "rich"}:
            raise
        message = "the command line needs more packages: pip install 'batchfsm[cli]' (in a clone: pip install '.[cli]')"
        print(message, file=sys.stderr)
        raise SystemExit(2) from None
    except Exception:  # noqa: BLE001  # A bug of the command; Python's exit status 1 would say "inconsistent".
        traceback.print_exc()
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
