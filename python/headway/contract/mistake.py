"""A value that cannot be what its field takes, before anybody knows where it stands."""

from __future__ import annotations

__all__ = ["TEXT_MAX", "Mistake", "shown"]

TEXT_MAX = 4096
"""Characters of any single value."""


class Mistake(Exception):
    """Raised by the parsers of single values. `mend` and `because` None leave the catalogue's words."""

    def __init__(self, code: str, problem: str, mend: str | None = None, because: str | None = None) -> None:
        super().__init__(code, problem)
        self.code = code
        self.problem = problem
        self.mend = mend
        self.because = because


def shown(value: object) -> str:
    """What an author wrote, bounded, for a sentence."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = "".join(c if c.isprintable() else " " for c in str(value)[:61])
    return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"
