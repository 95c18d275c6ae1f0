"""Which code a result speaks of, and which machine."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path


def commit_of_checkout() -> str:
    """The commit that is checked out, with `+changes` behind it where code differs from it: then it names no one state.
    Results themselves do not count, so that one run after another may be written.
    """
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)benches/results")
    return _git("rev-parse", "HEAD") + ("+changes" if changes else "")


def processor() -> str:
    """The processor's name, as the kernel has it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _git(*words: str) -> str:
    root = Path(__file__).parents[1]
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True, cwd=root).stdout.strip()
