"""Escapes for text that goes to a terminal."""

from __future__ import annotations

import re
from typing import Final

_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    r"""
    Return a text that no terminal acts on: controls, escapes and reading directions spelled out.

    >>> printable("batch_\x1b[2J")
    'batch_\\x1b[2J'
    """
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)
