"""The crash run in short; `make crash` runs it in earnest. It passes on what is there, and can fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

FORGETS = """
from dataclasses import replace
from headway.ledger import Ledger

begin = Ledger.begin
Ledger.begin = lambda *told: replace(begin(*told), drawn=())
"""
"""A start to which nothing is said of what was drawn before it."""

LONG_LIVES = """
import sys
from tests.demo import crash

crash.LIFE_S = (1.5, 2.0)
sys.exit(crash.main(sys.argv[1:]))
"""
"""Lives that are long enough to order exports, and to be asked."""


def crashed(tmp_path: Path, kills: int, *program: str) -> tuple[int, dict[str, Any]]:
    """Runs it in a process of its own; returns its exit code and what it found."""
    result = tmp_path / "result.json"
    command = [sys.executable, *program, "--kills", str(kills), "--seed", "11", "--result", str(result)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.exists(), ended.stderr
    return ended.returncode, json.loads(result.read_text())


def test_a_few_kills_leave_everything_true(tmp_path: Path):
    """Four lives killed at random instants, one to its end: the ledger equals its replay each time, the count holds."""
    _, found = crashed(tmp_path, 4, "-m", "tests.demo.crash")

    assert ([], 4, 0) == (found["wrong"], found["kills"], found["certain_violations"])
    assert found["admitted"] > 0 < found["readings"]


def test_a_start_that_forgets_what_was_drawn_is_found(tmp_path: Path):
    """The same run over a Headway whose meters are not told of the durable count: each later life is caught."""
    code, found = crashed(tmp_path, 3, "-c", FORGETS + LONG_LIVES)

    assert 1 == code
    assert any("a life began with 0 micro-exports used" in one for one in found["wrong"]), found
