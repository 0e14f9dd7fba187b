"""The charts of a report: how long batches stayed, and when findings came."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import accumulate
from math import floor, log10
from typing import Any, Final

from batchfsm.auditing import LogStatistics
from batchfsm.diagram import svg as drawn_lifecycle
from batchfsm.explain import clock, span
from batchfsm.reporting.vega import COLOURS, FONT, OTHER, date_format, svg

_WIDTH: Final = 760
_DECADE: Final = 10
"""How many bars a factor of ten has."""
_UNDER_A_SECOND: Final = 0.6
_TICKS: Final = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 21_600: "6 h", 86_400: "1 d"} | {
    604_800: "1 wk",
    2_592_000: "30 d",
    31_536_000: "1 y",
}
_MARK: Final = re.compile(r'<path aria-label="([^"]*)"([^>]*)></path>|<path aria-label="([^"]*)"([^>]*)/>')
_SEVERITIES: Final = ("error", "warning", "note")
# The page's own colours, so that a chart is right in the dark too.
_THEME: Final[Mapping[str, Any]] = {
    "background": None,
    "config": {
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": "var(--ink)",
            "titleColor": "var(--ink)",
            "gridColor": "var(--line)",
            "tickColor": "var(--line)",
            "domainColor": "var(--line)",
            "titleFontWeight": "normal",
        },
        "header": {"labelColor": "var(--ink)", "labelFontSize": 12},
        "text": {"fill": "var(--ink)"},
    },
}


def lifecycle(flow: LogStatistics) -> str:
    """Draw the lifecycle with what batches did, as an element of a page."""
    drawn = drawn_lifecycle(flow.dialect.lifecycle, taken=flow.taken)
    return drawn[drawn.index("<svg") :]


def dwell(flow: LogStatistics) -> str:
    """Draw how long batches stayed in each status, on a logarithmic axis; the line is the median."""
    bars = [bar for status, stays in flow.dwell.items() for bar in _bars(status, stays)]
    medians = [
        {"status": status, "median": max(quantile(stays, 0.5), _UNDER_A_SECOND)} for status, stays in flow.dwell.items()
    ]
    longest = max(bar["to"] for bar in bars)
    axis = {
        "values": [tick for tick in _TICKS if tick <= longest],
        "labelExpr": "".join(f"datum.value == {tick} ? '{name}' : " for tick, name in _TICKS.items()) + "''",
    }
    x = {
        "field": "from",
        "type": "quantitative",
        "title": None,
        "scale": {"type": "log", "domain": [_UNDER_A_SECOND, longest], "nice": False},
        "axis": axis,
    }
    status = {"field": "status", "type": "nominal", "title": None}
    return _titled(
        svg(
            {
                **_THEME,
                "data": {"values": bars + medians},
                "facet": {
                    "row": {
                        **status,
                        "sort": list(flow.dwell),
                        "header": {"labelAngle": 0, "labelAlign": "left", "labelPadding": 4},
                    }
                },
                "spacing": 8,
                "resolve": {"scale": {"y": "independent"}},
                "spec": {
                    "width": _WIDTH,
                    "height": 44,
                    "layer": [
                        {
                            "transform": [{"filter": "isValid(datum.count)"}],
                            "mark": {"type": "rect"},
                            "encoding": {
                                "x": x,
                                "x2": {"field": "to"},
                                "y": {"field": "count", "type": "quantitative", "axis": None},
                                "y2": {"datum": 0},
                                "color": {"field": "colour", "type": "nominal", "scale": None},
                                "description": {"field": "said"},
                            },
                        },
                        {
                            "transform": [{"filter": "isValid(datum.median)"}],
                            "mark": {"type": "rule", "stroke": "var(--ink)", "strokeWidth": 2, "aria": False},
                            "encoding": {"x": {"field": "median", "type": "quantitative"}},
                        },
                    ],
                },
            }
        )
    )


def over_time(flow: LogStatistics) -> str:
    """Draw when findings came: a row for each rule, in the colours of the severities."""
    values = []
    stacked: dict[tuple[str, int], int] = {}  # Severities stand on each other: a rule may have two of them.
    for (rule, severity), spans in flow.when.items():
        for at, count in spans.items():
            below = stacked.get((rule, at), 0)
            stacked[rule, at] = below + count
            values.append(
                {
                    "rule": rule,
                    "severity": severity,
                    "below": below,
                    "above": below + count,
                    "from": at * 1000,
                    "to": (at + flow.span_s) * 1000,
                    "said": f"{rule}: {count:,} of severity {severity} from {clock(at)} UTC, {span(flow.span_s)}",
                }
            )
    times = [at for _, at in stacked]
    colours = {"domain": list(_SEVERITIES), "range": [f"var(--{severity})" for severity in _SEVERITIES]}
    return _titled(
        svg(
            {
                **_THEME,
                "data": {"values": values},
                "facet": {
                    "row": {
                        "field": "rule",
                        "type": "nominal",
                        "title": None,
                        "sort": sorted({rule for rule, _ in flow.when}),
                        "header": {"labelAngle": 0, "labelAlign": "left", "labelPadding": 4},
                    }
                },
                "spacing": 6,
                "resolve": {"scale": {"y": "independent"}},
                "spec": {
                    "width": _WIDTH,
                    "height": 26,
                    "mark": {"type": "rect"},
                    "encoding": {
                        "x": {
                            "field": "from",
                            "type": "temporal",
                            "title": "UTC",
                            "scale": {"type": "utc"},
                            "axis": {"format": date_format(max(times) - min(times)), "tickCount": 8},
                        },
                        "x2": {"field": "to"},
                        "y": {"field": "below", "type": "quantitative", "axis": None, "scale": {"zero": True}},
                        "y2": {"field": "above"},
                        "color": {"field": "severity", "type": "nominal", "scale": colours, "legend": None},
                        "description": {"field": "said"},
                    },
                },
            }
        )
    )


def quantile(stays: Mapping[int, int], share: float) -> int:
    """Return the duration that a share of stays, one at the most, did not exceed; seconds."""
    durations = sorted(stays)
    reached = accumulate(stays[seconds] for seconds in durations)
    wanted = share * sum(stays.values())
    return next(seconds for seconds, times in zip(durations, reached, strict=True) if times >= wanted)


def _bars(status: str, stays: Mapping[int, int]) -> list[dict[str, Any]]:
    """Return the bars of one status; what took no whole second has one of its own."""
    counts: dict[int, int] = {}
    for seconds, times in stays.items():
        place = floor(_DECADE * log10(seconds)) if seconds else -1
        counts[place] = counts.get(place, 0) + times
    return [
        {
            "status": status,
            "colour": COLOURS.get(status, OTHER),
            "count": times,
            "from": 10 ** (place / _DECADE) if place >= 0 else _UNDER_A_SECOND,
            "to": 10 ** ((place + 1) / _DECADE),
            "said": f"{status}: {times:,} stayed {_between(place)}",
        }
        for place, times in sorted(counts.items())
    ]


def _between(place: int) -> str:
    if place < 0:
        return "less than a second"
    return f"{span(round(10 ** (place / _DECADE)))} to {span(round(10 ** ((place + 1) / _DECADE)))}"


def _titled(drawn: str) -> str:
    """Let each mark say what it is when it is pointed at."""
    return _MARK.sub(
        lambda mark: f"<path{mark[2] or mark[4] or ''}><title>{mark[1] or mark[3] or ''}</title></path>", drawn
    )
