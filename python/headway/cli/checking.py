"""`check`, `schema`, `version`: what needs no server."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from headway.cli import options
from headway.cli.exits import Exit, told
from headway.cli.show import say, say_json

UNUSABLE = frozenset({"HW101", "HW102", "HW103", "HW105", "HW112"})
"""Findings that mean that a file could not be taken as documents at all: exit code 2."""


class Format(Enum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


@told
def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files or folders.", show_default=False)],
    format: Annotated[Format, typer.Option("--format", help="text, json, sarif or github.")] = Format.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
) -> None:
    from headway.contract.read import read_paths

    reading = read_paths(paths)
    findings = reading.findings
    if format is Format.TEXT:
        _say_findings(len(reading.contracts), findings)
    else:
        from headway.cli import formats

        if format is Format.JSON:
            say_json(formats.as_json(len(reading.contracts), findings))
        elif format is Format.SARIF:
            say_json(formats.as_sarif(findings, _versions()["headway"]))
        else:
            for line in formats.as_github(findings):
                say(line)
    if any(found.code in UNUSABLE for found in findings):
        raise typer.Exit(Exit.UNUSABLE)
    if not reading.ok or (strict and findings):
        raise typer.Exit(Exit.REFUSED)


@told
def schema() -> None:
    from headway.contract.schema import schema_text

    typer.echo(schema_text(), nl=False)


@told
def version(json: options.AsJson = False) -> None:
    versions = _versions()
    if json:
        say_json(versions)
        return
    for name, number in versions.items():
        say(f"{name} {number}")


def _say_findings(contracts: int, findings: tuple[object, ...]) -> None:
    from headway.contract.faults import Finding

    errors = 0
    for found in findings:
        assert isinstance(found, Finding)
        errors += found.severity == "error"
        head, _, rest = found.as_text().partition("\n")
        say(head, colour="red" if found.severity == "error" else "yellow", bold=True)
        say(rest)
        say()
    warnings = len(findings) - errors
    parts = [_count(contracts, "contract"), _count(errors, "error"), _count(warnings, "warning")]
    say(", ".join(parts), colour="red" if errors else "green")


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _versions() -> dict[str, str]:
    """Of the package and of the compiled core; `absent` where one is not installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    try:
        package = version_of("headway")
    except PackageNotFoundError:
        package = "absent"
    try:
        from headway._core import __version__ as core
    except ImportError:
        core = "absent"
    return {"headway": package, "core": core}
