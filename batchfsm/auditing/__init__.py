"""Audits of logs: every snapshot is checked alone and against those before it of its batch, by one of three engines."""

from batchfsm.auditing.accumulator import parse_unreadable_max
from batchfsm.auditing.api import ENGINES, MEMORY, audit, parse_size
from batchfsm.auditing.export import SUFFIXES, save, suffix
from batchfsm.auditing.progress import Progress
from batchfsm.auditing.report import FINDINGS_MAX, DialectSummary, Report
from batchfsm.auditing.state_file import StateFile
from batchfsm.auditing.statistics import LogStatistics

__all__ = [
    "ENGINES",
    "FINDINGS_MAX",
    "MEMORY",
    "SUFFIXES",
    "DialectSummary",
    "LogStatistics",
    "Progress",
    "Report",
    "StateFile",
    "audit",
    "parse_size",
    "parse_unreadable_max",
    "save",
    "suffix",
]
