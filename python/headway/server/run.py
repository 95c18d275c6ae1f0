"""Running the application: in this thread until a signal, or in one of its own beside somebody's program."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from headway.server.access import Access, local_tokens
from headway.server.app import create_app
from headway.server.dataplane import RoutedPlane
from headway.server.gate_metrics import PlaneReading
from headway.server.listen import Address, address_of, vet_address
from headway.server.metrics import Look
from headway.server.problems import ServerError
from headway.server.routes.live import Streams

if TYPE_CHECKING:
    from headway.engine.engine import Engine

START_WITHIN_S = 10.0
"""How long a server in a thread may take until it answers."""

STOP_WITHIN_S = 3
"""How long open answers may take to end when the server stops."""

CONNECTIONS_MOST = 1000
"""Connections and tasks at once; more are answered 503."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Where the certificate chain and its key stand, in PEM."""

    certificate: Path
    key: Path


class Listener(uvicorn.Server):
    """uvicorn's server that ends the live streams before it waits for open answers to end."""

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._streams.close()
        super().handle_exit(sig, frame)

    def stop(self) -> None:
        """Asks it to end; returns at once."""
        self._streams.close()
        self.should_exit = True


class Serving:
    """A server in a thread of its own. `stop()` ends it and waits for that."""

    def __init__(self, listener: Listener, thread: threading.Thread, address: Address, *, tls: bool) -> None:
        self._listener = listener
        self._thread = thread
        self.address = address
        self.url = address.url(tls=tls)

    def stop(self) -> None:
        """Ends it; a second time does nothing."""
        self._listener.stop()
        self._thread.join()


