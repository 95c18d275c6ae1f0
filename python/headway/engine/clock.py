"""The one module of the engine that reads clocks."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from uuid import uuid4

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
        return time.time_ns() // 1_000_000

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
