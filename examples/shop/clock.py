"""The only place where the shop reads a clock.

`boot_ns` is the clock that Headway decides on: one for all processes of a machine, and it runs through suspend. So
stamps of two lives of the demo can be compared.
"""

from __future__ import annotations

import time
from pathlib import Path


def boot_ns() -> int:
    """Nanoseconds since the machine started."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def utc_ns() -> int:
    """Nanoseconds since 1970, UTC, by the machine's wall clock."""
    return time.time_ns()


def boot_id() -> str:
    """Names this start of the machine: stamps of another one cannot be compared."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
