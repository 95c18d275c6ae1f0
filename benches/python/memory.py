"""Bytes a live key, in a process of its own: what the resident set grows by while so many keys are charged once.

`python -m benches.python.memory WHO COUNT` prints two numbers as JSON: bytes a key, and the whole growth in bytes. The
keys themselves are made one at a time and not kept by us: a limiter that keeps them pays for them.
"""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benches.python import ours
from benches.python.peers import PEERS

TIMEOUT_S = 600

MARK_BYTES = 8
"""The least that a live key can take: its mark."""


def bytes_per_key(who: str, count: int) -> tuple[float, int]:
    """(bytes a key, growth in bytes), measured in a child.

    Raises:
        ValueError: Less than a mark a key: the keys did not stay live, and nothing was measured.
    """
    command = [sys.executable, "-m", "benches.python.memory", who, str(count)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S).stdout
    per_key, growth = json.loads(said)
    if per_key < MARK_BYTES:
        raise ValueError(f"{who} kept {per_key:.1f} bytes a key of {count:,}: they did not stay live")
    return per_key, growth


def fillers() -> dict[str, Callable[[], Callable[[str], object]]]:
    """Who has keys, by name."""
    return {ours.NAME: ours.filler} | {peer.name: peer.filler for peer in PEERS if peer.filler is not None}


def _growth(count: int, filler: Callable[[], Callable[[str], object]]) -> int:
    take = filler()
    take("warm")
    gc.collect()
    before = _resident()
    for number in range(count):
        take(f"user:{number:08d}")
    gc.collect()
    return _resident() - before


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    asked, keys = sys.argv[1], int(sys.argv[2])
    grown = _growth(keys, fillers()[asked])
    print(json.dumps([grown / keys, grown]))
