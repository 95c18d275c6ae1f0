"""The `headway` command. Importing it loads Typer and nothing else of weight; each command loads what it needs."""

from headway.cli.app import app, main

__all__ = ["app", "main"]
