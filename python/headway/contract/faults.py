"""What is wrong with a document, said so that it can be mended: a code, a place, what, why, how.

A `Finding` is a value; `Unreadable` is the exception that carries findings where somebody cannot go on without the
documents. Colours are the command line's business, so the text form here is plain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from headway.contract.codes import CODES

__all__ = ["FAULTS", "Finding", "Severity", "Unreadable", "Where", "excerpt_of", "finding"]

Severity = Literal["error", "warning"]

FAULTS = 100
"""Findings shown for one document, at each step of reading it."""
EXCERPT_WIDTH = 120
"""Characters of a source line that are shown around the caret."""

_SECRET = re.compile(r"((?:token|secret|password|hash)[\"']?\s*:\s*)(?!env:|file:)[^,}]+", re.IGNORECASE)
_USERINFO = re.compile(r"://[^/@\s]*@")


@dataclass(frozen=True, slots=True, order=True)
class Where:
    """A place in a file; line and column count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. `contract` is None where it belongs to no document of a name, `where` where it has no place."""

    code: str
    severity: Severity
    contract: str | None
    where: Where | None
    problem: str
    because: str
    mend: str
    witness: Any = None
    excerpt: tuple[str, int] | None = None
    """The source line, and the caret's place in it (from 0)."""

    def as_text(self) -> str:
        """The finding for people, several lines, no final line break."""
        lines = [f"{self.severity}[{self.code}]: {self.problem}"]
        if self.where is not None:
            lines.append(f"  --> {self.where}")
        blank = "   "
        if self.excerpt is not None and self.where is not None:
            source, caret = self.excerpt
            number = str(self.where.line).rjust(3)
            blank = " " * len(number)
            lines += [f"{blank}|", f"{number}| {source}", f"{blank}| {' ' * caret}^"]
        lines += [f"{blank}| {line}" for line in self.because.splitlines()]
        lines += [f"{blank}= mend: {self.mend}", f"{blank}= more: headway explain {self.code}"]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The finding as `headway check --format json` prints it. Source: design, section 5."""
        where = None
        if self.where is not None:
            where = {"file": self.where.file, "line": self.where.line, "column": self.where.column}
        return {
            "code": self.code,
            "severity": self.severity,
            "contract": self.contract,
            "where": where,
            "problem": self.problem,
            "because": self.because,
            "mend": self.mend,
            "witness": self.witness,
        }


def finding(
    code: str,
    problem: str,
    *,
    contract: str | None = None,
    where: Where | None = None,
    because: str | None = None,
    mend: str | None = None,
    severity: Severity = "error",
    witness: Any = None,
    excerpt: tuple[str, int] | None = None,
) -> Finding:
    """A finding; `because` and `mend` are the catalogue's unless something closer is known. KeyError: no such code."""
    known = CODES[code]
    return Finding(code, severity, contract, where, problem, because or known.why, mend or known.mend, witness, excerpt)


def excerpt_of(line: str, column: int) -> tuple[str, int]:
    """A line fit to be printed: bounded, without control characters, without anything that looks like a secret.

    Args:
        line: The source line, of any length.
        column: The place in it, from 1; past the end is allowed.

    Returns:
        The text and the caret's place in it, from 0.
    """
    start = max(0, column - 1 - EXCERPT_WIDTH // 2) if len(line) > EXCERPT_WIDTH else 0
    text = line[start : start + EXCERPT_WIDTH]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    text = _USERINFO.sub("://…@", _SECRET.sub(r"\1…", text))
    return text.rstrip(), max(0, column - 1 - start)


class Unreadable(Exception):
    """Documents that cannot be used. Everything that was found is in `findings`, errors first; never empty."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        if not findings:
            raise ValueError("an Unreadable says what is wrong: at least one finding")
        self.findings: tuple[Finding, ...] = tuple(sorted(findings, key=lambda found: found.severity != "error"))
        super().__init__(self.findings)

    def __reduce__(self) -> tuple[type[Unreadable], tuple[tuple[Finding, ...]]]:
        return Unreadable, (self.findings,)

    def __str__(self) -> str:
        return as_text(self.findings)

    @property
    def code(self) -> str:
        return self.findings[0].code

    @property
    def where(self) -> Where | None:
        return self.findings[0].where

    @property
    def problem(self) -> str:
        return self.findings[0].problem

    @property
    def because(self) -> str:
        return self.findings[0].because

    @property
    def mend(self) -> str:
        return self.findings[0].mend


def as_text(findings: Iterable[Finding]) -> str:
    """All findings, an empty line between them."""
    return "\n\n".join(found.as_text() for found in findings)
