"""Timelines of batches as SVG and PNG: a bar for each status."""

from __future__ import annotations

from collections.abc import Iterable
from json import dumps
from typing import Any, Final

from batchfsm.explain import Bar, bars, clock, span, timeline_title
from batchfsm.history import BatchTimeline
from batchfsm.reporting.vega import COLOURS, FONT, OTHER, png, svg, time_format

TIMELINES_MAX: Final = 200
"""The most batches of one picture; renderers refuse a taller one."""

_WIDTH: Final = 560


def timeline_svg(timelines: Iterable[BatchTimeline]) -> str:
    """Return a picture of timelines as SVG: for each batch a bar for each status, hollow if no snapshot showed it."""
    return svg(_vega_column(timelines))


def timeline_png(timelines: Iterable[BatchTimeline]) -> bytes:
    """Return the picture of `timeline_svg` as PNG, 144 dots per inch."""
    return png(timeline_svg(timelines))


def _vega_column(timelines: Iterable[BatchTimeline]) -> dict[str, Any]:
    return {
        "vconcat": [_vega_chart(timeline) for timeline in timelines],
        "spacing": 24,
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
        "background": "white",
        "padding": 12,
        "config": {"font": FONT, "axis": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal"}},
    }


def _vega_chart(timeline: BatchTimeline) -> dict[str, Any]:
    drawn = bars(timeline)
    # A status that is entered twice has two rows, so rows are numbered, and names are their labels.
    names = "".join(f'datum.value == "{number}" ? {dumps(bar.status)} : ' for number, bar in enumerate(drawn))
    times = [time for bar in drawn for time in (bar.at, bar.end) if time is not None] or [0]
    begun, whole = min(times), max(times) - min(times)
    x = {
        "field": "at",
        "type": "temporal",
        "title": f"from {clock(begun)} UTC",
        "scale": {"type": "utc"},
        "axis": {"format": time_format(whole), "labelOverlap": True, "tickCount": 6},
    }
    colour = {"field": "colour", "type": "nominal", "scale": None}
    axis = {"labelExpr": f"{names}''", "ticks": False, "domain": False, "labelPadding": 8, "labelFontSize": 12}
    y = {"field": "row", "type": "nominal", "sort": None, "title": None, "axis": axis}
    hollow = {"condition": {"test": "datum.seen", "value": 1}, "value": 0.25}
    return {
        "width": _WIDTH,
        "height": {"step": 22},
        "view": {"stroke": None},
        "title": {"text": timeline_title(timeline), "anchor": "start", "fontSize": 13},
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
                "encoding": {"x": x | {"field": "label_at"}, "text": {"field": "label"}},
            },
        ],
    }


def _row(number: int, bar: Bar, begun: int) -> dict[str, Any]:
    """Return the data of a bar for Vega-Lite; times in Unix milliseconds."""
    is_timed = bar.at is not None and bar.end is not None
    return {
        "row": str(number),
        "colour": COLOURS.get(bar.status, OTHER),
        "at": bar.at * 1000 if bar.at is not None else None,
        "end": bar.end * 1000 if bar.end is not None else None,
        "final": bar.terminal and is_timed,
        "seen": bar.seen,
        "label": _bar_label(bar),
        "label_at": (begun if bar.at is None or bar.end is None else bar.end) * 1000,
    }


def _bar_label(bar: Bar) -> str:
    if bar.at is None or bar.end is None:
        return "no stamp"
    return "" if bar.terminal else span(bar.end - bar.at)
