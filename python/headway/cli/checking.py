"""`check`, `schema`, `version`: what needs no server."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from headway.cli import options
from headway.cli.exits import UNUSABLE, Exit, told
from headway.cli.show import say, say_json
from headway.server.problems import ServerError


class Format(Enum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


@told
def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Files or folders.", show_default=False)],
    format: Annotated[
        Format | None, typer.Option("--format", help="text (without it), json, sarif or github.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
) -> None:
    from headway.contract.read import read_paths

    if json and format not in (None, Format.JSON):
        raise ServerError("HW433", "--json and --format exclude each other")
    form = Format.JSON if json else format or Format.TEXT
    reading = read_paths(paths)
    findings = reading.findings
    if form is Format.TEXT:
        _say_findings(len(reading.contracts), findings)
    else:
        from headway.cli import formats

        if form is Format.JSON:
            say_json(formats.as_json(len(reading.contracts), findings))
        elif form is Format.SARIF:
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
    if json:
        say_json(_versions())
    else:
        _say_versions()


def version_flag(asked: bool) -> None:
    """`headway --version`, as of every program."""
    if asked:
        _say_versions()
        raise typer.Exit


def _say_versions() -> None:
    for name, number in _versions().items():
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
