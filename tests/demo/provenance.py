"""Which code a result speaks of."""

from __future__ import annotations

import subprocess


def commit_of_checkout() -> str:
    """The commit that is checked out, with `+changes` behind it where files differ from it: then it names no one state."""
    head = _git("rev-parse", "HEAD")
    return f"{head}+changes" if _git("status", "--porcelain", "--untracked-files=no") else head


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()
