"""The status that an unknown word most resembles."""

from __future__ import annotations

import re
from typing import Final

from batchfsm.dialects.dialect import Dialect, normalized_word
from batchfsm.errors import nearest_name

_LIKENESS_MIN: Final = 0.8
_PREFIX: Final = re.compile(r"(?:batch|job|status|state)+(?=.)")
_CHARS_MAX: Final = 64  # The comparison is quadratic.


def nearest_status(word: str, dialect: Dialect) -> str | None:
    """
    Return the status whose word, or one of whose aliases, an unknown word most resembles; None if it resembles none.

    Case, separators and the name of an enum before the word do not count; of a long word, neither does a letter.

    >>> from batchfsm import DIALECTS
    >>> nearest_status("Completed", DIALECTS["openai"])
    'completed'
    >>> nearest_status("BATCH_STATUS_IN_PROGRESS", DIALECTS["openai"])
    'in_progress'
    >>> nearest_status("paused", DIALECTS["openai"])
    """
    known = {normalized_word(alias): status for alias, status in dialect.aliases.items()}
    known |= {normalized_word(status): status for status in dialect.lifecycle.statuses}
    plain = _PREFIX.sub("", normalized_word(word))
    if len(plain) > _CHARS_MAX:
        return None
    if plain in known:
        return known[plain]
    # Nobody mistypes the first letter, and `incomplete` is not `completed`.
    alike = [name for name in known if name[:1] == plain[:1]]
    close = nearest_name(plain, alike, _LIKENESS_MIN)
    return None if close is None else known[close]
