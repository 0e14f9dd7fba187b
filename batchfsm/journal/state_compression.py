"""Compression of the states of pruned batches, by zlib with a preset dictionary."""

from __future__ import annotations

import zlib
from base64 import b85decode, b85encode
from typing import Final

_PREFIX: Final = "z1:"
"""Start of a compressed state. The number is the dictionary's version; other states are JSON objects or plain text."""

_DICTIONARY: Final = (
    b'"error_code":"error_line":"expiring_at":"cancelling","cancel","observed",false,'
    b'["cancelling","cancelled","stop","observed",true,["in_progress","expired","expire","stamped",true,'
    b'["finalizing","expired","expire","stamped",true,["validating","failed","fail","observed",true,'
    b'["in_progress","cancelling","cancel","stamped",false,["validating","cancelling","cancel","implied",false,'
    b'"gap","cancelled_at":"cancelling_at":"failed_at":"expired_at":"adopted":true,"verdict":"undetermined"}'
    b'"first":{"given":{"unsaid":["errors","verdict":"inconsistent"}azure-/v1/responses/v1/embeddings'
    b'{"version":1,"status":"cancelled","entered":["cancelled","cancelling","in_progress","validating"],'
    b'{"version":1,"status":"failed","entered":["failed","validating"],'
    b'{"version":1,"status":"expired","entered":["expired","finalizing","in_progress","validating"],'
    b'{"version":1,"status":"completed","entered":["completed","finalizing","in_progress","validating"],'
    b'"legs":[[null,"validating","create","stamped",false,17],["validating","in_progress","start","stamped",false,17],'
    b'["in_progress","finalizing","finalize","stamped",false,17],["finalizing","completed","complete","stamped",true,17]'
    b'[[null,"validating","create","observed",false,17],["validating","in_progress","start","observed",false,17],'
    b'["in_progress","finalizing","finalize","observed",false,17],'
    b'["finalizing","completed","complete","observed",true,17]],"adopted":false,'
    b'"row":{"status":"completed","created_at":17,"in_progress_at":17,"finalizing_at":17,"completed_at":17,'
    b'"expires_at":17,"endpoint":"/v1/chat/completions","model":"gpt-","input_file_id":"file-",'
    b'"completion_window":"24h","output_file_id":"file-","error_file_id":"file-","request_counts.total":100,'
    b'"request_counts.completed":100,"request_counts.failed":0},"first":null,"given":null,"unsaid":[],'
    b'"observed_at":17,"errors":null,"verdict":"consistent"}'
)
"""Text that states have in common. Changed, it could not decompress the states of older journals any more."""


def compress_state(state: str) -> str:
    """Return a state as compressed text, about a quarter as long."""
    packer = zlib.compressobj(9, zdict=_DICTIONARY)
    return _PREFIX + b85encode(packer.compress(state.encode()) + packer.flush()).decode()


def decompress_state(state: str) -> str:
    """
    Return the state that was compressed; a state that was not is returned as it is.

    Raises:
        ValueError: If the compressed text is damaged.
    """
    if not state.startswith(_PREFIX):
        return state
    unpacker = zlib.decompressobj(zdict=_DICTIONARY)
    try:
        unpacked = unpacker.decompress(b85decode(state.removeprefix(_PREFIX)))
    except zlib.error as error:
        raise ValueError(f"the compressed text is damaged: {error}") from error
    if not unpacker.eof:
        raise ValueError("the compressed text is damaged: it has no end")
    return unpacked.decode()
