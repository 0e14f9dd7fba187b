"""What came over the wire, read into a `Snapshot`: nothing coerced, every refusal with its `$.path`."""

from batchfsm.wire.envelope import SPELLINGS, Scanner, batches, decode, decode_problem, decoder, only_batch
from batchfsm.wire.fields import TIME_MAX, refusal, shown, time_of
from batchfsm.wire.lane import ParsedRow, TypePattern
from batchfsm.wire.reading import Reader, parse, reader

__all__ = [
    "SPELLINGS",
    "TIME_MAX",
    "ParsedRow",
    "Reader",
    "Scanner",
    "TypePattern",
    "batches",
    "decode",
    "decode_problem",
    "decoder",
    "only_batch",
    "parse",
    "reader",
    "refusal",
    "shown",
    "time_of",
]
