"""What is known of a batch as a few bytes, and back."""

from __future__ import annotations

import json
import zlib
from typing import Final

from batchfsm.finding import LogPosition
from batchfsm.history import BatchRecord, dump, restore

# Part of the form of a state's version 1: what is known of one batch is mostly what is known of any other. What stands
# at the end costs least.
_COMMON: Final = (
    b'"cancelled","cancelling","failed","expired","fail","expire","cancel","stop","implied","gap",true,'
    b'"cancelling_at":,"cancelled_at":,"failed_at":,"expired_at":,"error_file_id":"file-","model":"gpt-4o-mini-2024-07-18",'
    b'"/v1/embeddings","/v1/responses","undetermined","inconsistent","observed"'
    b'{"version":1,"status":"completed","entered":["completed","finalizing","in_progress","validating"],"legs":['
    b'[null,"validating","create","stamped",false,1700000000],["validating","in_progress","start","stamped",false,1700000000],'
    b'["in_progress","finalizing","finalize","stamped",false,1700000000],'
    b'["finalizing","completed","complete","observed",true,1700000000]],"adopted":false,"row":{"status":"completed",'
    b'"created_at":1700000000,"in_progress_at":1700000000,"finalizing_at":1700000000,"completed_at":1700000000,'
    b'"expires_at":1700000000,"endpoint":"/v1/chat/completions","input_file_id":"file-","completion_window":"24h",'
    b'"output_file_id":"file-","request_counts.total":100,"request_counts.completed":100,"request_counts.failed":0},'
    b'"first":null,"given":null,"unsaid":[],"observed_at":1700000000.0,"errors":null,"verdict":"consistent"}\n'
    b'[["log.jsonl",1,["in_progress_at","finalizing_at"]],["log.jsonl",2,["","request_counts.completed",'
    b'"request_counts.failed","completed_at","output_file_id"]]]'
)


def packed(track: BatchRecord) -> bytes:
    """Return what is known of a batch, where it was learned included."""
    names: dict[LogPosition, list[str]] = {}
    for name, place in (track.places or {}).items():
        names.setdefault(place, []).append(name)
    places = json.dumps([[place.source, place.line, found] for place, found in names.items()], separators=(",", ":"))
    deflate = zlib.compressobj(zdict=_COMMON)
    return deflate.compress(f"{dump(track, observed_at=track.observed_at)}\n{places}".encode()) + deflate.flush()


def decompressing_reader(binary: bytes) -> BatchRecord:
    """
    Return what `packed` packed.

    Raises:
        ValueError: If it is anything else.
    """
    inflate = zlib.decompressobj(zdict=_COMMON)
    try:
        known, _, places = (inflate.decompress(binary) + inflate.flush()).decode().partition("\n")
        track = restore(known)
        track.places = {
            name: place
            for source, line, names in json.loads(places)
            for place in (LogPosition(source, line),)
            for name in names
        }
    except (zlib.error, TypeError) as error:
        raise ValueError(str(error)) from error
    return track
