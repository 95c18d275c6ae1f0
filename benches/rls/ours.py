"""`headway serve` with two contracts bound to RLS, as anybody runs it."""

from __future__ import annotations

import os
import re
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


def started(runner: Runner) -> Server:
    """Starts it, with its engine and its API, and waits until its data plane has its contracts."""
    contracts, store = runner.folder / "contracts.yaml", runner.folder / "store"
    contracts.write_text(CONTRACTS)
    api, port = free_port(), free_port()
    where = ["--listen", f"127.0.0.1:{api}", "--data-plane", f"127.0.0.1:{port}", "--data", str(store)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    process = runner.start([sys.executable, "-m", "headway.cli", "serve", str(contracts), *where], environment)
    token = _token(store / "tokens" / "local")
    return Server(NAME, port, {NAME: process.pid}, version("headway"), token, _sheds(api, token))


def _token(path: Path) -> str:
    until = time.monotonic() + UP_WITHIN_S
    while not (path.exists() and path.read_text()):
        if time.monotonic() > until:
            raise RuntimeError("headway serve did not come up")
        time.sleep(0.05)
    return path.read_text().strip()


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
