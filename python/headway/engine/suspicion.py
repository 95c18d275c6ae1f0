"""Whether the clock is believed, and what UTC is: a pure judge of readings of the wall and of the boot clock.

UTC never runs back, nor before the ledger's last instant. While the clock is suspect cuts proceed; raises, new stages
and new
windows wait: contraction needs suspicion, expansion needs certainty.

Source: design, section 3, Time.
"""

from __future__ import annotations

from dataclasses import dataclass

PARTED_MS = 1_000
"""How far wall and boot time may part, in sum, before the wall is not believed."""

STABLE_MS = 300_000
"""How long a suspect clock must run evenly to be believed again."""


@dataclass(frozen=True, slots=True)
class ClockStatus:
    """`since_ms`: in the engine's UTC; None while the clock is trusted."""

    suspect: bool
    reason: str = ""
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the ledger knows about the clocks of the run before. `boot_ms` counts from the boot of `boot_id`; `utc_ms` is what
    was believed then, so a start after a run whose clock was suspect suspects it as well.
    """

    utc_ms: int
    boot_ms: int
    boot_id: str


class Suspicion:
    """Judges one reading after the other.

    Args:
        wall_ms: The first reading of the wall.
        boot_ms: And of the boot clock, at the same time.
        boot_id: Which boot that is.
        synchronised: Whether the kernel says that the wall is kept by a time server.
        last_ms: The ledger's last instant; 0 for a fresh ledger.
        before: The run before; None for a fresh ledger, which is trusted: it has nothing to contradict.
    """

    def __init__(
        self,
        wall_ms: int,
        boot_ms: int,
        *,
        boot_id: str,
        synchronised: bool,
        last_ms: int = 0,
        before: Remembered | None = None,
    ) -> None:
        self._utc_ms = max(wall_ms, last_ms)
        self._parting_ms = wall_ms - boot_ms
        self._even_since_ms = boot_ms
        self._jumps = 0
        self._wall_ms, self._boot_ms = wall_ms, boot_ms
        reason = _at_start(wall_ms, boot_ms, boot_id, synchronised, last_ms, before)
        self._status = ClockStatus(True, reason, self._utc_ms) if reason else ClockStatus(False)
        self._believed = (self._utc_ms, boot_ms)
        if reason and before is not None:
            # How long a machine that was started anew was off is only known from the clock that is not believed.
            self._believed = (before.utc_ms, before.boot_ms if before.boot_id == boot_id else boot_ms)

    @property
    def status(self) -> ClockStatus:
        """The verdict at the last reading."""
        return self._status

    @property
    def jumps(self) -> int:
        """How often the clock was seen to jump: each time what is planned has to be looked at again."""
        return self._jumps

    @property
    def utc_ms(self) -> int:
        """The engine's UTC at the last reading."""
        return self._utc_ms

    @property
    def believed_ms(self) -> int:
        """The last UTC that was believed, and what the boot clock has counted since: `utc_ms` while the clock is trusted,
        never more. What has risen until then may be in force.
        """
        utc_ms, boot_ms = self._believed
        return min(self._utc_ms, utc_ms + self._boot_ms - boot_ms)

    def believed_at(self, boot_ms: int) -> int:
        """`believed_ms` carried on from the last reading to an instant on the boot clock."""
        return self.believed_ms + max(0, boot_ms - self._boot_ms)

    def look(self, wall_ms: int, boot_ms: int) -> ClockStatus:
        """Takes one reading of both clocks; returns the verdict."""
        self._wall_ms, self._boot_ms = wall_ms, boot_ms
        self._utc_ms = max(self._utc_ms, wall_ms)
        parted_ms = wall_ms - boot_ms - self._parting_ms
        if abs(parted_ms) > PARTED_MS:
            # Measured from here on: a second jump starts the five minutes anew.
            self._parting_ms += parted_ms
            self._even_since_ms = boot_ms
            self._jumps += 1
            way = "ahead" if parted_ms > 0 else "back"
            reason = f"wall time jumped {way} by {abs(parted_ms) / 1000:.1f} s against the clock that never jumps"
            self._status = ClockStatus(True, reason, self._status.since_ms or self._utc_ms)
        elif self._status.suspect and boot_ms - self._even_since_ms >= STABLE_MS and not self._behind():
            self._trust()
        elif not self._status.suspect:
            self._believed = (self._utc_ms, boot_ms)
        return self._status

    def confirm(self) -> None:
        """A person says that the clock is right."""
        self._trust()

    def _trust(self) -> None:
        self._status = ClockStatus(False)
        self._believed = (self._utc_ms, self._boot_ms)

    def _behind(self) -> bool:
        return self._utc_ms - self._wall_ms > PARTED_MS


def _at_start(
    wall_ms: int, boot_ms: int, boot_id: str, synchronised: bool, last_ms: int, before: Remembered | None
) -> str:
    """Why the clock is not believed at a start; empty where it is."""
    behind_ms = last_ms - wall_ms
    if behind_ms > PARTED_MS:
        return f"wall time is {behind_ms / 1000:.1f} s before the ledger's last instant"
    if before is None:
        return ""
    if before.boot_id != boot_id:
        return "" if synchronised else "the machine was started anew and its clock is not synchronised"
    parted_ms = (wall_ms - before.utc_ms) - (boot_ms - before.boot_ms)
    if abs(parted_ms) > PARTED_MS:
        return f"wall time moved by {parted_ms / 1000:+.1f} s against the boot clock since it was last believed"
    return ""
