"""What came over the wire, read into a `Snapshot`: nothing coerced, every refusal with its `$.path`."""

from batchfsm.wire.converter import TIME_MAX, refusal, shown, time_of
from batchfsm.wire.envelope import SPELLINGS, batches, decode, decode_problem, decoder, make_scanner, only_batch
from batchfsm.wire.fast_path import ParsedRow, TypePattern
from batchfsm.wire.parser import Reader, parse, reader

__all__ = [
    "SPELLINGS",
    "TIME_MAX",
    "ParsedRow",
    "Reader",
    "TypePattern",
    "batches",
    "decode",
    "decode_problem",
    "decoder",
    "make_scanner",
    "only_batch",
    "parse",
    "reader",
    "refusal",
    "shown",
    "time_of",
]
