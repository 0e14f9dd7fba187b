"""Logs, judged: the fold of each batch in order of observation, and a report of what it found."""

from batchfsm.auditing.flow import Flow
from batchfsm.auditing.report import FINDINGS_MAX, Report
from batchfsm.auditing.running import ENGINES, MEMORY, audit, parse_size

__all__ = ["ENGINES", "FINDINGS_MAX", "MEMORY", "Flow", "Report", "audit", "parse_size"]
