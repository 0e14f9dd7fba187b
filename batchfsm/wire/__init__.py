"""Parsers of batch objects into a `Snapshot`: nothing is coerced, every problem has its `$.path`."""

from batchfsm.wire.envelope import (
    SPELLINGS,
    decode,
    decode_problem,
    decoder,
    is_batch,
    make_scanner,
    unwrap,
    unwrap_single,
)
from batchfsm.wire.fast_path import ParsedRow, TypePattern
from batchfsm.wire.marks import mark_hint, snapshot_mark_hint
from batchfsm.wire.parser import Reader, reader
from batchfsm.wire.provider_reader import ProviderReader
from batchfsm.wire.strict_parser import parse
from batchfsm.wire.values import TIME_MAX, expected_message, parse_observed_at, parse_time, short_repr

__all__ = [
    "SPELLINGS",
    "TIME_MAX",
    "ParsedRow",
    "ProviderReader",
    "Reader",
    "TypePattern",
    "decode",
    "decode_problem",
    "decoder",
    "expected_message",
    "is_batch",
    "make_scanner",
    "mark_hint",
    "parse",
    "parse_observed_at",
    "parse_time",
    "reader",
    "short_repr",
    "snapshot_mark_hint",
    "unwrap",
    "unwrap_single",
]
