"""The charts of a report: steps, time in each status, and findings over time."""

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
from batchfsm.rules import RULES

_WIDTH: Final = 760
_DECADE: Final = 10
"""Number of bars for each factor of ten."""
_UNDER_A_SECOND: Final = 0.6
_DWELL_ROW: Final = 44
_TIME_ROW: Final = 26
_TICKS: Final = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 21_600: "6 h", 86_400: "1 d"} | {
    604_800: "1 wk",
    2_592_000: "30 d",
    31_536_000: "1 y",
}
_MARK: Final = re.compile(r'<path aria-label="([^"]*)"([^>]*)></path>|<path aria-label="([^"]*)"([^>]*)/>')
_SEVERITIES: Final = ("error", "warning", "note")
# The colours of the page, so that charts follow the theme.
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
        "text": {"fill": "var(--ink)"},
    },
}


def lifecycle(statistics: LogStatistics) -> str:
    """Return the lifecycle with the number of steps taken, as an SVG element."""
    drawn = drawn_lifecycle(statistics.dialect.lifecycle, taken=statistics.step_counts)
    return drawn[drawn.index("<svg") :]


def dwell(statistics: LogStatistics) -> str:
    """Return the distribution of the time in each status, on a logarithmic axis; the line is the median."""
    bars = [bar for status, stays in statistics.dwell_times.items() for bar in _bars(status, stays)]
    medians = [
        {"status": status, "median": max(quantile(stays, 0.5), _UNDER_A_SECOND)}
        for status, stays in statistics.dwell_times.items()
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
                        "sort": list(statistics.dwell_times),
                        "header": None,
                    }
                },
                "spacing": 8,
                "resolve": {"scale": {"y": "independent"}},
                "spec": {
                    "width": _WIDTH,
                    "height": _DWELL_ROW,
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
                        _row_label("status", _DWELL_ROW, [{"filter": "isValid(datum.median)"}]),
                    ],
                },
            }
        )
    )


def over_time(statistics: LogStatistics) -> str:
    """Return the findings over time, a row for each rule, in the colours of the severities."""
    values = []
    stacked: dict[tuple[str, int], int] = {}  # Severities stand on each other: a rule may have two of them.
    for (rule, severity), spans in statistics.findings_over_time.items():
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
                    "to": (at + statistics.span_s) * 1000,
                    "said": f"{rule}: {count:,} of severity {severity} from {clock(at)} UTC, {span(statistics.span_s)}",
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
                        "sort": [
                            rule for rule in RULES if rule in {found for found, _ in statistics.findings_over_time}
                        ],
                        "header": None,
                    }
                },
                "spacing": 6,
                "resolve": {"scale": {"y": "independent"}},
                "spec": {
                    "width": _WIDTH,
                    "height": _TIME_ROW,
                    "layer": [
                        {
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
                        _row_label("rule", _TIME_ROW, [{"aggregate": [{"op": "count"}], "groupby": ["rule"]}]),
                    ],
                },
            }
        )
    )


def _row_label(field: str, height: int, transform: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a layer with the name of each row, one edge for all; a facet's own headers are not aligned."""
    mark = {"type": "text", "align": "right", "baseline": "middle", "dx": -8, "fontSize": 12, "aria": False}
    encoding = {"x": {"value": 0}, "y": {"value": height / 2}, "text": {"field": field}}
    return {"transform": transform, "mark": mark, "encoding": encoding}


def quantile(stays: Mapping[int, int], share: float) -> int:
    """Return a percentile of durations, given as a share; seconds."""
    durations = sorted(stays)
    reached = accumulate(stays[seconds] for seconds in durations)
    wanted = share * sum(stays.values())
    return next(seconds for seconds, times in zip(durations, reached, strict=True) if times >= wanted)


def _bars(status: str, stays: Mapping[int, int]) -> list[dict[str, Any]]:
    """Return the bars of one status; stays under a second have a bar of their own."""
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
    """Give each mark a title that browsers show under the pointer."""
    return _MARK.sub(
        lambda mark: f"<path{mark[2] or mark[4] or ''}><title>{mark[1] or mark[3] or ''}</title></path>", drawn
    )
