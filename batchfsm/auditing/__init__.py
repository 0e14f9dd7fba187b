"""Logs, judged: the fold of each batch in order of observation, and a report of what it found."""

from batchfsm.auditing.api import ENGINES, MEMORY, audit, parse_size
from batchfsm.auditing.export import SUFFIXES, save, suffix
from batchfsm.auditing.progress import Progress
from batchfsm.auditing.report import FINDINGS_MAX, Report
from batchfsm.auditing.state_file import StateFile
from batchfsm.auditing.statistics import LogStatistics

__all__ = [
    "ENGINES",
    "FINDINGS_MAX",
    "MEMORY",
    "SUFFIXES",
    "LogStatistics",
    "Progress",
    "Report",
    "StateFile",
    "audit",
    "parse_size",
    "save",
    "suffix",
]
