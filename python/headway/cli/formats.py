"""Findings in the forms other programs read: JSON, SARIF for code scanning, annotations for GitHub's log.

Source: design, section 5 (JSON); SARIF 2.1.0; GitHub Actions, workflow commands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from headway.contract.codes import CODES
from headway.contract.faults import Finding

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_json(contracts: int, findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings as `--format json` prints them. `arrivals` is empty until the proof over all contracts fills it."""
    return {"contracts": contracts, "findings": [found.as_json() for found in findings], "arrivals": {}}


def as_sarif(findings: Sequence[Finding], version: str) -> dict[str, Any]:
    """One SARIF run. Every rule that was broken is described once."""
    codes = sorted({found.code for found in findings})
    rules = [
        {
            "id": code,
            "shortDescription": {"text": CODES[code].title},
            "fullDescription": {"text": CODES[code].why},
            "help": {"text": CODES[code].mend},
        }
        for code in codes
    ]
    results = [
        {
            "ruleId": found.code,
            "ruleIndex": codes.index(found.code),
            "level": found.severity,
            "message": {"text": f"{found.problem}\n{found.because}\nMend: {found.mend}"},
            "locations": _locations(found),
        }
        for found in findings
    ]
    driver = {"name": "headway", "version": version, "rules": rules}
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def as_github(findings: Iterable[Finding]) -> list[str]:
    """One annotation a finding."""
    lines = []
    for found in findings:
        place = ""
        if found.where is not None:
            place = f"file={_property(found.where.file)},line={found.where.line},col={found.where.column},"
        message = _message(f"{found.problem}\n{found.because}\nMend: {found.mend}")
        lines.append(f"::{found.severity} {place}title={_property(found.code)}::{message}")
    return lines


def _locations(found: Finding) -> list[dict[str, Any]]:
    if found.where is None:
        return []
    region = {"startLine": found.where.line, "startColumn": found.where.column}
    return [{"physicalLocation": {"artifactLocation": {"uri": found.where.file.replace("\\", "/")}, "region": region}}]


def _message(text: str) -> str:
    """Escaped, so that no text of a document can begin a command of its own."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
