"""The command `batchfsm`, or one line on what it needs."""

from __future__ import annotations

import sys
import traceback


def main() -> None:
    """Run the command line; exit status 2 if its packages are not installed, or it breaks down."""
    try:
        from batchfsm.cli import app  # noqa: PLC0415  # The one place where the extra may be missing.
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in {"typer", "rich", "click"}:
            raise
        print(
            "the command line needs more packages: pip install 'batchfsm[cli]' (in a clone: pip install '.[cli]')",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    try:
        app()
    except Exception:  # noqa: BLE001  # A flaw of our own; Python's exit status would say "inconsistent".
        traceback.print_exc()
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
