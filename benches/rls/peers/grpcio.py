"""A rate-limit service in Python with grpcio: with threads, and on asyncio."""

from __future__ import annotations

import sys
from importlib.metadata import version

from benches.rls.server import Runner, Server, first_line
from tests.attach.fronts import ROOT

NAMES = {"grpcio": "threads", "grpcio aio": "aio"}


def started(runner: Runner, who: str) -> Server:
    """Starts the server of one of `NAMES`."""
    program = ROOT / "benches" / "rls" / "peers" / "grpcio_server.py"
    process = runner.start([sys.executable, program, NAMES[who]], says="serve until I end")
    return Server(who, int(first_line(process)), {who: process.pid}, f"grpcio {version('grpcio')}")
