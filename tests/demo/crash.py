"""`kill -9` at random instants of the running demo, hundreds of times; what is left must still be true.

    python -m tests.demo.crash --kills 300 --seed 1 --result benches/results/crash-1.json

Each life is the demo itself, forked from a process that has only imported it, so that a start takes a moment and kills
hit starts as well. While it lives a person gives it verbs over HTTP (`hand`) and keeps a journal; some kills come in the
middle of one. After every kill the ledger is read and compared with its replay, with what was there before, with what
was answered, and with where its entries alone say each ramp stands; the durable count with what was drawn and admitted.
After a number of kills one life runs to a clean end, and the shop's count over all of them is judged.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

import headway.embedded
import headway.server  # noqa: F401  (loaded once here, so that no life has to)
from benches.provenance import commit_of_checkout
from examples.shop import clock, demo
from examples.shop.app import EXPORTS
from examples.shop.count import lives_so_far, read_record
from examples.shop.person import APPROVAL_AT
from examples.shop.verdict import Clocks
from headway.errors import HeadwayError
from headway.ledger import Record
from tests.demo import draws, facts, ramps, told
from tests.demo.draws import Draws
from tests.demo.hand import Hand, Journal
from tests.demo.quick import quick_contracts

LIVES = 25
"""Kills before a history is judged and a new folder begun: about as long as a ramp takes."""

GROWS_S = 30
"""How long the traffic grows over a history; event and approval come at shares of it."""

LIFE_S = (0.02, 3.0)
"""The shortest and the longest life. The first ones end in the middle of the start."""

LAST_S = 2
"""The life at the end, which stops cleanly."""

EXTRA_S = 90
"""How much longer than its growth a life could run: it is killed long before."""

BUSY = 0.7
"""The share of lives that are given verbs; in the others the ramps are left alone."""

IN_A_VERB = 0.6
"""The share of busy lives that are killed just after a verb was sent, wherever it has come to by then."""

VERB_S = (0.0, 0.015)
"""How long after: about as long as a verb takes on a busy machine."""

VERB_WAIT_S = 2.0
"""How long a kill waits for the verb it is to hit; a life that starts slowly is killed without one."""

APPROVES_UNTIL = 0.8 * APPROVAL_AT
"""Until this share of a history the hand may approve; later the demo's own person does."""

ABORTS_FROM = LIVES - 4
"""From this life on a ramp may be ended for good."""


@dataclass(slots=True)
class Found:
    """All there is to say about a run; `wrong` is empty when every promise held.

    Attributes:
        verbs: How many were acknowledged, by verb.
        verbs_refused, verbs_unanswered, verbs_unanswered_done: Those with another answer, with none, and the latter's
            that are in the ledger all the same.
        falls: Contracts that fell along with a requirement.
        acts: What the demo's own person was acknowledged.
    """

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
    falls: int = 0
    acts: int = 0
    verbs: dict[str, int] = field(default_factory=dict)
    verbs_refused: int = 0
    verbs_unanswered: int = 0
    verbs_unanswered_done: int = 0
    readings: int = 0
    draws: int = 0
    starts_after_draws: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def unseen(self) -> list[str]:
        """What the promises are about and did not happen: a run that is too short shows nothing."""
        seen = ("stages_entered", "falls", "acts", "verbs", "verbs_unanswered", "starts_after_draws")
        return [name for name in seen if not getattr(self, name)]


@dataclass(slots=True)
class Left:
    """What the last kill of a history left, to be compared with what the next one leaves."""

    records: Sequence[Record] = ()
    draws: Draws = field(default_factory=dict)
    lives: int = 0
    said: frozenset[str] = frozenset()
    """What was found wrong up to here: what is wrong stays wrong, and is told once."""


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
    journal, left = Journal(), Left()
    for number in range(kills):
        found.wrong += _life(data, contracts, seed, journal, chance, aborts=number >= ABORTS_FROM)
        found.kills += 1
        left = _after_kill(data, left, journal, found)
    result = data.with_suffix(".json")
    life = _born(data, contracts, seed, seconds=LAST_S, result=result)
    _, status = os.waitpid(life, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1) or not result.exists():
        found.wrong.append(f"{data.name}: the last life did not come to its end; its log: {_log(data)}")
        return
    _judge(data, journal, left, json.loads(result.read_text()), found)


def _life(
    data: Path, contracts: Path, seed: int, journal: Journal, chance: random.Random, *, aborts: bool
) -> list[str]:
    """One life from its birth to its kill, with a hand that gives verbs; what is wrong if it had ended by itself."""
    port = _free_port()
    journal.first_use = None
    life = _born(data, contracts, seed, listen=f"127.0.0.1:{port}")
    hand = Hand(
        f"http://127.0.0.1:{port}",
        data / "tokens",
        journal,
        random.Random(chance.random()),
        busy=chance.random() < BUSY,
        approves=_age_s(data) < APPROVES_UNTIL * GROWS_S,
        aborts=aborts,
    )
    # The hand's thread is gone before the next life is forked.
    with ThreadPoolExecutor(1) as thread:
        living = thread.submit(hand.live)
        time.sleep(chance.uniform(*LIFE_S))
        if chance.random() < IN_A_VERB and not living.done():
            hand.sending.clear()
            hand.sending.wait(VERB_WAIT_S if hand.busy else 0.0)
            time.sleep(chance.uniform(*VERB_S))
        wrong = _killed(life, data)
        hand.stop.set()
        try:
            living.result()
        except httpx.HTTPStatusError as error:
            wrong.append(f"{data.name}: a look that changes nothing was answered {error}")
    return wrong


