"""What is said of one kind of mistake."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Code"]


@dataclass(frozen=True, slots=True)
class Code:
    """What `headway explain CODE` says."""

    title: str
    why: str
    mend: str
    example: str
