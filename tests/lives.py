"""A process that lives until it is killed in the middle of something: what the crash tests of several rooms share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable


def life(live: Callable[[int], None], heard_most: int, spin: int) -> bytes:
    """Forks a process that lives, kills it `spin` turns of a loop after it said so many bytes; returns all it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            live(writing)
        finally:
            os._exit(1)
    os.close(writing)
    heard = b""
    while len(heard) < heard_most:
        more = os.read(reading, 64)
        assert more, "the life ended by itself"
        heard += more
    for _ in range(spin):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reading, 4096):
        heard += more
    os.close(reading)
    return heard
