"""envoyproxy/ratelimit with Redis beside it, on the settings its README recommends for throughput."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from benches.rls.asks import DOMAIN, OPEN_PER_S
from benches.rls.server import Runner, Server, Unavailable
from tests.attach.fronts import ROOT, free_port

NAME = "envoyproxy/ratelimit"
MODULE = "github.com/envoyproxy/ratelimit"
FOLDER = ROOT / "benches" / "rls" / "envoyproxy"
"""Pins the module and all it needs by go.sum."""

CONFIG = f"""\
domain: {DOMAIN}
descriptors:
  - key: service
    value: open
    descriptors: [{{key: user, rate_limit: {{unit: second, requests_per_unit: {OPEN_PER_S}}}}}]
  - key: service
    value: closed
    descriptors: [{{key: user, rate_limit: {{unit: hour, requests_per_unit: 1}}}}]
"""


def program() -> Path:
    """Builds it, if it is not built yet. Unavailable: without Go, or where the module cannot be had."""
    if shutil.which("go") is None:
        raise Unavailable("there is no Go here to build it with")
    built = ROOT / "target" / "bench-rls" / "ratelimit"
    command = ["go", "build", "-p", "2", "-o", str(built), f"{MODULE}/src/service_cmd"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(f"it could not be built: {done.stderr.strip()[-500:]}")
    return built


def redis() -> str:
    """Redis's server. Unavailable where Debian's package cannot be installed."""
    if shutil.which("redis-server") is None:
        done = subprocess.run([ROOT / "tools" / "debian.sh", "redis-server"], capture_output=True, text=True)
        if done.returncode != 0:
            raise Unavailable(done.stderr.strip())
    return "redis-server"


def started(runner: Runner) -> Server:
    """Starts both. Nothing of it listens beyond loopback, and Redis keeps nothing on disk."""
    service, store = program(), redis()
    store_port, port, http, debug = (free_port() for _ in range(4))
    persists_nothing = ["--save", "", "--appendonly", "no"]
    kept = runner.start([store, "--bind", "127.0.0.1", "--port", str(store_port), *persists_nothing])
    config = runner.folder / "runtime" / "config"
    config.mkdir(parents=True)
    (config / "bench.yaml").write_text(CONFIG)
    environment = {
        "PATH": os.environ["PATH"],
        "HOST": "127.0.0.1",
        "PORT": str(http),
        "GRPC_HOST": "127.0.0.1",
        "GRPC_PORT": str(port),
        "DEBUG_HOST": "127.0.0.1",
        "DEBUG_PORT": str(debug),
        "USE_STATSD": "false",
        "BACKEND_TYPE": "redis",
        "REDIS_SOCKET_TYPE": "tcp",
        "REDIS_URL": f"127.0.0.1:{store_port}",
        # Its README: off by default, and for best performance 150 to 500 µs.
        "REDIS_PIPELINE_WINDOW": "150us",
        "RUNTIME_ROOT": str(runner.folder / "runtime"),
        "RUNTIME_WATCH_ROOT": "false",
    }
    serving = runner.start([service], environment)
    return Server(NAME, port, {NAME: serving.pid, "redis": kept.pid}, _version())


def _version() -> str:
    said = subprocess.run(
        ["go", "list", "-m", "-f", "{{.Version}}", MODULE], cwd=FOLDER, check=True, capture_output=True, text=True
    )
    store = subprocess.run([redis(), "--version"], check=True, capture_output=True, text=True).stdout
    return f"{said.stdout.strip()}, Redis {store.partition('v=')[2].split()[0]}"
