"""What was decided of a limiter's demands, here and by gates that decide by themselves, as far as they have told.

Metrics and explanations say the same numbers, so both read them here.
"""

from __future__ import annotations

from collections import Counter

from headway._core import PathReading

__all__ = ["admitted_of", "refused_by"]

FULL = "full"
"""A gate refuses by itself only what its server has just called full."""


def admitted_of(path: PathReading) -> int:
    """How many demands were admitted since the process started."""
    return path.admitted + path.admitted_elsewhere


def refused_by(path: PathReading) -> Counter[str]:
    """How many demands were refused since the process started, by reason; in `observe`, what would have been."""
    return Counter(path.refused_by) + Counter({FULL: path.refused_elsewhere})