def serve(
    engine: Engine,
    listen: str,
    *,
    access: Access | None = None,
    hosts: Iterable[str] = (),
    tls: Tls | None = None,
    insecure_no_tls: bool = False,
    data_plane: str | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serves until SIGINT or SIGTERM, or until the store's mandate is lost. The engine stays open; its owner closes it.

    Args:
        engine: An open engine.
        listen: `HOST:PORT`.
        access: Who may call; None: on loopback the two tokens in the engine's folder, elsewhere refused.
        hosts: Host names to answer to besides loopback's and the one listened on.
        tls: Certificate and key.
        insecure_no_tls: Something in front ends TLS, and the person who runs this knows it.
        data_plane: `HOST:PORT` where fronts ask for decisions; None for none. The same callers as on `listen`.
        say: Where the address and the place of new tokens are told.

    Raises:
        ServerError: HW440, HW441 (beyond this machine without tokens or TLS), HW442, HW443.
        LedgerStopped: The mandate is lost: another server goes on, or this one has to begin anew.
    """
    plane: RoutedPlane | None = None
    ready = _prepare(
        engine,
        listen,
        access=access,
        hosts=hosts,
        tls=tls,
        insecure_no_tls=insecure_no_tls,
        say=say,
        reveal=True,
        look=lambda: PlaneReading() if plane is None else plane.reading(),
    )
    try:
        plane = _plane_on(engine, data_plane, ready.access, tls=tls, insecure_no_tls=insecure_no_tls, say=say)
    except BaseException:
        ready.bound.close()
        raise
    listener = ready.listener
    # uvicorn raises a signal again once it has stopped; it must find a handler that lets the caller go on to close what
    # it opened. The same handler ends a server that has not begun yet.
    before = {sig: signal.signal(sig, lambda *_: listener.stop()) for sig in (signal.SIGINT, signal.SIGTERM)}
    if engine.mandate is not None:
        engine.mandate.tell_lost(listener.stop)
    try:
        listener.run(sockets=[ready.bound])
    finally:
        if plane is not None:
            plane.close()
        for sig, handler in before.items():
            signal.signal(sig, handler)
    if engine.mandate is not None and engine.mandate.lost is not None:
        raise engine.mandate.lost


def serve_in_thread(
    engine: Engine,
    listen: str,
    *,
    access: Access | None = None,
    hosts: Iterable[str] = (),
    tls: Tls | None = None,
    insecure_no_tls: bool = False,
    say: Callable[[str], None] = print,
) -> Serving:
    """The same in a thread; returns once it answers. Signals stay with the program, and so does its stdout: where new
    tokens lie is said there, never the tokens, for it is most often a log.

    Raises:
        ServerError: As `serve`; HW443 too where it does not come up.
    """
    ready = _prepare(
        engine, listen, access=access, hosts=hosts, tls=tls, insecure_no_tls=insecure_no_tls, say=say, reveal=False
    )
    listener, run = ready.listener, {"sockets": [ready.bound]}
    thread = threading.Thread(target=listener.run, kwargs=run, name="headway-server", daemon=True)
    thread.start()
    if not listener.listening.wait(START_WITHIN_S):
        listener.stop()
        raise ServerError("HW443", f"the server on {listen} did not come up within {START_WITHIN_S:.0f} s")
    return Serving(listener, thread, ready.address, tls=tls is not None)


def _plane_on(
    engine: Engine,
    listen: str | None,
    access: Access,
    *,
    tls: Tls | None,
    insecure_no_tls: bool,
    say: Callable[[str], None],
) -> RoutedPlane | None:
    if listen is None:
        return None
    asked = address_of(listen)
    vet_address(asked, tokens=len(access), tls=tls is not None, insecure_no_tls=insecure_no_tls)
    pair = None if tls is None else (tls.certificate.read_bytes(), tls.key.read_bytes())
    plane = RoutedPlane(engine, asked, access, off_loopback=insecure_no_tls, tls=pair)
    say(f"data plane on {plane.address}")
    return plane


@dataclass(frozen=True, slots=True)
class _Ready:
    """A server that has its socket and its callers, and does not answer yet."""

    listener: Listener
    bound: socket.socket
    address: Address
    access: Access


def _prepare(
    engine: Engine,
    listen: str,
    *,
    access: Access | None,
    hosts: Iterable[str],
    tls: Tls | None,
    insecure_no_tls: bool,
    say: Callable[[str], None],
    reveal: bool,
    look: Look = PlaneReading,
) -> _Ready:
    asked = address_of(listen)
    configured = access is not None and len(access) > 0
    vet_address(asked, tokens=len(access or ()), tls=tls is not None, insecure_no_tls=insecure_no_tls)
    # First, so that nobody is shown tokens, which are shown once, by a server that then does not come up.
    bound = _bind(asked)
    if access is None or not configured:
        try:
            access = _tokens_made(engine.data, say, reveal=reveal)
        except BaseException:
            bound.close()
            raise
    address = Address(asked.host, bound.getsockname()[1])
    streams = Streams()
    config = uvicorn.Config(
        create_app(engine, access, hosts=(*hosts, asked.host), streams=streams, look=look),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        ws="none",
        limit_concurrency=CONNECTIONS_MOST,
        timeout_graceful_shutdown=STOP_WITHIN_S,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )
    say(f"listening on {address.url(tls=tls is not None)}")
    return _Ready(Listener(config, streams), bound, address, access)


def _tokens_made(data: Path, say: Callable[[str], None], *, reveal: bool) -> Access:
    made = local_tokens(data)
    if made.made:
        once = ", shown once" if reveal else ""
        say(f"made two tokens{once}: {made.local} views and operates, {made.approver} approves")
        if reveal:
            say(f"  local     {made.local.read_text(encoding='ascii').strip()}")
            say(f"  approver  {made.approver.read_text(encoding='ascii').strip()}")
    return made.access


def _bind(address: Address) -> socket.socket:
    """A bound socket, so that an address that is taken is an error here and not in a thread."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ServerError("HW443", f"cannot listen on {address.host}: {error.strerror or error}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(where)
    except OSError as error:
        bound.close()
        raise ServerError("HW443", f"cannot listen on {address.host}:{address.port}: {error.strerror}") from error
    return bound
