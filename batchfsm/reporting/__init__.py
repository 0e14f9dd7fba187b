"""Reports as HTML, and timelines as pictures."""

from batchfsm.reporting.html import ready, write_report
from batchfsm.reporting.timelines import LIVES_MAX, timeline_png, timeline_svg

__all__ = ["LIVES_MAX", "ready", "timeline_png", "timeline_svg", "write_report"]
