"""Logs, judged: the fold of each batch in order of observation, and a report of what it found."""

from batchfsm.auditing.flow import Flow
from batchfsm.auditing.report import FINDINGS_MAX, Report
from batchfsm.auditing.running import audit

__all__ = ["FINDINGS_MAX", "Flow", "Report", "audit"]
