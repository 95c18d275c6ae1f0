"""Real servers on one PostgreSQL: started, frozen, woken, killed; asked over HTTP."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx

from headway.server.access import sha256_of

TOKEN = "a-gate's-token"
WAIT_S = 60
"""Until a server says what is waited for; a test fails then."""

SERVER = f"""
server: main
listen: 127.0.0.1:0
tokens: [{{name: gate, hash: {sha256_of(TOKEN).hex()}, roles: [gate, operator, viewer]}}]
---
"""
CONTRACTS = """
contract: mails
owner: team-web
constraint: {measure: quota, unit: mail, per: month}
workloads: {other: {}}
ramp: [{stage: now, limit: 300}]
---
contract: api
owner: team-web
constraint: {measure: rate, unit: request, per: 1s, burst: 100ms}
workloads: {other: {}}
ramp: [{stage: now, limit: 100}]
"""


class Server:
    """`headway serve`, from construction until `end`."""

    def __init__(self, folder: Path, name: str, store: str, *more: str, contracts: str = CONTRACTS) -> None:
        file = folder / "contracts.yaml"
        file.write_text(SERVER + contracts)
        command = [sys.executable, "-m", "headway.cli", "serve", str(file), "--store", store]
        self._process = subprocess.Popen(
            [*command, "--data", str(folder / name), "--data-plane", "127.0.0.1:0", *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        # It says where it listens a moment before it does.
        transport = httpx.HTTPTransport(retries=5)
        self._client = httpx.Client(headers={"authorization": f"Bearer {TOKEN}"}, timeout=WAIT_S, transport=transport)
        self.said = ""
        self._changed = threading.Condition()
        self._is_over = False
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, pattern: str) -> str:
        """Until it has said that; the pattern's group, if it has one."""
        self._until(lambda: re.search(pattern, self.said) is not None)
        found = re.search(pattern, self.said)
        assert found is not None
        return found.group(found.lastindex or 0)

    @property
    def plane(self) -> str:
        """Where its data plane is."""
        return "http://" + self.wait_for(r"data plane on (\S+)")

    @property
    def api(self) -> str:
        """Where its API is."""
        return self.wait_for(r"listening on (\S+)")

    def check(self, contract: str, units: int = 1) -> httpx.Response:
        """What its data plane says."""
        return self._client.get(f"{self.plane}/check/{contract}?units={units}")

    def read(self, path: str) -> httpx.Response:
        """What its API says."""
        return self._client.get(self.api + path)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        code = self._process.wait(WAIT_S)
        self._until(lambda: self._is_over)
        return code

    def end(self) -> None:
        """Whatever it does."""
        self._client.close()
        self._process.kill()
        self._process.wait()

    def _until(self, is_true: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: is_true() or self._is_over, WAIT_S) and is_true(), self.said

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.said += line
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


def admitted(server: Server, contract: str, times: int) -> int:
    """How many of so many demands it admits."""
    return sum(server.check(contract).status_code == 200 for _ in range(times))
