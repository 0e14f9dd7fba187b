"""Reports as HTML, and timelines as pictures."""

from batchfsm.reporting.html import ready, write_report
from batchfsm.reporting.timelines import TIMELINES_MAX, timeline_png, timeline_svg

__all__ = ["TIMELINES_MAX", "ready", "timeline_png", "timeline_svg", "write_report"]
