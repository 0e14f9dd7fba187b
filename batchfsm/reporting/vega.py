"""Vega-Lite charts, rendered without a browser and without a network."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from batchfsm.errors import needs_extra

COLOURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "validating": "#8a6d3b",
        "in_progress": "#2f74c0",
        "finalizing": "#1c8a8a",
        "completed": "#2e8540",
        "failed": "#c9302c",
        "expired": "#c05600",
        "cancelling": "#8e5bc0",
        "cancelled": "#6b7280",
    }
)
"""A colour for each status, with a contrast of at least 3:1 to white and to black paper."""

OTHER: Final = "#5b6b8a"
"""The colour of a status that only a dialect has."""

FONT: Final = "Helvetica, Arial, sans-serif"

_DATES_ONLY_FROM_S: Final = 20 * 86_400
_DATES_FROM_S: Final = 3 * 86_400
_MINUTES_FROM_S: Final = 900
_VERSION: Final = "6.4"


def svg(spec: Mapping[str, Any]) -> str:
    """
    Return a Vega-Lite chart as SVG.

    Raises:
        MissingExtraError: If the extra `report` is not installed.
    """
    # The chart holds all its values, so no address is allowed.
    drawn: str = converter().vegalite_to_svg(dict(spec), vl_version=_VERSION, allowed_base_urls=[])
    return drawn


def png(drawn: str) -> bytes:
    """Return an SVG as PNG, at twice the resolution of the screen."""
    dots: bytes = converter().svg_to_png(drawn, scale=2)
    return dots


def time_format(whole_s: int) -> str:
    """Return the format of the labels of a time axis that is `whole_s` long, if the date is in its title."""
    if whole_s > _DATES_FROM_S:
        return "%Y-%m-%d"
    return "%H:%M" if whole_s > _MINUTES_FROM_S else "%H:%M:%S"


def date_format(whole_s: int) -> str:
    """Return the format of the labels of a time axis that is `whole_s` long, with the date in each label."""
    return "%Y-%m-%d" if whole_s > _DATES_ONLY_FROM_S else "%m-%d %H:%M"


def converter() -> Any:
    """Return the library that renders Vega-Lite; MissingExtraError if it is not installed."""
    with needs_extra("a chart", "report"):
        import vl_convert  # noqa: PLC0415  # An extra, and eighty megabytes.
    return vl_convert
