"""The options that many commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Server = Annotated[
    str | None,
    typer.Option("--server", help="The server's address; else HEADWAY_URL, else http://127.0.0.1:7700.", metavar="URL"),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help="A file with the token; else HEADWAY_TOKEN, else .headway/tokens here or above.",
        metavar="FILE",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking; wants --reason.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the ledger.", metavar="TEXT")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A contract's name.", show_default=False)]
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Contracts by name.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="Every contract that still runs.")]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="Contracts with this label; may be repeated.", metavar="NAME=VALUE")
]
Spending = Annotated[str | None, typer.Option("--spending", help="Contracts that spend this upstream.", metavar="NAME")]
Second = Annotated[
    Path | None,
    typer.Option("--second", help="A file with the token of the second person that a raise wants.", metavar="FILE"),
]
Store = Annotated[
    str | None,
    typer.Option("--store", help="A database that holds the ledger, postgresql://USER@HOST/DATABASE.", metavar="URL"),
]
Folder = Annotated[
    Path | None, typer.Option("--data", help="The server's folder; else .headway here or above.", metavar="DIR")
]
