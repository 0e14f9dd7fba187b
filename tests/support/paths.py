"""Paths of the checkout, and of the shared files beside it."""

import os
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent

SHARED = Path(os.environ.get("BATCHFSM_SHARED", ROOT / "../shared"))
"""Published and recorded batches, which are not part of the repository; tests that need them are skipped without."""
