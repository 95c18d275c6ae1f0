"""The page on security says nothing that no test holds."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_page_names_is_there() -> None:
    """Names of Python's tests and of Rust's, and paths of files; at least thirty of them."""
    page = (ROOT / "docs" / "security-data-plane.md").read_text(encoding="utf-8")
    table = page.partition("## ASVS")[2].partition("\n## ")[0]
    named = {name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.rpartition(" | ")[2])}
    python = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    rust = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "crates").rglob("*.rs"))

    missing = {
        name
        for name in named
        if not (f"def {name}(" in python or f"fn {name}(" in rust or ("/" in name and (ROOT / name).is_file()))
    }

    assert set() == missing
    assert len(named) >= 30
