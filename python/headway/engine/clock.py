"""The one module of the engine that reads clocks; and one that stands still, for tests and simulations."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from uuid import uuid4

from headway._core import Clock

_TIME_ERROR = 5
_STA_UNSYNC = 0x40
_TIMEX_SIZE = 256
"""Larger than `struct timex` of any Linux; `modes` 0 in its first word only reads."""

_STATUS_OFFSET = 40
"""Of `status` in `struct timex` with 64-bit longs. Source: linux/timex.h."""

_NO_BOOT_ID = uuid4().hex
"""Where the kernel names no boot, every process is one of its own."""


class MachineClock:
    """The machine's own clocks."""

    def utc_ms(self) -> int:
        """Wall time."""
        return self.utc_ns() // 1_000_000

    def utc_ns(self) -> int:
        """The same, finer."""
        return time.time_ns()

    def boot_ms(self) -> int:
        """CLOCK_BOOTTIME; where there is none, the monotonic clock."""
        return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000

    def boot_id(self) -> str:
        """The kernel's random name of this boot."""
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")
        except OSError:
            return _NO_BOOT_ID

    def synchronised(self) -> bool:
        """What adjtimex says; False where it cannot be asked: not knowing is no reason to trust."""
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            timex = ctypes.create_string_buffer(_TIMEX_SIZE)
            state: int = libc.adjtimex(timex)
        except (OSError, AttributeError):
            return False
        status = int.from_bytes(timex.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little")
        return state not in (-1, _TIME_ERROR) and not status & _STA_UNSYNC


class ManualClock:
    """A clock that stands still until it is moved: tests and simulations drive days in milliseconds.

    Args:
        meters: The meters' own manual clock, moved along so that both always agree.
        utc_ms: The wall at the beginning.
    """

    def __init__(self, meters: Clock, utc_ms: int, *, boot_id: str = "manual", synchronised: bool = True) -> None:
        self._meters = meters
        self._ahead_ms = utc_ms - self.boot_ms()
        self._boot_id = boot_id
        self._synchronised = synchronised

    def utc_ms(self) -> int:
        """Wall time, as it was set."""
        return self.boot_ms() + self._ahead_ms

    def utc_ns(self) -> int:
        """The same, finer."""
        return self._meters.boot_ns() + self._ahead_ms * 1_000_000

    def boot_ms(self) -> int:
        """What has passed."""
        return self._meters.boot_ns() // 1_000_000

    def boot_id(self) -> str:
        """As it was told."""
        return self._boot_id

    def synchronised(self) -> bool:
        """As it was told."""
        return self._synchronised

    def advance(self, by_ms: int) -> None:
        """Time passes, on every clock alike."""
        self._meters.advance(by_ms * 1_000_000)

    def jump(self, by_ms: int) -> None:
        """The wall alone is moved: what a bad time server does."""
        self._ahead_ms += by_ms
