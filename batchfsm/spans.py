"""Spans of time as people write them: `90`, `5m`, `1h30m`, `30d`."""

from __future__ import annotations

import re
from typing import Final

_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PART: Final = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_PARTS: Final = re.compile(r"(?:\d{1,9}[smhd])+", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_FORMS: Final = "write 90, 90s, 5m, 1h30m or 2d"


def parse_span(span: str | float) -> float:
    """
    Return a span of time in seconds.

    Args:
        span: Seconds, or text such as `90`, `90s`, `5m`, `1h30m`, `30d`.

    Raises:
        ValueError: If it is neither, or negative.

    >>> parse_span("1h30m")
    5400
    >>> parse_span("90")
    90
    """
    if not isinstance(span, str):
        if not _is_number(span):
            raise ValueError(f"{span!r} is no span of time; {_FORMS}")
        if not span >= 0:  # So written, it refuses NaN too.
            raise ValueError(f"a span of time is not negative: {span}")
        return span
    if _PARTS.fullmatch(span):
        return sum(int(number) * _UNIT_S[unit] for number, unit in _PART.findall(span))
    if _NUMBER.fullmatch(span) is None:
        raise ValueError(f"{span!r} is no span of time; {_FORMS}")
    return float(span) if "." in span else int(span)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
