"""Charts in Vega-Lite, drawn as SVG or PNG without a browser and without a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from json import dumps
from types import MappingProxyType
from typing import Any, Final

from batchfsm.errors import MissingExtraError
from batchfsm.explain import Bar, Life, bars, caption, clock, span

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
"""A colour for each status, told apart from white and from black paper alike (3:1 at the least)."""

OTHER: Final = "#5b6b8a"
"""The colour of a status of a dialect's own."""

LIVES_MAX: Final = 200
"""How many batches fit into one picture; more would make it taller than renderers allow."""

_VERSION: Final = "6.4"
_WIDTH: Final = 560
_DATES_FROM_S: Final = 3 * 86_400
_MINUTES_FROM_S: Final = 900
_FONT: Final = "Helvetica, Arial, sans-serif"


def timeline_svg(lives: Iterable[Life]) -> str:
    """Draw lives as SVG: for each batch a bar for each status, hollow where no snapshot had it."""
    return svg(_timelines(lives))


def timeline_png(lives: Iterable[Life]) -> bytes:
    """Draw lives as PNG, 144 dots per inch; otherwise as `timeline_svg`."""
    drawn: bytes = _converter().svg_to_png(timeline_svg(lives), scale=2)
    return drawn


def svg(spec: Mapping[str, Any]) -> str:
    """
    Draw a Vega-Lite chart as SVG.

    Raises:
        MissingExtraError: If the extra `report` is not installed.
    """
    # Nothing is loaded from anywhere: all values stand in the chart itself.
    drawn: str = _converter().vegalite_to_svg(dict(spec), vl_version=_VERSION, allowed_base_urls=[])
    return drawn


def _timelines(lives: Iterable[Life]) -> dict[str, Any]:
    return {
        "vconcat": [_timeline(life) for life in lives],
        "spacing": 24,
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
        "background": "white",
        "padding": 12,
        "config": {"font": _FONT, "axis": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal"}},
    }


def _timeline(life: Life) -> dict[str, Any]:
    drawn = bars(life)
    # A status may be entered twice, and has a row each time: so rows are numbers, and names their labels.
    names = "".join(f'datum.value == "{number}" ? {dumps(bar.status)} : ' for number, bar in enumerate(drawn))
    times = [time for bar in drawn for time in (bar.at, bar.end) if time is not None] or [0]
    begun, whole = min(times), max(times) - min(times)
    x = {
        "field": "at",
        "type": "temporal",
        "title": f"from {clock(begun)} UTC",
        "scale": {"type": "utc"},
        "axis": {"format": _axis_format(whole), "labelOverlap": True, "tickCount": 6},
    }
    colour = {"field": "colour", "type": "nominal", "scale": None}
    axis = {"labelExpr": f"{names}''", "ticks": False, "domain": False, "labelPadding": 8, "labelFontSize": 12}
    y = {"field": "row", "type": "nominal", "sort": None, "title": None, "axis": axis}
    hollow = {"condition": {"test": "datum.seen", "value": 1}, "value": 0.25}
    return {
        "width": _WIDTH,
        "height": {"step": 22},
        "view": {"stroke": None},
        "title": {"text": caption(life), "anchor": "start", "fontSize": 13},
        "data": {"values": [_row(number, bar, begun) for number, bar in enumerate(drawn)]},
        "encoding": {"y": y, "color": colour},
        "layer": [
            {
                "mark": {"type": "bar", "height": 12},
                "encoding": {"x": x, "x2": {"field": "end"}, "fillOpacity": hollow, "stroke": colour},
            },
            {
                "transform": [{"filter": "datum.final"}],
                "mark": {"type": "point", "shape": "diamond", "size": 90, "filled": True, "opacity": 1},
                "encoding": {"x": x, "fillOpacity": hollow, "stroke": colour},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 8, "fontSize": 11, "fill": "#333333"},
                "encoding": {"x": x | {"field": "said_at"}, "text": {"field": "said"}},
            },
        ],
    }


def _axis_format(whole_s: int) -> str:
    if whole_s > _DATES_FROM_S:
        return "%Y-%m-%d"
    return "%H:%M" if whole_s > _MINUTES_FROM_S else "%H:%M:%S"


def _row(number: int, bar: Bar, begun: int) -> dict[str, Any]:
    """Return a bar as a chart has it; times are milliseconds there."""
    is_timed = bar.at is not None and bar.end is not None
    return {
        "row": str(number),
        "colour": COLOURS.get(bar.status, OTHER),
        "at": bar.at * 1000 if bar.at is not None else None,
        "end": bar.end * 1000 if bar.end is not None else None,
        "final": bar.terminal and is_timed,
        "seen": bar.seen,
        "said": _said(bar),
        "said_at": (begun if bar.at is None or bar.end is None else bar.end) * 1000,
    }


def _said(bar: Bar) -> str:
    if bar.at is None or bar.end is None:
        return "no stamp"
    return "" if bar.terminal else span(bar.end - bar.at)


def _converter() -> Any:
    """Return the library that runs Vega-Lite; what to install, if it is not there."""
    try:
        import vl_convert  # noqa: PLC0415  # An extra, and eighty megabytes.
    except ImportError:
        raise MissingExtraError("a chart", "report") from None
    return vl_convert
