"""Real processes, the machine's clock, `kill -9`: what they leave behind is taken up, and nothing is handed out twice.

`HEADWAY_CRASHES` sets how many lives are taken (30 unless told, half of them here); `HEADWAY_SEED` the seed.
"""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from headway.engine.engine import Engine
from headway.engine.folder import LEDGER, NAME
from headway.errors import VerbRefused
from headway.ledger import Ledger
from headway.ramp.observations import EventSeen, VerbCall
from tests.engine.test_engine import POOL
from tests.lives import life

CYCLES = max(1, int(os.environ.get("HEADWAY_CRASHES", "30")) // 2)
SEED = int(os.environ.get("HEADWAY_SEED", "20261124"))

DURABLE = """
contract: calls
owner: team-web
constraint: {measure: quota, unit: call, per: month}
workloads: {other: {}}
each: {key: tenant, count: 40, scale: {acme: 4}}
ramp: [{stage: now, limit: 100}]
---
contract: slow
owner: team-web
constraint: {measure: rate, unit: report, per: 31d}
workloads: {other: {}}
ramp: [{stage: now, limit: 100}]
"""


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    folder = tmp_path / "contracts"
    folder.mkdir()
    return folder


def used_up(contracts: Path, acknowledged: int) -> None:
    """Uses 30 of each, says so, and waits to be killed."""
    engine = Engine.open(contracts)
    for _ in range(30):
        assert engine.limiter("calls").try_acquire(key="a")
        assert engine.limiter("calls").try_acquire(key="acme")
        assert engine.limiter("slow").try_acquire()
    os.write(acknowledged, b".")
    signal.pause()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_crash_forfeits_at_most_a_chunk_of_a_quota_and_mints_nothing(contracts: Path):
    """30 of 100 used and killed: between 65 and 70 are left of the quota, another tenant has all,
    one with four times the limit has 400 less its 30, and of a slow rate's burst
    there is never more than what was not used.
    """
    (contracts / "calls.yaml").write_text(DURABLE, encoding="utf-8")
    life(lambda acknowledged: used_up(contracts, acknowledged), 1, 0)

    engine = Engine.open(contracts)
    left = sum(bool(engine.limiter("calls").try_acquire(key="a")) for _ in range(200))
    other = sum(bool(engine.limiter("calls").try_acquire(key="b")) for _ in range(200))
    scaled = sum(bool(engine.limiter("calls").try_acquire(key="acme")) for _ in range(500))
    slow = sum(bool(engine.limiter("slow").try_acquire()) for _ in range(200))
    engine.close()

    assert 65 <= left <= 70
    assert 100 == other
    assert 350 <= scaled <= 370
    assert slow <= 70


def test_a_clean_stop_forfeits_nothing(contracts: Path):
    """30 of 100 used, closed, opened: 70 are left, of both."""
    (contracts / "calls.yaml").write_text(DURABLE, encoding="utf-8")
    engine = Engine.open(contracts)
    for _ in range(30):
        assert engine.limiter("calls").try_acquire(key="a")
        assert engine.limiter("slow").try_acquire()
    engine.close()

    engine = Engine.open(contracts)
    assert 70 == sum(bool(engine.limiter("calls").try_acquire(key="a")) for _ in range(200))
    assert 70 == sum(bool(engine.limiter("slow").try_acquire()) for _ in range(200))
    engine.close()


def busy(contracts: Path, acknowledged: int) -> None:
    """A life of holding, resuming, overriding and hearing of events; says a byte after each that was answered."""
    engine = Engine.open(contracts)
    number = engine.ledger().count()
    while True:
        number += 1
        held = engine.contract("shop").state.held is not None
        engine.submit("shop", VerbCall(0, "resume" if held else "hold", "user:ana", f"number {number}"))
        os.write(acknowledged, b"v")
        try:
            level, until_ms = {"": 1_000_000 * (number % 90 + 1)}, engine.now_ms() + 60_000
            engine.submit("pool", VerbCall(0, "override", "user:ana", f"number {number}", level, until_ms, "user:bo"))
            os.write(acknowledged, b"o")
        except VerbRefused:
            continue
        if any(one.seqs for one in engine.receive(EventSeen(0, str(number), "ci", "go", "event:ci"))):
            os.write(acknowledged, b"e")


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_every_life_takes_up_where_the_last_was_killed(contracts: Path):
    """Killed somewhere in a move, again and again: each start finds a whole ledger whose replay is the state it goes on from;
    everything that was answered is in it, at most one move more, and no stage was entered twice.
    """
    (contracts / "pool.yaml").write_text(POOL, encoding="utf-8")
    path = contracts.parent / NAME / LEDGER
    randomness = random.Random(SEED)
    answered = {"v": 0, "o": 0, "e": 0}
    for cycle in range(CYCLES):
        heard = life(
            lambda acknowledged: busy(contracts, acknowledged),
            randomness.randrange(1, 8),
            randomness.randrange(0, 200_000),
        )
        for kind in answered:
            answered[kind] += heard.decode().count(kind)

        ledger = Ledger.open(path, read_only=True)
        kinds = [record.entry.kind for record in ledger.records(0, 10_000)]
        verdict, states = ledger.verify(), ledger.replay()
        ledger.close()

        told = f"cycle {cycle}, seed {SEED}"
        assert verdict.ok, f"{told}: {verdict.problem}"
        found = {
            "v": kinds.count("held") + kinds.count("resumed"),
            "o": kinds.count("overridden"),
            "e": kinds.count("event"),
        }
        for kind, count in found.items():
            assert answered[kind] <= count <= answered[kind] + 1, told
        assert kinds.count("entered") <= 1, told
        assert {"pool", "shop"} == set(states)
        answered = found
