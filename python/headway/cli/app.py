"""The commands by name. Only this file knows Typer's application; each command lives with its kind.

Help is plain text on purpose: it reads the same in a pipe, and drawing it costs nothing at start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from headway.cli.acting import approve, override, resume, verb_command
from headway.cli.attaching import attach
from headway.cli.checking import check, schema, version, version_flag
from headway.cli.explaining import explain
from headway.cli.helps import ABOUT, HELPS, LEDGER
from headway.cli.ledgers import replay, tail, verify
from headway.cli.running import serve
from headway.cli.sending import apply, event

app = typer.Typer(name="headway", rich_markup_mode=None, pretty_exceptions_enable=False)
ledger = typer.Typer(help=LEDGER, no_args_is_help=True, rich_markup_mode=None)

COMMANDS: dict[str, Callable[..., Any]] = {
    "check": check,
    "schema": schema,
    "explain": explain,
    "serve": serve,
    "apply": apply,
    "approve": approve,
    "hold": verb_command("hold"),
    "resume": resume,
    "advance": verb_command("advance"),
    "step-back": verb_command("step-back"),
    "override": override,
    "abort": verb_command("abort"),
    "retire": verb_command("retire"),
    "event": event,
    "attach": attach,
    "version": version,
}
LEDGER_COMMANDS: dict[str, Callable[..., Any]] = {"verify": verify, "tail": tail, "replay": replay}

for _name, _command in COMMANDS.items():
    app.command(_name, help=HELPS[_name])(_command)
for _name, _command in LEDGER_COMMANDS.items():
    ledger.command(_name, help=HELPS[f"ledger {_name}"])(_command)
app.add_typer(ledger, name="ledger")


@app.callback(help=ABOUT, no_args_is_help=True)
def headway(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the versions and exit.", callback=version_flag, is_eager=True),
    ] = False,
) -> None:
    """What stands before a command."""


def main() -> None:
    """The `headway` script."""
    app(prog_name="headway")