def _born(
    data: Path,
    contracts: Path,
    seed: int,
    seconds: int = GROWS_S + EXTRA_S,
    result: Path | None = None,
    listen: str = "127.0.0.1:0",
) -> int:
    """A new life of the demo; returns its process id."""
    life = os.fork()
    if life:
        return life
    try:
        log = os.open(data.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, sys.stdout.fileno())
        os.dup2(log, sys.stderr.fileno())
        arguments = ["--auto", "--seconds", str(seconds), "--grows", str(GROWS_S), "--seed", str(seed)]
        arguments += ["--data", str(data), "--contracts", str(contracts), "--listen", listen]
        arguments += ["--result", str(result)] if result else []
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


def _after_kill(data: Path, left: Left, journal: Journal, found: Found) -> Left:
    """Reads what a kill left: whole, equal to its replay, nothing lost that was there or was answered, all in order."""
    if not left.records and not facts.is_made(data):
        found.killed_in_start += 1
        return left
    try:
        chain = facts.chain_of(data)
    except HeadwayError as error:
        found.wrong.append(f"{data.name} after kill {found.kills}: {error}")
        return left
    said = facts.rewritten(left.records, chain.records) + _of_chain(chain, journal)
    drawn = draws.draws_of(data)
    said += draws.undrawn(left.draws, drawn)
    if journal.first_use is not None:
        found.starts_after_draws += bool(left.draws)
        said += draws.forgotten_draws(left.draws, journal.first_use, chain.contracts[EXPORTS])
    count = _count(data)
    if count.exists():
        record = read_record(count)
        said += facts.forgotten(record.acts, chain.records)
        if record.clocks:
            clocks = Clocks.of(record.clocks)
            said += draws.underdrawn(record.admissions, clocks, drawn)
            said += facts.limits_above(record, journal.given, chain.records, chain.contracts)
    lives = len(lives_so_far(count))
    found.killed_in_start += lives == left.lives
    found.wrong += [
        f"{data.name} after kill {found.kills}: {one}" for one in dict.fromkeys(said) if one not in left.said
    ]
    return Left(chain.records, drawn, lives, left.said.union(said))


def _of_chain(chain: facts.Chain, journal: Journal) -> list[str]:
    """What the ledger alone must say, whoever wrote it."""
    walked, said = ramps.walk(chain.records, chain.contracts)
    return said + ramps.apart(walked, chain.states) + told.untrue(journal.given, chain.records)


def _judge(data: Path, journal: Journal, left: Left, result: dict[str, Any], found: Found) -> None:
    """The whole history: limits against the ledger, and the shop's count against both."""
    chain = facts.chain_of(data)
    record = read_record(_count(data))
    said = facts.rewritten(left.records, chain.records) + _of_chain(chain, journal)
    said += facts.forgotten(record.acts, chain.records)
    said += facts.limits_above(record, journal.given, chain.records, chain.contracts)
    drawn = draws.draws_of(data)
    said += draws.undrawn(left.draws, drawn)
    said += draws.underdrawn(record.admissions, Clocks.of(record.clocks), drawn)
    for name, one in result["contracts"].items():
        found.admitted += one["admitted"]
        found.refused += one["refused"]
        found.certain_violations += one["certain_violations"]
        found.possible_violations += one["possible_violations"]
        if one["certain_violations"]:
            said.append(f"{name} was surely over its limit {one['certain_violations']} times: {one['examples']}")
    kinds = Counter(one.entry.kind for one in chain.records)
    found.records += len(chain.records)
    found.stages_entered += kinds["entered"]
    found.falls += kinds["fell"]
    found.acts += len(record.acts)
    found.readings += len(record.readings)
    found.draws += len(drawn)
    for given in journal.given:
        if given.acknowledged:
            found.verbs[given.wish.verb] = found.verbs.get(given.wish.verb, 0) + 1
        elif given.status is not None:
            found.verbs_refused += 1
        else:
            found.verbs_unanswered += 1
            found.verbs_unanswered_done += any(given.mark in one.entry.reason for one in chain.records)
    found.wrong += [f"{data.name}: {one}" for one in dict.fromkeys(said) if one not in left.said]


def _free_port() -> int:
    """A port nobody listens on now: the hand has to know it before the life does."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def _age_s(data: Path) -> float:
    """How old a history is, as the demo reckons."""
    lives = lives_so_far(_count(data))
    return (clock.boot_ns() - lives[0][1]) / 1e9 if lives else 0.0


def _count(data: Path) -> Path:
    return data / "shop" / f"count-{clock.boot_id()}.jsonl"


def _log(data: Path) -> str:
    return data.with_suffix(".log").read_text()[-2000:]


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 iff nothing was wrong after any kill, and all that could have been was seen."""
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
    record = {"commit": commit, "utc_ns": clock.utc_ns(), **asdict(found), "unseen": found.unseen}
    result.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))
    return 0 if not found.wrong and not found.unseen else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
