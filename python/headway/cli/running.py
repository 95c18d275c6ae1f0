"""`serve`: the engine and its API, until a signal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headway.attach.attachment import DATA_PLANE
from headway.cli import stores
from headway.cli.exits import told
from headway.cli.show import say
from headway.server.problems import ServerError

if TYPE_CHECKING:
    from headway.contract.model import Server
    from headway.contract.read import Reading

DEFAULT_LISTEN = "127.0.0.1:7700"
NO_DATA_PLANE = "off"


@told
def serve(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH", help="Files or folders, applied when the ledger is empty.")
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen", help=f"HOST:PORT; else the `server:` document's, else {DEFAULT_LISTEN}.", metavar="HOST:PORT"
        ),
    ] = None,
    data_plane: Annotated[
        str,
        typer.Option("--data-plane", help="HOST:PORT where proxies ask for decisions, or `off`.", metavar="HOST:PORT"),
    ] = DATA_PLANE,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="The folder of ledger and tokens; else .headway beside the first path.", metavar="DIR"
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            help="postgresql://USER@HOST/DATABASE?password=env:NAME, or sqlite:///DIR/ledger.db, the same as --data DIR; "
            "else the `server:` document's.",
            metavar="URL",
        ),
    ] = None,
    standby: Annotated[
        bool, typer.Option("--standby", help="Wait while another server has the PostgreSQL store; then take over.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Apply new contracts as their files appear; for laptops.")
    ] = False,
    host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="Answer to this host name too; may be repeated.", metavar="NAME"),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="Certificate chain, PEM.", metavar="FILE")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its key, PEM.", metavar="FILE")] = None,
    insecure_no_tls: Annotated[
        bool, typer.Option("--insecure-no-tls", help="Listen beyond this machine without TLS.")
    ] = False,
) -> None:
    from headway.contract.read import read_paths
    from headway.engine.engine import Engine
    from headway.engine.folder import LEDGER, beside
    from headway.server.access import access_of
    from headway.server.dataplane import ANSWERED
    from headway.server.listen import address_of, vet_address
    from headway.server.run import Tls
    from headway.server.run import serve as run

    if (tls_cert is None) != (tls_key is None):
        raise ServerError("HW433", "--tls-cert and --tls-key go together")
    tls = None if tls_cert is None or tls_key is None else Tls(tls_cert, tls_key)
    reading = read_paths(paths) if paths else None
    written = store or (None if reading is None or reading.server is None else reading.server.store)
    place = None if written is None else stores.named(written)
    if isinstance(place, Path) and data is not None and data.absolute() != place.absolute():
        raise ServerError("HW433", "--store and --data name different folders")
    database = None if isinstance(place, Path) else place
    folder = data or (place if isinstance(place, Path) else beside(paths or []))
    if standby and database is None:
        raise ServerError("HW433", "--standby waits for a store that others can reach: postgresql://…")
    first = database is None and not (folder / LEDGER).exists()
    document = None if reading is None else _server_of(reading, first=first)
    access = access_of(document.tokens) if document is not None and document.tokens else None
    address = listen or (document.listen if document is not None else DEFAULT_LISTEN)
    # Before the engine is opened and anything is written: an address that is refused leaves nothing behind.
    vet_address(address_of(address), tokens=len(access or ()), tls=tls is not None, insecure_no_tls=insecure_no_tls)
    plane = None if data_plane == NO_DATA_PLANE else data_plane
    if plane is not None:
        vet_address(address_of(plane), tokens=len(access or ()), tls=tls is not None, insecure_no_tls=insecure_no_tls)
    hosts = [*(host or ()), *(document.allowed_hosts if document is not None else ())]
    answered = (frozenset[str]() if plane is None else ANSWERED) | (frozenset() if database is None else {"postgresql"})
    engine = Engine.open(
        paths or None, data=folder, watch=watch, answered=answered, store=database, standby=standby, say=say
    )
    try:
        run(
            engine,
            address,
            access=access,
            hosts=hosts,
            tls=tls,
            insecure_no_tls=insecure_no_tls,
            data_plane=plane,
            say=say,
        )
    finally:
        engine.close()
    say("stopped; the marks are saved")


def _server_of(reading: Reading, *, first: bool) -> Server | None:
    """The `server:` document. Unreadable where it is not valid itself, or anything is not at the first start: later a
    faulty file is drift, and what runs goes on.
    """
    if first or any(document.kind == "server" and document.model is None for document in reading.documents):
        reading.require()
    return reading.server
