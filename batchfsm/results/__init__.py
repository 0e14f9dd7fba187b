"""Audits the results of a batch: its input file against its output and error files."""

from batchfsm.results.api import FINDINGS_MAX, audit_results, result_example
from batchfsm.results.report import Counts, ResultsReport
from batchfsm.results.rules import RESULT_RULES, ExampleFiles, ResultRule
from batchfsm.results.sources import LINE_BYTES_MAX, ResultsSource

__all__ = [
    "FINDINGS_MAX",
    "LINE_BYTES_MAX",
    "RESULT_RULES",
    "Counts",
    "ExampleFiles",
    "ResultRule",
    "ResultsReport",
    "ResultsSource",
    "audit_results",
    "result_example",
]
