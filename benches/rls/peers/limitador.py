"""limitador's library behind the sockets of `headway serve`; and those sockets with nothing behind them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

from benches.rls.asks import DOMAIN, OPEN_PER_S
from benches.rls.server import Runner, Server, Unavailable, first_line
from tests.attach.fronts import ROOT

NAMES = {"limitador": "told", "limitador, a bare code": "limitador", "no decision": "nothing"}
"""What it is called here -> what its program is told. The first says all that we say, from its own numbers; the second the
code alone, which tells nobody when to come back."""

CASES = {
    "limitador": ("admitted", "refused"),
    "limitador, a bare code": ("admitted", "refused"),
    "no decision": ("admitted",),
}
FOLDER = ROOT / "benches" / "rls" / "limitador"
TOKEN = "hw_bench"


def program() -> Path:
    """Builds it, if it is not built yet. Unavailable where one of its crates cannot be had."""
    if shutil.which("cargo") is None:
        raise Unavailable("there is no Rust here to build it with")
    target = ROOT / "target" / "bench-rls"
    done = subprocess.run(
        ["cargo", "build", "--release", "--locked", "--quiet", "--target-dir", str(target)],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        env={**os.environ, "CARGO_TARGET_DIR": str(target)},
    )
    if done.returncode != 0:
        raise Unavailable(f"it could not be built: {done.stderr.strip()[-500:]}")
    return target / "release" / "headway-bench-limitador"


def started(runner: Runner, who: str) -> Server:
    """Starts the server of one of `NAMES`. limitador counts windows of a second: `closed` admits one in each."""
    limits = [f"open={OPEN_PER_S}", "closed=1"]
    process = runner.start([program(), NAMES[who], DOMAIN, *limits], says=TOKEN)
    return Server(who, int(first_line(process)), {who: process.pid}, _version(), TOKEN, cases=CASES[who])


def _version() -> str:
    lock = tomllib.loads((FOLDER / "Cargo.lock").read_text())
    return next(str(package["version"]) for package in lock["package"] if package["name"] == "limitador")
