"""`kill -9` at random instants of the running demo, hundreds of times; what is left must still be true.

    python -m tests.demo.crash --kills 300 --seed 1 --result benches/results/crash-1.json

Each life is the demo itself, forked from a process that has only imported it, so that a start takes a moment and kills
hit starts as well. After every kill the ledger is read and compared with its replay and with what was there before;
after a number of kills one life runs to a clean end, and the shop's count over all of them is judged.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import headway.embedded
import headway.server  # noqa: F401  (loaded once here, so that no life has to)
from examples.shop import clock, demo
from examples.shop.count import lives_so_far, read_record
from examples.shop.verdict import Clocks
from headway.errors import HeadwayError
from headway.ledger import Record
from tests.demo import facts
from tests.demo.provenance import commit_of_checkout
from tests.demo.quick import quick_contracts

LIVES = 25
"""Kills before a history is judged and a new folder begun: about as long as a ramp takes."""

GROWS_S = 45
"""How long the traffic grows over a history; event and approval come at shares of it."""

LIFE_S = (0.02, 3.0)
"""The shortest and the longest life. The first ones end in the middle of the start."""

LAST_S = 2
"""The life at the end, which stops cleanly."""

EXTRA_S = 60
"""How much longer than its growth a life could run: it is killed long before."""


@dataclass(slots=True)
class Found:
    """All there is to say about a run; `wrong` is empty when every promise held."""

    seed: int
    kills: int = 0
    histories: int = 0
    killed_in_start: int = 0
    records: int = 0
    admitted: int = 0
    refused: int = 0
    certain_violations: int = 0
    possible_violations: int = 0
    stages_entered: int = 0
    acts: int = 0
    readings: int = 0
    wrong: list[str] = field(default_factory=list)


def crash(kills: int, seed: int, folder: Path) -> Found:
    """Kills the demo `kills` times in histories of `LIVES`, under `folder`."""
    chance = random.Random(seed)
    found = Found(seed)
    contracts = folder / "contracts"
    contracts.mkdir()
    quick_contracts(contracts)
    while found.kills < kills:
        found.histories += 1
        _history(folder / f"data-{found.histories}", contracts, min(LIVES, kills - found.kills), chance, found)
    return found


def _history(data: Path, contracts: Path, kills: int, chance: random.Random, found: Found) -> None:
    seed = chance.randrange(1_000_000)
    before: Sequence[Record] = ()
    lives = 0
    for _ in range(kills):
        life = _born(data, contracts, seed)
        time.sleep(chance.uniform(*LIFE_S))
        found.wrong += _killed(life, data)
        found.kills += 1
        before = _after_kill(data, before, found)
        found.killed_in_start += len(lives_so_far(_count(data))) == lives
        lives = len(lives_so_far(_count(data)))
    result = data.with_suffix(".json")
    life = _born(data, contracts, seed, seconds=LAST_S, result=result)
    _, status = os.waitpid(life, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1) or not result.exists():
        found.wrong.append(f"{data.name}: the last life did not come to its end; its log: {_log(data)}")
        return
    _judge(data, json.loads(result.read_text()), found)


def _born(data: Path, contracts: Path, seed: int, seconds: int = GROWS_S + EXTRA_S, result: Path | None = None) -> int:
    """A new life of the demo; returns its process id."""
    life = os.fork()
    if life:
        return life
    try:
        log = os.open(data.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, sys.stdout.fileno())
        os.dup2(log, sys.stderr.fileno())
        arguments = [
            "--auto",
            "--seconds",
            str(seconds),
            "--grows",
            str(GROWS_S),
            "--seed",
            str(seed),
            "--data",
            str(data),
        ]
        arguments += ["--contracts", str(contracts)] + (["--result", str(result)] if result else [])
        code = demo.main(arguments)
        sys.stdout.flush()
        os._exit(code)
    except BaseException as error:
        os.write(2, f"life {os.getpid()}: {error!r}\n".encode())
        os._exit(3)


def _killed(life: int, data: Path) -> list[str]:
    """Kills a life; what is wrong if it had ended by itself."""
    early, status = os.waitpid(life, os.WNOHANG)
    if early:
        return [f"{data.name}: a life ended by itself with {os.waitstatus_to_exitcode(status)}; its log: {_log(data)}"]
    os.kill(life, signal.SIGKILL)
    os.waitpid(life, 0)
    return []


def _after_kill(data: Path, before: Sequence[Record], found: Found) -> Sequence[Record]:
    """Reads the ledger that a kill left: whole, equal to its replay, nothing lost, no stage or approval wrong."""
    if not before and not facts.is_made(data):
        return before
    try:
        records, contracts = facts.chain_of(data)
    except HeadwayError as error:
        found.wrong.append(f"{data.name} after kill {found.kills}: {error}")
        return before
    said = facts.rewritten(before, records) + facts.wrong_ramps(records, contracts)
    count = _count(data)
    if count.exists():
        said += facts.forgotten(read_record(count).acts, records)
    found.wrong += [f"{data.name} after kill {found.kills}: {one}" for one in said]
    return records


def _judge(data: Path, result: dict[str, Any], found: Found) -> None:
    """The whole history: limits against the ledger, and the shop's count against both."""
    records, contracts = facts.chain_of(data)
    record = read_record(_count(data))
    said = facts.wrong_ramps(records, contracts) + facts.forgotten(record.acts, records)
    said += facts.limits_above(record.readings, Clocks.of(record.clocks), records, contracts)
    for name, one in result["contracts"].items():
        found.admitted += one["admitted"]
        found.refused += one["refused"]
        found.certain_violations += one["certain_violations"]
        found.possible_violations += one["possible_violations"]
        if one["certain_violations"]:
            said.append(f"{name} was surely over its limit {one['certain_violations']} times: {one['examples']}")
    found.records += len(records)
    found.stages_entered += sum(one.entry.kind == "entered" for one in records)
    found.acts += len(record.acts)
    found.readings += len(record.readings)
    found.wrong += [f"{data.name}: {one}" for one in said]


def _count(data: Path) -> Path:
    return data / "shop" / f"count-{clock.boot_id()}.jsonl"


def _log(data: Path) -> str:
    return data.with_suffix(".log").read_text()[-2000:]


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 iff nothing was wrong after any kill, and the ramps moved while they were killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--result", type=Path)
    parser.add_argument("--folder", type=Path, help="keep the histories here, to look at afterwards")
    said = parser.parse_args(arguments)
    result: Path = said.result or Path(f"benches/results/crash-{said.seed}.json")
    # Asked before anything runs: what is checked out at the end may be something else.
    commit = commit_of_checkout()
    with tempfile.TemporaryDirectory(prefix="headway-crash-") as temporary:
        folder = said.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = crash(said.kills, said.seed, folder)
    result.parent.mkdir(parents=True, exist_ok=True)
    told = {"commit": commit, "utc_ns": clock.utc_ns(), **asdict(found)}
    result.write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told, indent=2))
    return 0 if not found.wrong and found.stages_entered and found.acts else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
