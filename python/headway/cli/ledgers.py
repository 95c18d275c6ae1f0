"""`ledger verify, tail, replay`: on a folder, beside a running engine or without one; or through a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headway.cli import options, stores
from headway.cli.exits import Exit, told
from headway.cli.remote import connect, folder_here
from headway.cli.show import instant, say, say_json, table
from headway.server.problems import ServerError

if TYPE_CHECKING:
    from headway.ledger import Database, Ledger


@told
def verify(
    data: options.Folder = None,
    store: options.Store = None,
    server: options.Server = None,
    token_file: options.TokenFile = None,
    json: options.AsJson = False,
) -> None:
    from headway.server.plain import plain

    verdict = _ask(data, store, server, token_file, lambda ledger: plain(ledger.verify()), "/v1/ledger/verify")
    if json:
        say_json(verdict)
    elif verdict["ok"]:
        say(f"the ledger is whole: {verdict['records']:,} entries", colour="green")
    else:
        say(f"the ledger is damaged at entry {verdict['bad_seq']}: {verdict['problem']}", colour="red")
    if not verdict["ok"]:
        raise typer.Exit(Exit.REFUSED)


@told
def tail(
    most: Annotated[int, typer.Option("-n", "--most", min=1, max=1000, help="How many.", metavar="N")] = 20,
    contract: Annotated[str | None, typer.Option("--contract", help="Only of this contract.", metavar="NAME")] = None,
    data: options.Folder = None,
    store: options.Store = None,
    server: options.Server = None,
    token_file: options.TokenFile = None,
    json: options.AsJson = False,
) -> None:
    from headway.server.answers import entry_of

    def read(ledger: Ledger) -> Any:
        return {"entries": [entry_of(record) for record in ledger.tail(most, contract)]}

    entries = _ask(data, store, server, token_file, read, "/v1/ledger/tail", most=most, contract=contract)["entries"]
    if json:
        say_json(entries)
        return
    rows = [
        (f"{one['seq']}", instant(one["at_ms"]), one["contract"] or "-", one["kind"], one["actor"], one["reason"])
        for one in entries
    ]
    if not rows:
        say("no entries yet" if contract is None else f"no entries of {contract!r}")
    for line in table(rows):
        say(line)


@told
def replay(
    data: options.Folder = None,
    store: options.Store = None,
    server: options.Server = None,
    token_file: options.TokenFile = None,
    json: options.AsJson = False,
) -> None:
    from headway.server.answers import replayed_of

    def read(ledger: Ledger) -> Any:
        return replayed_of(ledger.load())

    states = _ask(data, store, server, token_file, read, "/v1/ledger/replay")
    if json:
        say_json(states)
        return
    rows = [
        (
            name,
            f"version {state['version']}",
            f"stage {state['stage_name']}",
            state["status"],
            f"curve {state['curve_version']}",
        )
        for name, state in sorted(states.items())
    ]
    for line in table(rows):
        say(line)


def _ask(
    data: Path | None,
    store: str | None,
    server: str | None,
    token_file: Path | None,
    read: Callable[[Ledger], Any],
    path: str,
    **query: Any,
) -> Any:
    """From the folder or the database that is named; else from a server where one is named, or no folder is found."""
    if sum(one is not None for one in (data, store, server)) > 1:
        raise ServerError("HW433", "--data, --store and --server exclude each other")
    place: Path | Database | None = data
    if store is not None:
        place = stores.named(store)
    elif server is None:
        place = data or folder_here()
    if place is not None:
        with _opened(place) as ledger:
            return read(ledger)
    with connect(server, token_file) as remote:
        return remote.get(path, **query)


@contextmanager
def _opened(place: Path | Database) -> Iterator[Ledger]:
    from headway.engine.folder import LEDGER
    from headway.ledger import Ledger

    if not isinstance(place, Path):
        ledger = Ledger.shared(place, read_only=True)
    elif (place / LEDGER).is_file():
        ledger = Ledger.open(place / LEDGER, read_only=True)
    else:
        raise ServerError("HW433", f"{place} holds no ledger", mend="Name the server's folder with --data.")
    try:
        yield ledger
    finally:
        ledger.close()
