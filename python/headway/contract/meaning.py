"""Rules that need more than one field."""

from __future__ import annotations

from collections.abc import Sequence

from headway.contract.documents import Authored
from headway.contract.faults import Finding


def findings_of(documents: Sequence[Authored]) -> list[Finding]:
    return []
