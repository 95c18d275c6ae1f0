"""Texts that callers choose, as a database keeps them: no longer than an index bears, and without a NUL.

A key may be of any characters and a few thousand of them; PostgreSQL takes no NUL, and an index no more than some two
thousand bytes. What is too much for that goes by a name made of its SHA-256, and stands in full in a table beside.
"""

from __future__ import annotations

from hashlib import sha256

PLAIN_MOST = 512
"""Bytes of a text that is kept as it is."""

_MARK = "\x01"
"""What a name begins with; a text that does is named, too, so that the two are never mistaken."""


def kept_as(text: str) -> str:
    """The text itself, or its name."""
    is_short = len(text) <= PLAIN_MOST // 4 or len(text.encode()) <= PLAIN_MOST
    if is_short and "\x00" not in text and text[:1] != _MARK:
        return text
    return _MARK + sha256(text.encode()).hexdigest()


def is_name(kept: str) -> bool:
    """Whether what was kept stands for a text beside."""
    return kept[:1] == _MARK
