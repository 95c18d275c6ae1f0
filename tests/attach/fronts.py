"""Real fronts on free ports of loopback, with the configuration that `headway attach` prints, and an application behind."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PACKAGES = {"nginx": "nginx-light", "haproxy": "haproxy", "caddy": "caddy"}
APPLICATION = "127.0.0.1:8000"
"""Where the printed configuration expects the application."""

UP_WITHIN_S = 20.0


def program(name: str) -> str:
    """The path of a front's program, installed from Debian if it is not here. RuntimeError says what to install."""
    # Envoy comes with a package of the development requirements; Debian keeps daemons where only root's PATH looks.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])
    if shutil.which(name, path=path) is None:
        done = subprocess.run([ROOT / "tools" / "debian.sh", PACKAGES[name]], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
    found = shutil.which(name, path=path)
    assert found is not None
    return found


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@dataclass
class Application:
    """The application behind a front: says hello, and remembers what came."""

    port: int = 0
    bodies: list[bytes] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)


@contextmanager
def application() -> Iterator[Application]:
    """Runs one."""
    seen = Application()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            seen.bodies.append(self.rfile.read(int(self.headers.get("content-length") or 0)))
            seen.authorizations.append(self.headers.get("authorization"))
            self.send_response(200)
            self.send_header("content-length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        do_POST = do_GET  # noqa: N815 - http.server's own name

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Relay:
    """A TCP relay that counts connections."""

    address: str = ""
    connections: int = 0


@contextmanager
def relay(to: str) -> Iterator[Relay]:
    """Passes bytes on to an address, both ways."""
    seen = Relay()
    host, _, port = to.rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    seen.address = f"127.0.0.1:{listener.getsockname()[1]}"

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                seen.connections += 1
                far = socket.create_connection((host, int(port)))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


Change = Callable[[dict[str, Any]], None]
"""What a test does otherwise than the printed configuration, to Envoy's listener."""


@dataclass(frozen=True)
class Place:
    """Where a front runs: its port, the application's, a folder of its own, the token that it asks with."""

    port: int
    behind: int
    folder: Path
    token: str
    change: Change | None = None


@contextmanager
def running(
    front: str, text: str, port: int, behind: int, folder: Path, token: str, *, change: Change | None = None
) -> Iterator[str]:
    """A front with a printed configuration between `port` and the application; its URL."""
    text = text.replace(APPLICATION, f"127.0.0.1:{behind}")
    command = COMMANDS[front](program(front), text, Place(port, behind, folder, token, change))
    environment = {**os.environ, "HEADWAY_TOKEN": token, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    with (folder / f"{front}.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _await(port, process, folder / f"{front}.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"it ended at once: {log.read_text()}")
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return
        # As long as it starts nothing tells when it listens; should it end, this ends at once.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
    raise RuntimeError(f"it does not listen: {log.read_text()}")


def _nginx(binary: str, text: str, place: Place) -> list[str]:
    secret = place.folder / "token.conf"
    secret.write_text(f'proxy_set_header Authorization "Bearer {place.token}";\n')
    http, server = text.replace("/etc/nginx/headway-token.conf", str(secret)).split("# In server:")
    places = " ".join(
        f"{name}_temp_path {place.folder / name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (place.folder / "nginx.conf").write_text(
        f"daemon off; pid {place.folder / 'nginx.pid'}; error_log {place.folder / 'error.log'}; events {{}}\n"
        f"http {{ access_log off; {places}\n{http}\nserver {{ listen 127.0.0.1:{place.port};\n{server}}}\n}}\n"
    )
    return [binary, "-c", str(place.folder / "nginx.conf")]


def _caddy(binary: str, text: str, place: Place) -> list[str]:
    (place.folder / "Caddyfile").write_text(
        "{\n    admin off\n}\n" + text.replace(":8080 {", f"http://127.0.0.1:{place.port} {{")
    )
    return [binary, "run", "--adapter", "caddyfile", "--config", str(place.folder / "Caddyfile")]


def _haproxy(binary: str, text: str, place: Place) -> list[str]:
    lua, rest = text.split("# This part: /etc/haproxy/haproxy.cfg")
    (place.folder / "headway.lua").write_text(lua)
    rest = rest.replace("/etc/haproxy/headway.lua", str(place.folder / "headway.lua"))
    (place.folder / "haproxy.cfg").write_text(rest.replace("bind :8080", f"bind 127.0.0.1:{place.port}"))
    return [binary, "-db", "-f", str(place.folder / "haproxy.cfg")]


def _envoy(binary: str, text: str, place: Place) -> list[str]:
    text = text.replace("timeout: 0.1s", "timeout: 10s")
    parts = [
        yaml.safe_load(part.partition("\n")[2].replace("${HEADWAY_TOKEN}", place.token))
        for part in re.split("^# (?:In|Beside) ", text, flags=re.MULTILINE)[1:]
    ]
    filters, clusters = parts[0], parts[-1]
    # Where the limit is divided the filter stands alone.
    route = parts[1] if len(parts) == 3 else {}
    application = {
        "name": "application",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "application",
            "endpoints": [{"lb_endpoints": [_endpoint(place.behind)]}],
        },
    }
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }
    own = {name: route.pop(name) for name in ["typed_per_filter_config"] if name in route}
    host = {
        "name": "all",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "application", **route}, **own}],
    }
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "http_filters": [*filters, router],
        "route_config": {"virtual_hosts": [host]},
    }
    if place.change is not None:
        place.change(manager)
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    listener = {"name": "front", "address": _endpoint(place.port)["endpoint"]["address"], "filter_chains": [chain]}
    bootstrap = {"static_resources": {"listeners": [listener], "clusters": [*clusters, application]}}
    (place.folder / "envoy.yaml").write_text(yaml.safe_dump(bootstrap))
    return [
        binary,
        "-c",
        str(place.folder / "envoy.yaml"),
        "--use-dynamic-base-id",
        "--log-level",
        "warn",
        "--concurrency",
        "1",
    ]


def _endpoint(port: int) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}


def route_of(manager: dict[str, Any]) -> dict[str, Any]:
    """The one route of an Envoy's `HttpConnectionManager`."""
    route: dict[str, Any] = manager["route_config"]["virtual_hosts"][0]["routes"][0]
    return route


def filter_of(manager: dict[str, Any]) -> dict[str, Any]:
    """The settings of the filter that was printed, before the router's."""
    settings: dict[str, Any] = manager["http_filters"][0]["typed_config"]
    return settings


COMMANDS = {"nginx": _nginx, "caddy": _caddy, "haproxy": _haproxy, "envoy": _envoy}
