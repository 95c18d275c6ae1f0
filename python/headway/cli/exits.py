"""How a command ends: its exit code, and what it says on the way out.

Errors go to stderr as `error[HWxxx]: …` with where, because and mend, so that a pipe carries answers alone.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import ParamSpec, TypeVar

import typer

from headway.cli.show import printable
from headway.contract.faults import Unreadable, as_text
from headway.errors import HeadwayError

P = ParamSpec("P")
R = TypeVar("R")


class Exit(IntEnum):
    """The exit codes; `docs/commands.md` lists them."""

    OK = 0
    REFUSED = 1
    """Errors were found, or the server refused."""
    UNUSABLE = 2
    """The input cannot be used: arguments, or files that cannot be read."""
    UNREACHABLE = 3
    """Nothing, or nothing of Headway's, answers at the address."""
    NO_ACCESS = 4
    """No token, an unknown one, or one that may not do this."""
    INTERRUPTED = 130


_EXIT_OF = {
    "HW401": Exit.NO_ACCESS,
    "HW403": Exit.NO_ACCESS,
    "HW431": Exit.NO_ACCESS,
    "HW442": Exit.NO_ACCESS,
    "HW430": Exit.UNREACHABLE,
    "HW434": Exit.UNREACHABLE,
    "HW432": Exit.UNUSABLE,
    "HW433": Exit.UNUSABLE,
    "HW443": Exit.UNUSABLE,
}


UNUSABLE = frozenset({"HW101", "HW102", "HW103", "HW105", "HW112"})
"""Findings that mean that a file could not be taken as documents at all."""


LINKS = frozenset({"HW205", "HW206", "HW225", "HW227"})
"""Findings that only mean that a name is not among the documents at hand: it may stand in another file, or run already."""


def exit_of(error: HeadwayError | Unreadable) -> Exit:
    """The exit code an error ends a command with."""
    if isinstance(error, Unreadable):
        return Exit.UNUSABLE if any(found.code in UNUSABLE for found in error.findings) else Exit.REFUSED
    return _EXIT_OF.get(error.code, Exit.REFUSED)


def told(command: Callable[P, R]) -> Callable[P, R]:
    """A command whose errors are told on stderr instead of a traceback."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except HeadwayError as error:
            complain(error)
            raise typer.Exit(exit_of(error)) from error
        except Unreadable as error:
            print(printable(as_text(error.findings)), file=sys.stderr)
            raise typer.Exit(exit_of(error)) from error
        except KeyboardInterrupt as error:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(Exit.INTERRUPTED) from error

    return run


def complain(error: HeadwayError) -> None:
    """One error on stderr."""
    print(printable(f"{error}\n   = more: headway explain {error.code}"), file=sys.stderr)
