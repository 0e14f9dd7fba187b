"""Logs, judged: the fold of each batch in order of observation, and a report of what it found."""

from batchfsm.auditing.flow import Flow
from batchfsm.auditing.progress import Progress
from batchfsm.auditing.report import FINDINGS_MAX, Report
from batchfsm.auditing.running import ENGINES, MEMORY, audit, parse_size
from batchfsm.auditing.saving import SUFFIXES, save, suffix
from batchfsm.auditing.state import StateFile

__all__ = [
    "ENGINES",
    "FINDINGS_MAX",
    "MEMORY",
    "SUFFIXES",
    "Flow",
    "Progress",
    "Report",
    "StateFile",
    "audit",
    "parse_size",
    "save",
    "suffix",
]
