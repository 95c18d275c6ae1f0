"""Gates whose keeper cannot be heard: refused, or let through and written down, as their contract says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import headway
from headway._core import Limiter, Permit
from headway.server.metrics import exposition

from . import conftest
from .conftest import TOKEN, Keeper

Until = Callable[[Callable[[], bool]], None]

CONTRACTS = """\
contract: strict
owner: team-web
constraint: {measure: rate, unit: request, per: 1h}
workloads: {other: {}}
ramp: [{stage: now, limit: 100}]
enforce: {when_cut_off: deny}
---
contract: open-api
owner: team-web
constraint: {measure: rate, unit: request, per: 1h}
workloads: {other: {}}
ramp: [{stage: now, limit: 2}]
enforce: {when_cut_off: open}
---
contract: open-pool
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp: [{stage: now, limit: 2}]
enforce: {when_cut_off: open}
"""


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    monkeypatch.setattr(conftest, "CONTRACTS", CONTRACTS)
    keeper = Keeper(tmp_path)
    yield keeper
    keeper.stop()


def _reason(limiter: Limiter) -> str:
    answer = limiter.try_acquire()
    return "" if answer else answer.why  # type: ignore[union-attr]


def test_a_contract_that_is_open_lets_through_once_its_keeper_has_been_silent_and_the_ledger_says_so(
    keeper: Keeper, gate: headway.Connected, until: Until
):
    """A keeper that is away for a moment opens nothing; what was let through later is counted, recorded and explained."""
    api, strict = gate.limiter("open-api"), gate.limiter("strict")
    assert [True, True, False] == [bool(api.try_acquire()) for _ in range(3)]
    assert strict.try_acquire()
    keeper.stop()
    went = time.monotonic()

    assert "cut_off" == _reason(api)
    until(lambda: bool(api.try_acquire()))
    assert time.monotonic() - went >= 3.0
    assert all(api.try_acquire() for _ in range(4))
    assert "cut_off" == _reason(strict)

    keeper.start()
    until(lambda: bool(strict.try_acquire()))
    assert "full" == _reason(api)

    def told() -> list[dict[str, object]]:
        found = keeper.engine.explain("open-api")["unguaranteed"]
        assert isinstance(found, list)
        return found

    until(lambda: bool(told()))
    (record,) = told()
    assert (5, "gate", "other") == (record["demands"], record["token"], record["workload"])
    assert "cut off" in str(record["reason"])
    assert [] == keeper.engine.explain("strict")["unguaranteed"]
    text = exposition(keeper.engine, keeper.plane.reading).decode()
    assert 'headway_unguaranteed_total{contract="open-api",workload="other"} 5.0' in text
    assert 'headway_unguaranteed_total{contract="strict",workload="other"} 0.0' in text


def test_slots_that_were_let_through_count_when_the_keeper_is_back(
    keeper: Keeper, gate: headway.Connected, until: Until
):
    """Five are in flight of two: nothing more is admitted before all but one have come back."""
    pool = gate.limiter("open-pool")
    held: list[Permit] = [pool.acquire()]
    keeper.stop()
    until(lambda: bool(pool.try_acquire()))
    for _ in range(4):
        permit = pool.try_acquire()
        assert permit
        held.append(permit)  # type: ignore[arg-type]

    keeper.start()

    until(lambda: keeper.in_use("open-pool") == 5)
    for permit in held[:3]:
        permit.release()
    until(lambda: keeper.in_use("open-pool") == 2)
    assert "full" == _reason(pool)
    held[3].release()
    until(lambda: bool(pool.try_acquire()))


def test_who_waits_is_let_through_when_it_opens(keeper: Keeper, gate: headway.Connected):
    pool = gate.limiter("open-pool")
    held = [pool.acquire(), pool.acquire()]
    keeper.stop()
    began = time.monotonic()
    third = pool.acquire(timeout=20)
    assert time.monotonic() - began < 10
    keeper.start()
    for permit in (*held, third):
        permit.release()


FROZEN = """
import os, sys
from pathlib import Path
from tests.connect import conftest, test_cut_off
conftest.CONTRACTS = test_cut_off.CONTRACTS
keeper = conftest.Keeper(Path(sys.argv[1]))
print(keeper.port, flush=True)
sys.stdin.read()
keeper.stop()
"""


def test_a_keeper_that_is_frozen_is_as_silent_as_one_that_is_gone(tmp_path: Path, until: Until):
    process = subprocess.Popen(
        [sys.executable, "-c", FROZEN, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with headway.connect(f"http://127.0.0.1:{int(process.stdout.readline())}", token=TOKEN) as gate:
        api, strict = gate.limiter("open-api"), gate.limiter("strict")
        assert api.try_acquire() and api.try_acquire() and strict.try_acquire()
        os.kill(process.pid, signal.SIGSTOP)
        until(lambda: bool(api.try_acquire()))
        assert not strict.try_acquire()
        os.kill(process.pid, signal.SIGCONT)
        until(lambda: bool(strict.try_acquire()))
        assert "full" == _reason(api)
    process.communicate()


def test_a_gate_that_never_met_its_keeper_admits_nothing(keeper: Keeper, until: Until):
    """What its contract says when it is cut off it has not heard."""
    keeper.stop()
    with headway.connect(keeper.url, token=TOKEN) as gate:
        began = time.monotonic()
        while time.monotonic() - began < 5:
            with pytest.raises(headway.Refused):
                gate.limiter("open-api").acquire(timeout=0)
    keeper.start()
