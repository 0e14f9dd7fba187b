"""The command `batchfsm`, or one line on what it needs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; exit status 2 if its packages are not installed."""
    try:
        from batchfsm.cli import app  # noqa: PLC0415  # The one place where the extra may be missing.
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in {"typer", "rich", "click"}:
            raise
        print("the command line needs more packages: pip install 'batchfsm[cli]'", file=sys.stderr)
        raise SystemExit(2) from None
    app()


if __name__ == "__main__":
    main()
