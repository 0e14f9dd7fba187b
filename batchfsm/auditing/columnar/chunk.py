"""A run of rows of one source, read into whole numbers."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen(eq=False)
class Chunk:
    """Rows in the order of their source, without gaps."""

    cells: Any
    """What they say; shape `(n, len(COLUMNS))`, int64, C order. Of a row that is not plain, nothing to rely on."""

    seen: Any
    """When each was seen; Unix seconds, NaN where that was not said. Shape `(n,)`, float64."""

    first: int
    """The number of the first row in its source, from 0."""

    plain: Any
    """False: the columns do not say all that is to be judged; the scalar core reads the row. Shape `(n,)`, bool."""
