"""`headway serve` with two contracts bound to RLS, as anybody runs it."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from benches.rls.asks import DOMAIN, OPEN_PER_S
from benches.rls.server import Runner, Server
from tests.attach.fronts import ROOT, free_port

NAME = "headway"
UP_WITHIN_S = 20.0
CONTRACTS = f"""\
contract: open
owner: bench
constraint: {{measure: rate, unit: request, per: 1s}}
workloads: {{other: {{}}}}
each: {{key: user, count: 1000}}
ramp: [{{stage: now, limit: {OPEN_PER_S}}}]
enforce: {{bind: [{{rls: {{domain: {DOMAIN}, descriptor: {{service: open, user: each}}}}}}]}}
---
contract: closed
owner: bench
constraint: {{measure: rate, unit: request, per: 1h}}
workloads: {{other: {{}}}}
each: {{key: user, count: 1000}}
ramp: [{{stage: now, limit: 1}}]
enforce: {{bind: [{{rls: {{domain: {DOMAIN}, descriptor: {{service: closed, user: each}}}}}}]}}
"""


def started(runner: Runner, contracts: str = CONTRACTS) -> Server:
    """Starts it, with its engine and its API. It listens when this returns."""
    path, store = runner.folder / "contracts.yaml", runner.folder / "store"
    path.write_text(contracts)
    api, port = free_port(), free_port()
    where = ["--listen", f"127.0.0.1:{api}", "--data-plane", f"127.0.0.1:{port}", "--data", str(store)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    process = runner.start([sys.executable, "-m", "headway.cli", "serve", str(path), *where], environment)
    token = _token(store / "tokens" / "local")
    _wait_for(lambda: _listens(port))
    return Server(NAME, port, {NAME: process.pid}, version("headway"), token, _sheds(api, token))


def _token(path: Path) -> str:
    _wait_for(lambda: path.exists() and path.read_text() != "")
    return path.read_text().strip()


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _wait_for(comes: Callable[[], bool]) -> None:
    until = time.monotonic() + UP_WITHIN_S
    while not comes():
        if time.monotonic() > until:
            raise RuntimeError("headway serve did not come up")
        time.sleep(0.05)


def _sheds(api: int, token: str) -> Callable[[], int]:
    asked = urllib.request.Request(f"http://127.0.0.1:{api}/metrics", headers={"Authorization": f"Bearer {token}"})

    def sheds() -> int:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return sheds_of(answer.read().decode())

    return sheds


def sheds_of(metrics: str) -> int:
    """Demands refused as `overloaded`, of all contracts."""
    found = re.findall(r'^headway_refused_total\{[^}]*reason="overloaded"[^}]*\} (\S+)$', metrics, re.MULTILINE)
    return int(sum(float(count) for count in found))
