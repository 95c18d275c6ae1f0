"""The twins of concurrency and quota: whole micro-units against the level rounded down, so exact as they stand.

Source: design, section 3: concurrency, quota; protocols of the meters, "What to preserve at a stage change".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tests.model.curves import MICRO, Piece, Plan, joined, piece_at
from tests.model.meters import FAR_NS, When, first


class Levels:
    """A course and the level on it in whole micro-units, rounded down after scaling."""

    def __init__(self, scale_ppm: int = MICRO) -> None:
        self.scale_ppm = scale_ppm
        self.course: list[Piece] = []

    def publish(self, plan: Plan, offset_ns: int, at_ns: int) -> None:
        """Joins a version at `at_ns`."""
        self.course = joined(self.course, plan, offset_ns, at_ns)

    def level_micro(self, piece: Piece, at_ns: int) -> int:
        """What a demand must fit under at an instant of a piece."""
        climb = (piece.to_micro - piece.from_micro) * (at_ns - piece.origin_ns)
        return (piece.from_micro * piece.span_ns + climb) * self.scale_ppm // (piece.span_ns * MICRO)

    def limit_micro(self, at_ns: int) -> int:
        """The level in force at an instant."""
        return self.level_micro(self.course[piece_at(self.course, at_ns)], at_ns)

    def ahead(self, from_ns: int) -> Iterator[tuple[Piece, int, int]]:
        """The pieces from an instant on, each with its first and last instant."""
        for piece in self.course[piece_at(self.course, from_ns) :]:
            start_ns = max(piece.start_ns, from_ns)
            end_ns = FAR_NS if piece.end_ns is None else piece.end_ns
            if start_ns < end_ns:
                yield piece, start_ns, end_ns - 1

    def reaches(self, from_ns: int, needed_micro: int) -> bool:
        """Whether the level is ever so high again. One that is shut all along says nothing of how high it reopens."""
        highest = max(
            max(self.level_micro(piece, start_ns), self.level_micro(piece, last_ns))
            for piece, start_ns, last_ns in self.ahead(from_ns)
        )
        return highest in (0, max(highest, needed_micro))

    def first_at(self, from_ns: int, to_ns: int, needed_micro: int) -> int | None:
        """The first instant in [from, to) at which the level is `needed_micro` or more."""
        for piece, start_ns, end_ns in self.ahead(from_ns):
            if start_ns >= to_ns:
                return None
            last_ns = min(end_ns, to_ns - 1)
            if needed_micro <= self.level_micro(piece, start_ns):
                return start_ns
            if needed_micro <= self.level_micro(piece, last_ns):
                return first(start_ns, last_ns, needed_micro, partial(self.level_micro, piece))
        return None


class Concurrency:
    """What is held at once: `by_key`. A cut revokes nothing, and nothing enters until it has drained."""

    def __init__(self, scale_ppm: int = MICRO) -> None:
        self.levels = Levels(scale_ppm)
        self.by_key: dict[str | None, int] = {}

    def publish(self, plan: Plan, offset_ns: int, at_ns: int) -> None:
        """Joins a version; what is in flight stays in flight."""
        self.levels.publish(plan, offset_ns, at_ns)

    def admit(self, at_ns: int, charge: int, key: str | None) -> bool:
        """Takes `charge` micro-units if all in flight then fit."""
        held = self.by_key.get(key, 0) + charge
        if held > self.levels.limit_micro(at_ns):
            return False
        self.by_key[key] = held
        return True

    def release(self, charge: int, key: str | None) -> None:
        """Gives them back."""
        self.by_key[key] -= charge
        assert self.by_key[key] >= 0

    def earliest(self, from_ns: int, charge: int, key: str | None) -> When:
        """The first instant at which the course alone makes room; releases cannot be known."""
        found = self.levels.first_at(from_ns, FAR_NS, self.by_key.get(key, 0) + charge)
        if found is not None:
            return found
        return "unknown" if self.levels.reaches(from_ns, charge) else "never"


@dataclass(slots=True)
class Used:
    """What one key used in the window that began at `window_ns` (UTC)."""

    window_ns: int
    micro: int


class Quota:
    """What was used in a calendar window. A change of limit keeps it; a new window begins at 0; no window, no room."""

    def __init__(self, scale_ppm: int = MICRO) -> None:
        self.levels = Levels(scale_ppm)
        self.by_key: dict[str | None, Used] = {}
        self.windows: tuple[int, ...] = ()
        self.offset_ns = 0

    def publish(self, plan: Plan, offset_ns: int, at_ns: int) -> None:
        """Joins a version with the windows it decides."""
        self.levels.publish(plan, offset_ns, at_ns)
        self.windows, self.offset_ns = plan.window, offset_ns

    def window_at(self, at_ns: int) -> int | None:
        """The UTC start of the window in force; None before the first and past the last that was decided."""
        index = bisect_right(self.windows, at_ns + self.offset_ns)
        return self.windows[index - 1] if 0 < index <= len(self.windows) else None

    def window_ends(self, at_ns: int) -> tuple[int, int] | None:
        """The first instant of the window in force and that of the next, where both are decided."""
        index = bisect_right(self.windows, at_ns + self.offset_ns)
        if not 0 < index < len(self.windows):
            return None
        return self.windows[index - 1] - self.offset_ns, self.windows[index] - self.offset_ns

    def used_micro(self, at_ns: int, key: str | None) -> int:
        """What counts as used at an instant.

        A clock that steps back over a window's start does not open the window before again: what was used in the newer
        one still counts.
        """
        used, window_ns = self.by_key.get(key), self.window_at(at_ns)
        return used.micro if used is not None and window_ns is not None and used.window_ns >= window_ns else 0

    def admit(self, at_ns: int, charge: int, key: str | None) -> bool:
        """Uses `charge` micro-units of the window if they fit."""
        window_ns = self.window_at(at_ns)
        total = self.used_micro(at_ns, key) + charge
        if window_ns is None or total > self.levels.limit_micro(at_ns):
            return False
        self._use(key, window_ns, total)
        return True

    def _use(self, key: str | None, window_ns: int, total: int) -> None:
        used = self.by_key.get(key)
        self.by_key[key] = Used(window_ns if used is None else max(window_ns, used.window_ns), total)

    def give_back(self, charge: int, window_ns: int, key: str | None) -> None:
        """Returns what was reserved in a window, to that window alone."""
        used = self.by_key[key]
        if used.window_ns == window_ns:
            used.micro -= charge

    def owe(self, at_ns: int, charge: int, key: str | None) -> None:
        """Charges a settlement above its reservation to the present window, whether it fits or not."""
        window_ns = self.window_at(at_ns)
        assert window_ns is not None
        self._use(key, window_ns, self.used_micro(at_ns, key) + charge)

    def earliest(self, from_ns: int, charge: int, key: str | None) -> When:
        """The first instant at which the window, or one of the next decided ones, has room."""
        starts = [start_ns - self.offset_ns for start_ns in self.windows]
        for start_ns, end_ns in zip(starts, [*starts[1:], FAR_NS], strict=True):
            if end_ns <= from_ns:
                continue
            begin_ns = max(start_ns, from_ns)
            found = self.levels.first_at(begin_ns, end_ns, self.used_micro(begin_ns, key) + charge)
            if found is not None:
                return found
        return "unknown" if self.levels.reaches(from_ns, charge) else "never"
