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


def steps_svg(statistics: LogStatistics) -> str:
    """Return the diagram of the lifecycle, with the number of batches that took each step, as an SVG element."""
    drawn = drawn_lifecycle(statistics.dialect.lifecycle, taken=statistics.step_counts)
    return drawn[drawn.index("<svg") :]


def dwell_times_svg(statistics: LogStatistics) -> str:
    """Return histograms of the time in each status, on a logarithmic axis, as SVG; a line marks the median."""
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
                                "description": {"field": "label"},
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


def findings_over_time_svg(statistics: LogStatistics) -> str:
    """Return the number of findings over time as SVG: a row for each rule, a colour for each severity."""
    values, length = [], span(statistics.span_s)
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
                    "label": f"{rule}: {count:,} of severity {severity} from {clock(at)} UTC, {length}",
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
                                "description": {"field": "label"},
                            },
                        },
                        _row_label("rule", _TIME_ROW, [{"aggregate": [{"op": "count"}], "groupby": ["rule"]}]),
                    ],
                },
            }
        )
    )


def _row_label(field: str, height: int, transform: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a layer with the name of each row, aligned right, as the headers of a facet are not."""
    mark = {"type": "text", "align": "right", "baseline": "middle", "dx": -8, "fontSize": 12, "aria": False}
    encoding = {"x": {"value": 0}, "y": {"value": height / 2}, "text": {"field": field}}
    return {"transform": transform, "mark": mark, "encoding": encoding}


def quantile(stays: Mapping[int, int], share: float) -> int:
    """
    Return a quantile of durations; seconds.

    Args:
        stays: How many durations there are of each length in seconds.
        share: 0.5 for the median, 0.9 for the 90th percentile.
    """
    durations = sorted(stays)
    reached = accumulate(stays[seconds] for seconds in durations)
    wanted = share * sum(stays.values())
    return next(seconds for seconds, times in zip(durations, reached, strict=True) if times >= wanted)


def _bars(status: str, stays: Mapping[int, int]) -> list[dict[str, Any]]:
    """Return the bars of one status; stays under a second have a bar of their own."""
    counts: dict[int, int] = {}
    for seconds, times in stays.items():
        bar = floor(_DECADE * log10(seconds)) if seconds else -1
        counts[bar] = counts.get(bar, 0) + times
    return [
        {
            "status": status,
            "colour": COLOURS.get(status, OTHER),
            "count": times,
            "from": 10 ** (bar / _DECADE) if bar >= 0 else _UNDER_A_SECOND,
            "to": 10 ** ((bar + 1) / _DECADE),
            "label": f"{status}: {times:,} stayed {_bar_span(bar)}",
        }
        for bar, times in sorted(counts.items())
    ]


def _bar_span(bar: int) -> str:
    if bar < 0:
        return "less than a second"
    return f"{span(round(10 ** (bar / _DECADE)))} to {span(round(10 ** ((bar + 1) / _DECADE)))}"


def _titled(drawn: str) -> str:
    """Return an SVG in which each mark has a title, which browsers show under the pointer."""
    return _MARK.sub(
        lambda mark: f"<path{mark[2] or mark[4] or ''}><title>{mark[1] or mark[3] or ''}</title></path>", drawn
    )
