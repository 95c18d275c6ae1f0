"""The crash run in short; `make crash` runs it in earnest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_few_kills_leave_everything_true(tmp_path: Path):
    """Four lives killed at random instants, one to its end: the ledger equals its replay each time, the count holds."""
    result = tmp_path / "result.json"
    command = [sys.executable, "-m", "tests.demo.crash", "--kills", "4", "--seed", "11", "--result", str(result)]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert result.exists(), ended.stderr
    found = json.loads(result.read_text())
    assert ([], 4, 0) == (found["wrong"], found["kills"], found["certain_violations"])
    assert found["admitted"] > 0 < found["readings"]
